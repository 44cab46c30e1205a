//! Deployments of a group that were never closed. Whoever ran them is gone: the lock is ours.
//!
//! An installation that was under way is undone, or completed when it had come to its records; a script that still runs is
//! waited for by refusing; then the journal is closed. Nothing is run again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure};
use longshore_core::fsx;
use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::report::Fanout;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::journal::{self, Entry, Journal, Line, Outcome, Step};
use crate::event::Event;
use crate::history;
use crate::hook::watch;
use crate::install::compat::Records;
use crate::install::execute::{self, Installation, Recovered};
use crate::install::permissions::Programs;
use crate::install::plan::InstallPlan;
use crate::install::transaction::{Phase, Transaction};
use crate::layout::DeploymentDir;
use crate::lock::Lock;
use crate::release::{self, Release};

/// What an installation under way wrote down: everything that undoing or completing it needs.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    plan: InstallPlan,
    transaction: Transaction,
}

/// Writes down an installation that is about to begin; see [`Entry::Installing`] for how far it got.
pub(super) fn write(directory: &DeploymentDir, plan: &InstallPlan, transaction: &Transaction) -> io::Result<()> {
    let written = Written { plan: plan.clone(), transaction: transaction.clone() };
    fsx::write_atomic(&directory.installation(), &serde_json::to_vec(&written)?)
}

/// Closes every unfinished deployment of the group.
pub(super) fn close(agent: &Agent, events: &Fanout<Event>, lock: &Lock, current: &DeploymentId) -> Result<(), Failure> {
    for (id, path) in history::journals(&agent.layout, &lock.group).map_err(failed)? {
        let lines = journal::read(&path).map_err(failed)?;
        if id == *current || lines.is_empty() || journal::outcome(&lines).is_some() {
            continue;
        }
        refuse_beside_script(agent, lock, &id, &lines)?;
        end_installation(agent, lock, &id, &lines)?;
        let reason = Some("its agent went away; closed by the next deployment".to_owned());
        Journal::reopen(path, agent.now)
            .and_then(|mut journal| journal.append(Entry::Closed { outcome: Outcome::Interrupted, reason }))
            .map_err(failed)?;
        events.emit(&Event::EarlierClosed { earlier: id, during: last_event(&lines) });
    }
    Ok(())
}

/// The event that a deployment was in when its journal ended.
fn last_event(lines: &[Line]) -> Option<LifecycleEvent> {
    lines.iter().rev().find_map(|line| match &line.entry {
        Entry::Planned { event, .. }
        | Entry::Started { event, .. }
        | Entry::Finished { event, .. }
        | Entry::Failed { event, .. } => Some(event.clone()),
        Entry::Opened { .. } | Entry::Prepared { .. } | Entry::Installing { .. } | Entry::Closed { .. } => None,
    })
}

/// A script outlives the agent that started it. While it runs, it may change what a new deployment would look at.
fn refuse_beside_script(agent: &Agent, lock: &Lock, id: &DeploymentId, lines: &[Line]) -> Result<(), Failure> {
    let earlier = agent.layout.deployment(&lock.group, id);
    for line in lines {
        let Entry::Planned { steps, .. } = &line.entry else { continue };
        for step in steps {
            let Step::RunHook { location, number, .. } = step else { continue };
            if watch::is_running(&earlier.hook(*number)).map_err(failed)? {
                let message = format!("script `{location}` of the interrupted deployment {id} still runs");
                return Err(Failure::new(Exit::Busy, message)
                    .hint(format!("wait for it to end; it writes to {}", earlier.scripts_log().display())));
            }
        }
    }
    Ok(())
}

/// Leaves the old release or the new one, whole.
fn end_installation(agent: &Agent, lock: &Lock, id: &DeploymentId, lines: &[Line]) -> Result<(), Failure> {
    let directory = agent.layout.deployment(&lock.group, id);
    let (Some(phase), Some(release)) = (last_phase(lines), prepared(lines)) else { return Ok(()) };
    let path = directory.installation();
    let Written { plan, mut transaction } = match read(&path) {
        Ok(written) => written,
        // Removed when the installation had ended; the journal's own line was what the crash took.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(CannotRead { path, source })),
    };
    transaction.phase = phase;
    let installation = Installation {
        plan: &plan,
        archive: &release.archive,
        deployment_root: directory.path(),
        records: &Records { dir: agent.layout.instructions(), group: lock.group.clone() },
        programs: &Programs::find(
            agent.environment.get(std::ffi::OsStr::new("PATH")).map(std::ffi::OsString::as_os_str),
        ),
    };
    let recovered =
        execute::recover(&installation, &transaction).map_err(|error| Failure::new(Exit::InstallFailed, error))?;
    if let Recovered::Completed(_) = recovered {
        release::mark_installed(&agent.layout, lock, release).map_err(failed)?;
    }
    // What is left of it is only a file that nobody reads any more.
    let _ = fs::remove_file(&path);
    Ok(())
}

/// How far the installation of a journal got; `None` when there was none, or when it ended.
fn last_phase(lines: &[Line]) -> Option<Phase> {
    let mut phase = None;
    for line in lines {
        match &line.entry {
            Entry::Installing { phase: entered } => phase = Some(*entered),
            Entry::Finished { event: LifecycleEvent::Install, .. }
            | Entry::Failed { event: LifecycleEvent::Install, .. } => {
                phase = None;
            }
            Entry::Opened { .. }
            | Entry::Prepared { .. }
            | Entry::Planned { .. }
            | Entry::Started { .. }
            | Entry::Finished { .. }
            | Entry::Failed { .. }
            | Entry::Closed { .. } => {}
        }
    }
    phase
}

fn prepared(lines: &[Line]) -> Option<&Release> {
    lines.iter().find_map(|line| match &line.entry {
        Entry::Prepared { release } => Some(release),
        Entry::Opened { .. }
        | Entry::Planned { .. }
        | Entry::Started { .. }
        | Entry::Installing { .. }
        | Entry::Finished { .. }
        | Entry::Failed { .. }
        | Entry::Closed { .. } => None,
    })
}

fn read(path: &Path) -> io::Result<Written> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// What an interrupted installation wrote down cannot be read, so it can be neither undone nor completed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the interrupted installation in `{path}`")]
struct CannotRead {
    path: PathBuf,
    source: io::Error,
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
