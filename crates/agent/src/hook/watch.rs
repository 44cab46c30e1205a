//! Starts a shim and follows it.

use std::path::Path;

use super::command::HookCommand;
use super::{HookReport, Stream};

/// Why a hook could not be followed. A script that fails is not an error here; it is a [`HookReport`].
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The shim could not be started.
    #[error("cannot start the hook process of `{location}`")]
    Start {
        /// The script.
        location: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs one hook to its end. `dir` is created and belongs to this hook alone. `on_line` sees output as it comes, and may
/// miss lines when there are too many; `scripts.log` misses none.
pub fn run(command: &HookCommand, dir: &Path, on_line: &mut dyn FnMut(Stream, &str)) -> Result<HookReport, HookError> {
    let _ = (dir, on_line);
    Err(HookError::Start { location: command.location.clone(), source: std::io::Error::other("not written yet") })
}
