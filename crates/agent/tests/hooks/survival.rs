//! What happens to a hook when agents, shims and other hooks come and go.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use longshore_agent::hook::watch::{HookError, follow, stop, tidy, was_started};
use longshore_agent::hook::{HookOutcome, HookReport, Stream};

use crate::fixture::{Fixture, is_running, mkfifo, plain, steady, texts};

/// Set in the process that plays the agent in the next test.
const AGENT: &str = "LONGSHORE_TEST_AGENT";

#[test]
fn a_hook_outlives_a_killed_agent_and_the_next_agent_finds_its_result() {
    if let Some(folder) = std::env::var_os(AGENT) {
        let folder = std::path::PathBuf::from(folder);
        let command = serde_json::from_slice(&fs::read(folder.join("command")).unwrap()).unwrap();
        let shim = longshore_agent::hook::watch::Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() };
        shim.run(&command, &folder.join("hooks/1"), &mut |_, _| {}).unwrap();
        return;
    }
    let fixture = Fixture::new();
    mkfifo(&fixture.path("go"));
    fixture.script("hook.sh", "#!/bin/sh\necho x >>runs\necho $$ >pid\nread word <go\necho \"got $word\"\nexit 4\n");
    fs::write(fixture.path("command"), serde_json::to_vec(&fixture.command("hook.sh")).unwrap()).unwrap();
    let name = "survival::a_hook_outlives_a_killed_agent_and_the_next_agent_finds_its_result";
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact"])
        .env(AGENT, fixture.path("."))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = fixture.pid("pid");
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(is_running(pid));

    let dir = fixture.hook_dir();
    let next_agent = thread::spawn(move || follow(&dir, &mut |_, _| {}).unwrap());
    fs::File::options().write(true).open(fixture.path("go")).unwrap().write_all(b"it\n").unwrap();
    let report = next_agent.join().unwrap();
    let last_lines = texts(&["[stdout]got it"]);
    assert_eq!(steady(&report), HookReport { last_lines, ..plain(HookOutcome::Exited { status: 4 }) });
    assert_eq!(follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap(), report);
    assert_eq!(fs::read_to_string(fixture.path("runs")).unwrap(), "x\n");
    assert_eq!(fixture.hook_files(), ["result.json", "shim.lock", "shim.log"]);
}

#[test]
fn a_hook_whose_shim_is_killed_is_interrupted_and_what_runs_on_is_ended_and_named() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\nsleep 1000 &\nuntil grep -q sleep /proc/$!/comm; do :; done\necho $! >child\necho $$ >pid\nkill -KILL $PPID\nwait\n");
    let report = fixture.run("hook.sh");
    let (pid, child) = (fixture.pid("pid"), fixture.pid("child"));
    assert_eq!(report.outcome, HookOutcome::Interrupted);
    assert_eq!((report.pid, report.ended.as_ref()), (Some(pid), None));
    assert!(report.started.is_some());
    let mut notes = report.notes.clone();
    notes[1..].sort();
    let mut expected = [
        "the process that watched the script was ended by signal 9".to_owned(),
        format!("ended what still ran: /bin/sh {} (process {pid})", fixture.path("archive/hook.sh").display()),
        format!("ended what still ran: sleep 1000 (process {child})"),
    ];
    expected[1..].sort();
    assert_eq!((notes.as_slice(), report.left_running.as_slice()), (&expected[..], &[][..]));
    assert!(!is_running(pid) && !is_running(child));
    assert_eq!(steady(&follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap()), plain(HookOutcome::Interrupted));
    assert_eq!(fixture.hook_files(), ["shim.lock", "shim.log"]);
}

#[test]
fn a_hook_whose_script_has_said_how_it_ended_only_in_half_is_interrupted() {
    let fixture = Fixture::new();
    fixture.run_text("#!/bin/sh\n");
    fs::write(fixture.hook_dir().join("result.json"), "{\"outcome\":").unwrap();
    assert_eq!(steady(&follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap()), plain(HookOutcome::Interrupted));
}

#[test]
fn a_hook_that_is_followed_shows_its_output_and_can_be_stopped() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\necho $$ >pid\necho before\nread word <go\necho \"got $word\"\nsleep 1000\n");
    mkfifo(&fixture.path("go"));
    let dir = fixture.hook_dir();
    let (reports, seen) = thread::scope(|scope| {
        let first = scope.spawn(|| fixture.shim.run(&fixture.command("hook.sh"), &dir, &mut |_, _| {}).unwrap());
        fixture.pid("pid");
        let second = scope.spawn(|| {
            let mut seen = Vec::new();
            let report = follow(&dir, &mut |stream, line| {
                seen.push((stream, line.to_owned()));
                match seen.len() {
                    1 => fs::write(fixture.path("go"), "it\n").unwrap(),
                    _ => stop(&dir),
                }
            });
            (report.unwrap(), seen)
        });
        let (report, seen) = second.join().unwrap();
        ([first.join().unwrap(), report], seen)
    });
    assert_eq!(seen, ["before", "got it"].map(|line| (Stream::Stdout, line.to_owned())));
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0].outcome, HookOutcome::Killed { signal: 15 });
}

#[test]
fn a_hook_that_nobody_follows_is_tidied_once_it_does_not_run() {
    let fixture = Fixture::new();
    mkfifo(&fixture.path("go"));
    fixture.script("hook.sh", "#!/bin/sh\necho $$ >pid\nread word <go\n");
    thread::scope(|scope| {
        let hook = scope.spawn(|| fixture.run("hook.sh").outcome);
        fixture.pid("pid");
        tidy(&fixture.hook_dir());
        assert_eq!(fixture.hook_files(), ["running.json", "shim.lock", "shim.log"]);
        fs::write(fixture.path("go"), "on\n").unwrap();
        assert_eq!(hook.join().unwrap(), HookOutcome::Passed);
    });
    fs::write(fixture.hook_dir().join("command.json"), "secret").unwrap();
    fs::write(fixture.hook_dir().join("running.json"), "old").unwrap();
    tidy(&fixture.hook_dir());
    assert_eq!(fixture.hook_files(), ["result.json", "shim.lock", "shim.log"]);
}

#[test]
fn term_to_the_shim_ends_the_script_with_everything_it_started() {
    let fixture = Fixture::new();
    let report = fixture.run_text(
        "#!/bin/sh\nsetsid sleep 1000 &\necho $! >child\nkill -HUP $PPID\nkill -INT $PPID\nkill -TERM $PPID\nwait\n",
    );
    let notes = texts(&["somebody sent TERM to the process that watches the script"]);
    assert_eq!(steady(&report), HookReport { notes, ..plain(HookOutcome::Killed { signal: 15 }) });
    assert!(!is_running(fixture.pid("child")));
}

#[test]
fn a_folder_without_shim_and_result_is_an_interrupted_hook() {
    let fixture = Fixture::new();
    assert_eq!(steady(&follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap()), plain(HookOutcome::Interrupted));
    fs::create_dir_all(fixture.hook_dir()).unwrap();
    fs::write(fixture.hook_dir().join("shim.lock"), "").unwrap();
    fs::write(fixture.hook_dir().join("command.json"), "{}").unwrap();
    assert_eq!(steady(&follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap()), plain(HookOutcome::Interrupted));
    assert_eq!(fixture.hook_files(), ["shim.lock"]);
}

#[test]
fn a_folder_in_which_no_shim_was_started_runs_a_hook() {
    let fixture = Fixture::new();
    assert!(!was_started(&fixture.hook_dir()).unwrap());
    fs::create_dir_all(fixture.hook_dir()).unwrap();
    fs::write(fixture.hook_dir().join("command.json"), "half of").unwrap();
    assert!(!was_started(&fixture.hook_dir()).unwrap());
    // The agent died just before it started the shim.
    fs::write(fixture.hook_dir().join("shim.lock"), "").unwrap();
    assert!(!was_started(&fixture.hook_dir()).unwrap());
    assert_eq!(fixture.run_text("#!/bin/sh\n").outcome, HookOutcome::Passed);
    assert!(was_started(&fixture.hook_dir()).unwrap());
}

#[test]
fn a_folder_is_used_for_one_hook_only() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run_text("#!/bin/sh\necho x >>runs\n").outcome, HookOutcome::Passed);
    let again = fixture.shim.run(&fixture.command("hook.sh"), &fixture.hook_dir(), &mut |_, _| {});
    assert!(matches!(&again, Err(HookError::Used { dir }) if *dir == fixture.hook_dir()), "{again:?}");
    assert_eq!(fs::read_to_string(fixture.path("runs")).unwrap(), "x\n");
}

#[test]
fn a_shim_that_cannot_be_started_is_an_error_and_leaves_no_environment_behind() {
    let mut fixture = Fixture::new();
    fixture.shim.exe = fixture.path("none");
    let failed = fixture.shim.run(&fixture.command("hook.sh"), &fixture.hook_dir(), &mut |_, _| {});
    assert!(matches!(failed, Err(HookError::Start { .. })), "{failed:?}");
    assert!(!fixture.hook_dir().join("command.json").exists());
    assert!(!was_started(&fixture.hook_dir()).unwrap());
}

#[test]
fn two_hooks_run_at_the_same_time() {
    let fixture = Fixture::new();
    mkfifo(&fixture.path("there"));
    mkfifo(&fixture.path("back"));
    // Each waits for the other.
    fixture.script("one.sh", "#!/bin/sh\necho ping >there\nread word <back\necho \"one $word\"\n");
    fixture.script("two.sh", "#!/bin/sh\nread word <there\necho pong >back\necho \"two $word\"\n");
    let run = |name: &str| {
        let report = fixture.shim.run(&fixture.command(name), &fixture.path(&format!("hooks/{name}")), &mut |_, _| {});
        steady(&report.unwrap())
    };
    let (one, two) = thread::scope(|scope| {
        let one = scope.spawn(|| run("one.sh"));
        (run("two.sh"), one.join().unwrap())
    });
    let passed = |line: &str| HookReport { last_lines: texts(&[line]), ..plain(HookOutcome::Passed) };
    assert_eq!((one, two), (passed("[stdout]two ping"), passed("[stdout]one pong")));
    let log = fixture.log();
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    let event = "LifecycleEvent - AfterInstall";
    assert_eq!(lines, [event, event, "Script - one.sh", "Script - two.sh", "[stdout]one pong", "[stdout]two ping"]);
}
