//! A script's two pipes: read without ever making the script wait, cut into lines, handed to the log, to the last lines
//! of the report and, when it keeps up, to the agent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::fstat;
use serde::{Deserialize, Serialize};

use super::log::ScriptsLog;
use super::raw::Raw;
use crate::hook::{HookReport, Stream, escape};

/// A longer line is split.
const LINE: usize = 16 * 1024;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// What we ask of the kernel for a pipe's size, so that short stalls of the disk do not reach the script. Also the most
/// that can be in a pipe when its last writer we care for has ended.
const PIPE: usize = 1024 * 1024;
/// How many lines of one chunk the agent may see at most.
const SHOWN_PER_CHUNK: u32 = 50;

/// One line on its way to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hook) struct ProgressLine {
    /// Where it came from.
    pub(in crate::hook) stream: Stream,
    /// The line, for people.
    pub(in crate::hook) text: String,
}

/// The output of one script.
pub(super) struct Output {
    pub(super) log: ScriptsLog,
    pub(super) raw: Raw,
    sources: Vec<Source>,
    sink: Sink,
    chunk: Vec<u8>,
}

struct Source {
    stream: Stream,
    pipe: File,
    partial: Vec<u8>,
    inode: u64,
}

/// Where finished lines go besides the log.
struct Sink {
    last: VecDeque<(Stream, Vec<u8>)>,
    progress: Option<Progress>,
}

impl Output {
    pub(super) fn new(log: ScriptsLog, raw: Raw, progress: Option<Progress>) -> Output {
        let sink = Sink { last: VecDeque::with_capacity(HookReport::LAST_LINES + 1), progress };
        Output { log, raw, sources: Vec::new(), sink, chunk: vec![0; CHUNK] }
    }

    /// Reads from this pipe from now on.
    pub(super) fn add(&mut self, stream: Stream, pipe: OwnedFd) -> io::Result<()> {
        // Only our end: the script's end is a description of its own and stays blocking.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // A host may forbid it; the usual 64 KiB will do.
        let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE as i32));
        let inode = fstat(&pipe)?.st_ino;
        self.sources.push(Source { stream, pipe: File::from(pipe), partial: Vec::new(), inode });
        Ok(())
    }

    /// The pipes that somebody can still write to.
    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(|source| source.pipe.as_fd())
    }

    /// The inodes of those pipes, by which a holder is known.
    pub(super) fn inodes(&self) -> Vec<(Stream, u64)> {
        self.sources.iter().map(|source| (source.stream, source.inode)).collect()
    }

    /// Whether nobody can write any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sources.is_empty()
    }

    /// Reads one chunk from each pipe that has something.
    pub(super) fn read(&mut self) {
        self.read_up_to(CHUNK);
    }

    /// Reads what is there, but no more than a pipe can hold: whoever still writes must not keep us here.
    pub(super) fn drain(&mut self) {
        self.read_up_to(PIPE);
    }

    fn read_up_to(&mut self, most: usize) {
        let Output { log, raw, sources, sink, chunk } = self;
        sources
            .retain_mut(|source| source.read_up_to(most, chunk, raw, &mut |stream, line| sink.take(stream, line, log)));
        log.flush();
        sink.flush();
    }

    /// The script has ended: what stands there without a line end is a line too.
    pub(super) fn end_lines(&mut self) {
        let Output { log, sources, sink, .. } = self;
        for source in sources {
            source.end_line(&mut |stream, line| sink.take(stream, line, log));
        }
        log.flush();
        sink.flush();
    }

    /// No agent listens from now on.
    pub(super) fn close_progress(&mut self) {
        self.sink.progress = None;
    }

    /// Nothing more will come: writes what was kept back for the end.
    pub(super) fn finish(&mut self) {
        self.log.finish();
        self.raw.finish();
    }

    /// The last lines, for the report.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let text = |(stream, line): &(Stream, Vec<u8>)| {
            let tag = match stream {
                Stream::Stdout => "[stdout]",
                Stream::Stderr => "[stderr]",
            };
            format!("{tag}{}", escape::for_people(line, HookReport::LINE_CHARS - tag.len()))
        };
        self.sink.last.iter().map(text).collect()
    }
}

impl Source {
    /// Whether more may come.
    fn read_up_to(
        &mut self,
        most: usize,
        chunk: &mut [u8],
        raw: &mut Raw,
        each: &mut dyn FnMut(Stream, &[u8]),
    ) -> bool {
        let mut total = 0;
        while total < most {
            match self.pipe.read(chunk) {
                Ok(0) => {
                    self.end_line(each);
                    return false;
                }
                Ok(count) => {
                    total += count;
                    raw.take(&chunk[..count]);
                    self.split(&chunk[..count], each);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing there, or an error that a pipe does not have.
                Err(_) => return true,
            }
        }
        true
    }

    fn split(&mut self, mut rest: &[u8], each: &mut dyn FnMut(Stream, &[u8])) {
        while !rest.is_empty() {
            let room = (LINE + 1).saturating_sub(self.partial.len()) as u64;
            // `read_until` searches with `memchr`, and from a slice it cannot fail.
            let _ = (&mut rest).take(room).read_until(b'\n', &mut self.partial);
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                each(self.stream, &self.partial);
                self.partial.clear();
            } else if self.partial.len() > LINE {
                let end = character_boundary(&self.partial, LINE);
                each(self.stream, &self.partial[..end]);
                self.partial.drain(..end);
            }
        }
    }

    fn end_line(&mut self, each: &mut dyn FnMut(Stream, &[u8])) {
        if !self.partial.is_empty() {
            each(self.stream, &self.partial);
            self.partial.clear();
        }
    }
}

/// The last place at or before `at` that is not inside a UTF-8 character; `at` itself when the bytes are no UTF-8.
fn character_boundary(bytes: &[u8], at: usize) -> usize {
    let is_start = |i: &usize| bytes.get(*i).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(is_start).unwrap_or(at)
}

impl Sink {
    fn take(&mut self, stream: Stream, line: &[u8], log: &mut ScriptsLog) {
        let line = escape::strip(line);
        log.line(stream, &line);
        let mut kept = if self.last.len() == HookReport::LAST_LINES {
            self.last.pop_front().map(|(_, line)| line).unwrap_or_default()
        } else {
            Vec::new()
        };
        kept.clear();
        kept.extend_from_slice(&line);
        self.last.push_back((stream, kept));
        if let Some(progress) = &mut self.progress {
            progress.line(stream, &line);
        }
    }

    fn flush(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.next_chunk();
        }
    }
}

/// The pipe to the agent. Never waits: lines are dropped while the agent is behind.
pub(super) struct Progress {
    pipe: File,
    pending: Vec<u8>,
    left: u32,
}

impl Progress {
    /// Writes to this pipe, whose description nobody else uses.
    pub(super) fn new(pipe: OwnedFd) -> io::Result<Progress> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Progress { pipe: File::from(pipe), pending: Vec::new(), left: SHOWN_PER_CHUNK })
    }

    fn line(&mut self, stream: Stream, line: &[u8]) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let line = ProgressLine { stream, text: escape::for_people(line, HookReport::LINE_CHARS) };
        if let Ok(json) = serde_json::to_vec(&line) {
            self.pending.extend(json);
            self.pending.push(b'\n');
        }
    }

    /// Sends what is pending. Lines of the next chunk are taken only when nothing stayed behind.
    fn next_chunk(&mut self) {
        while !self.pending.is_empty() {
            match self.pipe.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The agent is gone.
                Err(_) => self.pending.clear(),
            }
        }
        self.left = if self.pending.is_empty() { SHOWN_PER_CHUNK } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a pipe that is written in these pieces.
    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let file = tempfile::tempfile().unwrap();
        let mut source = Source { stream: Stream::Stdout, pipe: file, partial: Vec::new(), inode: 0 };
        let mut lines = Vec::new();
        for piece in pieces {
            source.split(piece, &mut |_, line| lines.push(line.to_vec()));
        }
        source.end_line(&mut |_, line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn lines_do_not_depend_on_how_output_arrives() {
        let expected = [&b"one"[..], b"", b"t\xffwo", b"rest"];
        assert_eq!(lines(&[b"one\n\nt\xffwo\nrest"]), expected);
        assert_eq!(lines(&[b"o", b"ne", b"\n", b"\nt", b"\xff", b"wo\nre", b"st"]), expected);
        assert_eq!(lines(&[b"ended\n"]), [b"ended"]);
    }

    #[test]
    fn a_line_is_split_only_when_it_is_longer_than_the_limit_and_never_inside_a_character() {
        let full = vec![b'x'; LINE];
        assert_eq!(lines(&[&full, b"\n"]), vec![full.clone()]);
        assert_eq!(lines(&[&full, b"y\n"]), [full.clone(), b"y".to_vec()]);
        let umlauts = [&b"x"[..], "ä".repeat(LINE / 2).as_bytes()].concat();
        assert_eq!(lines(&[&umlauts]), [umlauts[..LINE - 1].to_vec(), "ä".as_bytes().to_vec()]);
        let no_text = vec![0x80; LINE + 1];
        assert_eq!(lines(&[&no_text]), [vec![0x80; LINE], vec![0x80]]);
    }
}
