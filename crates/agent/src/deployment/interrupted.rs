//! An installation that a crash interrupted: what it wrote down, and how it is ended. It is undone, or completed when it had
//! come to its records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure};
use longshore_core::fsx;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use crate::install::compat::Records;
use crate::install::execute::{self, Installation, Recovered};
use crate::install::permissions::Programs;
use crate::install::plan::InstallPlan;
use crate::install::transaction::{Phase, Transaction};
use crate::layout::DeploymentDir;
use crate::lock::Lock;
use crate::release::{self, Release};

/// How an interrupted installation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The old release stands, whole.
    Undone,
    /// The new release stands, whole, and is recorded.
    Completed,
}

/// What an installation under way wrote down: everything that undoing or completing it needs.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    plan: InstallPlan,
    transaction: Transaction,
}

/// Writes down an installation that is about to begin; the journal says how far it got.
pub(super) fn write(directory: &DeploymentDir, plan: &InstallPlan, transaction: &Transaction) -> io::Result<()> {
    let written = Written { plan: plan.clone(), transaction: transaction.clone() };
    fsx::write_atomic(&directory.installation(), &serde_json::to_vec(&written)?)
}

/// Ends an installation whose last line in the journal says `phase`. Can itself be interrupted and run again.
pub(super) fn end(
    agent: &Agent,
    lock: &Lock,
    directory: &DeploymentDir,
    release: &Release,
    phase: Phase,
) -> Result<Ended, Failure> {
    let path = directory.installation();
    let records = Records { dir: agent.layout.instructions(), group: lock.group.clone() };
    let Written { plan, mut transaction } = match read(&path) {
        Ok(written) => written,
        // Removed when it had ended, one way or the other; the journal's own line was what the crash took.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let last = records.last_successful_install().map_err(|error| Failure::new(Exit::Failed, error))?;
            let is_committed = phase == Phase::Committing && last.as_deref() == Some(directory.path());
            return Ok(if is_committed { Ended::Completed } else { Ended::Undone });
        }
        Err(source) => return Err(Failure::new(Exit::Failed, CannotRead { path, source })),
    };
    transaction.phase = phase;
    let installation = Installation {
        plan: &plan,
        archive: &release.archive,
        deployment_root: directory.path(),
        records: &records,
        programs: &Programs::find(
            agent.environment.get(std::ffi::OsStr::new("PATH")).map(std::ffi::OsString::as_os_str),
        ),
    };
    let recovered =
        execute::recover(&installation, &transaction).map_err(|error| Failure::new(Exit::InstallFailed, error))?;
    let ended = match recovered {
        Recovered::Undone => Ended::Undone,
        Recovered::Completed(_) => {
            release::mark_installed(&agent.layout, lock, release).map_err(|error| Failure::new(Exit::Failed, error))?;
            Ended::Completed
        }
    };
    // What is left of it is only a file that nobody reads any more.
    let _ = fs::remove_file(&path);
    Ok(ended)
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
