//! `history`: what was deployed, and how it ended.

use longshore_core::failure::{Exit, Failure};

use super::print;
use crate::cli::{HistoryArgs, Output};
use crate::display;
use crate::history;
use crate::layout::Layout;

/// Runs the command.
pub fn run(args: &HistoryArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Failed, error);
    let mut all = Vec::new();
    for group in history::groups(layout).map_err(failed)? {
        all.extend(history::past(layout, &group).map_err(failed)?);
    }
    let known = history::group_names(layout).map_err(failed)?;
    // A journal whose order cannot be read may be the one that is looked for.
    all.retain(|past| {
        past.order().is_none_or(|order| {
            args.group.as_ref().is_none_or(|group| *group == order.group.name)
                && args.application.as_ref().is_none_or(|name| *name == order.application)
        })
    });
    all.sort_by(|a, b| b.started().cmp(a.started()));
    all.truncate(args.limit);
    print(&all, output, |all| {
        if all.is_empty() {
            display::past::none(layout.root(), args.group.as_ref(), args.application.as_ref(), &known)
        } else {
            display::past::table(all)
        }
    })
}
