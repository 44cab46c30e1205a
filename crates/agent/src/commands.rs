//! One file per command. They parse, plan and act; they hold no rules of the domain.

pub mod deploy;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod logs;
pub mod plan;
pub mod resume;
pub mod rollback;
pub mod status;

use std::io::{self, Write};

use longshore_core::failure::{Exit, Failure};
use serde::Serialize;

use crate::cli::Output;

/// Writes a result to standard output: as JSON, or as the text that `text` makes.
fn print<T: Serialize>(result: &T, output: Output, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(result).map_err(|error| Failure::new(Exit::Failed, error))? + "\n",
        Output::Text => text(result),
    };
    written(write(text.as_bytes()))
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Without the flush the last part could be lost unnoticed.
    out.write_all(bytes).and_then(|()| out.flush())
}

/// A reader that is gone has seen what it wanted; a result that got lost on a full disk must not look like one that was
/// written.
fn written(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, CannotPrint(error))),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Standard output took not all of a result.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result to standard output")]
struct CannotPrint(#[source] io::Error);
