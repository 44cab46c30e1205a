//! What the journals of a root say: which groups there are, what was deployed, how it ended. Reads only.
//!
//! A journal that is damaged hides its own deployment and no other one: it is a [`Past::Damaged`] among the rest.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use serde::Serialize;

use crate::deployment::journal::{self, Entry, JournalError, Line, Outcome, Step};
use crate::deployment::order::{Cause, Order};
use crate::deployment::progress::Progress;
use crate::hook::HookOutcome;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::release::{self, MarkError, Release};

/// One deployment as its journal tells it.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// What was asked for.
    pub order: Order,
    /// What it brought, once it was fetched and verified.
    pub release: Option<Release>,
    /// When it began, RFC 3339.
    pub started: String,
    /// When its last line was written, RFC 3339.
    pub updated: String,
    /// When it ended, RFC 3339; `None` while it has not.
    pub ended: Option<String>,
    /// How it ended; `None` while it runs, or when its agent died.
    pub outcome: Option<Outcome>,
    /// Whether it stands between two events, and the next one is for the service to ask for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
    /// Whether its release was good: installed, and through every event that it has scripts for.
    pub good: bool,
    /// Why it ended so, unless it succeeded.
    pub reason: Option<String>,
    /// The event it was in when its journal ended.
    pub last_event: Option<LifecycleEvent>,
    /// The scripts that ran to an end, in order.
    pub hooks: Vec<HookRun>,
    /// The deployment that brought the last good release back because this one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<DeploymentId>,
}

/// A script that ran to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookRun {
    /// Its event.
    pub event: LifecycleEvent,
    /// The script as the appspec writes it.
    pub script: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: HookOutcome,
    /// The code the AWS agent would report.
    pub code: u8,
    /// How long it ran, milliseconds.
    pub duration_ms: u64,
    /// When it started, RFC 3339, where that is known.
    pub started: Option<String>,
}

/// A deployment whose journal cannot be read to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Damaged {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its group.
    pub group_id: GroupId,
    /// When it began by its first line, or else when the journal was last changed; RFC 3339.
    pub started: String,
    /// Its order, when the first line can be read.
    pub order: Option<Box<Order>>,
    /// The journal.
    pub journal: PathBuf,
    /// What is wrong with it.
    pub damage: String,
}

/// A deployment of the past, or one under way.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Past {
    /// Its journal is whole.
    Known(Box<Record>),
    /// Its journal is not.
    Damaged(Damaged),
}

/// What one group looks like.
#[derive(Debug, Serialize)]
pub struct GroupStatus {
    /// Its id.
    pub group_id: GroupId,
    /// The release whose files are on disk.
    pub installed: Option<Release>,
    /// The last release that was good.
    pub good: Option<Release>,
    /// The latest deployment of ours. Not a restore that went well: the failure that it followed names it.
    pub last: Option<Past>,
    /// Whether somebody is at work on it.
    pub under_way: bool,
    /// What of this cannot be told, because a record is damaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
}

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A folder cannot be listed.
    #[error("cannot list `{path}`")]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl HistoryError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            HistoryError::List { source, .. } | HistoryError::Journal(JournalError::Read { source, .. }) => {
                denied(source)
            }
            HistoryError::Journal(JournalError::Write { .. } | JournalError::Damaged { .. }) => None,
        }
    }
}

/// What to do about files that only others may read.
pub(crate) fn denied(error: &io::Error) -> Option<&'static str> {
    (error.kind() == io::ErrorKind::PermissionDenied).then_some("run it as root")
}

impl Past {
    /// The deployment.
    pub fn deployment(&self) -> &DeploymentId {
        match self {
            Past::Known(record) => &record.order.deployment,
            Past::Damaged(damaged) => &damaged.deployment,
        }
    }

    /// When it began, RFC 3339.
    pub fn started(&self) -> &str {
        match self {
            Past::Known(record) => &record.started,
            Past::Damaged(damaged) => &damaged.started,
        }
    }

    /// The order, where it can be read.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Past::Known(record) => Some(&record.order),
            Past::Damaged(damaged) => damaged.order.as_deref(),
        }
    }

    fn known(self) -> Option<Record> {
        match self {
            Past::Known(record) => Some(*record),
            Past::Damaged(_) => None,
        }
    }
}

/// The groups that were ever deployed to by us, sorted. A folder that can be no group's is left to `doctor`.
pub fn groups(layout: &Layout) -> Result<Vec<GroupId>, HistoryError> {
    Ok(names(&layout.groups())?.into_iter().filter_map(|name| name.parse().ok()).collect())
}

/// The groups that were ever deployed to, by us or by the AWS agent, sorted.
pub fn all_groups(layout: &Layout) -> Result<Vec<GroupId>, HistoryError> {
    const RECORDS: [&str; 4] = ["_last_successful_install", "_most_recent_install", "-install.json", "-cleanup"];
    let mut all: BTreeSet<GroupId> = groups(layout)?.into_iter().collect();
    let records = names(&layout.instructions())?;
    let ids = records.iter().filter_map(|name| RECORDS.iter().find_map(|suffix| name.strip_suffix(suffix)));
    all.extend(ids.filter_map(|id| id.parse::<GroupId>().ok()));
    Ok(all.into_iter().collect())
}

/// Which groups are meant; what is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// The group's name.
    pub group: Option<&'a GroupName>,
    /// The application of its latest deployment.
    pub application: Option<&'a ApplicationName>,
    /// The group's id.
    pub id: Option<&'a GroupId>,
}

impl Selection<'_> {
    /// Whether it means less than everything.
    pub fn is_narrow(&self) -> bool {
        self.group.is_some() || self.application.is_some() || self.id.is_some()
    }

    /// Whether a group with this id, whose latest order is this one, is meant.
    pub fn means(&self, id: &GroupId, latest: Option<&Order>) -> bool {
        self.id.is_none_or(|wanted| wanted == id)
            && self.group.is_none_or(|name| latest.is_some_and(|order| order.group.name == *name))
            && self.application.is_none_or(|name| latest.is_some_and(|order| order.application == *name))
    }
}

/// The groups that a selection means, with the latest deployment of each, sorted by id. A group that was never deployed to
/// by us has no name, and is found by its id alone.
pub fn select(layout: &Layout, selection: Selection<'_>) -> Result<Vec<(GroupId, Option<Record>)>, HistoryError> {
    let mut selected = Vec::new();
    for id in groups(layout)? {
        let latest = past(layout, &id)?.into_iter().rev().find_map(Past::known);
        if selection.means(&id, latest.as_ref().map(|record| &record.order)) {
            selected.push((id, latest));
        }
    }
    Ok(selected)
}

/// A deployment of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub deployment: DeploymentId,
    /// Whether it has a journal: the AWS agent's have none.
    pub has_journal: bool,
}

/// The deployment that is named, or else the latest one of ours, of the groups that are meant. Not a
/// restore that ended: what somebody wants to hear of is the failure that it followed.
pub fn find(
    layout: &Layout,
    selection: Selection<'_>,
    deployment: Option<&DeploymentId>,
) -> Result<Option<Found>, HistoryError> {
    let mut latest: Option<(String, Found)> = None;
    for group in all_groups(layout)? {
        let past = past(layout, &group)?;
        if let Some(id) = deployment {
            let directory = layout.deployment(&group, id);
            if selection.means(&group, past.last().and_then(Past::order)) && directory.path().is_dir() {
                let has_journal = directory.journal().is_file();
                return Ok(Some(Found { group, deployment: id.clone(), has_journal }));
            }
            continue;
        }
        let Some(last) = past.last() else { continue };
        let is_later = latest.as_ref().is_none_or(|(started, _)| started.as_str() <= last.started());
        if selection.means(&group, last.order()) && is_later {
            let asked = asked_for(&past, |_| true).unwrap_or(last);
            let found = Found { deployment: asked.deployment().clone(), has_journal: true, group };
            latest = Some((last.started().to_owned(), found));
        }
    }
    Ok(latest.map(|(_, found)| found))
}

/// The latest deployment, or the failed one that it restored after, once it ended as `wanted`.
fn asked_for(oldest_first: &[Past], wanted: fn(Outcome) -> bool) -> Option<&Past> {
    let last = oldest_first.last()?;
    let Past::Known(record) = last else { return Some(last) };
    match &record.order.cause {
        Cause::Restore { failed, .. } if record.outcome.is_some_and(wanted) => {
            Some(oldest_first.iter().find(|past| past.deployment() == failed).unwrap_or(last))
        }
        Cause::Asked | Cause::Rollback { .. } | Cause::Restore { .. } => Some(last),
    }
}

/// The names of the groups that have a deployment of ours.
pub fn group_names(layout: &Layout) -> Result<BTreeSet<String>, HistoryError> {
    let mut known = BTreeSet::new();
    for group in groups(layout)? {
        known.extend(past(layout, &group)?.iter().filter_map(|past| Some(past.order()?.group.name.to_string())));
    }
    Ok(known)
}

/// The deployments of a group that have a journal, oldest first. Fails when one of the journals is damaged; see [`past`].
pub fn deployments(layout: &Layout, group: &GroupId) -> Result<Vec<Record>, HistoryError> {
    let mut records = Vec::new();
    for (_, path) in journals(layout, group)? {
        records.extend(record(journal::read(&path)?));
    }
    records.sort_by_key(|record| record.order.number);
    Ok(records)
}

/// The number of the group's next deployment.
pub fn next_number(layout: &Layout, group: &GroupId) -> Result<u64, HistoryError> {
    Ok(deployments(layout, group)?.last().map_or(0, |record| record.order.number) + 1)
}

/// The deployments of a group that have a journal, damaged ones included, oldest first.
pub fn past(layout: &Layout, group: &GroupId) -> Result<Vec<Past>, HistoryError> {
    let mut all = Vec::new();
    for (deployment, path) in journals(layout, group)? {
        let (lines, damage) = readable(&path);
        match damage {
            None => all.extend(record(lines).map(|record| Past::Known(Box::new(record)))),
            Some(damage) => {
                let first = lines.into_iter().next();
                all.push(Past::Damaged(Damaged {
                    started: first.as_ref().map_or_else(|| changed(&path), |line| line.at.clone()),
                    order: first.and_then(|line| match line.entry {
                        Entry::Opened { order, .. } => Some(order),
                        Entry::Resumed { .. }
                        | Entry::Asked { .. }
                        | Entry::Prepared { .. }
                        | Entry::Planned { .. }
                        | Entry::Started { .. }
                        | Entry::Installing { .. }
                        | Entry::Finished { .. }
                        | Entry::Failed { .. }
                        | Entry::Restoring { .. }
                        | Entry::Closed { .. } => None,
                    }),
                    deployment,
                    group_id: group.clone(),
                    journal: path,
                    damage,
                }));
            }
        }
    }
    // Numbers tell earlier from later whatever the clock did; only a damaged first line leaves nothing but the clock.
    let (mut sorted, lost): (Vec<Past>, Vec<Past>) = all.into_iter().partition(|past| past.order().is_some());
    sorted.sort_by_key(|past| past.order().map(|order| order.number));
    for past in lost {
        let place = sorted.iter().position(|other| other.started() > past.started()).unwrap_or(sorted.len());
        sorted.insert(place, past);
    }
    link_restores(&mut sorted);
    Ok(sorted)
}

/// The lines of a journal up to the first that cannot be read, and what is wrong with that one.
pub fn readable(path: &Path) -> (Vec<Line>, Option<String>) {
    let error = match journal::read(path) {
        Ok(lines) => return (lines, None),
        Err(error) => error,
    };
    let told = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    let damage = format!("{error}{told}");
    let JournalError::Damaged { line, .. } = error else { return (Vec::new(), Some(damage)) };
    let text = fs::read(path).unwrap_or_default();
    let whole = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(line - 1);
    (whole.filter_map(|line| serde_json::from_slice(line).ok()).collect(), Some(damage))
}

/// What a group looks like now.
pub fn status(layout: &Layout, group_id: GroupId) -> Result<GroupStatus, HistoryError> {
    let mut damage = Vec::new();
    let mut read = |mark: Result<Option<Release>, MarkError>| {
        mark.unwrap_or_else(|error| {
            damage.push(error.to_string());
            None
        })
    };
    let installed = read(release::installed(layout, &group_id));
    let good = read(release::good(layout, &group_id));
    let past = past(layout, &group_id)?;
    let last = asked_for(&past, |outcome| outcome == Outcome::Succeeded).cloned();
    let under_way = Lock::holder(layout, &group_id).is_some();
    Ok(GroupStatus { installed, good, last, under_way, damage, group_id })
}

/// The deployments of a group that were never closed, the one under way included.
pub fn unfinished(layout: &Layout, group: &GroupId) -> Result<Vec<DeploymentId>, HistoryError> {
    let mut unfinished = Vec::new();
    for (id, path) in journals(layout, group)? {
        if journal::outcome(&journal::read(&path)?).is_none() {
            unfinished.push(id);
        }
    }
    Ok(unfinished)
}

/// The journals of a group.
pub fn journals(layout: &Layout, group: &GroupId) -> Result<Vec<(DeploymentId, PathBuf)>, HistoryError> {
    let mut found = Vec::new();
    for name in names(&layout.deployments(group))? {
        // The AWS agent's deployments stand here too, and have no journal.
        let Ok(id) = name.parse::<DeploymentId>() else { continue };
        let path = layout.deployment(group, &id).journal();
        if path.is_file() {
            found.push((id, path));
        }
    }
    Ok(found)
}

fn record(lines: Vec<Line>) -> Option<Record> {
    let waiting = Progress::replay(lines.iter().cloned()).is_some_and(|progress| progress.waits());
    let mut lines = lines.into_iter();
    let first = lines.next()?;
    let Entry::Opened { order, .. } = first.entry else { return None };
    let mut record = Record {
        order: *order,
        release: None,
        started: first.at.clone(),
        updated: first.at,
        ended: None,
        outcome: None,
        waiting,
        good: false,
        reason: None,
        last_event: None,
        hooks: Vec::new(),
        restored_by: None,
    };
    let mut planned: Vec<Step> = Vec::new();
    for line in lines {
        record.updated.clone_from(&line.at);
        match line.entry {
            Entry::Opened { .. } | Entry::Resumed { .. } | Entry::Installing { .. } | Entry::Restoring { .. } => {}
            Entry::Asked { .. } => {
                (record.outcome, record.ended, record.good, record.reason) = (None, None, false, None);
            }
            Entry::Prepared { release, .. } => record.release = Some(release),
            Entry::Planned { event, steps } => {
                record.last_event = Some(event);
                planned = steps;
            }
            Entry::Started { event, .. } => record.last_event = Some(event),
            Entry::Finished { event, step, hook } | Entry::Failed { event, step, hook, .. } => {
                if let (Some(report), Some(Step::RunHook { location, .. })) = (hook, planned.get(step)) {
                    record.hooks.push(HookRun {
                        event: event.clone(),
                        script: location.clone(),
                        code: report.outcome.code(),
                        duration_ms: report.duration.as_millis().try_into().unwrap_or(u64::MAX),
                        started: report.started,
                        outcome: report.outcome,
                    });
                }
                record.last_event = Some(event);
            }
            Entry::Closed { outcome, good, reason } => {
                record.outcome = Some(outcome);
                record.ended = Some(line.at);
                record.good = good;
                record.reason = reason;
            }
        }
    }
    Some(record)
}

/// Tells each deployment that failed which other one brought the last good release back.
fn link_restores(all: &mut [Past]) {
    let restores: Vec<(DeploymentId, DeploymentId)> = all
        .iter()
        .filter_map(|past| match past {
            Past::Known(record) if record.outcome == Some(Outcome::Succeeded) => match &record.order.cause {
                Cause::Restore { failed, .. } => Some((failed.clone(), record.order.deployment.clone())),
                Cause::Asked | Cause::Rollback { .. } => None,
            },
            Past::Known(_) | Past::Damaged(_) => None,
        })
        .collect();
    for past in all {
        if let Past::Known(record) = past {
            let restore = restores.iter().find(|(failed, _)| *failed == record.order.deployment);
            record.restored_by = restore.map(|(_, restore)| restore.clone());
        }
    }
}

/// When a file was last changed, RFC 3339; the beginning of time when nobody knows.
fn changed(path: &Path) -> String {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    let at = changed.ok().and_then(|at| jiff::Timestamp::try_from(at).ok()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// The names in a folder, sorted; none when there is no such folder. A name that is not UTF-8 is none of ours.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, HistoryError> {
    let failed = |source| HistoryError::List { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}
