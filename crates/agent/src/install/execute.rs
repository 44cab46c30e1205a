//! Carries out a plan, wholly or not at all.
//!
//! Check → stage → second names for what is replaced → sync → swap → adjust → sync → records → delete what was replaced.
//! Decides nothing: what happens is in the plan.
//!
//! The commit is one rename: that of the record which names the deployment as the last successful installation. Before it
//! everything is undone, after a failure and after a crash alike, whatever the journal could or could not say; after it
//! everything is completed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// From before the first rename that others could see to after the last one: in between a reader can meet files of both
    /// releases. `None` when an earlier agent did that, before a crash.
    pub visible: Option<Duration>,
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
    /// Something failed, and not everything could be put back. [`recover`] undoes or completes it.
    #[error("cannot install the files, and not everything could be put back: {}", list(left))]
    Stuck {
        /// What failed first.
        source: StepError,
        /// What could not be put back.
        left: Vec<StepError>,
    },
}

/// Where an installation writes down how far it got, before it goes on. What it is given is everything that
/// [`recover`] needs after a crash, beside the plan. It must be durable when the function returns; when it fails, it does not
/// matter whether it became so.
pub type Journal<'a> = &'a dyn Fn(&Transaction) -> io::Result<()>;

/// How an installation ended that a crash had interrupted.
#[derive(Debug)]
pub enum Recovered {
    /// It was undone.
    Undone,
    /// It had been committed, and wanted only the rest of the records and the deletion of what was replaced.
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
    let done = (|| {
        stage::stage(&transaction, archive, programs, progress)?;
        let to_be_moved = swap::keep(&transaction)?;
        stage::sync(&transaction)?;
        swap::identify(&mut transaction)?;
        enter(Phase::Swapping, &mut transaction, journal, &records.dir)?;
        let visible = swap::swap(&transaction, &to_be_moved)?;
        enter(Phase::Adjusting, &mut transaction, journal, &records.dir)?;
        swap::adjust(&transaction, programs)?;
        stage::sync(&transaction)?;
        stage_records(installation, &transaction)?;
        enter(Phase::Committing, &mut transaction, journal, &records.dir)?;
        commit(records).map(|()| visible)
    })();
    match done {
        Ok(visible) => Ok(finish(installation, &transaction, Some(visible))),
        Err(source) => {
            // The commit goes back first. While it stands, a crash is completed, and nothing may be undone.
            if transaction.phase == Phase::Committing
                && let Err(error) = records.restore(&records_before)
            {
                return Err(InstallError::Stuck { source, left: vec![put_back(error)] });
            }
            let left = undo(installation, &transaction);
            Err(if left.is_empty() { InstallError::Undone { source } } else { InstallError::Stuck { source, left } })
        }
    }
}

/// Ends an installation that a crash interrupted: undoes it, or completes it if it was committed. `transaction` is the last
/// one that was written down. Can itself be interrupted and run again.
pub fn recover(installation: &Installation<'_>, transaction: &Transaction) -> Result<Recovered, InstallError> {
    let Installation { records, deployment_root, .. } = *installation;
    let committed = match transaction.phase {
        Phase::Staging | Phase::Swapping | Phase::Adjusting => false,
        Phase::Committing => {
            let last = records.last_successful_install().map_err(StepError::of(Operation::Look, &records.dir));
            last.map_err(|source| InstallError::Commit { source })?.as_deref() == Some(deployment_root)
        }
    };
    if committed {
        stage_records(installation, transaction)
            .and_then(|()| commit(records))
            .map_err(|source| InstallError::Commit { source })?;
        return Ok(Recovered::Completed(finish(installation, transaction, None)));
    }
    let left = undo(installation, transaction);
    if left.is_empty() {
        return Ok(Recovered::Undone);
    }
    let interrupted = io::Error::from(io::ErrorKind::Interrupted);
    Err(InstallError::Stuck { source: StepError::of(Operation::Look, deployment_root)(interrupted), left })
}

fn enter(phase: Phase, transaction: &mut Transaction, journal: Journal<'_>, records: &Path) -> Result<(), StepError> {
    let before = transaction.phase;
    transaction.phase = phase;
    journal(transaction).map_err(|source| {
        transaction.phase = before;
        StepError { operation: Operation::Journal, path: records.to_owned(), source }
    })
}

/// Undoes what was done and not committed. Returns what could not be put back.
fn undo(installation: &Installation<'_>, transaction: &Transaction) -> Vec<StepError> {
    let mut left = swap::undo(transaction, installation.programs);
    left.extend(installation.records.discard().err().map(put_back));
    // Before anybody writes down that it was undone. A folder that somebody removed needs nothing.
    let synced = stage::sync(transaction).err();
    left.extend(synced.filter(|error| error.source.kind() != io::ErrorKind::NotFound));
    left
}

fn put_back((path, source): (PathBuf, io::Error)) -> StepError {
    StepError { operation: Operation::PutBack, path, source }
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
        let before = programs.folder_state(&folder.place, folder.plain || folder.acl.is_some());
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

/// Writes the new records beside the old ones. Folders of the old release may turn out not to be empty, so that they are all
/// still in them.
fn stage_records(installation: &Installation<'_>, transaction: &Transaction) -> Result<(), StepError> {
    let Installation { plan, archive, deployment_root, records, .. } = *installation;
    let emptied = transaction.emptied.iter().map(|folder| &folder.path);
    let cleanup = Cleanup::of_plan(plan, &in_order(plan.remembered.iter().chain(emptied)));
    records
        .stage(deployment_root, instruction::instructions(plan, archive), &cleanup)
        .map_err(StepError::of(Operation::Record, &records.dir))
}

fn commit(records: &Records) -> Result<(), StepError> {
    records.commit().map_err(StepError::of(Operation::Record, &records.dir))
}

/// Deletes what was replaced and removed. Nothing of this can fail the installation any more.
fn finish(installation: &Installation<'_>, transaction: &Transaction, visible: Option<Duration>) -> Installed {
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
        visible,
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
