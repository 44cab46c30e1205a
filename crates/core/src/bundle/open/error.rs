//! Why an archive is refused: one variant for each rule, each naming the entry. Names are shown with control characters
//! escaped, since they come from whoever made the archive.

use std::io;
use std::path::PathBuf;

use crate::bundle::{MANIFEST_PATH, ManifestError};
use crate::digest::Sha256;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Reading failed.
    #[error("cannot read bundle `{path}`")]
    Read {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading one file of a folder failed.
    #[error("cannot read `{entry}` of the bundle")]
    ReadEntry {
        /// The entry.
        entry: String,
        /// Why.
        source: io::Error,
    },
    /// Unpacking failed.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The place to unpack to is taken.
    #[error("cannot unpack to `{path}`: it exists")]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Neither zip, nor tar, nor gzipped tar, nor folder.
    #[error("`{path}` is neither a zip, nor a tar, nor a gzipped tar, nor a folder")]
    Format {
        /// The bundle.
        path: PathBuf,
    },
    /// The archive as a whole is damaged.
    #[error("the archive is damaged: {why}")]
    Archive {
        /// What is wrong.
        why: String,
    },
    /// The archive ends too early.
    #[error("the archive is cut off {place}")]
    CutOff {
        /// Where.
        place: String,
    },
    /// A name that could leave the folder, or that no file system takes.
    #[error("entry `{entry}` {why}")]
    Name {
        /// The entry.
        entry: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the name of entry `{entry}` is not UTF-8")]
    NotUtf8 {
        /// The entry.
        entry: String,
    },
    /// A name with Windows separators.
    #[error("the name of entry `{entry}` has a `\\`, which is a separator where the archive was made and none here")]
    Backslash {
        /// The entry.
        entry: String,
    },
    /// Two entries of one name.
    #[error("entry `{entry}` stands twice in the archive")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// One name for a folder and for something else.
    #[error("entry `{entry}` is a folder and a file or link at once")]
    Conflict {
        /// The entry.
        entry: String,
    },
    /// An entry that would be written through a link or into a file.
    #[error("entry `{entry}` stands below `{above}`, which is a file or link")]
    BelowFile {
        /// The entry.
        entry: String,
        /// What stands above it.
        above: String,
    },
    /// Two places of the archive describe an entry differently.
    #[error("entry `{entry}` contradicts itself: {why}")]
    Inconsistent {
        /// The entry.
        entry: String,
        /// What differs.
        why: String,
    },
    /// Two entries share bytes of the archive.
    #[error("entry `{entry}` reaches into what follows it in the archive")]
    Overlap {
        /// The entry.
        entry: String,
    },
    /// An encrypted entry.
    #[error("entry `{entry}` is encrypted")]
    Encrypted {
        /// The entry.
        entry: String,
    },
    /// A compression that is neither stored nor deflate.
    #[error("entry `{entry}` is compressed by method {method}; stored (0) and deflate (8) are known")]
    Method {
        /// The entry.
        entry: String,
        /// The method's number.
        method: u16,
    },
    /// More bytes than the header says.
    #[error("entry `{entry}` has more than the {declared} bytes that its header declares")]
    TooLong {
        /// The entry.
        entry: String,
        /// Bytes.
        declared: u64,
    },
    /// Fewer bytes than the header says.
    #[error("entry `{entry}` has fewer than the {declared} bytes that its header declares")]
    TooShort {
        /// The entry.
        entry: String,
        /// Bytes.
        declared: u64,
    },
    /// The deflate stream is broken.
    #[error("the compressed bytes of entry `{entry}` are damaged")]
    Deflate {
        /// The entry.
        entry: String,
    },
    /// The checksum differs.
    #[error("the checksum of entry `{entry}` is wrong")]
    Checksum {
        /// The entry.
        entry: String,
    },
    /// A device, a FIFO, a socket, or something else that is neither file, folder nor link.
    #[error("entry `{entry}` is a {kind}; a bundle holds files, folders and links only")]
    Kind {
        /// The entry.
        entry: String,
        /// What it is.
        kind: String,
    },
    /// A hard link to something else than a file that came before it.
    #[error("entry `{entry}` is a hard link to `{target}`, which is no earlier file of the archive")]
    HardLink {
        /// The entry.
        entry: String,
        /// Its target.
        target: String,
    },
    /// A symbolic link whose target cannot be one.
    #[error("the target of link `{entry}` {why}")]
    LinkTarget {
        /// The entry.
        entry: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// More bytes than allowed.
    #[error("the bundle unpacks to more than {limit} bytes (entry `{entry}`)")]
    Total {
        /// Where the limit was passed.
        entry: String,
        /// Bytes.
        limit: u64,
    },
    /// More entries than allowed.
    #[error("the bundle has more than {limit} entries, folders and the text of their names counted")]
    Entries {
        /// Entries.
        limit: u64,
    },
    /// Suspiciously well compressed.
    #[error("the bundle unpacks to more than {ratio} times its size (entry `{entry}`)")]
    Ratio {
        /// Where the limit was passed.
        entry: String,
        /// The limit.
        ratio: u64,
    },
    /// The manifest is unreadable.
    #[error("the manifest of the bundle is damaged")]
    Manifest(#[source] ManifestError),
    /// The manifest is no regular file, or too large.
    #[error("`{MANIFEST_PATH}` {why}")]
    ManifestFile {
        /// The rule it breaks.
        why: &'static str,
    },
    /// The manifest lists a file that the archive lacks.
    #[error("`{entry}` stands in the manifest and not in the bundle")]
    Missing {
        /// The path.
        entry: String,
    },
    /// The archive has a file that the manifest does not list.
    #[error("`{entry}` stands in the bundle and not in the manifest")]
    Unlisted {
        /// The path.
        entry: String,
    },
    /// A file is not what the manifest says.
    #[error("the {what} of `{entry}` differs from the manifest")]
    Differs {
        /// The path.
        entry: String,
        /// What differs: kind, x bit, size or digest.
        what: &'static str,
    },
    /// The content digest is not the one that the manifest names.
    #[error("the bundle has the content digest {computed}; its manifest names {named}")]
    ContentDigest {
        /// What the manifest says.
        named: Sha256,
        /// What the entries give.
        computed: Sha256,
    },
    /// The archive or folder is no longer what was verified.
    #[error("`{entry}` changed after the bundle was verified")]
    Changed {
        /// The entry.
        entry: String,
    },
    /// A file is too large to be read into memory.
    #[error("`{entry}` has {size} bytes; at most {limit} are read")]
    ReadLimit {
        /// The path.
        entry: String,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
}

/// A name of an archive as it can be shown: one line, no control characters.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}
