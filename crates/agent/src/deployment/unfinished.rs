//! Deployments of a group that were never closed. Whoever ran them is gone: the lock is ours.
//!
//! A new deployment closes them: an installation that was under way is ended, a script that still runs is waited for by
//! refusing. Nothing is run again. (Going on with one instead is [`super::drive::resume`].)

use std::fs;
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::DeploymentId;
use longshore_core::report::Fanout;

use super::agent::Agent;
use super::ending;
use super::interrupted;
use super::journal::{self, Entry, Journal, Line, Outcome, Step};
use super::prepare;
use super::progress::Progress;
use crate::event::Event;
use crate::history;
use crate::hook::watch;
use crate::layout::DeploymentDir;
use crate::lock::Lock;
use crate::release;
use crate::retention;

/// Closes every unfinished deployment of the group but `current`.
pub(super) fn close(agent: &Agent, events: &Fanout<Event>, lock: &Lock, current: &DeploymentId) -> Result<(), Failure> {
    for (id, path) in history::journals(&agent.layout, &lock.group).map_err(failed)? {
        if id == *current {
            continue;
        }
        let lines = journal::read(&path).map_err(failed)?;
        if journal::outcome(&lines).is_some() {
            continue;
        }
        if let Some(progress) = Progress::replay(lines.iter().cloned()).filter(Progress::waits) {
            // Nobody knows that no other event was to come: all that were asked for are done.
            let good = is_good(&progress);
            if let (true, Some(prepared)) = (good, &progress.prepared) {
                release::mark_good(&agent.layout, lock, &prepared.release).map_err(failed)?;
            }
            note(agent, path, Entry::Closed { outcome: Outcome::Succeeded, good, reason: None })?;
            continue;
        }
        refuse_beside_script(agent, events, lock, &id, &lines)?;
        let Some(progress) = Progress::replay(lines) else { continue };
        let directory = agent.layout.deployment(&lock.group, &id);
        if let (Some(phase), Some(prepared)) = (progress.installing, &progress.prepared) {
            interrupted::end(agent, lock, &directory, &prepared.release, phase)?;
        }
        // Also one that was written down and not begun.
        let _ = fs::remove_file(directory.installation());
        let reason = Some("its agent went away; closed by the next deployment".to_owned());
        note(agent, path, Entry::Closed { outcome: Outcome::Interrupted, good: false, reason })?;
        events.emit(&Event::EarlierClosed { earlier: id, during: progress.during().cloned() });
    }
    Ok(())
}

/// Refuses to begin beside a script of an unfinished deployment, before anything is written down: whoever waits for it can ask
/// again. [`close`] refuses too, when it finds one.
pub(super) fn refuse_beside_scripts(agent: &Agent, lock: &Lock, current: &DeploymentId) -> Result<(), Failure> {
    for (id, path) in history::journals(&agent.layout, &lock.group).map_err(failed)? {
        if id == *current {
            continue;
        }
        let lines = journal::read(&path).map_err(failed)?;
        if journal::outcome(&lines).is_none() {
            scripts(&lines).try_for_each(|(location, number)| refuse_beside(agent, lock, &id, location, number))?;
        }
    }
    Ok(())
}

fn note(agent: &Agent, journal: PathBuf, entry: Entry) -> Result<(), Failure> {
    Journal::reopen(journal, agent.now).and_then(|mut journal| journal.append(entry)).map_err(failed)
}

/// Whether what was done of a deployment shows that its release works.
fn is_good(progress: &Progress) -> bool {
    let prepared = progress.prepared.clone();
    prepared.is_some_and(|prepared| ending::is_good(progress, &prepare::again(&progress.order, prepared).new))
}

/// Removes what crashes leave: temporary files that never got their name, and folders of deployments whose order was never
/// written down, so that nothing was begun.
pub(super) fn sweep(agent: &Agent, lock: &Lock) {
    let group = agent.layout.group(&lock.group);
    remove_temporary(group.path(), "");
    for suffix in ["-install.json", "-cleanup", "_last_successful_install", "_most_recent_install"] {
        remove_temporary(&agent.layout.instructions(), &format!("{}{suffix}", lock.group));
    }
    retention::sweep(&agent.layout, &lock.group);
    for deployment in fs::read_dir(agent.layout.deployments(&lock.group)).into_iter().flatten().flatten() {
        let path = deployment.path();
        let journal = DeploymentDir::at(&path).journal();
        let was_begun = fs::read(&journal).map_or(true, |lines| lines.contains(&b'\n'));
        if !was_begun {
            let _ = fs::remove_file(&journal);
        }
        // A power cut can bring it back after its deployment was closed.
        if journal::read(&journal).is_ok_and(|lines| journal::outcome(&lines).is_some()) {
            let _ = fs::remove_file(DeploymentDir::at(&path).installation());
        }
        // Only an empty folder goes: without a journal it may be one of the AWS agent's.
        if fs::remove_dir(&path).is_err() {
            remove_temporary(&path, "");
        }
    }
}

/// Removes `.<name>.longshore-…` from a folder; an empty name stands for every one. See `fsx::write_atomic`.
fn remove_temporary(folder: &Path, name: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let Some((of, _)) = file_name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(".longshore-"))
        else {
            continue;
        };
        if name.is_empty() || of == name {
            // What stays is what it was: a file, or half an unpacked archive, that nobody reads.
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// A script outlives the agent that started it. While it runs, it may change what a new deployment would look at.
fn refuse_beside_script(
    agent: &Agent,
    events: &Fanout<Event>,
    lock: &Lock,
    id: &DeploymentId,
    lines: &[Line],
) -> Result<(), Failure> {
    let earlier = agent.layout.deployment(&lock.group, id);
    for (location, number) in scripts(lines) {
        refuse_beside(agent, lock, id, location, number)?;
        let hook = earlier.hook(number);
        if watch::was_started(&hook).map_err(failed)? {
            // Without the process that watched it, it has no limit and nobody reads it: what still runs is ended.
            let report = watch::follow(&hook, &mut |_, _| ()).map_err(failed)?;
            for note in report.notes {
                let message = format!("script `{location}` of the interrupted deployment {id}: {note}");
                events.emit(&Event::Warning { message });
            }
        }
        watch::tidy(&hook);
    }
    Ok(())
}

/// The scripts of a deployment that may have been started, each with its number.
fn scripts(lines: &[Line]) -> impl Iterator<Item = (&str, usize)> {
    let planned = lines.iter().filter_map(|line| {
        let Entry::Planned { steps, .. } = &line.entry else { return None };
        Some(steps)
    });
    planned.flatten().filter_map(|step| match step {
        Step::RunHook { location, number, .. } => Some((location.as_str(), *number)),
        Step::MarkMostRecent | Step::Install => None,
    })
}

fn refuse_beside(agent: &Agent, lock: &Lock, id: &DeploymentId, location: &str, number: usize) -> Result<(), Failure> {
    let earlier = agent.layout.deployment(&lock.group, id);
    if !watch::is_running(&earlier.hook(number)).map_err(failed)? {
        return Ok(());
    }
    let message = format!("script `{location}` of the interrupted deployment {id} still runs");
    Err(Failure::new(Exit::Busy, message)
        .hint(format!("wait for it and finish that deployment: longshore-agent resume{}", agent.layout.option()))
        .hint(format!("it writes to {}", earlier.scripts_log().display())))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
