//! What is done to have the agent started with the host → lines for people.

use longshore_core::figures::verb_line;
use longshore_core::problem::Look;

use super::text;
use crate::service::{Order, Step};

/// The line for a step that is done.
pub fn step(step: &Step, look: Look) -> String {
    let verb = |verb: &str, rest: String| verb_line(verb, &text::clean(&rest), look);
    match step {
        Step::MakeFolder { path } => verb("Made", format!("the folder `{}`", path.display())),
        Step::Write { path, .. } => verb("Wrote", format!("`{}`", path.display())),
        Step::Remove { path } => verb("Removed", format!("`{}`", path.display())),
        Step::Link { path, to } => verb("Linked", format!("`{}` to `{}`", path.display(), to.display())),
        Step::Reload => verb("Reloaded", "the units of systemd".to_owned()),
        Step::Service { order, unit } => match order {
            Order::Enable => verb("Enabled", format!("{unit}: it starts with the host")),
            Order::Disable => verb("Disabled", format!("{unit}: it no longer starts with the host")),
            Order::Start => verb("Started", (*unit).to_owned()),
            Order::Stop => verb("Stopped", (*unit).to_owned()),
            Order::Restart => verb("Restarted", (*unit).to_owned()),
        },
    }
}

/// The line when there was nothing to do.
pub fn nothing(look: Look) -> String {
    verb_line("Unchanged", "everything stands as asked", look)
}
