//! Verified entries → files. Everything is made new in a folder of our own: nothing is ever opened that exists, and links
//! come after all files, so nothing is written through one.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::symlinkat;

use super::error::shown;
use super::tar::{Piece, TarFile};
use super::tree::Origin;
use super::zip::Inflater;
use super::{Bundle, Entry, EntryKind, OpenError, Source, parallel};
use crate::bundle::BundlePath;
use crate::digest::{Hasher, Sha256};
use crate::fsx;

/// Unpacks a bundle into a folder that does not exist, wholly or not at all.
pub(super) fn unpack(bundle: &Bundle, to: &Path) -> Result<(), OpenError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(OpenError::Exists { path: to.to_owned() });
    }
    let target = Target::create(to)?;
    target.folders(bundle)?;
    match &bundle.source {
        Source::Zip(zip) => {
            target.files(bundle, Inflater::new, |inflater, index, sink| zip.copy(inflater, index, sink))?;
        }
        Source::Folder(folder) => {
            target.files(bundle, || vec![0; 128 << 10], |buffer, index, sink| folder.copy(buffer, index, sink))?;
        }
        Source::Tar(tar) => target.tar(bundle, tar)?,
    }
    target.links(bundle)?;
    target.finish(bundle, to)
}

/// The new folder, gone with all that is in it unless it is finished.
struct Target {
    path: PathBuf,
    root: OwnedFd,
    finished: bool,
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished {
            // The error that matters is the one that stopped the unpacking.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Target {
    fn create(to: &Path) -> Result<Target, OpenError> {
        let path = fsx::temporary_beside(to);
        let failed = |source| OpenError::Write { path: to.to_owned(), source };
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match nix::fcntl::open(&path, flags, Mode::empty()) {
            Ok(root) => Ok(Target { path, root, finished: false }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(failed(error.into()))
            }
        }
    }

    fn failed(&self, path: &BundlePath, source: impl Into<io::Error>) -> OpenError {
        OpenError::Write { path: path.under(&self.path), source: source.into() }
    }

    fn folders(&self, bundle: &Bundle) -> Result<(), OpenError> {
        // Sorted, so that a folder comes before what is in it.
        for entry in bundle.entries.iter().filter(|entry| entry.kind == EntryKind::Directory) {
            mkdirat(&self.root, entry.path.as_str(), Mode::S_IRWXU).map_err(|error| self.failed(&entry.path, error))?;
        }
        Ok(())
    }

    fn files<S>(
        &self,
        bundle: &Bundle,
        scratch: impl Fn() -> S + Sync,
        copy: impl Fn(&mut S, usize, &mut dyn FnMut(&[u8]) -> Result<(), OpenError>) -> Result<(), OpenError> + Sync,
    ) -> Result<(), OpenError> {
        let files: Vec<Wanted<'_>> = wanted(bundle).collect();
        parallel::each(files.len(), scratch, |scratch, index| {
            let wanted = files[index];
            let Origin::Item(item) = wanted.origin else {
                unreachable!("only a tar has hard links");
            };
            let mut file = NewFile::create(self, wanted)?;
            copy(scratch, item, &mut |piece| file.write(piece))?;
            file.finish()
        })?;
        Ok(())
    }

    fn tar(&self, bundle: &Bundle, tar: &TarFile) -> Result<(), OpenError> {
        let mut files: HashMap<usize, Wanted<'_>> = HashMap::new();
        let mut copies = Vec::new();
        for wanted in wanted(bundle) {
            match wanted.origin {
                Origin::Item(item) => {
                    files.insert(item, wanted);
                }
                Origin::CopyOf(item) => copies.push((item, wanted)),
                Origin::Implied => unreachable!("only a folder is implied"),
            }
        }
        let originals: HashMap<usize, &BundlePath> =
            files.iter().map(|(item, wanted)| (*item, &wanted.entry.path)).collect();
        let mut left = files.len();
        let mut open: Option<NewFile<'_>> = None;
        tar.copy(&mut |item| files.contains_key(&item), &mut |item, piece| {
            let mut file = match open.take() {
                Some(file) => file,
                None => NewFile::create(self, files[&item])?,
            };
            match piece {
                Piece::Bytes(bytes) => {
                    file.write(bytes)?;
                    open = Some(file);
                    Ok(())
                }
                Piece::End => {
                    left -= 1;
                    file.finish()
                }
            }
        })?;
        if left > 0 {
            return Err(OpenError::Changed { entry: bundle.path.display().to_string() });
        }
        for (item, wanted) in copies {
            self.copy(originals[&item], wanted)?;
        }
        Ok(())
    }

    /// A hard link of a tar: a file of its own with the bytes of the other.
    fn copy(&self, from: &BundlePath, to: Wanted<'_>) -> Result<(), OpenError> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let original =
            openat(&self.root, from.as_str(), flags, Mode::empty()).map_err(|error| self.failed(from, error))?;
        let mut original = File::from(original);
        let mut file = NewFile::create(self, to)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match original.read(&mut buffer) {
                Ok(0) => return file.finish(),
                Ok(got) => file.write(&buffer[..got])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(from, error)),
            }
        }
    }

    fn links(&self, bundle: &Bundle) -> Result<(), OpenError> {
        for (entry, (_, modified)) in bundle.entries.iter().zip(&bundle.origins) {
            let EntryKind::Link(target) = &entry.kind else { continue };
            let path = entry.path.as_str();
            let failed = |error: nix::Error| self.failed(&entry.path, error);
            symlinkat(target.as_str(), &self.root, path).map_err(failed)?;
            if let Some(modified) = modified {
                let time = TimeSpec::seconds(*modified);
                utimensat(&self.root, path, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Modes and times of folders, deepest first: a folder must take new names until then. Then the rename.
    fn finish(mut self, bundle: &Bundle, to: &Path) -> Result<(), OpenError> {
        for (entry, (_, modified)) in bundle.entries.iter().zip(&bundle.origins).rev() {
            if entry.kind != EntryKind::Directory {
                continue;
            }
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let folder = openat(&self.root, entry.path.as_str(), flags, Mode::empty())
                .map_err(|error| self.failed(&entry.path, error))?;
            settle(&File::from(folder), entry.mode, *modified).map_err(|error| self.failed(&entry.path, error))?;
        }
        let failed = |source| OpenError::Write { path: to.to_owned(), source };
        fs::set_permissions(&self.path, Permissions::from_mode(0o755)).map_err(failed)?;
        fs::rename(&self.path, to).map_err(failed)?;
        self.finished = true;
        Ok(())
    }
}

/// A file to make.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    entry: &'a Entry,
    sha256: Sha256,
    origin: Origin,
    modified: Option<i64>,
}

fn wanted(bundle: &Bundle) -> impl Iterator<Item = Wanted<'_>> {
    bundle.entries.iter().zip(&bundle.origins).filter_map(|(entry, (origin, modified))| match entry.kind {
        EntryKind::File(sha256) => Some(Wanted { entry, sha256, origin: *origin, modified: *modified }),
        EntryKind::Directory | EntryKind::Link(_) => None,
    })
}

/// A file in the making. Its bytes are compared once more with what was verified: the archive may have been written to.
struct NewFile<'a> {
    target: &'a Target,
    wanted: Wanted<'a>,
    file: File,
    hasher: Hasher,
    count: u64,
}

impl<'a> NewFile<'a> {
    fn create(target: &'a Target, wanted: Wanted<'a>) -> Result<Self, OpenError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = &wanted.entry.path;
        let file = openat(&target.root, path.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| target.failed(path, error))?;
        Ok(NewFile { target, wanted, file: File::from(file), hasher: Hasher::default(), count: 0 })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), OpenError> {
        self.count += piece.len() as u64;
        if self.count > self.wanted.entry.size {
            return Err(self.changed());
        }
        self.hasher.update(piece);
        self.file.write_all(piece).map_err(|error| self.target.failed(&self.wanted.entry.path, error))
    }

    fn finish(self) -> Result<(), OpenError> {
        let Wanted { entry, sha256, modified, .. } = self.wanted;
        if self.count != entry.size || self.hasher.clone().finish() != sha256 {
            return Err(self.changed());
        }
        settle(&self.file, entry.mode, modified).map_err(|error| self.target.failed(&entry.path, error))
    }

    fn changed(&self) -> OpenError {
        OpenError::Changed { entry: shown(self.wanted.entry.path.as_str().as_bytes()) }
    }
}

fn settle(file: &File, mode: u32, modified: Option<i64>) -> io::Result<()> {
    // By the descriptor, so that umask has no say and setuid survives.
    file.set_permissions(Permissions::from_mode(mode))?;
    let Some(seconds) = modified else { return Ok(()) };
    let duration = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(duration)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(duration)
    };
    match time {
        Some(time) => file.set_times(FileTimes::new().set_modified(time)),
        None => Ok(()),
    }
}
