//! What this host has seen of a group's pointer, and what came of it: `<root>/groups/<group>/pointer.json`.
//!
//! Written before the deployment begins, so that a pointer that went backwards is known whenever the agent ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::fsx;
use longshore_core::host_status::{FailedScript, HostState};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::pointer::Pointer;
use serde::{Deserialize, Serialize};

use crate::deployment::journal::{Entry, Line, Outcome, Step};
use crate::deployment::progress::Progress;

/// The version of the format.
pub(super) const FORMAT: u32 = 1;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The version of the format.
    pub(super) format: u32,
    /// The store. What was seen in another one says nothing of this one.
    pub(super) store: String,
    /// The ETag of the pointer.
    pub(super) etag: String,
    /// The pointer with the highest generation.
    pub(super) pointer: Pointer,
    /// How its deployment ended here; `None`: it was not begun, or is under way.
    pub(super) ended: Option<End>,
}

/// How a deployment ended, as the host's status tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// How.
    pub(super) state: HostState,
    /// In which event.
    pub(super) event: Option<LifecycleEvent>,
    /// Why, unless it succeeded.
    pub(super) reason: Option<String>,
    /// The script that failed.
    pub(super) failed_script: Option<FailedScript>,
    /// Whether it did not come to its end because somebody stopped it.
    #[serde(default)]
    pub(super) stopped: bool,
    /// Whether the last good release was brought back.
    #[serde(default)]
    pub(super) restored: bool,
}

/// Why a mark could not be read or set.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarkError {
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what we wrote.
    #[error("`{path}` is damaged; remove it, and the pointer is followed as it stands")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Writing failed.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the mark; `None` when nothing was seen.
pub(super) fn read(path: &Path) -> Result<Option<Mark>, MarkError> {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|source| MarkError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MarkError::Read { path: path.to_owned(), source }),
    }
}

/// Writes the mark.
pub(super) fn write(path: &Path, mark: &Mark) -> Result<(), MarkError> {
    let failed = |source| MarkError::Write { path: path.to_owned(), source };
    let json = serde_json::to_vec_pretty(mark).map_err(|error| failed(error.into()))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).and_then(|()| fsx::write_atomic(path, &json)).map_err(failed)
}

/// How many lines of a script's output are told.
const MOST_LINES: usize = 20;
/// How many bytes of it are told.
const MOST_BYTES: usize = 4 << 10;
/// How long a reason may be: a host's status stays small.
const MOST_REASON: usize = 1000;

impl End {
    /// How the deployment of a journal ended; `None` when it has not. `halted`: somebody stopped it, unless it came to an end before.
    pub(super) fn of(lines: &[Line], halted: bool) -> Option<End> {
        let progress = Progress::replay(lines.iter().cloned())?;
        let (during, closed) = (progress.during().cloned(), progress.closed?);
        let stopped = match closed.outcome {
            Outcome::Failed | Outcome::Refused => halted && progress.failed.is_none(),
            Outcome::Succeeded | Outcome::Interrupted => false,
        };
        let failed_script = progress.failed.as_ref().and_then(|failed| {
            let report = failed.hook.as_ref()?;
            let (code, last_lines) = (report.outcome.code(), last(&report.last_lines));
            Some(FailedScript { script: script(lines, &failed.event, failed.step)?, code, last_lines })
        });
        Some(End {
            state: match closed.outcome {
                Outcome::Succeeded => HostState::Succeeded,
                Outcome::Failed => HostState::Failed,
                Outcome::Refused => HostState::Refused,
                Outcome::Interrupted => HostState::Interrupted,
            },
            event: progress.failed.map(|failed| failed.event).or(during),
            reason: closed.reason.as_deref().map(one_line),
            failed_script,
            stopped,
            restored: false,
        })
    }

    /// It was stopped before this host began it.
    pub(super) fn skipped() -> End {
        let reason = Some("stopped before this host began it".to_owned());
        End { state: HostState::Refused, stopped: true, reason, ..End::failed("") }
    }

    /// It could not even be written down why.
    pub(super) fn failed(reason: &str) -> End {
        End {
            state: HostState::Failed,
            event: None,
            reason: Some(one_line(reason)),
            failed_script: None,
            stopped: false,
            restored: false,
        }
    }
}

/// The script that a step ran.
fn script(lines: &[Line], failed: &LifecycleEvent, step: usize) -> Option<String> {
    let planned = lines.iter().find_map(|line| {
        if let Entry::Planned { event, steps } = &line.entry
            && event == failed
        {
            return steps.get(step);
        }
        None
    })?;
    match planned {
        Step::RunHook { location, .. } => Some(location.clone()),
        Step::MarkMostRecent | Step::Install => None,
    }
}

/// The last lines, as many as are told.
fn last(lines: &[String]) -> Vec<String> {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += line.len();
        bytes <= MOST_BYTES
    };
    let mut last: Vec<String> = lines.iter().rev().take(MOST_LINES).take_while(fits).cloned().collect();
    last.reverse();
    last
}

/// A text without its line breaks, and no longer than a status takes.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::decide::tests::{mark, pointer};
    use super::super::order::tests::follow;
    use super::*;
    use crate::hook::{HookOutcome, HookReport};

    fn line(entry: Entry) -> Line {
        Line { at: String::new(), entry }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_damage_names_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("groups/shop~dev/pointer.json");
        assert_eq!(read(&path).unwrap(), None);
        let seen = mark(7, Some(HostState::Failed));
        write(&path, &seen).unwrap();
        assert_eq!(read(&path).unwrap(), Some(seen));
        fs::write(&path, "{").unwrap();
        let told = format!("`{}` is damaged; remove it, and the pointer is followed as it stands", path.display());
        assert_eq!(read(&path).unwrap_err().to_string(), told);
    }

    #[test]
    fn a_journal_tells_how_its_deployment_ended_and_the_script_that_failed() {
        let event = LifecycleEvent::AfterInstall;
        let hook = |location: &str, number| Step::RunHook { location: location.to_owned(), index: number - 1, number };
        let report = HookReport {
            outcome: HookOutcome::Exited { status: 3 },
            duration: Duration::from_secs(1),
            started: None,
            ended: None,
            pid: None,
            left_running: Vec::new(),
            made_executable: false,
            notes: Vec::new(),
            last_lines: (0..30).map(|number| format!("[stderr]{number} {}", "x".repeat(1000))).collect(),
        };
        let order = Box::new(super::super::order::of(&follow("file:///store"), &pointer(7)));
        let mut lines = vec![
            line(Entry::Opened { order, agent: String::new() }),
            line(Entry::Planned { event: LifecycleEvent::Install, steps: vec![Step::Install] }),
            line(Entry::Planned { event: event.clone(), steps: vec![hook("one.sh", 1), hook("two.sh", 2)] }),
            line(Entry::Failed { event: event.clone(), step: 1, message: "m".to_owned(), hook: Some(report.clone()) }),
        ];
        assert_eq!(End::of(&lines, false), None, "it is still open");
        let reason = Some("two  conflicts\n  - one\n  - two".to_owned());
        lines.push(line(Entry::Closed { outcome: Outcome::Failed, good: false, reason }));
        assert_eq!(
            End::of(&lines, true),
            Some(End {
                state: HostState::Failed,
                event: Some(event),
                reason: Some("two conflicts - one - two".to_owned()),
                failed_script: Some(FailedScript {
                    script: "two.sh".to_owned(),
                    code: 4,
                    last_lines: report.last_lines[26..].to_vec(),
                }),
                stopped: false,
                restored: false,
            })
        );
    }

    #[test]
    fn a_deployment_was_stopped_when_it_was_to_be_and_nothing_failed_before() {
        let event = LifecycleEvent::AfterInstall;
        let failed = Entry::Failed { event, step: 0, message: "m".to_owned(), hook: None };
        for (halted, failed, outcome, stopped) in [
            (true, None, Outcome::Failed, true),
            (true, None, Outcome::Refused, true),
            (true, None, Outcome::Succeeded, false),
            (true, None, Outcome::Interrupted, false),
            (true, Some(failed), Outcome::Failed, false),
            (false, None, Outcome::Failed, false),
        ] {
            let order = Box::new(super::super::order::of(&follow("file:///store"), &pointer(7)));
            let mut lines = vec![line(Entry::Opened { order, agent: String::new() })];
            lines.extend(failed.map(line));
            lines.push(line(Entry::Closed { outcome, good: false, reason: None }));
            let end = End::of(&lines, halted).unwrap();
            assert_eq!(end.stopped, stopped, "{halted} {outcome:?}");
        }
    }

    #[test]
    fn a_reason_has_one_line_and_an_end() {
        assert_eq!(one_line(" a\n\tb "), "a b");
        assert_eq!(one_line(&"ä".repeat(2000)), format!("{}…", "ä".repeat(1000)));
    }
}
