//! `rollback`: back to a release that was good.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{Output, RollbackArgs};
use crate::layout::Layout;

/// Runs the command.
pub fn run(_args: &RollbackArgs, _layout: &Layout, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`rollback` is being built"))
}
