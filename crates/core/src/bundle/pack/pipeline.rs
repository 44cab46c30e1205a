//! Reads and compresses on several threads and hands the results over in order, with a bound on what waits in memory.
//! Whatever the threads do, the results are the same: each is a function of one file, or of one block of a file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::PackError;
use super::compress::{self, BLOCK, Deflater, Place, WINDOW};
use super::source::{self, Source, SourceKind};
use super::zip_header::Method;
use crate::digest::Sha256;

/// Bytes that may be read and not written yet.
const IN_FLIGHT: u64 = 16 << 20;
/// More threads than this would need more memory than they are worth.
pub(super) const MOST_THREADS: usize = 8;
/// Small files go through the threads in groups: a lock for each would cost more than their compression.
const GROUP_FILES: usize = 64;
/// Room for whatever deflate makes of a block, and for a block and what precedes it.
const BUFFER: usize = BLOCK + BLOCK / 8 + 1024;
const GROUP_BYTES: u64 = 256 << 10;

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    /// Links, and files of at most one block.
    Group(Range<usize>),
    /// One block of a larger file.
    Block { source: usize, index: u64 },
}

/// What came out of a job.
pub(super) enum Piece {
    /// A whole link or file, and its place in the list of sources.
    Whole(usize, Part),
    /// The next block of a file, and the file's place in the list of sources.
    Block(usize, BlockPart),
}

/// A whole file, ready for the archive.
pub(super) struct Part {
    /// How it is kept.
    pub(super) method: Method,
    /// CRC-32 of the file.
    pub(super) crc: u32,
    /// The digest of the file.
    pub(super) sha256: Sha256,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Bytes for the archive.
    pub(super) data: Vec<u8>,
}

/// A block of a file, ready for the archive.
pub(super) struct BlockPart {
    /// Bytes of the file, behind `skip` bytes of the block before.
    read: Vec<u8>,
    skip: usize,
    /// What deflate made of them; `None` where they are stored.
    deflated: Option<Vec<u8>>,
    /// CRC-32 of the block.
    pub(super) crc: crc32fast::Hasher,
    /// Whether it ends the file.
    pub(super) place: Place,
}

impl BlockPart {
    /// Bytes of the file.
    pub(super) fn raw(&self) -> &[u8] {
        &self.read[self.skip..]
    }

    /// Bytes for the archive.
    pub(super) fn data(&self) -> &[u8] {
        self.deflated.as_deref().unwrap_or(self.raw())
    }
}

/// Prepares all sources on `threads` threads and gives each piece, in order, to `write` on this one.
pub(super) fn run(
    sources: &[Source],
    threads: usize,
    mut write: impl FnMut(&Piece) -> Result<(), PackError>,
) -> Result<(), PackError> {
    let jobs = jobs(sources);
    let queue = Queue {
        jobs: &jobs,
        sources,
        state: Mutex::default(),
        spare: Mutex::default(),
        room: Condvar::new(),
        ready: Condvar::new(),
    };
    thread::scope(|scope| {
        // Whichever way this thread leaves, the others must not wait for it.
        let _stop = StopOnDrop(&queue);
        for _ in 0..threads.clamp(1, MOST_THREADS).min(jobs.len()) {
            scope.spawn(|| queue.work());
        }
        for (index, job) in jobs.iter().enumerate() {
            for piece in queue.take(index)? {
                write(&piece)?;
                queue.recycle(piece);
            }
            queue.release(cost(job, sources));
        }
        Ok(())
    })
}

fn jobs(sources: &[Source]) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut group = 0..0;
    let mut bytes = 0;
    for (index, source) in sources.iter().enumerate() {
        let size = size(source);
        let large = size > BLOCK as u64;
        if large || group.len() == GROUP_FILES || bytes + size > GROUP_BYTES {
            if !group.is_empty() {
                jobs.push(Job::Group(group));
            }
            group = index..index;
            bytes = 0;
        }
        if large {
            jobs.extend((0..size.div_ceil(BLOCK as u64)).map(|block| Job::Block { source: index, index: block }));
            group = index + 1..index + 1;
        } else {
            group.end = index + 1;
            bytes += size;
        }
    }
    if !group.is_empty() {
        jobs.push(Job::Group(group));
    }
    jobs
}

/// Bytes of a file, or of the target of a link.
pub(super) fn size(source: &Source) -> u64 {
    match &source.kind {
        SourceKind::File(file) => file.size,
        SourceKind::Link(target) => target.len() as u64,
    }
}

/// Bytes that a job holds at its worst: what was read, and what became of it.
fn cost(job: &Job, sources: &[Source]) -> u64 {
    match job {
        Job::Group(range) => sources[range.clone()].iter().map(size).sum::<u64>() * 2,
        Job::Block { .. } => 2 * BLOCK as u64,
    }
}

struct Queue<'a> {
    jobs: &'a [Job],
    sources: &'a [Source],
    state: Mutex<State>,
    /// Buffers of blocks that were written. Handed from thread to thread, since an allocator that keeps memory for each
    /// thread would let it pile up.
    spare: Mutex<Vec<Vec<u8>>>,
    /// Signalled when bytes were written, or all is over.
    room: Condvar,
    /// Signalled when a result is there, or all is over.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    next: usize,
    in_flight: u64,
    results: BTreeMap<usize, Result<Vec<Piece>, PackError>>,
    stopped: bool,
}

struct StopOnDrop<'a>(&'a Queue<'a>);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.room.notify_all();
        self.0.ready.notify_all();
    }
}

/// A thread that panics must not leave the others waiting.
struct StopOnPanic<'a>(&'a Queue<'a>);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(StopOnDrop(self.0));
        }
    }
}

impl Queue<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recycle(&self, piece: Piece) {
        match piece {
            Piece::Whole(..) => {}
            Piece::Block(_, part) => {
                let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
                spare.push(part.read);
                spare.extend(part.deflated);
            }
        }
    }

    fn buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = spare.unwrap_or_else(|| Vec::with_capacity(BUFFER));
        buffer.clear();
        buffer
    }

    fn work(&self) {
        let _stop = StopOnPanic(self);
        let mut worker = Worker { queue: self, deflater: Deflater::new(), read: Vec::with_capacity(BUFFER) };
        while let Some(index) = self.next() {
            let result = worker.job(&self.jobs[index]);
            self.lock().results.insert(index, result);
            self.ready.notify_one();
        }
    }

    /// The next job, as soon as there is room for it. Jobs start in order, so the one that the writer waits for has started.
    fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let index = state.next;
            if state.stopped || index == self.jobs.len() {
                return None;
            }
            let cost = cost(&self.jobs[index], self.sources);
            if state.in_flight == 0 || state.in_flight + cost <= IN_FLIGHT {
                state.in_flight += cost;
                state.next += 1;
                return Some(index);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, index: usize) -> Result<Vec<Piece>, PackError> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.results.remove(&index) {
                return result;
            }
            assert!(!state.stopped, "a thread that compresses panicked");
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn release(&self, cost: u64) {
        self.lock().in_flight -= cost;
        self.room.notify_all();
    }
}

struct Worker<'a> {
    queue: &'a Queue<'a>,
    deflater: Deflater,
    read: Vec<u8>,
}

impl Worker<'_> {
    fn job(&mut self, job: &Job) -> Result<Vec<Piece>, PackError> {
        match job {
            Job::Group(range) => range.clone().map(|index| self.whole(index)).collect(),
            Job::Block { source, index } => Ok(vec![self.block(*source, *index)?]),
        }
    }

    fn whole(&mut self, index: usize) -> Result<Piece, PackError> {
        let source = &self.queue.sources[index];
        let part = match &source.kind {
            SourceKind::File(file) => {
                source::read_whole(&source.from(), file, &mut self.read)?;
                part(&self.read, &mut self.deflater)
            }
            // The target of a link is always stored: unpackers expect its text there.
            SourceKind::Link(target) => stored(target.as_bytes()),
        };
        Ok(Piece::Whole(index, part))
    }

    fn block(&mut self, index: usize, block: u64) -> Result<Piece, PackError> {
        let source = &self.queue.sources[index];
        let SourceKind::File(file) = &source.kind else {
            unreachable!("only a file has more than one block");
        };
        let start = block * BLOCK as u64;
        let left = file.size - start;
        let (length, place) = if left <= BLOCK as u64 { (left as usize, Place::Last) } else { (BLOCK, Place::Inner) };
        let stored = file.method == Some(Method::Stored);
        let skip = if block == 0 || stored { 0 } else { WINDOW };
        let from = source.from();
        let opened = source::open(&from, file)?;
        let mut read = self.queue.buffer();
        source::read_part(&opened, &from, start - skip as u64, skip + length, &mut read)?;
        if place == Place::Last {
            // Nothing may have been added or changed while the blocks were read.
            drop(source::open(&from, file)?);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&read[skip..]);
        let deflated = (!stored).then(|| {
            let mut output = self.queue.buffer();
            self.deflater.block(&read[..skip], &read[skip..], place, &mut output);
            output
        });
        Ok(Piece::Block(index, BlockPart { read, skip, deflated, crc, place }))
    }
}

/// A file of at most one block: deflated, unless that does not make it smaller or the probe says so.
pub(super) fn part(bytes: &[u8], deflater: &mut Deflater) -> Part {
    if bytes.len() as u64 >= compress::PROBE_FROM && source::probe_bytes(bytes) == Method::Stored {
        return stored(bytes);
    }
    match deflater.file(bytes) {
        Some(deflated) => Part { method: Method::Deflated, data: deflated.to_vec(), ..checksums(bytes) },
        None => stored(bytes),
    }
}

fn stored(bytes: &[u8]) -> Part {
    Part { data: bytes.to_vec(), ..checksums(bytes) }
}

fn checksums(bytes: &[u8]) -> Part {
    let (crc, sha256, size) = (crc32fast::hash(bytes), Sha256::of(bytes), bytes.len() as u64);
    Part { method: Method::Stored, crc, sha256, size, data: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(targets: &[usize]) -> Vec<Source> {
        let source = |(index, length): (usize, &usize)| {
            let path = format!("f{index:04}").parse().unwrap();
            Source::at(path, "nowhere".into(), SourceKind::Link("x".repeat(*length)))
        };
        targets.iter().enumerate().map(source).collect()
    }

    #[test]
    fn jobs_cover_every_source_once_in_order() {
        let big = 2 * BLOCK + 1;
        assert_eq!(jobs(&[]), []);
        assert_eq!(
            jobs(&sources(&[1, big, 200 << 10, 100 << 10, 1, BLOCK])),
            [
                Job::Group(0..1),
                Job::Block { source: 1, index: 0 },
                Job::Block { source: 1, index: 1 },
                Job::Block { source: 1, index: 2 },
                Job::Group(2..3),
                Job::Group(3..5),
                Job::Group(5..6),
            ]
        );
        assert_eq!(jobs(&sources(&[1; 130])), [Job::Group(0..64), Job::Group(64..128), Job::Group(128..130)]);
    }
}
