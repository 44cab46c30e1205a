//! What the journals of a root say: which groups there are, what was deployed, how it ended. Reads only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName, InvalidId};
use longshore_core::lifecycle::LifecycleEvent;
use serde::Serialize;

use crate::deployment::journal::{self, Entry, JournalError, Line, Outcome};
use crate::deployment::order::Order;
use crate::layout::Layout;
use crate::release::Release;

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
    pub ended: String,
    /// How it ended; `None` while it runs, or when its agent died.
    pub outcome: Option<Outcome>,
    /// Whether its release was good: installed, and through every event that it has scripts for.
    pub good: bool,
    /// Why it ended so, unless it succeeded.
    pub reason: Option<String>,
    /// The event it was in when its journal ended.
    pub last_event: Option<LifecycleEvent>,
    /// The scripts that ran to an end.
    pub hooks: usize,
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
    /// A folder name is no id.
    #[error("`{path}` holds a folder that is none of ours")]
    Stray {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: InvalidId,
    },
}

/// The groups that were ever deployed to by us, sorted.
pub fn groups(layout: &Layout) -> Result<Vec<GroupId>, HistoryError> {
    names(&layout.groups())?
        .into_iter()
        .map(|name| name.parse().map_err(|source| HistoryError::Stray { path: layout.groups(), source }))
        .collect()
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

/// The groups that a selection means, with the latest deployment of each, sorted by id. A group that was never deployed to
/// by us has no name, and is found by its id alone.
pub fn select(layout: &Layout, selection: Selection<'_>) -> Result<Vec<(GroupId, Option<Record>)>, HistoryError> {
    let mut selected = Vec::new();
    for id in groups(layout)? {
        let latest = deployments(layout, &id)?.pop();
        let order = latest.as_ref().map(|record| &record.order);
        let is_meant = selection.id.is_none_or(|wanted| *wanted == id)
            && selection.group.is_none_or(|name| order.is_some_and(|order| order.group.name == *name))
            && selection.application.is_none_or(|name| order.is_some_and(|order| order.application == *name));
        if is_meant {
            selected.push((id, latest));
        }
    }
    Ok(selected)
}

/// The deployments of a group that have a journal, oldest first.
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
    let mut lines = lines.into_iter();
    let first = lines.next()?;
    let Entry::Opened { order, .. } = first.entry else { return None };
    let mut record = Record {
        order: *order,
        release: None,
        started: first.at.clone(),
        ended: first.at,
        outcome: None,
        good: false,
        reason: None,
        last_event: None,
        hooks: 0,
    };
    for line in lines {
        record.ended = line.at;
        match line.entry {
            Entry::Opened { .. } | Entry::Resumed { .. } | Entry::Installing { .. } | Entry::Restoring { .. } => {}
            Entry::Prepared { release, .. } => record.release = Some(release),
            Entry::Planned { event, .. } | Entry::Started { event, .. } => record.last_event = Some(event),
            Entry::Finished { event, hook, .. } | Entry::Failed { event, hook, .. } => {
                record.last_event = Some(event);
                record.hooks += usize::from(hook.is_some());
            }
            Entry::Closed { outcome, good, reason } => {
                record.outcome = Some(outcome);
                record.good = good;
                record.reason = reason;
            }
        }
    }
    Some(record)
}

fn names(dir: &Path) -> Result<Vec<String>, HistoryError> {
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
