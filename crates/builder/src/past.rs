//! Reads the deployments of a group, the latest first, with how each ended as far as that is known. Changes nothing.

use jiff::Timestamp;
use longshore_core::pointer::Pointer;

use crate::ending::{Ending, How, Known};
use crate::hosts::Hosts;
use crate::pointing::{Place, PointError};
use crate::succession::Candidate;

/// A deployment of a group.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// The move that began it.
    pub(crate) pointer: Pointer,
    /// The move that had it stopped.
    pub(crate) stopped: Option<Pointer>,
    /// How it ended.
    pub(crate) ending: Ending,
    /// Whether the pointer has moved on to another deployment.
    pub(crate) is_past: bool,
}

impl Deployment {
    /// How it ended, on all its hosts. What was stopped before a host said anything of it was stopped all the same.
    pub(crate) fn known(&self) -> Known {
        match (self.ending.known(), &self.stopped) {
            (Known::Unknown | Known::Unfinished, Some(_)) => Known::Stopped,
            (Known::Unfinished, None) if self.is_past => Known::Superseded,
            (known, _) => known,
        }
    }

    /// How it ended on a host, a word for people and programs. Where the pointer moved on before that was seen, it never will be.
    pub(crate) fn word(&self, how: How) -> &'static str {
        match how {
            How::Unfinished if self.is_past => Known::Superseded.word(),
            How::Succeeded | How::Failed | How::RolledBack | How::Stopped | How::LeftOut | How::Unfinished => {
                how.word()
            }
        }
    }
}

/// The deployments of a group, from the present pointer back until there are `enough` of them. `hosts`: what they say of the present
/// one.
pub(crate) async fn read(
    place: Place<'_>,
    current: &Pointer,
    hosts: &Hosts,
    mut enough: impl FnMut(&[Deployment]) -> bool,
) -> Result<Vec<Deployment>, PointError> {
    let now = hosts.ending(current, Timestamp::now());
    let mut past = Past { deployments: Vec::new(), stop: None };
    past.take(current.clone(), place.ending(current).await?.and_later(now));
    for generation in place.generations().await?.into_keys().rev() {
        if enough(&past.deployments) {
            break;
        }
        if let Some(earlier) = place.in_generation(generation).await? {
            let ending = place.ending(&earlier).await?;
            past.take(earlier, ending);
        }
    }
    past.end();
    Ok(past.deployments)
}

/// The deployments so far.
struct Past {
    deployments: Vec<Deployment>,
    /// The move that has a deployment stopped which has not come yet, and how far its hosts were then.
    stop: Option<(Pointer, Ending)>,
}

impl Past {
    /// The next earlier move.
    fn take(&mut self, pointer: Pointer, ending: Ending) {
        if pointer.is_stopped() {
            self.end();
            self.stop = Some((pointer, ending));
            return;
        }
        let stopped = match self.stop.take() {
            Some((stop, later)) if stop.stop.as_ref() == Some(&pointer.deployment) => Some((stop, later)),
            Some(other) => {
                self.stop = Some(other);
                self.end();
                None
            }
            None => None,
        };
        let (stopped, ending) = match stopped {
            Some((stop, later)) => (Some(stop), ending.and_later(later)),
            None => (None, ending),
        };
        if let Some(deployment) = pointer.stop.clone() {
            self.stop = Some((pointer.clone(), Ending::unknown(&deployment)));
        }
        self.push(pointer, stopped, ending);
    }

    fn push(&mut self, pointer: Pointer, stopped: Option<Pointer>, ending: Ending) {
        let is_past = !self.deployments.is_empty();
        self.deployments.push(Deployment { pointer, stopped, ending, is_past });
    }

    /// A deployment whose beginning is no longer known is told of by the move that had it stopped.
    fn end(&mut self) {
        if let Some((stop, ending)) = self.stop.take().filter(|(stop, _)| stop.is_stopped()) {
            self.push(stop.clone(), Some(stop), ending);
        }
    }
}

/// What a group can go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WayBack {
    /// The deployment whose artifact is deployed again.
    pub(crate) pointer: Pointer,
    /// How that had ended.
    pub(crate) known: Known,
}

/// The latest deployment that succeeded with another artifact than the present one; where none is known to have succeeded, the latest
/// of which nothing bad is known. Pure.
pub(crate) fn way_back(deployments: &[Deployment]) -> Option<WayBack> {
    let (present, earlier) = deployments.split_first()?;
    let ours = Candidate::from(&present.pointer);
    let others = || earlier.iter().filter(|other| !ours.is_that_of(&other.pointer));
    let is = |wanted: &'static [Known]| others().find(|other| wanted.contains(&other.known()));
    let found = is(&[Known::Succeeded]).or_else(|| is(&[Known::Unknown, Known::Unfinished, Known::Superseded]))?;
    Some(WayBack { pointer: found.pointer.clone(), known: found.known() })
}

/// Whether [`way_back`] would find nothing better further back.
pub(crate) fn is_known(deployments: &[Deployment]) -> bool {
    way_back(deployments).is_some_and(|way| way.known == Known::Succeeded)
}

#[cfg(test)]
mod tests {
    use longshore_core::host_status::HostStatus;
    use serde_json::json;

    use super::*;

    fn pointer(generation: u64, deployment: &str, commit: char, stop: Option<&str>) -> Pointer {
        serde_json::from_value(json!({
            "format": 1, "application": "shop", "group": "dev", "generation": generation, "deployment": deployment,
            "revision": {"key": format!("shop/{commit}.zip"), "etag": "e", "size": 1, "content_digest": "0".repeat(64)},
            "commit": commit.to_string().repeat(40), "commit_time": 0, "at": "2026-01-02T03:04:06Z", "by": "a@b",
            "stop": stop,
        }))
        .unwrap()
    }

    /// One host ended so.
    fn ended(pointer: &Pointer, state: Option<&str>) -> Ending {
        let Some(state) = state else { return Ending::unknown(&pointer.deployment) };
        let status: HostStatus = serde_json::from_value(json!({
            "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": pointer.generation,
            "deployment": pointer.deployment, "commit": null, "state": state, "event": null, "reason": null,
            "installed": null, "agent": "0.1.0", "at": "2026-01-02T03:04:06Z", "heartbeat_s": 60,
        }))
        .unwrap();
        Ending::of(pointer, [("web-1", Some(&status), 0)])
    }

    /// A move: generation, deployment, commit, what is stopped, how it ended.
    type Made<'a> = (u64, &'a str, char, Option<&'a str>, Option<&'a str>);

    /// Moves, the latest first.
    fn past(moves: &[Made<'_>]) -> Vec<Deployment> {
        let mut past = Past { deployments: Vec::new(), stop: None };
        for (generation, deployment, commit, stop, state) in moves {
            let pointer = pointer(*generation, deployment, *commit, *stop);
            let ending = ended(&pointer, *state);
            past.take(pointer, ending);
        }
        past.end();
        past.deployments
    }

    #[test]
    fn moves_that_stop_a_deployment_are_told_with_it() {
        let deployments = past(&[
            (6, "d-6", 'c', Some("d-5"), Some("succeeded")),
            (5, "d-5", 'd', None, Some("deploying")),
            (4, "d-3", 'c', Some("d-3"), None),
            (3, "d-3", 'c', None, Some("failed")),
            (2, "d-1", 'a', Some("d-1"), None),
        ]);
        let shown: Vec<_> = deployments
            .iter()
            .map(|it| {
                let stopped = it.stopped.as_ref().map(|stop| stop.generation);
                (it.pointer.generation, it.pointer.deployment.as_str(), stopped, it.known())
            })
            .collect();
        assert_eq!(
            shown,
            [
                (6, "d-6", None, Known::Succeeded),
                (5, "d-5", Some(6), Known::Stopped),
                (3, "d-3", Some(4), Known::Failed),
                (2, "d-1", Some(2), Known::Stopped),
            ]
        );
    }

    #[test]
    fn what_had_not_ended_when_the_pointer_moved_on_was_overtaken() {
        let busy = Some("deploying");
        let deployments =
            past(&[(3, "d-3", 'c', None, busy), (2, "d-2", 'b', None, busy), (1, "d-1", 'a', None, None)]);
        let known: Vec<_> = deployments.iter().map(|it| (it.known(), it.word(How::Unfinished))).collect();
        assert_eq!(
            known,
            [(Known::Unfinished, "unfinished"), (Known::Superseded, "superseded"), (Known::Unknown, "superseded")]
        );
    }

    #[test]
    fn a_group_goes_back_to_what_succeeded_last_and_else_to_what_nobody_knows_better_of() {
        let (good, bad) = (Some("succeeded"), Some("failed"));
        for (case, moves, expected) in [
            ("it was good before", &[(2, "d-2", 'b', None, bad), (1, "d-1", 'a', None, good)][..], Some(1)),
            (
                "what failed is passed over",
                &[(3, "d-3", 'c', None, bad), (2, "d-2", 'b', None, bad), (1, "d-1", 'a', None, good)],
                Some(1),
            ),
            (
                "so is what nobody knows of",
                &[(3, "d-3", 'c', None, bad), (2, "d-2", 'b', None, None), (1, "d-1", 'a', None, good)],
                Some(1),
            ),
            (
                "the same artifact is no way back",
                &[(3, "d-3", 'b', None, bad), (2, "d-2", 'b', None, good), (1, "d-1", 'a', None, None)],
                Some(1),
            ),
            (
                "nothing is known",
                &[(3, "d-3", 'c', None, None), (2, "d-2", 'b', None, None), (1, "d-1", 'a', None, None)],
                Some(2),
            ),
            (
                "nothing good is known",
                &[(3, "d-3", 'c', None, None), (2, "d-2", 'b', None, bad), (1, "d-1", 'a', None, None)],
                Some(1),
            ),
            ("everything else failed", &[(2, "d-2", 'b', None, good), (1, "d-1", 'a', None, bad)], None),
            ("there was nothing else", &[(1, "d-1", 'a', None, good)], None),
        ] {
            assert_eq!(way_back(&past(moves)).map(|way| way.pointer.generation), expected, "{case}");
        }
    }
}
