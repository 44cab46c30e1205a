//! A bundle, a deployment's folder and an agent's environment, all in one temporary folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use longshore_agent::hook::command::{BundleSource, HookCommand, HookContext, RunAs};
use longshore_agent::hook::policy::{HookPolicy, Leftovers};
use longshore_agent::hook::watch::Shim;
use longshore_agent::hook::{HookOutcome, HookReport, Process, Stream};
use longshore_core::appspec::Hook;
use longshore_core::bundle::BundlePath;
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::Span;

pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) shim: Shim,
    pub(crate) user: RunAs,
    pub(crate) sudo: bool,
    pub(crate) agent_uid: u32,
    pub(crate) timeout: Duration,
    pub(crate) policy: HookPolicy,
    pub(crate) env: BTreeMap<OsString, OsString>,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        // Other users run scripts in here.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("archive")).unwrap();
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin".into()), ("DIR", dir.path().into())];
        Fixture {
            shim: Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() },
            user: RunAs::Agent,
            sudo: false,
            agent_uid: 0,
            timeout: Duration::from_secs(3600),
            policy: HookPolicy { grace: Duration::from_secs(60), ..HookPolicy::default() },
            env: env.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            dir,
        }
    }

    /// A script may run for `timeout`, and has `grace` between TERM and KILL. In milliseconds.
    pub(crate) fn timed(timeout: u64, grace: u64) -> Fixture {
        let policy = HookPolicy { grace: Duration::from_millis(grace), ..HookPolicy::default() };
        Fixture { timeout: Duration::from_millis(timeout), policy, ..Fixture::new() }
    }

    /// With this treatment of what scripts leave running.
    pub(crate) fn leaving(leftovers: Leftovers) -> Fixture {
        let mut fixture = Fixture::new();
        fixture.policy.leftovers = leftovers;
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts an executable script into the bundle.
    pub(crate) fn script(&self, location: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("archive").join(location);
        write_executable(&path, text);
        path
    }

    pub(crate) fn command(&self, location: &str) -> HookCommand {
        let hook = Hook {
            script: BundlePath::normalized(location).unwrap(),
            location: location.into(),
            timeout: self.timeout,
            run_as: None,
            sudo: self.sudo,
            span: Span::default(),
        };
        let context = HookContext {
            agent_env: self.env.clone(),
            agent_uid: self.agent_uid,
            deployment: "d-1".parse().unwrap(),
            application: "shop".parse().unwrap(),
            group: "dev".parse().unwrap(),
            group_id: "shop~dev".parse().unwrap(),
            event: LifecycleEvent::AfterInstall,
            archive: self.path("archive"),
            bundle: BundleSource::Local,
            commit: None,
            digest: None,
            previous_deployment: None,
            previous_commit: None,
            cwd: self.dir.path().into(),
            log: self.path("logs/scripts.log"),
            policy: self.policy.clone(),
        };
        HookCommand::new(&hook, 0, self.user.clone(), &context)
    }

    /// The folder of the hook that [`Fixture::run`] runs.
    pub(crate) fn hook_dir(&self) -> PathBuf {
        self.path("hooks/1")
    }

    /// Runs a script of the bundle to its end, and returns what the agent saw besides.
    pub(crate) fn run_seen(&self, location: &str) -> (HookReport, Vec<(Stream, String)>) {
        let mut seen = Vec::new();
        let command = self.command(location);
        let report = self.shim.run(&command, &self.hook_dir(), &mut |s, line| seen.push((s, line.to_owned()))).unwrap();
        (report, seen)
    }

    pub(crate) fn run(&self, location: &str) -> HookReport {
        self.run_seen(location).0
    }

    /// Runs this text as `hook.sh`.
    pub(crate) fn run_text(&self, text: impl AsRef<[u8]>) -> HookReport {
        self.script("hook.sh", text);
        self.run("hook.sh")
    }

    /// `scripts.log` and what it was before it was full, oldest first.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let numbered = (1..100).rev().map(|number| self.path(&format!("logs/scripts.log.{number}")));
        numbered.filter(|log| log.exists()).chain([self.path("logs/scripts.log")]).collect()
    }

    /// `scripts.log` without its time stamps, whose form is checked on the way.
    pub(crate) fn log_bytes(&self) -> Vec<u8> {
        let log: Vec<u8> = self.logs().iter().flat_map(|log| fs::read(log).unwrap()).collect();
        let mut text = Vec::new();
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            let (stamp, rest) = line.split_at(20.min(line.len()));
            let form: Vec<u8> = stamp.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect();
            assert_eq!(form, b"0000-00-00 00:00:00 ", "{}", line.escape_ascii());
            text.extend(rest);
        }
        text
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log_bytes()).unwrap()
    }

    /// The names in the hook's folder.
    pub(crate) fn hook_files(&self) -> Vec<String> {
        let names = fs::read_dir(self.hook_dir()).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The process id that a script wrote into this file.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        let text = eventually(&format!("{name} has a process id"), || {
            fs::read_to_string(self.path(name)).ok().filter(|text| text.ends_with('\n'))
        });
        text.trim().parse().unwrap()
    }
}

pub(crate) fn write_executable(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Elsewhere and then renamed: a file that a process forked in parallel still has open for writing cannot be run.
    let status = std::process::Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(std::process::Stdio::from(in_file(text.as_ref())))
        .status();
    assert!(status.unwrap().success());
}

fn in_file(text: &[u8]) -> fs::File {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file.rewind().unwrap();
    file
}

pub(crate) fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

pub(crate) fn kill(pid: i32, signal: &str) {
    let status = std::process::Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(status.unwrap().success());
}

/// Whether a process runs: exists and is no zombie.
pub(crate) fn is_running(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('Z' | 'X') | None)
}

/// Waits for a condition, which fails the test when it does not come true in time.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A report with everything in it that differs from run to run checked and taken out.
pub(crate) fn steady(report: &HookReport) -> HookReport {
    let is_time =
        |time: &Option<String>| time.as_ref().is_none_or(|time| time.starts_with("20") && time.ends_with('Z'));
    assert!(is_time(&report.started) && is_time(&report.ended), "{report:?}");
    HookReport { duration: Duration::ZERO, started: None, ended: None, pid: None, ..report.clone() }
}

/// What [`steady`] leaves of a script that had nothing to say.
pub(crate) fn plain(outcome: HookOutcome) -> HookReport {
    HookReport {
        outcome,
        duration: Duration::ZERO,
        started: None,
        ended: None,
        pid: None,
        left_running: Vec::<Process>::new(),
        made_executable: false,
        notes: Vec::new(),
        last_lines: Vec::new(),
    }
}

pub(crate) fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
