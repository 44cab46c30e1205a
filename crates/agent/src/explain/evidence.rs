//! What is known of a failure. Pure.

use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use crate::deployment::journal::Outcome;
use crate::hook::{HookOutcome, Process};

/// What is known of a failure.
#[derive(Debug, Clone, Default)]
pub struct Evidence<'a> {
    /// How the deployment ended; `None`: its agent died.
    pub outcome: Option<Outcome>,
    /// The event.
    pub event: Option<&'a LifecycleEvent>,
    /// How the script ended, when it was one.
    pub hook: Option<&'a HookOutcome>,
    /// Whose script it was.
    pub from: Option<ScriptsFrom>,
    /// What it left running.
    pub left_running: &'a [Process],
    /// What it printed last, oldest first.
    pub output: &'a [String],
    /// What the agent said went wrong, in lines.
    pub said: Vec<&'a str>,
}

impl Evidence<'_> {
    /// The script's exit status, when it had one.
    pub fn status(&self) -> Option<i32> {
        match self.hook {
            Some(HookOutcome::Exited { status }) => Some(*status),
            Some(_) | None => None,
        }
    }

    /// The signal that ended the script; a shell tells of its own child's by a status above 128.
    pub fn signal(&self) -> Option<i32> {
        match self.hook {
            Some(HookOutcome::Killed { signal }) => Some(*signal),
            Some(HookOutcome::Exited { status }) if *status > 128 => Some(status - 128),
            Some(_) | None => None,
        }
    }

    /// Whether the script ran out of time.
    pub fn timed_out(&self) -> bool {
        matches!(self.hook, Some(HookOutcome::TimedOut { .. }))
    }

    /// The last line that was printed, as it was printed, in lower case.
    pub fn last_line(&self) -> Option<String> {
        self.output.last().map(|line| bare(line).to_lowercase())
    }
}

/// A line of output without the name of its stream.
pub(super) fn bare(line: &str) -> &str {
    line.strip_prefix("[stdout]").or_else(|| line.strip_prefix("[stderr]")).unwrap_or(line)
}
