//! `output.raw`: what a script printed, byte for byte, for output that the logs show without its escape sequences.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::log::{HEAD, TAIL};
use crate::hook::escape::ESC;

/// Written from the first piece of output that has an escape sequence: what came before stands in `scripts.log` as it was.
pub(super) struct Raw {
    path: PathBuf,
    file: Option<File>,
    room: u64,
    tail: VecDeque<u8>,
    left_out: u64,
    error: Option<io::Error>,
}

impl Raw {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf) -> Raw {
        Raw { path, file: None, room: HEAD, tail: VecDeque::new(), left_out: 0, error: None }
    }

    /// Why the file is not whole.
    pub(super) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// A piece of output as it was read.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.error.is_some() || self.file.is_none() && !bytes.contains(&ESC) {
            return;
        }
        if let Err(error) = self.write(bytes) {
            self.error = Some(error);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::options().append(true).create_new(true).mode(0o600).open(&self.path)?),
        };
        let fitting = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        let (now, later) = bytes.split_at(fitting);
        file.write_all(now)?;
        self.room -= fitting as u64;
        self.tail.extend(later);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.left_out += excess as u64;
        Ok(())
    }

    /// The output has ended: writes the tail.
    pub(super) fn finish(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        let Some(file) = &mut self.file else { return };
        let note = match std::mem::take(&mut self.left_out) {
            0 => String::new(),
            left_out => format!("\n[{left_out} bytes left out]\n"),
        };
        let (front, back) = tail.as_slices();
        if let Err(error) = [note.as_bytes(), front, back].into_iter().try_for_each(|bytes| file.write_all(bytes)) {
            self.error.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_over_the_limit_loses_its_middle_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.raw");
        let mut raw = Raw::new(path.clone());
        raw.take(b"before");
        assert!(!path.exists());
        raw.room = 5;
        raw.take(b"\x1b[1m\xffxyz");
        raw.take(&vec![b'-'; TAIL]);
        raw.finish();
        let expected = [&b"\x1b[1m\xff\n[3 bytes left out]\n"[..], &vec![b'-'; TAIL]].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }
}
