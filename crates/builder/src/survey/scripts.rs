//! Reads the scripts that the appspec names, and what they read in, for the lints.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use longshore_core::appspec::Os;
use longshore_core::bundle::BundlePath;
use longshore_core::failure::Failure;
use longshore_core::problem::{Problem, SourceFile};

use super::read_head;
use crate::lint::hook::{self, Part, ShellHook};
use crate::lint::script::{self, Script};
use crate::plan::{BuildPlan, PlannedKind};
use crate::recipe::Recipe;
use crate::shellcheck::Checked;

/// What is known of the scripts.
#[derive(Default)]
pub(super) struct Scripts {
    pub(super) problems: Vec<Problem>,
    /// Every file of shell that was read.
    pub(super) sources: Vec<Arc<SourceFile>>,
    /// What shellcheck can look at.
    pub(super) checked: Vec<Checked>,
}

impl Scripts {
    pub(super) fn read(source: &Path, recipe: &Recipe, plan: &BuildPlan) -> Result<Scripts, Failure> {
        let mut scripts = Scripts::default();
        let mut seen = BTreeSet::new();
        for named in recipe.scripts() {
            let hook = named.hook;
            let Some(from) = plan.scripts.get(&hook.script) else { continue };
            let Some(planned) = plan.files.get(from) else { continue };
            let executable = match &planned.kind {
                PlannedKind::File { executable, .. } => *executable,
                PlannedKind::Link(_) => continue,
            };
            let bytes = read_head(&planned.from.under(source), script::LIMIT)?;
            let script = Script { named, appspec: &recipe.appspec_source, bytes, executable };
            scripts.problems.extend(script::lint(&script, recipe.appspec.os));
            let shell = script::shell_of(&script.bytes);
            let Some(shell) = shell.filter(|_| recipe.appspec.os == Os::Linux) else { continue };
            let text = SourceFile::new(hook.script.as_str(), String::from_utf8_lossy(&script.bytes));
            let main = Part::of(Arc::clone(&text));
            seen.insert(from.clone());
            let sourced = sourced(source, plan, from, &main)?;
            if shell != "zsh" {
                let reads_in = !main.sources().is_empty();
                scripts.checked.push(Checked { from: from.clone(), source: Arc::clone(&text), reads_in });
            }
            scripts.sources.push(text);
            for (path, part) in &sourced {
                if seen.insert(path.clone()) {
                    scripts.problems.extend(hook::part(part));
                    scripts.sources.push(Arc::clone(&part.source));
                }
            }
            let events = recipe.appspec.hooks.iter();
            let events = events.filter(|(_, hooks)| hooks.iter().any(|other| other.script == hook.script));
            let events = events.map(|(event, _)| event).collect();
            let holds = |path: &str| holds(plan, from, path);
            let sourced = sourced.into_iter().map(|(_, part)| part).collect();
            scripts.problems.extend(hook::lint(&ShellHook { hook, events, main, sourced, holds: &holds }));
        }
        Ok(scripts)
    }
}

/// Whether the bundle has something at a path that starts at its top or at the script's folder.
fn holds(plan: &BuildPlan, script: &BundlePath, path: &str) -> bool {
    let at = |text: &str| BundlePath::normalized(text).is_ok_and(|path| plan.holds(&path));
    at(path) || script.parent().is_some_and(|folder| at(&format!("{folder}/{path}")))
}

/// The files of the bundle that a script reads in, and those that they read in.
fn sourced(
    source: &Path,
    plan: &BuildPlan,
    script: &BundlePath,
    main: &Part,
) -> Result<Vec<(BundlePath, Part)>, Failure> {
    let mut found: Vec<(BundlePath, Part)> = Vec::new();
    let mut wanted: Vec<String> = main.sources().into_iter().map(str::to_owned).collect();
    while let Some(text) = wanted.pop() {
        let Some(path) = resolve(plan, script, &text) else { continue };
        if path == *script || found.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let bytes = read_head(&path.under(source), script::LIMIT)?;
        let part = Part::of(SourceFile::new(path.as_str(), String::from_utf8_lossy(&bytes)));
        wanted.extend(part.sources().into_iter().map(str::to_owned));
        found.push((path, part));
    }
    Ok(found)
}

/// Which file a word such as `$(dirname "$0")/project.sh` means: one of that name, best in the script's folder.
fn resolve(plan: &BuildPlan, script: &BundlePath, text: &str) -> Option<BundlePath> {
    let name = text.rsplit('/').next()?;
    if name.is_empty() || name.contains(['$', '`', ')', '}']) || text.starts_with('/') {
        return None;
    }
    let named = plan.files.iter().filter(|(path, planned)| {
        path.file_name() == name && path == &&planned.from && matches!(planned.kind, PlannedKind::File { .. })
    });
    let named: Vec<&BundlePath> = named.map(|(path, _)| path).collect();
    named.iter().find(|path| path.parent() == script.parent()).or(named.first()).map(|path| (*path).clone())
}
