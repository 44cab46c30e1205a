//! What the daemon has to say beside the events of its deployments.

use std::error::Error;

use longshore_core::failure::chain;
use serde::Serialize;

/// Something that happened to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// It began.
    Started {
        /// The version of the agent.
        version: String,
        /// The sources of orders, as people know them.
        sources: Vec<String>,
    },
    /// Something that can be lived with, and has to be known.
    Warned {
        /// What.
        message: String,
    },
    /// A source cannot be reached or refuses. Told once, and again when the reason changes.
    SourceLost {
        /// The source.
        source: String,
        /// Why, with its causes.
        reason: String,
        /// After how long it is tried again, seconds.
        retry_s: u64,
    },
    /// A source answers again.
    SourceBack {
        /// The source.
        source: String,
    },
    /// The CodeDeploy service sent a command again.
    CommandAgain {
        /// Its id.
        command: String,
    },
    /// What the CodeDeploy service is to be told of a command does not reach it yet.
    AnswerKept {
        /// The command's id.
        command: String,
        /// Its event.
        event: String,
        /// Why, with its causes.
        reason: String,
    },
    /// A command of the CodeDeploy service cannot be carried out as it is; the service is told so.
    CommandRefused {
        /// Its id.
        command: String,
        /// Its event.
        event: String,
        /// Why, with its causes.
        reason: String,
    },
    /// The CodeDeploy service does not take the result of a command.
    ResultRefused {
        /// The command's id.
        command: String,
        /// Its event.
        event: String,
        /// Why, with its causes.
        reason: String,
    },
    /// Somebody on the host ordered a deployment.
    Ordered {
        /// Who.
        by: String,
        /// The deployment.
        deployment: String,
        /// What is deployed.
        revision: String,
    },
    /// New orders are left where they are from now on.
    Paused {
        /// Who asked for it.
        by: String,
    },
    /// New orders are taken again.
    Unpaused {
        /// Who asked for it.
        by: String,
    },
    /// It was asked to end, and leaves what runs to the next one.
    Stopping {
        /// The deployments that are handed over.
        handed_over: Vec<String>,
    },
    /// It ended.
    Stopped,
}

/// An error and its causes in one line, and what to do about it.
pub fn with_hint(error: &dyn Error, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{hint}", chain(error))
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// Takes a notice. Must not fail.
    fn tell(&self, notice: &Notice);
}
