//! What earlier deployments left: unfinished ones, scripts that still run, damaged records, litter beside installed files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use longshore_core::figures::plural;
use longshore_core::ids::GroupId;

use super::Finding;
use crate::history::{self, HistoryError, Past};
use crate::hook::watch;
use crate::install::compat::Records;
use crate::install::transaction::{NEW_PREFIX, OLD_PREFIX};
use crate::layout::Layout;
use crate::lock::Lock;

const CHECK: &str = "records";

pub(super) fn check(layout: &Layout, groups: &[GroupId]) -> Result<Vec<Finding>, HistoryError> {
    let mut findings = Vec::new();
    for group in groups {
        findings.extend(group_records(layout, group)?);
    }
    if findings.is_empty() {
        let count = plural(groups.len(), "group");
        findings
            .push(Finding::ok(CHECK, format!("{count}: every record can be read, and nothing was left unfinished")));
    }
    Ok(findings)
}

fn group_records(layout: &Layout, group: &GroupId) -> Result<Vec<Finding>, HistoryError> {
    let mut findings = Vec::new();
    for damage in history::status(layout, group.clone())?.damage {
        findings.push(Finding::error(
            CHECK,
            damage,
            "what is installed, or good, cannot be told, so the group refuses deployments",
            "move the file away: the next deployment writes it anew",
        ));
    }
    let is_held = Lock::holder(layout, group).is_some();
    let mut is_unfinished = false;
    for past in history::past(layout, group)? {
        match past {
            Past::Damaged(damaged) => findings.push(Finding::error(
                CHECK,
                damaged.damage,
                "the group refuses deployments: what that one left cannot be told",
                format!("look at what it did, then move its folder out of {}", layout.deployments(group).display()),
            )),
            Past::Known(record) if record.outcome.is_none() && !record.waiting && !is_held => {
                is_unfinished = true;
                let id = &record.order.deployment;
                let running = running_scripts(&layout.deployment(group, id).path().join("hooks"));
                let what = match running {
                    0 => format!("deployment {id} of `{group}` was left unfinished"),
                    _ => format!("deployment {id} of `{group}` was left unfinished, and its script still runs"),
                };
                findings.push(Finding::warning(
                    CHECK,
                    what,
                    "its agent died; the next deployment finishes it first",
                    format!("longshore-agent resume --group-id {group}"),
                ));
            }
            Past::Known(_) => {}
        }
    }
    // What is under way is no litter.
    if !is_unfinished && !is_held {
        findings.extend(litter(layout, group));
    }
    Ok(findings)
}

/// How many scripts of a deployment still run.
fn running_scripts(hooks: &Path) -> usize {
    let folders = fs::read_dir(hooks).into_iter().flatten().flatten();
    folders.filter(|folder| watch::is_running(&folder.path()).unwrap_or(false)).count()
}

/// Names of an installation that nobody cleans up any more.
fn litter(layout: &Layout, group: &GroupId) -> Vec<Finding> {
    let records = Records { dir: layout.instructions(), group: group.clone() };
    let Ok(cleanup) = records.cleanup() else {
        return vec![Finding::error(
            CHECK,
            format!("the record of the files of `{group}` cannot be read"),
            "the next deployment cannot tell which files are its own",
            format!("ls -l {}", records.dir.display()),
        )];
    };
    let folders: BTreeSet<&Path> = cleanup.paths.iter().filter_map(|path| path.parent()).collect();
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(NEW_PREFIX) || name.starts_with(OLD_PREFIX)
        }));
    }
    found.sort();
    let finding = |path: &PathBuf| {
        Finding::warning(
            CHECK,
            format!("{} was left beside the files of `{group}`", path.display()),
            "an installation was interrupted, and nobody needs it any more",
            format!("rm -r {}", path.display()),
        )
    };
    found.iter().map(finding).collect()
}
