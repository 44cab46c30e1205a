//! A log that several shims may append to at once, and that starts anew when it is full. Never waits for anybody.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A log of limited size.
pub(super) struct Rotated {
    path: PathBuf,
    /// A file this large is renamed before more is written.
    pub(super) limit: u64,
    /// The number of the newest renamed file.
    first: u32,
    /// How many renamed files are kept.
    keep: u32,
    /// The first line of a new file.
    header: fn() -> String,
    file: Option<File>,
    /// Whether its folder was there once. A folder that is gone since was removed on purpose, and what comes is dropped.
    was_open: bool,
}

impl Rotated {
    /// A log that is opened with the first write; its folder is made when it is missing.
    pub(super) fn new(path: &Path, limit: u64, first: u32, keep: u32, header: fn() -> String) -> Rotated {
        Rotated { path: path.to_owned(), limit, first, keep, header, file: None, was_open: false }
    }

    /// Appends these whole lines; drops them when the log's folder was removed after the log was opened.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let was_open = self.was_open;
        match self.current() {
            Ok(Some(file)) => file.write_all(lines),
            Ok(None) => Err(io::Error::other("it is being replaced all the time")),
            Err(error) if was_open && error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The file that now has the log's name: its inode, and how much is in it.
    pub(super) fn place(&mut self) -> Option<(u64, u64)> {
        let metadata = self.current().ok()??.metadata().ok()?;
        Some((metadata.ino(), metadata.len()))
    }

    fn current(&mut self) -> io::Result<Option<&mut File>> {
        // Others may rename in between, but not for ever.
        for _ in 0..10 {
            let file = match self.file.take() {
                Some(file) => file,
                None => self.open()?,
            };
            self.was_open = true;
            match fs::metadata(&self.path) {
                Ok(named) if named.ino() == file.metadata()?.ino() => {
                    if named.len() < self.limit || !self.rotate(&file) {
                        return Ok(Some(self.file.insert(file)));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn open(&self) -> io::Result<File> {
        match self.open_or_create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.was_open => {
                self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
                self.open_or_create()
            }
            opened => opened,
        }
    }

    fn open_or_create(&self) -> io::Result<File> {
        match self.create() {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().append(true).create(true).open(&self.path)
            }
            created => created,
        }
    }

    fn create(&self) -> io::Result<File> {
        let mut file = File::options().append(true).create_new(true).open(&self.path)?;
        file.write_all((self.header)().as_bytes())?;
        Ok(file)
    }

    /// Renames the full file. Not when somebody else is at it, or when it cannot be: then this write is still for the
    /// full one.
    fn rotate(&self, file: &File) -> bool {
        if file.try_lock().is_err() {
            return false;
        }
        let is_renamed = self.rename(file).is_ok();
        let _ = file.unlock();
        is_renamed
    }

    fn rename(&self, file: &File) -> io::Result<()> {
        // Locked is the file, not the name: it may have been renamed just before.
        if fs::metadata(&self.path)?.ino() != file.metadata()?.ino() {
            return Ok(());
        }
        for number in (self.first..self.first + self.keep - 1).rev() {
            match fs::rename(rotated(&self.path, number), rotated(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, rotated(&self.path, self.first))
    }
}

/// The name of a renamed log.
pub(in crate::hook) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(path: &Path, numbers: std::ops::Range<u32>) -> Vec<String> {
        let paths = std::iter::once(path.to_owned()).chain(numbers.map(|number| rotated(path, number)));
        paths.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
    }

    #[test]
    fn a_full_log_is_renamed_and_the_oldest_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/log");
        let mut log = Rotated::new(&path, 4, 0, 2, String::new);
        for line in ["aa\n", "bb\n", "cc\n", "dd\n", "ee\n", "ff\n", "gg\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(contents(&path, 0..3), ["gg\n", "ee\nff\n", "cc\ndd\n", ""]);
    }

    #[test]
    fn two_writers_follow_each_others_renaming_and_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let write = |name: char| {
            let mut log = Rotated::new(&path, 1000, 1, 1000, || "head\n".to_owned());
            for number in 0..2000 {
                log.append(format!("{name}{number}\n").as_bytes()).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| write('a'));
            write('b');
        });
        let all = contents(&path, 1..1000).into_iter().rev().collect::<String>();
        let mut found: Vec<&str> = all.lines().filter(|line| *line != "head").collect();
        let mut expected: Vec<String> =
            ['a', 'b'].iter().flat_map(|name| (0..2000).map(move |number| format!("{name}{number}"))).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_removed_log_is_made_again_with_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Rotated::new(&path, 1000, 1, 1, || "head\n".to_owned());
        log.append(b"one\n").unwrap();
        fs::remove_file(&path).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\ntwo\n");
    }

    #[test]
    fn a_removed_folder_does_not_come_back_with_what_is_printed_later() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("d-1");
        let mut log = Rotated::new(&folder.join("logs/scripts.log"), 1000, 1, 1, String::new);
        log.append(b"one\n").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for _ in 0..2 {
            log.append(b"two\n").unwrap();
            assert_eq!(log.place(), None);
        }
        assert!(!folder.exists());
        // Somebody who makes it again wants it.
        fs::create_dir_all(folder.join("logs")).unwrap();
        log.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(folder.join("logs/scripts.log")).unwrap(), "three\n");
    }
}
