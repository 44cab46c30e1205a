//! One hook script: what it is run as, and how it ended.
//!
//! [`command`] decides (pure), [`shim`] owns the running process, [`watch`] follows a shim.

pub mod command;
pub mod shim;
pub mod watch;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a hook ended. Maps in one table to the codes that the AWS agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum HookOutcome {
    /// Exited with 0. What it left running is named, and goes on running.
    Passed {
        /// Processes of the hook that still run.
        left_running: Vec<Process>,
    },
    /// Exited with another status.
    Exited {
        /// The exit status.
        status: i32,
    },
    /// Ended by a signal that was not ours.
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
    /// Nobody knows how it ended: the host went down while it ran.
    Interrupted,
}

/// A process that a hook left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its command line.
    pub command: String,
    /// Whether it holds the hook's output open.
    pub holds_output: bool,
}

/// What a finished hook says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// How it ended.
    pub outcome: HookOutcome,
    /// How long it ran.
    pub duration: Duration,
    /// The last lines of its output, oldest first, as `[stdout]text` or `[stderr]text`, invalid UTF-8 replaced.
    pub last_lines: Vec<String>,
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
        matches!(self, HookOutcome::Passed { .. })
    }

    /// The code that the AWS agent 1.8.1 reports to the service.
    pub fn code(&self) -> u8 {
        match self {
            HookOutcome::Passed { .. } => 0,
            HookOutcome::Missing => 1,
            HookOutcome::NotExecutable { .. } => 2,
            HookOutcome::TimedOut { .. } => 3,
            HookOutcome::Exited { .. }
            | HookOutcome::Killed { .. }
            | HookOutcome::NoSuchUser { .. }
            | HookOutcome::NotStarted { .. } => 4,
            HookOutcome::Interrupted => 7,
        }
    }
}
