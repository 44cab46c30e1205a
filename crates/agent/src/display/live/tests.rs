//! Screens, from events and times alone.

use longshore_core::digest::Sha256;
use longshore_core::lifecycle::LifecycleEvent::{self, AfterInstall, ApplicationStop, DownloadBundle, Install};
use longshore_core::lifecycle::ScriptsFrom;

use super::super::text::width;
use super::*;
use crate::deployment::order::Cause;
use crate::deployment::plan::Idle;
use crate::hook::Stream;

const WIDE: Size = Size { columns: 80, rows: 24 };
const NARROW: Size = Size { columns: 40, rows: 24 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn started() -> Event {
    Event::DeploymentStarted {
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        revision: "/bundle.zip".to_owned(),
        events: LifecycleEvent::ALL.to_vec(),
        cause: Cause::Asked,
    }
}

fn hook(event: LifecycleEvent, script: &str, of: usize, timeout_s: u64) -> Event {
    Event::HookStarted {
        event,
        script: script.to_owned(),
        from: ScriptsFrom::Current,
        from_deployment: "d-NEW".parse().unwrap(),
        number: 1,
        of,
        timeout_s,
        user: None,
    }
}

fn output(line: &str) -> Event {
    Event::HookOutput { stream: Stream::Stdout, line: line.to_owned() }
}

fn finished(event: LifecycleEvent, elapsed_ms: u64) -> Event {
    Event::EventFinished { event, elapsed_ms }
}

/// A deployment in the middle of its first script of AfterInstall, which began after 20 seconds and may take 100.
fn in_a_script(of: usize) -> Live {
    let mut live = Live::default();
    for (at, event) in [
        (0, started()),
        (1, Event::EventSkipped { event: LifecycleEvent::BeforeBlockTraffic, reason: Idle::NoScripts }),
        (1, Event::EventSkipped { event: LifecycleEvent::AfterBlockTraffic, reason: Idle::NoScripts }),
        (1, Event::EventStarted { event: ApplicationStop }),
        (3, finished(ApplicationStop, 2100)),
        (3, Event::EventStarted { event: DownloadBundle }),
        (3, finished(DownloadBundle, 0)),
        (3, Event::EventSkipped { event: LifecycleEvent::BeforeInstall, reason: Idle::NoScripts }),
        (3, Event::EventStarted { event: Install }),
        (20, finished(Install, 17_000)),
        (20, Event::EventStarted { event: AfterInstall }),
        (20, hook(AfterInstall, "scripts/migrate.sh", of, 100)),
    ] {
        live.take(&event, seconds(at));
    }
    live
}

fn shown(live: &Live, size: Size, now: u64) -> String {
    live.lines(size, seconds(now), Look::Plain).join("\n")
}

#[test]
fn a_running_script_is_shown_with_its_last_line_and_the_time_it_has_left() {
    let mut live = in_a_script(2);
    live.take(&output("applying 0042_orders.sql"), seconds(24));
    insta::assert_snapshot!(shown(&live, WIDE, 25), @"
            done Install 17.0s, DownloadBundle 0.0s, ApplicationStop 2.1s
         running AfterInstall (1 of 2): `scripts/migrate.sh`
                 5s of 100s, 1m35s left
               > applying 0042_orders.sql
         to come ApplicationStart, ValidateService, BeforeAllowTraffic, 1 more
         elapsed 25s
    ");
    insta::assert_snapshot!(shown(&live, NARROW, 25), @"
            done Install 17.0s, 2 more
         running AfterInstall (1 of 2): `m…
                 5s of 100s, 1m35s left
               > applying 0042_orders.sql
         to come ApplicationStart, 3 more
         elapsed 25s
    ");
}

#[test]
fn what_a_script_does_not_print_is_shown_too() {
    let mut live = in_a_script(1);
    for (at, row) in [(25, None), (35, Some("           > nothing printed yet"))] {
        let lines = live.lines(WIDE, seconds(at), Look::Plain);
        assert_eq!(lines.iter().find(|line| line.contains('>')).map(String::as_str), row);
    }
    live.take(&output("x".repeat(200).as_str()), seconds(36));
    let lines = live.lines(NARROW, seconds(60), Look::Plain);
    assert_eq!(lines[3], format!("           > {}… (24s ago)", "x".repeat(15)));
}

#[test]
fn the_last_tenth_of_a_limit_is_a_warning_with_and_without_colour() {
    let live = in_a_script(1);
    let row = |now, look| live.lines(WIDE, seconds(now), look)[2].clone();
    for (ran, text) in [
        (0, "0s of 100s, 1m40s left"),
        (89, "1m29s of 100s, 11s left"),
        (90, "1m30s of 100s, only 10s left"),
        (99, "1m39s of 100s, only 1s left"),
        (101, "1m41s of 100s, time is up, it is being ended"),
    ] {
        assert_eq!(row(20 + ran, Look::Plain), format!("             {text}"));
        assert_eq!(row(20 + ran, Look::Coloured).contains("\u{1b}[1;33m"), ran >= 90, "{ran}");
    }
}

#[test]
fn a_fetch_shows_its_bytes_and_the_rate_of_the_last_seconds() {
    let mut live = Live::default();
    live.take(&started(), seconds(0));
    assert_eq!(shown(&live, WIDE, 0).lines().next(), Some("   preparing verify, unpack, plan"));
    for second in 1..=10 {
        live.take(&Event::Fetching { bytes: second * 2_000_000 }, seconds(second));
    }
    assert_eq!(shown(&live, WIDE, 10).lines().next(), Some("    fetching 20.0 MB, 2.0 MB/s"));
    assert_eq!(
        shown(&live, WIDE, 15).lines().next(),
        Some("    fetching 20.0 MB, 1.0 MB/s"),
        "a fetch that stands still"
    );
    live.take(
        &Event::Fetched {
            content_digest: Sha256::of(b""),
            commit: None,
            files: 1,
            bytes: None,
            reused: 0,
            elapsed_ms: 1,
        },
        seconds(16),
    );
    assert_eq!(shown(&live, WIDE, 16).lines().next(), Some("   preparing verify, unpack, plan"));
}

#[test]
fn an_installation_shows_how_many_files_are_written() {
    let mut live = Live::default();
    live.take(&started(), seconds(0));
    live.take(&Event::EventStarted { event: Install }, seconds(5));
    live.take(&Event::Installing { files: 1200, of: 10_000 }, seconds(8));
    assert_eq!(shown(&live, WIDE, 9).lines().next(), Some("     running Install: 1200 of 10000 files, 4s"));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_nothing_in_it_moves_the_cursor() {
    let mut live = in_a_script(1);
    live.take(
        &output("\u{1b}[2J\r\u{7}数据库迁移数据库迁移数据库迁移数据库迁移数据库迁移数据库迁移\u{202e}🎉🎉🎉"),
        seconds(40),
    );
    for columns in 1..100 {
        for rows in 1..10 {
            let lines = live.lines(Size { columns, rows }, seconds(65), Look::Coloured);
            assert!(lines.len() < rows.max(2), "{columns}x{rows}: {lines:#?}");
            for line in lines {
                assert!(width(&line) < columns.max(2), "{columns}: {line:?}");
                assert!(!line.replace("\u{1b}[", "").chars().any(char::is_control), "{line:?}");
            }
        }
    }
}

#[test]
fn a_low_terminal_shows_what_matters_most() {
    let mut live = in_a_script(1);
    live.take(&output("half done"), seconds(24));
    let labels = |rows| -> Vec<String> {
        let lines = live.lines(Size { columns: 80, rows }, seconds(25), Look::Plain);
        lines.iter().map(|line| line[..12].trim().to_owned()).collect()
    };
    assert_eq!(labels(24), ["done", "running", "", ">", "to come", "elapsed"]);
    assert_eq!(labels(6), ["running", "", ">", "to come", "elapsed"]);
    assert_eq!(labels(5), ["running", "", ">", "elapsed"]);
    assert_eq!(labels(4), ["running", "", ">"]);
    assert_eq!(labels(3), ["running", ""]);
    assert_eq!(labels(2), Vec::<String>::new());
}

#[test]
fn a_script_that_was_found_running_is_followed() {
    let mut live = Live::default();
    let resumed = Event::DeploymentResumed {
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        events: vec![AfterInstall, LifecycleEvent::ApplicationStart],
        during: Some(AfterInstall),
    };
    live.take(&resumed, seconds(0));
    live.take(&Event::HookFound { event: AfterInstall, script: "migrate.sh".to_owned(), running: true }, seconds(1));
    insta::assert_snapshot!(shown(&live, WIDE, 13), @"
         running AfterInstall: `migrate.sh`
                 12s since it was found
               > nothing printed yet
         to come ApplicationStart
         elapsed 13s
    ");
}

#[test]
fn a_restore_after_a_failure_begins_anew_and_the_end_leaves_nothing() {
    let mut live = in_a_script(1);
    let failed = Event::EventFailed { event: AfterInstall, message: String::new(), script: None, code: 4 };
    live.take(&failed, seconds(30));
    assert!(!shown(&live, WIDE, 30).contains("AfterInstall"));
    let end = Event::DeploymentFinished {
        outcome: crate::deployment::journal::Outcome::Failed,
        cause: Cause::Asked,
        reason: None,
        installed: None,
        restored: None,
        elapsed_ms: 1,
    };
    live.take(&end, seconds(31));
    assert_eq!((shown(&live, WIDE, 31).as_str(), live.heartbeat(seconds(31))), ("", None));
    live.take(&started(), seconds(31));
    assert_eq!(shown(&live, WIDE, 32).lines().last(), Some("     elapsed 1s"));
}

#[test]
fn where_nothing_lives_a_line_says_what_is_waited_for() {
    let mut live = in_a_script(1);
    let told = |live: &Live, now| live.heartbeat(seconds(now)).unwrap();
    assert_eq!(told(&live, 80), "AfterInstall: `scripts/migrate.sh` runs for 1m00s of 100s, has printed nothing yet");
    live.take(&output("applying 0042"), seconds(80));
    assert_eq!(told(&live, 85), "AfterInstall: `scripts/migrate.sh` runs for 1m05s of 100s, prints: applying 0042");
    assert_eq!(told(&live, 110), "AfterInstall: `scripts/migrate.sh` runs for 1m30s of 100s, silent for 30s");
    live.take(&finished(AfterInstall, 1), seconds(111));
    live.take(&Event::EventStarted { event: Install }, seconds(111));
    assert_eq!(told(&live, 171), "Install: for 1m00s");
    live.take(&Event::Installing { files: 1, of: 3 }, seconds(172));
    assert_eq!(told(&live, 232), "Install: 1 of 3 files, for 2m01s");
    live.take(&started(), seconds(300));
    assert_eq!(told(&live, 360), "for the bundle to be verified, unpacked and planned, for 1m00s");
    live.take(&Event::Fetching { bytes: 1000 }, seconds(361));
    assert_eq!(told(&live, 421), "for the bundle: 1.0 kB, 0 B/s");
}
