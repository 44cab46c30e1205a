//! A plan → text for people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longshore_core::figures::{plural, size};
use longshore_core::lifecycle::ScriptsFrom;

use super::text::{clean, clock, limit};
use crate::deployment::order::Order;
use crate::deployment::plan::{Account, Action, Plan, PlannedEvent, PlannedHook};
use crate::deployment::preview::{Change, ChangeKind, Preview, Standing, Sum, Underway, What};
use crate::install::plan::InstallPlan;
use crate::release::Release;

/// How many paths are listed one by one unless all are asked for.
const MOST_PATHS: usize = 40;

/// How many folders are listed when paths are counted by folder.
const MOST_FOLDERS: usize = 40;

/// How much of a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What changes; counted by folder when it is much.
    Changes,
    /// Every path.
    All,
}

/// What a deployment would do, event by event, and the sum.
pub fn plan(order: &Order, preview: &Preview, detail: Detail) -> String {
    let mut text = Text(String::new());
    let plan = &preview.plan;
    text.line(&format!("Plan: `{}` to `{}` (group id {})", order.application, order.group.name, order.group.id));
    match &plan.installed {
        Some(installed) => text.line(&format!("Installed now: {}{}", installed.deployment, identity(installed))),
        None => text.line("Installed now: nothing; this is the group's first deployment"),
    }
    let same = match &plan.installed {
        Some(now) if now.content_digest.is_some() && now.content_digest == plan.release.content_digest => {
            ", which is installed already"
        }
        Some(_) | None => "",
    };
    text.line(&format!("To install: {}{same}", identity(&plan.release).trim_start_matches(", ")));
    for underway in &preview.underway {
        text.line(&underway_line(underway));
    }
    text.line("");
    for event in &plan.events {
        planned_event(&mut text, event, preview, detail);
    }
    text.line("");
    text.line(&format!("Sum: {}", sum(plan, &preview.sum)));
    for space in &preview.space {
        let (folder, needed, free) = (space.folder.display(), size(space.bytes_needed), size(space.bytes_free));
        text.line(&format!("Space: {needed} needed on the file system at {folder}, {free} free"));
        if space.bytes_needed > space.bytes_free {
            text.line(&format!("Warning: there is not enough space on the file system at {folder}"));
        }
    }
    if plan.events.iter().any(|planned| planned.expected) {
        text.line("Expected: scripts run before it, and may change what it finds");
    }
    for too_long in &preview.too_long {
        let (event, most) = (&too_long.event, limit(too_long.limit_s));
        text.line(&format!(
            "Warning: {event} may take {most} by its limits; the CodeDeploy service ends an event after 1h"
        ));
    }
    for warning in &plan.warnings {
        text.line(&format!("Warning: {warning}"));
    }
    text.0
}

struct Text(String);

impl Text {
    fn line(&mut self, content: &str) {
        // Names come from outside.
        self.0.push_str(clean(content).trim_end());
        self.0.push('\n');
    }
}

/// Commit and content of a release, as far as they are known.
fn identity(release: &Release) -> String {
    let commit = release.commit.as_ref().map(|commit| format!(", commit {}", commit.short())).unwrap_or_default();
    let content = release.content_digest.map(|digest| format!(", content {}", digest.short())).unwrap_or_default();
    let signed = release.signed_by.as_ref().map(|key| format!(", signed with key {key}")).unwrap_or_default();
    format!("{commit}{content}{signed}")
}

fn underway_line(underway: &Underway) -> String {
    match underway {
        Underway::Deployment { holder } => {
            format!("Under way: another deployment of this group ({holder}); until it ends, this one would be refused")
        }
        Underway::Script { deployment, script, log } => format!(
            "Under way: script `{script}` of {deployment}, whose agent is gone; until it ends, this deployment would be \
             refused; it writes to {}",
            log.display()
        ),
        Underway::Unfinished { deployment, during } => match during {
            Some(event) => format!("Unfinished: {deployment}, which stopped in {event}"),
            None => format!("Unfinished: {deployment}, which stopped before its first event"),
        },
    }
}

fn planned_event(text: &mut Text, planned: &PlannedEvent, preview: &Preview, detail: Detail) {
    let expected = if planned.expected { " (expected)" } else { "" };
    let head = |what: &str| format!("{:<19} {what}", planned.event.name());
    match &planned.action {
        Action::Nothing { reason } => text.line(&head(&format!("nothing: {reason}"))),
        Action::Download { files } => {
            text.line(&head(&format!(
                "{}, fetched, verified and unpacked before the first event",
                plural(*files, "file")
            )));
        }
        Action::Hooks { from, revision, hooks } => {
            let whose = match from {
                ScriptsFrom::Current => "of the new revision".to_owned(),
                ScriptsFrom::Installed => format!("of the installed revision {}", revision.deployment),
                ScriptsFrom::MostRecent => format!("of the revision fetched last, {}", revision.deployment),
            };
            text.line(&head(&format!("{} {whose}{expected}", plural(hooks.len(), "script"))));
            for hook in hooks {
                hook_line(text, hook, *from, preview);
            }
        }
        Action::Install { plan: Some(install) } => {
            text.line(&head(&format!("{}{expected}", files(&preview.sum))));
            install_lines(text, install, preview, detail);
        }
        Action::Install { plan: None } => text.line(&head(&format!("cannot be decided yet, see below{expected}"))),
    }
}

fn hook_line(text: &mut Text, hook: &PlannedHook, from: ScriptsFrom, preview: &Preview) {
    let Account { user: agent, .. } = &preview.plan.agent;
    let user = hook.user.as_deref().unwrap_or(agent);
    let change = preview.scripts.iter().find(|change| change.script == hook.path).map(|change| change.change);
    let news = match (from, change) {
        (ScriptsFrom::Current, Some(ChangeKind::Create)) => ", new",
        (ScriptsFrom::Current, Some(ChangeKind::Change)) => ", changed",
        (ScriptsFrom::Current | ScriptsFrom::Installed | ScriptsFrom::MostRecent, _) => "",
    };
    text.line(&format!("    run      {}  as {user}, limit {}{news}", hook.location, limit(hook.timeout_s)));
    for note in &hook.notes {
        text.line(&format!("             {note}"));
    }
}

fn install_lines(text: &mut Text, install: &InstallPlan, preview: &Preview, detail: Detail) {
    let is_shown = |change: &&Change| detail == Detail::All || change.change != ChangeKind::Same;
    let shown: Vec<&Change> = preview.changes.iter().filter(is_shown).collect();
    if detail == Detail::All || shown.len() <= MOST_PATHS {
        for change in shown {
            text.line(&format!("    {}", change_line(change)));
        }
    } else {
        for (folder, sum) in by_folder(&preview.changes) {
            text.line(&format!("    {}  {}, {}", slashed(&folder), files(&sum), size(sum.bytes)));
        }
        text.line("    every path: `--all`, or `--output json`");
    }
    let most = if detail == Detail::All { usize::MAX } else { MOST_PATHS };
    for note in install.notes.iter().take(most) {
        text.line(&format!("    note     {note}"));
    }
    if install.notes.len() > most {
        text.line(&format!("    note     and {} more: `--all`", install.notes.len() - most));
    }
}

fn slashed(folder: &Path) -> String {
    let folder = folder.display().to_string();
    if folder.ends_with('/') { folder } else { format!("{folder}/") }
}

fn change_line(change: &Change) -> String {
    let path = change.path.display();
    let is_folder =
        |standing: &Option<Standing>| standing.as_ref().is_some_and(|standing| standing.what == What::Directory);
    let slash = if is_folder(if change.after.is_some() { &change.after } else { &change.before }) { "/" } else { "" };
    let acl = match change.acl {
        None => String::new(),
        Some(0) => ", without an ACL".to_owned(),
        Some(lines) => format!(", ACL of {}", plural(lines, "line")),
    };
    match (change.change, &change.before, &change.after) {
        (ChangeKind::Create, _, Some(after)) => format!("create   {path}{slash}  {}{acl}", standing(after)),
        (ChangeKind::Change, Some(before), Some(after)) => {
            let news = difference(before, after) + &acl;
            format!("change   {path}{slash}  {}", news.trim_start_matches(", "))
        }
        (ChangeKind::Same, _, _) => format!("same     {path}{slash}"),
        (ChangeKind::Keep, Some(before), _) => format!("keep     {path}{slash}  {}", standing(before)),
        (ChangeKind::Delete, Some(before), _) => match &before.what {
            What::File { size: bytes, .. } => format!("delete   {path}  {}", size(*bytes)),
            What::Directory => format!("delete   {path}/ (if it is empty by then)"),
            What::Link { target } => format!("delete   {path}  -> {target}"),
            What::Special => format!("delete   {path}"),
        },
        // A change without what it changes from or to is none of ours.
        (ChangeKind::Create, ..) => format!("create   {path}"),
        (ChangeKind::Change, ..) => format!("change   {path}"),
        (ChangeKind::Keep, ..) => format!("keep     {path}"),
        (ChangeKind::Delete, ..) => format!("delete   {path}"),
    }
}

fn standing(standing: &Standing) -> String {
    let owner = format!("{}:{} {:04o}", standing.owner, standing.group, standing.mode);
    match &standing.what {
        What::File { size: bytes, .. } => format!("{owner}, {}", size(*bytes)),
        What::Link { target } => format!("-> {target}"),
        What::Directory | What::Special => owner,
    }
}

/// What differs, and nothing else.
fn difference(before: &Standing, after: &Standing) -> String {
    let mut parts = Vec::new();
    match (&before.what, &after.what) {
        (one, other) if one == other => {}
        (What::File { size: old, .. }, What::File { size: new, .. }) if old == new => {
            parts.push(format!("other content, {}", size(*new)));
        }
        (What::File { size: old, .. }, What::File { size: new, .. }) if size(*old) == size(*new) => {
            parts.push(format!("{old} -> {new} bytes"));
        }
        (What::File { size: old, .. }, What::File { size: new, .. }) => {
            parts.push(format!("{} -> {}", size(*old), size(*new)));
        }
        (What::Link { target: old }, What::Link { target: new }) => {
            parts.push(format!("link to {old} -> link to {new}"));
        }
        (old, new) => parts.push(format!("{} -> {}", kind(old), kind(new))),
    }
    let owner = |standing: &Standing| format!("{}:{}", standing.owner, standing.group);
    if owner(before) != owner(after) {
        parts.push(format!("{} -> {}", owner(before), owner(after)));
    }
    if before.mode != after.mode && !matches!(after.what, What::Link { .. }) {
        parts.push(format!("{:04o} -> {:04o}", before.mode, after.mode));
    }
    parts.join(", ")
}

fn kind(what: &What) -> &'static str {
    match what {
        What::File { .. } => "file",
        What::Link { .. } => "link",
        What::Directory => "folder",
        What::Special => "device, socket or pipe",
    }
}

/// Changes counted by folder: where there are too many folders, the deepest ones count as their parents.
fn by_folder(changes: &[Change]) -> BTreeMap<PathBuf, Sum> {
    let mut sums: BTreeMap<PathBuf, Sum> = BTreeMap::new();
    for change in changes {
        let standing = change.after.as_ref().or(change.before.as_ref());
        if standing.is_some_and(|standing| standing.what == What::Directory) {
            continue;
        }
        let sum = sums.entry(change.path.parent().unwrap_or(&change.path).to_owned()).or_default();
        match change.change {
            ChangeKind::Create => sum.created += 1,
            ChangeKind::Change => sum.changed += 1,
            ChangeKind::Same => sum.same += 1,
            ChangeKind::Keep => sum.kept += 1,
            ChangeKind::Delete => sum.deleted += 1,
        }
        if let (ChangeKind::Create | ChangeKind::Change, Some(What::File { size, .. })) =
            (change.change, standing.map(|standing| &standing.what))
        {
            sum.bytes += size;
        }
    }
    let depth = |path: &Path| path.components().count();
    while sums.len() > MOST_FOLDERS {
        let deepest = sums.keys().map(|folder| depth(folder)).max().unwrap_or(0);
        let (deep, mut kept): (Vec<_>, BTreeMap<_, _>) = {
            let (deep, kept): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(folder, _)| depth(folder) == deepest);
            (deep, kept.into_iter().collect())
        };
        for (folder, sum) in deep {
            let parent = folder.parent().unwrap_or(&folder).to_owned();
            add(kept.entry(parent).or_default(), &sum);
        }
        sums = kept;
    }
    sums
}

fn add(sum: &mut Sum, other: &Sum) {
    sum.created += other.created;
    sum.changed += other.changed;
    sum.same += other.same;
    sum.kept += other.kept;
    sum.deleted += other.deleted;
    sum.bytes += other.bytes;
}

/// `3 new, 1 changed, 120 unchanged`: what is none is left out.
fn files(sum: &Sum) -> String {
    let counts = [
        (sum.created, "new"),
        (sum.changed, "changed"),
        (sum.same, "unchanged"),
        (sum.kept, "kept"),
        (sum.deleted, "deleted"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if counts.is_empty() { "no files".to_owned() } else { counts.join(", ") }
}

fn sum(plan: &Plan, sum: &Sum) -> String {
    let scripts = match sum.hooks {
        0 => "no scripts".to_owned(),
        hooks => format!("{}, at most {}", plural(hooks, "script"), clock(std::time::Duration::from_secs(sum.limit_s))),
    };
    let installs = plan.events.iter().any(|planned| matches!(planned.action, Action::Install { plan: Some(_) }));
    if installs { format!("{}; {} to write; {scripts}", files(sum), size(sum.bytes)) } else { scripts }
}
