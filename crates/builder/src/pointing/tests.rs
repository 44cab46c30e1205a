use std::sync::Arc;

use longshore_core::digest::Sha256;
use longshore_core::pointer::PointedRevision;

use super::*;

fn candidate(number: u8) -> Candidate {
    Candidate {
        application: "shop".parse().unwrap(),
        revision: PointedRevision {
            key: format!("shop/{number}.zip"),
            etag: "e".to_owned(),
            version: None,
            size: 1,
            content_digest: Sha256::of(&[number]),
        },
        commit: format!("{number:02x}").repeat(20).parse().unwrap(),
        dirty: false,
        commit_time: 1_800_000_000 + i64::from(number),
        stop: succession::Stop::default(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn of_racing_moves_each_one_that_is_reported_is_one_generation_and_the_newest_stands() {
    const WRITERS: u8 = 24;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let store = Arc::new(run(Store::open(&url.parse().unwrap())).unwrap());
    let (application, group) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    let place = Place { store: &store, application: &application, group: &group };
    let barrier = std::sync::Barrier::new(WRITERS.into());
    let ended: Vec<Result<Moved, PointError>> = std::thread::scope(|scope| {
        let go = |number| {
            let barrier = &barrier;
            scope.spawn(move || {
                run(async {
                    let stands = place.read().await.unwrap();
                    barrier.wait();
                    place.go(stands, &candidate(number), Older::Refused, "a@b").await
                })
            })
        };
        let running: Vec<_> = (0..WRITERS).map(go).collect();
        running.into_iter().map(|ended| ended.join().unwrap()).collect()
    });
    let mut generations: Vec<u64> =
        ended.iter().filter_map(|moved| moved.as_ref().ok()).map(|moved| moved.pointer.generation).collect();
    generations.sort_unstable();
    assert_eq!(generations, (1..=generations.len() as u64).collect::<Vec<_>>());
    for lost in ended.iter().filter_map(|moved| moved.as_ref().err()) {
        assert!(matches!(lost, PointError::Older { raced: true, .. }), "{lost}");
    }
    let last = run(place.read()).unwrap().unwrap().pointer;
    assert_eq!((last.commit, last.generation), (candidate(WRITERS - 1).commit, generations.len() as u64));
    let kept = run(place.generations()).unwrap();
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), generations[..generations.len() - 1]);
}

#[test]
fn what_was_allowed_of_the_pointer_that_was_seen_does_not_hold_for_one_that_came_since() {
    let dir = tempfile::tempdir().unwrap();
    let store = run(Store::open(&format!("file://{}", dir.path().display()).parse().unwrap())).unwrap();
    let (application, group) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    let place = Place { store: &store, application: &application, group: &group };
    run(place.go(None, &candidate(5), Older::Refused, "a@b")).unwrap();
    let seen = run(place.read()).unwrap();
    let faster = run(place.go(seen.clone(), &candidate(6), Older::Refused, "ann@b")).unwrap();
    let error = run(place.go(seen, &candidate(4), Older::Allowed, "a@b")).unwrap_err();
    let PointError::Older { theirs, raced: true, .. } = &error else { panic!("{error}") };
    assert_eq!(**theirs, faster.pointer);
    let failure = Failure::from(error);
    assert_eq!(failure.exit, Exit::Conflict);
    assert!(failure.to_text().contains("`shop` stands meanwhile at a newer commit than"), "{}", failure.to_text());
}

#[test]
fn who_was_faster_with_just_the_same_has_done_our_work() {
    let dir = tempfile::tempdir().unwrap();
    let store = run(Store::open(&format!("file://{}", dir.path().display()).parse().unwrap())).unwrap();
    let (application, group) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    let place = Place { store: &store, application: &application, group: &group };
    let faster = run(place.go(None, &candidate(5), Older::Refused, "ann@b")).unwrap();
    let ours = run(place.go(None, &candidate(5), Older::Refused, "a@b")).unwrap();
    assert_eq!(ours, Moved { pointer: faster.pointer, before: None, how: How::Theirs, hosts: 0, unwritten: None });
}

#[test]
fn who_goes_back_gives_way_to_any_foreign_move_and_not_to_a_mere_stop() {
    for (case, foreign) in
        [("a stop", None), ("a newer one", Some(6)), ("an older one", Some(3)), ("the same", Some(5))]
    {
        let dir = tempfile::tempdir().unwrap();
        let store = run(Store::open(&format!("file://{}", dir.path().display()).parse().unwrap())).unwrap();
        let (application, group) = ("shop".parse().unwrap(), "dev".parse().unwrap());
        let place = Place { store: &store, application: &application, group: &group };
        let first = run(place.go(None, &candidate(5), Older::Refused, "a@b")).unwrap().pointer;
        let seen = run(place.read()).unwrap();
        match foreign {
            None => drop(run(place.stop(&first.deployment, "ann@b")).unwrap()),
            Some(number) => drop(run(place.go(seen.clone(), &candidate(number), Older::Allowed, "ann@b")).unwrap()),
        }
        let before = run(place.read()).unwrap().unwrap().pointer;
        let ended = run(place.go(seen, &candidate(4), Older::Allowed, "a@b"));
        match foreign {
            None => {
                let moved = ended.unwrap().pointer;
                assert_eq!((moved.generation, moved.stop), (3, Some(first.deployment)), "{case}");
            }
            Some(_) => {
                assert_eq!(Failure::from(ended.unwrap_err()).exit, Exit::Conflict, "{case}");
                assert_eq!(run(place.read()).unwrap().unwrap().pointer, before, "{case}");
            }
        }
    }
}
