//! An archive of this program that is at hand.

use std::path::PathBuf;

use longshore_core::bundle::Manifest;
use longshore_core::digest::Sha256;

/// What is published.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// The archive.
    pub(crate) path: PathBuf,
    /// Its digest.
    pub(crate) archive_digest: Sha256,
    /// Its manifest.
    pub(crate) manifest: Manifest,
}
