//! Reads what a running hook adds to `scripts.log`, for an agent that did not start it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::folder::Position;
use super::{HookReport, Stream, escape};

/// How much is looked at in one go; of more than that only the end is.
const MOST: u64 = 256 * 1024;
/// How long a time stamp is, the space after it included.
const STAMP: usize = 20;

/// A place in the log that moves on.
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    partial: Vec<u8>,
}

impl Tail {
    /// Begins at this place, also when its file has been renamed since.
    pub(super) fn new(position: &Position) -> Tail {
        let open = |path: PathBuf| {
            let mut file = File::open(path).ok()?;
            let is_it = file.metadata().is_ok_and(|metadata| metadata.ino() == position.inode);
            (is_it && file.seek(SeekFrom::Start(position.offset)).is_ok()).then_some(file)
        };
        let old = (1..=super::shim::ROTATED).map(|number| super::shim::rotated(&position.log, number));
        let file = std::iter::once(position.log.clone()).chain(old).find_map(open);
        Tail { path: position.log.clone(), file, partial: Vec::new() }
    }

    /// Passes on the lines of scripts that have come since.
    pub(super) fn read(&mut self, on_line: &mut dyn FnMut(Stream, &str)) {
        loop {
            if let Some(file) = &mut self.file {
                // A log that cannot be read shows nothing; the report has its end.
                let _ = read(file, &mut self.partial, on_line);
            }
            let current = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|metadata| metadata.ino());
            match fs::metadata(&self.path) {
                // Rotated: what came after stands in the new one. Several at once are skipped.
                Ok(metadata) if Some(metadata.ino()) != current => self.file = File::open(&self.path).ok(),
                Ok(_) | Err(_) => return,
            }
            self.partial.clear();
            if self.file.is_none() {
                return;
            }
        }
    }
}

fn read(file: &mut File, partial: &mut Vec<u8>, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<()> {
    let (place, end) = (file.stream_position()?, file.metadata()?.len());
    let is_much = end.saturating_sub(place) > MOST;
    if is_much {
        partial.clear();
        file.seek(SeekFrom::Start(end - MOST))?;
    }
    let before = partial.len();
    file.take(MOST).read_to_end(partial)?;
    let Some(last) = partial[before..].iter().rposition(|byte| *byte == b'\n').map(|at| before + at) else {
        return Ok(());
    };
    let rest = partial.split_off(last + 1);
    // After a leap the first line is the rest of one.
    for line in partial.split(|byte| *byte == b'\n').skip(usize::from(is_much)) {
        if let Some((stream, text)) = script_line(line) {
            on_line(stream, &escape::for_people(text, HookReport::LINE_CHARS));
        }
    }
    *partial = rest;
    Ok(())
}

/// A line of the log that a script printed.
fn script_line(line: &[u8]) -> Option<(Stream, &[u8])> {
    let text = line.get(STAMP..)?;
    let stdout = text.strip_prefix(b"[stdout]").map(|text| (Stream::Stdout, text));
    stdout.or_else(|| text.strip_prefix(b"[stderr]").map(|text| (Stream::Stderr, text)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_seen_once_from_the_place_on_and_across_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("scripts.log");
        let stamp = "2026-11-21 10:15:00 ";
        let mut file = File::create(&log).unwrap();
        writeln!(file, "{stamp}[stdout]before").unwrap();
        let metadata = file.metadata().unwrap();
        let position = Position { log: log.clone(), inode: metadata.ino(), offset: metadata.len() };
        write!(file, "{stamp}[stdout]one\n{stamp}Longshore - ours\n{stamp}[stderr]t\u{1b}wo\n{stamp}[stdo").unwrap();
        fs::rename(&log, super::super::shim::rotated(&log, 1)).unwrap();
        let mut tail = Tail::new(&position);
        let mut seen = Vec::new();
        let mut read = |tail: &mut Tail| {
            tail.read(&mut |stream, line| seen.push((stream, line.to_owned())));
            std::mem::take(&mut seen)
        };
        let line = |stream, text: &str| (stream, text.to_owned());
        assert_eq!(read(&mut tail), [line(Stream::Stdout, "one"), line(Stream::Stderr, "two")]);
        writeln!(file, "ut]three").unwrap();
        fs::write(&log, format!("{stamp}[stdout]four\n")).unwrap();
        assert_eq!(read(&mut tail), [line(Stream::Stdout, "three"), line(Stream::Stdout, "four")]);
        assert_eq!(read(&mut tail), []);
        let flood = format!("{stamp}[stdout]flood\n").repeat(MOST as usize / 10);
        File::options().append(true).open(&log).unwrap().write_all(flood.as_bytes()).unwrap();
        let lines = read(&mut tail);
        assert_eq!(lines.len(), MOST as usize / 34);
        assert!(lines.iter().all(|seen| *seen == line(Stream::Stdout, "flood")));
    }
}
