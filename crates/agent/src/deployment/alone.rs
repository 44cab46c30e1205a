//! An event that is asked for without the bundle of its deployment: the host only loses or gets traffic, and its scripts stand
//! on it already. Reads what it needs, and changes nothing.

use longshore_core::failure::Failure;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::order::Order;
use super::plan::{Plan, Revision};
use super::prepare::{self, Ready};
use super::progress::Progress;
use super::{decide, planner, revisions};
use crate::layout::Layout;
use crate::release::Release;

/// Where the scripts of an event stand that takes no bundle now; `None` where it takes one, or is done by the plan of all
/// events.
pub(super) fn scripts_from(layout: &Layout, progress: &Progress, event: &LifecycleEvent) -> Option<ScriptsFrom> {
    let order = &progress.order;
    let is_planned = progress.prepared.is_some();
    let is_here = if is_planned {
        progress.done(&LifecycleEvent::DownloadBundle) > 0
    } else {
        // The AWS agent may have put it there.
        layout.deployment(&order.group.id, &order.deployment).archive().is_dir()
    };
    planner::alone(order, event, is_planned, is_here)
}

/// What the event would do.
pub(super) fn plan(
    layout: &Layout,
    progress: &Progress,
    event: &LifecycleEvent,
    from: ScriptsFrom,
) -> Result<Plan, Failure> {
    let order = &progress.order;
    let new = revision(order, release(layout, progress));
    decide::decide_alone(layout, order, event, from, &new).map(|plan| plan.outline())
}

/// What was written down, ready to be carried out.
pub(super) fn ready(order: &Order, plan: Plan) -> Ready {
    let new = revision(order, plan.release.clone());
    Ready { source: prepare::source_of(&order.revision), new, listing: None, plan }
}

fn revision(order: &Order, release: Release) -> Revision {
    revisions::of_installed(release, order.appspec_name.as_ref())
}

/// The order's own revision; unless it was fetched, nothing is known of it but where it would stand.
pub(super) fn release(layout: &Layout, progress: &Progress) -> Release {
    let order = &progress.order;
    if let Some(prepared) = &progress.prepared {
        return prepared.release.clone();
    }
    Release {
        deployment: order.deployment.clone(),
        application: Some(order.application.clone()),
        group: Some(order.group.name.clone()),
        commit: None,
        content_digest: None,
        archive: layout.deployment(&order.group.id, &order.deployment).archive(),
        appspec_name: order.appspec_name.clone(),
        at: None,
        signed_by: None,
    }
}
