//! Archives made byte by byte, right or wrong in every field.

use std::io::Write;

/// One entry of a zip. Fields of the local header are those of the central one unless they are set.
#[derive(Clone)]
pub(crate) struct ZipEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) host: u8,
    pub(crate) mode: u32,
    pub(crate) flags: u16,
    pub(crate) local_flags: Option<u16>,
    pub(crate) method: u16,
    pub(crate) local_method: Option<u16>,
    pub(crate) data: Vec<u8>,
    pub(crate) crc: u32,
    pub(crate) local_crc: Option<u32>,
    pub(crate) compressed: u32,
    pub(crate) size: u32,
    pub(crate) local_size: Option<u32>,
    pub(crate) extra: Vec<u8>,
    /// Offset of another entry's local header instead of one of its own.
    pub(crate) header: Option<u32>,
}

impl ZipEntry {
    /// A stored file.
    pub(crate) fn stored(name: &str, mode: u32, data: &[u8]) -> ZipEntry {
        ZipEntry {
            name: name.as_bytes().to_vec(),
            local_name: None,
            host: 3,
            mode,
            flags: 0,
            local_flags: None,
            method: 0,
            local_method: None,
            data: data.to_vec(),
            crc: crc32fast::hash(data),
            local_crc: None,
            compressed: data.len() as u32,
            size: data.len() as u32,
            local_size: None,
            extra: Vec::new(),
            header: None,
        }
    }

    /// A regular file of mode 0644, stored.
    pub(crate) fn file(name: &str, data: &[u8]) -> ZipEntry {
        ZipEntry::stored(name, 0o100_644, data)
    }

    /// A deflated file.
    pub(crate) fn deflated(name: &str, data: &[u8]) -> ZipEntry {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        ZipEntry { method: 8, compressed: packed.len() as u32, data: packed, ..ZipEntry::file(name, data) }
    }

    pub(crate) fn link(name: &str, target: &[u8]) -> ZipEntry {
        ZipEntry::stored(name, 0o120_777, target)
    }
}

/// The bytes of a zip.
pub(crate) fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = entry.header.unwrap_or(bytes.len() as u32);
        let name = entry.local_name.as_ref().unwrap_or(&entry.name);
        if entry.header.is_none() {
            bytes.extend(b"PK\x03\x04");
            for value in
                [20, entry.local_flags.unwrap_or(entry.flags), entry.local_method.unwrap_or(entry.method), 0, 0x21]
            {
                bytes.extend(value.to_le_bytes());
            }
            let size = entry.local_size.unwrap_or(entry.size);
            for value in [entry.local_crc.unwrap_or(entry.crc), entry.compressed, size] {
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend(0_u16.to_le_bytes());
            bytes.extend(name);
            bytes.extend(&entry.data);
        }
        directory.extend(b"PK\x01\x02");
        for value in [u16::from(entry.host) << 8 | 20, 20, entry.flags, entry.method, 0, 0x21] {
            directory.extend(value.to_le_bytes());
        }
        for value in [entry.crc, entry.compressed, entry.size] {
            directory.extend(value.to_le_bytes());
        }
        for value in [entry.name.len() as u16, entry.extra.len() as u16, 0, 0, 0] {
            directory.extend(value.to_le_bytes());
        }
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
    }
    let offset = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend((entries.len() as u16).to_le_bytes());
    bytes.extend((entries.len() as u16).to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes
}

/// One entry of a tar.
pub(crate) struct TarEntry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) link: &'a [u8],
    pub(crate) data: &'a [u8],
    /// The size that the header declares.
    pub(crate) size: u64,
}

impl<'a> TarEntry<'a> {
    pub(crate) fn file(name: &'a str, data: &'a [u8]) -> TarEntry<'a> {
        TarEntry { name: name.as_bytes(), kind: b'0', mode: 0o644, link: b"", data, size: data.len() as u64 }
    }

    pub(crate) fn other(name: &'a str, kind: u8, link: &'a str) -> TarEntry<'a> {
        TarEntry { kind, link: link.as_bytes(), ..TarEntry::file(name, b"") }
    }
}

/// The bytes of a tar with the two blocks that end it.
pub(crate) fn tar(entries: &[TarEntry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let mut header = [0; 512];
        header[..entry.name.len()].copy_from_slice(entry.name);
        header[100..108].copy_from_slice(format!("{:07o}\0", entry.mode).as_bytes());
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", entry.size).as_bytes());
        header[136..148].copy_from_slice(b"14712345670\0");
        header[148..156].fill(b' ');
        header[156] = entry.kind;
        header[157..157 + entry.link.len()].copy_from_slice(entry.link);
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(entry.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// The bytes of a gzip file.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
