//! What follows the last step: whether the release is good, what one can type, and what is removed.

use std::fs;

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::journal::{Outcome, Step};
use super::order::{Cause, Order, Pace};
use super::plan::Revision;
use super::progress::{Progress, Standing};
use super::restore::NotDue;
use crate::history;
use crate::hook::watch;
use crate::layout::{DeploymentDir, Layout};
use crate::release::{self, Release};
use crate::retention;

/// What to type to get the old release back, or to try again.
pub(super) fn way_back(layout: &Layout, progress: &Progress, why: NotDue, good: Option<&Release>) -> String {
    let order = &progress.order;
    let good = good.filter(|good| good.deployment != order.deployment);
    match (why, good) {
        (NotDue::Untouched, _) => {
            let failed = progress.failed.as_ref().map(|failed| &failed.event);
            let stopped = match failed {
                Some(LifecycleEvent::ApplicationStop) => ", and the application may be stopped",
                Some(_) | None => "",
            };
            format!("the files on disk are those of before{stopped}; fix it and deploy again")
        }
        (_, None) => "fix it and deploy again; no earlier release of this group was good".to_owned(),
        (NotDue::NotAsked | NotDue::Stopped | NotDue::Interrupted | NotDue::NoneGood, Some(_)) => {
            let command = command(layout, order, "rollback");
            format!("fix it and deploy again, or go back to the last good release: {command}")
        }
    }
}

/// A command for the order's group, as it has to be typed.
pub(super) fn command(layout: &Layout, order: &Order, name: &str) -> String {
    let Order { group, application, .. } = order;
    let mut command = vec!["longshore-agent".to_owned(), name.to_owned()];
    command.extend(["--group".to_owned(), group.name.to_string()]);
    command.extend(["--application".to_owned(), application.to_string()]);
    if group.id != GroupId::of(application, &group.name) {
        command.extend(["--group-id".to_owned(), group.id.to_string()]);
    }
    let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    format!("{}{}", command.join(" "), layout.option())
}

/// Removes what scripts and installations wrote down for a restart. A power cut may have brought back what they removed
/// themselves.
pub(super) fn remove_scratch(directory: &DeploymentDir, progress: &Progress) {
    // What stays is read by nobody.
    let _ = fs::remove_file(directory.installation());
    for step in progress.planned.iter().flat_map(|(_, steps)| steps) {
        match step {
            Step::RunHook { number, .. } => watch::tidy(&directory.hook(*number)),
            Step::MarkMostRecent | Step::Install => {}
        }
    }
}

/// Removes old deployments that nobody needs any more. Nothing is removed when it cannot be told what is needed. Beside that,
/// the release that is installed.
pub(super) fn tidy(layout: &Layout, progress: &Progress, outcome: Outcome) -> (Option<Release>, Result<(), Failure>) {
    let order = &progress.order;
    let group = &order.group.id;
    let installed = match release::installed(layout, group) {
        Ok(installed) => installed,
        Err(error) => return (None, Err(internal(error))),
    };
    if outcome == Outcome::Refused {
        return (installed, Ok(()));
    }
    let pruned = (|| {
        let mut protected = history::unfinished(layout, group).map_err(internal)?;
        protected.push(order.deployment.clone());
        protected.extend(progress.restoring.clone());
        let good = release::good(layout, group).map_err(internal)?;
        protected.extend(installed.iter().chain(&good).map(|release| release.deployment.clone()));
        retention::prune(layout, group, order.policy.keep, &protected).map_err(internal)
    })();
    (installed, pruned)
}

/// Whether a deployment that came to its end shows that a release works: it installed it, and left out no event that the
/// release has scripts for. One that restores shows it when it installed, because the release was good before.
pub(super) fn is_good(progress: &Progress, new: &Revision) -> bool {
    let order = &progress.order;
    // What the service has not asked for was left out, too.
    let ran = |event: &LifecycleEvent| match order.pace {
        Pace::AtOnce => order.events.contains(event),
        Pace::OnCommand => progress.standing(event) == Standing::Done,
    };
    let installs = ran(&LifecycleEvent::Install);
    if matches!(order.cause, Cause::Restore { .. }) {
        return installs;
    }
    // In place and without a load balancer, no host ever loses or gets traffic.
    let has_traffic =
        order.pace == Pace::AtOnce || order.blue_green || progress.asked.iter().any(|asked| asked.event.is_traffic());
    let scripted = new.appspec.iter().flat_map(|appspec| appspec.hooks.keys());
    let is_own = |event: &&LifecycleEvent| event.scripts_from(order.scripts_map) == ScriptsFrom::Current;
    let can_run = |event: &&LifecycleEvent| event.is_built_in() && (has_traffic || !event.is_traffic());
    let mut needed = scripted.filter(can_run).filter(is_own);
    installs && needed.all(|event| ran(event) && !order.skip.contains(event))
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
