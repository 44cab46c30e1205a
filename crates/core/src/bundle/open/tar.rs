//! Reads a tar, gzipped or not, in one pass, and reads it again for unpacking. Long names and PAX fields are the tar
//! crate's; what an entry may be is decided here.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use ::tar::{Archive, EntryType};
use flate2::read::MultiGzDecoder;

use super::error::shown;
use super::section::Section;
use super::tree::{Found, Origin, entry_path, link_target};
use super::{EntryKind, Limits, OpenError, RATIO_FREE};
use crate::bundle::BundlePath;
use crate::digest::{Hasher, HashingReader, Sha256};

/// Most bytes of headers (names, PAX fields) in front of one entry: the tar crate keeps them in memory.
const HEADER_LIMIT: u64 = 1 << 20;

/// The latest time stamp that is kept, in the year 2255; a later one is nonsense, and some calls take none.
const LATEST: i64 = 9_000_000_000;

/// An open tar whose entries were verified.
#[derive(Debug)]
pub(super) struct TarFile {
    file: File,
    length: u64,
    gzip: bool,
}

/// What [`TarFile::open`] found out in its one pass.
pub(super) struct Listing {
    pub(super) found: Vec<Found>,
    pub(super) archive_digest: Sha256,
}

impl TarFile {
    /// Reads and verifies everything.
    pub(super) fn open(file: File, length: u64, gzip: bool, limits: &Limits) -> Result<(TarFile, Listing), OpenError> {
        let tar = TarFile { file, length, gzip };
        let meter = Meter::default();
        let mut archive = tar.archive(&meter);
        let mut reading = Reading {
            limits,
            packed: length,
            meter: &meter,
            total: 0,
            count: 0,
            files: HashMap::new(),
            found: Vec::new(),
        };
        let mut entries = archive.entries().map_err(|error| broken(&error, &meter, "at its start"))?;
        let mut place = "at its start".to_owned();
        loop {
            meter.headers();
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| broken(&error, &meter, &place))?;
            meter.data();
            place = format!("in or after entry `{}`", shown(&entry.path_bytes()));
            reading.entry(&mut entry, &place)?;
        }
        if meter.0.ended.get() {
            return Err(OpenError::CutOff { place });
        }
        let found = reading.found;
        meter.data();
        let archive_digest = drain(archive.into_inner(), &meter, length, limits, &place)?;
        Ok((tar, Listing { found, archive_digest }))
    }

    /// Gives the bytes of the wanted entries, in the order of the archive, to `sink`, which is asked first whether it
    /// wants the entry of a number.
    pub(super) fn copy(
        &self,
        wanted: &mut dyn FnMut(usize) -> bool,
        sink: &mut dyn FnMut(usize, Piece<'_>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let meter = Meter::default();
        let mut archive = self.archive(&meter);
        let mut entries = archive.entries().map_err(|error| broken(&error, &meter, "at its start"))?;
        let mut buffer = vec![0; 128 << 10];
        for index in 0.. {
            meter.headers();
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| broken(&error, &meter, "at its second reading"))?;
            meter.data();
            // Read also where nobody wants it: the tar crate would skip it as if it were a header.
            let wanted = wanted(index);
            loop {
                let got = read(&mut entry, &mut buffer)
                    .map_err(|source| OpenError::ReadEntry { entry: shown(&entry.path_bytes()), source })?;
                if got == 0 {
                    break;
                }
                if wanted {
                    sink(index, Piece::Bytes(&buffer[..got]))?;
                }
            }
            if wanted {
                sink(index, Piece::End)?;
            }
        }
        Ok(())
    }

    fn archive(&self, meter: &Meter) -> Archive<Metered<'_>> {
        let packed = HashingReader::new(Section::new(&self.file, 0, self.length));
        let packed = BufReader::with_capacity(64 << 10, packed);
        let stream =
            if self.gzip { Stream::Gzip(Box::new(MultiGzDecoder::new(packed))) } else { Stream::Plain(packed) };
        Archive::new(Metered { stream, meter: meter.clone() })
    }
}

/// Part of what [`TarFile::copy`] gives.
pub(super) enum Piece<'a> {
    /// Some bytes.
    Bytes(&'a [u8]),
    /// No more of this entry.
    End,
}

/// The state of the one pass.
struct Reading<'a> {
    limits: &'a Limits,
    packed: u64,
    meter: &'a Meter,
    total: u64,
    count: u64,
    /// Regular files so far: what a hard link may name.
    files: HashMap<BundlePath, (usize, Sha256, u64)>,
    found: Vec<Found>,
}

impl Reading<'_> {
    fn entry(&mut self, entry: &mut ::tar::Entry<'_, Metered<'_>>, place: &str) -> Result<(), OpenError> {
        let index = self.count as usize;
        self.count += 1;
        if self.count > self.limits.entries {
            return Err(OpenError::Entries { limit: self.limits.entries });
        }
        let name = entry.path_bytes().into_owned();
        check_pax(entry, &name)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let path = entry_path(&name)?;
        let header = |error: io::Error| OpenError::Inconsistent {
            entry: shown(&name),
            why: shown(error.to_string().as_bytes()),
        };
        let mode = entry.header().mode().map_err(header)? & 0o7777;
        let modified = i64::try_from(entry.header().mtime().map_err(header)?).ok().filter(|time| *time <= LATEST);
        // An old tar marks a folder by the slash alone.
        let folder = kind.is_dir() || (kind == EntryType::Regular && name.ends_with(b"/"));
        let file = !folder && (kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse());
        let size = entry.size();
        if !file && size > 0 {
            let why = "it has bytes, and is no file".to_owned();
            return Err(OpenError::Inconsistent { entry: shown(&name), why });
        }
        let mut origin = Origin::Item(index);
        let (kind, size) = if folder {
            (EntryKind::Directory, 0)
        } else if file {
            let sha256 = self.hash(entry, &name, size, place)?;
            if let Some(path) = &path {
                self.files.insert(path.clone(), (index, sha256, size));
            }
            (EntryKind::File(sha256), size)
        } else if kind.is_symlink() {
            let target = entry.link_name_bytes().unwrap_or_default();
            (EntryKind::Link(link_target(&name, &target)?), 0)
        } else if kind.is_hard_link() {
            let (original, sha256, size) = self.hard_link(entry, &name)?;
            origin = Origin::CopyOf(original);
            (EntryKind::File(sha256), size)
        } else {
            return Err(OpenError::Kind { entry: shown(&name), kind: kind_name(kind) });
        };
        match (path, &kind) {
            (Some(path), _) => {
                let mode = if matches!(kind, EntryKind::Link(_)) { 0o777 } else { mode };
                self.found.push(Found { path, kind, mode, size, modified, origin });
                Ok(())
            }
            // `./`, the top itself.
            (None, EntryKind::Directory) => Ok(()),
            (None, EntryKind::File(_) | EntryKind::Link(_)) => {
                Err(OpenError::Name { entry: shown(&name), why: "has no name" })
            }
        }
    }

    fn hash(
        &mut self,
        entry: &mut ::tar::Entry<'_, Metered<'_>>,
        name: &[u8],
        size: u64,
        place: &str,
    ) -> Result<Sha256, OpenError> {
        self.add(name, size)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 64 << 10];
        let mut count = 0;
        loop {
            let got = read(entry, &mut buffer).map_err(|error| broken(&error, self.meter, place))?;
            if got == 0 {
                break;
            }
            hasher.update(&buffer[..got]);
            count += got as u64;
            let unpacked = self.meter.0.count.get();
            if unpacked > self.limits.ratio.saturating_mul(self.packed).saturating_add(RATIO_FREE) {
                return Err(OpenError::Ratio { entry: shown(name), ratio: self.limits.ratio });
            }
        }
        if count < size {
            return Err(OpenError::CutOff { place: format!("in entry `{}`", shown(name)) });
        }
        Ok(hasher.finish())
    }

    /// Counts a file, before it is read.
    fn add(&mut self, name: &[u8], size: u64) -> Result<(), OpenError> {
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total {
            return Err(OpenError::Total { entry: shown(name), limit: self.limits.total });
        }
        if self.total > self.limits.ratio.saturating_mul(self.packed).saturating_add(RATIO_FREE) {
            return Err(OpenError::Ratio { entry: shown(name), ratio: self.limits.ratio });
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        entry: &::tar::Entry<'_, Metered<'_>>,
        name: &[u8],
    ) -> Result<(usize, Sha256, u64), OpenError> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let found = entry_path(&target).ok().flatten().and_then(|path| self.files.get(&path).copied());
        match found {
            Some((original, sha256, size)) => {
                self.add(name, size)?;
                Ok((original, sha256, size))
            }
            None => Err(OpenError::HardLink { entry: shown(name), target: shown(&target) }),
        }
    }
}

/// PAX fields that the tar crate ignores and GNU tar obeys would make two trees of one archive.
fn check_pax(entry: &mut ::tar::Entry<'_, Metered<'_>>, name: &[u8]) -> Result<(), OpenError> {
    let global = entry.header().entry_type().is_pax_global_extensions();
    let refuse = |why: String| Err(OpenError::Inconsistent { entry: shown(name), why });
    if global && entry.size() > HEADER_LIMIT {
        return refuse(format!("its PAX header is longer than {HEADER_LIMIT} bytes"));
    }
    let Some(fields) = entry.pax_extensions().map_err(|error| OpenError::Inconsistent {
        entry: shown(name),
        why: format!("its PAX header: {}", shown(error.to_string().as_bytes())),
    })?
    else {
        return Ok(());
    };
    for field in fields {
        let Ok(field) = field else {
            return refuse("its PAX header is malformed".to_owned());
        };
        let key = field.key_bytes();
        if key.starts_with(b"GNU.sparse.") || (global && matches!(key, b"path" | b"linkpath" | b"size")) {
            return refuse(format!("its PAX header has the field `{}`, which is not supported", shown(key)));
        }
    }
    Ok(())
}

fn kind_name(kind: EntryType) -> String {
    if kind.is_fifo() {
        "FIFO".to_owned()
    } else if kind.is_character_special() || kind.is_block_special() {
        "device".to_owned()
    } else {
        format!("thing of tar type `{}`", char::from(kind.as_byte()).escape_default())
    }
}

/// Reads to the end, so that the checksum of gzip is verified and the whole file hashed.
fn drain(
    mut stream: Metered<'_>,
    meter: &Meter,
    packed: u64,
    limits: &Limits,
    place: &str,
) -> Result<Sha256, OpenError> {
    let mut buffer = vec![0; 64 << 10];
    while read(&mut stream, &mut buffer).map_err(|error| broken(&error, meter, place))? > 0 {
        if meter.0.count.get() > limits.ratio.saturating_mul(packed).saturating_add(RATIO_FREE) {
            return Err(OpenError::Ratio { entry: "behind the last one".to_owned(), ratio: limits.ratio });
        }
    }
    let mut packed = match stream.stream {
        Stream::Plain(packed) => packed.into_inner(),
        Stream::Gzip(decoder) => decoder.into_inner().into_inner(),
    };
    while read(&mut packed, &mut buffer).map_err(|error| broken(&error, meter, place))? > 0 {}
    Ok(packed.finish().0)
}

fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn broken(error: &io::Error, meter: &Meter, place: &str) -> OpenError {
    if meter.0.ended.get() || error.kind() == io::ErrorKind::UnexpectedEof {
        return OpenError::CutOff { place: place.to_owned() };
    }
    OpenError::Archive { why: format!("{}, {place}", shown(error.to_string().as_bytes())) }
}

/// Counts what comes out of a stream, and stops headers that are too long to be any.
#[derive(Debug, Clone, Default)]
struct Meter(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    count: Cell<u64>,
    /// Where the headers of an entry must have ended; `None` while its data is read.
    header_end: Cell<Option<u64>>,
    /// Whether the stream came to its end.
    ended: Cell<bool>,
}

impl Meter {
    fn headers(&self) {
        self.0.header_end.set(Some(self.0.count.get() + HEADER_LIMIT));
    }

    fn data(&self) {
        self.0.header_end.set(None);
    }
}

enum Stream<'a> {
    Plain(BufReader<HashingReader<Section<'a>>>),
    Gzip(Box<MultiGzDecoder<BufReader<HashingReader<Section<'a>>>>>),
}

struct Metered<'a> {
    stream: Stream<'a>,
    meter: Meter,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = match &mut self.stream {
            Stream::Plain(stream) => stream.read(buffer)?,
            Stream::Gzip(stream) => stream.read(buffer)?,
        };
        let counts = &self.meter.0;
        counts.count.set(counts.count.get() + got as u64);
        if got == 0 && !buffer.is_empty() {
            counts.ended.set(true);
        }
        if counts.header_end.get().is_some_and(|end| counts.count.get() > end) {
            return Err(io::Error::other(format!("a header is longer than {HEADER_LIMIT} bytes")));
        }
        Ok(got)
    }
}
