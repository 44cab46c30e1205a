//! What must hold on a host, whatever happened to a deployment on it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::host::{Host, Ran, eventually};
use crate::release::{Expected, NEW, NEXT, OLD, Standing, tree};

/// How deployment [`NEW`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its outcome; `None` when it was never opened.
    pub(crate) outcome: Option<String>,
    /// The entries of its journal, by name.
    pub(crate) entries: Vec<String>,
}

/// The entries of a journal; a torn last line does not count.
pub(crate) fn journal(host: &Host<'_>, deployment: &str) -> Vec<Value> {
    let text = fs::read_to_string(host.deployment(deployment).join("journal.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |newline| &text[..newline]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How [`NEW`] ended by its journal, which is closed once or was never opened, and which `history` repeats.
pub(crate) fn ended(host: &Host<'_>) -> Ended {
    let lines = journal(host, NEW);
    let entries: Vec<String> = lines.iter().map(|line| line["entry"].as_str().unwrap().to_owned()).collect();
    let closed: Vec<&Value> = lines.iter().filter(|line| line["entry"] == "closed").collect();
    let outcome = closed.first().map(|line| line["outcome"].as_str().unwrap().to_owned());
    assert_eq!(closed.len(), usize::from(!lines.is_empty()), "the journal is closed once: {entries:?}");
    if let Some(last) = entries.last() {
        assert_eq!(last, "closed", "nothing comes after the end: {entries:?}");
    }
    let history = Ran::of(&mut host.agent(&["history", "--output", "json"])).succeeds().out;
    let history: Value = serde_json::from_str(&history).unwrap();
    let told: Vec<Option<String>> = history
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["order"]["deployment"] == NEW)
        .map(|record| record["outcome"].as_str().map(str::to_owned))
        .collect();
    let expected = if lines.is_empty() { Vec::new() } else { vec![outcome.clone()] };
    assert_eq!(told, expected, "history tells it once, with its outcome");
    Ended { outcome, entries }
}

/// The host has one of the two releases, wholly, with all records of it. Gives back whether it is the new one.
pub(crate) fn has_one_release(host: &Host<'_>, expected: &Expected) -> bool {
    let standing = Standing::of(host);
    if standing == expected.new {
        return true;
    }
    if standing == expected.old {
        return false;
    }
    let nearest = if standing.tree == expected.new.tree { &expected.new } else { &expected.old };
    panic!("neither release stands wholly: {}", difference(&standing, nearest));
}

/// The old release stands: still, or again because another deployment brought it back, which its records name.
pub(crate) fn has_old_release_again(host: &Host<'_>, expected: &Expected) {
    let (mut standing, mut old) = (Standing::of(host), expected.old.clone());
    if standing.installed != OLD {
        old = old.by(&standing.installed, OLD).without_instructions();
        standing = standing.without_instructions();
    }
    let nearest = if standing.tree.contains_key(Path::new("added")) { &expected.new } else { &old };
    assert!(standing == old, "neither release stands wholly: {}", difference(&standing, nearest));
}

/// Whether an event of [`NEW`] went through, by its journal.
pub(crate) fn done(host: &Host<'_>, event: &str) -> bool {
    journal(host, NEW).iter().any(|line| line["entry"] == "finished" && line["event"] == event)
}

fn difference(found: &Standing, expected: &Standing) -> String {
    let mut text = String::new();
    let paths: BTreeSet<&PathBuf> = found.tree.keys().chain(expected.tree.keys()).collect();
    for path in paths {
        let (found, expected) = (found.tree.get(path), expected.tree.get(path));
        if found != expected {
            text.push_str(&format!("\n  {}: {found:?}, expected {expected:?}", path.display()));
        }
    }
    for (name, record) in &found.records {
        if Some(record) != expected.records.get(name) {
            text.push_str(&format!("\n  {name}: {record}\n    expected {:?}", expected.records.get(name)));
        }
    }
    for (what, found, expected) in
        [("acl", &found.acl, &expected.acl), ("installed", &found.installed, &expected.installed)]
    {
        if found != expected {
            text.push_str(&format!("\n  {what}: {found:?}, expected {expected:?}"));
        }
    }
    text
}

/// The scripts of a deployment that ran: each once at most, in order; all of them when it succeeded.
pub(crate) fn ran_once(host: &Host<'_>, deployment: &str, events: &[&str], succeeded: bool) {
    let trace = fs::read_to_string(host.trace()).unwrap_or_default();
    let ran: Vec<&str> = trace.lines().filter_map(|line| line.strip_prefix(deployment)?.strip_prefix(' ')).collect();
    let mut left = events.iter();
    assert!(
        ran.iter().all(|event| left.any(|expected| expected == event)),
        "scripts ran twice or out of order: {ran:?}"
    );
    if succeeded {
        assert_eq!(ran, events, "a deployment that succeeded ran all of its scripts");
    }
}

/// Nothing of an installation, a hook or a write under way is left, and nobody holds the group.
pub(crate) fn is_tidy(host: &Host<'_>) {
    let mut litter = Vec::new();
    let mut folders = vec![host.root(), host.www()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.contains(".longshore-") || ["installation.json", "command.json", "running.json"].contains(&&*name) {
                litter.push(path.clone());
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    litter.sort();
    assert_eq!(litter, Vec::<PathBuf>::new(), "nothing is left lying about");
    if let Ok(file) = File::open(host.root().join("groups/shop~dev/lock")) {
        assert!(Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok(), "the lock is free");
    }
}

/// A deployment after all that goes as if nothing had happened.
pub(crate) fn goes_on(host: &Host<'_>) {
    Ran::of(&mut host.deploy("next", NEXT)).succeeds();
    let files: Vec<(PathBuf, String)> =
        tree(&host.www()).into_iter().filter(|(_, what)| !what.ends_with("folder")).collect();
    let next = |path: &str| (PathBuf::from(path), "644 next\n".to_owned());
    assert_eq!(files, [next("guarded"), next("kept/same")]);
    is_tidy(host);
}

/// Waits until no script of a deployment runs.
pub(crate) fn no_script_runs(host: &Host<'_>, deployment: &str) {
    eventually("the scripts end", || {
        let hooks = fs::read_dir(host.deployment(deployment).join("hooks")).into_iter().flatten();
        let locks: Vec<PathBuf> = hooks.map(|hook| hook.unwrap().path().join("shim.lock")).collect();
        locks.iter().all(|lock| is_free(lock)).then_some(())
    });
}

fn is_free(lock: &Path) -> bool {
    File::open(lock).map_or(true, |file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok())
}
