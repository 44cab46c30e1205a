//! The artifact: a zip with a manifest, packed so that the same tree gives the same bytes and opened as if it were hostile.

mod dos_time;
mod link;
pub mod manifest;
pub mod open;
pub mod pack;
mod path;

pub use manifest::{FileKind, Manifest, ManifestError, ManifestFile, ManifestImage, content_digest};
pub use open::delta;
pub use open::{Bundle, Entry, EntryKind, Format, Limits, OpenError};
pub use pack::{PackError, PackFile, PackOptions, Packed, pack};
pub use path::{BundlePath, InvalidPath};

/// Where the manifest stands in a bundle.
pub const MANIFEST_PATH: &str = ".longshore/manifest.json";
