//! The sentences about deployments of CodeDeploy. Pure.

use longshore_core::figures::verb_line;
use longshore_core::problem::Look;

use super::deployments::{diagnostics, fault, standing};
use super::sheet::{ago, one_line, span};
use crate::codedeploy::deployment::{Deployment, Progress, Status, Target, TargetEvent, Waits};
use crate::event::Deploying;

/// How many instances the sheet of a terminal shows.
const MOST: usize = 12;
/// How many instances a line names.
const NAMED: usize = 5;

/// The line of an event; `None` when the sheet of a terminal shows it.
pub(super) fn line(event: &Deploying, look: Look) -> Option<String> {
    let (verb, rest) = match event {
        Deploying::OrderUnknown(why) => ("Unchecked", format!("whether the group stands at a newer commit: {why}")),
        Deploying::GoingBackTo { to } => ("Going back", going_back(to)),
        Deploying::Created { deployment, application, group, link } => {
            ("Created", format!("deployment {deployment} to `{group}` of `{application}`\n{INDENT}{link}"))
        }
        Deploying::Following { deployment, limit } => {
            ("Waiting", format!("for {deployment}, at most {}", span(limit.as_secs())))
        }
        Deploying::FollowingAgain(_) | Deploying::Targets(_) => return None,
        Deploying::State { deployment, way_on } => state(deployment, way_on.as_deref()),
        Deploying::Ended(deployment) => ended(deployment),
        Deploying::TargetLifecycle { target, event } => target_event(target, event)?,
        Deploying::TargetState(target) => target_state(target)?,
        Deploying::RollingBack { of, deployment } => {
            ("Rolling back", format!("{of}: {deployment} deploys the last good revision again"))
        }
        Deploying::AskedToStop(deployment) => (
            "Interrupted",
            format!("{deployment} is under way: [s]top it, [c]ontinue to wait, or [l]eave it alone (again Ctrl-C)?"),
        ),
        Deploying::StopAsked(deployment) => {
            ("Stopping", format!("{deployment}: events under way come to their end (Ctrl-C leaves it alone)"))
        }
        Deploying::StillFollowing { deployment, targets, since } => (
            "Waiting",
            format!(
                "for {}, {} after {}{}",
                deployment.id,
                standing(deployment, targets),
                ago(since.as_secs()),
                under_way(targets)
            ),
        ),
        Deploying::ServiceLost { throttled: true, .. } => {
            ("Warning", "CodeDeploy is asked too often, and is asked less often from now on".to_owned())
        }
        Deploying::ServiceLost { why, throttled: false } => {
            ("Warning", format!("CodeDeploy does not answer, and is asked again: {}", one_line(why)))
        }
        Deploying::ServiceBack => ("Found", "CodeDeploy again".to_owned()),
    };
    Some(verb_line(verb, &rest, look))
}

/// What follows a line below it.
const INDENT: &str = "             ";

fn going_back(to: &Deployment) -> String {
    let when = to.completed.map(|at| format!(" at {at}")).unwrap_or_default();
    let what = to.revision.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("to {what}, which {} deployed{when}", to.id)
}

fn state(deployment: &Deployment, way_on: Option<&str>) -> (&'static str, String) {
    let id = &deployment.id;
    let text = match (deployment.waits, &deployment.status) {
        (Some(Waits::ForTraffic { stops_after }), _) => {
            let stops = stops_after.map(|minutes| format!("; after {minutes} minutes it is stopped"));
            format!(
                "{id}: the replacement is ready and waits for somebody to let the traffic over{}",
                stops.unwrap_or_default()
            )
        }
        (Some(Waits::ForTermination { minutes }), _) => {
            let minutes = minutes.map(|minutes| format!(" for {minutes} minutes")).unwrap_or_default();
            format!("{id}: the traffic is over; the original instances are kept{minutes}")
        }
        (None, Status::InProgress) => format!("{id} is in progress"),
        (None, Status::Baking) => format!("{id}: its instances are watched for a while"),
        (None, Status::Ready) => format!("{id} is ready"),
        (
            None,
            Status::Created
            | Status::Queued
            | Status::Succeeded
            | Status::Failed
            | Status::Stopped
            | Status::Unknown(_),
        ) => {
            format!("{id} is {}", one_line(deployment.status.word()))
        }
    };
    let way = way_on.map(|command| format!("\n{INDENT}go on at once: {command}")).unwrap_or_default();
    ("Deploying", format!("{text}{way}"))
}

fn ended(deployment: &Deployment) -> (&'static str, String) {
    let id = &deployment.id;
    let why = deployment.error.as_ref().map(|error| format!(": {}", fault(error))).unwrap_or_default();
    let message = deployment.rollback.as_ref().and_then(|rollback| rollback.message.as_deref());
    let message = message.map(|text| format!("\n{INDENT}{}", one_line(text))).unwrap_or_default();
    match deployment.status {
        Status::Succeeded => ("Succeeded", format!("{id}")),
        Status::Stopped => ("Stopped", format!("{id}{why}{message}")),
        Status::Failed
        | Status::Created
        | Status::Queued
        | Status::InProgress
        | Status::Baking
        | Status::Ready
        | Status::Unknown(_) => ("Failed", format!("{id}{why}{message}")),
    }
}

fn target_event(target: &str, event: &TargetEvent) -> Option<(&'static str, String)> {
    let (target, name) = (one_line(target), one_line(&event.name));
    Some(match event.progress {
        Progress::Running => ("Running", format!("{target}: {name}")),
        Progress::Succeeded => ("Finished", format!("{target}: {name}{}", took(event))),
        Progress::Failed => {
            let why = event.diagnostics.as_ref().map(|found| diagnostics(found, INDENT)).unwrap_or_default();
            ("Failed", format!("{target} in {name}{}{why}", took(event)))
        }
        Progress::Pending | Progress::Ready | Progress::Skipped | Progress::Unknown => return None,
    })
}

fn target_state(target: &Target) -> Option<(&'static str, String)> {
    let id = one_line(&target.id);
    Some(match target.progress {
        Progress::Succeeded => ("Deployed", id),
        Progress::Failed => ("Failed", id),
        Progress::Skipped => ("Skipped", id),
        Progress::Ready => ("Ready", id),
        Progress::Pending | Progress::Running | Progress::Unknown => return None,
    })
}

/// ` in 12s`, where it is known and not nothing.
fn took(event: &TargetEvent) -> String {
    match (event.began, event.ended) {
        (Some(began), Some(ended)) if ended > began => {
            format!(" in {}", ago(ended.duration_since(began).as_secs().try_into().unwrap_or(0)))
        }
        (_, _) => String::new(),
    }
}

fn under_way(targets: &[Target]) -> String {
    let open: Vec<&Target> = targets.iter().filter(|target| !target.progress.is_final()).collect();
    let mut named: Vec<String> = open.iter().take(NAMED).map(|target| one(target)).collect();
    if open.len() > NAMED {
        named.push(format!("and {} more", open.len() - NAMED));
    }
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

/// `i-0abc (AfterInstall)`.
fn one(target: &Target) -> String {
    let event = target.event().map_or("waits", |event| event.name.as_str());
    format!("{} ({})", one_line(&target.id), one_line(event))
}

/// The instances that are under way, as far as a screen has room for them.
pub(super) fn rows(targets: &[Target], look: Look) -> String {
    let open: Vec<&Target> = targets.iter().filter(|target| !target.progress.is_final()).collect();
    let count = format!("{} of {} done", targets.len() - open.len(), targets.len());
    let mut rows = vec![verb_line("Waiting", &count, look)];
    for target in open.iter().take(MOST) {
        let done = target.events.iter().filter(|event| event.progress.is_final()).count();
        let steps = if target.events.is_empty() {
            String::new()
        } else {
            format!(" {}/{}", done.min(target.events.len()), target.events.len())
        };
        let event = target.event().map_or("waits", |event| event.name.as_str());
        rows.push(verb_line("", &format!("{}:{steps} {}", one_line(&target.id), one_line(event)), look));
    }
    if open.len() > MOST {
        rows.push(verb_line("", &format!("and {} more", open.len() - MOST), look));
    }
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::deployments;
    use super::*;
    use crate::codedeploy::deployment::{Diagnostics, Fault, Rollback};
    use crate::codedeploy::revision::{Format, Revision, S3Revision};

    fn deployment(status: Status) -> Deployment {
        Deployment {
            id: "d-4QX7R2M1K".parse().unwrap(),
            application: "shop".into(),
            group: "prod".into(),
            status,
            revision: Some(Revision::S3(S3Revision {
                bucket: "artifacts".into(),
                key: format!("releases/shop/{}.zip", "a".repeat(40)),
                format: Format::Zip,
                etag: Some("e-2".into()),
                version: Some("v1".into()),
            })),
            config: Some("CodeDeployDefault.OneAtATime".into()),
            creator: Some("user".into()),
            description: Some("by hand".into()),
            created: Some("2026-01-02T03:04:06Z".parse().unwrap()),
            completed: None,
            error: None,
            rollback: None,
            rolls_back_on: Vec::new(),
            waits: None,
            messages: Vec::new(),
        }
    }

    fn failed() -> Deployment {
        Deployment {
            completed: Some("2026-01-02T03:06:11Z".parse().unwrap()),
            error: Some(Fault { code: "HEALTH_CONSTRAINTS".into(), message: "Too many failed".into() }),
            rollback: Some(Rollback { deployment: Some("d-NEXT".parse().unwrap()), of: None, message: None }),
            messages: vec!["one \u{1b}[2Jmore".into()],
            ..deployment(Status::Failed)
        }
    }

    fn target(id: &str, progress: Progress, events: &[(&str, Progress)]) -> Target {
        let event = |(name, progress): &(&str, Progress)| TargetEvent {
            name: (*name).to_owned(),
            progress: *progress,
            began: Some("2026-01-02T03:04:10Z".parse().unwrap()),
            ended: progress.is_final().then(|| "2026-01-02T03:04:22Z".parse().unwrap()),
            diagnostics: (*progress == Progress::Failed).then(|| Diagnostics {
                code: "ScriptFailed".into(),
                script: Some("start.sh".into()),
                message: "failed with exit code 3".into(),
                log_tail: "[stdout]one\n[stderr]two\n".into(),
            }),
        };
        Target { id: id.to_owned(), progress, label: None, events: events.iter().map(event).collect() }
    }

    fn targets() -> Vec<Target> {
        let stop = ("ApplicationStop", Progress::Succeeded);
        vec![
            target("i-1", Progress::Succeeded, &[stop, ("AfterInstall", Progress::Succeeded)]),
            target("i-2", Progress::Failed, &[stop, ("AfterInstall", Progress::Failed)]),
            target("i-3", Progress::Running, &[stop, ("AfterInstall", Progress::Running)]),
            target("i-4", Progress::Pending, &[]),
        ]
    }

    #[test]
    fn every_event_of_a_deployment_has_its_sentence() {
        let id = || deployment(Status::Created).id;
        let state = |deployment, way_on: Option<&str>| Deploying::State {
            deployment: Box::new(deployment),
            way_on: way_on.map(str::to_owned),
        };
        let ready = |waits| Deployment { waits: Some(waits), ..deployment(Status::Ready) };
        let mut events = vec![
            Deploying::OrderUnknown("the key of the artifact names no commit"),
            Deploying::GoingBackTo { to: Box::new(Deployment { error: None, ..failed() }) },
            Deploying::Created {
                deployment: id(),
                application: "shop".into(),
                group: "prod".into(),
                link: "https://console/".into(),
            },
            Deploying::Following { deployment: id(), limit: Duration::from_secs(3600) },
            state(deployment(Status::InProgress), None),
            state(deployment(Status::Baking), None),
            state(deployment(Status::Unknown("Odd".into())), None),
            state(ready(Waits::ForTraffic { stops_after: Some(60) }), Some("aws deploy continue-deployment")),
            state(ready(Waits::ForTermination { minutes: None }), None),
            Deploying::Ended(Box::new(deployment(Status::Succeeded))),
            Deploying::Ended(Box::new(failed())),
            Deploying::Ended(Box::new(deployment(Status::Stopped))),
            Deploying::RollingBack { of: id(), deployment: "d-NEXT".parse().unwrap() },
            Deploying::AskedToStop(id()),
            Deploying::StopAsked(id()),
            Deploying::StillFollowing {
                deployment: Box::new(deployment(Status::InProgress)),
                targets: targets(),
                since: Duration::from_secs(61),
            },
            Deploying::ServiceLost { why: "cannot reach `x`".into(), throttled: false },
            Deploying::ServiceLost { why: "Rate exceeded".into(), throttled: true },
            Deploying::ServiceBack,
        ];
        for target in targets() {
            events.extend(
                target.events.iter().map(|event| Deploying::TargetLifecycle {
                    target: target.id.clone(),
                    event: Box::new(event.clone()),
                }),
            );
            events.push(Deploying::TargetState(Box::new(target)));
        }
        let lines: Vec<String> = events.iter().filter_map(|event| line(event, Look::Plain)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_terminal_shows_the_instances_under_way_and_no_more_than_fit() {
        insta::assert_snapshot!(rows(&targets(), Look::Plain));
        let many: Vec<Target> = (0..14).map(|number| target(&format!("i-{number}"), Progress::Pending, &[])).collect();
        assert!(rows(&many, Look::Plain).ends_with("i-11: waits\n             and 2 more"));
    }

    #[test]
    fn deployments_are_shown_as_a_table_and_one_of_them_whole() {
        let now = "2026-01-02T04:04:06Z".parse().unwrap();
        let table = deployments::table(&[deployment(Status::InProgress), failed()], now);
        let one = deployments::one(&failed(), &targets(), "https://console/", now);
        let ended = deployments::ended(&failed(), &targets());
        insta::assert_snapshot!(format!("{table}\n{one}\n{ended}"));
        insta::assert_snapshot!(format!(
            "{:#}",
            deployments::json(&failed(), Some(&targets()[1..2]), "https://console/")
        ));
    }
}
