//! `logs`: what the scripts of a deployment printed.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{LogsArgs, Output};
use crate::layout::Layout;

/// Runs the command.
pub fn run(_args: &LogsArgs, _layout: &Layout, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`logs` is being built"))
}
