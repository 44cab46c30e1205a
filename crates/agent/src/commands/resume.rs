//! `resume`: finishes what a killed agent left.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{Output, ResumeArgs};
use crate::layout::Layout;

/// Runs the command.
pub fn run(_args: &ResumeArgs, _layout: &Layout, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`resume` is being built"))
}
