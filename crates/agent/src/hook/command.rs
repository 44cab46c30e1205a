//! Hook + context → program, environment, folder, user. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::lifecycle::LifecycleEvent;
use serde::{Deserialize, Serialize};

/// Everything a shim needs to run one script. Written to disk as JSON, so that a shim outlives the agent that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCommand {
    /// The event.
    pub event: LifecycleEvent,
    /// The script as the appspec writes it.
    pub location: String,
    /// The script on disk.
    pub script: PathBuf,
    /// The whole environment, agent's own included.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub cwd: PathBuf,
    /// Whom it runs as; `None`: as whoever runs the agent.
    pub user: Option<HookUser>,
    /// Whether the appspec asked for `sudo` and the agent is not root.
    pub sudo: bool,
    /// How long it may run.
    pub timeout: Duration,
    /// How long the process tree has between TERM and KILL.
    pub grace: Duration,
    /// `scripts.log` of the deployment.
    pub log: PathBuf,
    /// Whether this is the first script of its event, which writes the event's line to the log.
    pub first_of_event: bool,
}

/// A user, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookUser {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All group ids, the primary included.
    pub groups: Vec<u32>,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}
