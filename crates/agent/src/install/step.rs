//! The steps of an installation as others see them: how far they got, and which one failed on what. Takes none itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One operation on one path that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{path}`")]
pub struct StepError {
    /// The operation.
    pub operation: Operation,
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What an installation does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Looking at it before the first change.
    Look,
    /// Making a folder.
    CreateFolder,
    /// Writing a new file or link.
    Write,
    /// Setting owner and mode.
    SetPermissions,
    /// Setting the ACL.
    SetAcl,
    /// Setting the SELinux context.
    SetContext,
    /// Making a file system durable.
    Sync,
    /// Keeping what is replaced or removed.
    MoveAside,
    /// Making something new visible.
    MoveIntoPlace,
    /// Writing a record file.
    Record,
    /// Undoing.
    PutBack,
    /// Deleting what was replaced.
    Delete,
    /// Writing down how far it got.
    Journal,
}

/// How far staging got. Everything after it takes no time that would be worth a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files and links written.
    pub files_done: usize,
    /// Files and links in all.
    pub files_total: usize,
    /// Bytes written.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

impl StepError {
    /// For `map_err`.
    pub(super) fn of(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> StepError {
        move |source| StepError { operation, path: path.to_owned(), source }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Look => "look at",
            Operation::CreateFolder => "make the folder",
            Operation::Write => "write",
            Operation::SetPermissions => "set owner and mode of",
            Operation::SetAcl => "set the ACL of",
            Operation::SetContext => "set the SELinux context of",
            Operation::Sync => "sync the file system of",
            Operation::MoveAside => "move aside",
            Operation::MoveIntoPlace => "move into place",
            Operation::Record => "write the records in",
            Operation::PutBack => "put back",
            Operation::Delete => "delete",
            Operation::Journal => "write down the progress of the installation recorded in",
        })
    }
}
