//! `explain`: why a deployment ended as it did.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{ExplainArgs, Output};
use crate::layout::Layout;

/// Runs the command.
pub fn run(_args: &ExplainArgs, _layout: &Layout, _output: Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`explain` is being built"))
}
