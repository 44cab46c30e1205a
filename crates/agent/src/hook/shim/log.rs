//! `scripts.log`: the AWS agent's format, with a limit. Knows nothing of processes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hook::Stream;

/// How much of one script's output the log takes from its start.
pub(super) const HEAD: u64 = 64 * 1024 * 1024;
/// How much of one script's output the log takes from its end when the start had no room for all of it.
pub(super) const TAIL: usize = 256 * 1024;

/// The log of a deployment, open for one script.
///
/// A log that cannot be written is no reason not to run or to stop a script; the first error is kept.
pub(super) struct ScriptsLog {
    file: Option<File>,
    pending: Vec<u8>,
    room: u64,
    tail: VecDeque<Vec<u8>>,
    tail_bytes: usize,
    cut: Cut,
    clock: Clock,
    error: Option<io::Error>,
}

#[derive(Default)]
struct Cut {
    lines: u64,
    bytes: u64,
}

impl ScriptsLog {
    /// Opens the log for appending; its folder is made when it is missing.
    pub(super) fn open(path: &Path) -> ScriptsLog {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let opened = folder.and_then(|()| File::options().append(true).create(true).open(path));
        let (file, error) = match opened {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        ScriptsLog {
            file,
            pending: Vec::new(),
            room: HEAD,
            tail: VecDeque::new(),
            tail_bytes: 0,
            cut: Cut::default(),
            clock: Clock::default(),
            error,
        }
    }

    /// Why the log is not whole, the first time it was noticed.
    pub(super) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// A line of our own, such as `Script - scripts/start.sh`. It never counts against the limit.
    pub(super) fn entry(&mut self, text: &str) {
        self.pending.extend_from_slice(self.clock.stamp());
        // An entry is one line, whatever a location or a reason contains.
        self.pending.extend(text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
        self.pending.push(b'\n');
    }

    /// A line of the script, without its line end.
    pub(super) fn line(&mut self, stream: Stream, line: &[u8]) {
        let tag: &[u8] = match stream {
            Stream::Stdout => b"[stdout]",
            Stream::Stderr => b"[stderr]",
        };
        let stamp = self.clock.stamp();
        let length = stamp.len() + tag.len() + line.len() + 1;
        let fits = self.cut.lines == 0 && self.tail.is_empty() && length as u64 <= self.room;
        if fits {
            self.room -= length as u64;
            write_line(&mut self.pending, stamp, tag, line);
            return;
        }
        let mut entry = Vec::new();
        self.tail_bytes += length;
        while self.tail_bytes > TAIL {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.len();
            self.cut.lines += 1;
            self.cut.bytes += oldest.len() as u64;
            entry = oldest;
        }
        entry.clear();
        write_line(&mut entry, stamp, tag, line);
        self.tail.push_back(entry);
    }

    /// Hands everything but the tail to the operating system.
    pub(super) fn flush(&mut self) {
        let Some(file) = &mut self.file else { return self.pending.clear() };
        if let Err(error) = file.write_all(&self.pending) {
            self.error.get_or_insert(error);
        }
        self.pending.clear();
    }

    /// The script's output has ended: writes the tail.
    pub(super) fn finish(&mut self) {
        if self.cut.lines > 0 {
            let Cut { lines, bytes } = std::mem::take(&mut self.cut);
            self.entry(&format!(
                "Longshore - {lines} lines ({bytes} bytes) left out: a script's share of this log is full"
            ));
        }
        for entry in std::mem::take(&mut self.tail) {
            self.pending.extend(entry);
        }
        self.tail_bytes = 0;
        self.flush();
    }
}

fn write_line(to: &mut Vec<u8>, stamp: &[u8], tag: &[u8], line: &[u8]) {
    for part in [stamp, tag, line, b"\n"] {
        to.extend_from_slice(part);
    }
}

/// Local time as `YYYY-MM-DD HH:MM:SS `, worked out once a second.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    stamp: Vec<u8>,
}

impl Clock {
    fn stamp(&mut self) -> &[u8] {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.second != Some(second) {
            self.second = Some(second);
            self.stamp = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S ").to_string().into_bytes();
        }
        &self.stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log without its time stamps.
    fn text(path: &Path) -> String {
        let log = fs::read_to_string(path).unwrap();
        log.lines().map(|line| format!("{}\n", &line[20..])).collect()
    }

    #[test]
    fn output_over_the_limit_loses_its_middle_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/scripts.log");
        let mut log = ScriptsLog::open(&path);
        log.room = 100;
        let line = [b'x'; 40];
        let lines = 2 + TAIL.div_ceil(69);
        for _ in 0..lines {
            log.line(Stream::Stdout, &line);
        }
        log.flush();
        let first = format!("[stdout]{}\n", "x".repeat(40));
        assert_eq!(text(&path), first);
        log.finish();
        let kept = TAIL / 69;
        let left_out = lines - 1 - kept;
        let notice = format!(
            "Longshore - {left_out} lines ({} bytes) left out: a script's share of this log is full\n",
            left_out * 69
        );
        assert_eq!(text(&path), format!("{first}{notice}{}", first.repeat(kept)));
    }

    #[test]
    fn output_that_fits_head_and_tail_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scripts.log");
        let mut log = ScriptsLog::open(&path);
        log.room = 100;
        for text in ["one", "two", "three", "four", "five"] {
            log.line(Stream::Stderr, text.as_bytes());
        }
        log.finish();
        assert_eq!(text(&path), "[stderr]one\n[stderr]two\n[stderr]three\n[stderr]four\n[stderr]five\n");
    }

    #[test]
    fn a_log_that_cannot_be_opened_keeps_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = ScriptsLog::open(dir.path());
        log.line(Stream::Stdout, b"lost");
        log.finish();
        assert_eq!(log.error().map(io::Error::kind), Some(io::ErrorKind::IsADirectory));
    }
}
