//! Whether an event that the service asks for would do anything (CodeDeploy: `IsCommandNoop`). Looks at what stands on the
//! host, fetches nothing and changes nothing.

use longshore_core::failure::Failure;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::alone;
use super::journal;
use super::order::Order;
use super::plan::Action;
use super::planner;
use super::progress::Progress;
use super::revisions;
use super::run::unreadable;
use crate::layout::Layout;
use crate::release;

/// Whether the event has no scripts where the AWS agent 1.8.1 would look for them. DownloadBundle and Install always do
/// something, and so may what cannot be told yet. An error says that the deployment's journal cannot be read.
pub fn is_noop(layout: &Layout, order: &Order, event: &LifecycleEvent) -> Result<bool, Failure> {
    if !event.is_scriptable() {
        return Ok(false);
    }
    let path = layout.deployment(&order.group.id, &order.deployment).journal();
    let written = if path.exists() { journal::read(&path).map_err(unreadable)? } else { Vec::new() };
    let progress = Progress::replay(written).unwrap_or_else(|| Progress::new(order.clone()));
    let alone = alone::scripts_from(layout, &progress, event);
    let is_asked = progress.asked.iter().any(|asked| asked.event == *event && asked.plan.is_some());
    if let Some(planned) = progress.plan_of(event)
        && (is_asked || alone.is_none())
    {
        return Ok(matches!(planned.action, Action::Nothing { .. }));
    }
    if order.skip.contains(event) {
        return Ok(true);
    }
    let from = alone.unwrap_or_else(|| planner::scripts_from(order, event));
    let revision = match from {
        // Known once the bundle is here.
        ScriptsFrom::Current if alone.is_none() => return Ok(false),
        ScriptsFrom::Current => Ok(Some(alone::release(layout, &progress))),
        ScriptsFrom::Installed => release::installed(layout, &order.group.id),
        ScriptsFrom::MostRecent => release::most_recent(layout, &order.group.id),
    };
    Ok(match revision {
        Ok(None) => true,
        Ok(Some(release)) => {
            let appspec = revisions::of_installed(release, order.appspec_name.as_ref()).appspec;
            appspec.is_ok_and(|appspec| appspec.hooks_of(event).is_empty())
        }
        Err(_) => false,
    })
}
