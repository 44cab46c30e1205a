//! Bringing the last good release back after a failure: whether it is due, and as which order. Pure.

use longshore_core::appspec::FileExists;
use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};

use super::order::{Cause, OnFailure, Order, Pace, Policy, Revision, StopFrom};
use super::progress::Progress;
use crate::hook::HookOutcome;
use crate::release::{Kept, Release};

/// Why nothing is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDue {
    /// Nobody wants it: the order says so, or what failed was no script.
    NotAsked,
    /// Somebody asked to stop.
    Stopped,
    /// Nobody knows how far the script got, and whether it may be followed by another one.
    Interrupted,
    /// What served before still stands, and was not stopped.
    Untouched,
    /// No release of the group was good yet.
    NoneGood,
}

/// What has to be done again to have the last good release serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Its files, and its ApplicationStart.
    Install,
    /// Its ApplicationStart: its files stand, and its ApplicationStop ran.
    Start,
}

/// Whether the last good release has to come back after this deployment failed.
pub fn due(
    progress: &Progress,
    installed: Option<&Release>,
    good: Option<&Release>,
    asked_to_stop: bool,
) -> Result<Due, NotDue> {
    let Some(failed) = &progress.failed else { return Err(NotDue::NotAsked) };
    if progress.order.policy.on_failure == OnFailure::Leave {
        return Err(NotDue::NotAsked);
    }
    if asked_to_stop {
        return Err(NotDue::Stopped);
    }
    if failed.hook.as_ref().is_some_and(|report| report.outcome == HookOutcome::Interrupted) {
        return Err(NotDue::Interrupted);
    }
    // Also when its files stand and Install failed only after that.
    let was_installed = progress.done(&LifecycleEvent::Install) > 0
        || installed.is_some_and(|installed| installed.deployment == progress.order.deployment);
    // Also when a later stop script failed: what the first one stopped is down.
    let was_stopped = progress.done(&LifecycleEvent::ApplicationStop) > 0;
    if !was_installed && !was_stopped {
        return Err(NotDue::Untouched);
    }
    let Some(good) = good.filter(|good| good.deployment != progress.order.deployment) else {
        return Err(NotDue::NoneGood);
    };
    if was_installed {
        return Ok(Due::Install);
    }
    match installed {
        Some(installed) if installed.deployment == good.deployment => Ok(Due::Start),
        // What was stopped was not good itself.
        Some(_) | None => Err(NotDue::NoneGood),
    }
}

/// The order that brings `good` back. Files that stand in the way were written by the failed release or its scripts, in
/// places that belong to this one; they are replaced.
pub fn order(failed: &Order, deployment: DeploymentId, due: Due, good: &Release, kept: Kept) -> Order {
    Order {
        deployment,
        number: 0,
        application: failed.application.clone(),
        group: failed.group.clone(),
        revision: Revision::Local(kept.path),
        events: match due {
            Due::Install => {
                vec![LifecycleEvent::DownloadBundle, LifecycleEvent::Install, LifecycleEvent::ApplicationStart]
            }
            Due::Start => vec![LifecycleEvent::DownloadBundle, LifecycleEvent::ApplicationStart],
        },
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists: FileExists::Overwrite,
        cause: Cause::Restore { failed: failed.deployment.clone(), to: good.deployment.clone() },
        scripts_map: ScriptsMap::InPlace,
        content_digest: kept.content_digest,
        appspec_name: good.appspec_name.clone(),
        policy: Policy { on_failure: OnFailure::Leave, ..failed.policy.clone() },
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
    }
}

#[cfg(test)]
mod tests;
