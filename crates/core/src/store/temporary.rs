//! A file in the making: it has a temporary name beside its place, and is gone when nobody finishes it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fsx;

/// The temporary name. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// A name beside `place`. Creates nothing.
    pub(super) fn beside(place: &Path) -> Temporary {
        Temporary { path: fsx::temporary_beside(place) }
    }

    /// The temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, replacing what stands there.
    pub(super) fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; other failures have been reported by whoever wrote the file.
        let _ = fs::remove_file(&self.path);
    }
}
