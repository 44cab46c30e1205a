//! How the waiting for a group's hosts ended, as an exit code and a sentence with what to do next. Pure.

use std::sync::Arc;
use std::time::Duration;

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::figures::{plural, quoted};
use longshore_core::ids::{DeploymentId, GroupName};
use longshore_core::pointer::Pointer;

use crate::display::sheet;
use crate::event::HostSeen;
use crate::fleet::{LeftOut, Standing};
use crate::pointing::PointError;
use crate::site::Site;
use crate::waiting::{Ended, Waited};

/// Why a deployment did not end well.
#[derive(Debug, thiserror::Error)]
enum OutcomeError {
    /// A host failed.
    #[error("deployment {deployment} to `{group}` failed on {failed} of {}: {hosts}", plural(*.of, "host"))]
    Failed { deployment: DeploymentId, group: GroupName, failed: usize, of: usize, hosts: String },
    /// A host failed, and its last good release came back.
    #[error(
        "deployment {deployment} to `{group}` failed on {failed} of {}, and the last good release came back there: {hosts}",
        plural(*.of, "host")
    )]
    RolledBack { deployment: DeploymentId, group: GroupName, failed: usize, of: usize, hosts: String },
    /// Somebody stopped it.
    #[error("deployment {deployment} to `{group}` was stopped{by}{hosts}")]
    Stopped { deployment: DeploymentId, group: GroupName, by: String, hosts: String },
    /// Time was up.
    #[error("deployment {deployment} to `{group}` has not ended within {limit}: {why}")]
    TimedOut { deployment: DeploymentId, group: GroupName, limit: String, why: String },
    /// Nobody is left who would make it.
    #[error("deployment {deployment} to `{group}` waits for hosts that are paused: {hosts}")]
    Paused { deployment: DeploymentId, group: GroupName, hosts: String },
    /// Several groups did not end well.
    #[error("{0}")]
    Several(String),
    /// The pointer moved on.
    #[error(
        "deployment {deployment} to `{group}` was overtaken: {by} moved the group to commit {commit} at {at} (generation \
         {generation}, {successor})"
    )]
    Superseded {
        deployment: DeploymentId,
        group: GroupName,
        by: String,
        commit: String,
        at: String,
        generation: u64,
        successor: DeploymentId,
    },
    /// Somebody wants this process to end.
    #[error("interrupted; deployment {deployment} to `{group}` goes on")]
    Interrupted { deployment: DeploymentId, group: GroupName },
    /// The same, and nobody knows whether it was stopped before.
    #[error("interrupted; deployment {deployment} to `{group}` is perhaps stopped: the store has not said so")]
    PerhapsStopped { deployment: DeploymentId, group: GroupName },
    /// The store cannot be asked.
    #[error("cannot see how deployment {deployment} to `{group}` goes on")]
    Lost { deployment: DeploymentId, group: GroupName, source: Arc<PointError> },
}

/// How it ended, for programs.
pub(super) fn word(waited: &Waited) -> &'static str {
    match &waited.ended {
        Ended::Succeeded => "succeeded",
        Ended::Failed if is_rolled_back(waited) => "rolled_back",
        Ended::Failed => "failed",
        Ended::Stopped(_) => "stopped",
        Ended::TimedOut => "timed_out",
        Ended::Paused => "paused",
        Ended::Superseded(_) => "superseded",
        Ended::Interrupted => "interrupted",
        Ended::PerhapsStopped => "perhaps_stopped",
        Ended::Lost(_) => "lost",
    }
}

/// Whether the last good release came back wherever the deployment failed.
fn is_rolled_back(waited: &Waited) -> bool {
    let mut failed = waited.hosts.iter().filter(|seen| seen.standing == Standing::Failed);
    failed.all(|seen| seen.status.as_ref().is_some_and(|status| status.restored))
}

/// Failures of several groups as one; the first decides on the exit code.
pub(super) fn together(mut failures: Vec<Failure>) -> Option<Failure> {
    if failures.len() < 2 {
        return failures.pop();
    }
    let exit = failures.first()?.exit;
    let all = failures.iter().map(|failure| chain(&*failure.error)).collect::<Vec<_>>().join("; ");
    let mut hints: Vec<String> = failures.into_iter().flat_map(|failure| failure.hints).collect();
    hints.dedup();
    Some(Failure { hints, ..Failure::new(exit, OutcomeError::Several(all)) })
}

/// Why it did not end well; `None`: it did.
pub(super) fn failure(pointer: &Pointer, waited: &Waited, limit: Duration, site: &Site) -> Option<Failure> {
    let Pointer { deployment, group, application, .. } = pointer;
    let (deployment, group) = (deployment.clone(), group.clone());
    let named = |is: fn(&HostSeen) -> bool| -> Vec<&str> {
        waited.hosts.iter().filter(|seen| is(seen)).map(|seen| seen.host.as_str()).collect()
    };
    let options =
        format!("{} --group {} --application {}", site.flags(), quoted(group.as_str()), quoted(application.as_str()));
    let look = format!("`longshore status {options}` shows how it goes on");
    let back = format!("`longshore rollback --with store {options}`");
    Some(match &waited.ended {
        Ended::Succeeded => return None,
        Ended::Failed => {
            let hosts = named(|seen| seen.standing == Standing::Failed);
            let (failed, of) = (hosts.len(), named(|seen| seen.standing.is_final()).len());
            let (deployment, hosts) = (deployment.clone(), hosts.join(", "));
            let (exit, failed) = if is_rolled_back(waited) {
                (Exit::RolledBack, OutcomeError::RolledBack { deployment, group, failed, of, hosts })
            } else {
                (Exit::DeploymentFailed, OutcomeError::Failed { deployment, group, failed, of, hosts })
            };
            let made = |seen: &HostSeen| {
                let of = seen.status.as_ref().and_then(|status| status.deployment.as_ref());
                seen.standing == Standing::Failed && of == Some(&pointer.deployment)
            };
            let failure = Failure::new(exit, failed);
            // Who refused the pointer itself has made no deployment of it.
            if waited.hosts.iter().any(made) {
                failure.hint(format!("on the host: longshore-agent explain {}", pointer.deployment))
            } else {
                failure.hint(look)
            }
        }
        Ended::Stopped(by) => {
            let by = by.as_ref().map(|pointer| format!(" by {} at {}", pointer.by, pointer.at)).unwrap_or_default();
            let hosts = [
                (Standing::Succeeded, "succeeded"),
                (Standing::Halted, "halted"),
                (Standing::Failed, "failed"),
                (Standing::Deploying, "still in an event"),
            ]
            .into_iter()
            .filter_map(|(standing, word)| {
                let hosts: Vec<&str> = waited
                    .hosts
                    .iter()
                    .filter(|seen| seen.standing == standing)
                    .map(|seen| seen.host.as_str())
                    .collect();
                (!hosts.is_empty()).then(|| format!("; {word}: {}", hosts.join(", ")))
            })
            .collect();
            let stopped = OutcomeError::Stopped { deployment, group, by, hosts };
            Failure::new(Exit::Stopped, stopped)
                .hint(format!("hosts stay as they are until the group moves on: deploy again, or {back}"))
        }
        Ended::TimedOut => {
            let hosts = named(|seen| seen.standing.is_under_way());
            let left_out = named(|seen| matches!(seen.standing, Standing::LeftOut(_)));
            let why = match (hosts.as_slice(), left_out.as_slice(), waited.hosts.as_slice()) {
                (_, _, []) => "no host follows the group".to_owned(),
                ([], left_out, _) if !left_out.is_empty() => {
                    format!("too few hosts made it; left out: {}", left_out.join(", "))
                }
                ([], _, _) => "too few hosts made it".to_owned(),
                (hosts, _, _) => format!("still under way: {}", hosts.join(", ")),
            };
            let limit = sheet::span(limit.as_secs());
            Failure::new(Exit::TimedOut, OutcomeError::TimedOut { deployment, group, limit, why }).hint(look)
        }
        Ended::Paused => {
            let hosts = named(|seen| seen.standing == Standing::LeftOut(LeftOut::Paused)).join(", ");
            Failure::new(Exit::TimedOut, OutcomeError::Paused { deployment, group, hosts })
                .hint("on the host: longshore-agent control resume")
                .hint(look)
        }
        Ended::Superseded(by) => {
            let Pointer { by, commit, at, generation, deployment: successor, .. } = by.as_ref();
            let superseded = OutcomeError::Superseded {
                deployment,
                group,
                by: by.clone(),
                commit: commit.short().to_owned(),
                at: at.clone(),
                generation: *generation,
                successor: successor.clone(),
            };
            Failure::new(Exit::Conflict, superseded).hint(look)
        }
        Ended::Interrupted => Failure::new(Exit::Failed, OutcomeError::Interrupted { deployment, group }).hint(look),
        Ended::PerhapsStopped => {
            Failure::new(Exit::Failed, OutcomeError::PerhapsStopped { deployment, group }).hint(look)
        }
        Ended::Lost(source) => {
            let (exit, hint) = match source.as_ref() {
                PointError::Store { source, .. } => (source.exit(), source.hint()),
                PointError::Unknown { .. }
                | PointError::Older { .. }
                | PointError::Overtaken(_)
                | PointError::Contested { .. }
                | PointError::Interrupted { .. }
                | PointError::Random(_) => (Exit::Conflict, None),
            };
            let source = Arc::clone(source);
            let lost = Failure::new(exit, OutcomeError::Lost { deployment, group, source });
            hint.into_iter().fold(lost, Failure::hint).hint(look)
        }
    })
}
