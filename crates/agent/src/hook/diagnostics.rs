//! What CodeDeploy is told of how an event ended: the AWS agent's JSON. Pure.

use serde::Serialize;

use super::{HookOutcome, HookReport};

/// The service takes payloads of up to 8192 bytes.
const PAYLOAD: usize = 8191;
/// How much of a payload that is too large is left to the message and to the script's name; the log gets the rest.
const MESSAGE: usize = 2048;
const NAME: usize = 1024;

/// The diagnostics of one event, in the order of the AWS agent's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// 0 to 7, see [`HookOutcome::code`]; 5 is what no script is to blame for.
    pub error_code: u8,
    /// The script as the appspec writes it; empty when none is meant.
    pub script_name: String,
    /// What happened.
    pub message: String,
    /// The end of the script's output.
    pub log: String,
}

impl Diagnostics {
    /// An event that went well. `text` is a remark, or empty.
    pub fn succeeded(text: &str) -> Diagnostics {
        Diagnostics { message: format!("Succeeded: {text}"), ..Diagnostics::failed(0, String::new()) }
    }

    /// An event that no script made fail.
    pub fn unknown(message: String) -> Diagnostics {
        Diagnostics::failed(5, message)
    }

    /// A script that has ended. `user`: its `runas`. Of one that passed no output is sent, as with AWS.
    pub fn of_hook(report: &HookReport, location: &str, user: Option<&str>) -> Diagnostics {
        if report.outcome.is_success() {
            return Diagnostics { script_name: location.to_owned(), ..Diagnostics::succeeded("") };
        }
        let who = user.map(|user| format!(" run as user {user}")).unwrap_or_default();
        let message = format!("Script `{location}`{who} {}", what(report));
        Diagnostics {
            script_name: location.to_owned(),
            log: diagnostics_log(&report.last_lines),
            ..Diagnostics::failed(report.outcome.code(), message)
        }
    }

    fn failed(error_code: u8, message: String) -> Diagnostics {
        Diagnostics { error_code, script_name: String::new(), message, log: String::new() }
    }

    /// The payload, always shorter than 8192 bytes: what is too long loses the end of its message, then the start of its
    /// script's name, then the start of its log.
    pub fn to_json(&self) -> String {
        let mut fitting = self.clone();
        let room = |d: &Diagnostics| PAYLOAD as isize - json(d).len() as isize;
        if room(&fitting) < 0 {
            fitting.message = head(&self.message, MESSAGE);
        }
        if room(&fitting) < 0 {
            fitting.script_name = tail(&self.script_name, NAME);
        }
        let missing = room(&fitting);
        if missing < 0 {
            let length: usize = self.log.chars().map(json_length).sum();
            fitting.log = tail(&self.log, length.saturating_add_signed(missing));
        }
        json(&fitting)
    }
}

#[expect(clippy::expect_used, reason = "three texts and a number")]
fn json(diagnostics: &Diagnostics) -> String {
    serde_json::to_string(diagnostics).expect("texts and a number always are JSON")
}

fn what(report: &HookReport) -> String {
    let left = || {
        let names = report.left_running.iter().map(|process| format!("{} (process {})", process.command, process.pid));
        names.collect::<Vec<_>>().join(", ")
    };
    match &report.outcome {
        HookOutcome::Passed => "passed".to_owned(),
        HookOutcome::Exited { status } => format!("failed with exit code {status}"),
        HookOutcome::Killed { signal } => format!("was ended by signal {signal}"),
        HookOutcome::TimedOut { .. } => {
            format!("had not ended after {} seconds, and was ended", report.duration.as_secs())
        }
        HookOutcome::Missing => "is not in the bundle".to_owned(),
        HookOutcome::NotExecutable { reason } => format!("could not be made executable: {reason}"),
        HookOutcome::NoSuchUser { user } => format!("was not run: user {user} does not exist"),
        HookOutcome::NotStarted { reason } => format!("could not be started: {reason}"),
        HookOutcome::LeftRunning { holds_output: true } => format!("left its output open: {}", left()),
        HookOutcome::LeftRunning { holds_output: false } => format!("left processes running: {}", left()),
        HookOutcome::Interrupted => "was interrupted; how far it got is not known".to_owned(),
    }
}

/// How many bytes a character takes inside a JSON text.
fn json_length(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..'\u{20}' => 6,
        c => c.len_utf8(),
    }
}

const DOTS: &str = "…";

/// The first characters, which take at most `most` bytes of JSON, the sign for what is left out included.
fn head(text: &str, most: usize) -> String {
    if text.chars().map(json_length).sum::<usize>() <= most {
        return text.to_owned();
    }
    let kept: String = fitting(text.chars(), most).collect();
    kept + DOTS
}

/// The last characters, in the same way.
fn tail(text: &str, most: usize) -> String {
    if text.chars().map(json_length).sum::<usize>() <= most {
        return text.to_owned();
    }
    let mut kept: Vec<char> = fitting(text.chars().rev(), most).collect();
    kept.extend(DOTS.chars());
    kept.into_iter().rev().collect()
}

fn fitting(chars: impl Iterator<Item = char>, most: usize) -> impl Iterator<Item = char> {
    let mut room = most.saturating_sub(DOTS.len());
    chars.map_while(move |c| {
        room = room.checked_sub(json_length(c))?;
        Some(c)
    })
}

/// The `log` of the diagnostics that are sent to the service: the longest run of whole lines up to the last one that,
/// line ends counted, is shorter than 2048 characters (AWS agent 1.8.1). Where AWS sends nothing because the last line
/// alone is longer, the end of that line is sent.
pub fn diagnostics_log(lines: &[String]) -> String {
    const MOST: usize = 2047;
    let length = |line: &String| line.chars().count() + 1;
    let mut room = MOST;
    let mut first = lines.len();
    while let Some(line) = first.checked_sub(1).and_then(|i| lines.get(i)) {
        let Some(left) = room.checked_sub(length(line)) else { break };
        (room, first) = (left, first - 1);
    }
    match lines.last() {
        Some(last) if first == lines.len() => {
            let skip = length(last) + 1 - MOST;
            format!("…{}\n", last.chars().skip(skip).collect::<String>())
        }
        Some(_) | None => lines[first..].iter().flat_map(|line| [line.as_str(), "\n"]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hook::{Process, Stream};

    #[test]
    fn the_diagnostics_log_is_the_longest_run_of_whole_lines_below_2048_characters() {
        let line = |n: usize| "é".repeat(n - 1);
        assert_eq!(diagnostics_log(&[]), "");
        for (lengths, kept) in [(vec![2047], 1), (vec![1, 2047], 1), (vec![1000, 1047], 2), (vec![1000, 1048], 1)] {
            let lines: Vec<String> = lengths.iter().copied().map(line).collect();
            let expected: String = lines[lines.len() - kept..].iter().map(|line| format!("{line}\n")).collect();
            assert_eq!(diagnostics_log(&lines), expected, "{lengths:?}");
        }
    }

    #[test]
    fn a_last_line_that_is_too_long_loses_its_head_and_is_never_nothing() {
        let lines = ["[stdout]before".to_owned(), format!("[stderr]{}end", "x".repeat(4000))];
        let log = diagnostics_log(&lines);
        assert_eq!(log, format!("…{}end\n", "x".repeat(2042)));
        assert_eq!(log.chars().count(), 2047);
    }

    fn report(outcome: HookOutcome) -> HookReport {
        HookReport {
            outcome,
            duration: Duration::from_millis(300_700),
            started: None,
            ended: None,
            pid: None,
            left_running: vec![Process { pid: 7, command: "sleep 9".into(), holds: vec![Stream::Stderr] }],
            made_executable: false,
            notes: Vec::new(),
            last_lines: vec!["[stdout]one".into(), "[stderr]t\u{fffd}o".into()],
        }
    }

    #[test]
    fn every_code_has_the_keys_of_the_aws_agent_in_their_order() {
        let reason = || "no".to_owned();
        for (outcome, code, message) in [
            (HookOutcome::Missing, 1, "is not in the bundle"),
            (HookOutcome::NotExecutable { reason: reason() }, 2, "could not be made executable: no"),
            (HookOutcome::TimedOut { forced: true }, 3, "had not ended after 300 seconds, and was ended"),
            (HookOutcome::Exited { status: 9 }, 4, "failed with exit code 9"),
            (HookOutcome::Killed { signal: 9 }, 4, "was ended by signal 9"),
            (HookOutcome::NoSuchUser { user: "app".into() }, 4, "was not run: user app does not exist"),
            (HookOutcome::NotStarted { reason: reason() }, 4, "could not be started: no"),
            (HookOutcome::LeftRunning { holds_output: false }, 4, "left processes running: sleep 9 (process 7)"),
            (HookOutcome::LeftRunning { holds_output: true }, 6, "left its output open: sleep 9 (process 7)"),
            (HookOutcome::Interrupted, 7, "was interrupted; how far it got is not known"),
        ] {
            let json = Diagnostics::of_hook(&report(outcome.clone()), "a.sh", Some("app")).to_json();
            let expected = format!(
                "{{\"error_code\":{code},\"script_name\":\"a.sh\",\"message\":\"Script `a.sh` run as user app {message}\",\
                 \"log\":\"[stdout]one\\n[stderr]t\u{fffd}o\\n\"}}"
            );
            assert_eq!(json, expected, "{outcome:?}");
        }
        for (diagnostics, expected) in [
            (
                Diagnostics::of_hook(&report(HookOutcome::Passed), "a.sh", None),
                r#"{"error_code":0,"script_name":"a.sh","message":"Succeeded: ","log":""}"#,
            ),
            (
                Diagnostics::succeeded("CompletedNoopCommand"),
                r#"{"error_code":0,"script_name":"","message":"Succeeded: CompletedNoopCommand","log":""}"#,
            ),
            (
                Diagnostics::unknown("disk full".into()),
                r#"{"error_code":5,"script_name":"","message":"disk full","log":""}"#,
            ),
        ] {
            assert_eq!(diagnostics.to_json(), expected);
        }
    }

    #[test]
    fn a_payload_is_shorter_than_8192_bytes_and_keeps_its_code_and_the_ends_that_matter() {
        for filling in ["x", "\u{1}", "\"", "é", "\u{1f600}", "\u{fffd}"] {
            for (name, message, lines) in [(10, 10, 2000), (10, 9000, 2000), (9000, 9000, 2000), (9000, 10, 0)] {
                let mut long = report(HookOutcome::NotStarted { reason: filling.repeat(message) });
                long.last_lines = vec![format!("{}end", filling.repeat(lines))];
                let location = format!("{}end.sh", filling.repeat(name));
                let json = Diagnostics::of_hook(&long, &location, None).to_json();
                let case = format!("{filling:?} {name} {message} {lines}: {} bytes", json.len());
                assert!(json.len() < 8192, "{case}");
                let found: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!(found["error_code"], 4, "{case}");
                assert!(found["script_name"].as_str().unwrap().ends_with("end.sh"), "{case}");
                assert!(found["message"].as_str().unwrap().starts_with("Script `"), "{case}");
                assert!(found["log"].as_str().unwrap().ends_with("end\n"), "{case}");
            }
        }
    }
}
