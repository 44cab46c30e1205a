//! A deployment that is carried out while the pointer is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_core::failure::Failure;
use longshore_core::host_status::{HostState, HostStatus};
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::report::{Envelope, Reporter};
use tokio::sync::{oneshot, watch};

use super::mark::Mark;
use crate::daemon::desk::Desk;
use crate::deployment::agent::Agent;
use crate::deployment::drive;
use crate::deployment::order::Order;
use crate::event::Event;

/// A deployment under way.
pub(super) struct Job {
    /// The pointer that it is of; `None`: an earlier agent left it unfinished.
    pub(super) mark: Option<Mark>,
    /// The deployment, as far as it is of a pointer.
    pub(super) deployment: Option<DeploymentId>,
    /// Has it stopped.
    pub(super) halt: Arc<AtomicBool>,
    /// Its error. Dropped without a word when the job was.
    ended: oneshot::Receiver<Option<Failure>>,
}

impl Job {
    /// Goes on with what an earlier agent left unfinished: with this deployment of a pointer, or another one.
    pub(super) fn going_on(desk: &Desk, agent: Agent, group: GroupId, deployment: Option<DeploymentId>) -> Job {
        let (halt, resumed) = (Arc::clone(&agent.halt), group.clone());
        let ended = submit(desk, group, move || drive::resume(&agent, &resumed).err());
        Job { mark: None, deployment, halt, ended }
    }

    /// Deploys what a pointer names.
    pub(super) fn of(desk: &Desk, agent: Agent, order: Order, mark: Mark) -> Job {
        let (halt, deployment) = (Arc::clone(&agent.halt), Some(mark.pointer.deployment.clone()));
        let ended = submit(desk, order.group.id.clone(), move || carry_out(&agent, &order));
        Job { mark: Some(mark), deployment, halt, ended }
    }

    /// Whether it is stopped.
    pub(super) fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }
}

fn submit(
    desk: &Desk,
    group: GroupId,
    work: impl FnOnce() -> Option<Failure> + Send + 'static,
) -> oneshot::Receiver<Option<Failure>> {
    let (say, ended) = oneshot::channel();
    // Nobody listens any more when the daemon ends.
    desk.submit(group, Box::new(move || drop(say.send(work()))));
    ended
}

/// Waits for a job; for ever when there is none. The outer `None`: it was lost.
pub(super) async fn end_of(job: &mut Option<Job>) -> Option<Option<Failure>> {
    match job {
        Some(job) => (&mut job.ended).await.ok(),
        None => std::future::pending().await,
    }
}

/// Carries out an order, after what others left unfinished in its group; goes on with it when it was begun.
fn carry_out(agent: &Agent, order: &Order) -> Option<Failure> {
    let resumed = drive::resume(agent, &order.group.id);
    if agent.layout.deployment(&order.group.id, &order.deployment).journal().exists() {
        return resumed.err();
    }
    match resumed {
        Err(failure) if drive::is_handover(&failure) => Some(failure),
        Ok(_) | Err(_) => drive::deploy_or_resume(agent, order).err(),
    }
}

/// Says which event of a deployment is under way.
pub(super) struct Watcher {
    /// The deployment.
    pub(super) deployment: DeploymentId,
    /// What this host says.
    pub(super) told: Arc<watch::Sender<HostStatus>>,
}

impl Reporter<Event> for Watcher {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        let (Event::EventStarted { event } | Event::DeploymentResumed { during: Some(event), .. }) = envelope.event
        else {
            return;
        };
        // What brings the last good release back is a deployment of its own.
        if envelope.deployment == Some(self.deployment.as_str()) {
            self.told.send_if_modified(|told| {
                let is_it = told.deployment.as_ref() == Some(&self.deployment) && told.state == HostState::Deploying;
                let changed = is_it && told.event.as_ref() != Some(event);
                if changed {
                    told.event = Some(event.clone());
                }
                changed
            });
        }
    }
}
