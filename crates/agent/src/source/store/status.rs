//! What this host says of a group that it follows. Pure.

use longshore_core::host_status::{self, HostState, HostStatus, InstalledRelease};
use longshore_core::pointer::Pointer;

use super::mark::{End, Mark};
use crate::settings::Follow;

/// What a status is made from.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// What is followed.
    pub(super) follow: &'a Follow,
    /// What was seen of the pointer.
    pub(super) seen: Option<&'a Mark>,
    /// What is installed.
    pub(super) installed: Option<InstalledRelease>,
    /// What is in the way of following the pointer.
    pub(super) trouble: Option<&'a Trouble>,
    /// What this agent does at the moment.
    pub(super) doing: Doing,
}

/// What this agent does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It waits for the pointer to move.
    Following,
    /// It deploys what it has seen.
    Deploying,
    /// It leaves new orders where they are.
    Paused,
    /// It ends.
    Stopping,
}

/// Why a pointer is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Why, one line.
    pub(super) reason: String,
    /// The pointer, when it can be read and is refused.
    pub(super) refused: Option<Box<Pointer>>,
}

/// The status, without the time at which it is written.
pub(super) fn of(facts: &Facts<'_>) -> HostStatus {
    let Facts { follow, seen, trouble, .. } = facts;
    let ended = seen.and_then(|seen| seen.ended.as_ref());
    let refused = trouble.and_then(|trouble| trouble.refused.as_deref());
    let deploying = facts.doing == Doing::Deploying;
    // Whoever waits for the deployment of a refused pointer looks for its id.
    let pointer = refused.filter(|_| !deploying).or(seen.map(|seen| &seen.pointer));
    let (end, state) = match (deploying, refused, ended) {
        (true, _, _) => (None, HostState::Deploying),
        (false, Some(_), _) => (None, HostState::Refused),
        (false, None, Some(end)) => (Some(end), end.state),
        // It is about to begin, as soon as nothing is in the way.
        (false, None, None) if seen.is_some() => (None, HostState::Deploying),
        (false, None, None) => (None, HostState::Idle),
    };
    let reasons = [end.and_then(|end| end.reason.as_deref()), trouble.map(|trouble| trouble.reason.as_str())];
    let reason = reasons.into_iter().flatten().collect::<Vec<_>>().join("; ");
    HostStatus {
        format: host_status::FORMAT,
        host: host_status::host_name(&follow.host),
        application: follow.application.clone(),
        group: follow.group.clone(),
        generation: seen.map_or(0, |seen| seen.pointer.generation),
        deployment: pointer.map(|pointer| pointer.deployment.clone()),
        commit: pointer.map(|pointer| pointer.commit.clone()),
        state: match facts.doing {
            Doing::Following | Doing::Deploying => state,
            Doing::Paused => HostState::Paused,
            Doing::Stopping => HostState::Stopped,
        },
        event: end.and_then(|end: &End| end.event.clone()),
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        failed_script: end.and_then(|end| end.failed_script.clone()),
        stopped: end.is_some_and(|end| end.stopped),
        restored: end.is_some_and(|end| end.restored),
        installed: facts.installed.clone(),
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        at: String::new(),
        heartbeat_s: follow.heartbeat.as_secs(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::{mark, pointer};
    use super::super::order::tests::follow;
    use super::*;

    #[test]
    fn a_status_tells_of_the_deployment_that_matters() {
        use HostState::{Deploying, Failed, Idle, Paused, Refused, Stopped, Succeeded};
        let follow = follow("file:///store");
        let lost = || Some(Trouble { reason: "no pointer".to_owned(), refused: None });
        let low = || Some(Trouble { reason: "too low".to_owned(), refused: Some(Box::new(pointer(3))) });
        let failed = || {
            let mut failed = mark(7, Some(Failed));
            failed.ended = Some(End::failed("it broke"));
            Some(failed)
        };
        let good = || Some(mark(7, Some(Succeeded)));
        // Seen, trouble, what is done; state, generation, deployment, reason.
        let table = [
            (None, None, Doing::Following, Idle, 0, None, None),
            (None, lost(), Doing::Following, Idle, 0, None, Some("no pointer")),
            (good(), None, Doing::Following, Succeeded, 7, Some("d-7"), None),
            (good(), lost(), Doing::Following, Succeeded, 7, Some("d-7"), Some("no pointer")),
            (good(), low(), Doing::Following, Refused, 7, Some("d-3"), Some("too low")),
            (good(), low(), Doing::Deploying, Deploying, 7, Some("d-7"), Some("too low")),
            (failed(), None, Doing::Following, Failed, 7, Some("d-7"), Some("it broke")),
            (failed(), lost(), Doing::Following, Failed, 7, Some("d-7"), Some("it broke; no pointer")),
            (Some(mark(7, None)), None, Doing::Following, Deploying, 7, Some("d-7"), None),
            (Some(mark(7, None)), None, Doing::Deploying, Deploying, 7, Some("d-7"), None),
            (good(), None, Doing::Paused, Paused, 7, Some("d-7"), None),
            (failed(), None, Doing::Stopping, Stopped, 7, Some("d-7"), Some("it broke")),
            (None, None, Doing::Stopping, Stopped, 0, None, None),
        ];
        for (number, (seen, trouble, doing, state, generation, deployment, reason)) in table.into_iter().enumerate() {
            let facts =
                Facts { follow: &follow, seen: seen.as_ref(), installed: None, trouble: trouble.as_ref(), doing };
            let status = of(&facts);
            let found = (status.state, status.generation, status.deployment, status.reason.as_deref());
            let deployment = deployment.map(|id| id.parse().unwrap());
            assert_eq!(found, (state, generation, deployment, reason), "case {number}");
        }
    }
}
