//! `explain`: why a deployment ended as it did.

use longshore_core::failure::{Exit, Failure};

use super::print;
use crate::cli::{ExplainArgs, Output};
use crate::display;
use crate::explain::read;
use crate::layout::Layout;
use crate::meant::one;

/// Runs the command.
pub fn run(args: &ExplainArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let found = one(layout, args.deployment.as_ref(), args.group.selection())?;
    if !found.has_journal {
        let message = format!("{} is a deployment of the AWS agent, which keeps no journal", found.deployment);
        return Err(Failure::new(Exit::NotFound, message).hint(format!(
            "what its scripts printed: less {}",
            layout.deployment(&found.group, &found.deployment).scripts_log().display()
        )));
    }
    let explanation = read::explain(layout, &found.group, &found.deployment).map_err(|error| {
        let hint = error.hint();
        Failure::new(Exit::Failed, error).hint(hint)
    })?;
    print(&explanation, output, display::explain::explanation)
}
