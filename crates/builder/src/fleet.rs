//! How far each host is with what its group should run. Pure.

use longshore_core::host_status::{HostState, HostStatus};
use longshore_core::pointer::Pointer;

/// How far a host is with a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not begun.
    Unaware,
    /// It is at it.
    Deploying,
    /// Every event succeeded.
    Succeeded,
    /// An event failed, or the deployment was refused or interrupted.
    Failed,
    /// Somebody stopped the deployment before it came to its end there.
    Halted,
    /// It will not make it as it is; nobody waits for it.
    LeftOut(LeftOut),
    /// It has seen a later generation of the pointer.
    Ahead,
}

/// Why nobody waits for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It has not written for three heartbeats.
    Silent,
    /// Its agent was stopped.
    Stopped,
    /// It takes no orders.
    Paused,
    /// What it says cannot be read.
    Unreadable,
}

impl Standing {
    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Standing::Unaware => "unaware",
            Standing::Deploying => "deploying",
            Standing::Succeeded => "succeeded",
            Standing::Failed => "failed",
            Standing::Halted => "halted",
            Standing::LeftOut(LeftOut::Silent) => "silent",
            Standing::LeftOut(LeftOut::Stopped) => "stopped",
            Standing::LeftOut(LeftOut::Paused) => "paused",
            Standing::LeftOut(LeftOut::Unreadable) => "unreadable",
            Standing::Ahead => "ahead",
        }
    }

    /// Whether it ends the waiting for this host, whatever it says later.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Standing::Succeeded | Standing::Failed | Standing::Halted => true,
            Standing::Unaware | Standing::Deploying | Standing::LeftOut(_) | Standing::Ahead => false,
        }
    }

    /// Whether the host will come further by itself.
    pub(crate) fn is_under_way(self) -> bool {
        match self {
            Standing::Unaware | Standing::Deploying => true,
            Standing::Succeeded | Standing::Failed | Standing::Halted | Standing::LeftOut(_) | Standing::Ahead => false,
        }
    }
}

/// Whether a host has not written for so long that it counts as gone.
pub(crate) fn is_silent(status: &HostStatus, age_s: u64) -> bool {
    age_s > status.silent_after_s()
}

/// Whether a host has not seen where the pointer stands.
pub(crate) fn is_behind(pointer: &Pointer, status: &HostStatus) -> bool {
    status.generation < pointer.generation
}

/// How far a host is with what a pointer wants. `status`: what it says, `None` when that cannot be read; `age_s`: for how long it
/// has said nothing else.
pub(crate) fn standing(pointer: &Pointer, status: Option<&HostStatus>, age_s: u64) -> Standing {
    let Some(status) = status else { return Standing::LeftOut(LeftOut::Unreadable) };
    let is_that = status.deployment.as_ref() == Some(&pointer.deployment);
    if !is_that && status.generation > pointer.generation {
        return Standing::Ahead;
    }
    // A pointer can be refused before there is a deployment.
    let is_about_that = is_that || status.deployment.is_none() && status.generation == pointer.generation;
    let going = |standing| if is_silent(status, age_s) { Standing::LeftOut(LeftOut::Silent) } else { standing };
    match status.state {
        HostState::Stopped => Standing::LeftOut(LeftOut::Stopped),
        HostState::Paused => Standing::LeftOut(LeftOut::Paused),
        HostState::Succeeded if is_that => Standing::Succeeded,
        HostState::Failed | HostState::Refused if is_that && status.stopped => Standing::Halted,
        HostState::Failed | HostState::Interrupted if is_that => Standing::Failed,
        HostState::Refused if is_about_that => Standing::Failed,
        HostState::Deploying if is_that => going(Standing::Deploying),
        HostState::Idle
        | HostState::Deploying
        | HostState::Succeeded
        | HostState::Failed
        | HostState::Refused
        | HostState::Interrupted => going(Standing::Unaware),
    }
}

/// How a deployment ended on all hosts that were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of them succeeded.
    Succeeded,
    /// One of them failed.
    Failed,
    /// Somebody stopped it before all of them were done.
    Stopped,
}

/// Whether all that were waited for have ended, and how. `None` while one is under way, or when fewer than `at_least` have made
/// the deployment at all.
pub(crate) fn verdict(standings: &[Standing], at_least: usize) -> Option<Verdict> {
    let count = |is: fn(Standing) -> bool| standings.iter().filter(|standing| is(**standing)).count();
    if count(Standing::is_under_way) > 0 || count(Standing::is_final) < at_least {
        return None;
    }
    // Who is ahead will not say any more how it went.
    if count(|standing| standing == Standing::Ahead) > 0 {
        return None;
    }
    // It is stopped most often because it fails somewhere.
    Some(match (count(|standing| standing == Standing::Halted), count(|standing| standing == Standing::Failed)) {
        (0, 0) => Verdict::Succeeded,
        (0, _) => Verdict::Failed,
        (_, _) => Verdict::Stopped,
    })
}

/// Whether nobody will come further before somebody resumes a host: all that have not ended are paused.
pub(crate) fn is_paused(standings: &[Standing]) -> bool {
    let paused = |standing: &Standing| *standing == Standing::LeftOut(LeftOut::Paused);
    standings.iter().any(paused) && standings.iter().all(|standing| standing.is_final() || paused(standing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer() -> Pointer {
        serde_json::from_value(serde_json::json!({
            "format": 1, "application": "shop", "group": "dev", "generation": 7, "deployment": "d-7",
            "revision": {"key": "shop/a.zip", "etag": "e", "size": 1, "content_digest": "0".repeat(64)},
            "commit": "a".repeat(40), "commit_time": 0, "at": "2026-01-02T03:04:06Z", "by": "a@b",
        }))
        .unwrap()
    }

    fn status(state: HostState, generation: u64, deployment: Option<&str>) -> HostStatus {
        HostStatus {
            format: 1,
            host: "web-1".into(),
            application: "shop".parse().unwrap(),
            group: "dev".parse().unwrap(),
            generation,
            deployment: deployment.map(|id| id.parse().unwrap()),
            commit: None,
            state,
            event: None,
            reason: None,
            failed_script: None,
            stopped: false,
            restored: false,
            installed: None,
            agent: "0.1.0".into(),
            at: "2026-01-02T03:04:06Z".into(),
            heartbeat_s: 60,
        }
    }

    #[test]
    fn a_host_is_as_far_as_it_says_of_this_very_deployment() {
        use HostState::{Deploying, Failed, Idle, Interrupted, Paused, Refused, Stopped, Succeeded};
        let silent = Standing::LeftOut(LeftOut::Silent);
        for (state, generation, deployment, age_s, expected) in [
            (Idle, 0, None, 0, Standing::Unaware),
            (Idle, 7, None, 0, Standing::Unaware),
            (Idle, 0, None, 181, silent),
            (Succeeded, 6, Some("d-6"), 180, Standing::Unaware),
            (Succeeded, 6, Some("d-6"), 181, silent),
            (Failed, 6, Some("d-6"), 0, Standing::Unaware),
            (Deploying, 7, Some("d-6"), 0, Standing::Unaware),
            (Deploying, 7, Some("d-7"), 180, Standing::Deploying),
            (Deploying, 7, Some("d-7"), 181, silent),
            // What has ended has ended, whether the host lives or not.
            (Succeeded, 7, Some("d-7"), 9999, Standing::Succeeded),
            (Failed, 7, Some("d-7"), 9999, Standing::Failed),
            (Interrupted, 7, Some("d-7"), 0, Standing::Failed),
            (Refused, 7, Some("d-7"), 0, Standing::Failed),
            (Refused, 7, None, 0, Standing::Failed),
            (Refused, 7, Some("d-6"), 0, Standing::Unaware),
            (Paused, 6, Some("d-6"), 0, Standing::LeftOut(LeftOut::Paused)),
            (Stopped, 7, Some("d-7"), 0, Standing::LeftOut(LeftOut::Stopped)),
            (Succeeded, 8, Some("d-8"), 0, Standing::Ahead),
            (Paused, 8, Some("d-8"), 0, Standing::Ahead),
        ] {
            let status = status(state, generation, deployment);
            let case = format!("{state:?} of {generation} {deployment:?} for {age_s}s");
            assert_eq!(standing(&pointer(), Some(&status), age_s), expected, "{case}");
        }
        assert_eq!(standing(&pointer(), None, 0), Standing::LeftOut(LeftOut::Unreadable));
        for (state, expected) in
            [(Failed, Standing::Halted), (Refused, Standing::Halted), (Succeeded, Standing::Succeeded)]
        {
            let stopped = HostStatus { stopped: true, ..status(state, 8, Some("d-7")) };
            assert_eq!(standing(&pointer(), Some(&stopped), 9999), expected, "{state:?}, stopped");
        }
    }

    #[test]
    fn nobody_is_waited_for_when_all_that_have_not_ended_are_paused() {
        use Standing::{Ahead, Deploying, LeftOut, Succeeded};
        let (paused, stopped) = (LeftOut(super::LeftOut::Paused), LeftOut(super::LeftOut::Stopped));
        for (standings, expected) in [
            (&[][..], false),
            (&[paused], true),
            (&[paused, Succeeded], true),
            (&[Succeeded], false),
            (&[paused, Deploying], false),
            (&[paused, Ahead], false),
            (&[paused, stopped], false),
        ] {
            assert_eq!(is_paused(standings), expected, "{standings:?}");
        }
    }

    #[test]
    fn waiting_ends_when_every_host_that_can_has_made_it() {
        use Standing::{Ahead, Deploying, Failed, Halted, Succeeded, Unaware};
        let silent = Standing::LeftOut(LeftOut::Silent);
        let (well, badly) = (Some(Verdict::Succeeded), Some(Verdict::Failed));
        for (standings, at_least, expected) in [
            (&[][..], 1, None),
            (&[], 0, well),
            (&[silent], 1, None),
            (&[silent], 0, well),
            (&[Succeeded, silent], 1, well),
            (&[Succeeded, silent], 2, None),
            (&[Succeeded, Failed], 1, badly),
            (&[Failed, Deploying], 1, None),
            (&[Succeeded, Unaware], 1, None),
            (&[Succeeded, Ahead], 1, None),
            (&[Halted, Deploying], 1, None),
            (&[Halted, Failed, Succeeded], 1, Some(Verdict::Stopped)),
        ] {
            assert_eq!(verdict(standings, at_least), expected, "{standings:?}, at least {at_least}");
        }
    }
}
