//! The records of a zip: its end, its central directory, its local headers. Strict where leniency would let two programs
//! read two different archives: the end stands at the very end, the directory right before it and just as long as it says.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::error::shown;
use super::section::Section;
use super::{Limits, OpenError};
use crate::bundle::dos_time;

pub(super) const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_PATCHED: u16 = 1 << 5;
const FLAG_STRONG: u16 = 1 << 6;
const FLAG_MASKED: u16 = 1 << 13;
const MAX16: u64 = u16::MAX as u64;
const MAX32: u64 = u32::MAX as u64;

/// One entry of the central directory.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) name: Vec<u8>,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where its local header stands.
    pub(super) header: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// External attributes.
    pub(super) attributes: u32,
    /// Flags, method, time and checksum as bytes: the local header repeats them.
    pub(super) repeated: [u8; 12],
    host: u8,
}

impl Record {
    /// Whether the mode in the attributes means something: Unix, and macOS as some tools number it.
    pub(super) fn made_on_unix(&self) -> bool {
        matches!(self.host, 3 | 19)
    }
}

struct End {
    count: u64,
    size: u64,
    offset: u64,
}

/// Reads the central directory. Gives the records and where the directory begins: no entry reaches further.
pub(super) fn read(file: &File, length: u64, limits: &Limits) -> Result<(Vec<Record>, u64), OpenError> {
    let end = end(file, length)?;
    if end.count > limits.entries {
        return Err(OpenError::Entries { limit: limits.entries });
    }
    let mut reader = BufReader::with_capacity(64 << 10, Section::new(file, end.offset, end.offset + end.size));
    // Not `with_capacity` by the count: the archive may lie.
    let mut records = Vec::new();
    for _ in 0..end.count {
        records.push(record(&mut reader)?);
    }
    let mut rest = [0];
    if reader.read(&mut rest).map_err(|error| damaged_read(&error))? != 0 {
        return Err(archive("the central directory has more entries than it says"));
    }
    Ok((records, end.offset))
}

/// Where the central directory begins.
pub(super) fn begin(file: &File, length: u64) -> Result<u64, OpenError> {
    Ok(end(file, length)?.offset)
}

fn end(file: &File, length: u64) -> Result<End, OpenError> {
    if length < 22 {
        return Err(OpenError::CutOff { place: "before the end of its directory".to_owned() });
    }
    // 22 bytes and a comment of at most 65,535, whose length must lead to the end of the file.
    let tail_length = length.min(22 + MAX16);
    let mut tail = vec![0; tail_length as usize];
    read_at(file, &mut tail, length - tail_length)?;
    let starts = (0..=tail.len() - 22).rev();
    let mut candidates = starts.filter(|start| {
        tail.get(*start..*start + 4) == Some(b"PK\x05\x06".as_slice())
            && start + 22 + usize::from(u16_at(&tail, start + 20)) == tail.len()
    });
    let Some(start) = candidates.next() else {
        return Err(OpenError::CutOff { place: "before the end of its directory".to_owned() });
    };
    let record = &tail[start..];
    let mut end =
        End { count: u16_at(record, 10).into(), size: u32_at(record, 12).into(), offset: u32_at(record, 16).into() };
    let disks = [u16_at(record, 4), u16_at(record, 6)];
    let on_this_disk = u64::from(u16_at(record, 8));
    let mut directory_end = length - tail_length + start as u64;
    if let Some(locator_at) = directory_end.checked_sub(20) {
        let mut locator = [0; 20];
        read_at(file, &mut locator, locator_at)?;
        if locator.starts_with(b"PK\x06\x07") {
            let at = u64_at(&locator, 8);
            let long = end64(file, at, locator_at)?;
            let agree = |short: u64, max: u64, long: u64| short == max || short == long;
            if !agree(end.count, MAX16, long.count)
                || !agree(end.size, MAX32, long.size)
                || !agree(end.offset, MAX32, long.offset)
            {
                return Err(archive("its two end records disagree"));
            }
            end = long;
            directory_end = at;
        }
    }
    let one_disk = disks.iter().all(|disk| *disk == 0 || *disk == u16::MAX);
    if !one_disk || (on_this_disk != end.count && on_this_disk != MAX16) {
        return Err(archive("it is one part of several"));
    }
    if end.offset.checked_add(end.size) != Some(directory_end) {
        return Err(archive("the central directory does not stand where its end record says"));
    }
    Ok(end)
}

fn end64(file: &File, at: u64, locator_at: u64) -> Result<End, OpenError> {
    let mut record = [0; 56];
    if at.checked_add(56).is_none_or(|end| end > locator_at) {
        return Err(archive("the zip64 end record does not stand where its locator says"));
    }
    read_at(file, &mut record, at)?;
    let length = u64_at(&record, 4).checked_add(12);
    if !record.starts_with(b"PK\x06\x06") || length.and_then(|length| at.checked_add(length)) != Some(locator_at) {
        return Err(archive("the zip64 end record does not stand where its locator says"));
    }
    if u64_at(&record, 24) != u64_at(&record, 32) {
        return Err(archive("it is one part of several"));
    }
    Ok(End { count: u64_at(&record, 32), size: u64_at(&record, 40), offset: u64_at(&record, 48) })
}

fn record(reader: &mut impl Read) -> Result<Record, OpenError> {
    let mut fixed = [0; 46];
    reader.read_exact(&mut fixed).map_err(|error| damaged_read(&error))?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(archive("the central directory has an entry that is none"));
    }
    let name = take(reader, u16_at(&fixed, 28))?;
    let extra = take(reader, u16_at(&fixed, 30))?;
    take(reader, u16_at(&fixed, 32))?;
    let flags = u16_at(&fixed, 8);
    let method = u16_at(&fixed, 10);
    if flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED) != 0 || method == 99 {
        return Err(OpenError::Encrypted { entry: shown(&name) });
    }
    if flags & FLAG_PATCHED != 0 || (method != STORED && method != DEFLATED) {
        return Err(OpenError::Method { entry: shown(&name), method });
    }
    let mut record = Record {
        method,
        crc: u32_at(&fixed, 16),
        compressed: u32_at(&fixed, 20).into(),
        size: u32_at(&fixed, 24).into(),
        header: u32_at(&fixed, 42).into(),
        modified: dos_time::decode(u16_at(&fixed, 14), u16_at(&fixed, 12)),
        attributes: u32_at(&fixed, 38),
        repeated: std::array::from_fn(|at| fixed[8 + at]),
        host: fixed[5],
        name,
    };
    let mut long = Vec::new();
    for (id, data) in extra_fields(&extra, &record.name)? {
        match id {
            0x0001 => long = data.to_vec(),
            // Seconds since 1970, in UTC, where the DOS time is in whatever zone the archive was made.
            0x5455 if data.len() >= 5 && data[0] & 1 != 0 => record.modified = i64::from(u32_at(data, 1) as i32),
            // `unzip` would prefer this name to the other.
            0x7075 if data.len() >= 5 && data[5..] != record.name[..] => {
                let why = format!("it has a second name, `{}`", shown(&data[5..]));
                return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
            }
            _ => {}
        }
    }
    let mut long = long.chunks_exact(8);
    for value in [&mut record.size, &mut record.compressed, &mut record.header] {
        if *value == MAX32 {
            let Some(bytes) = long.next() else {
                let why = "its zip64 field is too short".to_owned();
                return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
            };
            *value = u64_at(bytes, 0);
        }
    }
    if record.method == STORED && record.size != record.compressed {
        let why = "it is stored, but has two sizes".to_owned();
        return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
    }
    Ok(record)
}

/// Compares the local header with the record and gives the place of the entry's bytes.
pub(super) fn check_local(file: &File, record: &Record, end: u64) -> Result<u64, OpenError> {
    let differs = |what: &str| OpenError::Inconsistent {
        entry: shown(&record.name),
        why: format!("its two headers differ in {what}"),
    };
    let mut bytes = vec![0; 30 + record.name.len()];
    if record.header.checked_add(bytes.len() as u64).is_none_or(|header_end| header_end > end) {
        return Err(OpenError::Overlap { entry: shown(&record.name) });
    }
    read_at(file, &mut bytes, record.header)?;
    if !bytes.starts_with(b"PK\x03\x04") {
        let why = "it has no local header where its record says".to_owned();
        return Err(OpenError::Inconsistent { entry: shown(&record.name), why });
    }
    if usize::from(u16_at(&bytes, 26)) != record.name.len() || bytes[30..] != record.name[..] {
        return Err(differs("name"));
    }
    let flags = u16_at(&bytes, 6);
    if flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED) != 0 {
        return Err(OpenError::Encrypted { entry: shown(&record.name) });
    }
    if u16_at(&bytes, 8) != record.method {
        return Err(differs("method"));
    }
    let extra_at = record.header + bytes.len() as u64;
    let extra_length = u16_at(&bytes, 28);
    let data = extra_at + u64::from(extra_length);
    if data > end {
        return Err(OpenError::Overlap { entry: shown(&record.name) });
    }
    let mut compressed = u64::from(u32_at(&bytes, 18));
    let mut size = u64::from(u32_at(&bytes, 22));
    if extra_length > 0 {
        let mut extra = vec![0; usize::from(extra_length)];
        read_at(file, &mut extra, extra_at)?;
        for (id, long) in extra_fields(&extra, &record.name)? {
            match id {
                0x0001 => {
                    let mut values = long.chunks_exact(8).map(|value| u64_at(value, 0));
                    for value in [&mut size, &mut compressed] {
                        if *value == MAX32 {
                            *value = values.next().unwrap_or(*value);
                        }
                    }
                }
                0x7075 if long.len() >= 5 && long[5..] != record.name[..] => return Err(differs("name")),
                _ => {}
            }
        }
    }
    // With a data descriptor the values follow the data; until then they are 0, or already right.
    let later = flags & FLAG_DESCRIPTOR != 0;
    let agree = |local: u64, central: u64| local == central || (later && local == 0);
    if !agree(compressed, record.compressed) || !agree(size, record.size) {
        return Err(differs("size"));
    }
    if !agree(u32_at(&bytes, 14).into(), record.crc.into()) {
        return Err(differs("checksum"));
    }
    Ok(data)
}

fn extra_fields<'a>(extra: &'a [u8], name: &[u8]) -> Result<Vec<(u16, &'a [u8])>, OpenError> {
    let mut fields = Vec::new();
    let mut rest = extra;
    // Up to three bytes of padding are common.
    while rest.len() >= 4 {
        let length = usize::from(u16_at(rest, 2));
        let Some(data) = rest.get(4..4 + length) else {
            let why = "an extra field is longer than its room".to_owned();
            return Err(OpenError::Inconsistent { entry: shown(name), why });
        };
        fields.push((u16_at(rest, 0), data));
        rest = &rest[4 + length..];
    }
    Ok(fields)
}

fn take(reader: &mut impl Read, length: u16) -> Result<Vec<u8>, OpenError> {
    let mut bytes = vec![0; usize::from(length)];
    reader.read_exact(&mut bytes).map_err(|error| damaged_read(&error))?;
    Ok(bytes)
}

fn read_at(file: &File, buffer: &mut [u8], at: u64) -> Result<(), OpenError> {
    file.read_exact_at(buffer, at).map_err(|error| damaged_read(&error))
}

fn damaged_read(error: &io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => OpenError::CutOff { place: "in its directory".to_owned() },
        _ => archive(&format!("reading it failed: {error}")),
    }
}

fn archive(why: &str) -> OpenError {
    OpenError::Archive { why: why.to_owned() }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
