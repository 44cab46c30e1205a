//! `install-service`: has systemd start the agent with the host.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{InstallServiceArgs, Output};

/// Runs the command.
pub fn run(_args: &InstallServiceArgs, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not yet"))
}
