//! How scripts end, are ended, and what they leave behind.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use longshore_agent::hook::{HookOutcome, HookReport, Stream};

use crate::fixture::{Fixture, eventually, is_running, kill, mkfifo, plain, steady, texts};

#[test]
fn a_script_that_exits_with_3_says_so() {
    let fixture = Fixture::new();
    let report = fixture.run_text("#!/bin/sh\necho bye\nexit 3\n");
    let expected = plain(HookOutcome::Exited { status: 3 });
    let last_lines = texts(&["[stdout]bye"]);
    assert_eq!(steady(&report), HookReport { last_lines, ..expected });
    assert!(report.pid.is_some() && report.started <= report.ended && report.duration > Duration::ZERO, "{report:?}");
    assert_eq!(
        fixture.log(),
        "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]bye\nLongshore - `hook.sh` exited with 3\n"
    );
}

#[test]
fn a_script_that_dies_by_a_signal_names_the_signal() {
    // 34 is a real-time signal.
    for signal in [9, 11, 34] {
        let report = Fixture::new().run_text(format!("#!/bin/sh\nkill -{signal} $$\n"));
        assert_eq!(steady(&report), plain(HookOutcome::Killed { signal }));
    }
}

#[test]
fn a_script_that_ends_on_term_is_not_killed() {
    let fixture = Fixture::timed(500, 60_000);
    let report = fixture.run_text("#!/bin/sh\necho up\nsleep 1000\n");
    assert_eq!(report.outcome, HookOutcome::TimedOut { forced: false });
    assert!(report.duration >= Duration::from_millis(500), "{report:?}");
}

#[test]
fn a_stopped_script_ends_on_term() {
    let fixture = Fixture::timed(500, 60_000);
    let report = fixture.run_text("#!/bin/sh\nkill -STOP $$\n");
    assert_eq!(report.outcome, HookOutcome::TimedOut { forced: false });
}

#[test]
fn a_script_that_ignores_term_is_killed_after_grace() {
    let fixture = Fixture::timed(500, 300);
    let report = fixture
        .run_text("#!/bin/sh\nexec 2>/dev/null\ntrap 'echo no' TERM\necho $$ >pid\nwhile :; do sleep 0.1; done\n");
    assert_eq!(report.outcome, HookOutcome::TimedOut { forced: true });
    assert!(report.duration >= Duration::from_millis(800), "{report:?}");
    assert_eq!(report.last_lines, ["[stdout]no"]);
    assert!(!is_running(fixture.pid("pid")));
    assert_eq!(
        fixture.log(),
        "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]no\n\
         Longshore - `hook.sh` ran longer than 500ms: it did not end on TERM and was killed\n"
    );
}

#[test]
fn a_timeout_ends_descendants_in_other_sessions_and_with_dead_parents() {
    let fixture = Fixture::timed(3000, 300);
    let report = fixture.run_text(
        "#!/bin/sh\n\
         setsid sh -c 'trap \"\" TERM; echo $$ >session; while :; do sleep 0.1; done' &\n\
         ( ( trap '' TERM HUP; setsid sh -c 'echo $$ >orphan; exec sleep 1000' >/dev/null 2>&1 & ) & )\n\
         ( setsid setsid --fork sh -c 'echo $$ >forked; sleep 1000; :' </dev/null & ) \n\
         while :; do sleep 0.1; done\n",
    );
    assert_eq!(report.outcome, HookOutcome::TimedOut { forced: true });
    assert_eq!(report.left_running, []);
    let alive = ["session", "orphan", "forked"].map(|name| is_running(fixture.pid(name)));
    assert_eq!(alive, [false; 3]);
}

#[test]
fn a_timeout_ends_a_tree_that_keeps_forking() {
    let fixture = Fixture::timed(1000, 100);
    fixture.script("spawn.sh", "#!/bin/sh\ntrap '' TERM\necho $$ >>pids\nsleep 0.02\nsetsid \"$0\" &\n");
    let report = fixture.run_text("#!/bin/sh\nfor i in 1 2 3 4 5; do setsid archive/spawn.sh & done\nsleep 1000\n");
    assert_eq!(report.outcome, HookOutcome::TimedOut { forced: true });
    let pids = fs::read_to_string(fixture.path("pids")).unwrap();
    let alive: Vec<&str> = pids.lines().filter(|pid| is_running(pid.parse().unwrap())).collect();
    assert_eq!(alive, [""; 0]);
}

#[test]
fn a_script_that_leaves_a_daemon_with_its_output_is_finished_at_once_and_the_daemon_writes_on() {
    let fixture = Fixture::new();
    mkfifo(&fixture.path("go"));
    mkfifo(&fixture.path("stop"));
    let report = fixture.run_text(
        "#!/bin/sh\n\
         setsid sh -c 'echo $$ >pid; read word <go; echo \"later $word\"; echo \"and more\" >&2; echo x >wrote; read word <stop' &\n\
         while ! [ -s pid ]; do sleep 0.01; done\n\
         echo started\n",
    );
    let pid = fixture.pid("pid");
    assert_eq!(report.outcome, HookOutcome::Passed);
    assert!(report.duration < Duration::from_secs(30), "{:?}", report.duration);
    assert_eq!(report.last_lines, ["[stdout]started"]);
    let [daemon] = report.left_running.as_slice() else { panic!("{:?}", report.left_running) };
    assert_eq!((daemon.pid, daemon.holds.as_slice()), (pid, &[Stream::Stdout, Stream::Stderr][..]));
    assert!(daemon.command.starts_with("sh -c echo $$ >pid;"), "{}", daemon.command);
    let before = format!(
        "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]started\n\
         Longshore - left running: {} (process {pid}, holds stdout and stderr)\n",
        daemon.command
    );
    assert_eq!(fixture.log(), before);

    fs::File::options().write(true).open(fixture.path("go")).unwrap().write_all(b"on\n").unwrap();
    eventually("the daemon wrote to its output and lived", || fs::read(fixture.path("wrote")).ok());
    assert!(is_running(pid));
    let after = [
        format!("{before}[stdout]later on\n[stderr]and more\n"),
        format!("{before}[stderr]and more\n[stdout]later on\n"),
    ];
    eventually("the reader logged what the daemon wrote", || after.contains(&fixture.log()).then_some(()));
    assert!(holders(&fixture.path("logs/scripts.log")) > 0);
    kill(pid, "KILL");
    eventually("the reader ends with the daemon", || (holders(&fixture.path("logs/scripts.log")) == 0).then_some(()));
}

#[test]
fn a_background_process_with_its_output_elsewhere_is_named_and_lives() {
    let fixture = Fixture::new();
    let report = fixture.run_text("#!/bin/sh\nsleep 1000 >/dev/null 2>&1 &\necho $! >pid\n");
    let pid = fixture.pid("pid");
    assert_eq!(report.outcome, HookOutcome::Passed);
    let [left] = report.left_running.as_slice() else { panic!("{:?}", report.left_running) };
    assert_eq!((left.pid, left.command.as_str(), left.holds.as_slice()), (pid, "sleep 1000", &[][..]));
    assert!(is_running(pid));
    kill(pid, "KILL");
}

#[test]
fn a_script_that_fails_leaves_its_background_process_running_too() {
    let fixture = Fixture::new();
    let report = fixture.run_text("#!/bin/sh\nsleep 1000 &\necho $! >pid\nexit 1\n");
    let pid = fixture.pid("pid");
    assert_eq!(report.outcome, HookOutcome::Exited { status: 1 });
    let both = vec![Stream::Stdout, Stream::Stderr];
    assert_eq!(report.left_running.iter().map(|p| (p.pid, p.holds.clone())).collect::<Vec<_>>(), [(pid, both)]);
    assert!(is_running(pid));
    kill(pid, "KILL");
}

#[test]
fn a_filter_that_ends_just_after_the_script_is_waited_for() {
    let fixture = Fixture::new();
    let report = fixture.run_text("#!/bin/sh\n(sleep 0.03; echo last) &\necho first\n");
    assert_eq!(report.left_running, []);
    assert_eq!(report.last_lines, ["[stdout]first", "[stdout]last"]);
}

/// How many descriptors of other processes are this file.
fn holders(file: &Path) -> usize {
    let descriptors = |process: fs::DirEntry| fs::read_dir(process.path().join("fd")).ok();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(descriptors);
    let targets = processes.flatten().filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    targets.filter(|target| target == file).count()
}
