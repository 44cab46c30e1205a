//! `doctor`: looks for what would make a deployment fail here.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{DoctorArgs, Output};
use crate::layout::Layout;

/// Runs the command.
pub fn run(_args: &DoctorArgs, _layout: &Layout, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`doctor` is being built"))
}
