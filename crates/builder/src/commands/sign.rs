//! `longshore sign`.

use longshore_core::failure::{Exit, Failure};

use crate::cli::SignCommandArgs;
use crate::display::Screen;
use crate::environment::Environment;

/// Runs the command.
pub(crate) fn run(_args: &SignCommandArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}
