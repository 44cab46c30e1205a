//! A host on which the program answers to `codedeploy-local`.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

/// The host.
pub(crate) struct Host {
    sandbox: Sandbox,
}

/// How a run ended: exit code, standard output, standard error. `{sandbox}` stands for the host's folder, `{id}` for the
/// deployment's id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) told: String,
}

/// What a deployment that succeeded prints.
pub(crate) fn finished(group: &str) -> Ran {
    let folder = format!("{{sandbox}}/root/{group}/{{id}}");
    let out = format!(
        "Deploying in folder {folder}\nThe log of its scripts is {folder}/logs/scripts.log\nDeployment succeeded\n"
    );
    Ran { code: Some(0), out, told: String::new() }
}

/// A refusal before anything was done.
pub(crate) fn refused(message: &str) -> Ran {
    Ran { code: Some(1), out: format!("ERROR: {message}\n"), told: String::new() }
}

impl Host {
    pub(crate) fn new() -> Host {
        let sandbox = Sandbox::new();
        symlink(env!("CARGO_BIN_EXE_longshore-agent"), sandbox.path().join("codedeploy-local")).unwrap();
        let host = Host { sandbox };
        host.configure("");
        host
    }

    /// Writes the configuration file that [`Host::local`] names: the root, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!("---\n:root_dir: {}\n{more}", self.root().display());
        fs::write(self.path().join("agent.yml"), text).unwrap();
    }

    /// The group of who names none.
    pub(crate) fn group(&self) -> String {
        "default-local-deployment-group".to_owned()
    }

    /// The program under its name, and nothing of the surroundings.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("codedeploy-local"));
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("TZ", "UTC");
        command
    }

    /// The program with this host's configuration.
    pub(crate) fn local(&self, arguments: &[&str]) -> Command {
        let config = self.path().join("agent.yml");
        let mut all = vec!["-c", config.to_str().unwrap()];
        all.extend(arguments);
        self.bare(&all)
    }

    /// The same, started in a folder.
    pub(crate) fn local_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.local(arguments);
        command.current_dir(folder);
        command
    }

    pub(crate) fn run(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| self.stable(&String::from_utf8(bytes).unwrap());
        Ran { code: output.status.code(), out: text(output.stdout), told: text(output.stderr) }
    }

    /// Deploys with these options.
    pub(crate) fn deploy(&self, arguments: &[&str]) -> Ran {
        self.run(&mut self.local(arguments))
    }

    /// `{sandbox}` in a text filled in.
    pub(crate) fn filled(&self, text: &str) -> String {
        text.replace("{sandbox}", self.path().to_str().unwrap())
    }

    /// A text without what differs from run to run.
    pub(crate) fn stable(&self, text: &str) -> String {
        let mut out = String::new();
        let text = text.replace(self.path().to_str().unwrap(), "{sandbox}");
        let mut rest = text.as_str();
        while let Some(place) = rest.find("-local") {
            let id = rest[..place].rfind("d-").map(|start| &rest[start..place]);
            let random = |id: &&str| {
                id.len() == 11 && id[2..].bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            };
            let (kept, gone) = match id.filter(random) {
                Some(id) => (&rest[..place - id.len()], "{id}"),
                None => (&rest[..place], "-local"),
            };
            out.push_str(kept);
            out.push_str(gone);
            rest = &rest[place + "-local".len()..];
        }
        out + rest
    }

    /// The folder of the newest deployment of the usual group.
    pub(crate) fn newest(&self) -> PathBuf {
        self.deployments().pop().unwrap()
    }

    /// The folders of the usual group's deployments, oldest first.
    pub(crate) fn deployments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root().join(self.group())).unwrap();
        let mut folders: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                (fs::metadata(path.join("journal.jsonl")).unwrap().modified().unwrap(), path)
            })
            .collect();
        folders.sort();
        folders.into_iter().map(|(_, path)| path).collect()
    }

    /// What the scripts of the newest deployment printed, without times.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.newest().join("logs/scripts.log")).unwrap();
        log.lines().map(|line| format!("{}\n", &line["2026-01-01 00:00:00 ".len()..])).collect()
    }

    /// Packs a folder in every format: `flat.*` has the files at its top, `nested.*` in one folder.
    pub(crate) fn pack(&self, revision: &Path) {
        let (parent, name) = (revision.parent().unwrap(), revision.file_name().unwrap().to_str().unwrap());
        let at = |name: &str| self.path().join(name).to_str().unwrap().to_owned();
        self.tool(revision, "zip", &["-qry", &at("flat.zip"), "."]);
        self.tool(parent, "zip", &["-qry", &at("nested.zip"), name]);
        self.tool(revision, "tar", &["-cf", &at("flat.tar"), "."]);
        self.tool(revision, "tar", &["-czf", &at("flat.tgz"), "."]);
        self.tool(parent, "tar", &["-czf", &at("nested.tgz"), name]);
        fs::copy(at("flat.tgz"), at("with spaces.tgz")).unwrap();
    }

    fn tool(&self, folder: &Path, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Deref for Host {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}
