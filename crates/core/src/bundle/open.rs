//! zip, tar, tgz, or a folder → verified [`Bundle`]. Treats every archive as hostile: everything is read, inflated, counted
//! and hashed once before a single byte is written. Installs nothing.

pub mod delta;
mod directory;
mod error;
mod folder;
mod parallel;
mod section;
mod tar;
mod tree;
mod unpack;
mod zip;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

pub use self::error::OpenError;
use serde::{Deserialize, Serialize};

use self::error::shown;
use self::folder::Folder;
use self::section::Section;
use self::tar::{Piece, TarFile};
use self::tree::{Found, LeadingFolder, Origin};
use self::zip::{Inflater, ZipFile};
use super::manifest::MANIFEST_LIMIT;
use super::{BundlePath, FileKind, MANIFEST_PATH, Manifest, ManifestFile, content_digest, link};
use crate::digest::Sha256;

/// Bytes that an archive may unpack to whatever its own size, before [`Limits::ratio`] counts.
pub const RATIO_FREE: u64 = 64 << 20;

/// Links that [`Bundle::read`] follows before it gives up.
const MOST_LINKS: usize = 8;

/// The format of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A zip file.
    Zip,
    /// An uncompressed tar file.
    Tar,
    /// A gzipped tar file.
    Tgz,
    /// A folder.
    Directory,
}

/// How much an archive may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of all files together.
    pub total: u64,
    /// Number of entries, folders counted that only the names of others imply.
    pub entries: u64,
    /// Unpacked bytes for each packed byte, over the whole archive, beyond a first allowance of [`RATIO_FREE`].
    pub ratio: u64,
}

/// A verified bundle: names, sizes, checksums and, where there is a manifest, every digest were checked.
#[derive(Debug)]
pub struct Bundle {
    /// Where it stands.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The digest of the archive file; `None` for a folder.
    pub archive_digest: Option<Sha256>,
    /// The content digest, computed from the entries.
    pub content_digest: Sha256,
    /// Its manifest, if Longshore packed it.
    pub manifest: Option<Manifest>,
    /// Files, links and folders, sorted by path, leading folder stripped by the agent's rule, manifest included. Every
    /// folder is listed, with or without an entry of its own in the archive, so that a zip, a tar and a folder of one tree
    /// give one list; a folder without an entry of its own has the mode `0755`.
    pub entries: Vec<Entry>,
    /// What will surprise, one sentence each: setuid bits, links that point outside.
    pub warnings: Vec<String>,
    /// Beside each of `entries`: where its bytes are, and its time stamp.
    origins: Vec<(Origin, Option<i64>)>,
    source: Source,
}

/// The open archive. The file that was verified is the one that is unpacked, whatever stands at its path by then.
#[derive(Debug)]
enum Source {
    Zip(ZipFile),
    Tar(TarFile),
    Folder(Folder),
}

/// One entry of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path after the leading folder was stripped.
    pub path: BundlePath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, at most `0o7777`; `0o777` for a link.
    pub mode: u32,
    /// Bytes of a file; 0 otherwise.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file and the digest of its bytes.
    File(Sha256),
    /// A folder.
    Directory,
    /// A symbolic link and its target text.
    Link(String),
}

impl Bundle {
    /// Reads and verifies an archive or a folder. Writes nothing. The format is told by the first bytes, not by the name.
    pub fn open(path: &Path, limits: &Limits) -> Result<Bundle, OpenError> {
        let unreadable = |source| OpenError::Read { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(OpenError::Format { path: path.to_owned() });
        }
        let (format, archive_digest, source, found) = if metadata.is_dir() {
            let (folder, found) = Folder::open(path, limits)?;
            (Format::Directory, None, Source::Folder(folder), found)
        } else {
            let file = File::open(path).map_err(unreadable)?;
            let length = file.metadata().map_err(unreadable)?.len();
            let format =
                detect(&file).map_err(unreadable)?.ok_or_else(|| OpenError::Format { path: path.to_owned() })?;
            let (digest, source, found) = match format {
                Format::Zip => {
                    let second = file.try_clone().map_err(unreadable)?;
                    let hash = || Sha256::of_reader(Section::new(&second, 0, length));
                    let (hashed, opened) = thread::scope(|scope| {
                        let hashing = scope.spawn(hash);
                        let opened = ZipFile::open(file, length, limits);
                        (hashing.join(), opened)
                    });
                    let (zip, found) = opened?;
                    let hashed = hashed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    (hashed.map_err(unreadable)?.0, Source::Zip(zip), found)
                }
                Format::Tar | Format::Tgz => {
                    let (tar, listing) = TarFile::open(file, length, format == Format::Tgz, limits)?;
                    (listing.archive_digest, Source::Tar(tar), listing.found)
                }
                Format::Directory => unreachable!("a file is no folder"),
            };
            (format, Some(digest), source, found)
        };
        Bundle::verified(path, format, archive_digest, source, found, limits)
    }

    fn verified(
        path: &Path,
        format: Format,
        archive_digest: Option<Sha256>,
        source: Source,
        found: Vec<Found>,
        limits: &Limits,
    ) -> Result<Bundle, OpenError> {
        let leading = if format == Format::Directory { LeadingFolder::Keep } else { LeadingFolder::Strip };
        let tree = tree::build(found, leading, limits)?;
        let files = files(&tree.entries);
        let mut bundle = Bundle {
            path: path.to_owned(),
            format,
            archive_digest,
            content_digest: content_digest(&files),
            manifest: None,
            warnings: tree::warnings(&tree.entries),
            entries: tree.entries,
            origins: tree.origins,
            source,
        };
        if let Some(manifest) = bundle.read_manifest()? {
            compare(&manifest, &files, bundle.content_digest)?;
            bundle.manifest = Some(manifest);
        }
        Ok(bundle)
    }

    fn read_manifest(&self) -> Result<Option<Manifest>, OpenError> {
        let manifest: BundlePath = MANIFEST_PATH.parse().expect("the constant is a path");
        let Some(index) = self.find(&manifest) else { return Ok(None) };
        match &self.entries[index] {
            Entry { kind: EntryKind::File(_), size, .. } if *size <= MANIFEST_LIMIT => {
                Manifest::parse(&self.bytes(index)?).map(Some).map_err(OpenError::Manifest)
            }
            Entry { kind: EntryKind::File(_), .. } => Err(OpenError::ManifestFile { why: "is too large" }),
            Entry { kind: EntryKind::Directory | EntryKind::Link(_), .. } => {
                Err(OpenError::ManifestFile { why: "is no regular file" })
            }
        }
    }

    /// The appspec: the file `name` if one is given, else `appspec.yml`, else `appspec.yaml`. `None` when it is not there.
    pub fn appspec(&self, name: Option<&str>) -> Option<BundlePath> {
        let names = match name {
            Some(name) => vec![name],
            None => vec!["appspec.yml", "appspec.yaml"],
        };
        let paths = names.into_iter().filter_map(|name| BundlePath::normalized(name).ok());
        paths.into_iter().find(|path| self.resolve(path).is_some())
    }

    /// The bytes of one file, at most `limit` of them; `None` when there is no such file. A path that is a link gives the
    /// file of the bundle that it names. Folders above it are not looked at for links.
    pub fn read(&self, path: &BundlePath, limit: u64) -> Result<Option<Vec<u8>>, OpenError> {
        let Some(index) = self.resolve(path) else { return Ok(None) };
        let size = self.entries[index].size;
        if size > limit {
            return Err(OpenError::ReadLimit { entry: shown(path.as_str().as_bytes()), size, limit });
        }
        self.bytes(index).map(Some)
    }

    /// Unpacks everything into `to`, which must not exist; its parent must. On failure nothing is left.
    ///
    /// Files, links and folders get the modes and time stamps of the archive whatever the umask; owners are not restored.
    /// Nothing is synced: a caller that needs the files to survive a power failure calls `syncfs` once afterwards.
    pub fn unpack(&self, to: &Path) -> Result<(), OpenError> {
        unpack::unpack(self, to)
    }

    fn find(&self, path: &BundlePath) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok()
    }

    /// The regular file that a path names, links followed inside the bundle.
    fn resolve(&self, path: &BundlePath) -> Option<usize> {
        let mut path = path.clone();
        for _ in 0..=MOST_LINKS {
            let index = self.find(&path)?;
            match &self.entries[index].kind {
                EntryKind::File(_) => return Some(index),
                EntryKind::Directory => return None,
                EntryKind::Link(target) => path = link::destination(&path, target)?,
            }
        }
        None
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, OpenError> {
        let entry = &self.entries[index];
        let (Origin::Item(item) | Origin::CopyOf(item)) = self.origins[index].0 else {
            return Ok(Vec::new());
        };
        let changed = || OpenError::Changed { entry: shown(entry.path.as_str().as_bytes()) };
        let mut bytes = Vec::new();
        let mut keep = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            if bytes.len() as u64 > entry.size { Err(changed()) } else { Ok(()) }
        };
        match &self.source {
            Source::Zip(zip) => zip.copy(&mut Inflater::new(), item, &mut keep)?,
            Source::Folder(folder) => folder.copy(&mut vec![0; 64 << 10], item, &mut keep)?,
            Source::Tar(tar) => tar.copy(&mut |index| index == item, &mut |_, piece| match piece {
                Piece::Bytes(piece) => keep(piece),
                Piece::End => Ok(()),
            })?,
        }
        match entry.kind {
            EntryKind::File(sha256) if Sha256::of(&bytes) == sha256 => Ok(bytes),
            EntryKind::File(_) | EntryKind::Directory | EntryKind::Link(_) => Err(changed()),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { total: 32 << 30, entries: 1_000_000, ratio: 1000 }
    }
}

fn detect(file: &File) -> io::Result<Option<Format>> {
    let mut start = Vec::new();
    Section::new(file, 0, 512).read_to_end(&mut start)?;
    Ok(match &start[..] {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Format::Zip),
        [0x1f, 0x8b, ..] => Some(Format::Tgz),
        header if is_tar(header) => Some(Format::Tar),
        _ => None,
    })
}

/// Whether a block is the header of a tar entry, by its checksum, or the zeros that end a tar without entries.
fn is_tar(block: &[u8]) -> bool {
    if block.len() < 512 {
        return false;
    }
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let digits: String = block[148..156].iter().map(|byte| char::from(*byte)).collect();
    let digits = digits.trim_matches(|c| c == ' ' || c == '\0');
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    u32::from_str_radix(digits, 8) == Ok(sum)
}

/// Checks declared sizes before anything is inflated. Nothing that is read later may exceed what it declares.
fn check_sizes<'a>(
    sizes: impl Iterator<Item = (&'a [u8], u64)> + Clone,
    packed: u64,
    limits: &Limits,
) -> Result<(), OpenError> {
    check_total(sizes.clone(), limits)?;
    let most = limits.ratio.saturating_mul(packed).saturating_add(RATIO_FREE);
    let mut total: u64 = 0;
    for (name, size) in sizes {
        total = total.saturating_add(size);
        if total > most {
            return Err(OpenError::Ratio { entry: shown(name), ratio: limits.ratio });
        }
    }
    Ok(())
}

fn check_total<'a>(sizes: impl Iterator<Item = (&'a [u8], u64)>, limits: &Limits) -> Result<(), OpenError> {
    let mut total: u64 = 0;
    for (name, size) in sizes {
        total = total.saturating_add(size);
        if total > limits.total {
            return Err(OpenError::Total { entry: shown(name), limit: limits.total });
        }
    }
    Ok(())
}

/// What a manifest of these entries would list.
fn files(entries: &[Entry]) -> Vec<ManifestFile> {
    let file = |entry: &Entry| match &entry.kind {
        EntryKind::File(sha256) => {
            Some(ManifestFile::file(entry.path.clone(), entry.mode & 0o111 != 0, entry.size, *sha256))
        }
        EntryKind::Link(target) => Some(ManifestFile::link(entry.path.clone(), target)),
        EntryKind::Directory => None,
    };
    entries.iter().filter(|entry| entry.path.as_str() != MANIFEST_PATH).filter_map(file).collect()
}

/// Compares the manifest with what is there; both are sorted by path.
fn compare(manifest: &Manifest, found: &[ManifestFile], computed: Sha256) -> Result<(), OpenError> {
    let (mut listed, mut there) = (manifest.files.iter().peekable(), found.iter().peekable());
    let name = |file: &ManifestFile| shown(file.path.as_str().as_bytes());
    loop {
        match (listed.peek(), there.peek()) {
            (None, None) => break,
            (Some(missing), None) => return Err(OpenError::Missing { entry: name(missing) }),
            (None, Some(extra)) => return Err(OpenError::Unlisted { entry: name(extra) }),
            (Some(missing), Some(extra)) if missing.path < extra.path => {
                return Err(OpenError::Missing { entry: name(missing) });
            }
            (Some(missing), Some(extra)) if missing.path > extra.path => {
                return Err(OpenError::Unlisted { entry: name(extra) });
            }
            (Some(expected), Some(actual)) => {
                if let Some(what) = difference(expected, actual) {
                    return Err(OpenError::Differs { entry: name(actual), what });
                }
            }
        }
        listed.next();
        there.next();
    }
    if manifest.content_digest == computed {
        Ok(())
    } else {
        Err(OpenError::ContentDigest { named: manifest.content_digest, computed })
    }
}

fn difference(expected: &ManifestFile, actual: &ManifestFile) -> Option<&'static str> {
    match (expected.kind, actual.kind) {
        (FileKind::File, FileKind::Link) | (FileKind::Link, FileKind::File) => return Some("kind"),
        (FileKind::File, FileKind::File) | (FileKind::Link, FileKind::Link) => {}
    }
    if expected.size != actual.size {
        return Some("size");
    }
    if expected.sha256 != actual.sha256 {
        return Some("digest");
    }
    (expected.mode != actual.mode).then_some("x bit")
}
