//! What the manifest will say of files, before they are packed: their digests, by reading them. Writes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::PackError;
use super::pipeline::MOST_THREADS;
use super::source::{self, FileSource, Source, SourceKind};
use crate::bundle::ManifestFile;
use crate::digest::{Hasher, Sha256};

/// Files that a thread takes at a time.
const GROUP: usize = 16;
/// What is read of a large file at a time.
const CHUNK: usize = 256 << 10;

/// Reads every file, and describes it. In the order of the sources.
pub(super) fn files(
    sources: &[Source],
    threads: usize,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<ManifestFile>, PackError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut described = Vec::new();
        loop {
            let start = next.fetch_add(GROUP, Ordering::Relaxed);
            let end = sources.len().min(start + GROUP);
            let Some(group) = sources.get(start..end).filter(|group| !group.is_empty()) else {
                return Ok(described);
            };
            if stopped() {
                return Err(PackError::Stopped);
            }
            for source in group {
                described.push(describe(source, &mut buffer)?);
            }
        }
    };
    let described: Result<Vec<Vec<ManifestFile>>, PackError> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, MOST_THREADS)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(described) => described,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    });
    let mut described: Vec<ManifestFile> = described?.into_iter().flatten().collect();
    described.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(described)
}

fn describe(source: &Source, buffer: &mut Vec<u8>) -> Result<ManifestFile, PackError> {
    let path = source.path.clone();
    Ok(match &source.kind {
        SourceKind::Link(target) => ManifestFile::link(path, target),
        SourceKind::File(file) => ManifestFile::file(path, file.executable, file.size, hash(source, file, buffer)?),
    })
}

fn hash(source: &Source, file: &FileSource, buffer: &mut Vec<u8>) -> Result<Sha256, PackError> {
    if file.size <= CHUNK as u64 {
        source::read_whole(&source.from, file, buffer)?;
        return Ok(Sha256::of(buffer));
    }
    let opened = source::open(&source.from, file)?;
    let mut hasher = Hasher::default();
    let mut offset = 0;
    while offset < file.size {
        let length = CHUNK.min(usize::try_from(file.size - offset).unwrap_or(CHUNK));
        buffer.clear();
        source::read_part(&opened, &source.from, offset, length, buffer)?;
        hasher.update(buffer);
        offset += length as u64;
    }
    Ok(hasher.finish())
}
