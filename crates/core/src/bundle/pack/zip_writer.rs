//! Writes entries into a zip in the order in which they are given, and hashes the whole. Knows no files of a tree.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::zip_header::{self, Header, Width};
use crate::digest::{Hasher, Sha256};
use crate::growing::Written;

const BUFFER: usize = 256 << 10;

/// A zip in the making.
pub(super) struct ZipWriter<'a> {
    file: &'a File,
    /// Bytes that were accepted and not written.
    buffer: Vec<u8>,
    /// Bytes that were written.
    written: u64,
    /// The digest of all that was written, up to the entry that is open.
    hasher: Hasher,
    /// The header of the entry that is open: it is not known yet, so nothing from there on is hashed.
    open: Option<Range<u64>>,
    directory: Vec<u8>,
    count: u64,
}

/// An entry whose bytes are written before its header is known.
#[must_use]
pub(super) struct OpenEntry {
    offset: u64,
    width: Width,
    data: u64,
}

impl<'a> ZipWriter<'a> {
    /// Starts a zip in an empty file that is open for reading and writing.
    pub(super) fn new(file: &'a File) -> Self {
        ZipWriter {
            file,
            buffer: Vec::with_capacity(BUFFER),
            written: 0,
            hasher: Hasher::default(),
            open: None,
            directory: Vec::new(),
            count: 0,
        }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// How much of the file is final.
    pub(super) fn written(&self) -> Written {
        Written { end: self.written, hole: self.open.clone() }
    }

    /// Writes one entry whose bytes are at hand.
    pub(super) fn entry(&mut self, header: &Header<'_>, data: &[u8]) -> io::Result<()> {
        let offset = self.position();
        self.put(&zip_header::local(header, Width::of(header.compressed, header.size)))?;
        self.put(data)?;
        self.list(header, offset);
        Ok(())
    }

    /// Starts an entry whose checksum and size in the archive are not known yet.
    pub(super) fn begin(&mut self, header: &Header<'_>, width: Width) -> io::Result<OpenEntry> {
        self.flush()?;
        let offset = self.position();
        let local = zip_header::local(header, width);
        let data = offset + local.len() as u64;
        self.open = Some(offset..data);
        self.put(&local)?;
        Ok(OpenEntry { offset, width, data })
    }

    /// Adds bytes to the open entry.
    pub(super) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.put(data)
    }

    /// Puts the true header in front of the open entry, and hashes what was written since by reading it back.
    pub(super) fn finish_entry(&mut self, entry: &OpenEntry, header: &Header<'_>) -> io::Result<()> {
        self.flush()?;
        let local = zip_header::local(header, entry.width);
        debug_assert_eq!(local.len() as u64, entry.data - entry.offset);
        self.file.write_all_at(&local, entry.offset)?;
        self.open = None;
        let mut at = entry.offset;
        let mut buffer = vec![0; BUFFER];
        while at < self.written {
            let want = BUFFER.min(usize::try_from(self.written - at).unwrap_or(BUFFER));
            self.file.read_exact_at(&mut buffer[..want], at)?;
            self.hasher.update(&buffer[..want]);
            at += want as u64;
        }
        self.list(header, entry.offset);
        Ok(())
    }

    /// Writes the central directory and gives the digest and the size of the archive.
    pub(super) fn finish(mut self, comment: &str) -> io::Result<(Sha256, u64)> {
        let offset = self.position();
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        self.put(&zip_header::end(self.count, directory.len() as u64, offset, comment))?;
        self.flush()?;
        Ok((self.hasher.finish(), self.written))
    }

    fn list(&mut self, header: &Header<'_>, offset: u64) {
        zip_header::central(&mut self.directory, header, offset);
        self.count += 1;
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        if self.open.is_none() {
            self.hasher.update(bytes);
        }
        Ok(())
    }
}
