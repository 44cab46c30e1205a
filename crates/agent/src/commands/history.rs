//! `history`: what was deployed, and how it ended.

use std::io::Write;

use longshore_core::failure::{Exit, Failure};

use crate::cli::{HistoryArgs, Output};
use crate::display::table;
use crate::history::{self, Record};
use crate::layout::Layout;

/// Runs the command.
pub fn run(args: &HistoryArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Failed, error);
    let mut records = Vec::new();
    for group in history::groups(layout).map_err(failed)? {
        records.extend(history::deployments(layout, &group).map_err(failed)?);
    }
    records.retain(|record| args.group.as_ref().is_none_or(|group| *group == record.order.group.name));
    records.retain(|record| args.application.as_ref().is_none_or(|name| *name == record.order.application));
    records.sort_by(|a, b| b.started.cmp(&a.started));
    records.truncate(args.limit);
    let text = match output {
        Output::Json => {
            serde_json::to_string_pretty(&records).map_err(|error| Failure::new(Exit::Failed, error))? + "\n"
        }
        Output::Text => text(&records, layout),
    };
    // A closed pipe is the reader's loss.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn text(records: &[Record], layout: &Layout) -> String {
    if records.is_empty() {
        return format!("no such deployment below {}\n", layout.root().display());
    }
    let mut rows = vec![["STARTED", "DEPLOYMENT", "APPLICATION", "GROUP", "COMMIT", "OUTCOME"].map(str::to_owned)];
    for record in records {
        let commit = record.release.as_ref().and_then(|release| release.commit.as_ref());
        let outcome = record.outcome.map_or("unfinished", |outcome| outcome.word());
        rows.push([
            record.started.clone(),
            record.order.deployment.to_string(),
            record.order.application.to_string(),
            record.order.group.name.to_string(),
            commit.map_or_else(|| "-".to_owned(), |commit| commit.short().to_owned()),
            match &record.reason {
                Some(reason) => format!("{outcome}: {}", reason.lines().next().unwrap_or_default()),
                None => outcome.to_owned(),
            },
        ]);
    }
    table(&rows)
}
