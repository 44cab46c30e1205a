//! `longshore verify`.

use longshore_core::failure::{Exit, Failure};

use crate::cli::VerifyArgs;
use crate::display::Screen;
use crate::environment::Environment;

/// Runs the command.
pub(crate) fn run(_args: &VerifyArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}
