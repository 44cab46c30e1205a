//! What a deployment wrote down: one JSON line per entry, each synced before the effect it announces.
//!
//! A torn last line is the mark of a crash and is ignored. A line that cannot be read elsewhere means that somebody edited
//! the file, and nothing is guessed from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::LifecycleEvent;
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::plan::Plan;
use crate::hook::HookReport;
use crate::hook::command::BundleSource;
use crate::install::transaction::Phase;
use crate::release::Release;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, RFC 3339.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What can happen to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The order was accepted.
    Opened {
        /// The order.
        order: Box<Order>,
        /// The version of the agent.
        agent: String,
    },
    /// Another agent goes on with a deployment that the one before left unfinished.
    Resumed {
        /// The version of the agent.
        agent: String,
    },
    /// An event was asked for, of an order whose events run when they are asked for. Opens again what was closed.
    Asked {
        /// The event.
        event: LifecycleEvent,
        /// What was decided for this event alone, where it takes no bundle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Box<Plan>>,
    },
    /// The revision was fetched, verified and unpacked, and nothing stands in its way.
    Prepared {
        /// What it will be once it is installed.
        release: Release,
        /// Where the bundle came from, as hooks are told.
        source: BundleSource,
        /// What was decided, without the files: these are decided again when Install begins.
        plan: Box<Plan>,
    },
    /// The steps of an event were decided.
    Planned {
        /// The event.
        event: LifecycleEvent,
        /// Its steps, in order.
        steps: Vec<Step>,
    },
    /// A step is about to begin.
    Started {
        /// The event.
        event: LifecycleEvent,
        /// The step's place in the event's list, from 0.
        step: usize,
        /// The host's boot id: a step that began before the last boot has ended, whatever it left behind.
        boot: String,
    },
    /// An installation enters its next phase. What it touches stands in the deployment's `installation.json`.
    Installing {
        /// The phase.
        phase: Phase,
    },
    /// A step is done.
    Finished {
        /// The event.
        event: LifecycleEvent,
        /// The step's place.
        step: usize,
        /// What the hook said of itself, for a step that ran one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hook: Option<HookReport>,
    },
    /// A step failed.
    Failed {
        /// The event.
        event: LifecycleEvent,
        /// The step's place.
        step: usize,
        /// What went wrong, one sentence.
        message: String,
        /// What the hook said of itself, for a step that ran one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hook: Option<HookReport>,
    },
    /// The last good release is about to come back, as a deployment of its own.
    Restoring {
        /// That deployment.
        by: DeploymentId,
    },
    /// Nothing more will happen.
    Closed {
        /// How it ended.
        outcome: Outcome,
        /// Whether its release is good: installed, and through every event that it has scripts for.
        good: bool,
        /// Why, unless it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// One thing an event does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Record the revision as the one fetched most recently.
    MarkMostRecent,
    /// Run one script.
    RunHook {
        /// The script as the appspec writes it.
        location: String,
        /// Its place among the event's scripts, from 0.
        index: usize,
        /// Its number in the deployment, from 1: the name of its folder.
        number: usize,
    },
    /// Copy files, apply permissions, record the release as installed.
    Install,
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every event succeeded.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was refused before anything was changed.
    Refused,
    /// The agent or the host went away in the middle.
    Interrupted,
}

impl Outcome {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// A journal open for writing.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// How long it is without what could not be written wholly and could not be taken back.
    whole: u64,
    now: fn() -> String,
}

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Writing failed.
    #[error("cannot write journal `{path}`")]
    Write {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read journal `{path}`")]
    Read {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line in the middle makes no sense.
    #[error("journal `{path}` is damaged in line {line}")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

impl Journal {
    /// Creates the journal of a new deployment. `now` gives the time stamps.
    pub fn create(path: PathBuf, now: fn() -> String) -> Result<Journal, JournalError> {
        // Private: it holds the last lines of what scripts print.
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Journal { path, file, whole: 0, now }),
            Err(source) => Err(JournalError::Write { path, source }),
        }
    }

    /// Opens the journal of an earlier deployment, to close it. A torn last line is cut off first.
    pub fn reopen(path: PathBuf, now: fn() -> String) -> Result<Journal, JournalError> {
        let cut = || -> io::Result<(File, u64)> {
            let text = fs::read(&path)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) as u64;
            let file = OpenOptions::new().append(true).open(&path)?;
            file.set_len(whole)?;
            Ok((file, whole))
        };
        match cut() {
            Ok((file, whole)) => Ok(Journal { path, file, whole, now }),
            Err(source) => Err(JournalError::Write { path, source }),
        }
    }

    /// Appends an entry and waits until it is on disk.
    pub fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        let failed = |source| JournalError::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&Line { at: (self.now)(), entry }).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        if self.file.metadata().map_err(failed)?.len() > self.whole {
            self.file.set_len(self.whole).map_err(failed)?;
        }
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        match &written {
            Ok(()) => self.whole += line.len() as u64,
            // It would damage the next one. What cannot be taken back now is taken back before that one.
            Err(_) => drop(self.file.set_len(self.whole)),
        }
        written.map_err(failed)
    }
}

/// Reads a journal.
pub fn read(path: &Path) -> Result<Vec<Line>, JournalError> {
    let text = fs::read(path).map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    text[..whole]
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|source| JournalError::Damaged {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}

/// How the deployment of this journal ended; `None` while it runs or waits for its next event, or when its agent died.
pub fn outcome(lines: &[Line]) -> Option<Outcome> {
    let last = lines.iter().rev().find_map(|line| match &line.entry {
        Entry::Closed { outcome, .. } => Some(Some(*outcome)),
        Entry::Asked { .. } => Some(None),
        Entry::Opened { .. }
        | Entry::Resumed { .. }
        | Entry::Prepared { .. }
        | Entry::Planned { .. }
        | Entry::Started { .. }
        | Entry::Installing { .. }
        | Entry::Finished { .. }
        | Entry::Failed { .. }
        | Entry::Restoring { .. } => None,
    });
    last.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(outcome: Outcome) -> Entry {
        Entry::Closed { outcome, good: false, reason: None }
    }

    #[test]
    fn a_torn_last_line_is_ignored_and_a_torn_line_elsewhere_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::create(path.clone(), || "now".into()).unwrap();
        let event = LifecycleEvent::Install;
        journal.append(Entry::Started { event: event.clone(), step: 0, boot: String::new() }).unwrap();
        fs::write(&path, [fs::read(&path).unwrap().as_slice(), b"{\"at\":\"no"].concat()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        assert_eq!(outcome(&read(&path).unwrap()), None);

        let mut journal = Journal::reopen(path.clone(), || "later".into()).unwrap();
        journal.append(closed(Outcome::Interrupted)).unwrap();
        let lines = read(&path).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(outcome(&lines), Some(Outcome::Interrupted));

        fs::write(&path, [b"{\"at\":\"no\n".as_slice(), &fs::read(&path).unwrap()].concat()).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), format!("journal `{}` is damaged in line 1", path.display()));
        fs::write(&path, "\n\n{\n").unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), format!("journal `{}` is damaged in line 3", path.display()));
    }

    #[test]
    fn a_journal_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        Journal::create(path.clone(), String::new).unwrap();
        assert!(Journal::create(path, String::new).is_err());
    }
}
