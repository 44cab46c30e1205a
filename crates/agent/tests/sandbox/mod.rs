//! A host of its own: a root, a place for installed files, revisions made on the spot, and the real agent.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A host in a temporary folder.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// How a run of the agent ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) told: String,
}

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        // Scripts that run as another user have to reach it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Sandbox { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The agent's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// Where the sample appspecs install to.
    pub(crate) fn www(&self) -> PathBuf {
        self.path().join("www")
    }

    /// Where the sample scripts write what they saw.
    pub(crate) fn trace(&self) -> String {
        fs::read_to_string(self.path().join("trace")).unwrap_or_default()
    }

    /// A revision as a folder. `{www}` and `{trace}` in a file stand for paths of this sandbox; scripts (`*.sh`) are
    /// executable.
    pub(crate) fn revision(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.path().join("revisions").join(name);
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = text
                .replace("{www}", &self.www().display().to_string())
                .replace("{trace}", &self.path().join("trace").display().to_string());
            fs::write(&path, text).unwrap();
            if path.extension().is_some_and(|extension| extension == "sh") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        folder
    }

    /// A revision that installs `site/` and traces every event that is scriptable; `{name}` tells revisions apart.
    pub(crate) fn traced(&self, name: &str, site: &[(&str, &str)]) -> PathBuf {
        let events = [
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
        let mut appspec =
            "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n".to_owned();
        for event in events {
            appspec.push_str(&format!("  {event}:\n    - location: trace.sh\n      timeout: 30\n"));
        }
        let script = format!("#!/bin/sh\necho \"{name} $LIFECYCLE_EVENT\" >> {{trace}}\n");
        let mut files = vec![("appspec.yml", appspec.as_str()), ("trace.sh", &script)];
        let site: Vec<(String, &str)> = site.iter().map(|(path, text)| (format!("site/{path}"), *text)).collect();
        files.extend(site.iter().map(|(path, text)| (path.as_str(), *text)));
        self.revision(name, &files)
    }

    /// The agent, with the root of this sandbox and nothing of the surroundings.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore-agent"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LONGSHORE_ROOT", self.root()).env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.agent(arguments).output().unwrap())
    }

    /// Deploys a folder to group `dev` of application `shop`.
    pub(crate) fn deploy(&self, revision: &Path, more: &[&str]) -> Ran {
        let mut arguments = vec!["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"];
        arguments.extend(more);
        self.run(&arguments)
    }

    pub(crate) fn plan(&self, revision: &Path, more: &[&str]) -> Ran {
        let mut arguments = vec!["plan", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// The deployments of group `dev`, newest first: id, outcome.
    pub(crate) fn history(&self) -> Vec<(String, String)> {
        let ran = self.run(&["history", "--output", "json"]).succeeds();
        let records: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("unfinished").to_owned();
        records
            .as_array()
            .unwrap()
            .iter()
            .map(|record| (text(&record["order"]["deployment"]), text(&record["outcome"])))
            .collect()
    }

    /// The folder of a deployment of group `dev`.
    pub(crate) fn deployment(&self, id: &str) -> PathBuf {
        self.root().join("shop~dev").join(id)
    }

    /// Everything below a path of this sandbox: kind, mode and contents of each name.
    pub(crate) fn tree(&self, below: &Path) -> BTreeMap<PathBuf, String> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![below.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let entry = entry.unwrap();
                let path = entry.path();
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

    /// A text of the agent without what differs from run to run.
    pub(crate) fn stable(&self, text: &str) -> String {
        let mut text = text.replace(&self.path().display().to_string(), "{sandbox}");
        for (id, _) in self.history() {
            text = text.replace(&id, "{id}");
        }
        replace_figures(&text)
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            told: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.told);
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Ran {
        self.exits(0)
    }

    #[track_caller]
    pub(crate) fn tells(self, part: &str) -> Ran {
        assert!(self.told.contains(part), "{part:?} is missing in:\n{}", self.told);
        self
    }
}

/// Waits for a condition, with a deadline.
#[track_caller]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `0.3s` becomes `{time}`, `d-` and nine of the alphabet `{id}`, twelve hex digits `{digest}`.
fn replace_figures(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with("Space: ") {
            out.push_str("Space: {space}\n");
            continue;
        }
        for word in line.split_inclusive([' ', ',', '\n', ')', '/']) {
            let bare = word.trim_end_matches([' ', ',', '\n', ')', '/', ';', '.']);
            let tail = &word[bare.len()..];
            let figure = bare.ends_with('s') && bare.contains('.') && bare[..bare.len() - 1].parse::<f64>().is_ok();
            let id = bare.strip_prefix("d-").is_some_and(|rest| {
                rest.len() == 9 && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            });
            // The appspecs of a sandbox name its folders, so digests differ from run to run.
            let digest = bare.len() == 12 && bare.bytes().all(|b| b.is_ascii_hexdigit());
            out.push_str(match () {
                () if figure => "{time}",
                () if id => "{id}",
                () if digest => "{digest}",
                () => bare,
            });
            out.push_str(tail);
        }
    }
    out
}
