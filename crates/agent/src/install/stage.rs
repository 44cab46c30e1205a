//! Writes everything new beside its destination, with its final owner, mode and ACL, and makes what was done durable. Nothing
//! that stands is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use longshore_core::appspec::Acl;
use nix::fcntl::OFlag;

use super::acl;
use super::listing::ItemKind;
use super::permissions::{self, Programs};
use super::step::{Operation, Progress, StepError};
use super::transaction::{Arrival, NewFile, Transaction};

/// How many threads write or rename files. More gain nothing: the work is in the kernel, and the host serves meanwhile.
const THREADS: usize = 2;
/// For fewer files than this a thread costs more than it gains.
const WORTH_A_THREAD: usize = 32;
/// How many paths one `setfacl` or `getfacl` gets, so that its command line stays far below every limit.
const PATHS_PER_PROGRAM: usize = 200;

/// Writes everything new. `archive` is the unpacked archive.
pub(super) fn stage(
    transaction: &Transaction,
    archive: &Path,
    programs: &Programs,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), StepError> {
    for folder in &transaction.folders {
        fs::create_dir(&folder.staged).map_err(StepError::of(Operation::CreateFolder, &folder.staged))?;
    }
    stage_files(transaction, archive, progress)?;
    // Deepest first: a mode may shut the folder to ourselves.
    for folder in transaction.folders.iter().rev() {
        permissions::set_folder(&folder.staged, folder.owner, folder.mode)
            .map_err(StepError::of(Operation::SetPermissions, &folder.staged))?;
    }
    let acls = transaction.acls.iter();
    set_acls(acls.map(|acl| NewAcl { path: &acl.staged, entries: &acl.entries, mode: acl.mode }), programs)
}

/// An ACL for one path.
pub(super) struct NewAcl<'a> {
    pub(super) path: &'a Path,
    pub(super) entries: &'a [Acl],
    /// The mode that the path was given; `None`: it has one, and perhaps an ACL.
    pub(super) mode: Option<u32>,
}

/// Sets ACLs, objects with the same one together.
pub(super) fn set_acls<'a>(acls: impl Iterator<Item = NewAcl<'a>>, programs: &Programs) -> Result<(), StepError> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for acl in acls {
        match acl.mode {
            Some(mode) => known.push((acl.path, acl.entries, mode)),
            None => unknown.push(acl),
        }
    }
    for acls in unknown.chunks(PATHS_PER_PROGRAM) {
        let paths: Vec<&Path> = acls.iter().map(|acl| acl.path).collect();
        let texts = programs.acls(&paths).map_err(StepError::of(Operation::SetAcl, paths[0]))?;
        for (acl, text) in acls.iter().zip(texts) {
            let mode = acl.path.symlink_metadata().map_err(StepError::of(Operation::SetAcl, acl.path))?.mode();
            // Where there is a mask, the group's bits of the mode are its bits.
            let group = acl::owning_group(&text).unwrap_or(mode >> 3 & 7);
            known.push((acl.path, acl.entries, mode & !0o070 | group << 3));
        }
    }
    let mut by_argument: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for (path, entries, mode) in known {
        by_argument.entry(acl::argument(entries, mode)).or_default().push(path);
    }
    for (argument, paths) in by_argument {
        for paths in paths.chunks(PATHS_PER_PROGRAM) {
            programs.set_acl(&argument, paths).map_err(StepError::of(Operation::SetAcl, paths[0]))?;
        }
    }
    Ok(())
}

/// Takes the ACLs of folders away.
pub(super) fn remove_acls(folders: &[&Path], programs: &Programs) -> Result<(), StepError> {
    for folders in folders.chunks(PATHS_PER_PROGRAM) {
        programs.remove_acls(folders).map_err(StepError::of(Operation::SetAcl, folders[0]))?;
    }
    Ok(())
}

/// Makes everything durable that was done on the file systems of the transaction: one call for each of them instead of
/// one for each file.
pub(super) fn sync(transaction: &Transaction) -> Result<(), StepError> {
    let trees = transaction.trees.iter().map(|tree| &tree.place);
    let files = transaction.files.iter().filter(|file| file.arrival != Arrival::InTree).map(|file| &file.place);
    let removals = transaction.removals.iter().map(|moved| &moved.place);
    let mut folders: BTreeSet<&Path> = trees.chain(files).chain(removals).filter_map(|place| place.parent()).collect();
    folders.extend(transaction.kept.iter().map(|folder| folder.place.as_path()));
    let mut devices = BTreeSet::new();
    for folder in folders {
        let failed = |error| StepError { operation: Operation::Sync, path: folder.to_owned(), source: error };
        if devices.insert(fs::metadata(folder).map_err(failed)?.dev()) {
            let file = File::open(folder).map_err(failed)?;
            nix::unistd::syncfs(&file).map_err(|errno| failed(errno.into()))?;
        }
    }
    Ok(())
}

fn stage_files(
    transaction: &Transaction,
    archive: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), StepError> {
    let files = &transaction.files;
    let (files_done, bytes_done, stop) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let bytes_total = transaction.bytes();
    let root = nix::unistd::geteuid().is_root();
    let stage_chunk = |chunk: &[NewFile]| {
        for file in chunk {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // The error names the place the file was meant for; the name it waits under means nothing to anyone.
            let staged = stage_file(file, archive, root).map_err(StepError::of(Operation::Write, &file.place));
            if staged.is_err() {
                stop.store(true, Ordering::Relaxed);
                return staged;
            }
            progress(Progress {
                files_done: files_done.fetch_add(1, Ordering::Relaxed) + 1,
                files_total: files.len(),
                bytes_done: bytes_done.fetch_add(file.size, Ordering::Relaxed) + file.size,
                bytes_total,
            });
        }
        Ok(())
    };
    in_parallel(files, stage_chunk)
}

/// Does something to all items of a list, in one thread for each part of it. The first error in order is returned, when all
/// threads have ended.
pub(super) fn in_parallel<T: Sync>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<(), StepError> + Sync,
) -> Result<(), StepError> {
    // Neighbours in the list are neighbours on disk, so each thread takes one run of them.
    let (first, second) = items.split_at(items.len() / THREADS);
    if first.len() < WORTH_A_THREAD {
        return work(items);
    }
    thread::scope(|scope| {
        let other = scope.spawn(|| work(second));
        let first = work(first);
        let second = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        first.and(second)
    })
}

fn stage_file(file: &NewFile, archive: &Path, root: bool) -> io::Result<()> {
    let source = file.source.under(archive);
    match &file.kind {
        ItemKind::File => stage_regular(file, &source, root),
        ItemKind::Link(target) => {
            std::os::unix::fs::symlink(target, &file.staged)?;
            let metadata = source.symlink_metadata()?;
            let ours = root.then_some(metadata);
            let user = file.owner.user.or(ours.as_ref().map(MetadataExt::uid));
            let group = file.owner.group.or(ours.as_ref().map(MetadataExt::gid));
            if user.is_some() || group.is_some() {
                std::os::unix::fs::lchown(&file.staged, user, group)?;
            }
            Ok(())
        }
        ItemKind::Directory => Err(io::Error::from(io::ErrorKind::IsADirectory)),
    }
}

fn stage_regular(file: &NewFile, source: &Path, root: bool) -> io::Result<()> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let from = OpenOptions::new().read(true).custom_flags(flags).open(source)?;
    let metadata = from.metadata()?;
    if !metadata.is_file() || metadata.len() != file.size {
        let text = format!("`{}` in the archive is not what was planned", file.source);
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.staged)?;
    // The kernel copies, and shares the blocks where the file system can.
    let copied = io::copy(&mut &from, &mut &to)?;
    if copied != file.size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{copied} of {} bytes copied", file.size)));
    }
    // As the AWS agent: the owner in the archive, where we may set it. What differs from our own is rare.
    let now = to.metadata()?;
    let keep = |archive: u32, now: u32| (root && archive != now).then_some(archive);
    let user = file.owner.user.or(keep(metadata.uid(), now.uid()));
    let group = file.owner.group.or(keep(metadata.gid(), now.gid()));
    // Owner before mode: a change of owner clears setuid and setgid.
    permissions::set_owner(&to, user, group)?;
    to.set_permissions(fs::Permissions::from_mode(file.mode))?;
    to.set_times(fs::FileTimes::new().set_modified(metadata.modified()?))
}
