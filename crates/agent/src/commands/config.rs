//! `config show`: the settings of the daemon, and where each comes from.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{ConfigArgs, Global};

/// Runs the command.
pub fn run(_args: &ConfigArgs, _global: &Global) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not yet"))
}
