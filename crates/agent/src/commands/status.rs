//! `status`: what is installed in each group.

use longshore_core::failure::Failure;

use super::print;
use crate::cli::{Output, StatusArgs};
use crate::display;
use crate::history::{self, Past, Selection};
use crate::layout::Layout;
use crate::meant;

/// Runs the command.
pub fn run(args: &StatusArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let failed = meant::unreadable;
    let mut groups = Vec::new();
    for id in history::all_groups(layout).map_err(failed)? {
        let status = history::status(layout, id).map_err(failed)?;
        let order = status.last.as_ref().and_then(Past::order);
        let selection = Selection { group: args.group.as_ref(), ..Selection::default() };
        if selection.means(&status.group_id, order) {
            groups.push(status);
        }
    }
    if let (true, Some(group)) = (groups.is_empty(), &args.group) {
        return Err(meant::no_group(layout, group));
    }
    meant::check_readable(groups.iter().filter_map(|group| group.last.as_ref()))?;
    print(&groups, output, |groups| display::past::groups(groups, args.group.as_ref(), layout.root()))
}
