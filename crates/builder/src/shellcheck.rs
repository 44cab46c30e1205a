//! The only file that runs `shellcheck`, where it is installed. Whatever becomes of it, no check and no build fails by it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span};
use serde::Deserialize;

/// How long it may take.
const TIME: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// A script for it.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Where it stands below the source folder.
    pub(crate) from: BundlePath,
    /// Its text, under the name that people know.
    pub(crate) source: Arc<SourceFile>,
    /// Whether it reads in other files.
    pub(crate) reads_in: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shellcheck {
    /// It looked at the scripts.
    Ran,
    /// It has nothing to look at.
    NoScripts,
    /// `--no-shellcheck`.
    Off,
    /// It is not there.
    NotInstalled,
    /// It gave no answer. Why.
    Failed(String),
}

impl fmt::Display for Shellcheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shellcheck::Ran => f.write_str("ran"),
            Shellcheck::NoScripts => f.write_str("no shell scripts"),
            Shellcheck::Off => f.write_str("switched off"),
            Shellcheck::NotInstalled => f.write_str("not installed"),
            Shellcheck::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// Its answer.
#[derive(Debug, Deserialize)]
struct Answer {
    comments: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    file: String,
    line: usize,
    end_line: usize,
    column: usize,
    end_column: usize,
    code: u32,
    message: String,
}

/// What it says about the scripts of a source folder.
pub(crate) fn run(folder: &Path, scripts: &[Checked]) -> (Shellcheck, Vec<Problem>) {
    if scripts.is_empty() {
        return (Shellcheck::NoScripts, Vec::new());
    }
    match ask(folder, scripts) {
        Ok(Some(answer)) => (Shellcheck::Ran, problems(&answer, scripts)),
        Ok(None) => (Shellcheck::NotInstalled, Vec::new()),
        Err(why) => (Shellcheck::Failed(why), Vec::new()),
    }
}

fn ask(folder: &Path, scripts: &[Checked]) -> Result<Option<Answer>, String> {
    let mut command = Command::new("shellcheck");
    // Left out is what it cannot know, and what has a code of ours: line ends, no `#!` line, files that it does not find.
    command.args(["--format=json1", "--severity=warning", "--color=never", "--external-sources"]);
    command.args(["--exclude=SC1017,SC1090,SC1091,SC2148", "--"]);
    // A path with `./` is never an option and never standard input.
    command.args(scripts.iter().map(|script| format!("./{}", script.from)));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let Some(stdout) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let (send, receive) = mpsc::channel();
    // Ends when the program does, which is ended below at the latest.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(LIMIT).read_to_end(&mut text);
        // Nobody listens when the time was over.
        let _ = send.send(read.map(|_| text));
    });
    let answer = receive.recv_timeout(TIME);
    // A program that has answered has nothing left to do; one that has not gets no more time.
    let _ = child.kill();
    let status = child.wait().map_err(|error| error.to_string())?;
    let text = match answer {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer after {} seconds", TIME.as_secs())),
    };
    serde_json::from_slice(&text).map(Some).map_err(|_| format!("its answer makes no sense ({status})"))
}

fn problems(answer: &Answer, scripts: &[Checked]) -> Vec<Problem> {
    // A code of a problem lives as long as the program; there are a few hundred of them at most.
    let mut codes: BTreeMap<u32, &'static str> = BTreeMap::new();
    let mut problems = Vec::new();
    for finding in &answer.comments {
        let file = finding.file.trim_start_matches("./");
        let Some(script) = scripts.iter().find(|script| script.from.as_str() == file) else { continue };
        // A variable that is not assigned may be assigned in a file that it did not find.
        if finding.code == 2154 && script.reads_in {
            continue;
        }
        let code = codes.entry(finding.code).or_insert_with(|| format!("SC{}", finding.code).leak());
        let span = span(&script.source.text, (finding.line, finding.column), (finding.end_line, finding.end_column));
        let message = finding.message.trim_end_matches('.').to_owned();
        let problem = Problem::warning(code, &script.source, Some(span), message);
        problems.push(problem.with_fix(format!("https://www.shellcheck.net/wiki/{code}")));
    }
    problems
}

/// Lines and columns from 1, counted in characters.
fn span(text: &str, start: (usize, usize), end: (usize, usize)) -> Span {
    let offset = |(line, column): (usize, usize)| {
        let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let line = text[before..].split('\n').next().unwrap_or_default();
        before + line.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
    };
    let start = offset(start);
    start..offset(end).max(start)
}
