use std::fs;
use std::sync::Arc;

use jiff::Zoned;
use longshore_core::lifecycle::LifecycleEvent;

use super::*;
use crate::deployment::order::Cause;

/// What was written, for a test to look at.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn now() -> Zoned {
    "2026-01-31T12:00:00+00:00[UTC]".parse().unwrap()
}

fn log(form: Form, is_verbose: bool) -> (DaemonLog, Written) {
    let written = Written::default();
    let out: Mutex<Box<dyn Write + Send>> = Mutex::new(Box::new(written.clone()));
    (DaemonLog { is_verbose, form, out, file: None, now }, written)
}

fn tell(log: &DaemonLog) {
    let event = LifecycleEvent::AfterInstall;
    let started = Event::DeploymentStarted {
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        revision: "/srv/bundle.zip".to_owned(),
        events: vec![event.clone()],
        cause: Cause::Asked,
    };
    let finished = Event::DeploymentFinished {
        outcome: Outcome::Failed,
        cause: Cause::Asked,
        reason: Some("AfterInstall: `a.sh` exited with 3".to_owned()),
        installed: None,
        restored: None,
        elapsed_ms: 1200,
    };
    let events = [
        started,
        Event::Fetching { bytes: 12 },
        Event::Warning { message: "two\nlines \u{1b}[2J".to_owned() },
        Event::EventStarted { event: event.clone() },
        Event::HookOutput { stream: Stream::Stderr, line: "hello".to_owned() },
        Event::EventFailed {
            event,
            message: "`a.sh` exited with 3".to_owned(),
            script: Some("a.sh".to_owned()),
            code: 4,
        },
        finished,
    ];
    for (seq, event) in (1..).zip(&events) {
        let at = "2026-01-31T12:00:00.000Z".to_owned();
        log.report(&Envelope { v: 1, seq, at, deployment: Some("d-1"), event });
    }
    for notice in [
        Notice::Started { version: "1.0".to_owned(), sources: vec!["CodeDeploy".to_owned(), "group dev".to_owned()] },
        Notice::Started { version: "1.0".to_owned(), sources: Vec::new() },
        Notice::Warned { message: "careful".to_owned() },
        Notice::SourceLost { source: "CodeDeploy".to_owned(), reason: "no route".to_owned(), retry_s: 30 },
        Notice::SourceBack { source: "CodeDeploy".to_owned() },
        Notice::Ordered {
            by: "anna (uid 1000)".to_owned(),
            deployment: "d-2".to_owned(),
            revision: "/srv/b.zip".to_owned(),
        },
        Notice::Paused { by: "anna (uid 1000)".to_owned() },
        Notice::Unpaused { by: "root".to_owned() },
        Notice::Stopping { handed_over: vec!["d-1".to_owned()] },
        Notice::Stopping { handed_over: Vec::new() },
        Notice::Stopped,
    ] {
        log.tell(&notice);
    }
}

fn told(form: Form, is_verbose: bool) -> String {
    let (log, written) = log(form, is_verbose);
    tell(&log);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_journal_gets_one_line_with_a_priority_for_each_thing() {
    insta::assert_snapshot!(told(Form::Journal, false));
}

#[test]
fn a_reason_of_more_lines_than_one_is_told_once_line_by_line() {
    let (log, written) = log(Form::Journal, false);
    let message = "2 files are in the way\n  - `/a` exists\n  - `/b` exists".to_owned();
    let reason = Some(format!("Install: {message}"));
    let failed = Event::EventFailed { event: LifecycleEvent::Install, message, script: None, code: 5 };
    let finished = Event::DeploymentFinished {
        outcome: Outcome::Failed,
        cause: Cause::Asked,
        reason,
        installed: None,
        restored: None,
        elapsed_ms: 1200,
    };
    for (seq, event) in (1..).zip(&[failed, finished]) {
        let at = "2026-01-31T12:00:00.000Z".to_owned();
        log.report(&Envelope { v: 1, seq, at, deployment: Some("d-1"), event });
    }
    assert_eq!(
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap(),
        "<3>d-1: Failed Install (code 5): 2 files are in the way\n<3>d-1:   - `/a` exists\n<3>d-1:   - `/b` exists\n<3>d-1: \
         Failed after 1.2s; nothing is installed: Install: 2 files are in the way\n"
    );
}

#[test]
fn every_detail_is_told_when_it_is_wanted() {
    insta::assert_snapshot!(told(Form::Plain, true));
}

#[test]
fn programs_get_the_events_and_the_notices_as_json_lines() {
    insta::assert_snapshot!(told(Form::Json, false));
}

#[test]
fn the_log_file_has_the_line_of_the_aws_agent_a_file_for_each_day_and_seven_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logs");
    let rolled = Rolled::open(&folder, "codedeploy-agent").unwrap();
    fs::write(folder.join("codedeploy-agent.notes.log"), "not ours").unwrap();
    for day in 0..10 {
        let day = now().checked_add(jiff::Span::new().days(day)).unwrap();
        rolled.write(&day, "INFO ", "one");
        rolled.write(&day, "WARN ", "two");
    }
    let mut names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> = (2..=8).map(|day| format!("codedeploy-agent.202602{day:02}.log")).collect();
    expected.extend(["codedeploy-agent.log".to_owned(), "codedeploy-agent.notes.log".to_owned()]);
    assert_eq!(names, expected);
    let id = std::process::id();
    for (name, day) in [("codedeploy-agent.log", "09"), ("codedeploy-agent.20260208.log", "08")] {
        let line = |level, text| format!("2026-02-{day}T12:00:00+00:00 {level} [codedeploy-agent({id})]: {text}\n");
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), line("INFO ", "one") + &line("WARN ", "two"));
    }
}

#[test]
fn a_log_file_of_an_earlier_day_is_put_away_by_the_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.log");
    fs::write(&path, "of then\n").unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_769_860_800);
    fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    let rolled = Rolled::open(folder.path(), "agent").unwrap();
    rolled.write(&"2026-02-02T12:00:00+00:00[UTC]".parse().unwrap(), "INFO ", "now");
    assert_eq!(fs::read_to_string(folder.path().join("agent.20260131.log")).unwrap(), "of then\n");
    assert!(fs::read_to_string(&path).unwrap().ends_with("]: now\n"));
}
