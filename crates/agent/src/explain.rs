//! Why a deployment ended as it did, and what to type next.
//!
//! [`story`] replays its journal (pure), [`rules`] knows what usually is the matter, [`causes`] ranks what fits the [`evidence`] (pure),
//! [`remedy`] fills in the commands, [`read`] looks at the host and joins them. Nothing here is changed or guessed: where no
//! rule fits, there is no cause, and the reader is told so.

pub mod causes;
pub mod evidence;
pub mod read;
pub mod remedy;
pub mod rules;
pub mod story;

use std::path::PathBuf;

use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use serde::Serialize;

use crate::deployment::journal::Outcome;
use crate::deployment::order::Cause;
use crate::hook::diagnostics::Diagnostics;
use crate::hook::{HookOutcome, Process};
use crate::release::Release;
use story::EventRun;

/// Everything that is known of a deployment.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: GroupName,
    /// The group's id.
    pub group_id: GroupId,
    /// Where the revision came from.
    pub revision: String,
    /// The commit, when the bundle says it.
    pub commit: Option<CommitHash>,
    /// The content digest, once it was known.
    pub content_digest: Option<Sha256>,
    /// Why it was ordered.
    #[serde(flatten)]
    pub cause: Cause,
    /// The version of the agent that took the order.
    pub agent: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When its last line was written, RFC 3339.
    pub updated: String,
    /// When it ended, RFC 3339; `None` while it has not.
    pub ended: Option<String>,
    /// From the one to the other, or until now while it is under way, milliseconds.
    pub elapsed_ms: Option<u64>,
    /// How often another agent went on with it.
    pub resumed: usize,
    /// Where it stands.
    pub standing: Standing,
    /// Why, in the words of the agent, unless it succeeded.
    pub reason: Option<String>,
    /// Its events, in order, and what each of them did.
    pub events: Vec<EventRun>,
    /// What failed, or was under way when its agent died.
    pub failed: Option<Failed>,
    /// What the host has now.
    pub now: Now,
    /// The likely causes, the likeliest first; empty when nobody knows, and when nothing is wrong.
    pub causes: Vec<Likely>,
    /// What else to type, whatever the cause.
    pub next: Vec<Next>,
    /// Where everything stands that was written down.
    pub logs: Logs,
    /// What of its journal cannot be read; all that came after it is missing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// Whether its release was good then.
        good: bool,
    },
    /// Somebody is at work on it.
    Running {
        /// Who: the process.
        holder: String,
    },
    /// Its agent was stopped or died, and nobody went on with it.
    Abandoned {
        /// The script that still runs, if one does.
        script: Option<String>,
    },
    /// It stands between two events, and the next one is for the service to ask for.
    Waiting,
    /// Its journal is damaged before its end.
    Unknown,
}

/// The step that failed, or that was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its event.
    pub event: LifecycleEvent,
    /// Whether it has ended.
    pub ended: bool,
    /// The script, when it was one.
    pub script: Option<FailedScript>,
    /// What went wrong, one sentence; more lines when there is more than one reason.
    pub message: Option<String>,
    /// What the AWS agent would report to the service.
    pub diagnostics: Option<Diagnostics>,
}

/// The script that failed, or that was running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedScript {
    /// As the appspec writes it.
    pub location: String,
    /// Which of the event's scripts, from 1.
    pub number: usize,
    /// How many scripts the event has.
    pub of: usize,
    /// Whose script it is.
    pub from: Option<ScriptsFrom>,
    /// The deployment whose revision it came from.
    pub from_deployment: Option<DeploymentId>,
    /// Its limit, seconds.
    pub timeout_s: Option<u64>,
    /// Whom it should run as; `None`: whoever ran the agent.
    pub user: Option<String>,
    /// How it ended.
    pub outcome: Option<HookOutcome>,
    /// How long it ran, milliseconds.
    pub duration_ms: Option<u64>,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
    /// What it left running.
    pub left_running: Vec<Process>,
    /// What it printed last, oldest first, as `[stdout]text` or `[stderr]text`.
    pub output: Vec<String>,
}

/// What the host has now.
#[derive(Debug, Clone, Serialize)]
pub struct Now {
    /// The release whose files are on disk.
    pub installed: Option<Release>,
    /// The last release that was good.
    pub good: Option<Release>,
    /// The deployment that brought the last good release back because this one failed, and how it ended.
    pub restored_by: Option<Link>,
    /// The latest deployment of the group, when it is not this one, and how it ended.
    pub latest: Option<Link>,
    /// What of this cannot be told, because a record is damaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
}

/// Another deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Which.
    pub deployment: DeploymentId,
    /// How it ended; `None`: it did not, or nobody knows.
    pub outcome: Option<Outcome>,
}

/// A likely cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Likely {
    /// The name of its rule, which is the name of a section of `docs/guide/troubleshoot.md` too.
    pub cause: &'static str,
    /// What is the matter, one sentence.
    pub what: String,
    /// The line that says so, when one does.
    pub seen: Option<String>,
    /// What to change.
    pub fix: String,
    /// What to type.
    pub commands: Vec<String>,
}

/// Something to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// What for.
    pub purpose: Purpose,
    /// The command.
    pub command: String,
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Start the agent, which goes on with it.
    Start,
    /// Finish what was left unfinished.
    Resume,
    /// See what the script prints while it runs.
    Follow,
    /// Bring the last good release back.
    Rollback,
    /// Deploy the same again, when it is mended where it lies.
    Again,
    /// Deploy a bundle with the fix.
    Other,
    /// Deploy the same again, because the cause was no fault of its own.
    Same,
    /// Publish the fix to those who follow the group.
    Push,
    /// Have those who follow the group go back.
    Previous,
    /// See the deployment that came after it.
    Latest,
    /// Look for what else is wrong with the host.
    Doctor,
    /// See the deployment that restored the last good release.
    Restore,
}

/// Where everything stands that was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logs {
    /// What the scripts printed; `None`: nothing was written.
    pub scripts: Option<PathBuf>,
    /// What was done, step by step.
    pub journal: PathBuf,
    /// What was told.
    pub events: PathBuf,
}
