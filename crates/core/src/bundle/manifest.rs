//! What a bundle says about itself: `.longshore/manifest.json`.

use serde::{Deserialize, Serialize};

use super::BundlePath;
use crate::digest::Sha256;
use crate::ids::{ApplicationName, CommitHash};

/// The manifest of a bundle. Its JSON is a pure function of the tree and the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// Who packed it.
    pub tool: Tool,
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// Whether the work tree differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// The time stamp of every entry, seconds since 1970: the commit's time, or 1980-01-01.
    pub time: i64,
    /// The content digest: see [`content_digest`].
    pub content_digest: Sha256,
    /// Every file and link, sorted by path, this file excepted.
    pub files: Vec<ManifestFile>,
}

/// A tool and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The program, `longshore`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The compressor, library, version and level: its bytes are part of the archive digest.
    pub compressor: String,
}

/// One file or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path.
    pub path: BundlePath,
    /// What it is.
    pub kind: FileKind,
    /// `0644` or `0755` for a file, `0777` for a link.
    pub mode: String,
    /// Bytes of the file, or of the link's target text.
    pub size: u64,
    /// The digest of the file's bytes, or of the link's target text.
    pub sha256: Sha256,
}

/// What an entry of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}
