//! What happens to a hook when agents, shims and other hooks come and go.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use longshore_agent::hook::watch::{HookError, follow, was_started};
use longshore_agent::hook::{HookOutcome, HookReport};

use crate::fixture::{Fixture, eventually, is_running, kill, mkfifo, plain, steady, texts};

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
fn a_hook_whose_shim_is_killed_is_interrupted_and_what_runs_on_is_named() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\nsleep 1000 &\necho $! >child\necho $$ >pid\nkill -KILL $PPID\nwait\n");
    let report = fixture.run("hook.sh");
    let (pid, child) = (fixture.pid("pid"), fixture.pid("child"));
    assert_eq!(report.outcome, HookOutcome::Interrupted);
    assert_eq!(report.notes, ["the process that watched the script was ended by signal 9"]);
    assert_eq!((report.pid, report.ended.as_ref()), (Some(pid), None));
    assert!(report.started.is_some());
    let mut left: Vec<i32> = report.left_running.iter().map(|process| process.pid).collect();
    left.sort_unstable();
    let mut expected = [pid, child];
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(steady(&follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap()), plain(HookOutcome::Interrupted));
    assert_eq!(fixture.hook_files(), ["shim.lock", "shim.log"]);
    kill(child, "KILL");
    eventually("the script has ended", || (!is_running(pid)).then_some(()));
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
