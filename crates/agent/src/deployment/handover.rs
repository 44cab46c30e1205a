//! One agent ends and the next one goes on: nothing begins any more, nothing is closed.

use std::sync::atomic::Ordering;

use longshore_core::failure::{Exit, Failure};

use super::agent::Agent;

/// What is left where it stands.
#[derive(Debug, thiserror::Error)]
#[error("left where it stands, for the next agent to go on with")]
struct HandedOver;

/// A deployment that is left to the next agent.
pub(super) fn handed_over() -> Failure {
    Failure::new(Exit::Failed, HandedOver)
}

/// Whether a deployment did not fail, but is left to the next agent.
pub(super) fn is_handover(failure: &Failure) -> bool {
    failure.error.is::<HandedOver>()
}

/// Whether this agent is about to end.
pub(super) fn is_due(agent: &Agent) -> bool {
    agent.handover.load(Ordering::Relaxed)
}

/// Nothing may begin when this agent is about to end.
pub(super) fn check(agent: &Agent) -> Result<(), Failure> {
    if is_due(agent) { Err(handed_over()) } else { Ok(()) }
}
