//! `history`: what was deployed, and how it ended.

use longshore_core::failure::Failure;

use super::print;
use crate::cli::{HistoryArgs, Output};
use crate::display;
use crate::history::{self, Past};
use crate::layout::Layout;
use crate::meant;

/// Runs the command.
pub fn run(args: &HistoryArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let failed = meant::unreadable;
    let groups = history::groups(layout).map_err(failed)?;
    let groups = groups.iter().map(|group| history::past(layout, group)).collect::<Result<_, _>>();
    let mut all = newest_first(groups.map_err(failed)?);
    let known = history::group_names(layout).map_err(failed)?;
    // A journal whose order cannot be read may be the one that is looked for.
    all.retain(|past| {
        past.order().is_none_or(|order| {
            args.group.as_ref().is_none_or(|group| *group == order.group.name)
                && args.application.as_ref().is_none_or(|name| *name == order.application)
        })
    });
    all.truncate(args.limit);
    meant::check_readable(&all)?;
    print(&all, output, |all| {
        if all.is_empty() {
            display::past::none(layout.root(), args.group.as_ref(), args.application.as_ref(), &known)
        } else {
            display::past::table(all)
        }
    })
}

/// The deployments of all groups. Those of one group stay in their order, whatever the clock said when they began.
fn newest_first(mut groups: Vec<Vec<Past>>) -> Vec<Past> {
    let mut all = Vec::new();
    while let Some(group) = groups.iter_mut().max_by(|a, b| {
        let latest = |group: &[Past]| group.last().map(|past| past.started().to_owned());
        latest(a).cmp(&latest(b))
    }) {
        match group.pop() {
            Some(past) => all.push(past),
            None => break,
        }
    }
    all
}
