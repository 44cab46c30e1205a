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

    /// The URL of the remote `origin`, as it is configured; it may hold a password.
    pub(crate) fn origin(&self) -> Option<String> {
        let output = self.output("config", &["--get", "remote.origin.url"]).ok()?;
        let url = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !url.is_empty()).then_some(url)
    }

    /// How the work tree differs from its commit, submodules included, in git's order.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, GitError> {
        let arguments = ["--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none"];
        // Two processes at once: each walks the whole index.
        let (status, hidden) = std::thread::scope(|scope| {
            let hidden = scope.spawn(|| self.hidden_changes());
            let status = self.succeeded("status", &arguments);
            (status, hidden.join())
        });
        let mut changes = parse_status(&status?);
        changes.extend(hidden.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(changes)
    }

    /// What `git status` keeps quiet about: files marked `assume-unchanged` or `skip-worktree` that differ all the same. One
    /// that is missing is none: so sparse checkouts are made.
    fn hidden_changes(&self) -> Result<Vec<Change>, GitError> {
        let output = self.succeeded("ls-files", &["-v", "--stage", "-z"])?;
        let marked: Vec<Marked> = parse_marked(&output).into_iter().filter(|file| self.is_file(&file.path)).collect();
        let mut changes = Vec::new();
        for some in marked.chunks(500) {
            let paths = some.iter().map(|file| file.path.as_str());
            let arguments: Vec<&str> = std::iter::once("--").chain(paths).collect();
            let hashes = self.succeeded("hash-object", &arguments)?;
            let hashes = String::from_utf8_lossy(&hashes);
            let differing = some.iter().zip(hashes.lines()).filter(|(file, hash)| file.hash != **hash);
            changes.extend(differing.map(|(file, _)| Change { path: file.path.clone(), tracking: Tracking::Tracked }));
        }
        Ok(changes)
    }

    fn is_file(&self, path: &str) -> bool {
        self.top.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file())
    }

    /// What a command says that must not fail.
    fn succeeded(&self, command: &str, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        let output = self.output(command, arguments)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Failed { command: command.to_owned(), top: self.top.clone(), message })
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

/// A file that git was told to take for unchanged.
#[derive(Debug, PartialEq, Eq)]
struct Marked {
    path: String,
    /// The hash of its content in the index.
    hash: String,
}

/// Records of `git ls-files -v --stage -z`: `TAG MODE HASH STAGE<tab>PATH`. A tag in lower case means `assume-unchanged`, `S`
/// means `skip-worktree`. Links and submodules have no content to compare.
fn parse_marked(output: &[u8]) -> Vec<Marked> {
    let marked = |record: &[u8]| {
        let record = str::from_utf8(record).ok()?;
        let (fields, path) = record.split_once('\t')?;
        let mut fields = fields.split(' ');
        let (tag, mode, hash) = (fields.next()?, fields.next()?, fields.next()?);
        let is_marked = tag == "S" || tag.chars().all(|letter| letter.is_ascii_lowercase());
        (is_marked && mode.starts_with("100")).then(|| Marked { path: path.to_owned(), hash: hash.to_owned() })
    };
    output.split(|byte| *byte == 0).filter_map(marked).collect()
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

    #[test]
    fn files_that_git_takes_for_unchanged_are_told_by_their_tags() {
        let file = |path: &str, hash: &str| Marked { path: path.into(), hash: hash.into() };
        assert_eq!(
            parse_marked(b"H 100644 aa 0\tplain\0h 100644 bb 0\ta b\0S 100755 cc 0\tc\nd\0s 120000 dd 0\tlink\0"),
            [file("a b", "bb"), file("c\nd", "cc")]
        );
    }
}
