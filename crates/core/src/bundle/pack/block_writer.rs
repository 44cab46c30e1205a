//! Deflates what is written into it as the pipeline deflates a file of these bytes, some blocks side by side, and holds no more
//! of it than those. Reads nothing.

use std::io::{self, Write};
use std::thread;

use super::compress::{BLOCK, Deflater, Place, WINDOW};
use super::pipeline::{self, MOST_THREADS, Part};
use super::zip_header::Method;
use crate::digest::Hasher;

/// A file in the making.
pub(super) struct BlockWriter {
    /// One for each thread, and what it makes of a block.
    deflaters: Vec<(Deflater, Vec<u8>)>,
    /// The bytes that wait, behind at most [`WINDOW`] that precede them.
    waiting: Vec<u8>,
    /// How many precede them.
    before: usize,
    crc: crc32fast::Hasher,
    hasher: Hasher,
    size: u64,
    data: Vec<u8>,
}

impl BlockWriter {
    /// An empty file, deflated on `threads` threads.
    pub(super) fn new(threads: usize) -> BlockWriter {
        BlockWriter {
            deflaters: (0..threads.clamp(1, MOST_THREADS)).map(|_| (Deflater::new(), Vec::new())).collect(),
            waiting: Vec::new(),
            before: 0,
            crc: crc32fast::Hasher::new(),
            hasher: Hasher::default(),
            size: 0,
            data: Vec::new(),
        }
    }

    /// The whole file, ready for the archive.
    pub(super) fn finish(mut self) -> Part {
        if self.size <= BLOCK as u64 {
            return pipeline::part(&self.waiting, &mut self.deflaters[0].0);
        }
        self.deflate(Place::Last);
        Part {
            method: Method::Deflated,
            crc: self.crc.finalize(),
            sha256: self.hasher.finish(),
            size: self.size,
            data: self.data,
        }
    }

    /// Deflates all that waits. `last`: what its last block is.
    fn deflate(&mut self, last: Place) {
        let (waiting, end) = (&self.waiting, self.waiting.len());
        let starts = (self.before..end).step_by(BLOCK);
        let blocks = starts.len();
        thread::scope(|scope| {
            for (start, (deflater, output)) in starts.zip(&mut self.deflaters) {
                scope.spawn(move || {
                    let stop = end.min(start + BLOCK);
                    let place = if stop == end { last } else { Place::Inner };
                    let before = &waiting[start.saturating_sub(WINDOW)..start];
                    deflater.block(before, &waiting[start..stop], place, output);
                });
            }
        });
        for (_, output) in &self.deflaters[..blocks] {
            self.data.extend_from_slice(output);
        }
        self.crc.update(&waiting[self.before..]);
        self.hasher.update(&waiting[self.before..]);
        let kept = end.saturating_sub(WINDOW);
        self.waiting.drain(..kept);
        self.before = end - kept;
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let full = self.before + self.deflaters.len() * BLOCK;
        // Not before there is more: the last block is deflated in another way.
        if self.waiting.len() == full && !bytes.is_empty() {
            self.deflate(Place::Inner);
        }
        let room = self.before + self.deflaters.len() * BLOCK - self.waiting.len();
        let taken = bytes.len().min(room);
        self.waiting.extend_from_slice(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_gives_one_stream_for_any_number_of_threads_and_any_pieces() {
        let bytes: Vec<u8> = (0..3 * BLOCK as u32 / 4 + 7).flat_map(|n| (n / 5).to_le_bytes()).collect();
        for length in [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK, bytes.len()] {
            let bytes = &bytes[..length];
            let part = |threads, piece| {
                let mut writer = BlockWriter::new(threads);
                bytes.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
                writer.finish()
            };
            let one = part(1, usize::MAX);
            for (threads, piece) in [(0, 1000), (2, usize::MAX), (3, BLOCK), (8, 77_777)] {
                let other = part(threads, piece);
                assert_eq!(
                    (&other.data, other.crc, other.sha256),
                    (&one.data, one.crc, one.sha256),
                    "{length} {threads}"
                );
            }
            let mut inflated = Vec::new();
            match one.method {
                Method::Stored => inflated.extend_from_slice(&one.data),
                Method::Deflated => {
                    let mut decoder = flate2::read::DeflateDecoder::new(&one.data[..]);
                    io::Read::read_to_end(&mut decoder, &mut inflated).unwrap();
                }
            }
            assert!(inflated == bytes && one.size == length as u64, "{length}");
        }
    }
}
