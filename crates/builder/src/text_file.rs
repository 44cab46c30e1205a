//! Reads a file that people write. Waits for no pipe and fills no memory, whatever stands in its place.

use std::fs;
use std::io;
use std::path::Path;

/// The longest text that is read, in bytes: nobody writes a longer one.
const LIMIT: u64 = 16 << 20;

/// The bytes of a regular file, links followed.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer, and `/dev/zero` has no end.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is a pipe, socket or device"));
    }
    if metadata.len() > LIMIT {
        return Err(io::Error::other(format!("it has more than {LIMIT} bytes")));
    }
    fs::read(path)
}
