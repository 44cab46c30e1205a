//! When the last good release comes back.

use super::super::order::tests::order as asked;
use super::super::progress::FailedStep;
use super::*;
use crate::hook::HookReport;

fn release(id: &str) -> Release {
    Release {
        deployment: id.parse().unwrap(),
        application: None,
        group: None,
        commit: None,
        content_digest: None,
        archive: "/archive".into(),
        appspec_name: None,
        at: None,
        signed_by: None,
    }
}

fn report(outcome: HookOutcome) -> HookReport {
    HookReport {
        outcome,
        duration: std::time::Duration::ZERO,
        started: None,
        ended: None,
        pid: None,
        left_running: Vec::new(),
        made_executable: false,
        notes: Vec::new(),
        last_lines: Vec::new(),
    }
}

/// A deployment that failed in `event`, after the `done` ones.
fn failed_in(event: LifecycleEvent, done: &[LifecycleEvent], hook: Option<HookOutcome>) -> Progress {
    let mut progress = Progress::new(asked());
    progress.done = done.iter().map(|event| (event.clone(), 1)).collect();
    progress.failed = Some(FailedStep { event, step: 0, message: String::new(), hook: hook.map(report) });
    progress
}

#[test]
fn it_comes_back_when_what_served_was_replaced_or_stopped_by_a_deployment_that_failed() {
    use LifecycleEvent::{AfterInstall, ApplicationStart, ApplicationStop, BeforeInstall, Install};
    let exited = || Some(HookOutcome::Exited { status: 1 });
    let (old, older, new) = (release("d-OLD"), release("d-OLDER"), release("d-NEW"));
    // The case, the deployment, what is installed, what is good, and what follows.
    type Row<'a> = (&'a str, Progress, Option<&'a Release>, Option<&'a Release>, Result<Due, NotDue>);
    let table: [Row<'_>; 9] = [
        ("after Install", failed_in(AfterInstall, &[Install], exited()), Some(&new), Some(&old), Ok(Due::Install)),
        (
            "stopped, not installed",
            failed_in(BeforeInstall, &[ApplicationStop], exited()),
            Some(&old),
            Some(&old),
            Ok(Due::Start),
        ),
        ("Install itself", failed_in(Install, &[ApplicationStop], None), Some(&old), Some(&old), Ok(Due::Start)),
        (
            "what stands was not good",
            failed_in(BeforeInstall, &[ApplicationStop], exited()),
            Some(&old),
            Some(&older),
            Err(NotDue::NoneGood),
        ),
        ("stop failed", failed_in(ApplicationStop, &[], exited()), Some(&old), Some(&old), Err(NotDue::Untouched)),
        (
            "second stop script failed",
            failed_in(ApplicationStop, &[ApplicationStop], exited()),
            Some(&old),
            Some(&old),
            Ok(Due::Start),
        ),
        ("nothing good", failed_in(ApplicationStart, &[Install], exited()), Some(&new), None, Err(NotDue::NoneGood)),
        (
            "good is itself",
            failed_in(ApplicationStart, &[Install], exited()),
            Some(&new),
            Some(&new),
            Err(NotDue::NoneGood),
        ),
        (
            "a reboot",
            failed_in(AfterInstall, &[Install], Some(HookOutcome::Interrupted)),
            Some(&new),
            Some(&old),
            Err(NotDue::Interrupted),
        ),
    ];
    for (case, progress, installed, good, expected) in table {
        assert_eq!(due(&progress, installed, good, false), expected, "{case}");
        if expected.is_ok() {
            assert_eq!(
                due(&progress, installed, good, true),
                Err(NotDue::Stopped),
                "{case}, and somebody asked to stop"
            );
            let mut left = progress.clone();
            left.order.policy.on_failure = OnFailure::Leave;
            assert_eq!(due(&left, installed, good, false), Err(NotDue::NotAsked), "{case}, left as it is");
        }
    }
}

#[test]
fn the_order_that_restores_restores_nothing_itself() {
    let kept = Kept { path: "/kept".into(), content_digest: None };
    let restoring = order(&asked(), "d-BACK".parse().unwrap(), Due::Install, &release("d-OLD"), kept);
    assert_eq!(restoring.policy.on_failure, OnFailure::Leave);
    assert_eq!(restoring.group, asked().group);
}
