//! A folder as a bundle: listed and hashed as it stands, links not followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::shown;
use super::parallel;
use super::tree::{Found, Origin, entry_path, link_target};
use super::{EntryKind, Limits, OpenError, check_total};
use crate::bundle::BundlePath;
use crate::digest::Sha256;

/// A folder whose files were hashed.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    paths: Vec<BundlePath>,
}

/// What a directory entry is before its bytes are read.
struct Listed {
    path: BundlePath,
    kind: Kind,
    mode: u32,
    size: u64,
    modified: i64,
}

enum Kind {
    File,
    Folder,
    Link(String),
}

impl Folder {
    /// Lists and hashes everything.
    pub(super) fn open(root: &Path, limits: &Limits) -> Result<(Folder, Vec<Found>), OpenError> {
        let listed = list(root, limits)?;
        check_total(listed.iter().map(|entry| (entry.path.as_str().as_bytes(), entry.size)), limits)?;
        let folder = Folder { root: root.to_owned(), paths: listed.iter().map(|entry| entry.path.clone()).collect() };
        let found = parallel::each(
            listed.len(),
            || vec![0; 128 << 10],
            |buffer, index| {
                let Listed { path, kind, mode, size, modified } = &listed[index];
                let kind = match kind {
                    Kind::Folder => EntryKind::Directory,
                    Kind::Link(target) => EntryKind::Link(target.clone()),
                    Kind::File => EntryKind::File(folder.hash(buffer, index, *size)?),
                };
                let (mode, size) = (*mode, if matches!(kind, EntryKind::File(_)) { *size } else { 0 });
                Ok(Found {
                    path: path.clone(),
                    kind,
                    mode,
                    size,
                    modified: Some(*modified),
                    origin: Origin::Item(index),
                })
            },
        )?;
        Ok((folder, found))
    }

    fn hash(&self, buffer: &mut [u8], index: usize, size: u64) -> Result<Sha256, OpenError> {
        let (mut hasher, mut count) = (crate::digest::Hasher::default(), 0);
        self.copy(buffer, index, &mut |piece| {
            hasher.update(piece);
            count += piece.len() as u64;
            Ok(())
        })?;
        if count == size { Ok(hasher.finish()) } else { Err(self.changed(index)) }
    }

    /// Gives the bytes of a file to `sink`.
    pub(super) fn copy(
        &self,
        buffer: &mut [u8],
        index: usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let path = &self.paths[index];
        let failed = |source| OpenError::ReadEntry { entry: shown(path.as_str().as_bytes()), source };
        let mut file = open(&path.under(&self.root)).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(self.changed(index));
        }
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => sink(&buffer[..got])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn changed(&self, index: usize) -> OpenError {
        OpenError::Changed { entry: shown(self.paths[index].as_str().as_bytes()) }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn list(root: &Path, limits: &Limits) -> Result<Vec<Listed>, OpenError> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut folders: Vec<Option<BundlePath>> = vec![None];
    while let Some(folder) = folders.pop() {
        let at = folder.as_ref().map_or_else(|| root.to_owned(), |folder| folder.under(root));
        let failed = |source| OpenError::Read { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let mut bytes = folder.as_ref().map(|folder| format!("{folder}/").into_bytes()).unwrap_or_default();
            bytes.extend_from_slice(name.as_bytes());
            let Some(path) = entry_path(&bytes)? else { continue };
            let metadata = entry.metadata().map_err(failed)?;
            let kind = metadata.file_type();
            let kind = if kind.is_file() {
                Kind::File
            } else if kind.is_dir() {
                folders.push(Some(path.clone()));
                Kind::Folder
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).map_err(failed)?;
                Kind::Link(link_target(&bytes, target.as_os_str().as_bytes())?)
            } else {
                let kind = if kind.is_fifo() {
                    "FIFO"
                } else if kind.is_socket() {
                    "socket"
                } else {
                    "device"
                };
                return Err(OpenError::Kind { entry: shown(&bytes), kind: kind.to_owned() });
            };
            if listed.len() as u64 >= limits.entries {
                return Err(OpenError::Entries { limit: limits.entries });
            }
            let size = if matches!(kind, Kind::File) { metadata.size() } else { 0 };
            let mode = metadata.mode() & 0o7777;
            listed.push(Listed { path, kind, mode, size, modified: metadata.mtime() });
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}
