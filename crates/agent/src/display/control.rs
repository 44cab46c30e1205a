//! What the running agent answers → lines for people.

use std::fmt::Write as _;
use std::io::Write as _;

use longshore_core::figures::verb_line;
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::problem::visible_lines;

use super::{bottom, look};
use crate::control::protocol::{Paused, Status};

/// What the agent does.
pub fn status(status: &Status) -> String {
    let Status { version, pid, since, root, paused, sources, busy, groups: _, groups_text } = status;
    let mut text = format!("longshore-agent {version}, process {pid}, since {since}, root {root}\n");
    // Writing to a String cannot fail.
    if let Some(Paused { by, at }) = paused {
        let since = if at.is_empty() { String::new() } else { format!(" since {at}") };
        let _ = writeln!(text, "paused by {by}{since}: new orders are left where they are");
    }
    if !busy.is_empty() {
        let busy: Vec<&str> = busy.iter().map(GroupId::as_str).collect();
        let _ = writeln!(text, "works on {}", busy.join(", "));
    }
    text.push('\n');
    if sources.is_empty() {
        text.push_str("no source of orders is configured: only `longshore-agent control deploy` has it deploy\n");
    } else {
        let mut rows = vec![["SOURCE", "LAST ANSWER", "STATE"].map(str::to_owned)];
        rows.extend(sources.iter().map(|(name, state)| {
            let answered = state.answered.clone().unwrap_or_else(|| "never".to_owned());
            let how = match (&state.lost, &state.trouble) {
                (Some(reason), _) => format!("lost: {reason}"),
                (None, Some(reason)) => format!("not followed: {reason}"),
                (None, None) if state.answered.is_none() => "asked for the first time".to_owned(),
                (None, None) => "ok".to_owned(),
            };
            [name.clone(), answered, how]
        }));
        text.push_str(&super::table(&rows));
    }
    text.push('\n');
    text.push_str(groups_text.as_deref().unwrap_or_default());
    visible_lines(&text).to_string()
}

/// New orders are left where they are.
pub fn paused(paused: &Paused, already: bool) -> String {
    match already {
        true => format!("paused already, by {} since {}\n", paused.by, paused.at),
        false => "paused: new orders are left where they are until `longshore-agent control resume`\n".to_owned(),
    }
}

/// New orders are taken.
pub fn resumed(already: bool) -> String {
    match already {
        true => "was not paused: new orders are taken\n".to_owned(),
        false => "resumed: new orders are taken again\n".to_owned(),
    }
}

/// The agent took an order.
pub fn accepted(deployment: &DeploymentId) {
    bottom::print(&verb_line("Ordered", deployment.as_str(), look()));
}

/// What the agent says of an event.
pub fn event(text: &str) {
    bottom::print(&visible_lines(text));
}

/// Problems in files that led to a refusal.
pub fn problems(problems: &str) {
    if !problems.is_empty() {
        // A closed standard error is the reader's loss.
        let _ = write!(std::io::stderr(), "{}", visible_lines(problems));
    }
}
