//! `logs`: what the scripts of a deployment printed.

use std::io;
use std::path::PathBuf;

use longshore_core::failure::{Exit, Failure, printed};
use longshore_core::ids::DeploymentId;
use nix::sys::signal::{SigSet, Signal};
use serde::Serialize;

use super::write;
use crate::cli::{LogsArgs, Output};
use crate::display;
use crate::layout::Layout;
use crate::meant::one;
use crate::printed::{LOOK_AGAIN, Reader, is_under_way};

/// Runs the command.
pub fn run(args: &LogsArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let found = one(layout, args.deployment.as_ref(), args.group.selection())?;
    let directory = layout.deployment(&found.group, &found.deployment);
    if args.follow {
        end_quietly_when_asked();
    }
    let mut reader = Reader::new(directory.scripts_log());
    let mut printer = Printer::new(output, &found.deployment);
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
    if reader.found_nothing() {
        display::logs::nothing_printed(&found.deployment);
    }
    Ok(())
}

/// Ctrl-C and TERM are how a follower is ended, and no failure. Has to be called before any other thread is started.
pub(super) fn end_quietly_when_asked() {
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

/// Prints what was read: as it is, or each line as JSON.
pub(super) struct Printer<'a> {
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

impl<'a> Printer<'a> {
    pub(super) fn new(output: Output, deployment: &'a DeploymentId) -> Printer<'a> {
        Printer { output, deployment, rest: Vec::new() }
    }

    pub(super) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
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
    pub(super) fn finish(&mut self) -> io::Result<()> {
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
