//! Renames staged files into place and moves aside what they replace; puts all of it back; deletes it at the end.
//!
//! Every step looks at the disk before it acts, so that undoing works from wherever an installation stopped.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::identity::Identity;
use super::permissions::{self, Programs};
use super::stage::{self, NewAcl};
use super::step::{Operation, StepError};
use super::transaction::{Arrival, Emptied, KeptFolder, NewFile, Phase, Transaction, Tree};

/// Gives every file that will be replaced a second name. Others notice nothing of it. Returns which of the transaction's
/// files will replace something that can have none, by their number: that has to be moved.
pub(super) fn keep(transaction: &Transaction) -> Result<HashSet<usize>, StepError> {
    let mut to_be_moved = HashSet::new();
    for (number, file) in transaction.files.iter().enumerate() {
        if let Arrival::Over { old, .. } = &file.arrival
            && !keep_old(&file.place, old).map_err(StepError::of(Operation::MoveAside, &file.place))?
        {
            to_be_moved.insert(number);
        }
    }
    Ok(to_be_moved)
}

/// Takes down what was staged, so that an undo takes nothing else away from the places.
pub(super) fn identify(transaction: &mut Transaction) -> Result<(), StepError> {
    let trees = transaction.trees.iter_mut().map(|tree| (&tree.staged, &mut tree.identity));
    let files = transaction.files.iter_mut().map(|file| (&file.staged, &mut file.identity));
    for (staged, identity) in trees.chain(files) {
        *identity = Identity::at(staged).map_err(StepError::of(Operation::Look, staged))?;
    }
    Ok(())
}

/// Makes everything visible. Files are replaced in one step each: who opens one gets the old or the new one, whole. Returns
/// how long others could meet both releases: one rename or link for each path, and nothing else is done meanwhile.
pub(super) fn swap(transaction: &Transaction, to_be_moved: &HashSet<usize>) -> Result<Duration, StepError> {
    let files = transaction.files.iter().enumerate().filter(|(_, file)| file.arrival != Arrival::InTree);
    let arriving: Vec<(&NewFile, bool)> = files.map(|(number, file)| (file, to_be_moved.contains(&number))).collect();
    let begun = Instant::now();
    for tree in &transaction.trees {
        if let Some(old) = &tree.old {
            fs::rename(&tree.place, old).map_err(StepError::of(Operation::MoveAside, &tree.place))?;
        }
        fs::rename(&tree.staged, &tree.place).map_err(StepError::of(Operation::MoveIntoPlace, &tree.place))?;
    }
    stage::in_parallel(&arriving, |files| {
        for (file, to_be_moved) in files {
            let NewFile { place, staged, arrival, .. } = file;
            let arrived = match arrival {
                Arrival::New => arrive_new(file),
                Arrival::InTree => Ok(()),
                Arrival::Over { old, .. } => {
                    if *to_be_moved {
                        fs::rename(place, old).map_err(StepError::of(Operation::MoveAside, place))?;
                    }
                    fs::rename(staged, place)
                }
            };
            arrived.map_err(StepError::of(Operation::MoveIntoPlace, place))?;
        }
        Ok(())
    })?;
    for removal in &transaction.removals {
        match fs::rename(&removal.place, &removal.old) {
            // Somebody else removed it: so much the better.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved.map_err(StepError::of(Operation::MoveAside, &removal.place))?,
        }
    }
    let visible = begun.elapsed();
    for file in transaction.files.iter().filter(|file| file.arrival == Arrival::New) {
        // The second name of what arrived by a link.
        remove(&file.staged, |path| fs::remove_file(path))
            .map_err(StepError::of(Operation::MoveIntoPlace, &file.place))?;
    }
    Ok(visible)
}

/// Changes folders that stand, and contexts.
pub(super) fn adjust(transaction: &Transaction, programs: &Programs) -> Result<(), StepError> {
    let plain = transaction.kept.iter().filter(|folder| folder.plain).map(|folder| folder.place.as_path());
    stage::remove_acls(&plain.collect::<Vec<_>>(), programs)?;
    for folder in &transaction.kept {
        permissions::set_folder(&folder.place, folder.owner, folder.mode)
            .map_err(StepError::of(Operation::SetPermissions, &folder.place))?;
    }
    let acls = transaction.kept.iter().filter_map(|KeptFolder { place, acl, mode, .. }| {
        acl.as_deref().map(|entries| NewAcl { path: place, entries, mode: *mode })
    });
    stage::set_acls(acls, programs)?;
    for (path, _) in &transaction.contexts.before {
        programs.forget_context(path);
    }
    for (path, context) in &transaction.contexts.after {
        programs.add_context(context, path).map_err(StepError::of(Operation::SetContext, path))?;
    }
    Ok(())
}

/// Puts everything back, in reverse order, and goes on after an error. Returns what could not be put back.
pub(super) fn undo(transaction: &Transaction, programs: &Programs) -> Vec<StepError> {
    let mut left = Vec::new();
    let mut attempt = |path: &Path, result: io::Result<()>| {
        left.extend(result.map_err(StepError::of(Operation::PutBack, path)).err());
    };
    if transaction.phase >= Phase::Adjusting {
        for (path, _) in transaction.contexts.after.iter().rev() {
            programs.forget_context(path);
            // A folder may be one that stays, and what it had is what the policy says now. Files are other files again.
            if path.is_dir() {
                let _ = programs.restore_context(path);
            }
        }
        for (path, context) in &transaction.contexts.before {
            if let Some(context) = context {
                attempt(path, programs.add_context(context, path));
            }
        }
        for KeptFolder { place, before, .. } in transaction.kept.iter().rev() {
            if let Some(before) = before {
                attempt(place, programs.restore_folder(place, before));
            }
        }
    }
    if transaction.phase >= Phase::Swapping {
        for removal in transaction.removals.iter().rev() {
            attempt(&removal.place, put_back(&removal.old, &removal.place));
        }
    }
    for file in transaction.files.iter().rev().filter(|file| file.arrival != Arrival::InTree) {
        // What waits is how the next attempt tells that the new file never came, so it goes last.
        let undone = undo_file(file, transaction.phase);
        attempt(&file.place, undone.and_then(|()| remove(&file.staged, |path| fs::remove_file(path))));
    }
    if transaction.phase >= Phase::Swapping {
        for tree in transaction.trees.iter().rev() {
            attempt(&tree.place, undo_tree(tree));
        }
    }
    let mut ours_left = false;
    for file in transaction.files.iter().filter(|file| file.arrival == Arrival::InTree) {
        let removed = remove_in_tree(file);
        ours_left |= removed.is_err();
        attempt(&file.staged, removed);
    }
    for folder in transaction.folders.iter().rev() {
        match remove(&folder.staged, |path| fs::remove_dir(path)) {
            // What somebody wrote into it while it stood in its place, or ours that could not be removed.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => attempt(&folder.staged, removed),
        }
    }
    if !ours_left {
        for tree in &transaction.trees {
            attempt(&tree.place, give_back(tree));
        }
    }
    left
}

/// Removes a file of a new folder, and not what somebody put in its place while others could see the folder.
fn remove_in_tree(file: &NewFile) -> io::Result<()> {
    match (file.identity, Identity::at(&file.staged)?) {
        (Some(ours), Some(found)) if !ours.is(found) => Ok(()),
        (Some(_) | None, Some(_) | None) => remove(&file.staged, |path| fs::remove_file(path)),
    }
}

/// Moves a new folder in which only the files of others are left to where they wrote them.
fn give_back(tree: &Tree) -> io::Result<()> {
    if exists(&tree.staged)? && !exists(&tree.place)? { fs::rename(&tree.staged, &tree.place) } else { Ok(()) }
}

/// Removes what may never have been made. A read-only file system refuses also to remove what is not there.
fn remove(path: &Path, how: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    match how(path) {
        Err(_) if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => Ok(()),
        result => result,
    }
}

/// What deleting the old release left.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    /// Folders of the old release that are gone.
    pub(super) removed: usize,
    /// Folders of the old release that stay, by their path in the record: something else is in them.
    pub(super) remembered: Vec<PathBuf>,
    /// What could not be deleted.
    pub(super) left: Vec<StepError>,
}

/// Deletes what was moved aside, and folders of the old release that are empty now. From here on there is no way back.
pub(super) fn clear(transaction: &Transaction) -> Cleared {
    let mut cleared = Cleared::default();
    let mut attempt = |path: &Path, result: io::Result<()>| {
        cleared.left.extend(absent_is_fine(result).map_err(StepError::of(Operation::Delete, path)).err());
    };
    for old in transaction.trees.iter().filter_map(|tree| tree.old.as_ref()) {
        attempt(old, fs::remove_file(old));
    }
    for file in &transaction.files {
        if let Arrival::Over { old, contents } = &file.arrival {
            attempt(old, remove_old(old, contents));
        }
    }
    for removal in &transaction.removals {
        attempt(&removal.old, fs::remove_file(&removal.old));
    }
    for Emptied { path, place } in &transaction.emptied {
        match fs::remove_dir(place) {
            Ok(()) => cleared.removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Not empty, or a mount point, or on a file system that is read-only now: the next deployment sees to it.
            Err(_) => cleared.remembered.push(path.clone()),
        }
    }
    cleared
}

/// Shows a staged file where nothing stands, and never over something that came in between.
fn arrive_new(file: &NewFile) -> io::Result<()> {
    match fs::hard_link(&file.staged, &file.place) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links: looking first is the best there is.
        Err(_) if exists(&file.place)? => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(_) => fs::rename(&file.staged, &file.place),
    }
}

/// Gives what stands at `place` a second name, so that its first one can be renamed over without a moment in which it
/// names nothing. Says whether that went: what can have no second name (a folder, or on some file systems) has to be moved.
fn keep_old(place: &Path, old: &Path) -> io::Result<bool> {
    use io::ErrorKind::{AlreadyExists, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match fs::hard_link(place, old) {
        Ok(()) => Ok(true),
        // Nothing has changed yet, and a rename would fare no better.
        Err(error)
            if matches!(error.kind(), AlreadyExists | NotFound | QuotaExceeded | ReadOnlyFilesystem | StorageFull) =>
        {
            Err(error)
        }
        Err(_) => Ok(false),
    }
}

fn undo_tree(tree: &Tree) -> io::Result<()> {
    // Without its old name, what stands in the place of a file or link is that file or link: not moved yet, or back again.
    if let Some(old) = &tree.old
        && !exists(old)?
    {
        return Ok(());
    }
    if has_arrived(tree.identity, &tree.staged, &tree.place)? {
        fs::rename(&tree.place, &tree.staged)?;
    }
    tree.old.as_ref().map_or(Ok(()), |old| put_back(old, &tree.place))
}

/// Whether what was staged stands in its place.
fn has_arrived(recorded: Option<Identity>, staged: &Path, place: &Path) -> io::Result<bool> {
    let Some(found) = Identity::at(place)? else { return Ok(false) };
    let ours = match recorded {
        Some(ours) => Some(ours),
        // An agent that recorded none: what no longer waits has arrived.
        None => Identity::at(staged)?,
    };
    Ok(ours.is_none_or(|ours| ours.is(found)))
}

fn undo_file(file: &NewFile, phase: Phase) -> io::Result<()> {
    match &file.arrival {
        Arrival::InTree => Ok(()),
        // What stands there is nobody's but theirs who put it there.
        Arrival::New if phase < Phase::Swapping => Ok(()),
        Arrival::New => {
            let arrived = has_arrived(file.identity, &file.staged, &file.place)?;
            if arrived { fs::remove_file(&file.place) } else { Ok(()) }
        }
        Arrival::Over { old, .. } => {
            let Some(kept) = Identity::at(old)? else { return Ok(()) };
            match (Identity::at(&file.place)?, exists(&file.staged)?) {
                // Two names of one file; a rename would leave both.
                (Some(place), _) if place == kept => fs::remove_file(old),
                // Ours never came, and somebody else has replaced what stood there.
                (Some(_), true) => fs::remove_file(old),
                // A folder cannot be renamed over a file.
                (Some(_), false) if old.symlink_metadata()?.is_dir() => {
                    fs::rename(&file.place, &file.staged)?;
                    fs::rename(old, &file.place)
                }
                (Some(_), false) | (None, _) => fs::rename(old, &file.place),
            }
        }
    }
}

fn put_back(old: &Path, place: &Path) -> io::Result<()> {
    match (exists(old)?, exists(place)?) {
        (false, _) => Ok(()),
        (true, false) => fs::rename(old, place),
        (true, true) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("something new stands there; what was there is kept as `{}`", old.display()),
        )),
    }
}

/// Deletes a kept file, or a kept folder with what is known to be in it and nothing else.
fn remove_old(old: &Path, contents: &[PathBuf]) -> io::Result<()> {
    if !old.symlink_metadata()?.is_dir() {
        return fs::remove_file(old);
    }
    for inside in contents {
        let inside = old.join(inside);
        let directory = inside.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        absent_is_fine(if directory { fs::remove_dir(&inside) } else { fs::remove_file(&inside) })?;
    }
    fs::remove_dir(old)
}

fn exists(path: &Path) -> io::Result<bool> {
    Identity::at(path).map(|identity| identity.is_some())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests;
