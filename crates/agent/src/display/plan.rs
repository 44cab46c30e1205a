//! A plan → text for people.

use std::fmt::Write as _;
use std::path::Path;

use longshore_core::figures::{plural, size};
use longshore_core::lifecycle::ScriptsFrom;

use crate::deployment::order::Order;
use crate::deployment::plan::{Account, Action, Plan, PlannedEvent, PlannedHook};
use crate::install::listing::ItemKind;
use crate::install::plan::{CopyAction, DirectoryAction, InstallPlan, PermissionChange};

/// What a deployment would do, event by event, and the sum.
pub fn plan(order: &Order, plan: &Plan) -> String {
    let mut text = String::new();
    let release = &plan.release;
    let commit = release.commit.as_ref().map(|commit| format!(", commit {}", commit.short())).unwrap_or_default();
    let content = release.content_digest.map(|digest| format!(", content {}", digest.short())).unwrap_or_default();
    line(
        &mut text,
        &format!(
            "Plan: `{}` to `{}` (group id {}){commit}{content}",
            order.application, order.group.name, order.group.id
        ),
    );
    line(
        &mut text,
        &match &plan.installed {
            Some(installed) => format!(
                "Installed now: {}{}",
                installed.deployment,
                match &installed.commit {
                    Some(commit) => format!(", commit {}", commit.short()),
                    None => String::new(),
                }
            ),
            None => "Installed now: nothing; this is the group's first deployment".to_owned(),
        },
    );
    text.push('\n');
    for event in &plan.events {
        planned_event(&mut text, event, &plan.agent);
    }
    text.push('\n');
    line(&mut text, &sum(plan));
    if plan.events.iter().any(|planned| planned.expected) {
        line(&mut text, "Expected: scripts run before it, and may change what it finds");
    }
    for warning in &plan.warnings {
        line(&mut text, &format!("Warning: {warning}"));
    }
    text
}

fn planned_event(text: &mut String, planned: &PlannedEvent, agent: &Account) {
    let expected = if planned.expected { " (expected)" } else { "" };
    let head = |what: &str| format!("{:<19} {what}", planned.event.name());
    match &planned.action {
        Action::Nothing { reason } => line(text, &head(&format!("nothing: {reason}"))),
        Action::Download { files } => {
            line(
                text,
                &head(&format!("{}, fetched, verified and unpacked before the first event", plural(*files, "file"))),
            );
        }
        Action::Hooks { from, revision, hooks } => {
            let whose = match from {
                ScriptsFrom::Current => "of the new revision".to_owned(),
                ScriptsFrom::Installed => format!("of the installed revision {}", revision.deployment),
                ScriptsFrom::MostRecent => format!("of the revision fetched last, {}", revision.deployment),
            };
            line(text, &head(&format!("{} {whose}{expected}", plural(hooks.len(), "script"))));
            for hook in hooks {
                hook_line(text, hook, agent);
            }
        }
        Action::Install { plan: Some(install) } => {
            line(text, &head(&format!("{}{expected}", install_sum(install))));
            install_lines(text, install, agent);
        }
        Action::Install { plan: None } => line(text, &head(&format!("cannot be decided yet, see below{expected}"))),
    }
}

fn hook_line(text: &mut String, hook: &PlannedHook, agent: &Account) {
    let user = hook.user.as_deref().unwrap_or(&agent.user);
    line(text, &format!("    run      {}  as {user}, limit {}s", hook.location, hook.timeout_s));
    for note in &hook.notes {
        line(text, &format!("             {note}"));
    }
}

fn install_lines(text: &mut String, install: &InstallPlan, agent: &Account) {
    for directory in &install.directories {
        let what = match directory.action {
            DirectoryAction::Create => "create",
            DirectoryAction::Replace => "replace",
            DirectoryAction::Keep => continue,
        };
        let permissions = permissions(install, &directory.path, None, agent);
        line(text, &format!("    {what:<8} {}/  {permissions}", directory.path.display()));
    }
    for copy in &install.copies {
        let what = match copy.action {
            CopyAction::Create => "create",
            CopyAction::Replace => "replace",
            CopyAction::Retain => "keep",
        };
        let detail = match &copy.kind {
            ItemKind::Link(target) => format!("-> {target}"),
            ItemKind::File | ItemKind::Directory => {
                format!("{}, {}", permissions(install, &copy.destination, Some(copy.mode), agent), size(copy.size))
            }
        };
        line(text, &format!("    {what:<8} {}  {detail}", copy.destination.display()));
    }
    for removal in &install.removals {
        let slash = if removal.directory { "/ (if it is empty by then)" } else { "" };
        line(text, &format!("    delete   {}{slash}", removal.path.display()));
    }
    for note in &install.notes {
        line(text, &format!("    note     {note}"));
    }
}

/// Owner, group and mode that a path will have; what no entry changes is the agent's own.
fn permissions(install: &InstallPlan, path: &Path, mode: Option<u32>, agent: &Account) -> String {
    let change = install.permissions.iter().find(|change| change.path == path);
    let owner = change.and_then(|change| change.owner.as_ref()).map_or(&agent.user, |owner| &owner.name);
    let group = change.and_then(|change| change.group.as_ref()).map_or(&agent.group, |group| &group.name);
    let mode = change.and_then(|change| change.mode).or(mode).unwrap_or(0o755);
    let extra = match change {
        Some(PermissionChange { acl: Some(acl), .. }) => {
            format!(", ACL of {}", plural(acl.len(), "line"))
        }
        Some(_) | None => String::new(),
    };
    format!("{owner}:{group} {mode:04o}{extra}")
}

fn install_sum(install: &InstallPlan) -> String {
    let count = |action| install.copies.iter().filter(|copy| copy.action == action).count();
    format!(
        "{} new, {} replaced, {} kept, {} deleted",
        count(CopyAction::Create),
        count(CopyAction::Replace),
        count(CopyAction::Retain),
        install.removals.len()
    )
}

fn sum(plan: &Plan) -> String {
    let hooks: Vec<&PlannedHook> = plan
        .events
        .iter()
        .flat_map(|planned| match &planned.action {
            Action::Hooks { hooks, .. } => hooks.as_slice(),
            Action::Nothing { .. } | Action::Download { .. } | Action::Install { .. } => &[],
        })
        .collect();
    let worst: u64 = hooks.iter().map(|hook| hook.timeout_s).sum();
    let mut text = format!("Sum: {}, at most {worst}s", plural(hooks.len(), "script"));
    for planned in &plan.events {
        if let Action::Install { plan: Some(install) } = &planned.action {
            let bytes: u64 =
                install.copies.iter().filter(|copy| copy.action != CopyAction::Retain).map(|copy| copy.size).sum();
            // Writing to a String cannot fail.
            let _ = write!(text, "; {}, {}", plural(install.copies.len(), "file"), size(bytes));
        }
    }
    text
}

fn line(text: &mut String, content: &str) {
    text.push_str(content.trim_end());
    text.push('\n');
}
