//! Carries out a plan, wholly or not at all.
//!
//! Check → stage → sync → swap → adjust → sync → records → delete what was replaced. A failure before the records are
//! written undoes everything. Decides nothing: what happens is in the plan.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::digest::Sha256;

use super::cleanup::Cleanup;
use super::compat::Records;
use super::instruction;
use super::permissions::Programs;
use super::plan::InstallPlan;
use super::step::{Operation, Progress, StepError};
use super::transaction::{Arrival, Phase, Transaction};
use super::{stage, swap};

/// Everything that an installation needs beside the plan.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    /// What to do.
    pub plan: &'a InstallPlan,
    /// The unpacked archive.
    pub archive: &'a Path,
    /// The folder of the deployment, which the record of the last successful installation names.
    pub deployment_root: &'a Path,
    /// The record files of the group.
    pub records: &'a Records,
    /// The programs that set ACLs and contexts, as the snapshot found them.
    pub programs: &'a Programs,
}

/// What was done.
#[derive(Debug)]
pub struct Installed {
    /// Files and links installed.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Files, links and folders of the old release that are gone and have no successor.
    pub removed: usize,
    /// Folders of earlier releases that stay because something else is in them.
    pub remembered: Vec<PathBuf>,
    /// What was replaced and could not be deleted afterwards. The installation is complete all the same.
    pub left: Vec<StepError>,
}

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The disk is not as planned. Nothing was done.
    #[error("`{path}` {what} since the installation was planned; nothing was changed")]
    Changed {
        /// The path.
        path: PathBuf,
        /// What happened to it.
        what: &'static str,
    },
    /// Something failed before the first change.
    #[error("cannot begin to install; nothing was changed")]
    Begin {
        /// What failed.
        source: StepError,
    },
    /// Something failed, and everything was put back.
    #[error("cannot install the files; everything was put back and nothing is changed")]
    Undone {
        /// What failed.
        source: StepError,
    },
    /// After a crash: everything is in place, but the records cannot be written. Trying again may help.
    #[error("the files are installed, but the installation cannot be recorded")]
    Commit {
        /// What failed.
        source: StepError,
    },
    /// Something failed, and not everything could be put back.
    #[error("cannot install the files, and not everything could be put back: {}", list(left))]
    Stuck {
        /// What failed first.
        source: StepError,
        /// What could not be put back.
        left: Vec<StepError>,
    },
}

/// Where an installation writes down how far it got, before it goes on. What it is given is everything that
/// [`recover`] needs after a crash, beside the plan. It must be durable when the function returns.
///
/// [`Phase::Committing`] followed by [`Phase::Adjusting`] means that the records could not be written, have been put back, and
/// that the rest is about to be undone.
pub type Journal<'a> = &'a dyn Fn(&Transaction) -> io::Result<()>;

/// How an installation ended that a crash had interrupted.
#[derive(Debug)]
pub enum Recovered {
    /// It was undone.
    Undone,
    /// It had been complete but for the records and the deletion of what was replaced.
    Completed(Installed),
}

/// Carries out a plan. `progress` is called after each file, from more than one thread.
pub fn execute(
    installation: &Installation<'_>,
    journal: Journal<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Installed, InstallError> {
    let Installation { archive, records, programs, .. } = *installation;
    let mut transaction = begin(installation)?;
    let records_before =
        records.before().map_err(StepError::of(Operation::Look, &records.dir)).map_err(InstallError::begin)?;
    enter(Phase::Staging, &mut transaction, journal, &records.dir).map_err(InstallError::begin)?;
    // Whether the journal may say so, also when writing it down failed.
    let mut may_be_committing = false;
    let done = (|| {
        stage::stage(&transaction, archive, programs, progress)?;
        enter(Phase::Swapping, &mut transaction, journal, &records.dir)?;
        swap::swap(&transaction)?;
        enter(Phase::Adjusting, &mut transaction, journal, &records.dir)?;
        swap::adjust(&transaction, programs)?;
        stage::sync(&transaction)?;
        may_be_committing = true;
        enter(Phase::Committing, &mut transaction, journal, &records.dir)?;
        record(installation, &transaction)
    })();
    if let Err(source) = done {
        let mut left = Vec::new();
        if transaction.phase == Phase::Committing {
            left.extend(records.restore(&records_before).err().map(|(path, source)| StepError {
                operation: Operation::PutBack,
                path,
                source,
            }));
        }
        // From here on the way is back again, after a crash too. Where that cannot be written down nothing is undone: the
        // journal may say that the only way is on.
        if may_be_committing && let Err(error) = enter(Phase::Adjusting, &mut transaction, journal, &records.dir) {
            left.push(error);
            return Err(InstallError::Stuck { source, left });
        }
        return Err(undo(&transaction, programs, left, source));
    }
    Ok(finish(installation, &transaction))
}

/// Ends an installation that a crash interrupted: undoes it, or completes it if it had come to the records. `transaction` is
/// the last one that was written down. Can itself be interrupted and run again.
pub fn recover(installation: &Installation<'_>, transaction: &Transaction) -> Result<Recovered, InstallError> {
    match transaction.phase {
        Phase::Staging | Phase::Swapping | Phase::Adjusting => {
            let left = swap::undo(transaction, installation.programs);
            let interrupted = || StepError {
                operation: Operation::Look,
                path: installation.deployment_root.to_owned(),
                source: io::Error::from(io::ErrorKind::Interrupted),
            };
            if left.is_empty() {
                Ok(Recovered::Undone)
            } else {
                Err(InstallError::Stuck { source: interrupted(), left })
            }
        }
        Phase::Committing => {
            record(installation, transaction).map_err(|source| InstallError::Commit { source })?;
            Ok(Recovered::Completed(finish(installation, transaction)))
        }
    }
}

fn enter(phase: Phase, transaction: &mut Transaction, journal: Journal<'_>, records: &Path) -> Result<(), StepError> {
    let before = transaction.phase;
    transaction.phase = phase;
    journal(transaction).map_err(|source| {
        transaction.phase = before;
        StepError { operation: Operation::Journal, path: records.to_owned(), source }
    })
}

fn undo(transaction: &Transaction, programs: &Programs, mut left: Vec<StepError>, source: StepError) -> InstallError {
    left.extend(swap::undo(transaction, programs));
    if left.is_empty() { InstallError::Undone { source } } else { InstallError::Stuck { source, left } }
}

/// Lays out the transaction and sees that the disk is still as it was when the plan was made.
fn begin(installation: &Installation<'_>) -> Result<Transaction, InstallError> {
    let Installation { plan, records, programs, deployment_root, .. } = *installation;
    let contexts = records.contexts().map_err(StepError::of(Operation::Look, &records.dir));
    let deployment = Sha256::of(deployment_root.as_os_str().as_encoded_bytes());
    let tag = format!("{}-{}", deployment.short(), std::process::id());
    let mut transaction = Transaction::new(plan, &tag, &contexts.map_err(InstallError::begin)?);
    for tree in &transaction.trees {
        check(&tree.place, tree.old.is_some())?;
        for name in [Some(&tree.staged), tree.old.as_ref()].into_iter().flatten() {
            check(name, false)?;
        }
    }
    for file in &transaction.files {
        match &file.arrival {
            Arrival::InTree => {}
            Arrival::New => {
                check(&file.place, false)?;
                check(&file.staged, false)?;
            }
            Arrival::Over { old, .. } => {
                check(&file.place, true)?;
                check(&file.staged, false)?;
                check(old, false)?;
            }
        }
    }
    for folder in &mut transaction.kept {
        let before = programs.folder_state(&folder.place, folder.acl.is_some());
        let before = before.map_err(StepError::of(Operation::Look, &folder.place)).map_err(InstallError::begin)?;
        folder.before = Some(before);
    }
    Ok(transaction)
}

fn check(path: &Path, expected: bool) -> Result<(), InstallError> {
    let found = match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(InstallError::begin(StepError::of(Operation::Look, path)(error))),
    };
    match (expected, found) {
        (true, true) | (false, false) => Ok(()),
        (true, false) => Err(InstallError::Changed { path: path.to_owned(), what: "was removed" }),
        (false, true) => Err(InstallError::Changed { path: path.to_owned(), what: "was created" }),
    }
}

/// Writes the records. Folders of the old release may turn out not to be empty, so that they are all still in it.
fn record(installation: &Installation<'_>, transaction: &Transaction) -> Result<(), StepError> {
    let Installation { plan, archive, deployment_root, records, .. } = *installation;
    let emptied = transaction.emptied.iter().map(|folder| &folder.path);
    let cleanup = Cleanup::of_plan(plan, &in_order(plan.remembered.iter().chain(emptied)));
    fs::create_dir_all(&records.dir)
        .and_then(|()| records.write_install(instruction::instructions(plan, archive)))
        .and_then(|()| records.write_cleanup(&cleanup))
        .and_then(|()| records.write_last_successful_install(deployment_root))
        .map_err(StepError::of(Operation::Record, &records.dir))
}

/// Deletes what was replaced and removed. Nothing of this can fail the installation any more.
fn finish(installation: &Installation<'_>, transaction: &Transaction) -> Installed {
    let Installation { plan, records, .. } = *installation;
    let mut cleared = swap::clear(transaction);
    let remembered = in_order(plan.remembered.iter().chain(&cleared.remembered));
    if cleared.remembered.len() < transaction.emptied.len() {
        // A folder that is gone must not stay in the record: another one of that name would be nobody's but the user's.
        let written = records.write_cleanup(&Cleanup::of_plan(plan, &remembered));
        cleared.left.extend(written.map_err(StepError::of(Operation::Record, &records.dir)).err());
    }
    Installed {
        files: transaction.files.len(),
        bytes: transaction.bytes(),
        removed: plan.removals.len() - transaction.emptied.len() + cleared.removed,
        remembered,
        left: cleared.left,
    }
}

/// Ancestors first.
fn in_order<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths.cloned().collect();
    paths.sort();
    paths
}

fn list(errors: &[StepError]) -> String {
    let texts: Vec<String> = errors.iter().map(|error| format!("{error} ({})", error.source)).collect();
    texts.join("; ")
}

impl InstallError {
    fn begin(source: StepError) -> InstallError {
        InstallError::Begin { source }
    }
}
