//! Files → deterministic zip. The bytes depend on the paths, the contents, the x bits and the options, and on nothing
//! else: not on time stamps, owners, umask, locale, time zone, order, folder or threads. Does not choose the files.

mod block_writer;
mod compress;
mod pipeline;
mod source;
mod zip_header;
mod zip_writer;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use self::block_writer::BlockWriter;
use self::compress::{COMPRESSOR, Place};
use self::pipeline::{BlockPart, Part, Piece};
use self::source::{Source, SourceKind};
use self::zip_header::{Header, Method, Width};
use self::zip_writer::{OpenEntry, ZipWriter};
use super::manifest::{FORMAT, Tool};
use super::{BundlePath, MANIFEST_PATH, Manifest, ManifestFile, ManifestImage, content_digest, dos_time};
use crate::digest::{Hasher, Sha256};
use crate::fsx;
use crate::growing::Written;
use crate::ids::{ApplicationName, CommitHash};

/// One file or link to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    /// Its path in the bundle.
    pub path: BundlePath,
    /// Where it stands on disk. A link is packed as a link.
    pub from: PathBuf,
}

/// What the manifest says beside the files, and how to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// Whether the work tree differed from the commit.
    pub dirty: bool,
    /// The time stamp of every entry, seconds since 1970, rounded down to two seconds; before 1980 means 1980-01-01.
    pub time: i64,
    /// The images that the manifest lists.
    pub images: Vec<ManifestImage>,
    /// How many threads compress, 8 at most; the bytes do not depend on it.
    pub threads: usize,
}

/// A packed bundle.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Bytes of the archive.
    pub size: u64,
    /// The digest of the archive file.
    pub archive_digest: Sha256,
    /// The manifest, content digest included.
    pub manifest: Manifest,
    /// What will surprise, one sentence each: dropped bits, names that collide elsewhere. Links are the caller's to judge.
    pub warnings: Vec<String>,
}

/// Why packing failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The archive cannot be written.
    #[error("cannot write bundle `{path}`")]
    Write {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Where it stands on disk.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file was written to while it was packed.
    #[error("`{path}` changed while it was packed")]
    Changed {
        /// Where it stands on disk.
        path: PathBuf,
    },
    /// Neither a file nor a link.
    #[error("cannot pack `{path}`: `{from}` is a {kind}, and a bundle holds files and links only")]
    Kind {
        /// Its path in the bundle.
        path: BundlePath,
        /// Where it stands on disk.
        from: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A link whose target is no UTF-8.
    #[error("cannot pack link `{path}`: the target of `{from}` is not UTF-8")]
    LinkTarget {
        /// Its path in the bundle.
        path: BundlePath,
        /// Where it stands on disk.
        from: PathBuf,
    },
    /// Two files for one path.
    #[error("two files want to be `{path}` in the bundle: `{first}` and `{second}`")]
    Duplicate {
        /// The path in the bundle.
        path: BundlePath,
        /// One file.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A path that needs a folder where a file or link stands.
    #[error("`{path}` cannot stand below `{file}`, which is a file or link of the bundle")]
    BelowFile {
        /// The path.
        path: BundlePath,
        /// The file or link above it.
        file: BundlePath,
    },
    /// Whoever was told how far it is wanted no more.
    #[error("packing was stopped")]
    Stopped,
    /// A path that belongs to the manifest.
    #[error("`{path}` cannot be packed: Longshore writes its manifest there")]
    ManifestPath {
        /// The path.
        path: BundlePath,
    },
}

/// Packs `files` into a new zip at `to`, wholly or not at all. Order and duplicates of `files` do not matter to the bytes.
///
/// `progress` is told, on the calling thread, how many more bytes of the files were packed. A file that stands at `to` is
/// replaced. The archive is not synced to the disk: after a power failure it may be gone, as the build that made it.
pub fn pack(
    files: Vec<PackFile>,
    options: &PackOptions,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Packed, PackError> {
    let sources = Sources::look(files)?;
    let write_failed = |source| PackError::Write { path: to.to_owned(), source };
    let temporary = Temporary::create(to).map_err(write_failed)?;
    let told = Told { progress, written: &|_| ControlFlow::Continue(()) };
    let packed = sources.pack(options, Target { file: &temporary.file, path: to }, &told)?;
    temporary.rename(to).map_err(write_failed)?;
    Ok(packed)
}

/// Files that were looked at. Packing refuses one that has changed since.
#[derive(Debug)]
pub struct Sources {
    list: Vec<Source>,
    warnings: Vec<String>,
}

/// Where an archive is written.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// An empty file, open for reading and writing.
    pub file: &'a File,
    /// Its path, for messages.
    pub path: &'a Path,
}

/// Who is told how packing goes on, on the calling thread.
pub struct Told<'a> {
    /// How many more bytes of the files were packed.
    pub progress: &'a dyn Fn(u64),
    /// How much of the archive is final. A break stops the packing.
    pub written: &'a dyn Fn(Written) -> ControlFlow<()>,
}

impl Sources {
    /// Looks at every file, without reading more of it than tells how to keep it.
    pub fn look(files: Vec<PackFile>) -> Result<Sources, PackError> {
        let (list, warnings) = source::look(files)?;
        Ok(Sources { list, warnings })
    }

    /// More bytes than the archive can have.
    pub fn most_bytes(&self) -> u64 {
        // Deflate adds a few bytes for each block at worst. A path stands in both headers and in the manifest, which may be
        // stored in up to three times as many bytes where it is escaped.
        let entry = |source: &Source| {
            let size = pipeline::size(source);
            size + size / 1024 + 8 * source.path.as_str().len() as u64 + 4096
        };
        self.list.iter().map(entry).sum::<u64>() + (1 << 20)
    }

    /// Packs the files. After a failure the archive is worth nothing.
    pub fn pack(&self, options: &PackOptions, to: Target<'_>, told: &Told<'_>) -> Result<Packed, PackError> {
        let mut archive = Archive::new(to, options.time, self.list.len());
        pipeline::run(&self.list, options.threads, |piece| {
            archive.piece(piece, &self.list, told.progress)?;
            match (told.written)(archive.zip.written()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(PackError::Stopped),
            }
        })?;
        let files = std::mem::take(&mut archive.files);
        let manifest = Manifest {
            format: FORMAT,
            tool: Tool {
                name: "longshore".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                compressor: COMPRESSOR.to_owned(),
            },
            application: options.application.clone(),
            commit: options.commit.clone(),
            dirty: options.dirty,
            time: dos_time::representable(options.time),
            content_digest: content_digest(&files),
            images: options.images.clone(),
            files,
        };
        let write_failed = |source| PackError::Write { path: to.path.to_owned(), source };
        let mut json = BlockWriter::new(options.threads);
        manifest.write_json(&mut json).map_err(write_failed)?;
        archive.whole(MANIFEST_PATH, 0o100_644, &json.finish())?;
        let (archive_digest, size) = archive.zip.finish(options.commit.as_str()).map_err(write_failed)?;
        Ok(Packed { size, archive_digest, manifest, warnings: self.warnings.clone() })
    }
}

/// The zip with what the manifest will say of it.
struct Archive<'a> {
    zip: ZipWriter<'a>,
    to: &'a Path,
    time: i64,
    files: Vec<ManifestFile>,
    /// The file whose blocks are coming.
    open: Option<OpenFile>,
}

struct OpenFile {
    entry: OpenEntry,
    crc: crc32fast::Hasher,
    hasher: Hasher,
    compressed: u64,
}

impl<'a> Archive<'a> {
    fn new(to: Target<'a>, time: i64, files: usize) -> Self {
        Archive { zip: ZipWriter::new(to.file), to: to.path, time, files: Vec::with_capacity(files), open: None }
    }

    fn piece(&mut self, piece: &Piece, sources: &[Source], progress: &dyn Fn(u64)) -> Result<(), PackError> {
        match piece {
            Piece::Whole(index, part) => {
                let source = &sources[*index];
                self.whole(source.path.as_str(), mode(source), part)?;
                self.files.push(match &source.kind {
                    SourceKind::Link(target) => ManifestFile::link(source.path.clone(), target),
                    SourceKind::File(file) => {
                        ManifestFile::file(source.path.clone(), file.executable, part.size, part.sha256)
                    }
                });
                progress(part.size);
            }
            Piece::Block(index, part) => {
                self.block(&sources[*index], part)?;
                progress(part.raw().len() as u64);
            }
        }
        Ok(())
    }

    fn whole(&mut self, name: &str, mode: u32, part: &Part) -> Result<(), PackError> {
        let compressed = part.data.len() as u64;
        let Part { method, crc, size, .. } = *part;
        let header = Header { name, mode, time: self.time, method, crc, compressed, size };
        self.zip.entry(&header, &part.data).map_err(|source| self.failed(source))
    }

    fn block(&mut self, source: &Source, part: &BlockPart) -> Result<(), PackError> {
        let SourceKind::File(file) = &source.kind else {
            unreachable!("only a file has more than one block");
        };
        let method = file.method.unwrap_or(Method::Deflated);
        let mut header = Header {
            name: source.path.as_str(),
            mode: mode(source),
            time: self.time,
            method,
            crc: 0,
            compressed: 0,
            size: file.size,
        };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let width = match method {
                    Method::Stored => Width::of(file.size, file.size),
                    Method::Deflated => Width::before_deflate(file.size),
                };
                let entry = self.zip.begin(&header, width).map_err(|source| self.failed(source))?;
                OpenFile { entry, crc: crc32fast::Hasher::new(), hasher: Hasher::default(), compressed: 0 }
            }
        };
        open.crc.combine(&part.crc);
        open.hasher.update(part.raw());
        open.compressed += part.data().len() as u64;
        self.zip.append(part.data()).map_err(|source| self.failed(source))?;
        match part.place {
            Place::Inner => self.open = Some(open),
            Place::Last => {
                header.crc = open.crc.finalize();
                header.compressed = open.compressed;
                self.zip.finish_entry(&open.entry, &header).map_err(|source| self.failed(source))?;
                let sha256 = open.hasher.finish();
                self.files.push(ManifestFile::file(source.path.clone(), file.executable, file.size, sha256));
            }
        }
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> PackError {
        PackError::Write { path: self.to.to_owned(), source }
    }
}

fn mode(source: &Source) -> u32 {
    match &source.kind {
        SourceKind::Link(_) => 0o120_777,
        SourceKind::File(file) if file.executable => 0o100_755,
        SourceKind::File(_) => 0o100_644,
    }
}

/// A file beside the archive that is gone unless it was renamed.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn create(to: &Path) -> std::io::Result<Temporary> {
        let path = fsx::temporary_beside(to);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Temporary { file, path })
    }

    fn rename(self, to: &Path) -> std::io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename the name is free and this finds nothing.
        let _ = fs::remove_file(&self.path);
    }
}
