//! What to do about a group's pointer, from what was seen before, what stands in the store, and what this host knows. Pure.

use longshore_core::failure::chain;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupName};
use longshore_core::pointer::{Pointer, PointerError};

use super::mark::Mark;

/// What stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has looked yet.
    Unread,
    /// Nothing.
    Missing,
    /// Something that cannot be followed, and why.
    Unusable(String),
    /// A pointer.
    Pointer(Box<Pointer>),
}

/// What this host knows of the deployment that a pointer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// It was begun, and has not ended.
    Open,
    /// It has ended.
    Closed,
}

/// What is decided from.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// What was seen of the pointer before.
    pub(super) seen: Option<&'a Mark>,
    /// What stands in the store.
    pub(super) standing: &'a Standing,
    /// Whether a deployment of the group is under way.
    pub(super) busy: bool,
    /// That deployment, as far as it is of a pointer.
    pub(super) making: Option<&'a DeploymentId>,
    /// Whether new orders are left where they are.
    pub(super) paused: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Rest,
    /// Nothing until the deployment under way has ended.
    Wait,
    /// Nothing until new orders are taken again.
    Hold,
    /// Nothing until somebody moves the pointer on, or forgets what was seen.
    Refuse(Refusal),
    /// Deploy what it names, or go on with that.
    Deploy,
    /// Have the deployment under way stopped.
    Stop,
    /// Write down that the deployment is not begun, because it is to be stopped.
    Skip,
    /// Write down how the deployment that it names has ended here: what was seen of the pointer was lost since.
    Adopt,
}

/// Why a pointer is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It went backwards.
    #[error("the pointer has generation {found}, and this host has seen {seen}")]
    Lower {
        /// The generation that it has.
        found: u64,
        /// The highest one that was seen.
        seen: u64,
    },
    /// It was changed without being moved.
    #[error(
        "generation {generation} of the pointer is not what it was: it named deployment {seen}, and now names {found}"
    )]
    Changed {
        /// The generation.
        generation: u64,
        /// The deployment that it named.
        seen: DeploymentId,
        /// The deployment that it names.
        found: DeploymentId,
    },
    /// It names a deployment that was not made of it.
    #[error("the pointer names deployment {deployment}, which this host made before it was moved")]
    Used {
        /// The deployment.
        deployment: DeploymentId,
    },
}

/// Decides. `known` is asked only when something may have to be deployed.
pub(super) fn decide(view: &View<'_>, known: impl FnOnce(&DeploymentId) -> Known) -> Act {
    let found = match view.standing {
        Standing::Unread | Standing::Missing | Standing::Unusable(_) => return Act::Rest,
        Standing::Pointer(found) => found,
    };
    let (generation, deployment) = (found.generation, &found.deployment);
    let moved = match view.seen {
        None => false,
        Some(seen) if generation < seen.pointer.generation => {
            return Act::Refuse(Refusal::Lower { found: generation, seen: seen.pointer.generation });
        }
        Some(seen) if generation > seen.pointer.generation => true,
        Some(seen) if **found != seen.pointer => {
            let (seen, found) = (seen.pointer.deployment.clone(), deployment.clone());
            return Act::Refuse(Refusal::Changed { generation, seen, found });
        }
        Some(Mark { ended: Some(_), .. }) => return Act::Rest,
        Some(Mark { ended: None, .. }) => false,
    };
    if is_stopped(view, found) {
        return Act::Stop;
    }
    if view.busy {
        return Act::Wait;
    }
    // That it is to be stopped is the one reason for a pointer to name a deployment again.
    let is_again = found.is_stopped() && view.seen.is_some_and(|seen| seen.pointer.deployment == *deployment);
    match known(deployment) {
        // It was made before this generation was ever seen, so it is of something else.
        Known::Open | Known::Closed if moved && !is_again => {
            Act::Refuse(Refusal::Used { deployment: deployment.clone() })
        }
        Known::Closed => Act::Adopt,
        Known::Nothing if found.is_stopped() => Act::Skip,
        Known::Nothing | Known::Open if view.paused => Act::Hold,
        Known::Nothing | Known::Open => Act::Deploy,
    }
}

/// Whether the deployment under way is to be stopped: a stop holds for the deployment that it names and for all before it, which are
/// those whose own pointer did not say so yet.
fn is_stopped(view: &View<'_>, found: &Pointer) -> bool {
    let (Some(stop), Some(making)) = (&found.stop, view.making) else { return false };
    stop == making || view.seen.is_some_and(|seen| seen.pointer.stop.as_ref() != Some(stop))
}

/// What bytes of a store mean as the pointer of a group.
pub(super) fn parse(contents: &[u8], application: &ApplicationName, group: &GroupName) -> Standing {
    match Pointer::parse(contents, application, group) {
        Ok(pointer) => Standing::Pointer(Box::new(pointer)),
        Err(error @ PointerError::Format { .. }) => Standing::Unusable(format!("{error}; update the agent")),
        Err(error @ (PointerError::Parse { .. } | PointerError::Other { .. } | PointerError::Field { .. })) => {
            Standing::Unusable(chain(&error))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
