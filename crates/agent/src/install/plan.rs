//! What Install will do, as a value: made by the planner, printed by `plan`, carried out by `execute`. Decides nothing.

use std::path::PathBuf;

use longshore_core::appspec::{Acl, Context};
use longshore_core::bundle::BundlePath;
use serde::{Deserialize, Serialize};

use super::listing::ItemKind;
use crate::lossless;

/// Everything that Install will do. Lists are in the order of the work. In JSON a path is a string, or a list of bytes when
/// it is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallPlan {
    /// Folders that belong to the release, ancestors first. Folders that stood before any release are not in it.
    pub directories: Vec<Directory>,
    /// Files and links, sorted by destination.
    pub copies: Vec<Copy>,
    /// Owner, mode, ACL and context of what is installed; each path once.
    pub permissions: Vec<PermissionChange>,
    /// Folders that stay and must become what a new one would be, as far as `permissions` say nothing; ancestors first.
    #[serde(default)]
    pub renewals: Vec<Renewal>,
    /// What only the previous release had, in the reverse order of its record.
    pub removals: Vec<Removal>,
    /// Folders of earlier releases that stay because something else is in them, in the order of the record.
    #[serde(with = "lossless::paths")]
    pub remembered: Vec<PathBuf>,
    /// Paths whose SELinux context the previous release recorded in the host's policy.
    #[serde(with = "lossless::paths")]
    pub contexts_before: Vec<PathBuf>,
    /// What may surprise, one sentence each without a full stop.
    pub notes: Vec<String>,
}

/// A folder of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The folder as the appspec names it.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// The same folder with all links above it resolved.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// What happens.
    pub action: DirectoryAction,
}

/// What happens to a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryAction {
    /// It is made.
    Create,
    /// It is made where the previous release installed a file or a link.
    Replace,
    /// The previous release made it; it stays.
    Keep,
}

/// A file or link of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The path in the archive.
    pub source: BundlePath,
    /// The destination as the appspec names it.
    #[serde(with = "lossless::path")]
    pub destination: PathBuf,
    /// The same with all links above its last part resolved.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// A file or a link; never a folder.
    pub kind: ItemKind,
    /// Permission bits in the archive, at most `0o7777`.
    pub mode: u32,
    /// Bytes of a file; 0 for a link.
    pub size: u64,
    /// What happens.
    pub action: CopyAction,
}

/// What happens to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyAction {
    /// Nothing stands there.
    Create,
    /// What stands there is replaced: it is the previous release's, or the deployment says `OVERWRITE`.
    Replace,
    /// What stands there stays, and ours is not installed: the deployment says `RETAIN`.
    Retain,
}

/// What becomes of one installed path after it is in place. In this order: owner, mode, ACL, context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionChange {
    /// The path as the appspec names it.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// The same with all links above its last part resolved.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// The new owner.
    pub owner: Option<Account>,
    /// The new group.
    pub group: Option<Account>,
    /// The new mode, at most `0o7777`.
    pub mode: Option<u32>,
    /// Entries of the new ACL; the base entries follow from the mode.
    pub acl: Option<Vec<Acl>>,
    /// The SELinux context.
    pub context: Option<Context>,
}

/// What a folder of the previous release gets that it would have if it were made now. Permissions come after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The folder as the appspec names it.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// The same with all links above its last part resolved.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// The new owner.
    pub owner: Option<Account>,
    /// The new group.
    pub group: Option<Account>,
    /// The new mode, at most `0o7777`.
    pub mode: Option<u32>,
    /// Whether it loses its ACL and the one for what is made in it.
    pub plain: bool,
}

/// A user or group of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name in the appspec.
    pub name: String,
    /// Its number.
    pub id: u32,
}

/// Something that only the previous release had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The path in its record.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// The same with all links above its last part resolved.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// Whether it is a folder, which is removed only if it is empty by then.
    pub directory: bool,
}
