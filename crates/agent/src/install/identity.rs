//! What tells a file or folder from every other one that stands at its path before or after it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A file, link or folder on one file system. A rename and a second name change nothing of it.
///
/// Without the device: many file systems get another number after a reboot. What is compared stands in one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The inode. Its number is given anew, often at once, when what had it is deleted.
    inode: u64,
    /// When it was made; `None`: the file system does not say.
    born: Option<SystemTime>,
}

impl Identity {
    /// Of what stands at a path; links are not followed.
    pub(super) fn at(path: &Path) -> io::Result<Option<Identity>> {
        match path.symlink_metadata() {
            // A file system that has only room for it says 1970, and JSON has nothing earlier.
            Ok(metadata) => Ok(Some(Identity {
                inode: metadata.ino(),
                born: metadata.created().ok().filter(|born| *born > SystemTime::UNIX_EPOCH),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether both are one and the same, as far as can be known: another kernel may not say when it was made.
    pub(super) fn is(self, other: Identity) -> bool {
        self.inode == other.inode && self.born.zip(other.born).is_none_or(|(one, other)| one == other)
    }
}
