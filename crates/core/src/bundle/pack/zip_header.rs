//! The records of a zip as bytes, the same for the same arguments. Pure. No extra fields but zip64, no data descriptors.

use crate::bundle::dos_time;

/// Unix, specification 4.5: one value for all entries, whatever packs and whatever is in them.
const VERSION_MADE_BY: u16 = 3 << 8 | 45;
const VERSION_PLAIN: u16 = 20;
const VERSION_ZIP64: u16 = 45;
const UTF8_NAME: u16 = 1 << 11;
const MAX32: u64 = u32::MAX as u64;
const MAX16: u64 = u16::MAX as u64;

/// How the bytes of an entry are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// As they are.
    Stored,
    /// By deflate.
    Deflated,
}

impl Method {
    fn code(self) -> u16 {
        match self {
            Method::Stored => 0,
            Method::Deflated => 8,
        }
    }
}

/// What the headers say of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    /// The path.
    pub(super) name: &'a str,
    /// `st_mode`, kind and permissions.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) time: i64,
    /// How its bytes are kept.
    pub(super) method: Method,
    /// CRC-32 of the file.
    pub(super) crc: u32,
    /// Bytes in the archive.
    pub(super) compressed: u64,
    /// Bytes of the file.
    pub(super) size: u64,
}

/// Whether the sizes in a local header have 32 or 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// 32 bits.
    Plain,
    /// 64 bits, in an extra field of 20 bytes.
    Zip64,
}

impl Width {
    /// The width for sizes that are known.
    pub(super) fn of(compressed: u64, size: u64) -> Width {
        if compressed >= MAX32 || size >= MAX32 { Width::Zip64 } else { Width::Plain }
    }

    /// The width for a file of `size` bytes before it was deflated: deflate may add a little, never as much as this.
    pub(super) fn before_deflate(size: u64) -> Width {
        Width::of(size.saturating_add(size / 1024 + 4096), size)
    }
}

/// The header in front of the bytes of an entry. Its length depends on the name and the width alone.
pub(super) fn local(header: &Header<'_>, width: Width) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(30 + header.name.len() + 20);
    put32(&mut bytes, 0x0403_4b50);
    put16(&mut bytes, version_needed(width));
    put_common(&mut bytes, header);
    let (compressed, size) = match width {
        Width::Plain => (header.compressed, header.size),
        Width::Zip64 => (MAX32, MAX32),
    };
    put32(&mut bytes, saturated32(compressed));
    put32(&mut bytes, saturated32(size));
    put16(&mut bytes, saturated16(header.name.len() as u64));
    put16(&mut bytes, if width == Width::Zip64 { 20 } else { 0 });
    bytes.extend_from_slice(header.name.as_bytes());
    if width == Width::Zip64 {
        put16(&mut bytes, 0x0001);
        put16(&mut bytes, 16);
        put64(&mut bytes, header.size);
        put64(&mut bytes, header.compressed);
    }
    bytes
}

/// Appends the entry's header in the central directory; `offset` is where its local header stands.
pub(super) fn central(bytes: &mut Vec<u8>, header: &Header<'_>, offset: u64) {
    // In this order, and only those that do not fit into 32 bits.
    let long: Vec<u64> = [header.size, header.compressed, offset].into_iter().filter(|value| *value >= MAX32).collect();
    put32(bytes, 0x0201_4b50);
    put16(bytes, VERSION_MADE_BY);
    put16(bytes, version_needed(if long.is_empty() { Width::Plain } else { Width::Zip64 }));
    put_common(bytes, header);
    put32(bytes, saturated32(header.compressed));
    put32(bytes, saturated32(header.size));
    put16(bytes, saturated16(header.name.len() as u64));
    put16(bytes, if long.is_empty() { 0 } else { 4 + 8 * long.len() as u16 });
    put16(bytes, 0); // comment
    put16(bytes, 0); // disk
    put16(bytes, 0); // internal attributes
    put32(bytes, header.mode << 16);
    put32(bytes, saturated32(offset));
    bytes.extend_from_slice(header.name.as_bytes());
    if !long.is_empty() {
        put16(bytes, 0x0001);
        put16(bytes, 8 * long.len() as u16);
        for value in long {
            put64(bytes, value);
        }
    }
}

/// The records behind the central directory, which has `count` headers in `size` bytes from `offset` on.
pub(super) fn end(count: u64, size: u64, offset: u64, comment: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(98 + comment.len());
    if count >= MAX16 || size >= MAX32 || offset >= MAX32 {
        put32(&mut bytes, 0x0606_4b50);
        put64(&mut bytes, 44);
        put16(&mut bytes, VERSION_MADE_BY);
        put16(&mut bytes, VERSION_ZIP64);
        put32(&mut bytes, 0); // this disk
        put32(&mut bytes, 0); // disk of the central directory
        put64(&mut bytes, count);
        put64(&mut bytes, count);
        put64(&mut bytes, size);
        put64(&mut bytes, offset);
        put32(&mut bytes, 0x0706_4b50);
        put32(&mut bytes, 0); // disk of the record above
        put64(&mut bytes, offset + size);
        put32(&mut bytes, 1); // disks
    }
    put32(&mut bytes, 0x0605_4b50);
    put16(&mut bytes, 0);
    put16(&mut bytes, 0);
    put16(&mut bytes, saturated16(count));
    put16(&mut bytes, saturated16(count));
    put32(&mut bytes, saturated32(size));
    put32(&mut bytes, saturated32(offset));
    put16(&mut bytes, saturated16(comment.len() as u64));
    bytes.extend_from_slice(comment.as_bytes());
    bytes
}

fn put_common(bytes: &mut Vec<u8>, header: &Header<'_>) {
    let (date, clock) = dos_time::encode(header.time);
    put16(bytes, if header.name.is_ascii() { 0 } else { UTF8_NAME });
    put16(bytes, header.method.code());
    put16(bytes, clock);
    put16(bytes, date);
    put32(bytes, header.crc);
}

fn version_needed(width: Width) -> u16 {
    match width {
        Width::Plain => VERSION_PLAIN,
        Width::Zip64 => VERSION_ZIP64,
    }
}

fn saturated32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn saturated16(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn put16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: u64 = 5 << 30;

    fn header(compressed: u64, size: u64) -> Header<'static> {
        Header { name: "a", mode: 0o100_644, time: 0, method: Method::Deflated, crc: 0x0102_0304, compressed, size }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_small_entry_has_no_extra_field() {
        assert_eq!(
            hex(&local(&header(3, 7), Width::of(3, 7))),
            "504b030414000000080000002100040302010300000007000000010000006 1".replace(' ', "")
        );
        let mut bytes = Vec::new();
        central(&mut bytes, &header(3, 7), 0x10);
        assert_eq!(
            hex(&bytes),
            "504b01022d03140000000800000021000403020103000000070000000100000000000000000000 00a4811000000061"
                .replace(' ', "")
        );
        assert_eq!(hex(&end(2, 0x30, 0x40, "")), "504b05060000000002000200300000004000000 00000".replace(' ', ""));
    }

    #[test]
    fn a_name_beyond_ascii_sets_the_utf8_flag() {
        let bytes = local(&Header { name: "ü", ..header(0, 0) }, Width::Plain);
        assert_eq!(u16::from_le_bytes([bytes[6], bytes[7]]), 1 << 11);
    }

    #[test]
    fn sizes_from_4_gib_on_stand_in_the_zip64_field() {
        assert_eq!(Width::of(MAX32 - 1, MAX32 - 1), Width::Plain);
        assert_eq!(Width::of(1, MAX32), Width::Zip64);
        assert_eq!(Width::of(MAX32, 1), Width::Zip64);
        assert_eq!(Width::before_deflate(4 << 20), Width::Plain);
        assert_eq!(Width::before_deflate(MAX32 - 5), Width::Zip64);
        let bytes = local(&header(BIG, BIG + 1), Width::Zip64);
        assert_eq!(bytes.len(), 30 + 1 + 20);
        assert_eq!(hex(&bytes[4..6]), "2d00");
        assert_eq!(hex(&bytes[18..30]), "ffffffffffffffff01001400");
        assert_eq!(hex(&bytes[31..]), "0100100001000040010000000000004001000000");
    }

    #[test]
    fn the_central_zip64_field_holds_only_what_does_not_fit() {
        let mut bytes = Vec::new();
        central(&mut bytes, &header(3, 7), BIG);
        assert_eq!(hex(&bytes[20..28]), "0300000007000000");
        assert_eq!(hex(&bytes[42..46]), "ffffffff");
        assert_eq!(hex(&bytes[47..]), "010008000000004001000000");
        bytes.clear();
        central(&mut bytes, &header(7, BIG), BIG);
        assert_eq!(hex(&bytes[20..28]), "07000000ffffffff");
        assert_eq!(hex(&bytes[47..]), "0100100000000040010000000000004001000000");
    }

    #[test]
    fn the_end_has_zip64_records_from_65535_entries_or_4_gib_on() {
        assert_eq!(end(65_534, MAX32 - 1, MAX32 - 1, "").len(), 22);
        for (count, size, offset) in [(65_535, 1, 1), (1, MAX32, 1), (1, 1, MAX32)] {
            assert_eq!(end(count, size, offset, "").len(), 56 + 20 + 22, "{count} {size} {offset}");
        }
        let bytes = end(70_000, 0x20, BIG, "c");
        assert_eq!(hex(&bytes[24..56]), "7011010000000000701101000000000020000000000000000000004001000000");
        assert_eq!(hex(&bytes[64..72]), hex(&(BIG + 0x20).to_le_bytes()));
        assert_eq!(hex(&bytes[76..]), "504b050600000000ffffffff20000000ffffffff010063");
    }
}
