//! Two marks of a group: the release that is *installed* (its files are on disk) and the last *good* one (it went through
//! its last event).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::bundle::BundlePath;
use longshore_core::digest::Sha256;
use longshore_core::fsx;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupId, GroupName};
use serde::{Deserialize, Serialize};

use crate::install::compat::Records;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::lossless;

/// A release that a deployment put on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// The application; unknown when the AWS agent installed it.
    pub application: Option<ApplicationName>,
    /// The group's name; unknown when the AWS agent installed it.
    pub group: Option<GroupName>,
    /// The commit, when the bundle says it.
    pub commit: Option<CommitHash>,
    /// The content digest.
    pub content_digest: Option<Sha256>,
    /// Where the revision stands unpacked.
    #[serde(with = "lossless::path")]
    pub archive: PathBuf,
    /// The appspec's name in the revision, when it is not one of the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appspec_name: Option<BundlePath>,
    /// When it was marked, RFC 3339; unknown when the AWS agent installed it.
    pub at: Option<String>,
    /// The id of the key that signed it, as far as somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// Where the bundle of a release was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// An archive, or the folder that it was unpacked to.
    pub path: PathBuf,
    /// What its contents must be; `None` for a folder, which scripts may have written to.
    pub content_digest: Option<Sha256>,
}

/// Why a mark could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what we wrote.
    #[error("`{path}` is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Writing failed.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The release whose files are on disk: ours, or the one that the AWS agent recorded last.
///
/// Whichever agent installed last has written AWS's record, so that record decides and ours adds what AWS does not keep.
pub fn installed(layout: &Layout, group: &GroupId) -> Result<Option<Release>, MarkError> {
    let ours = read(&layout.group(group).installed())?;
    let records = Records { dir: layout.instructions(), group: group.clone() };
    let theirs =
        records.last_successful_install().map_err(|source| MarkError::Read { path: layout.instructions(), source })?;
    let Some(deployment_root) = theirs else { return Ok(ours) };
    if let Some(release) = ours
        && layout.deployment(group, &release.deployment).path() == deployment_root
    {
        return Ok(Some(release));
    }
    Ok(recorded(&deployment_root))
}

/// The release that was fetched last, as the AWS agent's record names it; nothing but its folder is known.
pub fn most_recent(layout: &Layout, group: &GroupId) -> Result<Option<Release>, MarkError> {
    let records = Records { dir: layout.instructions(), group: group.clone() };
    let theirs =
        records.most_recent_install().map_err(|source| MarkError::Read { path: layout.instructions(), source })?;
    Ok(theirs.and_then(|deployment_root| recorded(&deployment_root)))
}

/// The release in the folder of a deployment that we know nothing else of.
fn recorded(deployment_root: &Path) -> Option<Release> {
    let deployment = deployment_root.file_name()?.to_str()?.parse().ok()?;
    let archive = deployment_root.join("deployment-archive");
    Some(Release {
        deployment,
        application: None,
        group: None,
        commit: None,
        content_digest: None,
        archive,
        appspec_name: None,
        at: None,
        signed_by: None,
    })
}

/// The last release that went through its last event.
pub fn good(layout: &Layout, group: &GroupId) -> Result<Option<Release>, MarkError> {
    read(&layout.group(group).good())
}

/// Where the bundle of a release was kept, as it was fetched if possible; `None` when nothing of it is there any more.
pub fn kept(layout: &Layout, group: &GroupId, release: &Release) -> Option<Kept> {
    let bundle = layout.deployment(group, &release.deployment).bundle();
    if bundle.exists() {
        return Some(Kept { path: bundle, content_digest: release.content_digest });
    }
    let archive = release.archive.clone();
    archive.is_dir().then_some(Kept { path: archive, content_digest: None })
}

/// Marks a release as installed. AWS's record is written by the install itself.
pub fn mark_installed(layout: &Layout, lock: &Lock, release: &Release) -> Result<(), MarkError> {
    write(&layout.group(&lock.group).installed(), release)
}

/// Marks a release as good.
pub fn mark_good(layout: &Layout, lock: &Lock, release: &Release) -> Result<(), MarkError> {
    write(&layout.group(&lock.group).good(), release)
}

fn read(path: &Path) -> Result<Option<Release>, MarkError> {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|source| MarkError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MarkError::Read { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, release: &Release) -> Result<(), MarkError> {
    let failed = |source| MarkError::Write { path: path.to_owned(), source };
    let json = serde_json::to_vec_pretty(release).map_err(|error| failed(error.into()))?;
    fsx::write_atomic(path, &json).map_err(failed)
}
