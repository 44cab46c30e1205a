//! What becomes of what scripts leave running, by the user's choice.

use std::time::Duration;

use longshore_agent::hook::policy::Leftovers;
use longshore_agent::hook::{HookOutcome, Stream};

use crate::fixture::{Fixture, eventually, is_running, kill};

/// A script that leaves a `sleep` with these redirections, and exits with this status.
fn leave(redirections: &str, status: u8) -> String {
    format!(
        "#!/bin/sh\nsleep 1000 {redirections} &\nuntil grep -q sleep /proc/$!/comm; do :; done\necho $! >pid\nexit {status}\n"
    )
}

#[test]
fn what_is_left_running_is_named_with_the_output_that_it_holds() {
    for (redirections, holds, text) in [
        ("2>/dev/null", vec![Stream::Stdout], ", holds stdout"),
        (">/dev/null", vec![Stream::Stderr], ", holds stderr"),
        ("2>&1", vec![Stream::Stdout], ", holds stdout"),
        ("", vec![Stream::Stdout, Stream::Stderr], ", holds stdout and stderr"),
        (">/dev/null 2>&1", vec![], ""),
    ] {
        let fixture = Fixture::new();
        let report = fixture.run_text(leave(redirections, 0));
        let pid = fixture.pid("pid");
        assert_eq!(report.outcome, HookOutcome::Passed, "{redirections}");
        let left: Vec<_> = report.left_running.iter().map(|p| (p.pid, p.command.as_str(), p.holds.clone())).collect();
        assert_eq!(left, [(pid, "sleep 1000", holds)], "{redirections}");
        let log = format!(
            "LifecycleEvent - AfterInstall\nScript - hook.sh\nLongshore - left running: sleep 1000 (process {pid}{text})\n"
        );
        assert_eq!(fixture.log(), log);
        kill(pid, "KILL");
    }
}

#[test]
fn a_script_that_leaves_something_running_fails_by_choice_with_the_code_of_the_aws_agent() {
    for (redirections, holds_output, code) in [("", true, 6), (">/dev/null 2>&1", false, 4)] {
        let fixture = Fixture::leaving(Leftovers::Fail);
        let report = fixture.run_text(leave(redirections, 0));
        let pid = fixture.pid("pid");
        assert_eq!(report.outcome, HookOutcome::LeftRunning { holds_output }, "{redirections}");
        assert_eq!(report.outcome.code(), code);
        assert_eq!(report.left_running.len(), 1, "{redirections}");
        assert!(is_running(pid), "{redirections}");
        let log = fixture.log();
        assert!(log.contains("Longshore - `hook.sh` failed because it left something running\n"), "{log}");
        kill(pid, "KILL");
    }
}

#[test]
fn a_script_that_leaves_nothing_running_passes_whatever_the_choice() {
    for leftovers in [Leftovers::Warn, Leftovers::Fail, Leftovers::Kill] {
        let report = Fixture::leaving(leftovers).run_text("#!/bin/sh\n(sleep 0.03; echo last) &\n");
        assert_eq!((report.outcome, report.notes), (HookOutcome::Passed, vec![]), "{leftovers:?}");
    }
}

#[test]
fn leftovers_are_ended_by_choice_term_first_and_the_report_says_what_that_was() {
    let mut fixture = Fixture::leaving(Leftovers::Kill);
    fixture.policy.grace = Duration::from_millis(300);
    let report = fixture.run_text(
        "#!/bin/sh\n\
         setsid sh -c 'trap \"echo bye; exit\" TERM; echo $$ >polite; while :; do sleep 0.05; done' 2>/dev/null &\n\
         setsid sh -c 'trap \"\" TERM; echo $$ >deaf; while :; do sleep 0.05; done' >/dev/null 2>&1 &\n\
         while ! [ -s polite ] || ! [ -s deaf ]; do sleep 0.01; done\n",
    );
    let (polite, deaf) = (fixture.pid("polite"), fixture.pid("deaf"));
    assert_eq!((report.outcome, report.left_running), (HookOutcome::Passed, vec![]));
    assert!(!is_running(polite) && !is_running(deaf));
    assert_eq!(report.last_lines, ["[stdout]bye"]);
    for pid in [polite, deaf] {
        let named = |note: &&String| {
            note.starts_with("ended what it left running: sh -c trap") && note.ends_with(&format!("(process {pid})"))
        };
        assert_eq!(report.notes.iter().filter(named).count(), 1, "{:?}", report.notes);
    }
    assert_eq!(report.notes.last().unwrap(), "some of that did not end on TERM and was killed");
}

#[test]
fn leftovers_of_a_script_that_failed_keep_its_status() {
    for (leftovers, lives) in [(Leftovers::Warn, true), (Leftovers::Fail, true), (Leftovers::Kill, false)] {
        let fixture = Fixture::leaving(leftovers);
        let report = fixture.run_text(leave("", 3));
        let pid = fixture.pid("pid");
        assert_eq!(report.outcome, HookOutcome::Exited { status: 3 }, "{leftovers:?}");
        assert_eq!((report.left_running.len(), is_running(pid)), (usize::from(lives), lives), "{leftovers:?}");
        if lives {
            kill(pid, "KILL");
            eventually("it has ended", || (!is_running(pid)).then_some(()));
        }
    }
}
