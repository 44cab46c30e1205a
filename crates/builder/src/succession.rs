//! Which pointer may follow which: the newest commit wins, and nothing goes back unless somebody wants it to. Pure.

use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::pointer::{FORMAT, PointedRevision, Pointer, StopFrom};

use crate::commit::ZIP_EPOCH;

/// A published artifact that a group should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The application.
    pub(crate) application: ApplicationName,
    /// The artifact.
    pub(crate) revision: PointedRevision,
    /// Its commit.
    pub(crate) commit: CommitHash,
    /// Whether it was built from a work tree that differs from the commit.
    pub(crate) dirty: bool,
    /// The commit's time, seconds since 1970.
    pub(crate) commit_time: i64,
    /// How its hosts get rid of what they run.
    pub(crate) stop: Stop,
}

/// How hosts get rid of what they run. Said of one move: what is pointed at later begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stop {
    /// Events whose scripts are left out.
    pub(crate) skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release, when somebody said so.
    pub(crate) from: Option<StopFrom>,
    /// The deployment that hosts which are at it do not finish before.
    pub(crate) halt: Option<DeploymentId>,
}

/// Whether a pointer may go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Older {
    /// Nobody asked for it.
    Refused,
    /// It is what somebody wants.
    Allowed,
}

/// What a move would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// There was no pointer.
    First,
    /// To a commit that is newer, or has the same time.
    Forward,
    /// To the same commit: it is deployed again.
    Again,
    /// To an older commit, on purpose.
    Back,
}

impl Candidate {
    /// Whether its bundle says when its commit was made. One that was built without git does not.
    pub(crate) fn has_time(&self) -> bool {
        self.commit_time != ZIP_EPOCH
    }

    /// Whether a pointer names just this.
    pub(crate) fn is_that_of(&self, pointer: &Pointer) -> bool {
        pointer.commit == self.commit
            && pointer.revision.key == self.revision.key
            && pointer.revision.content_digest == self.revision.content_digest
    }

    /// Whether a pointer makes hosts do just what ours would.
    pub(crate) fn is_done_by(&self, pointer: &Pointer) -> bool {
        let Stop { skip, from, halt } = &self.stop;
        let stops_as_ours = match halt {
            Some(_) => *halt == pointer.stop,
            // It may carry on the stop of an earlier one, as ours would.
            None => !pointer.is_stopped(),
        };
        stops_as_ours && (skip, from) == (&pointer.skip, &pointer.stop_from) && self.is_that_of(pointer)
    }
}

impl From<&Pointer> for Candidate {
    fn from(pointer: &Pointer) -> Candidate {
        Candidate {
            application: pointer.application.clone(),
            revision: pointer.revision.clone(),
            commit: pointer.commit.clone(),
            dirty: pointer.dirty,
            commit_time: pointer.commit_time,
            stop: Stop::default(),
        }
    }
}

/// What the move from the present pointer to our artifact is; `None`: back to an older commit, which nobody asked for. Of two commits with the same time neither is the older one: the
/// time stamp of a bundle is exact to two seconds and tells no more.
pub(crate) fn decide(current: Option<&Pointer>, ours: &Candidate, older: Older) -> Option<Move> {
    match (current, older) {
        (None, _) => Some(Move::First),
        (Some(current), _) if current.commit == ours.commit => Some(Move::Again),
        (Some(current), _) if current.commit_time <= ours.commit_time => Some(Move::Forward),
        (Some(_), Older::Allowed) => Some(Move::Back),
        (Some(_), Older::Refused) => None,
    }
}

/// Who moves a pointer, and when.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// The deployment that hosts make of it.
    pub(crate) deployment: DeploymentId,
    /// RFC 3339.
    pub(crate) at: String,
    /// A person or a job.
    pub(crate) by: String,
}

/// The pointer to our artifact. A stop that stands there is carried on: a host in the middle of that deployment may not have seen it.
pub(crate) fn pointer(
    group: &GroupName,
    generation: u64,
    current: Option<&Pointer>,
    ours: &Candidate,
    how: Move,
    signature: Signature,
) -> Pointer {
    Pointer {
        format: FORMAT,
        application: ours.application.clone(),
        group: group.clone(),
        generation,
        deployment: signature.deployment,
        revision: ours.revision.clone(),
        commit: ours.commit.clone(),
        dirty: ours.dirty,
        commit_time: ours.commit_time,
        older: how == Move::Back,
        at: signature.at,
        by: signature.by,
        skip: ours.stop.skip.clone(),
        stop_from: ours.stop.from,
        stop: ours.stop.halt.clone().or_else(|| current?.stop.clone()),
    }
}

/// The pointer that has the deployment of another one stopped.
pub(crate) fn stopped(current: &Pointer, generation: u64, at: String, by: String) -> Pointer {
    Pointer { generation, at, by, stop: Some(current.deployment.clone()), ..current.clone() }
}

/// Of what a group ran before, newest first: the last that was another artifact than the present one.
pub(crate) fn previous<'a>(current: &Pointer, before: impl IntoIterator<Item = &'a Pointer>) -> Option<&'a Pointer> {
    let present = Candidate::from(current);
    before.into_iter().find(|earlier| !present.is_that_of(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(commit: char, commit_time: i64) -> Candidate {
        let commit = commit.to_string().repeat(40);
        Candidate {
            application: "shop".parse().unwrap(),
            revision: PointedRevision {
                key: format!("shop/{commit}.zip"),
                etag: "e".to_owned(),
                version: None,
                size: 1,
                content_digest: longshore_core::digest::Sha256::of(commit.as_bytes()),
            },
            commit: commit.parse().unwrap(),
            dirty: false,
            commit_time,
            stop: Stop::default(),
        }
    }

    fn at(generation: u64, ours: &Candidate) -> Pointer {
        let signature =
            Signature { deployment: "d-1".parse().unwrap(), at: "2026-01-02T03:04:06Z".into(), by: "a@b".into() };
        pointer(&"dev".parse().unwrap(), generation, None, ours, Move::Forward, signature)
    }

    #[test]
    fn the_newest_commit_wins_and_nothing_goes_back_unasked() {
        use Older::{Allowed, Refused};
        for (case, current, ours, older, expected) in [
            ("the first one", None, ('a', 10), Refused, Some(Move::First)),
            ("a newer one", Some(('a', 10)), ('b', 11), Refused, Some(Move::Forward)),
            ("a newer one, back allowed", Some(('a', 10)), ('b', 11), Allowed, Some(Move::Forward)),
            ("another one of the same time", Some(('a', 10)), ('b', 10), Refused, Some(Move::Forward)),
            ("the same one", Some(('a', 10)), ('a', 10), Refused, Some(Move::Again)),
            ("the same one, packed with an older time", Some(('a', 10)), ('a', 9), Refused, Some(Move::Again)),
            ("an older one", Some(('b', 11)), ('a', 10), Refused, None),
            ("an older one, back allowed", Some(('b', 11)), ('a', 10), Allowed, Some(Move::Back)),
            ("one without a time", Some(('b', 1_700_000_000)), ('a', ZIP_EPOCH), Refused, None),
            ("two without a time", Some(('b', ZIP_EPOCH)), ('a', ZIP_EPOCH), Refused, Some(Move::Forward)),
        ] {
            let current = current.map(|(commit, time)| at(1, &candidate(commit, time)));
            assert_eq!(decide(current.as_ref(), &candidate(ours.0, ours.1), older), expected, "{case}");
        }
    }

    #[test]
    fn a_stop_is_carried_on_by_later_moves_until_another_takes_its_place() {
        let id = |text: &str| -> DeploymentId { text.parse().unwrap() };
        for (case, standing, halt, expected) in [
            ("no pointer", None, None, None),
            ("nothing is stopped", Some(None), None, None),
            ("the present one is stopped", Some(Some("d-1")), None, Some("d-1")),
            ("it carries one on", Some(Some("d-0")), None, Some("d-0")),
            ("this move stops one", Some(Some("d-0")), Some("d-1"), Some("d-1")),
        ] {
            let current = standing.map(|stop| Pointer { stop: stop.map(id), ..at(1, &candidate('a', 1)) });
            let mut ours = candidate('b', 2);
            ours.stop.halt = halt.map(id);
            let signature = Signature { deployment: id("d-2"), at: "2026-01-02T03:04:07Z".into(), by: "a@b".into() };
            let next = pointer(&"dev".parse().unwrap(), 2, current.as_ref(), &ours, Move::Forward, signature);
            assert_eq!(next.stop, expected.map(id), "{case}");
            assert!(ours.is_done_by(&next), "{case}");
        }
        let ours = candidate('a', 1);
        let stopped = stopped(&at(1, &ours), 2, String::new(), String::new());
        assert!(!ours.is_done_by(&stopped));
    }

    #[test]
    fn the_one_before_is_the_last_other_artifact() {
        let (a, b) = (candidate('a', 1), candidate('b', 2));
        let history = [at(4, &b), at(3, &b), at(2, &a), at(1, &b)];
        assert_eq!(previous(&at(5, &b), &history), Some(&history[2]));
        assert_eq!(previous(&at(5, &a), &history), Some(&history[0]));
        assert_eq!(previous(&at(5, &b), &history[..2]), None);
    }
}
