//! `rollback`: back to a release that was good.

use longshore_core::appspec::FileExists;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::lifecycle::LifecycleEvent;
use serde::Serialize;

use super::deploy;
use crate::cli::{Output, RollbackArgs};
use crate::deployment::agent::fresh_id;
use crate::deployment::drive;
use crate::deployment::order::{Cause, Order, Pace, Revision};
use crate::display::table;
use crate::history::{self, Record};
use crate::layout::Layout;
use crate::release::{self, Kept, Release};

/// A release that can come back.
#[derive(Debug, Serialize)]
struct Candidate {
    #[serde(flatten)]
    release: Release,
    /// When its deployment ended, RFC 3339.
    ended: String,
    /// Whether its files are on disk now.
    installed: bool,
    /// Whether it can come back without the network.
    kept: bool,
    #[serde(skip)]
    order: Order,
}

/// Runs the command.
pub fn run(args: &RollbackArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let group = one_group(args, layout)?;
    let records = history::deployments(layout, &group).map_err(internal)?;
    let installed = release::installed(layout, &group).map_err(internal)?;
    let candidates = candidates(&records, installed.as_ref(), layout, &group);
    if args.list {
        return super::print(&distinct(&candidates), output, |candidates| list(candidates));
    }
    let chosen = choose(&candidates, &records, installed.as_ref(), args.to.as_ref())?;
    let agent = deploy::of_this_process(layout, output)?;
    let Kept { path, content_digest } = match release::kept(layout, &group, &chosen.release) {
        Some(kept) => kept,
        None => return drive::deploy(&agent, &order(chosen, args, chosen.order.revision.clone())?),
    };
    let order = order(chosen, args, Revision::Local(path))?;
    drive::deploy(&agent, &Order { content_digest, ..order })
}

fn one_group(args: &RollbackArgs, layout: &Layout) -> Result<GroupId, Failure> {
    let mut groups: Vec<GroupId> =
        history::select(layout, args.group.selection()).map_err(internal)?.into_iter().map(|(id, _)| id).collect();
    match (groups.pop(), groups.as_slice()) {
        (Some(group), []) => Ok(group),
        (None, _) => {
            Err(Failure::new(Exit::NotFound, format!("there is no such group below {}", layout.root().display()))
                .hint("`longshore-agent status` shows the groups"))
        }
        (Some(last), others) => {
            let all: Vec<&str> = others.iter().chain([&last]).map(GroupId::as_str).collect();
            Err(Failure::new(Exit::Usage, format!("more than one group is meant: {}", all.join(", "))).hint(
                "say which with `--group NAME`, and `--application NAME` or `--group-id ID` where that is not enough",
            ))
        }
    }
}

/// Newest first.
fn candidates(records: &[Record], installed: Option<&Release>, layout: &Layout, group: &GroupId) -> Vec<Candidate> {
    let good = records.iter().rev().filter(|record| record.good);
    good.filter_map(|record| {
        // A restore walks only a few events, and replaces what stands in its way; a rollback does as the release was
        // deployed at first.
        let mut first = record;
        while let Cause::Restore { to, .. } = &first.order.cause
            && let Some(before) = records.iter().find(|record| record.order.deployment == *to)
        {
            first = before;
        }
        let mut order = first.order.clone();
        if let Cause::Restore { .. } = order.cause {
            order.file_exists = FileExists::Disallow;
        }
        // All of CodeDeploy's, also when it was deployed with fewer; with events of one's own there is no other order.
        if order.events.iter().all(LifecycleEvent::is_built_in) {
            order.events = LifecycleEvent::ALL.to_vec();
        }
        let release = record.release.clone()?;
        Some(Candidate {
            ended: record.ended.clone().unwrap_or_default(),
            installed: installed.is_some_and(|installed| installed.deployment == release.deployment),
            kept: release::kept(layout, group, &release).is_some(),
            order,
            release,
        })
    })
    .collect()
}

/// Of those that brought one and the same content, restores among them, only the newest.
fn distinct(newest_first: &[Candidate]) -> Vec<&Candidate> {
    let same = |one: &Release, other: &Release| {
        one.content_digest.is_some()
            && one.content_digest == other.content_digest
            && one.appspec_name == other.appspec_name
    };
    let mut distinct: Vec<&Candidate> = Vec::new();
    for candidate in newest_first {
        if !distinct.iter().any(|newer| same(&newer.release, &candidate.release)) {
            distinct.push(candidate);
        }
    }
    distinct
}

/// The one that was asked for; else the newest whose contents are not those that are installed.
fn choose<'a>(
    candidates: &'a [Candidate],
    records: &[Record],
    installed: Option<&Release>,
    to: Option<&DeploymentId>,
) -> Result<&'a Candidate, Failure> {
    let see = "`longshore-agent rollback --list` shows the releases that can come back";
    let Some(id) = to else {
        let differs = |candidate: &&Candidate| {
            !candidate.installed
                && installed.is_none_or(|now| {
                    now.content_digest.is_none() || now.content_digest != candidate.release.content_digest
                })
        };
        return candidates.iter().find(differs).ok_or_else(|| {
            let message = if candidates.is_empty() {
                "there is nothing to go back to: no release of this group was good"
            } else {
                "there is nothing to go back to: no good release but the one that is installed"
            };
            Failure::new(Exit::NotFound, message).hint(see)
        });
    };
    if let Some(candidate) = candidates.iter().find(|candidate| candidate.release.deployment == *id) {
        return Ok(candidate);
    }
    Err(match records.iter().find(|record| record.order.deployment == *id) {
        Some(record) => {
            let outcome = record.outcome.map_or("is unfinished", |outcome| outcome.word());
            let message = format!("the release of {id} was never good ({outcome})");
            Failure::new(Exit::Conflict, message)
                .hint(see)
                .hint("deploy its revision with `longshore-agent deploy` if it must be")
        }
        None => Failure::new(Exit::NotFound, format!("this group has no deployment {id}")).hint(see),
    })
}

/// As it was deployed then.
fn order(chosen: &Candidate, args: &RollbackArgs, revision: Revision) -> Result<Order, Failure> {
    let then = &chosen.order;
    let mut policy = then.policy.clone();
    policy.on_failure = args.on_failure;
    Ok(Order {
        deployment: fresh_id().map_err(internal)?,
        number: 0,
        revision,
        skip: args.skip.clone(),
        stop_from: args.stop_from,
        cause: Cause::Rollback { to: chosen.release.deployment.clone() },
        content_digest: chosen.release.content_digest,
        appspec_name: chosen.release.appspec_name.clone(),
        policy,
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
        ..then.clone()
    })
}

fn list(candidates: &[&Candidate]) -> String {
    if candidates.is_empty() {
        return "no release of this group was good\n".to_owned();
    }
    let mut rows = vec![["DEPLOYMENT", "COMMIT", "CONTENT", "ENDED", "NOTE"].map(str::to_owned)];
    for candidate in candidates {
        let Release { deployment, commit, content_digest, .. } = &candidate.release;
        let note = match (candidate.installed, candidate.kept) {
            (true, _) => "installed",
            (false, true) => "",
            (false, false) => "not kept: has to be fetched again",
        };
        rows.push([
            deployment.to_string(),
            commit.as_ref().map_or_else(|| "-".to_owned(), |commit| commit.short().to_owned()),
            content_digest.map_or_else(|| "-".to_owned(), |digest| digest.short().to_string()),
            candidate.ended.clone(),
            note.to_owned(),
        ]);
    }
    table(&rows)
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
