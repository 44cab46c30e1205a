//! `logs`: what the scripts of a deployment printed.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::failure::{Exit, Failure, printed};
use longshore_core::ids::{DeploymentId, GroupId};
use nix::sys::signal::{SigSet, Signal};
use serde::Serialize;

use super::{one, write};
use crate::cli::{LogsArgs, Output};
use crate::deployment::journal::{self, Entry, Step};
use crate::deployment::progress::Progress;
use crate::display;
use crate::history;
use crate::hook::watch;
use crate::layout::{DeploymentDir, Layout};
use crate::lock::Lock;

/// How often a followed log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How much is read at a time.
const CHUNK: u64 = 1024 * 1024;

/// Runs the command.
pub fn run(args: &LogsArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let found = one(layout, args.deployment.as_ref(), &args.group)?;
    let directory = layout.deployment(&found.group, &found.deployment);
    if args.follow {
        end_quietly_when_asked();
    }
    let mut reader = Reader::new(directory.scripts_log());
    let mut printer = Printer { output, deployment: &found.deployment, rest: Vec::new() };
    loop {
        // Looked at first: what was printed before the end is there to be read after it.
        let is_under_way = args.follow && found.has_journal && is_under_way(layout, &found.group, &directory);
        let ended = reader.read_on(|bytes| printer.print(bytes));
        let ended = ended.map_err(|source| failed(CannotRead { path: directory.scripts_log(), source }))?;
        if let Err(error) = ended {
            return printed(Err(error));
        }
        if !is_under_way {
            break;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if let Err(error) = printer.finish() {
        return printed(Err(error));
    }
    if reader.at.is_none() {
        display::logs::nothing_printed(&found.deployment);
    }
    Ok(())
}

/// Whether more may be printed: until the journal is closed, also between two events that are asked for one at a time; or, when its agent died, until its script has ended.
fn is_under_way(layout: &Layout, group: &GroupId, directory: &DeploymentDir) -> bool {
    let (lines, damage) = history::readable(&directory.journal());
    let is_closed = journal::outcome(&lines).is_some();
    if is_closed || damage.is_some() {
        return false;
    }
    // Steps that are known; those that ended hold no lock.
    let mut hooks = lines.iter().flat_map(|line| match &line.entry {
        Entry::Planned { steps, .. } => steps.as_slice(),
        Entry::Opened { .. }
        | Entry::Resumed { .. }
        | Entry::Asked { .. }
        | Entry::Prepared { .. }
        | Entry::Started { .. }
        | Entry::Installing { .. }
        | Entry::Finished { .. }
        | Entry::Failed { .. }
        | Entry::Restoring { .. }
        | Entry::Closed { .. } => &[],
    });
    let is_held = Lock::holder(layout, group).is_some();
    is_held
        || Progress::replay(lines.iter().cloned()).is_some_and(|progress| progress.waits())
        || hooks.any(|step| match step {
            Step::RunHook { number, .. } => watch::is_running(&directory.hook(*number)).unwrap_or(false),
            Step::MarkMostRecent | Step::Install => false,
        })
}

/// Ctrl-C and TERM are how a follower is ended, and no failure. Has to be called before any other thread is started.
fn end_quietly_when_asked() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_ok() {
        std::thread::spawn(move || {
            if signals.wait().is_ok() {
                std::process::exit(0);
            }
        });
    }
}

/// Reads a log that grows, and that is renamed to `….N` when it is full and begun anew.
struct Reader {
    log: PathBuf,
    /// The part that was read last, still open: it may be renamed or removed.
    at: Option<File>,
}

impl Reader {
    fn new(log: PathBuf) -> Reader {
        Reader { log, at: None }
    }

    /// Hands on everything that has come since the last time. The outer error is the log's, the inner one the printer's.
    fn read_on(&mut self, mut print: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<io::Result<()>> {
        loop {
            if let Some(file) = &mut self.at {
                let mut chunk = Vec::new();
                file.by_ref().take(CHUNK).read_to_end(&mut chunk)?;
                if !chunk.is_empty() {
                    if let Err(error) = print(&chunk) {
                        return Ok(Err(error));
                    }
                    continue;
                }
            }
            // Read to its end. Is there a later part?
            let Some(next) = self.next_part()? else { return Ok(Ok(())) };
            if let Some(file) = &mut self.at
                && file.stream_position()? < file.metadata()?.len()
            {
                continue;
            }
            self.at = Some(next);
        }
    }

    /// The part after the one that is being read.
    fn next_part(&self) -> io::Result<Option<File>> {
        let parts = parts(&self.log)?;
        let first = match &self.at {
            None => 0,
            Some(now) => {
                let now = now.metadata()?.ino();
                // One that is gone was the oldest.
                parts.iter().position(|(_, inode)| *inode == now).map_or(0, |place| place + 1)
            }
        };
        for (path, inode) in &parts[first..] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Renamed since it was listed: the next look finds it at its new place.
            if file.metadata()?.ino() == *inode {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// The parts of a log, oldest first: `….2`, `….1`, and the one being written.
fn parts(log: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry?;
        let part = entry.file_name();
        let number = match part.to_str().and_then(|part| part.strip_prefix(name)) {
            Some("") => 0,
            Some(rest) => match rest.strip_prefix('.').and_then(|number| number.parse::<u32>().ok()) {
                Some(number) => number,
                None => continue,
            },
            None => continue,
        };
        if let Ok(metadata) = entry.metadata() {
            parts.push((number, entry.path(), metadata.ino()));
        }
    }
    parts.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    Ok(parts.into_iter().map(|(_, path, inode)| (path, inode)).collect())
}

/// Prints what was read: as it is, or each line as JSON.
struct Printer<'a> {
    output: Output,
    deployment: &'a DeploymentId,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

/// One line of a log, for programs.
#[derive(Debug, Serialize)]
struct LogLine<'a> {
    deployment: &'a DeploymentId,
    /// Local time, as it stands in the log.
    at: Option<&'a str>,
    kind: Kind,
    text: &'a str,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Stdout,
    Stderr,
    Event,
    Script,
    Agent,
    Other,
}

impl Printer<'_> {
    fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.output {
            Output::Text => write(bytes),
            Output::Json => {
                self.rest.extend_from_slice(bytes);
                let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
                let whole: Vec<u8> = self.rest.drain(..=end).collect();
                let mut out = Vec::new();
                for line in whole[..end].split(|byte| *byte == b'\n') {
                    self.json(line, &mut out)?;
                }
                write(&out)
            }
        }
    }

    /// A last line without an end is a line too.
    fn finish(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        self.json(&rest, &mut out)?;
        write(&out)
    }

    fn json(&self, line: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let line = String::from_utf8_lossy(line);
        serde_json::to_writer(&mut *out, &parse(self.deployment, &line))?;
        out.push(b'\n');
        Ok(())
    }
}

fn parse<'a>(deployment: &'a DeploymentId, line: &'a str) -> LogLine<'a> {
    const STAMP: usize = "2026-01-31 12:00:00".len();
    let kinds = [
        ("[stdout]", Kind::Stdout),
        ("[stderr]", Kind::Stderr),
        ("LifecycleEvent - ", Kind::Event),
        ("Script - ", Kind::Script),
        ("Longshore - ", Kind::Agent),
    ];
    let stamped = line.get(..STAMP).zip(line.get(STAMP + 1..)).filter(|(stamp, _)| {
        stamp.bytes().all(|byte| byte.is_ascii_digit() || b"-: ".contains(&byte)) && line.as_bytes()[STAMP] == b' '
    });
    let (at, rest) = stamped.map_or((None, line), |(at, rest)| (Some(at), rest));
    let known = kinds.iter().find_map(|(start, kind)| Some((*kind, rest.strip_prefix(start)?)));
    let (kind, text) = known.unwrap_or((Kind::Other, rest));
    LogLine { deployment, at, kind, text }
}

/// The log is there and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`")]
struct CannotRead {
    path: PathBuf,
    source: io::Error,
}

fn failed(error: CannotRead) -> Failure {
    Failure::new(Exit::Failed, error)
}
