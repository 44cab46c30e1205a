//! A temporary folder with a git repository, and a `longshore` that sees nothing of the machine around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A valid appspec with one hook.
pub(crate) const APPSPEC: &str = "\
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/shop
hooks:
  AfterInstall:
    - location: scripts/install.sh
      timeout: 60
      runas: root
";

/// A repository in a temporary folder.
pub(crate) struct Sandbox {
    dir: TempDir,
    repository: PathBuf,
    environment: Vec<(String, String)>,
}

/// How a program ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A git repository without a commit in a folder named `shop`.
    pub(crate) fn empty() -> Sandbox {
        Sandbox::named("shop")
    }

    /// A git repository without a commit.
    pub(crate) fn named(name: &str) -> Sandbox {
        let dir = tempfile::tempdir().unwrap();
        // The temporary folder of some systems is a link.
        let repository = dir.path().canonicalize().unwrap().join(name);
        fs::create_dir(&repository).unwrap();
        let sandbox = Sandbox { dir, repository, environment: Vec::new() };
        sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
        sandbox
    }

    /// A small application, committed: appspec, one hook, two files, one compose file.
    pub(crate) fn shop() -> Sandbox {
        let sandbox = Sandbox::empty();
        sandbox.write_shop();
        sandbox.commit();
        sandbox
    }

    pub(crate) fn write_shop(&self) {
        self.write("appspec.yml", APPSPEC);
        self.program("scripts/install.sh", "#!/bin/sh\nset -e\necho installed\n");
        self.write("app/index.html", "<h1>Shop</h1>\n");
        self.write("app/big.txt", &"all work and no play\n".repeat(20_000));
        self.write("docker-compose.yml", "services: {}\n# nothing runs here\n");
        self.write("longshore.toml", "application = \"shop\"\n");
        self.write("README.md", "not packed\n");
    }

    /// Adds a variable for `longshore`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Sandbox {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.repository.join(path)
    }

    /// The folder around the repository.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.repository.parent().unwrap().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn program(&self, path: &str, text: &str) {
        self.write(path, text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Commits everything; the hash depends on the files alone.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.head()
    }

    /// Commits everything at a time, seconds since 1970.
    pub(crate) fn commit_at(&self, epoch: i64) {
        self.git(&["add", "--all"]);
        let date = format!("{epoch} +0000");
        let mut git = self.clean(Command::new("git"));
        git.env("GIT_COMMITTER_DATE", date).args(["commit", "--quiet", "--allow-empty", "--message=change"]);
        assert!(git.current_dir(&self.repository).status().unwrap().success());
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = self.clean(Command::new("git"));
        let output = git.args(arguments).current_dir(&self.repository).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_in(&self.repository, arguments)
    }

    pub(crate) fn run_in(&self, dir: &Path, arguments: &[&str]) -> Ran {
        let mut longshore = self.clean(Command::new(env!("CARGO_BIN_EXE_longshore")));
        longshore.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.ran(longshore.args(arguments).current_dir(dir).output().unwrap())
    }

    /// Runs it with another stdout.
    pub(crate) fn run_into(&self, stdout: impl Into<Stdio>, arguments: &[&str]) -> Ran {
        let mut longshore = self.clean(Command::new(env!("CARGO_BIN_EXE_longshore")));
        let longshore = longshore.args(arguments).current_dir(&self.repository).stdout(stdout).stderr(Stdio::piped());
        self.ran(longshore.spawn().unwrap().wait_with_output().unwrap())
    }

    /// A shell line with `longshore` in `$LONGSHORE`.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let mut shell = self.clean(Command::new("sh"));
        shell.env("LONGSHORE", env!("CARGO_BIN_EXE_longshore"));
        self.ran(shell.args(["-c", line]).current_dir(&self.repository).output().unwrap())
    }

    /// The one artifact in `dist`.
    pub(crate) fn artifact(&self) -> PathBuf {
        let mut names: Vec<PathBuf> =
            fs::read_dir(self.path("dist")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        names.remove(0)
    }

    fn clean(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.dir.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "Somebody")
                .env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
            command.env(format!("GIT_{role}_DATE"), "2026-01-02T03:04:06Z");
        }
        command
    }

    /// What differs from run to run is replaced.
    fn ran(&self, output: Output) -> Ran {
        let dir = self.dir.path().canonicalize().unwrap();
        let stable = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(dir.to_str().unwrap(), "[dir]");
        Ran {
            code: output.status.code().expect("ended by itself"),
            stdout: stable(output.stdout),
            stderr: stable(output.stderr),
        }
    }
}

impl Ran {
    /// Everything that was shown, for a snapshot. Times and digests differ from machine to machine.
    pub(crate) fn shown(&self) -> String {
        let stderr: Vec<String> = self.stderr.lines().map(without_time).collect();
        let stdout: Vec<String> = self.stdout.lines().map(without_digests).collect();
        format!("exit {}\n---- stdout\n{}\n---- stderr\n{}", self.code, stdout.join("\n"), stderr.join("\n"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// `Packed … in 1.2s` → `Packed … in [time]`.
fn without_time(line: &str) -> String {
    match line.rsplit_once(" in ") {
        Some((before, after)) if line.trim_start().starts_with("Packed") && after.ends_with('s') => {
            format!("{before} in [time]")
        }
        Some(_) | None => line.to_owned(),
    }
}

fn without_digests(line: &str) -> String {
    match line.split_once("sha256:") {
        Some((before, _)) => format!("{before}sha256:[digest]"),
        None => line.to_owned(),
    }
}
