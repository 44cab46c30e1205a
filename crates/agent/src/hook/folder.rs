//! The files of one hook's folder, through which agent and shim talk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::fsx;
use serde::{Deserialize, Serialize};

use super::HookReport;
use crate::lossless;

/// What to run: written by the agent, mode 0600 because it holds the environment, removed by the shim when it has read it.
pub(super) const COMMAND: &str = "command.json";
/// How it ended: written by the shim, once.
pub(super) const RESULT: &str = "result.json";
/// What runs: written by the shim, removed when the script has ended.
pub(super) const RUNNING: &str = "running.json";
/// Locked from before the shim starts until it has written the result or is dead.
pub(super) const LOCK: &str = "shim.lock";
/// What a shim says when it cannot do its work, and, after [`DEBUG`], why the host offers it less than it could use.
pub(super) const SHIM_LOG: &str = "shim.log";
/// How a line of [`SHIM_LOG`] begins that is no reason for anything.
pub(super) const DEBUG: &str = "debug: ";
/// The bytes of the script's output, from the first escape sequence on.
pub(super) const OUTPUT: &str = "output.raw";

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
    /// The boot of the host: all these numbers mean nothing in another one.
    pub(super) boot: String,
    /// The cgroup of everything that the script started.
    pub(super) cgroup: Option<CgroupDir>,
    /// How long the process tree has between TERM and KILL.
    pub(super) grace: Duration,
    /// Where its output begins in `scripts.log`.
    pub(super) output: Option<Position>,
}

/// The folder of a cgroup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CgroupDir(#[serde(with = "lossless::path")] pub(super) PathBuf);

/// A place in a log that may have been rotated since.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Position {
    /// The log's path.
    #[serde(with = "lossless::path")]
    pub(super) log: PathBuf,
    /// The file that was the log.
    pub(super) inode: u64,
    /// How many bytes of it come before.
    pub(super) offset: u64,
}

impl Running {
    /// What is known to run in this folder.
    pub(super) fn read(dir: &Path) -> Option<Running> {
        serde_json::from_slice(&fs::read(dir.join(RUNNING)).ok()?).ok()
    }
}

/// Tells this boot of the host from every other one; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The result, if there is one. Half of one is none: it was being written when the shim or the host went down.
pub(super) fn result(dir: &Path) -> io::Result<Option<HookReport>> {
    match fs::read(dir.join(RESULT)) {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
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
