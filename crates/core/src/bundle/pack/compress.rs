//! Bytes → deflate, the same for the same bytes. Pure.
//!
//! Files of at most [`BLOCK`] bytes are deflated by libdeflate, which takes nothing but whole files; larger ones by zlib-rs.
//! What that makes of a file depends on how the file is cut into calls, so the cut is part of the format: blocks of
//! [`BLOCK`] bytes, each one call with room for all of its output, each primed with the 32 KiB before it. A block needs
//! nothing of the one before but its bytes, so the blocks of one file are deflated side by side.
//!
//! A block is primed by deflating the 32 KiB and throwing the result away. zlib's own way, a preset dictionary, hashes one
//! byte behind the dictionary: in a compressor that was used before, that is whatever the last file left there, and the
//! output differs (measured: 6 of 8,664 blocks). A new compressor for each block avoids that, but takes more memory.

use flate2::{Compress, Compression, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};

use super::zip_header::Method;

/// What the manifest says of the compressor.
pub(super) const COMPRESSOR: &str = "libdeflate 1.26.1 level 1; above 1 MiB zlib-rs 0.6.8 level 6";

/// Bytes of a file that are deflated in one call. Files of more are deflated by zlib-rs.
pub(super) const BLOCK: usize = 1 << 20;

/// How far back deflate can refer.
pub(super) const WINDOW: usize = 32 << 10;

/// Files below this size are always tried.
pub(super) const PROBE_FROM: u64 = 64 << 10;

/// Bytes of one of the three samples of [`probe`].
pub(super) const SAMPLE: usize = 16 << 10;

/// Whether a block ends its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// More follows.
    Inner,
    /// The last one.
    Last,
}

/// Compressors with their memory, used for one file or block after the other.
pub(super) struct Deflater {
    files: Compressor,
    blocks: Compress,
    /// Room for what becomes of a file.
    room: Vec<u8>,
    /// What priming makes, which nobody needs.
    waste: Vec<u8>,
}

impl Deflater {
    /// The compressors for the content of files.
    pub(super) fn new() -> Self {
        Self::at(Compression::new(6))
    }

    fn at(level: Compression) -> Self {
        let files = Compressor::new(CompressionLvl::new(1).expect("libdeflate has the levels 0 to 12"));
        Deflater { files, blocks: Compress::new(level, false), room: Vec::new(), waste: Vec::new() }
    }

    /// Deflates a file of at most [`BLOCK`] bytes; `None` if that would not make it smaller.
    pub(super) fn file(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if self.room.len() < bytes.len() {
            self.room.resize(bytes.len(), 0);
        }
        let room = &mut self.room[..bytes.len().saturating_sub(1)];
        let written = self.files.deflate_compress(bytes, room).ok()?;
        Some(&room[..written])
    }

    /// Deflates one block into `output`, which is emptied first. `before` is what precedes the block in its file, at most
    /// [`WINDOW`] bytes of it, nothing for the first.
    pub(super) fn block(&mut self, before: &[u8], bytes: &[u8], place: Place, output: &mut Vec<u8>) {
        self.blocks.reset();
        if !before.is_empty() {
            run(&mut self.blocks, before, Place::Inner, &mut self.waste);
        }
        run(&mut self.blocks, bytes, place, output);
    }
}

fn run(compress: &mut Compress, bytes: &[u8], place: Place, output: &mut Vec<u8>) {
    // More than deflate can ever add; a second call would make the output depend on the first one's room. No more than that: it
    // is filled with zeros each time, by us here, else by flate2, and then all of what the vector has allocated.
    output.clear();
    output.resize(bytes.len() + bytes.len() / 8 + 1024, 0);
    let flush = match place {
        Place::Inner => FlushCompress::Sync,
        Place::Last => FlushCompress::Finish,
    };
    let (read, written) = (compress.total_in(), compress.total_out());
    let status =
        compress.compress(bytes, output, flush).expect("deflating into memory meets no state that zlib calls an error");
    let room = output.len();
    output.truncate(usize::try_from(compress.total_out() - written).unwrap_or(room));
    let whole = match (place, status) {
        (Place::Last, Status::StreamEnd) => true,
        (Place::Inner, Status::Ok) => output.len() < room,
        (Place::Inner | Place::Last, Status::Ok | Status::BufError | Status::StreamEnd) => false,
    };
    assert!(whole && compress.total_in() - read == bytes.len() as u64, "the room holds any output");
}

/// The method for a file of at least [`PROBE_FROM`] bytes, from samples of its start, middle and end: store what level 1
/// makes less than 3 % smaller.
pub(super) fn probe(samples: &[&[u8]]) -> Method {
    let mut deflater = Deflater::at(Compression::fast());
    let before: usize = samples.iter().map(|sample| sample.len()).sum();
    let mut output = Vec::new();
    let mut deflated = |sample: &[u8]| {
        deflater.block(&[], sample, Place::Last, &mut output);
        output.len()
    };
    let after: usize = samples.iter().map(|sample| deflated(sample)).sum();
    if after * 100 > before * 97 { Method::Stored } else { Method::Deflated }
}

/// Where the three samples of a file of `size` bytes start.
pub(super) fn sample_offsets(size: u64) -> [u64; 3] {
    let sample = SAMPLE as u64;
    [0, (size - sample) / 2, size - sample]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("word{} ", state >> 22)
        };
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend_from_slice(word().as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| byte()).collect()
    }

    fn deflate(deflater: &mut Deflater, before: &[u8], bytes: &[u8], place: Place) -> Vec<u8> {
        let mut output = Vec::new();
        deflater.block(before, bytes, place, &mut output);
        output
    }

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn blocks_join_into_one_stream_hardly_larger_than_a_single_one() {
        let bytes = text(3 * BLOCK + 5);
        let mut deflater = Deflater::new();
        let mut joined = Vec::new();
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let start = index * BLOCK;
            let place = if start + block.len() == bytes.len() { Place::Last } else { Place::Inner };
            joined.extend(deflate(&mut deflater, &bytes[start.saturating_sub(WINDOW)..start], block, place));
        }
        assert_eq!(inflate(&joined), bytes);
        let single = deflate(&mut Deflater::new(), &[], &bytes, Place::Last).len();
        assert!(joined.len() < single + single / 200, "{} against {single}", joined.len());
    }

    #[test]
    fn a_used_compressor_gives_the_bytes_of_a_fresh_one() {
        let bytes = text(BLOCK + WINDOW);
        let mut used = Deflater::new();
        deflate(&mut used, &[], &noise(BLOCK), Place::Last);
        // Many ends of a window: the byte behind one matters in about one of a thousand.
        for start in (WINDOW..bytes.len() - WINDOW).step_by(2003) {
            let (before, block) = (&bytes[start - WINDOW..start], &bytes[start..start + WINDOW / 4]);
            for place in [Place::Inner, Place::Last] {
                for before in [before, &[]] {
                    let fresh = deflate(&mut Deflater::new(), before, block, place);
                    assert!(deflate(&mut used, before, block, place) == fresh, "{start}");
                }
            }
        }
    }

    #[test]
    fn noise_fits_into_the_room_and_is_stored_by_the_probe() {
        let noise = noise(BLOCK);
        assert_eq!(inflate(&deflate(&mut Deflater::new(), &[], &noise, Place::Last)), noise);
        assert!(deflate(&mut Deflater::new(), &[], &noise, Place::Inner).len() > noise.len());
        assert_eq!(
            probe(&[&noise[..SAMPLE], &noise[SAMPLE..2 * SAMPLE], &noise[2 * SAMPLE..3 * SAMPLE]]),
            Method::Stored
        );
        let text = text(3 * SAMPLE);
        assert_eq!(probe(&[&text[..SAMPLE], &noise[..SAMPLE], &noise[SAMPLE..2 * SAMPLE]]), Method::Deflated);
    }

    #[test]
    fn a_used_compressor_makes_of_a_file_what_a_fresh_one_makes_and_nothing_of_noise() {
        let mut used = Deflater::new();
        for length in [0, 1, 2, 20, 300, 70_000, BLOCK] {
            let (text, noise) = (text(length), noise(length));
            let made = used.file(&text).map(<[u8]>::to_vec);
            assert_eq!(made.is_some(), length >= 300, "{length}");
            assert!(Deflater::new().file(&text) == made.as_deref(), "{length}");
            assert!(made.is_none_or(|made| made.len() < length && inflate(&made) == text), "{length}");
            assert_eq!(used.file(&noise), None, "{length}");
        }
    }

    #[test]
    fn samples_lie_inside_the_file() {
        assert_eq!(sample_offsets(PROBE_FROM), [0, 24 << 10, 48 << 10]);
        assert_eq!(sample_offsets(PROBE_FROM + 1), [0, 24 << 10, (48 << 10) + 1]);
    }

    #[test]
    fn the_compressors_that_the_manifest_names_are_those_in_the_lock_file() {
        let lock = include_str!("../../../../../Cargo.lock");
        let version = |name: &str| {
            let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
            rest.split_once('"').unwrap().0
        };
        let (files, blocks) = (version("libdeflate-sys"), version("zlib-rs"));
        assert_eq!(COMPRESSOR, format!("libdeflate {files} level 1; above 1 MiB zlib-rs {blocks} level 6"));
    }
}
