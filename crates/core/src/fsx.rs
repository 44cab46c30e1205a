//! The few file operations that must survive a crash. Nothing else in the project renames state files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance;

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

/// A name beside `path` that nobody else uses, also not a process of the same number on another host or in another
/// container that shares the folder.
pub fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let chance = chance::bits() as u32;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // 255 bytes is the limit of a file name; a long name is cut, the number keeps it unique.
    let cut = name.floor_char_boundary(180);
    parent(path).join(format!(".{}.longshore-{}-{count}-{chance:08x}", &name[..cut], std::process::id()))
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
    fn a_temporary_name_differs_by_more_than_process_and_count() {
        let chance = || temporary_beside(Path::new("x")).to_str().unwrap().rsplit('-').next().unwrap().to_owned();
        assert_ne!(chance(), chance());
    }

    #[test]
    fn a_temporary_name_holds_what_a_file_system_takes_of_the_name() {
        for (name, kept) in
            [("a.zip", "a.zip"), (&"n".repeat(255), &"n".repeat(180)), (&"é".repeat(91), &"é".repeat(90))]
        {
            let temporary = temporary_beside(&Path::new("dir").join(name));
            let text = temporary.file_name().unwrap().to_str().unwrap();
            assert!(text.starts_with(&format!(".{kept}.longshore-")) && text.len() < 255, "{text}");
        }
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
