//! The only file that runs `git`. Reads a work tree; changes neither it nor any configuration.
//!
//! The repository may belong to another user (CI containers do that), so `safe.directory` is given on the command line,
//! and with it `core.fsmonitor` is switched off, which could name a program.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longshore_core::ids::CommitHash;

/// A work tree.
#[derive(Debug, Clone)]
pub(crate) struct WorkTree {
    /// Its top folder, absolute, links resolved.
    pub(crate) top: PathBuf,
}

/// One line of `git status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The path below the top of the work tree, `/` between the parts. Bytes that are not UTF-8 are replaced.
    pub(crate) path: String,
    /// Whether git knows the file.
    pub(crate) tracking: Tracking,
}

/// Whether git knows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// It is part of the commit or of the index, and differs.
    Tracked,
    /// It is new, and no ignore rule of git names it.
    Untracked,
}

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// It cannot be started.
    #[error("cannot run `git`")]
    Run(#[source] io::Error),
    /// It failed.
    #[error("`git {command}` failed in `{top}`: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// The work tree.
        top: PathBuf,
        /// What it said.
        message: String,
    },
    /// There is no commit yet.
    #[error("the repository `{0}` has no commit yet")]
    NoCommit(PathBuf),
    /// It said something that makes no sense.
    #[error("`git {command}` gave an answer that is not understood: `{answer}`")]
    Answer {
        /// The subcommand.
        command: String,
        /// The answer.
        answer: String,
    },
}

impl WorkTree {
    /// The work tree that a folder belongs to; `None` when there is no `.git` there or above.
    pub(crate) fn around(dir: &Path) -> io::Result<Option<WorkTree>> {
        let dir = dir.canonicalize()?;
        let top = dir.ancestors().find(|ancestor| ancestor.join(".git").symlink_metadata().is_ok());
        Ok(top.map(|top| WorkTree { top: top.to_owned() }))
    }

    /// The commit that the work tree is at.
    pub(crate) fn head(&self) -> Result<CommitHash, GitError> {
        // `--quiet` makes an unborn branch the one case without a message.
        let output = self.output("rev-parse", &["--quiet", "--verify", "HEAD^{commit}"])?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(if message.is_empty() {
                GitError::NoCommit(self.top.clone())
            } else {
                GitError::Failed { command: "rev-parse".into(), top: self.top.clone(), message }
            });
        }
        answer.parse().map_err(|_| GitError::Answer { command: "rev-parse".into(), answer })
    }

    /// When a commit was made, seconds since 1970; `None` when the repository does not have it (a shallow clone).
    pub(crate) fn time_of(&self, commit: &CommitHash) -> Result<Option<i64>, GitError> {
        // A signature would be printed before the time.
        let output = self.output("log", &["-1", "--no-show-signature", "--format=%ct", commit.as_str(), "--"])?;
        if !output.status.success() {
            return Ok(None);
        }
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        answer.parse().map(Some).map_err(|_| GitError::Answer { command: "log".into(), answer })
    }

    /// How the work tree differs from its commit, submodules included, in git's order.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, GitError> {
        let arguments = ["--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none"];
        let output = self.output("status", &arguments)?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(GitError::Failed { command: "status".into(), top: self.top.clone(), message });
        }
        Ok(parse_status(&output.stdout))
    }

    fn output(&self, command: &str, arguments: &[&str]) -> Result<std::process::Output, GitError> {
        let mut safe = OsStr::new("safe.directory=").to_owned();
        safe.push(&self.top);
        let mut git = Command::new("git");
        git.arg("--no-optional-locks").arg("-c").arg(safe);
        git.args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]).arg("-C").arg(&self.top);
        git.arg(command).args(arguments);
        // Set inside a git hook, these would point git at another repository or index.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"] {
            git.env_remove(name);
        }
        for name in ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_TRACE"] {
            git.env_remove(name);
        }
        git.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
        git.output().map_err(GitError::Run)
    }
}

/// Two status letters, a blank, the path, NUL. `--no-renames` keeps every change in one piece.
fn parse_status(output: &[u8]) -> Vec<Change> {
    let change = |record: &[u8]| {
        let path = String::from_utf8_lossy(record.get(3..)?).into_owned();
        let tracking = if record.starts_with(b"??") { Tracking::Untracked } else { Tracking::Tracked };
        Some(Change { path, tracking })
    };
    output.split(|byte| *byte == 0).filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_records_are_split_at_nul_so_that_any_name_survives() {
        let change = |path: &str, tracking| Change { path: path.into(), tracking };
        assert_eq!(
            parse_status(b" M a b.txt\0?? new\nline\0D  gone\0"),
            [
                change("a b.txt", Tracking::Tracked),
                change("new\nline", Tracking::Untracked),
                change("gone", Tracking::Tracked),
            ]
        );
        assert_eq!(parse_status(b""), []);
    }
}
