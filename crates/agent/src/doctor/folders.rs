//! The agent's own folders: there, its own, writable, and closed to others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_core::ids::GroupId;
use nix::unistd::{AccessFlags, eaccess, geteuid};

use super::{Finding, Severity};
use crate::history;
use crate::layout::Layout;

const CHECK: &str = "folders";

pub(super) fn check(layout: &Layout, groups: &[GroupId]) -> Vec<Finding> {
    let root = layout.root();
    if !root.exists() {
        return vec![without_root(root)];
    }
    let mut paths = vec![root.to_owned(), layout.instructions(), layout.groups(), root.join("deployment-logs")];
    for group in groups {
        paths.extend([layout.group(group).path().to_owned(), layout.deployments(group)]);
    }
    let mut findings: Vec<Finding> =
        paths.iter().filter(|path| fs::symlink_metadata(path).is_ok()).flat_map(|path| folder(path)).collect();
    findings.extend(strays(layout));
    if findings.iter().all(|finding| finding.severity == Severity::Ok) {
        findings
            .push(Finding::ok(CHECK, format!("the agent can write below {}, and not everybody can", root.display())));
    }
    findings
}

fn without_root(root: &Path) -> Finding {
    let above = root.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if eaccess(above, AccessFlags::W_OK).is_ok() {
        return Finding::ok(CHECK, format!("{} does not exist; the first deployment makes it", root.display()));
    }
    Finding::error(
        CHECK,
        format!("{} does not exist, and the agent may not make it", root.display()),
        "every deployment writes there",
        "run the agent as root, or give another folder with `--root`",
    )
}

fn folder(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let Ok(metadata) = fs::metadata(path) else {
        return vec![Finding::error(
            CHECK,
            format!("{shown} cannot be looked at"),
            "every deployment needs it",
            format!("look what stands there: ls -ld {shown}"),
        )];
    };
    if !metadata.is_dir() {
        return vec![Finding::error(
            CHECK,
            format!("{shown} is no folder"),
            "every deployment writes there",
            "move it away",
        )];
    }
    let mut findings = Vec::new();
    if eaccess(path, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        findings.push(Finding::error(
            CHECK,
            format!("the agent may not write to {shown}"),
            "every deployment writes there",
            "run the agent as root, or as the owner of the folder",
        ));
    }
    let (mode, owner, own) = (metadata.mode() & 0o7777, metadata.uid(), geteuid().as_raw());
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        findings.push(Finding::error(
            CHECK,
            format!("everybody may write to {shown} (mode {mode:04o})"),
            "whoever can change what is deployed can run programs as the agent",
            format!("chmod o-w {shown}"),
        ));
    }
    if owner != own && owner != 0 {
        findings.push(Finding::warning(
            CHECK,
            format!("{shown} belongs to user {owner}, and the agent runs as user {own}"),
            "its owner can change what is deployed",
            format!("chown {own} {shown}"),
        ));
    }
    findings
}

/// Folders that can be no group's.
fn strays(layout: &Layout) -> Vec<Finding> {
    let names = history::names(&layout.groups()).unwrap_or_default();
    let strays = names.into_iter().filter(|name| name.parse::<GroupId>().is_err());
    let paths = strays.map(|name| -> PathBuf { layout.groups().join(name) });
    paths
        .map(|path| {
            Finding::warning(
                CHECK,
                format!("{} is not the folder of a group", path.display()),
                "the agent did not make it, and ignores it",
                "move it away",
            )
        })
        .collect()
}
