//! The agent is killed at every call by which a deployment changes the host.

use std::sync::Mutex;

use e2e::tracer::{Change, Deed, Fault, Follow, Trace, Tracer};

use crate::check;
use crate::host::{Host, Ran, Stage};
use crate::release::{EVENTS, Expected, INSTALLED, NEW, Standing};

/// A deployment that is killed.
struct Point {
    fault: Fault,
    name: String,
}

/// What a killed deployment is followed by.
const AGAIN: &str = "d-AGAIN";

/// All points of a deployment: before each call, and after each process that it starts.
fn points(calls: &Trace) -> Vec<Point> {
    let mut points = Vec::new();
    for (at, call) in calls.calls.iter().enumerate() {
        points.push(Point { fault: Fault { at, deed: Deed::KillBefore }, name: format!("before: {}", call.change) });
        if call.change == Change::Spawn {
            points.push(Point { fault: Fault { at, deed: Deed::KillAfter }, name: format!("after: {}", call.change) });
        }
    }
    let at = calls.calls.len() - 1;
    points.push(Point { fault: Fault { at, deed: Deed::KillAfter }, name: "after the last call".to_owned() });
    points
}

fn without_fault(stage: &Stage) -> Trace {
    stage.on_host(|host| {
        host.load(INSTALLED);
        let tracer = Tracer { scope: host.path(), follow: Follow::Program, fault: None };
        let (trace, ran) = host.trace_run(&tracer, &mut host.deploy("new.tar", NEW));
        ran.succeeds();
        trace
    })
}

/// Puts the old release on a host and kills the deployment of the new one. Gives back what it did until then.
fn kill(host: &Host<'_>, fault: Fault) -> Trace {
    host.load(INSTALLED);
    let tracer = Tracer { scope: host.path(), follow: Follow::Program, fault: Some(fault) };
    host.trace_run(&tracer, &mut host.deploy("new.tar", NEW)).0
}

#[test]
fn after_a_kill_at_any_call_a_new_deployment_closes_the_old_one_and_succeeds() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    // What it had to make depends on what stood.
    let again = expected.new.by(AGAIN, NEW).without_instructions();
    let points: Vec<Point> = points(&without_fault(&stage)).into_iter().step_by(7).collect();
    stage.each(
        &points,
        |point| point.name.clone(),
        |host, point| {
            kill(host, point.fault);
            check::no_script_runs(host, NEW);
            Ran::of(&mut host.deploy("new.tar", AGAIN)).succeeds();
            assert_eq!(Standing::of(host).without_instructions(), again, "the new release stands");
            check::ended(host);
            check::ran_once(host, NEW, &EVENTS, false);
            check::ran_once(host, AGAIN, &EVENTS, true);
            check::is_tidy(host);
            check::goes_on(host);
        },
    );
}

#[test]
fn after_a_kill_at_any_call_a_restart_finishes_the_deployment() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    let calls = without_fault(&stage);
    let points = points(&calls);
    assert!(points.len() > 300, "{} points", points.len());
    // After which journal lines a kill came, directly.
    let covered = Mutex::new(Vec::new());
    stage.each(
        &points,
        |point| point.name.clone(),
        |host, point| {
            let trace = kill(host, point.fault);
            let lines = check::journal(host, NEW).len();
            let last = trace.calls.iter().rev().nth(1).map(|call| call.change.to_string());
            if last.is_some_and(|last| last.starts_with("sync") && last.ends_with("journal.jsonl")) {
                covered.lock().unwrap().push(lines);
            }
            let restart = Ran::of(&mut host.resume());
            settled(host, &expected, &restart);
            check::goes_on(host);
        },
    );
    if std::env::var_os("LONGSHORE_CRASH_POINT").is_none() {
        let mut covered = covered.into_inner().unwrap();
        covered.sort_unstable();
        covered.dedup();
        let syncs = calls.calls.iter().filter(|call| {
            matches!(&call.change, Change::Sync(path) if path.file_name().is_some_and(|name| name == "journal.jsonl"))
        });
        assert_eq!(covered, (1..=syncs.count()).collect::<Vec<_>>(), "a kill came after each line of the journal");
    }
}

#[test]
fn a_restart_that_is_killed_is_finished_by_the_next_one() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    let mut jobs = Vec::new();
    for (index, point) in points(&without_fault(&stage)).into_iter().enumerate().step_by(29) {
        for at in (index % 31..400).step_by(31) {
            let name = format!("{}, then the restart before its call {at}", point.name);
            jobs.push((Point { fault: point.fault, name }, Fault { at, deed: Deed::KillBefore }));
        }
    }
    stage.each(
        &jobs,
        |job| job.0.name.clone(),
        |host, (first, second)| {
            kill(host, first.fault);
            let tracer = Tracer { scope: host.path(), follow: Follow::Program, fault: Some(*second) };
            host.trace_run(&tracer, &mut host.resume());
            let closed = check::journal(host, NEW).iter().find_map(|line| line["outcome"].as_str().map(str::to_owned));
            let restart = Ran::of(&mut host.resume());
            // It may have ended the deployment, and itself, before it was killed.
            let ended = closed.and_then(|outcome| (outcome != "succeeded").then_some(5));
            let restart = Ran { code: ended.or(restart.code), ..restart };
            settled(host, &expected, &restart);
            check::goes_on(host);
        },
    );
}

/// What must hold after a restart that nothing disturbed. No script failed, so the deployment has succeeded, or it was
/// killed before it was opened.
fn settled(host: &Host<'_>, expected: &Expected, restart: &Ran) {
    let ended = check::ended(host);
    let told = format!("{ended:?} {restart:?}");
    match ended.outcome.as_deref() {
        None => {
            assert!(!check::has_one_release(host, expected) && restart.code == Some(0), "{told}");
            check::ran_once(host, NEW, &EVENTS, false);
        }
        Some("succeeded") => {
            assert!(check::has_one_release(host, expected) && restart.code == Some(0), "{told}");
            check::ran_once(host, NEW, &EVENTS, true);
        }
        Some(_) => panic!("nothing stood in the way of the deployment: {told}"),
    }
    check::is_tidy(host);
}
