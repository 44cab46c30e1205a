//! Events and records → lines for people. The only file of the agent that makes sentences about them.

pub(crate) mod bottom;
pub mod config;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod explain;
pub mod live;
pub mod logs;
pub mod past;
mod plan;
mod screen;
pub mod service;
mod text;

use std::fmt::Write as _;
use std::io::IsTerminal;

use longshore_core::failure::Failure;
use longshore_core::figures::{duration, plural, size, verb_line};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::problem::Look;

use crate::deployment::journal::Outcome;
use crate::deployment::order::Cause;
use crate::deployment::plan::Idle;
use crate::event::{Event, Restored};
use crate::hook::{HookOutcome, HookReport, Stream};
use crate::layout::Layout;

pub use plan::{Detail, plan};
pub use screen::Screen;

/// The line for an event; `None` for what only a living line shows.
pub fn sentence(event: &Event, deployment: Option<&str>, look: Look) -> Option<String> {
    let verb = |verb: &str, rest: &str| verb_line(verb, &text::clean(rest), look);
    Some(match event {
        Event::DeploymentStarted { application, group, revision, cause, .. } => {
            let id = deployment.map(|id| format!(" as {id}")).unwrap_or_default();
            match cause {
                Cause::Asked => verb("Deploying", &format!("`{application}` to `{group}`{id}, from {revision}")),
                Cause::Rollback { to } => {
                    verb("Deploying", &format!("`{application}` to `{group}`{id}, back to the release of {to}"))
                }
                Cause::Restore { failed, to } => verb(
                    "Restoring",
                    &format!("`{application}` in `{group}`{id}: back to the release of {to}, because {failed} failed"),
                ),
            }
        }
        Event::DeploymentResumed { application, group, during, .. } => {
            let id = deployment.unwrap_or("a deployment");
            let place = match during {
                Some(event) => format!("which stopped in {event}"),
                None => "which stopped before its first event".to_owned(),
            };
            verb("Resuming", &format!("{id} of `{application}` to `{group}`, {place}"))
        }
        Event::HookFound { event, script, running: true } => {
            verb("Following", &format!("{event}: `{script}`, which an earlier agent started and which still runs"))
        }
        Event::HookFound { event, script, running: false } => {
            verb("Found", &format!("{event}: `{script}` has ended since an earlier agent started it"))
        }
        Event::EarlierClosed { earlier, during } => match during {
            Some(event) => verb("Closed", &format!("{earlier}, which was interrupted in {event}")),
            None => verb("Closed", &format!("{earlier}, which was interrupted before it began")),
        },
        Event::Fetching { .. } | Event::Installing { .. } | Event::EventStarted { .. } | Event::HookOutput { .. } => {
            return None;
        }
        Event::Fetched { content_digest, commit, files, bytes, reused, elapsed_ms } => {
            let commit = commit.as_ref().map(|commit| format!("commit {}, ", commit.short())).unwrap_or_default();
            let bytes = match bytes {
                Some(bytes) if *reused > 0 => {
                    format!(", {} of {} over the network", size(bytes.saturating_sub(*reused)), size(*bytes))
                }
                Some(bytes) => format!(", {}", size(*bytes)),
                None => String::new(),
            };
            let text = format!(
                "and verified {commit}content {} ({}{bytes} in {})",
                content_digest.short(),
                plural(*files, "file"),
                duration(*elapsed_ms)
            );
            verb("Fetched", &text)
        }
        Event::SignatureVerified { signed } => verb(
            "Verified",
            &format!("the signature: key {}, `{}`", signed.key_id, text::clean(&signed.trusted_comment)),
        ),
        Event::Warning { message } => verb("Warning", message),
        Event::EventSkipped { event, reason } => match reason {
            // Half of the events of every deployment: a plan shows them, a deployment need not.
            Idle::NoScripts => return None,
            Idle::FirstDeployment if *event != LifecycleEvent::ApplicationStop => return None,
            Idle::FirstDeployment | Idle::LeftOut | Idle::Unreadable => verb("Skipped", &format!("{event}: {reason}")),
        },
        Event::HookStarted { event, script, from, from_deployment, number, of, timeout_s, user } => {
            let count = if *of > 1 { format!(" ({number} of {of})") } else { String::new() };
            let whose = match from {
                ScriptsFrom::Current => String::new(),
                ScriptsFrom::Installed => format!(", of the installed revision {from_deployment}"),
                ScriptsFrom::MostRecent => format!(", of the revision fetched last, {from_deployment}"),
            };
            let user = user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
            verb("Running", &format!("{event}{count}: `{script}`{user}{whose} (limit {timeout_s}s)"))
        }
        Event::HookFinished { event, script, report } => hook_line(event.name(), script, report, look),
        Event::Installed { created, replaced, retained, removed, bytes, elapsed_ms, .. } => {
            if created + replaced + retained + removed == 0 {
                return Some(verb("Installed", "nothing: the appspec has no files to copy"));
            }
            let mut text = format!("{}, {}", plural(created + replaced, "file"), size(*bytes));
            for (count, what) in
                [(created, "new"), (replaced, "replaced"), (retained, "kept as they were"), (removed, "removed")]
            {
                if *count > 0 {
                    // Writing to a String cannot fail.
                    let _ = write!(text, ", {count} {what}");
                }
            }
            verb("Installed", &format!("{text} (in {})", duration(*elapsed_ms)))
        }
        Event::EventFinished { event, elapsed_ms } => {
            verb("Finished", &format!("{event} in {}", duration(*elapsed_ms)))
        }
        // The script's own line has said it.
        Event::EventFailed { script: Some(_), .. } => return None,
        Event::EventFailed { event, message, script: None, .. } => verb("Failed", &format!("{event}: {message}")),
        Event::DeploymentFinished { outcome, cause, installed, restored, elapsed_ms, .. } => {
            let first = match (outcome, cause) {
                (Outcome::Succeeded, Cause::Asked | Cause::Rollback { .. }) => "Deployed",
                (Outcome::Succeeded, Cause::Restore { .. }) => "Restored",
                (Outcome::Failed | Outcome::Refused | Outcome::Interrupted, _) => "Failed",
            };
            let now = match (installed, restored) {
                (_, Some(Restored { by, to, succeeded: true })) => {
                    format!("; the release of {to} is back and serves, restored by {by}")
                }
                (Some(deployment), _) => format!("; the files on disk are those of {deployment}"),
                (None, _) => "; nothing is installed".to_owned(),
            };
            let text = match outcome {
                Outcome::Succeeded => format!("in {}", duration(*elapsed_ms)),
                Outcome::Refused => format!("after {}, before anything was changed{now}", duration(*elapsed_ms)),
                Outcome::Failed | Outcome::Interrupted => format!("after {}{now}", duration(*elapsed_ms)),
            };
            verb(first, &text)
        }
    })
}

fn hook_line(event: &str, script: &str, report: &HookReport, look: Look) -> String {
    let verb = |verb: &str, rest: &str| verb_line(verb, &text::clean(rest), look);
    let took = duration(report.duration.as_millis().try_into().unwrap_or(u64::MAX));
    if report.outcome.is_success() {
        let mut text = verb("Passed", &format!("{event}: `{script}` in {took}"));
        for note in &report.notes {
            text.push('\n');
            text.push_str(&verb("Warning", &format!("`{script}`: {note}")));
        }
        for process in &report.left_running {
            let holds = match process.holds.as_slice() {
                [] => "",
                [Stream::Stdout] => ", which holds its standard output open",
                [Stream::Stderr] => ", which holds its error output open",
                [_, _, ..] => ", which holds its output open",
            };
            let line = format!("`{script}` left process {} running{holds}: {}", process.pid, process.command);
            text.push('\n');
            text.push_str(&verb("Warning", &line));
        }
        text
    } else if report.outcome == HookOutcome::Interrupted {
        verb("Failed", &format!("{event}: `{script}` {}", outcome(&report.outcome)))
    } else {
        verb("Failed", &format!("{event}: `{script}` {} after {took}", outcome(&report.outcome)))
    }
}

/// One more deployment that `resume` could not finish.
pub fn also_failed(failure: &Failure) {
    bottom::print(failure.to_text().trim_end());
}

/// Nothing was unfinished.
pub fn nothing_to_resume(layout: &Layout) {
    bottom::print(&verb_line(
        "Finished",
        &format!("nothing was left unfinished below {}", layout.root().display()),
        look(),
    ));
}

/// How a hook ended, as the end of a sentence that begins with its name.
pub fn outcome(outcome: &HookOutcome) -> String {
    match outcome {
        HookOutcome::Passed => "passed".to_owned(),
        HookOutcome::Exited { status } => format!("exited with {status}"),
        HookOutcome::Killed { signal } => format!("was ended by signal {signal}"),
        HookOutcome::TimedOut { forced: false } => "timed out and was ended".to_owned(),
        HookOutcome::TimedOut { forced: true } => "timed out, ignored TERM and was killed".to_owned(),
        HookOutcome::Missing => "is not in the revision".to_owned(),
        HookOutcome::NotExecutable { reason } => format!("could not be made executable: {reason}"),
        HookOutcome::NoSuchUser { user } => format!("could not run as `{user}`: no such user"),
        HookOutcome::NotStarted { reason } => format!("could not be started: {reason}"),
        HookOutcome::LeftRunning { holds_output: true } => "left processes running that hold its output".to_owned(),
        HookOutcome::LeftRunning { holds_output: false } => "left processes running".to_owned(),
        HookOutcome::Interrupted => "was interrupted, and nobody knows how far it got".to_owned(),
    }
}

/// How problems are shown on standard error: in colour on a terminal that knows colours, unless `NO_COLOR` is set.
pub fn look() -> Look {
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_able_terminal() && !asked_not_to { Look::Coloured } else { Look::Plain }
}

/// Whether standard error is a terminal that can be drawn on: it says what it is, and not that it can do nothing.
fn is_able_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Rows of equal length as columns, the first row as the heading; the last column is not padded.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
