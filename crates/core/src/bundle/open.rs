//! zip, tar, tgz, or a folder → verified [`Bundle`]. Treats every archive as hostile.

use std::io;
use std::path::{Path, PathBuf};

use super::{BundlePath, Manifest};
use crate::digest::Sha256;

/// The format of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A zip file.
    Zip,
    /// An uncompressed tar file.
    Tar,
    /// A gzipped tar file.
    Tgz,
    /// A folder.
    Directory,
}

/// How much an archive may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub total: u64,
    /// Number of entries.
    pub entries: u64,
    /// Unpacked bytes for each packed byte, over the whole archive, beyond a first allowance.
    pub ratio: u64,
}

/// A verified bundle: names, sizes, checksums and, where there is a manifest, every digest were checked.
#[derive(Debug)]
pub struct Bundle {
    /// Where it stands.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The digest of the archive file; `None` for a folder.
    pub archive_digest: Option<Sha256>,
    /// The content digest, computed from the entries.
    pub content_digest: Sha256,
    /// Its manifest, if Longshore packed it.
    pub manifest: Option<Manifest>,
    /// Files, links and folders, sorted by path, leading folder stripped by the agent's rule, manifest included.
    pub entries: Vec<Entry>,
    /// What will surprise, one sentence each: setuid bits, links that point outside.
    pub warnings: Vec<String>,
}

/// One entry of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path after the leading folder was stripped.
    pub path: BundlePath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Bytes of a file; 0 otherwise.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file and the digest of its bytes.
    File(Sha256),
    /// A folder.
    Directory,
    /// A symbolic link and its target text.
    Link(String),
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Reading failed.
    #[error("cannot read bundle `{path}`")]
    Read {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Bundle {
    /// Reads and verifies an archive or a folder. Writes nothing.
    pub fn open(path: &Path, limits: &Limits) -> Result<Bundle, OpenError> {
        let _ = limits;
        Err(OpenError::Read { path: path.to_owned(), source: io::Error::other("not written yet") })
    }

    /// The bytes of one file, at most `limit` of them.
    pub fn read(&self, path: &BundlePath, limit: u64) -> Result<Option<Vec<u8>>, OpenError> {
        let _ = (path, limit);
        Ok(None)
    }

    /// Unpacks everything into `to`, which must not exist; its parent must. On failure nothing is left.
    pub fn unpack(&self, to: &Path) -> Result<(), OpenError> {
        let _ = to;
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { total: 32 << 30, entries: 1_000_000, ratio: 1000 }
    }
}
