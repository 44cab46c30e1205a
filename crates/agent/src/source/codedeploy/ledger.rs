//! What is known of each command of the service: one small file for each, written before anything is done about it. It tells
//! a command that comes twice from a new one, and keeps a result until the service has it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::digest::Sha256;
use longshore_core::fsx;
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::lifecycle::LifecycleEvent;
use serde::{Deserialize, Serialize};

use crate::codedeploy::command::{CommandStatus, HostCommand};

/// For how long a command that is over is remembered: the service gives a deployment up long before.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder of all commands.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What was asked.
    pub(super) command: HostCommand,
    /// When it came, RFC 3339.
    pub(super) at: String,
    /// How far it got.
    #[serde(flatten)]
    pub(super) state: State,
}

/// How far a command got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    /// It is here; the service has not heard of us.
    Taken,
    /// The service knows that we work on it, and what it is about is known.
    Running {
        /// The deployment.
        deployment: DeploymentId,
        /// Its group.
        group: GroupId,
        /// The event.
        event: LifecycleEvent,
    },
    /// It is over, and the service is to be told.
    Ended {
        /// How it ended.
        status: CommandStatus,
        /// The diagnostics, JSON.
        diagnostics: String,
    },
    /// It is over, and the service knows.
    Settled {
        /// How it ended; `None`: the service itself had said that it is over.
        status: Option<CommandStatus>,
        /// The diagnostics, JSON: told again when the service asks again.
        diagnostics: String,
    },
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
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

impl Ledger {
    /// Opens the ledger in a folder, which is made. Private: diagnostics hold what scripts print.
    pub(super) fn open(dir: PathBuf) -> Result<Ledger, LedgerError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(&dir) {
            Ok(()) => Ok(Ledger(dir)),
            Err(source) => Err(LedgerError::Write { path: dir, source }),
        }
    }

    /// What is known of a command. A file that is damaged is as none: a command that is asked again is better than one that
    /// nobody answers.
    pub(super) fn find(&self, id: &str) -> Result<Option<Record>, LedgerError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LedgerError::Read { path, source }),
        }
    }

    /// Writes down how far a command got.
    pub(super) fn write(&self, record: &Record) -> Result<(), LedgerError> {
        let path = self.path(&record.command.host_command_identifier);
        let written = serde_json::to_vec(record).map_err(io::Error::from);
        let written = written.and_then(|text| fsx::write_atomic(&path, &text));
        written.map_err(|source| LedgerError::Write { path, source })
    }

    /// Every command that is not settled, in the order in which they came.
    pub(super) fn open_commands(&self) -> Result<Vec<Record>, LedgerError> {
        let failed = |source| LedgerError::Read { path: self.0.clone(), source };
        let mut open = Vec::new();
        for file in fs::read_dir(&self.0).map_err(failed)? {
            let Ok(text) = fs::read(file.map_err(failed)?.path()) else { continue };
            let Ok(record) = serde_json::from_slice::<Record>(&text) else { continue };
            match record.state {
                State::Taken | State::Running { .. } | State::Ended { .. } => open.push(record),
                State::Settled { .. } => {}
            }
        }
        open.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(open)
    }

    /// Forgets what is over for long, and what a crash left of a file. What cannot be removed is removed the next time.
    pub(super) fn forget_old(&self) {
        for file in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let age =
                file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_none_or(|age| age < REMEMBERED) {
                continue;
            }
            let record = fs::read(file.path()).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
            match record.map(|record| record.state) {
                Some(State::Taken | State::Running { .. } | State::Ended { .. }) => {}
                Some(State::Settled { .. }) | None => drop(fs::remove_file(file.path())),
            }
        }
    }

    /// The service chooses the ids, so none of them becomes a file's name as it is.
    fn path(&self, id: &str) -> PathBuf {
        self.0.join(format!("{}.json", Sha256::of(id.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, at: &str, state: State) -> Record {
        let command = HostCommand {
            host_command_identifier: id.to_owned(),
            host_identifier: "h".to_owned(),
            deployment_execution_id: "a/b/c/d".to_owned(),
            command_name: "Install".to_owned(),
            nonce: None,
        };
        Record { command, at: at.to_owned(), state }
    }

    fn ended() -> State {
        State::Ended { status: CommandStatus::Failed, diagnostics: "{}".to_owned() }
    }

    fn settled() -> State {
        State::Settled { status: Some(CommandStatus::Failed), diagnostics: "{}".to_owned() }
    }

    #[test]
    fn a_command_is_known_by_its_id_whatever_the_id_looks_like() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path().join("host-commands")).unwrap();
        assert_eq!(ledger.find("../../evil").unwrap(), None);
        let running = State::Running {
            deployment: "d-1".parse().unwrap(),
            group: "g".parse().unwrap(),
            event: LifecycleEvent::Install,
        };
        for state in [State::Taken, running, ended(), settled()] {
            let record = record("../../evil", "1", state);
            ledger.write(&record).unwrap();
            assert_eq!(ledger.find("../../evil").unwrap(), Some(record));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written outside");
    }

    #[test]
    fn what_the_service_does_not_know_yet_is_found_again_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path().to_owned()).unwrap();
        let (late, early) = (record("b", "2", State::Taken), record("c", "1", ended()));
        for record in [&late, &early, &record("a", "0", settled())] {
            ledger.write(record).unwrap();
        }
        fs::write(dir.path().join("torn.json"), "{").unwrap();
        assert_eq!(ledger.open_commands().unwrap(), [early, late]);
    }

    #[test]
    fn only_what_is_settled_for_long_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path().to_owned()).unwrap();
        let (open, old, new) = (record("a", "1", ended()), record("b", "1", settled()), record("c", "1", settled()));
        for record in [&open, &old, &new] {
            ledger.write(record).unwrap();
        }
        fs::write(dir.path().join("torn"), "{").unwrap();
        let past = std::time::SystemTime::now() - REMEMBERED - Duration::from_secs(60);
        for path in [ledger.path("a"), ledger.path("b"), dir.path().join("torn")] {
            fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
        }
        ledger.forget_old();
        assert_eq!(ledger.find("a").unwrap(), Some(open));
        assert_eq!(ledger.find("b").unwrap(), None);
        assert_eq!(ledger.find("c").unwrap(), Some(new));
        assert!(!dir.path().join("torn").exists());
    }
}
