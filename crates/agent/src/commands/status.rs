//! `status`: what is installed in each group.

use std::io::Write;

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::plural;
use longshore_core::ids::{GroupId, GroupName};
use serde::Serialize;

use crate::cli::{Output, StatusArgs};
use crate::display::table;
use crate::history::{self, Record};
use crate::layout::Layout;
use crate::release::{self, Release};

/// What one group looks like.
#[derive(Debug, Serialize)]
struct GroupStatus {
    group_id: GroupId,
    installed: Option<Release>,
    good: Option<Release>,
    last: Option<Record>,
}

/// Runs the command.
pub fn run(args: &StatusArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let mut groups = Vec::new();
    for group_id in history::groups(layout).map_err(|error| Failure::new(Exit::Failed, error))? {
        let failed = |error| Failure::new(Exit::Failed, error);
        let status = GroupStatus {
            installed: release::installed(layout, &group_id).map_err(failed)?,
            good: release::good(layout, &group_id).map_err(failed)?,
            last: history::deployments(layout, &group_id).map_err(|error| Failure::new(Exit::Failed, error))?.pop(),
            group_id,
        };
        let name = status.last.as_ref().map(|record| &record.order.group.name);
        if args.group.is_none() || args.group.as_ref() == name {
            groups.push(status);
        }
    }
    let text = match output {
        Output::Json => {
            serde_json::to_string_pretty(&groups).map_err(|error| Failure::new(Exit::Failed, error))? + "\n"
        }
        Output::Text => text(&groups, args.group.as_ref(), layout),
    };
    // A closed pipe is the reader's loss.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn text(groups: &[GroupStatus], asked: Option<&GroupName>, layout: &Layout) -> String {
    if groups.is_empty() {
        if let Some(group) = asked {
            return format!("no group has the name `{group}` below {}\n", layout.root().display());
        }
        return format!("nothing was deployed below {}\n", layout.root().display());
    }
    let mut rows = vec![["APPLICATION", "GROUP", "INSTALLED", "COMMIT", "GOOD", "LAST DEPLOYMENT"].map(str::to_owned)];
    for group in groups {
        let order = group.last.as_ref().map(|record| &record.order);
        let unknown = || "-".to_owned();
        let id =
            |release: &Option<Release>| release.as_ref().map_or_else(unknown, |release| release.deployment.to_string());
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
            group.last.as_ref().map_or_else(unknown, |record| {
                let outcome = record.outcome.map_or("unfinished", |outcome| outcome.word());
                format!("{} {outcome} at {}", record.order.deployment, record.ended)
            }),
        ]);
    }
    format!("{}\n{} below {}\n", table(&rows), plural(groups.len(), "group"), layout.root().display())
}
