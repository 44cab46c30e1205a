//! What of a new bundle an earlier one holds already, told by the end of the new one alone. Decides and copies; fetches
//! nothing and verifies nothing: whoever puts a bundle together so opens it afterwards, as any other.
//!
//! A zip of our packer is made of entries without gaps: a header that its record in the central directory implies, and
//! data that depend on the file and the compressor alone. So a file that both bundles hold need not be fetched.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use flate2::read::DeflateDecoder;

use super::directory::{self, Record};
use super::{Limits, OpenError, Section};
use crate::bundle::manifest::MANIFEST_LIMIT;
use crate::bundle::{MANIFEST_PATH, Manifest};
use crate::digest::Sha256;

/// A request costs about as much time as the transfer of this many bytes: shorter gaps between two missing pieces are fetched too.
const WORTH_A_REQUEST: u64 = 64 << 10;
/// What is asked for at first where nothing is known of the end.
pub const FIRST_END: u64 = 256 << 10;
/// Length of a local header without its name and extra field.
const LOCAL: u64 = 30;
/// Length of a zip64 field in a local header.
const LOCAL_ZIP64: u64 = 20;

/// How to make a new bundle from an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Bytes that only the new one has, in order, without those at its end that are known already.
    pub missing: Vec<Range<u64>>,
    copies: Vec<Copied>,
    headers: Vec<(u64, Vec<u8>)>,
}

/// Data that both have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copied {
    from: u64,
    at: u64,
    length: u64,
}

/// What the end of a new bundle tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Too little: everything from here on is needed first.
    Needs(u64),
    /// How to make it.
    Delta(Delta),
}

/// What the end of a bundle tells of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Too little: everything from here on is needed first.
    Needs(u64),
    /// The manifest.
    Manifest(Box<Manifest>),
}

/// Reads the manifest of a bundle of `size` bytes. `bundle`: a file of that size in which everything from `known` on is in place.
pub fn manifest(bundle: &File, size: u64, known: u64, limits: &Limits) -> Result<Ending, NoDelta> {
    let read = |source| NoDelta::Read { which: "published", source };
    let directory = directory::begin(bundle, size).map_err(read)?;
    if directory < known {
        return Ok(Ending::Needs(directory));
    }
    let (records, directory) = directory::read(bundle, size, limits).map_err(read)?;
    let entries = Entries::of(&records, directory)?;
    let last = entries.last().start;
    if last < known {
        return Ok(Ending::Needs(last));
    }
    entries.manifest(bundle).map(|manifest| Ending::Manifest(Box::new(manifest))).map_err(read)
}

/// Why a bundle cannot be made from an earlier one. No failure: it is fetched as a whole.
#[derive(Debug, thiserror::Error)]
pub enum NoDelta {
    /// One of the two cannot be read.
    #[error("cannot read the {which} archive")]
    Read {
        /// `new`, `earlier` or `published`.
        which: &'static str,
        /// Why.
        source: OpenError,
    },
    /// Another program, or another version of the compressor, made one of them.
    #[error("{0}")]
    Unlike(String),
}

/// An earlier bundle that is at hand.
#[derive(Debug)]
pub struct Earlier {
    file: File,
    compressor: String,
    /// Where data stand, by what they are.
    data: HashMap<Content, (u64, u64)>,
    end: u64,
}

/// What decides over the data of an entry, given the compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Content {
    sha256: Sha256,
    size: u64,
    compressed: u64,
    crc: u32,
    method: u16,
}

impl Earlier {
    /// Reads what an archive holds; does not verify it.
    pub fn open(file: File, limits: &Limits) -> Result<Earlier, NoDelta> {
        let read = |source| NoDelta::Read { which: "earlier", source };
        let size = file.metadata().map_err(|error| read(unreadable(&error)))?.len();
        let (records, directory) = directory::read(&file, size, limits).map_err(read)?;
        let entries = Entries::of(&records, directory)?;
        let manifest = entries.manifest(&file).map_err(read)?;
        let data = entries.contents(&manifest)?.map(|(entry, content)| (content, (entry.data, entry.end))).collect();
        let end = size - entries.last().start;
        Ok(Earlier { file, compressor: manifest.tool.compressor, data, end })
    }

    /// How many bytes of the end of a new bundle tell most likely all that is needed.
    pub fn end(&self) -> u64 {
        // A release more has a few files more.
        FIRST_END.max(self.end + self.end / 8)
    }

    /// What a new bundle of `size` bytes lacks. `new`: a file of that size in which everything from `known` on is in place.
    pub fn compare(&self, new: &File, size: u64, known: u64, limits: &Limits) -> Result<Known, NoDelta> {
        let read = |source| NoDelta::Read { which: "new", source };
        let directory = directory::begin(new, size).map_err(read)?;
        if directory < known {
            return Ok(Known::Needs(directory));
        }
        let (records, directory) = directory::read(new, size, limits).map_err(read)?;
        let entries = Entries::of(&records, directory)?;
        let last = entries.last().start;
        if last < known {
            return Ok(Known::Needs(last));
        }
        let manifest = entries.manifest(new).map_err(read)?;
        if manifest.tool.compressor != self.compressor {
            let (ours, theirs) = (&self.compressor, &manifest.tool.compressor);
            return Err(NoDelta::Unlike(format!(
                "the earlier bundle was packed with `{ours}`, this one with `{theirs}`"
            )));
        }
        let mut delta = Delta::default();
        let before_the_end = |(entry, _): &(&Entry<'_>, Content)| entry.start < known;
        for (entry, content) in entries.contents(&manifest)?.take_while(before_the_end) {
            match self.data.get(&content) {
                Some((from, end)) if end - from == entry.end - entry.data => {
                    delta.headers.push((entry.start, entry.header()));
                    delta.copies.push(Copied { from: *from, at: entry.data, length: end - from });
                }
                Some(_) | None => delta.lack(entry.start..entry.end.min(known)),
            }
        }
        Ok(Known::Delta(delta))
    }

    /// Puts everything in place that need not be fetched. `progress` is told how many more bytes are there.
    pub fn lay(&self, delta: &Delta, new: &File, progress: &dyn Fn(u64)) -> io::Result<()> {
        for (at, header) in &delta.headers {
            new.write_all_at(header, *at)?;
            progress(header.len() as u64);
        }
        let mut buffer = vec![0; 256 << 10];
        for Copied { from, at, length } in &delta.copies {
            let mut done = 0;
            while done < *length {
                let want = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
                self.file.read_exact_at(&mut buffer[..want], from + done)?;
                new.write_all_at(&buffer[..want], at + done)?;
                done += want as u64;
                progress(want as u64);
            }
        }
        Ok(())
    }
}

impl Delta {
    /// Bytes that must be fetched.
    pub fn missing_bytes(&self) -> u64 {
        self.missing.iter().map(|range| range.end - range.start).sum()
    }

    fn lack(&mut self, range: Range<u64>) {
        match self.missing.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) < WORTH_A_REQUEST => last.end = last.end.max(range.end),
            Some(_) | None => self.missing.push(range),
        }
    }
}

/// The entries of an archive in the order in which they stand.
struct Entries<'a>(Vec<Entry<'a>>);

struct Entry<'a> {
    record: &'a Record,
    start: u64,
    data: u64,
    end: u64,
}

impl Entry<'_> {
    /// The local header, as our packer writes it.
    fn header(&self) -> Vec<u8> {
        let Record { name, size, compressed, .. } = self.record;
        let long = self.data - self.start > LOCAL + name.len() as u64;
        let short = |value: u64| if long { u32::MAX } else { value as u32 };
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend_from_slice(&if long { 45_u16 } else { 20 }.to_le_bytes());
        bytes.extend_from_slice(&self.record.repeated);
        bytes.extend_from_slice(&short(*compressed).to_le_bytes());
        bytes.extend_from_slice(&short(*size).to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&if long { LOCAL_ZIP64 as u16 } else { 0 }.to_le_bytes());
        bytes.extend_from_slice(name);
        if long {
            bytes.extend_from_slice(&[1, 0, 16, 0]);
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&compressed.to_le_bytes());
        }
        bytes
    }
}

impl<'a> Entries<'a> {
    /// Refuses what our packer does not make: gaps, other orders, nothing at all.
    fn of(records: &'a [Record], directory: u64) -> Result<Entries<'a>, NoDelta> {
        let ends = records.iter().skip(1).map(|record| record.header).chain([directory]);
        let mut at = 0;
        let mut entries = Vec::with_capacity(records.len());
        for (record, end) in records.iter().zip(ends) {
            let foreign = || NoDelta::Unlike("one of the two archives was not packed by `longshore`".to_owned());
            let data = end.checked_sub(record.compressed).ok_or_else(foreign)?;
            let plain = LOCAL + record.name.len() as u64;
            let header = data.checked_sub(record.header).filter(|length| [plain, plain + LOCAL_ZIP64].contains(length));
            if record.header != at || header.is_none() {
                return Err(foreign());
            }
            at = end;
            entries.push(Entry { record, start: record.header, data, end });
        }
        let ours = entries.last().is_some_and(|last| last.record.name == MANIFEST_PATH.as_bytes());
        if ours {
            Ok(Entries(entries))
        } else {
            Err(NoDelta::Unlike("one of the two archives has no manifest at its end".to_owned()))
        }
    }

    /// The manifest's entry.
    fn last(&self) -> &Entry<'a> {
        self.0.last().expect("an archive without a manifest was refused")
    }

    fn manifest(&self, file: &File) -> Result<Manifest, OpenError> {
        let Entry { record, data, end, .. } = self.last();
        let mut json = Vec::new();
        let section = Section::new(file, *data, *end);
        let limit = record.size.min(MANIFEST_LIMIT);
        let read = if record.method == directory::STORED {
            section.take(limit).read_to_end(&mut json)
        } else {
            DeflateDecoder::new(section).take(limit).read_to_end(&mut json)
        };
        read.map_err(|error| unreadable(&error))?;
        Manifest::parse(&json).map_err(OpenError::Manifest)
    }

    /// Each entry but the manifest, with what decides over its data.
    fn contents<'b>(
        &'b self,
        manifest: &'b Manifest,
    ) -> Result<impl Iterator<Item = (&'b Entry<'a>, Content)> + 'b, NoDelta> {
        let entries = &self.0[..self.0.len() - 1];
        let same = entries.len() == manifest.files.len()
            && entries
                .iter()
                .zip(&manifest.files)
                .all(|(entry, file)| entry.record.name == file.path.as_str().as_bytes());
        if !same {
            return Err(NoDelta::Unlike("a manifest does not list what stands in its archive".to_owned()));
        }
        Ok(entries.iter().zip(&manifest.files).map(|(entry, file)| {
            let Record { size, compressed, crc, method, .. } = *entry.record;
            (entry, Content { sha256: file.sha256, size, compressed, crc, method })
        }))
    }
}

fn unreadable(error: &io::Error) -> OpenError {
    OpenError::Archive { why: format!("reading it failed: {error}") }
}
