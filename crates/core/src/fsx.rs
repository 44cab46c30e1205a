//! The few file operations that must survive a crash. Nothing else in the project renames state files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces `path` by `contents`, wholly or not at all: temporary file beside it, synced, renamed, folder synced.
pub fn write_atomic(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_dir(parent(path))
    })();
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A name beside `path` that nobody else in this process uses.
pub fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // 255 bytes is the limit of a file name; a long name is cut, the number keeps it unique.
    let cut = name.floor_char_boundary(180);
    parent(path).join(format!(".{}.longshore-{}-{count}", &name[..cut], std::process::id()))
}

/// Removes what writers of `path` left that did not live to its end. To be called when nobody writes it. What cannot be
/// removed stays: it is read by nobody.
pub fn remove_temporaries(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    for entry in fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let of = file_name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(".longshore-"));
        if of.is_some_and(|(of, _)| of == name) {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_atomic(&path, b"one, and longer").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_file_bears_the_whole_name_of_its_file_unless_that_is_long() {
        let name = |of: &str| {
            let temporary = temporary_beside(&Path::new("/x").join(of));
            let name = temporary.file_name().and_then(|name| name.to_str()).unwrap().to_owned();
            name.split_once(".longshore-").unwrap().0.to_owned()
        };
        for (of, expected) in [("dev-cleanup", ".dev-cleanup".to_owned()), ("é", ".é".to_owned())] {
            assert_eq!(name(of), expected);
        }
        assert_eq!(name(&"é".repeat(100)), format!(".{}", "é".repeat(90)));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write_atomic(&path, b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
