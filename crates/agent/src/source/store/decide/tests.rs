use longshore_core::digest::Sha256;
use longshore_core::host_status::HostState;
use longshore_core::pointer::PointedRevision;

use super::super::mark::End;
use super::*;

/// The pointer of group `dev` of `shop` that a move makes; every generation names a deployment of its own.
pub(in super::super) fn pointer(generation: u64) -> Pointer {
    Pointer {
        format: longshore_core::pointer::FORMAT,
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        generation,
        deployment: format!("d-{generation}").parse().unwrap(),
        revision: PointedRevision {
            key: "shop/1.zip".to_owned(),
            etag: "e".to_owned(),
            version: None,
            size: 1,
            content_digest: Sha256::of(b""),
        },
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        dirty: false,
        commit_time: 0,
        older: false,
        at: "2026-01-02T03:04:05Z".to_owned(),
        by: "ci".to_owned(),
        skip: Vec::new(),
        stop_from: None,
        stop: None,
    }
}

/// What was seen of generation `generation`, tried or not.
pub(in super::super) fn mark(generation: u64, state: Option<HostState>) -> Mark {
    let ended = state.map(|state| End {
        state,
        event: None,
        reason: None,
        failed_script: None,
        stopped: false,
        restored: false,
    });
    Mark { format: 1, store: "file:///store".to_owned(), etag: "e".to_owned(), pointer: pointer(generation), ended }
}

fn standing(pointer: Pointer) -> Standing {
    Standing::Pointer(Box::new(pointer))
}

#[test]
fn what_is_done_follows_from_what_was_seen_what_stands_there_and_what_is_known() {
    use HostState::{Failed, Succeeded};
    use Known::{Closed, Nothing, Open};
    let lower = |found, seen| Act::Refuse(Refusal::Lower { found, seen });
    let used = |generation: u64| Act::Refuse(Refusal::Used { deployment: format!("d-{generation}").parse().unwrap() });
    let (good, bad, open) =
        (|g| Some(mark(g, Some(Succeeded))), |g| Some(mark(g, Some(Failed))), |g| Some(mark(g, None)));
    // Seen before, the generation that stands there, what is known of its deployment; at rest, busy, paused.
    let table = [
        (None, 1, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (None, 7, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (None, 7, Open, Act::Deploy, Act::Wait, Act::Hold),
        (None, 7, Closed, Act::Adopt, Act::Wait, Act::Adopt),
        (good(7), 7, Closed, Act::Rest, Act::Rest, Act::Rest),
        (bad(7), 7, Closed, Act::Rest, Act::Rest, Act::Rest),
        (bad(7), 7, Nothing, Act::Rest, Act::Rest, Act::Rest),
        (open(7), 7, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (open(7), 7, Open, Act::Deploy, Act::Wait, Act::Hold),
        (open(7), 7, Closed, Act::Adopt, Act::Wait, Act::Adopt),
        (good(7), 8, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (bad(7), 9, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (open(7), 9, Nothing, Act::Deploy, Act::Wait, Act::Hold),
        (good(7), 8, Open, used(8), Act::Wait, used(8)),
        (good(7), 8, Closed, used(8), Act::Wait, used(8)),
        (good(7), 6, Nothing, lower(6, 7), lower(6, 7), lower(6, 7)),
        (open(7), 1, Closed, lower(1, 7), lower(1, 7), lower(1, 7)),
    ];
    for (seen, generation, known, at_rest, when_busy, when_paused) in table {
        let standing = standing(pointer(generation));
        let act = |busy, paused| {
            let seen = seen.as_ref();
            decide(&View { seen, standing: &standing, busy, making: None, paused }, |_| known)
        };
        let found = [act(false, false), act(true, false), act(false, true), act(true, true)];
        let case = format!("{seen:?}, then {generation}, {known:?}");
        assert_eq!(found, [at_rest, when_busy.clone(), when_paused, when_busy], "{case}");
    }
}

#[test]
fn a_deployment_that_is_to_be_stopped_is_stopped_where_it_is_under_way_and_not_begun_anywhere() {
    use HostState::{Failed, Succeeded};
    use Known::{Closed, Nothing, Open};
    let used = || Act::Refuse(Refusal::Used { deployment: "d-7".parse().unwrap() });
    let (good, bad, open) =
        (|g| Some(mark(g, Some(Succeeded))), |g| Some(mark(g, Some(Failed))), |g| Some(mark(g, None)));
    // Seen before; the pointer's own deployment and the one to be stopped, in generation 8; what is under way; what is known of
    // the pointer's own; what is done, and what when new orders are left where they are.
    let table = [
        ("in the middle", open(7), 7, 7, Some(7), Open, Act::Stop, Act::Stop),
        ("a later agent goes on with it", open(7), 7, 7, None, Open, Act::Deploy, Act::Hold),
        ("it ended meanwhile", open(7), 7, 7, None, Closed, Act::Adopt, Act::Adopt),
        ("it had ended", good(7), 7, 7, None, Closed, Act::Adopt, Act::Adopt),
        ("it had failed without a trace", bad(7), 7, 7, None, Nothing, Act::Skip, Act::Skip),
        ("seen, not begun", open(7), 7, 7, None, Nothing, Act::Skip, Act::Skip),
        ("never seen", good(6), 7, 7, None, Nothing, Act::Skip, Act::Skip),
        ("the first that is seen at all", None, 7, 7, None, Nothing, Act::Skip, Act::Skip),
        ("never seen, and made before", good(6), 7, 7, None, Closed, used(), used()),
        ("an earlier one is under way", open(6), 7, 7, Some(6), Nothing, Act::Stop, Act::Stop),
        ("back to another one, in the middle", open(7), 8, 7, Some(7), Nothing, Act::Stop, Act::Stop),
        ("back to another one, an earlier one under way", open(6), 8, 7, Some(6), Nothing, Act::Stop, Act::Stop),
        ("back to another one, afterwards", bad(7), 8, 7, None, Nothing, Act::Deploy, Act::Hold),
        ("back to another one, never begun", good(6), 8, 7, None, Nothing, Act::Deploy, Act::Hold),
    ];
    for (case, seen, own, stop, making, known, at_once, when_paused) in table {
        let id = |number: u64| -> DeploymentId { format!("d-{number}").parse().unwrap() };
        let found = Pointer { deployment: id(own), stop: Some(id(stop)), ..pointer(8) };
        let (standing, making) = (standing(found), making.map(id));
        let act = |paused| {
            let (seen, making) = (seen.as_ref(), making.as_ref());
            decide(&View { seen, standing: &standing, busy: making.is_some(), making, paused }, |_| known)
        };
        assert_eq!([act(false), act(true)], [at_once, when_paused], "{case}");
    }
    // A stop that later moves carry on does not hold for what came after it.
    for (making_carries, expected) in [(Some("d-5"), Act::Wait), (Some("d-4"), Act::Stop), (None, Act::Stop)] {
        let mut seen = mark(7, None);
        seen.pointer.stop = making_carries.map(|stop| stop.parse().unwrap());
        let standing = standing(Pointer { stop: Some("d-5".parse().unwrap()), ..pointer(8) });
        let making = seen.pointer.deployment.clone();
        let view = View { seen: Some(&seen), standing: &standing, busy: true, making: Some(&making), paused: false };
        assert_eq!(decide(&view, |_| Nothing), expected, "{making_carries:?}");
    }
    // What was stopped stays so.
    let mut ended = bad(8).unwrap();
    ended.pointer.stop = Some(ended.pointer.deployment.clone());
    let standing = standing(ended.pointer.clone());
    let view = View { seen: Some(&ended), standing: &standing, busy: false, making: None, paused: false };
    assert_eq!(decide(&view, |_| Nothing), Act::Rest);
}

#[test]
fn what_cannot_be_followed_changes_nothing() {
    let seen = mark(7, Some(HostState::Succeeded));
    let act = |standing: &Standing| {
        let view = View { seen: Some(&seen), standing, busy: false, making: None, paused: false };
        decide(&view, |_| Known::Nothing)
    };
    for standing in [Standing::Unread, Standing::Missing, Standing::Unusable("why".to_owned())] {
        assert_eq!(act(&standing), Act::Rest, "{standing:?}");
    }
    let other = Pointer { deployment: "d-X".parse().unwrap(), ..pointer(7) };
    let Act::Refuse(refusal) = act(&standing(other)) else { panic!("it is refused") };
    assert_eq!(
        refusal.to_string(),
        "generation 7 of the pointer is not what it was: it named deployment d-7, and now names d-X"
    );
}

#[test]
fn a_pointer_that_cannot_be_followed_says_why() {
    let parse = |contents: &[u8]| parse(contents, &"shop".parse().unwrap(), &"dev".parse().unwrap());
    assert_eq!(parse(&pointer(3).to_json()), standing(pointer(3)));
    let stranger = Pointer { group: "prod".parse().unwrap(), ..pointer(8) }.to_json();
    for (contents, why) in [
        (&b"{\"format\":2}"[..], "`groups/shop/dev.json` has format 2; this program knows format 1; update the agent"),
        (b"<html>", "`groups/shop/dev.json` cannot be read as a pointer: expected value at line 1 column 1"),
        (&stranger, "`groups/shop/dev.json` is the pointer of group `prod` of `shop`"),
    ] {
        assert_eq!(parse(contents), Standing::Unusable(why.to_owned()), "{why}");
    }
}
