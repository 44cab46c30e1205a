//! What was deployed, and what is installed → tables for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use longshore_core::figures::plural;
use longshore_core::ids::{ApplicationName, GroupName};

use crate::deployment::journal::Outcome;
use crate::deployment::order::Cause;
use crate::history::{GroupStatus, Past, Record};
use crate::release::Release;

/// One row for each deployment.
pub fn table(all: &[Past]) -> String {
    let mut rows = vec![["STARTED", "DEPLOYMENT", "APPLICATION", "GROUP", "COMMIT", "OUTCOME"].map(str::to_owned)];
    for past in all {
        let (commit, outcome) = match past {
            Past::Known(record) => (
                record.release.as_ref().and_then(|release| release.commit.as_ref()),
                format!("{}{}", outcome(record), cause(&record.order.cause)),
            ),
            Past::Damaged(damaged) => (None, format!("unknown: {}", damaged.damage)),
        };
        rows.push([
            past.started().to_owned(),
            past.deployment().to_string(),
            past.order().map_or_else(unknown, |order| order.application.to_string()),
            match past {
                Past::Known(record) => record.order.group.name.to_string(),
                Past::Damaged(damaged) => {
                    damaged.order.as_ref().map_or(damaged.group_id.to_string(), |order| order.group.name.to_string())
                }
            },
            commit.map_or_else(unknown, |commit| commit.short().to_owned()),
            outcome,
        ]);
    }
    super::table(&rows)
}

/// Nothing was found: what there is instead.
pub fn none(
    root: &Path,
    group: Option<&GroupName>,
    application: Option<&ApplicationName>,
    known: &BTreeSet<String>,
) -> String {
    let root = root.display();
    if known.is_empty() {
        return format!("nothing was deployed below {root}\n");
    }
    let of = match (group, application) {
        (Some(group), Some(application)) => format!(" of application `{application}` to group `{group}`"),
        (Some(group), None) => format!(" of group `{group}`"),
        (None, Some(application)) => format!(" of application `{application}`"),
        (None, None) => String::new(),
    };
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("no deployment{of} below {root}; there are deployments of {}\n", known.join(", "))
}

/// One row for each group.
pub fn groups(groups: &[GroupStatus], asked: Option<&GroupName>, root: &Path) -> String {
    let root = root.display();
    if groups.is_empty() {
        return match asked {
            Some(group) => format!("no group has the name `{group}` below {root}\n"),
            None => format!("nothing was deployed below {root}\n"),
        };
    }
    let id =
        |release: &Option<Release>| release.as_ref().map_or_else(unknown, |release| release.deployment.to_string());
    let mut rows = vec![["APPLICATION", "GROUP", "INSTALLED", "COMMIT", "GOOD", "LAST DEPLOYMENT"].map(str::to_owned)];
    for group in groups {
        let order = group.last.as_ref().and_then(Past::order);
        let commit = group.installed.as_ref().and_then(|release| release.commit.as_ref());
        rows.push([
            order.map_or_else(unknown, |order| order.application.to_string()),
            order.map_or_else(|| group.group_id.to_string(), |order| order.group.name.to_string()),
            id(&group.installed),
            commit.map_or_else(unknown, |commit| commit.short().to_owned()),
            match (&group.good, &group.installed) {
                (Some(good), Some(installed)) if good.deployment == installed.deployment => "yes".to_owned(),
                (Some(_) | None, _) => id(&group.good),
            },
            match &group.last {
                Some(Past::Known(record)) => {
                    let mut text = format!("{} {}", record.order.deployment, since(record, group.under_way));
                    text.push_str(&cause(&record.order.cause));
                    restored(&mut text, record);
                    text
                }
                Some(Past::Damaged(damaged)) => format!("{} unknown: {}", damaged.deployment, damaged.damage),
                None if group.installed.is_some() => "by the AWS agent".to_owned(),
                None => unknown(),
            },
        ]);
    }
    let mut text = super::table(&rows);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{} below {root}", plural(groups.len(), "group"));
    for damage in groups.iter().flat_map(|group| &group.damage) {
        let _ = writeln!(text, "Damaged: {damage}");
    }
    text
}

fn unknown() -> String {
    "-".to_owned()
}

/// How it stands, and since when.
fn since(record: &Record, under_way: bool) -> String {
    let during = record.last_event.as_ref().map(|event| format!(" in {event}")).unwrap_or_default();
    match record.outcome {
        None if record.waiting => format!("{} since {}", standing(record), record.updated),
        None if under_way => format!("under way{during}, begun at {}", record.started),
        None => format!("unfinished{during}, begun at {}", record.started),
        Some(_) => format!("{} at {}", standing(record), record.updated),
    }
}

fn standing(record: &Record) -> &'static str {
    match record.outcome {
        Some(outcome) => outcome.word(),
        None if record.waiting => "waits for its next event",
        None => "unfinished",
    }
}

fn outcome(record: &Record) -> String {
    let word = standing(record);
    let mut text = match &record.reason {
        Some(reason) => format!("{word}: {}", reason.lines().next().unwrap_or_default()),
        None => word.to_owned(),
    };
    restored(&mut text, record);
    text
}

fn restored(text: &mut String, record: &Record) {
    if let Some(restore) = &record.restored_by {
        // Writing to a String cannot fail.
        let _ = write!(text, "; {restore} restored the last good release");
    }
}

/// Why it was ordered, in parentheses, unless somebody just asked for it.
pub fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Asked => String::new(),
        Cause::Rollback { to } => format!(" (rollback to {to})"),
        Cause::Restore { failed, to } => format!(" (restore of {to} after {failed})"),
    }
}

/// How a deployment ended, as the end of a sentence.
pub fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Refused => "was refused",
        Outcome::Interrupted => "was interrupted",
    }
}
