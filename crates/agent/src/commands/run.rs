//! `run`: the daemon, from its settings to its end.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{Global, RunArgs};

/// Runs the command.
pub fn run(_args: &RunArgs, _global: Global) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not yet"))
}
