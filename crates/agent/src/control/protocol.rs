//! What is said on the socket: one line of JSON asks, lines of JSON answer, and the agent closes. Values only.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use longshore_core::appspec::FileExists;
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure, causes};
use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::{Look, render};
use serde::{Deserialize, Serialize};

pub use super::pause::Paused;

use crate::daemon::shared::SourceState;
use crate::deployment::order::{OnFailure, Revision, StopFrom};

/// What is asked. The first line of a connection, at most 64 KiB; who closes the connection wants no more answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Which version runs: [`Answer::Version`].
    Version,
    /// What it does: [`Answer::Status`].
    Status,
    /// What scripts printed: [`Answer::Found`], [`Answer::Log`]…, [`Answer::Done`].
    Logs(Logs),
    /// Leave new orders where they are: [`Answer::Paused`].
    Pause,
    /// Take new orders again: [`Answer::Resumed`].
    Resume,
    /// Deploy, unless the group is worked on: [`Answer::Accepted`], [`Answer::Event`]…, [`Answer::Done`].
    Deploy(Box<Deploy>),
}

/// Whose output is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The deployment; else the latest of the groups that are meant.
    pub deployment: Option<DeploymentId>,
    /// Only groups of this name.
    pub group: Option<GroupName>,
    /// Only this application.
    pub application: Option<ApplicationName>,
    /// Only this group.
    pub group_id: Option<GroupId>,
    /// Whether to go on until the deployment ends.
    #[serde(default)]
    pub follow: bool,
}

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// What; a path has to be absolute.
    pub revision: Revision,
    /// The group.
    pub group: GroupName,
    /// The application; else what the bundle says.
    #[serde(default)]
    pub application: Option<ApplicationName>,
    /// The group's id; else that of application and group.
    #[serde(default)]
    pub group_id: Option<GroupId>,
    /// The deployment's id; else a fresh one.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// Events whose scripts are left out.
    #[serde(default)]
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release; else those of the installed revision.
    #[serde(default)]
    pub stop_from: Option<StopFrom>,
    /// What to do about files in the way; else the deployment is refused.
    #[serde(default)]
    pub file_exists: Option<FileExists>,
    /// The content digest that the bundle must have.
    #[serde(default)]
    pub digest: Option<Sha256>,
    /// What follows a failure; else what the settings say.
    #[serde(default)]
    pub on_failure: Option<OnFailure>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The version of the agent.
    Version {
        /// The version.
        version: String,
    },
    /// What it does.
    Status(Box<Status>),
    /// New orders are left where they are.
    Paused {
        /// Who asked for it, and when.
        #[serde(flatten)]
        paused: Paused,
        /// Whether that was so before.
        already: bool,
    },
    /// New orders are taken.
    Resumed {
        /// Whether that was so before.
        already: bool,
    },
    /// The deployment whose output follows.
    Found {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Whole lines of output.
    Log {
        /// The lines, with their ends.
        text: String,
    },
    /// The deployment will be carried out.
    Accepted {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Something happened in it.
    Event {
        /// The line for people, if there is one.
        text: Option<String>,
        /// The event, as in `events.jsonl`.
        event: serde_json::Value,
    },
    /// That was all, and it is well.
    Done,
    /// The agent ends; the next one goes on with what is under way.
    Ending,
    /// It is refused, or it failed.
    Failed(Refusal),
}

/// What the agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it began, RFC 3339.
    pub since: String,
    /// Its root.
    pub root: String,
    /// Whether new orders are left where they are.
    pub paused: Option<Paused>,
    /// How each source of orders is.
    pub sources: BTreeMap<String, SourceState>,
    /// The groups that are worked on.
    pub busy: Vec<GroupId>,
    /// What is installed, as `status --output json` says it.
    pub groups: Vec<serde_json::Value>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_text: Option<String>,
}

/// A failure on its way over the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The exit code.
    pub exit_code: u8,
    /// What.
    pub message: String,
    /// Why, the nearest first.
    pub causes: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// Problems in files, for people.
    pub problems: String,
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Refusal {
        Refusal {
            exit_code: failure.exit as u8,
            message: failure.error.to_string(),
            causes: causes(&*failure.error).map(ToString::to_string).collect(),
            hints: failure.hints.clone(),
            problems: render(&failure.problems, Look::Plain),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let causes = refusal.causes.into_iter().rev();
        let cause = causes.fold(None, |cause, message| Some(Box::new(Told { message, cause })));
        let failure = Failure::new(exit(refusal.exit_code), Told { message: refusal.message, cause });
        Failure { hints: refusal.hints, ..failure }
    }
}

/// An error that another process had.
#[derive(Debug)]
struct Told {
    message: String,
    cause: Option<Box<Told>>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

fn exit(code: u8) -> Exit {
    let known = [
        Exit::Usage,
        Exit::Invalid,
        Exit::Conflict,
        Exit::HookFailed,
        Exit::InstallFailed,
        Exit::NotFound,
        Exit::BadBundle,
        Exit::Busy,
        Exit::Unavailable,
        Exit::DeploymentFailed,
        Exit::TimedOut,
    ];
    known.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Exit::Failed)
}
