//! What a deployment group should run, as an object in a store: `groups/<application>/<group>.json`. Whoever publishes moves
//! it by compare-and-swap; agents follow it. Values only.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};

/// The version of the format.
pub const FORMAT: u32 = 1;

/// What a group should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The version of the format. A reader refuses one that it does not know.
    pub format: u32,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: GroupName,
    /// Counts every move of the pointer, from 1. An agent never follows one that is lower than what it has seen.
    pub generation: u64,
    /// The id of the deployment that every host of the group makes of it.
    pub deployment: DeploymentId,
    /// The artifact.
    pub revision: PointedRevision,
    /// Its commit.
    pub commit: CommitHash,
    /// Whether it was built from a work tree that differs from the commit.
    #[serde(default)]
    pub dirty: bool,
    /// The commit's time, seconds since 1970: which of two is newer.
    pub commit_time: i64,
    /// Whether it was moved to an older commit on purpose (`--allow-older`).
    #[serde(default)]
    pub older: bool,
    /// When it was moved, RFC 3339.
    pub at: String,
    /// Who moved it, `user@host` or what the CI system says of its job.
    pub by: String,
}

/// The artifact that a pointer names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointedRevision {
    /// Its key, relative to the prefix of the store that holds the pointer.
    pub key: String,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its version, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Bytes.
    pub size: u64,
    /// The content digest of the bundle, which agents demand.
    pub content_digest: Sha256,
}

/// The key of a group's pointer.
pub fn key(application: &ApplicationName, group: &GroupName) -> String {
    format!("groups/{application}/{group}.json")
}
