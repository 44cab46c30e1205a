//! The files of one hook's folder, through which agent and shim talk.

use std::fs;
use std::io;
use std::path::Path;

use longshore_core::fsx;
use serde::{Deserialize, Serialize};

use super::HookReport;

/// What to run: written by the agent, mode 0600 because it holds the environment, removed when the script has ended.
pub(super) const COMMAND: &str = "command.json";
/// How it ended: written by the shim, once.
pub(super) const RESULT: &str = "result.json";
/// What runs: written by the shim, removed when the script has ended.
pub(super) const RUNNING: &str = "running.json";
/// Locked from before the shim starts until it has written the result or is dead.
pub(super) const LOCK: &str = "shim.lock";
/// What a shim says when it cannot do its work; empty as a rule.
pub(super) const SHIM_LOG: &str = "shim.log";

/// A script that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Running {
    /// The shim's process.
    pub(super) shim: i32,
    /// The script's process, process group and session.
    pub(super) pid: i32,
    /// When the kernel started that process, in its own ticks: tells it from a later process of the same number.
    pub(super) ticks: u64,
    /// When it started, RFC 3339.
    pub(super) started: String,
}

impl Running {
    /// What is known to run in this folder.
    pub(super) fn read(dir: &Path) -> Option<Running> {
        serde_json::from_slice(&fs::read(dir.join(RUNNING)).ok()?).ok()
    }
}

/// The result, if there is one.
pub(super) fn result(dir: &Path) -> io::Result<Option<HookReport>> {
    match fs::read(dir.join(RESULT)) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what nobody needs after the end. What cannot be removed stays; the folder is private.
pub(super) fn tidy(dir: &Path) {
    let _ = fs::remove_file(dir.join(COMMAND));
    let _ = fs::remove_file(dir.join(RUNNING));
    fsx::remove_temporaries(&dir.join(RESULT));
}

/// Now, as it stands in reports.
pub(super) fn now() -> String {
    jiff::Timestamp::now().to_string()
}
