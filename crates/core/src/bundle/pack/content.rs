//! The content digest of files before they are packed, by reading them. Writes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::PackError;
use super::pipeline::MOST_THREADS;
use super::source::{self, FileSource, Source, SourceKind};
use crate::bundle::ManifestFile;
use crate::bundle::manifest::content_digest_of_sorted;
use crate::digest::{Hasher, Sha256};

/// Files that a thread takes at a time.
const GROUP: usize = 16;
/// What is read of a large file at a time.
const CHUNK: usize = 256 << 10;

/// Reads every file and gives the content digest. `stopped`: whether nobody wants to know it any more.
pub(super) fn digest(
    sources: &[Source],
    threads: usize,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Sha256, PackError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut hashed = Vec::new();
        loop {
            let start = next.fetch_add(GROUP, Ordering::Relaxed);
            let Some(group) = sources.get(start..sources.len().min(start + GROUP)).filter(|group| !group.is_empty())
            else {
                return Ok(hashed);
            };
            for (index, source) in (start..).zip(group) {
                if let SourceKind::File(file) = &source.kind {
                    hashed.push((index, hash(source, file, &mut buffer, stopped)?));
                }
            }
        }
    };
    let hashed: Result<Vec<Vec<(usize, Sha256)>>, PackError> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, MOST_THREADS)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(hashed) => hashed,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    });
    let mut hashed = hashed?.concat();
    hashed.sort_unstable_by_key(|(index, _)| *index);
    let mut hashed = hashed.into_iter();
    let described = sources.iter().filter_map(|source| {
        let path = source.path.clone();
        match &source.kind {
            SourceKind::Link(target) => Some(ManifestFile::link(path, target)),
            SourceKind::File(file) => {
                hashed.next().map(|(_, sha256)| ManifestFile::file(path, file.executable, file.size, sha256))
            }
        }
    });
    // One at a time: a list of them all would be as large as the manifest.
    Ok(content_digest_of_sorted(described))
}

fn hash(
    source: &Source,
    file: &FileSource,
    buffer: &mut Vec<u8>,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Sha256, PackError> {
    if stopped() {
        return Err(PackError::Stopped);
    }
    let from = source.from();
    if file.size <= CHUNK as u64 {
        source::read_whole(&from, file, buffer)?;
        return Ok(Sha256::of(buffer));
    }
    let opened = source::open(&from, file)?;
    let mut hasher = Hasher::default();
    let mut offset = 0;
    while offset < file.size {
        if stopped() {
            return Err(PackError::Stopped);
        }
        let length = CHUNK.min(usize::try_from(file.size - offset).unwrap_or(CHUNK));
        buffer.clear();
        source::read_part(&opened, &from, offset, length, buffer)?;
        hasher.update(buffer);
        offset += length as u64;
    }
    Ok(hasher.finish())
}
