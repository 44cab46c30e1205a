//! Deployments of CodeDeploy as tables, as texts and as JSON. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use longshore_core::figures::plural;
use longshore_core::ids::DeploymentId;
use longshore_core::problem::visible_lines;
use serde_json::{Value, json};

use super::sheet::{ago, columns, one_line};
use crate::codedeploy::deployment::{Deployment, Diagnostics, Fault, Progress, Target, TargetEvent};
use crate::codedeploy::revision::Revision;

/// How many lines of a script's output are shown.
const LOG_LINES: usize = 20;

/// `HEALTH_CONSTRAINTS: The overall deployment failed because …`.
pub(crate) fn fault(fault: &Fault) -> String {
    match (fault.code.as_str(), fault.message.as_str()) {
        (code, "") => one_line(code),
        ("", message) => one_line(message),
        (code, message) => one_line(&format!("{code}: {message}")),
    }
}

/// What the agent says of a script that failed: `: `, the script and the sentence, then the end of its output, each line after a
/// line break and the indent.
pub(crate) fn diagnostics(found: &Diagnostics, indent: &str) -> String {
    let script = found.script.as_ref().map(|script| format!("`{}`: ", one_line(script))).unwrap_or_default();
    let mut text = format!(": {script}{}", fault(&Fault { code: found.code.clone(), message: found.message.clone() }));
    let lines: Vec<&str> = found.log_tail.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{indent}  {}", visible_lines(line.trim_end()));
    }
    text
}

/// `InProgress, 3 of 5 instances done, 1 failed`.
pub(crate) fn standing(deployment: &Deployment, targets: &[Target]) -> String {
    let count = |is: fn(Progress) -> bool| targets.iter().filter(|target| is(target.progress)).count();
    let mut text = one_line(deployment.status.word());
    if !targets.is_empty() {
        let _ = write!(text, ", {} of {} done", count(Progress::is_final), plural(targets.len(), "instance"));
    }
    let failed = count(|progress| progress == Progress::Failed);
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    text
}

/// The result of a deployment that was created: lines of a name and a value. `look`: the command that shows it; empty: none.
pub(crate) fn created(id: &DeploymentId, revision: &Revision, link: &str, look: &str) -> String {
    let url = match revision {
        Revision::S3(object) => object.url(),
        Revision::GitHub { .. } | Revision::Other(_) => revision.to_string(),
    };
    let look = if look.is_empty() { String::new() } else { format!("\nHow far it is:\n  {look}\n") };
    format!("deployment  {id}\n  revision  {}\n      link  {link}\n{look}", one_line(&url))
}

/// How a deployment that was followed ended: its state, and a table of its instances.
pub(crate) fn ended(deployment: &Deployment, targets: &[Target]) -> String {
    let took = took(deployment).map(|took| format!(" in {took}")).unwrap_or_default();
    let mut text = format!("\n{}: {}{took}\n", deployment.id, standing(deployment, targets));
    if !targets.is_empty() {
        text.push_str(&instances(targets));
    }
    text
}

/// That a group has gone back already. `further`: the command that goes further back.
pub(crate) fn already_back(there: &Deployment, further: &str) -> String {
    let revision = there.revision.as_ref().map(ToString::to_string).unwrap_or_default();
    format!(
        "nothing done: CodeDeploy rolled the group back itself, and it runs the last good revision again\n{} deployed \
         {revision}\nto go further back: {further}\n",
        there.id
    )
}

/// The result of a stop.
pub(crate) fn stopped(id: &DeploymentId, pending: bool, rollback: bool, link: &str) -> String {
    let what = if pending { "is stopping; events under way come to their end" } else { "is stopped" };
    let rollback = if rollback { "; then the last good revision is deployed again" } else { "" };
    format!("{id} {what}{rollback}\n{link}\n")
}

/// Deployments, the latest first.
pub(crate) fn table(deployments: &[Deployment], now: Timestamp) -> String {
    if deployments.is_empty() {
        return "no deployment yet\n".to_owned();
    }
    let heading = ["DEPLOYMENT", "STATUS", "REVISION", "CREATED", "TOOK", "BY", "DESCRIPTION"].map(str::to_owned);
    let mut rows = vec![heading];
    for deployment in deployments {
        let dash = || "-".to_owned();
        rows.push([
            deployment.id.to_string(),
            one_line(deployment.status.word()),
            deployment.revision.as_ref().map_or_else(dash, short),
            since(deployment.created, now).map_or_else(dash, |age| format!("{age} ago")),
            took(deployment).unwrap_or_else(dash),
            deployment.creator.as_deref().map_or_else(dash, one_line),
            deployment.description.as_deref().map_or_else(dash, one_line),
        ]);
    }
    columns(&rows)
}

/// One deployment with its instances and their events.
pub(crate) fn one(deployment: &Deployment, targets: &[Target], link: &str, now: Timestamp) -> String {
    let mut text = format!("deployment  {}\n", deployment.id);
    let revision = deployment.revision.as_ref().map(|revision| match revision {
        Revision::S3(object) => object.url(),
        Revision::GitHub { .. } | Revision::Other(_) => revision.to_string(),
    });
    let created = deployment.created.map(|at| {
        let age = since(Some(at), now).map(|age| format!(" ({age} ago)")).unwrap_or_default();
        format!("{at}{age}")
    });
    let rollback = deployment.rollback.as_ref();
    let rolled_back_by = rollback.and_then(|rollback| rollback.deployment.as_ref()).filter(|id| **id != deployment.id);
    for (name, value) in [
        ("to", Some(format!("{} of {}", deployment.group, deployment.application))),
        ("status", Some(standing(deployment, targets))),
        ("error", deployment.error.as_ref().map(fault)),
        ("revision", revision),
        ("config", deployment.config.clone()),
        ("by", deployment.creator.clone()),
        ("text", deployment.description.clone()),
        ("created", created),
        ("took", took(deployment)),
        ("rolls back", rollback.and_then(|rollback| rollback.of.as_ref()).map(ToString::to_string)),
        ("rollback", rolled_back_by.map(ToString::to_string)),
        ("rollback", rollback.and_then(|rollback| rollback.message.clone())),
        ("link", Some(link.to_owned())),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:>10}  {}", one_line(&value));
        }
    }
    for message in &deployment.messages {
        let _ = writeln!(text, "            {}", one_line(message));
    }
    for target in targets {
        let label = target.label.as_ref().map(|label| format!(" ({})", one_line(label))).unwrap_or_default();
        let _ = write!(text, "\n{}{label}: {}\n", one_line(&target.id), target.progress.word());
        let rows: Vec<[String; 4]> = target.events.iter().map(event_row).collect();
        text.push_str(&columns(&rows));
        for event in &target.events {
            if let Some(found) = &event.diagnostics {
                let _ = writeln!(text, "  {}{}", one_line(&event.name), diagnostics(found, "  "));
            }
        }
    }
    text
}

fn event_row(event: &TargetEvent) -> [String; 4] {
    let took = match (event.began, event.ended) {
        (Some(began), Some(ended)) => ago(seconds(began, ended)),
        (_, _) => String::new(),
    };
    [String::new(), one_line(&event.name), event.progress.word().to_owned(), took]
}

fn instances(targets: &[Target]) -> String {
    let mut rows = vec![["INSTANCE", "STATUS", "EVENT"].map(str::to_owned)];
    for target in targets {
        let event = target.event().map_or_else(|| "-".to_owned(), |event| one_line(&event.name));
        rows.push([one_line(&target.id), target.progress.word().to_owned(), event]);
    }
    columns(&rows)
}

/// The commit, else the end of the key.
fn short(revision: &Revision) -> String {
    match (revision.commit(), revision) {
        (Some(commit), Revision::S3(object)) if object.is_dirty() => format!("{} (dirty)", commit.short()),
        (Some(commit), _) => commit.short().to_owned(),
        (None, Revision::S3(object)) => one_line(object.key.rsplit('/').next().unwrap_or_default()),
        (None, Revision::GitHub { commit, .. }) => one_line(commit),
        (None, Revision::Other(kind)) => one_line(kind),
    }
}

fn took(deployment: &Deployment) -> Option<String> {
    Some(ago(seconds(deployment.created?, deployment.completed?)))
}

fn since(at: Option<Timestamp>, now: Timestamp) -> Option<String> {
    Some(ago(seconds(at?, now)))
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_secs().try_into().unwrap_or(0)
}

/// A revision for programs.
pub(crate) fn revision_json(revision: &Revision) -> Value {
    match revision {
        Revision::S3(object) => json!({
            "bucket": object.bucket,
            "key": object.key,
            "bundleType": object.format.word(),
            "eTag": object.etag,
            "version": object.version,
            "url": object.url(),
            "commit": object.commit(),
            "dirty": object.is_dirty(),
        }),
        Revision::GitHub { repository, commit } => json!({"repository": repository, "commit": commit}),
        Revision::Other(kind) => json!({"kind": kind}),
    }
}

/// A deployment for programs; with its instances where they were looked at.
pub(crate) fn json(deployment: &Deployment, targets: Option<&[Target]>, link: &str) -> Value {
    let rollback = deployment.rollback.as_ref();
    let mut json = json!({
        "id": deployment.id,
        "application": deployment.application,
        "group": deployment.group,
        "status": deployment.status.word(),
        "final": deployment.status.is_final(),
        "revision": deployment.revision.as_ref().map(revision_json),
        "deployment_config": deployment.config,
        "creator": deployment.creator,
        "description": deployment.description,
        "created": deployment.created.map(|at| at.to_string()),
        "completed": deployment.completed.map(|at| at.to_string()),
        "took_s": deployment.created.zip(deployment.completed).map(|(from, to)| seconds(from, to)),
        "error": deployment.error.as_ref().map(|error| json!({"code": error.code, "message": error.message})),
        "rollback": rollback.map(|rollback| json!({
            "deployment": rollback.deployment,
            "of": rollback.of,
            "message": rollback.message,
        })),
        "messages": deployment.messages,
        "link": link,
    });
    if let Some(targets) = targets {
        json["targets"] = targets.iter().map(target_json).collect();
    }
    json
}

fn target_json(target: &Target) -> Value {
    let event = |event: &TargetEvent| {
        json!({
            "name": event.name,
            "status": event.progress.word(),
            "began": event.began.map(|at| at.to_string()),
            "ended": event.ended.map(|at| at.to_string()),
            "diagnostics": event.diagnostics.as_ref().map(|found| json!({
                "error_code": found.code,
                "script_name": found.script,
                "message": found.message,
                "log_tail": found.log_tail,
            })),
        })
    };
    json!({
        "id": target.id,
        "status": target.progress.word(),
        "label": target.label,
        "events": target.events.iter().map(event).collect::<Vec<_>>(),
    })
}
