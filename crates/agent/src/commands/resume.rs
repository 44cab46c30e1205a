//! `resume`: finishes what an agent that was killed left unfinished.

use longshore_core::failure::Failure;

use super::deploy;
use crate::cli::{Output, ResumeArgs};
use crate::deployment::drive;
use crate::display;
use crate::history;
use crate::layout::Layout;
use crate::meant;

/// Runs the command. One group's failure does not keep the others from being finished; the first is the one that is
/// returned, and the others are told.
pub fn run(args: &ResumeArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let agent = deploy::of_this_process(layout, output)?;
    let groups = history::select(layout, args.group.selection()).map_err(meant::unreadable)?;
    if groups.is_empty() && args.group.selection().is_narrow() {
        return Err(meant::none(layout, args.group.selection()));
    }
    let mut first = None;
    let mut resumed = 0;
    for (group, _) in groups {
        match drive::resume(&agent, &group) {
            Ok(was_unfinished) => resumed += usize::from(was_unfinished),
            Err(failure) if first.is_none() => first = Some(failure),
            Err(failure) => display::also_failed(&failure),
        }
    }
    match first {
        Some(failure) => Err(failure),
        None => {
            if resumed == 0 && output == Output::Text {
                display::nothing_to_resume(layout);
            }
            Ok(())
        }
    }
}
