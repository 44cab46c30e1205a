//! Zip files.

use std::io::Read;

use crate::archive;

/// The bytes are tried as they are, and with local headers, sizes and checksums that fit the central directory, which made
/// up bytes do not hit.
pub fn zip(bytes: &[u8]) -> bool {
    let repaired = repaired(bytes).filter(|repaired| repaired != bytes);
    archive::check(bytes).is_some() | repaired.is_some_and(|repaired| archive::check(&repaired).is_some())
}

fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut zip = bytes.to_vec();
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let mut at = number(bytes, end + 16, 4)?;
    while bytes.get(at..at + 4)? == b"PK\x01\x02" {
        let name = number(bytes, at + 28, 2)?;
        repair(&mut zip, at, name);
        at += 46 + name + number(bytes, at + 30, 2)? + number(bytes, at + 32, 2)?;
        if at + 4 > bytes.len() {
            break;
        }
    }
    Some(zip)
}

fn repair(zip: &mut [u8], central: usize, name: usize) -> Option<()> {
    let local = number(zip, central + 42, 4)?;
    let packed = number(zip, central + 20, 4)?;
    let start = local + 30 + number(zip, local + 26, 2)? + number(zip, local + 28, 2)?;
    let data = zip.get(start..start.checked_add(packed)?)?;
    let data = match number(zip, central + 10, 2)? {
        8 => {
            let mut inflated = Vec::new();
            flate2::read::DeflateDecoder::new(data).take(2 << 20).read_to_end(&mut inflated).ok()?;
            inflated
        }
        _ => data.to_vec(),
    };
    put(zip, central + 16, &crc32fast::hash(&data).to_le_bytes())?;
    put(zip, central + 24, &u32::try_from(data.len()).ok()?.to_le_bytes())?;
    // Flags, method, time, checksum, sizes, length of the name.
    let fields = zip.get(central + 8..central + 30)?.to_vec();
    put(zip, local + 6, &fields)?;
    let name = zip.get(central + 46..central + 46 + name)?.to_vec();
    put(zip, local + 30, &name)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(new.len())?)?.copy_from_slice(new);
    Some(())
}
