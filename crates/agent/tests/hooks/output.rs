//! What scripts print, and where it goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use longshore_agent::hook::{HookOutcome, HookReport, Stream};

use crate::fixture::{Fixture, plain, steady, texts};

#[test]
fn output_goes_to_the_log_the_report_and_the_agent() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\necho one; echo two >&2; sleep 0.1; printf 'no line end'\n");
    let (report, seen) = fixture.run_seen("hook.sh");
    // Two pipes have no common order.
    let either = |first: &str, second: &str| [first.to_owned() + second, second.to_owned() + first];
    let logs = either("[stdout]one\n", "[stderr]two\n")
        .map(|lines| format!("LifecycleEvent - AfterInstall\nScript - hook.sh\n{lines}[stdout]no line end\n"));
    assert!(logs.contains(&fixture.log()), "{}", fixture.log());
    let mut lines = report.last_lines.clone();
    lines.sort();
    assert_eq!(lines, ["[stderr]two", "[stdout]no line end", "[stdout]one"]);
    let mut shown: Vec<_> = seen.iter().map(|(stream, line)| (*stream == Stream::Stdout, line.as_str())).collect();
    shown.sort_unstable();
    assert_eq!(shown, [(false, "two"), (true, "no line end"), (true, "one")]);
    assert_eq!(steady(&report), HookReport { last_lines: report.last_lines.clone(), ..plain(HookOutcome::Passed) });
    assert_eq!(fixture.hook_files(), ["result.json", "shim.lock", "shim.log"]);
}

#[test]
fn the_second_script_of_an_event_appends_without_the_events_line() {
    let fixture = Fixture::new();
    fixture.run_text("#!/bin/sh\necho one\n");
    let mut command = fixture.command("hook.sh");
    command.first_of_event = false;
    fixture.shim.run(&command, &fixture.path("hooks/2"), &mut |_, _| {}).unwrap();
    assert_eq!(
        fixture.log(),
        "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]one\nScript - hook.sh\n[stdout]one\n"
    );
}

#[test]
fn bytes_that_are_not_utf8_survive_in_the_log_and_are_replaced_elsewhere() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", b"#!/bin/sh\nprintf 'a\\377\\000b\\n'\n");
    let (report, seen) = fixture.run_seen("hook.sh");
    assert_eq!(
        fixture.log_bytes(),
        b"LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]a\xff\x00b\n",
        "{}",
        fixture.log_bytes().escape_ascii()
    );
    assert_eq!(report.last_lines, ["[stdout]a\u{fffd}b"]);
    assert_eq!(seen, [(Stream::Stdout, "a\u{fffd}b".to_owned())]);
}

#[test]
fn escape_sequences_reach_neither_log_nor_agent() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\nprintf '\\033[31mred\\033[0m\\n\\033]0;title\\007end\\n'\n");
    let (_, seen) = fixture.run_seen("hook.sh");
    assert_eq!(fixture.log(), "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]red\n[stdout]end\n");
    assert_eq!(seen, [(Stream::Stdout, "red".to_owned()), (Stream::Stdout, "end".to_owned())]);
}

#[test]
fn output_with_escape_sequences_is_kept_byte_for_byte_for_its_owner_alone() {
    let fixture = Fixture::new();
    fixture.run_text("#!/bin/sh\nprintf '\\033[31mr\\377d\\033[0m 1%%\\r2%%'\n");
    assert_eq!(fs::read(fixture.hook_dir().join("output.raw")).unwrap(), b"\x1b[31mr\xffd\x1b[0m 1%\r2%");
    assert_eq!(fs::metadata(fixture.hook_dir().join("output.raw")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fixture.log_bytes().ends_with(b"[stdout]r\xffd 1%\r2%\n"), "{}", fixture.log_bytes().escape_ascii());
}

#[test]
fn the_log_of_all_deployments_has_the_messages_of_scripts_log() {
    let mut fixture = Fixture::new();
    let log = fixture.path("deployment-logs/codedeploy-agent-deployments.log");
    fixture.policy.deployments_log = Some(log.clone());
    fixture.run_text("#!/bin/sh\necho one\nexit 3\n");
    let text = fs::read_to_string(&log).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    assert!(header.starts_with("# Logfile created on 20"), "{header}");
    let messages: String = lines.lines().map(|line| format!("{}\n", &line[26..])).collect();
    let expected: String = fixture.log().lines().map(|line| format!("[d-1]{line}\n")).collect();
    assert_eq!(messages, expected);
}

#[test]
fn a_log_of_all_deployments_that_cannot_be_written_is_a_note() {
    let mut fixture = Fixture::new();
    fixture.policy.deployments_log = Some(fixture.path("archive"));
    let report = fixture.run_text("#!/bin/sh\necho ran\n");
    let note = format!("`{}` is not whole: Is a directory (os error 21)", fixture.path("archive").display());
    let expected = HookReport { notes: vec![note], last_lines: texts(&["[stdout]ran"]), ..plain(HookOutcome::Passed) };
    assert_eq!(steady(&report), expected);
    assert_eq!(fixture.log(), "LifecycleEvent - AfterInstall\nScript - hook.sh\n[stdout]ran\n");
}

#[test]
fn a_report_has_the_last_twenty_lines_and_2000_characters_of_each() {
    let report = Fixture::new().run_text("#!/bin/sh\nseq 1 100\nhead -c 5000 /dev/zero | tr '\\0' x\n");
    let mut expected: Vec<String> = (82..=100).map(|n| format!("[stdout]{n}")).collect();
    expected.push(format!("[stdout]{}", "x".repeat(1992)));
    assert_eq!(report.last_lines, expected);
}

#[test]
fn a_flood_of_100_megabytes_keeps_head_and_tail_of_the_log_and_little_memory() {
    let fixture = Fixture::new();
    // 1,000,000 lines of 100 bytes on one pipe; the other one is not starved. The script's parent is the shim.
    let (report, seen) = {
        let script = "#!/bin/sh\necho first\nyes \"$(printf '%099d' 0)\" | head -n 1000000\necho last\necho aside >&2\n\
                      sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/$PPID/status >peak\n";
        fixture.script("hook.sh", script);
        fixture.run_seen("hook.sh")
    };
    assert_eq!(report.outcome, HookOutcome::Passed);
    assert_eq!(report.notes, texts(&[]));
    assert!(report.last_lines.contains(&"[stdout]last".to_owned()), "{:?}", report.last_lines);
    assert!(!seen.is_empty());

    let logs = fixture.logs();
    let sizes: Vec<u64> = logs.iter().map(|log| fs::metadata(log).unwrap().len()).collect();
    assert!((64 << 20..65 << 20).contains(&sizes.iter().sum::<u64>()), "{sizes:?}");
    let (last, full) = sizes.split_last().unwrap();
    assert!((3..=4).contains(&full.len()) && full.iter().all(|size| (16 << 20..18 << 20).contains(size)), "{sizes:?}");
    assert!(*last < 18 << 20, "{sizes:?}");
    let log = fixture.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..3], ["LifecycleEvent - AfterInstall", "Script - hook.sh", "[stdout]first"]);
    assert!(lines[lines.len() - 3..].contains(&"[stdout]last"), "{:?}", &lines[lines.len() - 3..]);
    let notice = lines.iter().position(|line| line.starts_with("Longshore - ")).unwrap();
    let left_out: usize = lines[notice].split(' ').nth(2).unwrap().parse().unwrap();
    // Two lines of the agent and the notice; three lines of the script besides the million.
    assert_eq!(lines.len() - 3 + left_out, 1_000_003, "{}", lines[notice]);

    let peak: u64 = fs::read_to_string(fixture.path("peak")).unwrap().trim().parse().unwrap();
    assert!(peak < 64 * 1024, "{peak} kB");
}

#[test]
fn an_agent_that_reads_nothing_does_not_hold_up_the_script() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\nyes \"$(printf '%099d' 0)\" | head -n 100000\necho done >done\n");
    let done = fixture.path("done");
    let mut first = true;
    fixture
        .shim
        .run(&fixture.command("hook.sh"), &fixture.hook_dir(), &mut |_, _| {
            if std::mem::take(&mut first) {
                crate::fixture::eventually("the script is done", || fs::read(&done).ok());
            }
        })
        .unwrap();
    assert!(!first);
    assert_eq!(fixture.log().lines().count(), 100_002);
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_script() {
    let fixture = Fixture::new();
    fs::write(fixture.path("logs"), "in the way").unwrap();
    let report = fixture.run_text("#!/bin/sh\necho ran\n");
    let log = fixture.path("logs/scripts.log");
    let note = format!("`{}` is not whole: Not a directory (os error 20)", log.display());
    let expected = HookReport { notes: vec![note], last_lines: texts(&["[stdout]ran"]), ..plain(HookOutcome::Passed) };
    assert_eq!(steady(&report), expected);
}
