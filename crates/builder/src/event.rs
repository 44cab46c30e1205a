//! What happens while a command runs. `display` turns each into a line; nothing else speaks.

use std::path::PathBuf;
use std::time::Duration;

use longshore_core::ids::CommitHash;

use crate::commit::Origin;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Appspec, scripts, compose files and the plan were checked.
    Checked {
        /// The appspec, below the source folder.
        appspec: String,
        /// Files and links that would be packed.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Problems that stop a deployment.
        errors: usize,
        /// Problems that do not.
        warnings: usize,
    },
    /// The commit was chosen.
    Named {
        /// The commit.
        commit: CommitHash,
        /// Where it was read.
        origin: Origin,
    },
    /// Something will surprise.
    Warned(String),
    /// Packing began.
    Packing {
        /// Bytes of all files.
        bytes: u64,
    },
    /// More bytes of the files were packed.
    PackedMore(u64),
    /// Packing ended.
    Packed {
        /// Files and links.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Bytes of the archive.
        size: u64,
        /// How long it took.
        took: Duration,
    },
    /// An artifact of that name stood there already.
    Replaced {
        /// The artifact.
        path: PathBuf,
        /// Whether it had the same bytes.
        same: bool,
    },
    /// A bundle was opened and every digest in it is right.
    Verified {
        /// The bundle.
        path: PathBuf,
        /// Files and links.
        files: usize,
    },
    /// An upload began.
    Publishing {
        /// Where to.
        url: String,
        /// Bytes of the archive.
        size: u64,
    },
    /// So many bytes are stored.
    Stored(u64),
    /// The upload ended.
    Published {
        /// Where the artifact is.
        url: String,
        /// Whether it was there before.
        already: bool,
    },
    /// A starter file was written.
    Wrote(String),
    /// A starter file exists and was left alone.
    Kept(String),
}
