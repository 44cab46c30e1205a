//! `longshore config`.

use longshore_core::failure::{Exit, Failure};

use crate::cli::ConfigArgs;
use crate::display::Screen;
use crate::environment::Environment;

/// Runs the command.
pub(crate) fn run(_args: &ConfigArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}
