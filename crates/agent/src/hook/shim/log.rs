//! What scripts print, written down: `scripts.log` and the log of all deployments, in the AWS agent's formats, with limits.
//! Knows nothing of processes.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::rotated::Rotated;
use crate::hook::Stream;
use crate::hook::command::DeploymentsLog;

/// How much of one script's output the logs take at once.
pub(super) const HEAD: u64 = 64 * 1024 * 1024;
/// How much of one script's output the logs take from its end when there was no room for all of it.
pub(super) const TAIL: usize = 256 * 1024;
/// How much room comes back with every second: what a script leaves running for weeks must not fill a disk, and must not
/// fall silent for ever.
const ROOM_PER_SECOND: u64 = 64 * 1024;
/// How much room there must be before a log that was full goes on.
const ENOUGH: u64 = 1024 * 1024;
/// A `scripts.log` this large is renamed, and the number of those that are kept.
const FILE: u64 = 16 * 1024 * 1024;
pub(in crate::hook) const ROTATED: u32 = 9;
/// The log of all deployments: the sizes and names of Ruby's Logger with 8 files, as the AWS agent 1.8.1 uses it.
const DEPLOYMENTS_FILE: u64 = 64 * 1024 * 1024;
const DEPLOYMENTS_ROTATED: u32 = 7;

/// The logs, open for one script.
///
/// A log that cannot be written is no reason not to run or to stop a script; the first error of each is kept.
pub(super) struct ScriptsLog {
    scripts: Target,
    deployments: Option<(Target, String)>,
    room: u64,
    refilled: Instant,
    tail: VecDeque<(SystemTime, Stream, Vec<u8>)>,
    tail_bytes: usize,
    cut: Cut,
    clock: Clock,
}

/// One log, and what is on its way to it.
struct Target {
    file: Rotated,
    pending: Vec<u8>,
    error: Option<io::Error>,
}

#[derive(Default)]
struct Cut {
    lines: u64,
    bytes: u64,
}

impl ScriptsLog {
    /// Opens nothing yet.
    pub(super) fn new(path: &Path, deployments: Option<&DeploymentsLog>) -> ScriptsLog {
        let deployments = deployments.map(|log| {
            let file = Rotated::new(&log.path, DEPLOYMENTS_FILE, 0, DEPLOYMENTS_ROTATED, ruby_header);
            (Target::new(file), log.deployment.clone())
        });
        ScriptsLog {
            scripts: Target::new(Rotated::new(path, FILE, 1, ROTATED, String::new)),
            deployments,
            room: HEAD,
            refilled: Instant::now(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            cut: Cut::default(),
            clock: Clock::default(),
        }
    }

    /// Why `scripts.log` and the log of all deployments are not whole, the first time it was noticed.
    pub(super) fn errors(&self) -> [Option<&io::Error>; 2] {
        [self.scripts.error.as_ref(), self.deployments.as_ref().and_then(|(target, _)| target.error.as_ref())]
    }

    /// The file that is `scripts.log` now: its inode, and where the next line will stand.
    pub(super) fn place(&mut self) -> Option<(u64, u64)> {
        self.flush();
        self.scripts.file.place()
    }

    /// A line of our own, such as `Script - scripts/start.sh`. It never counts against the limit.
    pub(super) fn entry(&mut self, text: &str) {
        // An entry is one line, whatever a location or a reason contains.
        let text: Vec<u8> = text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
        self.write(SystemTime::now(), b"", &text);
    }

    /// A line of the script, without its line end.
    pub(super) fn line(&mut self, stream: Stream, line: &[u8]) {
        let length = STAMP + tag(stream).len() + line.len() + 1;
        let is_behind = !self.tail.is_empty();
        if is_behind || length as u64 > self.room {
            self.refill();
        }
        if is_behind && self.room >= ENOUGH {
            self.catch_up();
        }
        if self.tail.is_empty() && length as u64 <= self.room {
            self.room -= length as u64;
            self.write(SystemTime::now(), tag(stream), line);
            return;
        }
        let mut kept = Vec::new();
        self.tail_bytes += length;
        while self.tail_bytes > TAIL {
            let Some((_, stream, oldest)) = self.tail.pop_front() else { break };
            let length = STAMP + tag(stream).len() + oldest.len() + 1;
            self.tail_bytes -= length;
            self.cut.lines += 1;
            self.cut.bytes += length as u64;
            kept = oldest;
        }
        kept.clear();
        kept.extend_from_slice(line);
        self.tail.push_back((SystemTime::now(), stream, kept));
    }

    fn refill(&mut self) {
        let seconds = self.refilled.elapsed().as_secs();
        self.refilled += Duration::from_secs(seconds);
        self.room = self.room.saturating_add(seconds.saturating_mul(ROOM_PER_SECOND)).min(HEAD);
    }

    fn write(&mut self, at: SystemTime, tag: &[u8], line: &[u8]) {
        let (second, millis) = self.clock.read(at);
        let parts = |to: &mut Vec<u8>, parts: &[&[u8]]| parts.iter().for_each(|part| to.extend_from_slice(part));
        parts(&mut self.scripts.pending, &[second, b" ", tag, line, b"\n"]);
        if let Some((target, deployment)) = &mut self.deployments {
            // Stripped as Ruby does it, of what stands at the end; in front is always a word.
            let end =
                line.iter().rposition(|byte| !matches!(byte, b'\0' | b'\t'..=b'\r' | b' ')).map_or(0, |at| at + 1);
            let deployment = deployment.as_bytes();
            let millis = format!(".{millis:03}] [");
            parts(&mut target.pending, &[b"[", second, millis.as_bytes(), deployment, b"]", tag, &line[..end], b"\n"]);
        }
    }

    /// Hands everything but the tail to the operating system.
    pub(super) fn flush(&mut self) {
        self.scripts.flush();
        if let Some((target, _)) = &mut self.deployments {
            target.flush();
        }
    }

    /// The script's output has ended: writes the tail.
    pub(super) fn finish(&mut self) {
        self.catch_up();
        self.flush();
    }

    fn catch_up(&mut self) {
        if self.cut.lines > 0 {
            let Cut { lines, bytes } = std::mem::take(&mut self.cut);
            self.entry(&format!(
                "Longshore - {lines} lines ({bytes} bytes) left out: a script's share of this log is full"
            ));
        }
        for (at, stream, line) in std::mem::take(&mut self.tail) {
            self.write(at, tag(stream), &line);
        }
        self.room = self.room.saturating_sub(self.tail_bytes as u64);
        self.tail_bytes = 0;
    }
}

impl Target {
    fn new(file: Rotated) -> Target {
        Target { file, pending: Vec::new(), error: None }
    }

    fn flush(&mut self) {
        if let Err(error) = self.file.append(&self.pending) {
            self.error.get_or_insert(error);
        }
        self.pending.clear();
    }
}

fn tag(stream: Stream) -> &'static [u8] {
    match stream {
        Stream::Stdout => b"[stdout]",
        Stream::Stderr => b"[stderr]",
    }
}

/// What Ruby's Logger writes at the top of a new file; log collectors leave such a line out.
fn ruby_header() -> String {
    let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S %z");
    format!("# Logfile created on {now} by longshore-agent/{}\n", env!("CARGO_PKG_VERSION"))
}

/// How long a time stamp of `scripts.log` is, the space after it included.
const STAMP: usize = "2026-11-21 10:15:00 ".len();

/// Local time as `YYYY-MM-DD HH:MM:SS`, worked out once a second.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    stamp: Vec<u8>,
}

impl Clock {
    /// The second, and the milliseconds after it.
    fn read(&mut self, at: SystemTime) -> (&[u8], u32) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            let zoned = jiff::Timestamp::try_from(at).map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
            let zoned = zoned.unwrap_or_else(|_| jiff::Zoned::now());
            self.stamp = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string().into_bytes();
        }
        (&self.stamp, since.subsec_millis())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The log without its time stamps.
    fn text(path: &Path) -> String {
        let log = fs::read_to_string(path).unwrap();
        log.lines().map(|line| format!("{}\n", &line[20..])).collect()
    }

    const LINE: [u8; 40] = [b'x'; 40];
    /// Of one `LINE` in the log.
    const LENGTH: usize = 69;

    #[test]
    fn output_over_the_limit_loses_its_middle_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/scripts.log");
        let mut log = ScriptsLog::new(&path, None);
        log.room = 100;
        let lines = 2 + TAIL.div_ceil(LENGTH);
        for _ in 0..lines {
            log.line(Stream::Stdout, &LINE);
        }
        log.flush();
        let first = format!("[stdout]{}\n", "x".repeat(40));
        assert_eq!(text(&path), first);
        log.finish();
        let kept = TAIL / LENGTH;
        let left_out = lines - 1 - kept;
        let notice = format!(
            "Longshore - {left_out} lines ({} bytes) left out: a script's share of this log is full\n",
            left_out * LENGTH
        );
        assert_eq!(text(&path), format!("{first}{notice}{}", first.repeat(kept)));
    }

    #[test]
    fn room_comes_back_with_time_and_the_log_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scripts.log");
        let mut log = ScriptsLog::new(&path, None);
        log.room = 0;
        for _ in 0..=TAIL / LENGTH {
            log.line(Stream::Stdout, &LINE);
        }
        // As if they had been printed a minute ago.
        log.refilled = log.refilled.checked_sub(Duration::from_secs(60)).unwrap();
        log.line(Stream::Stderr, b"later");
        log.flush();
        let notice = format!("Longshore - 1 lines ({LENGTH} bytes) left out: a script's share of this log is full\n");
        let tail = format!("[stdout]{}\n", "x".repeat(40)).repeat(TAIL / LENGTH);
        assert_eq!(text(&path), format!("{notice}{tail}[stderr]later\n"));
        assert!(log.room < HEAD && log.tail.is_empty(), "{}", log.room);
    }

    #[test]
    fn output_that_fits_head_and_tail_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scripts.log");
        let mut log = ScriptsLog::new(&path, None);
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
        let deployments = DeploymentsLog { path: dir.path().into(), deployment: "d-1".into() };
        let mut log = ScriptsLog::new(dir.path(), Some(&deployments));
        log.line(Stream::Stdout, b"lost");
        log.finish();
        assert_eq!(log.errors().map(|error| error.map(io::Error::kind)), [Some(io::ErrorKind::IsADirectory); 2]);
    }

    #[test]
    fn the_log_of_all_deployments_has_milliseconds_the_deployment_and_stripped_lines() {
        let dir = tempfile::tempdir().unwrap();
        let deployments = DeploymentsLog { path: dir.path().join("new/all.log"), deployment: "d-1".into() };
        let mut log = ScriptsLog::new(&dir.path().join("scripts.log"), Some(&deployments));
        log.entry("LifecycleEvent - AfterInstall");
        log.line(Stream::Stdout, b"  padded \t\r");
        log.line(Stream::Stderr, b"\xff");
        log.line(Stream::Stdout, b" ");
        log.finish();
        let bytes = fs::read(&deployments.path).unwrap();
        let shape = |line: &[u8]| -> String {
            let digit = |byte: &u8| if byte.is_ascii_digit() { '0' } else { char::from(*byte) };
            line[..line.len().min(26)].iter().map(digit).collect()
        };
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let header = lines.next().unwrap();
        assert!(header.starts_with(b"# Logfile created on "), "{}", header.escape_ascii());
        assert_eq!(shape(&header[21..]).replace(" -", " +"), "0000-00-00 00:00:00 +0000 ");
        for expected in [&b"LifecycleEvent - AfterInstall"[..], b"[stdout]  padded", b"[stderr]\xff", b"[stdout]"] {
            let line = lines.next().unwrap();
            assert_eq!(shape(line), "[0000-00-00 00:00:00.000] ");
            assert_eq!(line[26..].strip_prefix(b"[d-1]"), Some(expected), "{}", line.escape_ascii());
        }
        assert_eq!(lines.next(), Some(&b""[..]));
        assert_eq!(lines.next(), None);
    }
}
