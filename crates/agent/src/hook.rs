//! One hook script: what it is run as, and how it ended.
//!
//! [`policy`] is what the user may choose. [`command`] decides (pure), [`user`] looks up whom it runs as, [`shim`] owns
//! the running process, [`watch`] follows a shim, [`diagnostics`] is what CodeDeploy is told of the end (pure).

mod cgroup;
pub mod command;
pub mod diagnostics;
mod entry;
mod escape;
pub mod fault;
mod folder;
pub mod policy;
pub mod shim;
mod tail;
mod tree;
pub mod user;
pub mod watch;

pub(crate) use folder::boot_id;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a hook ended. Maps in one table to the codes that the AWS agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum HookOutcome {
    /// Exited with 0. What it left running is named in the report, and goes on running.
    Passed,
    /// Exited with another status.
    Exited {
        /// The exit status.
        status: i32,
    },
    /// Ended by a signal: the script's own process by one that was not ours, or all of it because the shim got TERM.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// Ran longer than its timeout, and was ended with everything it had started.
    TimedOut {
        /// Whether some process ignored TERM and had to be killed.
        forced: bool,
    },
    /// The script is not in the archive.
    Missing,
    /// The script could not be made executable.
    NotExecutable {
        /// Why.
        reason: String,
    },
    /// The user it should run as does not exist.
    NoSuchUser {
        /// The user.
        user: String,
    },
    /// It could not be started, for example because its interpreter does not exist.
    NotStarted {
        /// Why, and what to change.
        reason: String,
    },
    /// Exited with 0 and left processes running, which the user calls a failure ([`policy::Leftovers::Fail`]).
    LeftRunning {
        /// Whether one of them holds the script's output.
        holds_output: bool,
    },
    /// Nobody knows how it ended: the host went down while it ran, or its shim was killed.
    Interrupted,
}

/// A process that a hook left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its command line.
    pub command: String,
    /// Which of the script's outputs it holds open. None of them also when we may not look.
    #[serde(default)]
    pub holds: Vec<Stream>,
}

/// What a finished hook says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// How it ended.
    pub outcome: HookOutcome,
    /// How long it ran.
    pub duration: Duration,
    /// When it started, by the host's clock: RFC 3339 in UTC. `None`: its shim died before it could say so.
    pub started: Option<String>,
    /// When it ended, by the host's clock: RFC 3339 in UTC. `None`: nobody saw it.
    pub ended: Option<String>,
    /// The script's process id; also its process group and its session. `None`: it was not started.
    pub pid: Option<i32>,
    /// Processes of the hook that still run, at most [`HookReport::MOST_LEFT_RUNNING`].
    pub left_running: Vec<Process>,
    /// Whether the script was not executable and was made so.
    pub made_executable: bool,
    /// What is worth knowing besides, one sentence each.
    pub notes: Vec<String>,
    /// The last lines of its output, oldest first, as `[stdout]text` or `[stderr]text`: at most
    /// [`HookReport::LAST_LINES`] of at most [`HookReport::LINE_CHARS`] characters, invalid UTF-8 replaced, escape
    /// sequences and control characters left out.
    pub last_lines: Vec<String>,
}

impl HookReport {
    /// How many lines of output a report carries.
    pub const LAST_LINES: usize = 20;
    /// How many characters of a line a report carries.
    pub const LINE_CHARS: usize = 2000;
    /// How many processes left running a report names.
    pub const MOST_LEFT_RUNNING: usize = 20;
}

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl HookOutcome {
    /// Whether the event goes on.
    pub fn is_success(&self) -> bool {
        matches!(self, HookOutcome::Passed)
    }

    /// The code that the AWS agent 1.8.1 reports to the service.
    pub fn code(&self) -> u8 {
        match self {
            HookOutcome::Passed => 0,
            HookOutcome::LeftRunning { holds_output: true } => 6,
            HookOutcome::Missing => 1,
            HookOutcome::NotExecutable { .. } => 2,
            HookOutcome::TimedOut { .. } => 3,
            HookOutcome::Exited { .. }
            | HookOutcome::Killed { .. }
            | HookOutcome::NoSuchUser { .. }
            | HookOutcome::NotStarted { .. }
            | HookOutcome::LeftRunning { holds_output: false } => 4,
            HookOutcome::Interrupted => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_the_codes_of_the_aws_agent() {
        let reason = String::new;
        for (outcome, code) in [
            (HookOutcome::Passed, 0),
            (HookOutcome::Missing, 1),
            (HookOutcome::NotExecutable { reason: reason() }, 2),
            (HookOutcome::TimedOut { forced: true }, 3),
            (HookOutcome::Exited { status: 1 }, 4),
            (HookOutcome::Killed { signal: 9 }, 4),
            (HookOutcome::NoSuchUser { user: reason() }, 4),
            (HookOutcome::NotStarted { reason: reason() }, 4),
            (HookOutcome::LeftRunning { holds_output: false }, 4),
            (HookOutcome::LeftRunning { holds_output: true }, 6),
            (HookOutcome::Interrupted, 7),
        ] {
            assert_eq!((outcome.code(), outcome.is_success()), (code, code == 0), "{outcome:?}");
        }
    }

    #[test]
    fn a_process_in_a_journal_of_an_earlier_version_is_read() {
        let old = r#"{"pid":7,"command":"sleep 9","holds_output":true}"#;
        let expected = Process { pid: 7, command: "sleep 9".into(), holds: Vec::new() };
        assert_eq!(serde_json::from_str::<Process>(old).unwrap(), expected);
    }
}
