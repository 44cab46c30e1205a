//! What was deployed to a group, and how it ended.

use jiff::Timestamp;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::plural;
use longshore_core::ids::{DeploymentId, GroupName};
use longshore_core::pointer::Pointer;
use serde_json::{Value, json};

use super::At;
use crate::cli::DeploymentsArgs;
use crate::display::sheet;
use crate::ending::{How, Known};
use crate::hosts::Hosts;
use crate::past::{self, Deployment};
use crate::waiting;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum DeploymentsError {
    /// No such deployment.
    #[error("group `{group}` has no deployment {deployment} in its history")]
    None { deployment: DeploymentId, group: GroupName },
}

/// Shows deployments, or one of them.
pub(super) async fn show(args: &DeploymentsArgs, at: At<'_>) -> Result<(String, Value), Failure> {
    let store = at.store().await?;
    let place = at.place(&store);
    let (present, hosts) = (at.stands(place).await?.pointer, place.hosts().await?);
    let Some(wanted) = &args.deployment else {
        let deployments = past::read(place, &present, &hosts, |found| found.len() > args.limit).await?;
        let shown = &deployments[..args.limit.min(deployments.len())];
        let mut json = at.heading();
        json["deployments"] = shown.iter().map(document).collect();
        return Ok((list(shown), json));
    };
    let is_wanted = |found: &Deployment| found.pointer.deployment == *wanted;
    let found = past::read(place, &present, &hosts, |found| found.iter().any(is_wanted)).await?;
    let Some(found) = found.into_iter().find(is_wanted) else {
        let none = DeploymentsError::None { deployment: wanted.clone(), group: at.target.group.clone() };
        return Err(Failure::new(Exit::NotFound, none).hint(format!("the latest: {}", at.command("deployments"))));
    };
    let mut json = at.heading();
    json["deployment"] = document(&found);
    Ok((detail(&found, &present, &hosts, &at), json))
}

/// How it ended, in a few words.
fn ended(deployment: &Deployment) -> String {
    let hosts = &deployment.ending.hosts;
    let count = |how| hosts.values().filter(|end| end.how == how).count();
    let of = |how| format!("{} of {}", count(how), plural(hosts.len(), "host"));
    match deployment.known() {
        Known::Succeeded => format!("succeeded on {}", of(How::Succeeded)),
        Known::Failed => {
            let failed = count(How::Failed) + count(How::RolledBack);
            format!("failed on {failed} of {}", plural(hosts.len(), "host"))
        }
        Known::RolledBack => format!("failed and rolled back on {}", of(How::RolledBack)),
        Known::Stopped => "stopped".to_owned(),
        Known::Unfinished => format!("unfinished on {}", of(How::Unfinished)),
        Known::Superseded => format!("overtaken on {}", of(How::Unfinished)),
        Known::Unknown => "unknown".to_owned(),
    }
}

fn list(deployments: &[Deployment]) -> String {
    let heading = ["GENERATION", "DEPLOYMENT", "COMMIT", "WHEN", "ENDED", "BY"].map(str::to_owned);
    let row = |deployment: &Deployment| {
        let Pointer { generation, deployment: id, commit, dirty, at, by, .. } = &deployment.pointer;
        let dirty = if *dirty { " (dirty)" } else { "" };
        [
            generation.to_string(),
            id.to_string(),
            format!("{}{dirty}", commit.short()),
            sheet::one_line(at),
            ended(deployment),
            sheet::one_line(by),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(deployments.iter().map(row)).collect();
    sheet::columns(&rows)
}

fn detail(deployment: &Deployment, present: &Pointer, hosts: &Hosts, at: &At<'_>) -> String {
    let Pointer { generation, deployment: id, commit, revision, at: when, by, .. } = &deployment.pointer;
    let mut lines = vec![
        ("deployment", id.to_string()),
        ("generation", generation.to_string()),
        ("commit", commit.to_string()),
        ("revision", at.site.url.object(&revision.key).to_string()),
        ("when", sheet::one_line(when)),
        ("by", sheet::one_line(by)),
        ("ended", ended(deployment)),
    ];
    if let Some(stop) = &deployment.stopped {
        lines.push(("stopped", sheet::one_line(&format!("{} by {}", stop.at, stop.by))));
    }
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:>10}  {value}\n")).collect();
    // What hosts say now is of the present deployment; of an earlier one there is what was written down.
    if present.deployment == *id {
        let now = Timestamp::now();
        let seen: Vec<_> = hosts.known().map(|(name, host)| waiting::seen(name, host, Some(present), now)).collect();
        if !seen.is_empty() {
            text.push_str(&format!("\n{}", sheet::table(Some(present), &seen)));
        }
        return text;
    }
    let rows: Vec<[String; 3]> = std::iter::once(["HOST", "ENDED", ""].map(str::to_owned))
        .chain(deployment.ending.hosts.iter().map(|(host, end)| {
            let reason = end.reason.as_deref().map(sheet::one_line).unwrap_or_default();
            [sheet::one_line(host), deployment.word(end.how).to_owned(), reason]
        }))
        .collect();
    if rows.len() > 1 {
        text.push_str(&format!("\n{}", sheet::columns(&rows)));
    }
    text
}

fn document(deployment: &Deployment) -> Value {
    let mut hosts = json!(deployment.ending.hosts);
    for (host, end) in &deployment.ending.hosts {
        hosts[host]["how"] = json!(deployment.word(end.how));
    }
    let stopped = deployment.stopped.as_ref().map(|stop| json!({"at": stop.at, "by": stop.by}));
    json!({
        "generation": deployment.pointer.generation,
        "deployment": deployment.pointer.deployment,
        "commit": deployment.pointer.commit,
        "at": deployment.pointer.at,
        "by": deployment.pointer.by,
        "ended": deployment.known().word(),
        "stopped": stopped,
        "hosts": hosts,
        "pointer": deployment.pointer,
    })
}
