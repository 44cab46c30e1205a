//! The ways in: an order is carried out, one event of it is, or what an earlier agent left is gone on with.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::LifecycleEvent;

use super::agent::Agent;
use super::answer::Answer;
use super::command;
use super::handover;
use super::journal;
use super::order::{Cause, Order, Pace};
use super::progress::Progress;
use super::run::{carry_out, lock, unreadable};
use super::unfinished;
use crate::history;

/// Carries out an order, from the lock to the last event. Returns when it succeeded. An error may be a handover; see
/// [`is_handover`].
pub fn deploy(agent: &Agent, order: &Order) -> Result<(), Failure> {
    let layout = &agent.layout;
    let lock = lock(layout, &order.group.id, &format!("deployment {}", order.deployment))?;
    let directory = layout.deployment(&order.group.id, &order.deployment);
    if directory.path().exists() {
        let message = format!("deployment `{}` exists already ({})", order.deployment, directory.path().display());
        return Err(Failure::new(Exit::Conflict, message).hint(format!(
            "leave `--deployment-id` out to get a fresh one, or go on with one that was interrupted: \
             longshore-agent resume{}",
            layout.option()
        )));
    }
    carry_out(agent, &lock, order)
}

/// Carries out an order that may have begun: goes on where its journal ends, and says again how it ended when it has.
pub fn deploy_or_resume(agent: &Agent, order: &Order) -> Result<(), Failure> {
    let lock = lock(&agent.layout, &order.group.id, &format!("deployment {}", order.deployment))?;
    unfinished::sweep(agent, &lock);
    unfinished::refuse_beside_scripts(agent, &lock, &order.deployment)?;
    carry_out(agent, &lock, order)
}

/// Carries out one event of an order whose events are asked for one at a time ([`super::order::Pace::OnCommand`]), and
/// before the first of them everything that can go wrong without changing the host. Goes on where an earlier agent stopped;
/// an event that is done is not done again, its recorded end is the answer.
pub fn command(agent: &Agent, order: &Order, event: &LifecycleEvent) -> Answer {
    command::command(agent, order, event)
}

/// Goes on with what an earlier agent left unfinished in a group. Returns whether there was anything; an error is that of
/// the deployment. One that waits for its next event is left alone; of one whose events are asked for one at a time, only
/// the event is finished that was begun.
pub fn resume(agent: &Agent, group: &GroupId) -> Result<bool, Failure> {
    resume_telling(agent, group, &[])
}

/// As [`resume`]. `variables`: what scripts of events that are asked for are told beside.
pub fn resume_telling(agent: &Agent, group: &GroupId, variables: &[(String, String)]) -> Result<bool, Failure> {
    let lock = lock(&agent.layout, group, "resume")?;
    unfinished::sweep(agent, &lock);
    let mut open = Vec::new();
    for (_, path) in history::journals(&agent.layout, group).map_err(unreadable)? {
        let progress = Progress::replay(journal::read(&path).map_err(unreadable)?);
        open.extend(progress.filter(|progress| progress.closed.is_none()));
    }
    open.retain(|progress| match progress.order.pace {
        Pace::AtOnce => true,
        Pace::OnCommand => progress.left().is_some(),
    });
    // One that restores is part of the one that failed, which comes to it by itself.
    let is_restore = |progress: &Progress| matches!(progress.order.cause, Cause::Restore { .. });
    let newest = open.into_iter().max_by_key(|progress| (!is_restore(progress), progress.order.number));
    let Some(progress) = newest else { return Ok(false) };
    match (progress.order.pace, progress.left().cloned()) {
        (Pace::OnCommand, Some(event)) => command::go_on(&agent.telling(variables), &lock, progress, &event),
        (Pace::AtOnce | Pace::OnCommand, _) => carry_out(agent, &lock, &progress.order),
    }
    .map(|()| true)
}

/// Whether a deployment did not fail, but was left where it stood, because this process is about to end
/// ([`Agent::handover`]). The next one goes on with it.
pub fn is_handover(failure: &Failure) -> bool {
    handover::is_handover(failure)
}
