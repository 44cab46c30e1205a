//! What a deployment will do, and what was looked at to decide it. Values only; [`super::planner`] decides.

mod blocker;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::appspec::{AppSpec, Hook};
use longshore_core::bundle::BundlePath;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::problem::Span;
use serde::{Deserialize, Serialize};

pub use blocker::Blocker;

use crate::hook::command::RunAs;
use crate::hook::fault::Fault;
use crate::install::conflict::Conflict;
use crate::install::plan::InstallPlan;
use crate::lossless;
use crate::release::Release;

/// A revision whose appspec was read.
#[derive(Debug)]
pub struct Revision {
    /// What it is, and where it stands (or will stand) unpacked.
    pub release: Release,
    /// Its appspec, or why there is none that can be used.
    pub appspec: Result<AppSpec, String>,
    /// The scripts that its appspec names and what stands in their place.
    pub scripts: BTreeMap<PathBuf, Script>,
    /// Scripts that could not be started.
    pub faults: BTreeMap<PathBuf, Fault>,
}

/// The revisions that a plan concerns.
#[derive(Debug, Clone, Copy)]
pub struct Revisions<'a> {
    /// The one being deployed.
    pub new: &'a Revision,
    /// The one that is installed.
    pub installed: Option<&'a Revision>,
    /// The one that was fetched last.
    pub most_recent: Option<&'a Revision>,
}

/// What stands where a script should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// A file with these permission bits.
    File(u32),
    /// A folder.
    Directory,
    /// Nothing.
    Missing,
}

/// What the plan needs to know beside the revisions.
#[derive(Debug)]
pub struct Surroundings {
    /// Whom the appspecs name in `runas`, resolved.
    pub users: BTreeMap<String, RunAs>,
    /// Whom the agent runs as.
    pub agent: Account,
    /// What the Install event would do, as decided from the disk as it is now.
    pub install: Result<InstallPlan, Vec<Conflict>>,
}

/// A user and its group, by name, or by number where the host has no name for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: String,
    /// Its primary group.
    pub group: String,
    /// The user's number.
    pub uid: u32,
}

/// What a deployment will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whom the agent runs as: the owner of what no entry of `permissions` gives to somebody else.
    pub agent: Account,
    /// What the new release will be.
    pub release: Release,
    /// The release that is installed now.
    pub installed: Option<Release>,
    /// The events, in order.
    pub events: Vec<PlannedEvent>,
    /// Why it cannot be carried out; empty when it can.
    pub blockers: Vec<Blocker>,
    /// What can be lived with, and will surprise.
    pub warnings: Vec<String>,
}

/// One event of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEvent {
    /// The event.
    pub event: LifecycleEvent,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// Whether scripts run before it, which may change what it finds.
    pub expected: bool,
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing, and why.
    Nothing {
        /// Why.
        reason: Idle,
    },
    /// Runs scripts.
    Hooks {
        /// Whose scripts.
        from: ScriptsFrom,
        /// The release they come from.
        revision: Box<Release>,
        /// The scripts, in order.
        hooks: Vec<PlannedHook>,
    },
    /// Records the revision, which was fetched and verified before the first event.
    Download {
        /// Number of files and links in it.
        files: usize,
    },
    /// Copies files and applies permissions.
    Install {
        /// What exactly; `None` when conflicts stand in the way that a script may still remove.
        plan: Option<Box<InstallPlan>>,
    },
}

/// Why an event does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// The appspec hangs no scripts on it.
    NoScripts,
    /// It takes its scripts from the installed revision, and there is none yet.
    FirstDeployment,
    /// The user left it out.
    LeftOut,
    /// The installed revision cannot be read, which blocks the deployment.
    Unreadable,
}

/// One script of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHook {
    /// The script as the appspec writes it.
    pub location: String,
    /// The script in the bundle.
    pub path: BundlePath,
    /// The script on disk.
    #[serde(with = "lossless::path")]
    pub script: PathBuf,
    /// Its limit, seconds.
    pub timeout_s: u64,
    /// Whom it runs as; `None`: whoever runs the agent.
    pub user: Option<String>,
    /// Whether it runs with `sudo`.
    pub sudo: bool,
    /// What is worth knowing, for example that it will be made executable.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan without the files of Install, which are decided again when it begins.
    pub fn outline(&self) -> Plan {
        let event = |planned: &PlannedEvent| PlannedEvent {
            event: planned.event.clone(),
            action: match &planned.action {
                Action::Install { .. } => Action::Install { plan: None },
                action @ (Action::Nothing { .. } | Action::Hooks { .. } | Action::Download { .. }) => action.clone(),
            },
            expected: planned.expected,
        };
        Plan {
            agent: self.agent.clone(),
            release: self.release.clone(),
            installed: self.installed.clone(),
            events: self.events.iter().map(event).collect(),
            blockers: self.blockers.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

impl PlannedHook {
    /// The entry of the appspec that it was planned from.
    pub fn hook(&self) -> Hook {
        Hook {
            script: self.path.clone(),
            location: self.location.clone(),
            timeout: Duration::from_secs(self.timeout_s),
            run_as: self.user.clone(),
            sudo: self.sudo,
            span: Span::default(),
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Idle::NoScripts => "no scripts in the appspec",
            Idle::FirstDeployment => "first deployment of this group, so no installed revision has scripts for it",
            Idle::LeftOut => "left out by `--skip`",
            Idle::Unreadable => "the installed revision cannot be read",
        })
    }
}
