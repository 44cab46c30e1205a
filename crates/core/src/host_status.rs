//! What one host says of a group that it follows, as an object in the group's store: `status/<application>/<group>/<host>.json`.
//! Only that host writes it. Values only.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};
use crate::lifecycle::LifecycleEvent;
use crate::pointer::Versioned;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// The largest object that is read, in bytes; what agents write is far smaller.
pub const LIMIT: u64 = 64 << 10;

/// Where all hosts of all groups stand, ending in `/`.
pub const ROOT: &str = "status/";

/// What one host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// The version of the format.
    pub format: u32,
    /// The host's name, as far as it can be part of a key; see [`host_name`].
    pub host: String,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: GroupName,
    /// The highest generation of the pointer that it has seen; 0 before the first.
    pub generation: u64,
    /// The deployment that it made, or makes, of that; `None` before the first.
    pub deployment: Option<DeploymentId>,
    /// The commit of that deployment.
    pub commit: Option<CommitHash>,
    /// How that deployment is.
    pub state: HostState,
    /// The lifecycle event that is under way, or in which it ended.
    pub event: Option<LifecycleEvent>,
    /// Why it failed or was refused, one line.
    pub reason: Option<String>,
    /// The script that failed, and its last lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_script: Option<FailedScript>,
    /// Whether the deployment did not come to its end because somebody stopped it; its state is then `failed`, or `refused` when
    /// it had not begun. Programs that do not know the field see only that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Whether the last good release was brought back after the deployment failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// What is installed now.
    pub installed: Option<InstalledRelease>,
    /// The version of the agent.
    pub agent: String,
    /// When this was written, RFC 3339.
    pub at: String,
    /// After how many seconds it is written again at the latest; a host that misses several is silent.
    pub heartbeat_s: u64,
}

/// How a deployment on a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// None was made yet.
    Idle,
    /// It is under way.
    Deploying,
    /// Every event succeeded.
    Succeeded,
    /// An event failed.
    Failed,
    /// It was refused before anything was changed.
    Refused,
    /// It was interrupted, and nobody knows how far a script got.
    Interrupted,
    /// The host takes no orders until somebody lets it (`longshore-agent control resume`).
    Paused,
    /// The agent was stopped.
    Stopped,
}

/// A script that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedScript {
    /// The script as the appspec writes it.
    pub script: String,
    /// The code the AWS agent would report.
    pub code: u8,
    /// Its last lines.
    pub last_lines: Vec<String>,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledRelease {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Its commit, when it says one.
    pub commit: Option<CommitHash>,
    /// Its content digest.
    pub content_digest: Option<Sha256>,
}

/// Why an object is not what a host says of itself.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It is no JSON, or lacks a field.
    #[error("cannot read what the host says")]
    Parse(#[source] serde_json::Error),
    /// A later agent wrote it.
    #[error("what the host says has format {0}; this program reads format {FORMAT}")]
    Format(u64),
    /// It is larger than what any host says.
    #[error("what the host says has {0} bytes; {LIMIT} are the most that is read")]
    TooLarge(u64),
}

impl HostStatus {
    /// Reads the object. A format of later programs is told from a damaged one.
    pub fn parse(contents: &[u8]) -> Result<HostStatus, StatusError> {
        match Versioned::format(contents).map_err(StatusError::Parse)? {
            format if format == u64::from(FORMAT) => serde_json::from_slice(contents).map_err(StatusError::Parse),
            format => Err(StatusError::Format(format)),
        }
    }

    /// The object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("text keys and a Vec as the sink cannot fail");
        json.push(b'\n');
        json
    }

    /// After how many seconds without a word a host counts as silent: three heartbeats.
    pub fn silent_after_s(&self) -> u64 {
        self.heartbeat_s.max(1).saturating_mul(3)
    }
}

/// The folder of a group's hosts, ending in `/`.
pub fn folder(application: &ApplicationName, group: &GroupName) -> String {
    format!("{ROOT}{application}/{group}/")
}

/// The key of a host's status.
pub fn key(application: &ApplicationName, group: &GroupName, host: &str) -> String {
    format!("{}{host}.json", folder(application, group))
}

/// A host's name as part of a key: what is not a letter, a digit, `.`, `_` or `-` becomes `-`, at most 100 characters.
pub fn host_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().take(100).map(|c| if fits(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "host".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_so_that_its_status_has_a_key() {
        assert_eq!(host_name("web-1.example.org"), "web-1.example.org");
        assert_eq!(host_name("arn:aws:ec2:eu-west-1:1:instance/i-0f"), "arn-aws-ec2-eu-west-1-1-instance-i-0f");
        assert_eq!(host_name("../.."), "-..");
        assert_eq!(host_name(""), "host");
    }
}
