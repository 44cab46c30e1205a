//! Reads a zip, and refuses whatever two readers could understand differently: the central directory is the truth, every
//! local header must agree with it, no two entries share a byte, and every entry is inflated and counted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flate2::{Decompress, FlushDecompress, Status};

use super::directory::{self, Record};
use super::error::shown;
use super::parallel;
use super::tree::{Found, Origin, entry_path, link_target};
use super::{EntryKind, Limits, OpenError, check_sizes};
use crate::bundle::BundlePath;
use crate::digest::Hasher;

/// An open zip whose entries were verified.
#[derive(Debug)]
pub(super) struct ZipFile {
    file: File,
    items: Vec<Item>,
}

/// Where the bytes of an entry stand.
#[derive(Debug, Clone)]
struct Item {
    record: Record,
    data: u64,
}

/// What the headers say that an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
}

impl ZipFile {
    /// Reads and verifies everything.
    pub(super) fn open(file: File, length: u64, limits: &Limits) -> Result<(ZipFile, Vec<Found>), OpenError> {
        let (mut records, end) = directory::read(&file, length, limits)?;
        check_sizes(records.iter().map(|record| (record.name.as_slice(), record.size)), length, limits)?;
        records.sort_by_key(|record| record.header);
        let ends: Vec<u64> = records.iter().skip(1).map(|next| next.header).chain([end]).collect();
        let verified = parallel::each(records.len(), Inflater::new, |inflater, index| {
            verify(inflater, &file, &records[index], ends[index], index)
        })?;
        let mut found = Vec::with_capacity(records.len());
        let mut items = Vec::with_capacity(records.len());
        for (record, (data, entry)) in records.into_iter().zip(verified) {
            items.push(Item { record, data });
            found.extend(entry);
        }
        Ok((ZipFile { file, items }, found))
    }

    /// Gives the bytes of an entry to `sink`, checked as when it was opened.
    pub(super) fn copy(
        &self,
        inflater: &mut Inflater,
        index: usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let Item { record, data } = &self.items[index];
        inflater.copy(&self.file, record, *data, sink)
    }
}

/// Checks one entry against its local header and its bytes. `end` is where something else begins.
fn verify(
    inflater: &mut Inflater,
    file: &File,
    record: &Record,
    end: u64,
    index: usize,
) -> Result<(u64, Option<Found>), OpenError> {
    let path = path(record)?;
    let (kind, mode) = kind(record)?;
    let data = directory::check_local(file, record, end)?;
    if data.checked_add(record.compressed).is_none_or(|data_end| data_end > end) {
        return Err(OpenError::Overlap { entry: shown(&record.name) });
    }
    let mut bytes = Vec::new();
    let mut hasher = Hasher::default();
    match kind {
        Kind::Link if record.size > 4096 => {
            let why = "is longer than a file system takes";
            return Err(OpenError::LinkTarget { entry: shown(&record.name), why });
        }
        Kind::Folder if record.size > 0 => {
            let why = "it is a folder and has bytes".to_owned();
            return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
        }
        Kind::Link | Kind::Folder | Kind::File => {}
    }
    inflater.copy(file, record, data, &mut |piece| {
        match kind {
            Kind::File => hasher.update(piece),
            Kind::Link | Kind::Folder => bytes.extend_from_slice(piece),
        }
        Ok(())
    })?;
    let (kind, size) = match kind {
        Kind::File => (EntryKind::File(hasher.finish()), record.size),
        Kind::Folder => (EntryKind::Directory, 0),
        Kind::Link => (EntryKind::Link(link_target(&record.name, &bytes)?), 0),
    };
    let found = path.map(|path| {
        let (modified, origin) = (Some(record.modified), Origin::Item(index));
        Found { path, kind, mode, size, modified, origin }
    });
    Ok((data, found))
}

fn path(record: &Record) -> Result<Option<BundlePath>, OpenError> {
    // `unzip` takes `\` for a separator where the archive was not made on Unix. Whatever we took it for, some other
    // program would see another tree.
    if !record.made_on_unix() && record.name.contains(&b'\\') {
        return Err(OpenError::Backslash { entry: shown(&record.name) });
    }
    entry_path(&record.name)
}

fn kind(record: &Record) -> Result<(Kind, u32), OpenError> {
    let slash = record.name.ends_with(b"/");
    let mode = if record.made_on_unix() { record.attributes >> 16 } else { 0 };
    let other = |kind: &str| Err(OpenError::Kind { entry: shown(&record.name), kind: kind.to_owned() });
    let kind = match mode & 0o170_000 {
        0 if slash => Kind::Folder,
        0 | 0o100_000 => Kind::File,
        0o040_000 => Kind::Folder,
        0o120_000 => Kind::Link,
        0o010_000 => return other("FIFO"),
        0o140_000 => return other("socket"),
        0o020_000 | 0o060_000 => return other("device"),
        _ => return other("thing of an unknown kind"),
    };
    if slash != (kind == Kind::Folder) {
        let why = "its name and its mode disagree on whether it is a folder".to_owned();
        return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
    }
    let mode = match (kind, mode & 0o7777) {
        (Kind::Link, _) => 0o777,
        // No mode at all: made where there are none.
        (Kind::File, 0) => 0o644,
        (Kind::Folder, 0) => 0o755,
        (Kind::File | Kind::Folder, mode) => mode,
    };
    Ok((kind, mode))
}

/// Inflates entries, with memory that is used again.
pub(super) struct Inflater {
    decompress: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Inflater {
    /// An inflater with its buffers.
    pub(super) fn new() -> Self {
        Inflater { decompress: Decompress::new(false), input: vec![0; 64 << 10], output: vec![0; 128 << 10] }
    }

    /// Gives the bytes of an entry to `sink`; fails when they are not as many as declared or have another checksum.
    fn copy(
        &mut self,
        file: &File,
        record: &Record,
        data: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let entry = || shown(&record.name);
        let mut source = Packed { file, at: data, left: record.compressed };
        let mut target = Counted { record, crc: crc32fast::Hasher::new(), count: 0, sink };
        if record.method == directory::STORED {
            while source.left > 0 {
                let piece = source.next(&mut self.input, record)?;
                target.take(piece)?;
            }
        // Some tools call an empty entry deflated and write nothing for it.
        } else if record.compressed > 0 || record.size > 0 {
            self.decompress.reset(false);
            let mut ended = false;
            while !ended {
                let mut piece = source.next(&mut self.input, record)?;
                let last = source.left == 0;
                loop {
                    let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
                    let status = self
                        .decompress
                        .decompress(piece, &mut self.output, FlushDecompress::None)
                        .map_err(|_| OpenError::Deflate { entry: entry() })?;
                    let used = (self.decompress.total_in() - before_in) as usize;
                    let made = (self.decompress.total_out() - before_out) as usize;
                    piece = &piece[used..];
                    target.take(&self.output[..made])?;
                    if status == Status::StreamEnd {
                        ended = true;
                        break;
                    }
                    // A full output may hide more; otherwise more input is needed.
                    if made < self.output.len() && piece.is_empty() {
                        break;
                    }
                    if used == 0 && made == 0 {
                        return Err(OpenError::Deflate { entry: entry() });
                    }
                }
                if ended && (!piece.is_empty() || !last) {
                    let why = "bytes follow its compressed data".to_owned();
                    return Err(OpenError::Inconsistent { entry: entry(), why });
                }
                if !ended && last {
                    return Err(OpenError::Deflate { entry: entry() });
                }
            }
        }
        target.finish()
    }
}

/// The bytes of an entry in the archive.
struct Packed<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Packed<'_> {
    fn next<'b>(&mut self, buffer: &'b mut [u8], record: &Record) -> Result<&'b [u8], OpenError> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = &mut buffer[..want];
        self.file.read_exact_at(piece, self.at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => OpenError::CutOff { place: format!("in entry `{}`", shown(&record.name)) },
            _ => OpenError::ReadEntry { entry: shown(&record.name), source },
        })?;
        self.at += want as u64;
        self.left -= want as u64;
        Ok(piece)
    }
}

/// The bytes of an entry as they come out.
struct Counted<'a> {
    record: &'a Record,
    crc: crc32fast::Hasher,
    count: u64,
    sink: &'a mut dyn FnMut(&[u8]) -> Result<(), OpenError>,
}

impl Counted<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<(), OpenError> {
        self.count += piece.len() as u64;
        if self.count > self.record.size {
            return Err(OpenError::TooLong { entry: shown(&self.record.name), declared: self.record.size });
        }
        self.crc.update(piece);
        (self.sink)(piece)
    }

    fn finish(self) -> Result<(), OpenError> {
        if self.count < self.record.size {
            return Err(OpenError::TooShort { entry: shown(&self.record.name), declared: self.record.size });
        }
        if self.crc.finalize() != self.record.crc {
            return Err(OpenError::Checksum { entry: shown(&self.record.name) });
        }
        Ok(())
    }
}
