//! Files → deterministic zip.

use std::path::{Path, PathBuf};

use super::{BundlePath, Manifest};
use crate::digest::Sha256;
use crate::ids::{ApplicationName, CommitHash};

/// One file or link to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    /// Its path in the bundle.
    pub path: BundlePath,
    /// Where it stands on disk. A link is packed as a link.
    pub from: PathBuf,
}

/// What the manifest says beside the files, and how to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// Whether the work tree differed from the commit.
    pub dirty: bool,
    /// The time stamp of every entry, seconds since 1970; before 1980 means 1980-01-01.
    pub time: i64,
    /// How many threads compress; the bytes do not depend on it.
    pub threads: usize,
}

/// A packed bundle.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Bytes of the archive.
    pub size: u64,
    /// The digest of the archive file.
    pub archive_digest: Sha256,
    /// The manifest, content digest included.
    pub manifest: Manifest,
    /// What will surprise, one sentence each, for example a link that points outside.
    pub warnings: Vec<String>,
}

/// Why packing failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not written yet.
    #[error("cannot write bundle `{path}`")]
    Write {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Packs `files` into a new zip at `to`, wholly or not at all. Order and duplicates of `files` do not matter to the bytes.
pub fn pack(
    files: Vec<PackFile>,
    options: &PackOptions,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Packed, PackError> {
    let _ = (files, options, progress);
    Err(PackError::Write { path: to.to_owned(), source: std::io::Error::other("not written yet") })
}
