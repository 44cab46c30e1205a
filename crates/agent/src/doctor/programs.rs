//! Programs that the agent or the scripts call.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::geteuid;

use super::Finding;
use super::subject::Subject;
use crate::install::permissions::Programs;

const CHECK: &str = "programs";

pub(super) fn check(subjects: &[Subject], path: Option<&OsStr>) -> Vec<Finding> {
    let programs = Programs::find(path);
    let mut findings = Vec::new();
    let mut missing = |program: &str, why: String, fix: &str| {
        let finding = Finding::error(CHECK, format!("`{program}` is not installed"), why, fix);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    for subject in subjects {
        let name = &subject.name;
        for permission in &subject.appspec.permissions {
            if let (Some(_), Some(program)) = (&permission.acls, programs.missing_for_acl()) {
                missing(program, format!("{name} sets ACLs"), "install the package `acl`");
            }
            if let (Some(_), Some(program)) = (&permission.context, programs.missing_for_context()) {
                let fix = "install the SELinux policy tools, `policycoreutils-python-utils` on most systems";
                missing(program, format!("{name} sets SELinux contexts"), fix);
            }
        }
        let by_agent = |hook: &&super::subject::Script| hook.sudo && !geteuid().is_root();
        let needs_sudo = subject.scripts.iter().find(|script| by_agent(script) || script.says("sudo "));
        if let Some(script) = needs_sudo
            && find("sudo", path).is_none()
        {
            let why = format!("`{}` of {name} calls it", script.location);
            missing("sudo", why, "install the package `sudo`, or let the script run as root without it");
        }
    }
    findings
}

/// A program in the folders of `path`.
pub(super) fn find(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let mut programs = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join(name));
    programs.find(|program| {
        program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}
