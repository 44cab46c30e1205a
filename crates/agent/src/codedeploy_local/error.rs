//! Why no deployment begins.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use longshore_core::problem::Problem;

use super::options::UsageError;
use super::request::RequestError;

/// Why no deployment begins.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A word of the command line is not UTF-8.
    #[error("the command line has a word that is not UTF-8: {0:?}")]
    Word(OsString),
    /// The command line.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file has errors.
    #[error("the configuration file has errors")]
    Config(Vec<Problem>),
    /// What was asked for cannot be done.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The root is no path.
    #[error("`root_dir` of the configuration is no path")]
    Root(#[source] io::Error),
    /// Where are we?
    #[error("cannot find the working folder")]
    Agent(#[source] io::Error),
}
