//! The files to pack: what stands on disk, what of it surprises, and how its bytes are read. Writes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use unicode_normalization::UnicodeNormalization;

use super::compress::{self, BLOCK, SAMPLE};
use super::zip_header::Method;
use super::{PackError, PackFile};
use crate::bundle::{BundlePath, MANIFEST_PATH};

/// One file or link, as it was when packing began.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path in the bundle.
    pub(super) path: BundlePath,
    stands: Stands,
    /// What it is.
    pub(super) kind: SourceKind,
}

/// Where a source stands.
#[derive(Debug)]
enum Stands {
    /// At its own path below a folder, which many share.
    Below(Arc<Path>),
    /// Anywhere else.
    At(PathBuf),
}

impl Source {
    /// A source that shares its folder with no other one.
    #[cfg(test)]
    pub(super) fn at(path: BundlePath, from: PathBuf, kind: SourceKind) -> Source {
        Source { path, stands: Stands::At(from), kind }
    }

    /// Where it stands.
    pub(super) fn from(&self) -> Cow<'_, Path> {
        match &self.stands {
            Stands::Below(folder) => Cow::Owned(self.path.under(folder)),
            Stands::At(from) => Cow::Borrowed(from),
        }
    }
}

impl Stands {
    /// `folder`: the one of the source before, replaced where it is another.
    fn of(path: &BundlePath, from: PathBuf, folder: &mut Arc<Path>) -> Stands {
        match from.as_os_str().as_bytes().strip_suffix(path.as_str().as_bytes()) {
            Some(above) if above.ends_with(b"/") => {
                let above = Path::new(OsStr::from_bytes(above));
                if **folder != *above {
                    *folder = above.into();
                }
                Stands::Below(Arc::clone(folder))
            }
            Some(_) | None => Stands::At(from),
        }
    }
}

/// What a source is.
#[derive(Debug)]
pub(super) enum SourceKind {
    /// A regular file.
    File(FileSource),
    /// A link and its target text.
    Link(String),
}

/// A regular file, as it was when packing began.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSource {
    /// Whether it has an x bit.
    pub(super) executable: bool,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What must still be the same when it is read.
    identity: (u64, u64, i64, i64),
    /// How to keep it, where that is decided before it is read: files of more than one block.
    pub(super) method: Option<Method>,
}

/// Looks at every file, in the order of their paths, and says what will surprise.
pub(super) fn look(files: Vec<PackFile>) -> Result<(Vec<Source>, Vec<String>), PackError> {
    let files = distinct(files)?;
    let mut warnings = Vec::new();
    let mut sources = Vec::with_capacity(files.len());
    let mut folder = Path::new("").into();
    for (path, from) in files {
        sources.push(look_at(path, from, &mut folder, &mut warnings)?);
    }
    warnings.extend(collisions(&sources));
    Ok((sources, warnings))
}

fn distinct(files: Vec<PackFile>) -> Result<BTreeMap<BundlePath, PathBuf>, PackError> {
    let mut map: BTreeMap<BundlePath, PathBuf> = BTreeMap::new();
    let manifest: BundlePath = MANIFEST_PATH.parse().expect("the constant is a path");
    for PackFile { path, from } in files {
        if path == manifest || path.below(&manifest).is_some() {
            return Err(PackError::ManifestPath { path });
        }
        match map.get(&path) {
            Some(first) if *first != from => {
                // In the order of the names, so that the message does not depend on the order of the list.
                let (first, second) = if *first < from { (first.clone(), from) } else { (from, first.clone()) };
                return Err(PackError::Duplicate { path, first, second });
            }
            Some(_) => {}
            None => {
                map.insert(path, from);
            }
        }
    }
    let folder =
        |path: &BundlePath| std::iter::successors(path.parent(), BundlePath::parent).find(|p| map.contains_key(p));
    if let Some((path, folder)) = map.keys().find_map(|path| folder(path).map(|folder| (path.clone(), folder))) {
        return Err(PackError::BelowFile { path, file: folder });
    }
    if map.contains_key(&manifest.parent().expect("the manifest stands in a folder")) {
        return Err(PackError::BelowFile { path: manifest.clone(), file: manifest.parent().unwrap_or(manifest) });
    }
    Ok(map)
}

fn look_at(
    path: BundlePath,
    from: PathBuf,
    folder: &mut Arc<Path>,
    warnings: &mut Vec<String>,
) -> Result<Source, PackError> {
    let read = |source| PackError::Read { path: from.clone(), source };
    let metadata = fs::symlink_metadata(&from).map_err(read)?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(&from).map_err(read)?.into_os_string().into_vec();
        let Ok(target) = String::from_utf8(target) else {
            return Err(PackError::LinkTarget { path, from });
        };
        return Ok(Source { stands: Stands::of(&path, from, folder), path, kind: SourceKind::Link(target) });
    }
    if !kind.is_file() {
        return Err(PackError::Kind { kind: kind_name(&metadata), path, from });
    }
    if metadata.mode() & 0o6000 != 0 {
        warnings.push(format!("`{path}` loses its setuid or setgid bit"));
    }
    let size = metadata.size();
    let mut file =
        FileSource { executable: metadata.mode() & 0o111 != 0, size, identity: identity(&metadata), method: None };
    if size > BLOCK as u64 {
        file.method = Some(probe_file(&from, &file)?);
    }
    Ok(Source { stands: Stands::of(&path, from, folder), path, kind: SourceKind::File(file) })
}

fn kind_name(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "folder"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Names that a file system which ignores case, or which composes letters, takes for one.
fn collisions(sources: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<String, &BundlePath> = BTreeMap::new();
    let mut warnings = Vec::new();
    for source in sources {
        let text = source.path.as_str();
        let folded =
            if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().collect::<String>().to_lowercase() };
        if let Some(first) = seen.insert(folded, &source.path) {
            warnings.push(format!(
                "`{first}` and `{}` are one file where case or Unicode form does not count",
                source.path
            ));
        }
    }
    warnings
}

/// Opens a file that must still be the one that was looked at.
pub(super) fn open(from: &Path, file: &FileSource) -> Result<File, PackError> {
    // O_NONBLOCK: a FIFO that took the file's place would block the open for ever.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let read = |source: io::Error| match source.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ELOOP as i32 => PackError::Changed { path: from.to_owned() },
        Some(_) | None => PackError::Read { path: from.to_owned(), source },
    };
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(from).map_err(read)?;
    let metadata = opened.metadata().map_err(read)?;
    if !metadata.is_file() || metadata.size() != file.size || identity(&metadata) != file.identity {
        return Err(PackError::Changed { path: from.to_owned() });
    }
    Ok(opened)
}

/// Reads a whole file of at most one block into `buffer`.
pub(super) fn read_whole(from: &Path, file: &FileSource, buffer: &mut Vec<u8>) -> Result<(), PackError> {
    let opened = open(from, file)?;
    buffer.clear();
    buffer.reserve_exact(usize::try_from(file.size).map_or(0, |size| size + 1));
    // One byte more than the size, so that growth is seen.
    opened
        .take(file.size + 1)
        .read_to_end(buffer)
        .map_err(|source| PackError::Read { path: from.to_owned(), source })?;
    if buffer.len() as u64 == file.size { Ok(()) } else { Err(PackError::Changed { path: from.to_owned() }) }
}

/// Reads `length` bytes from `offset` on, appended to `buffer`.
pub(super) fn read_part(
    opened: &File,
    from: &Path,
    offset: u64,
    length: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), PackError> {
    let start = buffer.len();
    buffer.resize(start + length, 0);
    opened.read_exact_at(&mut buffer[start..], offset).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => PackError::Changed { path: from.to_owned() },
        _ => PackError::Read { path: from.to_owned(), source },
    })
}

/// The method for a file of at least [`compress::PROBE_FROM`] bytes.
fn probe_file(from: &Path, file: &FileSource) -> Result<Method, PackError> {
    let opened = open(from, file)?;
    let mut samples = Vec::with_capacity(3 * SAMPLE);
    for offset in compress::sample_offsets(file.size) {
        read_part(&opened, from, offset, SAMPLE, &mut samples)?;
    }
    Ok(compress::probe(&samples.chunks(SAMPLE).collect::<Vec<_>>()))
}

/// The same for a file that was read.
pub(super) fn probe_bytes(bytes: &[u8]) -> Method {
    let sample = |offset: u64| {
        let start = usize::try_from(offset).expect("the offset lies in a slice");
        &bytes[start..start + SAMPLE]
    };
    compress::probe(&compress::sample_offsets(bytes.len() as u64).map(sample))
}
