//! `control`: asks the agent that runs on this host.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{ControlArgs, Output};

/// Runs the command.
pub fn run(_args: &ControlArgs, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not yet"))
}
