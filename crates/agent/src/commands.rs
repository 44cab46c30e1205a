//! One file per command. They parse, plan and act; they hold no rules of the domain.

pub mod config;
pub mod control;
pub mod deploy;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod history;
pub mod install_service;
pub mod logs;
pub mod plan;
pub mod resume;
pub mod rollback;
pub mod run;
pub mod status;

use std::io::{self, Write};

use longshore_core::failure::{Exit, Failure, printed};
use serde::Serialize;

use crate::cli::Output;

/// Writes a result to standard output: as JSON, or as the text that `text` makes.
fn print<T: Serialize>(result: &T, output: Output, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(result).map_err(|error| Failure::new(Exit::Failed, error))? + "\n",
        Output::Text => text(result),
    };
    printed(write(text.as_bytes()))
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Without the flush the last part could be lost unnoticed.
    out.write_all(bytes).and_then(|()| out.flush())
}
