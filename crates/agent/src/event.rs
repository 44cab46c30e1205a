//! What happens during a deployment, for whoever watches: the screen, `--output json`, `events.jsonl`.
//!
//! Read this first: every word the user sees comes from one of these.

use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::signature::Signed;
use serde::Serialize;

use crate::deployment::journal::Outcome;
use crate::deployment::order::Cause;
use crate::deployment::plan::Idle;
use crate::hook::{HookReport, Stream};

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The deployment began.
    DeploymentStarted {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
        /// Where the revision comes from.
        revision: String,
        /// The events to come, in order.
        events: Vec<LifecycleEvent>,
        /// Why it was ordered.
        #[serde(flatten)]
        cause: Cause,
    },
    /// A deployment that an earlier agent began goes on.
    DeploymentResumed {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
        /// The events to come, in order.
        events: Vec<LifecycleEvent>,
        /// The event in which it stopped, when it had begun one.
        during: Option<LifecycleEvent>,
    },
    /// An earlier deployment of the group was found unfinished, and closed.
    EarlierClosed {
        /// That deployment.
        earlier: DeploymentId,
        /// In which event it stopped, when its journal says so.
        during: Option<LifecycleEvent>,
    },
    /// Bytes are coming in.
    Fetching {
        /// Bytes so far.
        bytes: u64,
    },
    /// The bundle is here, verified and unpacked.
    Fetched {
        /// Its content digest.
        content_digest: Sha256,
        /// Its commit, when it says one.
        commit: Option<CommitHash>,
        /// Number of files and links.
        files: usize,
        /// Bytes of the archive, when it is one.
        bytes: Option<u64>,
        /// Bytes of it that an earlier archive of the host had, so that they were not fetched.
        #[serde(default, skip_serializing_if = "is_none")]
        reused: u64,
        /// Milliseconds since the deployment began.
        elapsed_ms: u64,
    },
    /// Something that can be lived with, and will surprise.
    Warning {
        /// What.
        message: String,
    },
    /// A lifecycle event began.
    EventStarted {
        /// The event.
        event: LifecycleEvent,
    },
    /// A lifecycle event had nothing to do.
    EventSkipped {
        /// The event.
        event: LifecycleEvent,
        /// Why.
        reason: Idle,
    },
    /// A script began.
    HookStarted {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        script: String,
        /// Whose script it is.
        from: ScriptsFrom,
        /// The deployment whose revision it comes from.
        from_deployment: DeploymentId,
        /// Which of the event's scripts, from 1.
        number: usize,
        /// How many scripts the event has.
        of: usize,
        /// Its limit, seconds.
        timeout_s: u64,
        /// Whom it runs as; `None`: whoever runs the agent.
        user: Option<String>,
    },
    /// A script was found that an earlier agent had started: it still runs, or its result is waiting.
    HookFound {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        script: String,
        /// Whether it still runs.
        running: bool,
    },
    /// A script printed a line. May be left out when there are too many; `scripts.log` has them all.
    HookOutput {
        /// From which output.
        stream: Stream,
        /// The line.
        line: String,
    },
    /// A script ended.
    HookFinished {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        script: String,
        /// How, and its last lines.
        #[serde(flatten)]
        report: HookReport,
    },
    /// Files are being written beside their destinations.
    Installing {
        /// Files and links so far.
        files: usize,
        /// Files and links in all.
        of: usize,
    },
    /// Files were installed.
    Installed {
        /// Files and links that are new.
        created: usize,
        /// Files and links that took another's place.
        replaced: usize,
        /// Files that were left as they are (`RETAIN`).
        retained: usize,
        /// Paths of the old release that went away.
        removed: usize,
        /// Bytes written.
        bytes: u64,
        /// How long a reader could meet files of both releases: from the first rename to the last, milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        visible_ms: Option<u64>,
        /// How long in all, milliseconds.
        elapsed_ms: u64,
    },
    /// A lifecycle event was done.
    EventFinished {
        /// The event.
        event: LifecycleEvent,
        /// How long, milliseconds.
        elapsed_ms: u64,
    },
    /// A lifecycle event failed. The deployment ends.
    EventFailed {
        /// The event.
        event: LifecycleEvent,
        /// What failed, one sentence.
        message: String,
        /// The script that failed, if it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        script: Option<String>,
        /// The code the AWS agent would report.
        code: u8,
    },
    /// The deployment ended. Always the last.
    DeploymentFinished {
        /// How.
        outcome: Outcome,
        /// Why it was ordered.
        #[serde(flatten)]
        cause: Cause,
        /// Why, unless it succeeded.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What the group runs by our records now, if anything is installed.
        #[serde(skip_serializing_if = "Option::is_none")]
        installed: Option<DeploymentId>,
        /// What was done to bring the last good release back, if it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        restored: Option<Restored>,
        /// How long, milliseconds.
        elapsed_ms: u64,
    },
    /// The revision is signed by a key that this host accepts. Comes before the bundle is unpacked.
    SignatureVerified {
        /// The key, and what the signer said.
        #[serde(flatten)]
        signed: Signed,
    },
}

/// The last good release was to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The deployment that restored it.
    pub by: DeploymentId,
    /// The deployment that had brought it.
    pub to: DeploymentId,
    /// Whether it is back and was started.
    pub succeeded: bool,
}

/// Nothing worth saying.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}
