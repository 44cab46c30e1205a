//! Two releases that differ in every way that an installation knows, and what a host looks like that has one of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::{Host, Ran, Stage};

/// The events that scripts hang on, in their order.
pub(crate) const EVENTS: [&str; 9] = [
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];

/// The deployment that installed the old release, the one that is broken, and one after it.
pub(crate) const OLD: &str = "d-OLD";
pub(crate) const NEW: &str = "d-NEW";
pub(crate) const NEXT: &str = "d-NEXT";

const OLD_FILES: &[(&str, &str)] = &[
    ("kept/same", "same\n"),
    ("kept/changed", "old\n"),
    ("gone/deep/er/file", "old\n"),
    ("gone/file", "old\n"),
    ("folder-then-file/inside/file", "old\n"),
    ("file-then-folder", "old\n"),
    ("guarded", "old\n"),
    ("tool", "old\n"),
];
const NEW_FILES: &[(&str, &str)] = &[
    ("kept/same", "same\n"),
    ("kept/changed", "new, and longer\n"),
    ("kept/added", "new\n"),
    ("added/deep/er/file", "new\n"),
    ("added/deep/empty", ""),
    ("folder-then-file", "new\n"),
    ("file-then-folder/file", "new\n"),
    ("guarded", "new\n"),
    ("tool", "new\n"),
];
const NEXT_FILES: &[(&str, &str)] = &[("kept/same", "next\n"), ("guarded", "next\n")];

const PERMISSIONS: &str = "permissions:
  - object: {www}
    pattern: guarded
    type: [file]
    mode: \"0640\"
    acls: [\"user:nobody:r--\"]
  - object: {www}
    pattern: kept
    type: [directory]
    mode: \"0750\"
";

/// Writes the revisions `old`, `new.tar` and `next` to a host. Scripts hang on these events.
pub(crate) fn write(host: &Host<'_>, events: &[&str], permissions: bool) {
    let permissions = if permissions { PERMISSIONS } else { "" };
    revision(host, "old", OLD_FILES, events, "");
    revision(host, "new", NEW_FILES, events, permissions);
    revision(host, "next", NEXT_FILES, &[], "");
    let revisions = host.path().join("revisions");
    symlink("tool", revisions.join("old/site/link")).unwrap();
    symlink("kept/added", revisions.join("new/site/link")).unwrap();
    symlink("..", revisions.join("new/site/added/up")).unwrap();
    let mode = |path: &str, mode| fs::set_permissions(revisions.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("old/site/tool", 0o755);
    mode("new/site/tool", 0o750);
    let packed = Command::new("tar")
        .args(["--create", "--file", "new.tar", "--directory", "new", "."])
        .current_dir(&revisions)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{packed:?}");
    fs::remove_dir_all(revisions.join("new")).unwrap();
}

fn revision(host: &Host<'_>, name: &str, files: &[(&str, &str)], events: &[&str], permissions: &str) {
    let folder = host.path().join("revisions").join(name);
    for (path, text) in files {
        let path = folder.join("site").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let hooks: String =
        events.iter().map(|event| format!("  {event}: [{{location: hook.sh, timeout: 30}}]\n")).collect();
    let www = host.www().display().to_string();
    let appspec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n{}hooks:\n{hooks}",
        permissions.replace("{www}", &www)
    );
    fs::write(folder.join("appspec.yml"), appspec).unwrap();
    let (trace, gate) = (host.trace().display().to_string(), host.gate("$LIFECYCLE_EVENT").display().to_string());
    let script = format!(
        "#!/bin/sh\necho \"$DEPLOYMENT_ID $LIFECYCLE_EVENT\" >>{trace}\necho out\n\
         if [ -p \"{gate}\" ]; then read -r word <\"{gate}\"; fi\n"
    );
    fs::write(folder.join("hook.sh"), script).unwrap();
    fs::set_permissions(folder.join("hook.sh"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a host looks like on which a release is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The installed files: kind, mode and contents of each name.
    pub(crate) tree: BTreeMap<PathBuf, String>,
    /// The ACL of the file that has one.
    pub(crate) acl: String,
    /// The records of the AWS agent.
    pub(crate) records: BTreeMap<String, String>,
    /// The deployment that `status` calls installed.
    pub(crate) installed: String,
}

/// What the host looks like before and after the deployment that is broken.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) old: Standing,
    pub(crate) new: Standing,
}

/// The name of the copy of a host that has the old release, and the revisions.
pub(crate) const INSTALLED: &str = "installed";

impl Expected {
    /// Installs the old release on a host, keeps a copy of it as [`INSTALLED`], and deploys the new one.
    pub(crate) fn of(stage: &Stage, events: &[&str], permissions: bool) -> Expected {
        stage.on_host(|host| {
            write(host, events, permissions);
            Ran::of(&mut host.deploy("old", OLD)).succeeds();
            // The outside world of the deployment that is broken begins here.
            fs::remove_file(host.trace()).unwrap();
            host.save(INSTALLED);
            let old = Standing::of(host);
            Ran::of(&mut host.deploy("new.tar", NEW)).succeeds();
            let new = Standing::of(host);
            assert_ne!(old.tree, new.tree);
            Expected { old, new }
        })
    }
}

impl Standing {
    /// As if another deployment had brought the release.
    pub(crate) fn by(mut self, deployment: &str, instead_of: &str) -> Standing {
        let rename = |text: &String| text.replace(instead_of, deployment);
        self.records = self.records.iter().map(|(name, text)| (name.clone(), rename(text))).collect();
        self.installed = rename(&self.installed);
        self
    }

    /// Without the record of what was done: the same release can come about in more than one way.
    pub(crate) fn without_instructions(mut self) -> Standing {
        self.records.remove("shop~dev-install.json");
        self
    }

    /// Without the record of what the next release removes.
    pub(crate) fn without_cleanup(mut self) -> Standing {
        self.records.remove("shop~dev-cleanup");
        self
    }

    pub(crate) fn of(host: &Host<'_>) -> Standing {
        let acl = Command::new("getfacl").args(["-cp"]).arg(host.www().join("guarded")).output().unwrap();
        let records = ["-cleanup", "-install.json", "_last_successful_install"];
        let record = |suffix: &&str| {
            let name = format!("shop~dev{suffix}");
            let text = fs::read_to_string(host.root().join("deployment-instructions").join(&name));
            (name, text.unwrap_or_default())
        };
        let status: serde_json::Value =
            serde_json::from_str(&Ran::of(&mut host.agent(&["status", "--output", "json"])).succeeds().out).unwrap();
        Standing {
            tree: tree(&host.www()),
            acl: String::from_utf8(acl.stdout).unwrap(),
            records: records.iter().map(record).collect(),
            installed: status[0]["installed"]["deployment"].as_str().unwrap_or("none").to_owned(),
        }
    }
}

/// Everything below a folder: kind, mode and contents of each name.
pub(crate) fn tree(below: &Path) -> BTreeMap<PathBuf, String> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if metadata.is_dir() {
                folders.push(path.clone());
                format!("{mode:o} folder")
            } else if metadata.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else {
                format!("{mode:o} {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
            };
            tree.insert(path.strip_prefix(below).unwrap().to_owned(), what);
        }
    }
    tree
}
