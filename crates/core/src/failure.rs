//! How a command ends when it does not end well: exit codes, and the one way in which an error is printed.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::iter;
use std::process::ExitCode;

use serde_json::json;

use crate::problem::{Problem, visible_lines};

/// Why a program of Longshore exits. The numbers are part of the interface and the same for every program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Something went wrong that has no code of its own, for example an I/O error.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A file that the user wrote has errors: appspec, configuration, ignore file, compose file.
    Invalid = 3,
    /// Something else already stands under that name, or another writer was faster.
    Conflict = 4,
    /// A hook script failed, timed out or could not be started.
    HookFailed = 5,
    /// Installing files failed or was refused because of what is on disk.
    InstallFailed = 6,
    /// What was asked for does not exist: bundle, object, commit, deployment.
    NotFound = 7,
    /// A bundle is damaged, hostile, or not the one that was asked for.
    BadBundle = 8,
    /// Another deployment of the same group is under way.
    Busy = 9,
    /// A service cannot be reached or refuses: store, network, credentials.
    Unavailable = 10,
    /// A deployment that was waited for failed on a host.
    DeploymentFailed = 11,
    /// What was waited for did not end in time.
    TimedOut = 12,
    /// A deployment that was waited for failed, and the revision before it was deployed again.
    RolledBack = 13,
    /// A deployment that was waited for was stopped by somebody.
    Stopped = 14,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error on its way to the user: the chain of causes, the problems in files, what to do next, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error; its sources are printed as causes.
    pub error: Box<dyn Error + Send + Sync>,
    /// Problems in files, printed before the error.
    pub problems: Vec<Problem>,
    /// What to type or change next, one sentence each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with an exit code.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { exit, error: error.into(), problems: Vec::new(), hints: Vec::new() }
    }

    /// A command line that makes no sense, from the text that a parser made for people: the first paragraph is the error,
    /// the others are hints.
    pub fn of_usage(text: &str) -> Failure {
        let mut paragraphs = text.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        let message = paragraphs.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
        let hints = paragraphs.filter(|hint| !hint.is_empty()).collect();
        Failure { hints, ..Failure::new(Exit::Usage, message) }
    }

    /// The same failure with one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with the problems that led to it.
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Failure {
        self.problems = problems;
        self
    }

    /// For people: `error:`, `caused by:`, a blank line, `hint:`. Control characters are written out: an error quotes what it
    /// found. Problems are not in it; who prints shows them first.
    pub fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.error);
        for cause in causes(&*self.error) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  caused by: {cause}");
        }
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            let _ = writeln!(text, "hint: {hint}");
        }
        visible_lines(&text)
    }

    /// For programs: `{"error": {"message", "causes", "hints", "exit_code"}, "problems": […]}`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({"error": {
            "message": self.error.to_string(),
            "causes": causes(&*self.error).map(ToString::to_string).collect::<Vec<_>>(),
            "hints": self.hints,
            "exit_code": self.exit as u8,
        }, "problems": self.problems.iter().map(Problem::to_json).collect::<Vec<_>>()})
    }
}

/// What led to an error, the nearest first; without the error itself.
pub fn causes<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // Not the source of the reference, which is an error too.
    iter::successors(error.source(), |error| (**error).source())
}

/// An error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A result that nobody got.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result to standard output")]
struct Lost(#[source] io::Error);

/// What became of a result that was written to standard output. That `head` closed the pipe is no failure, a full disk is.
pub fn printed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, Lost(error))),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open `x`")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_full_disk_loses_a_result_and_a_reader_that_is_gone_does_not() {
        assert!(printed(Ok(())).is_ok() && printed(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        let failure = printed(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        let text = "error: cannot write the result to standard output\n  caused by: no storage space\n";
        assert_eq!((failure.exit, failure.to_text().as_str()), (Exit::Failed, text));
    }

    #[test]
    fn a_usage_error_keeps_its_message_and_its_tips_apart() {
        let text =
            "error: unexpected argument '--gruop' found\n\n  tip: a similar argument exists: '--group'\n\nUsage: x\n";
        assert_eq!(
            Failure::of_usage(text).to_json()["error"],
            json!({"message": "unexpected argument '--gruop' found", "causes": [],
                   "hints": ["tip: a similar argument exists: '--group'", "Usage: x"], "exit_code": 2})
        );
    }

    #[test]
    fn what_an_error_quotes_cannot_drive_the_terminal() {
        let failure = Failure::new(Exit::BadBundle, "no `\u{1b}]0;x\u{7}`").hint("not \r that");
        assert_eq!(failure.to_text(), "error: no `\\u{1b}]0;x\\u{7}`\n\nhint: not \\r that\n");
    }

    #[test]
    fn a_failure_prints_its_chain_and_its_hints() {
        let failure = Failure::new(Exit::NotFound, Outer(io::Error::other("gone"))).hint("create `x`");
        assert_eq!(failure.to_text(), "error: cannot open `x`\n  caused by: gone\n\nhint: create `x`\n");
        assert_eq!(failure.to_json()["error"]["causes"][0], "gone");
    }
}
