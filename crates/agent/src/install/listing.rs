//! What an archive holds. Built from a verified bundle that is not unpacked yet, or by reading an unpacked archive.
//!
//! Names only: the bytes of files are not read, and no link is followed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_core::bundle::{BundlePath, Entry, EntryKind};
use serde::{Deserialize, Serialize};

/// Everything in an archive, sorted by path. Every item's folders are in it, whether the archive names them or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    items: BTreeMap<BundlePath, Item>,
}

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Bytes of a file; 0 otherwise.
    pub size: u64,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link and its target text.
    Link(String),
}

/// Why an unpacked archive could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// Reading failed.
    #[error("cannot list `{path}`")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name or a link's target is not UTF-8, which no bundle can carry.
    #[error("the name or link target of `{path}` is not UTF-8")]
    NotUtf8 {
        /// The path, with replacement characters where it is shown.
        path: PathBuf,
    },
    /// A device, socket or pipe.
    #[error("`{path}` is neither a file, a folder nor a link")]
    Special {
        /// The path.
        path: PathBuf,
    },
}

impl Listing {
    /// What a bundle will hold once it is unpacked.
    pub fn of_entries(entries: &[Entry]) -> Listing {
        let items = entries.iter().map(|entry| {
            let kind = match &entry.kind {
                EntryKind::File(_) => ItemKind::File,
                EntryKind::Directory => ItemKind::Directory,
                EntryKind::Link(target) => ItemKind::Link(target.clone()),
            };
            (entry.path.clone(), Item { kind, mode: entry.mode, size: entry.size })
        });
        items.collect()
    }

    /// Reads an unpacked archive.
    pub fn read(archive: &Path) -> Result<Listing, ListingError> {
        let mut items = Vec::new();
        let mut folders = vec![(archive.to_owned(), String::new())];
        while let Some((folder, below)) = folders.pop() {
            let failed = |source| ListingError::Read { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let not_utf8 = || ListingError::NotUtf8 { path: path.clone() };
                let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_utf8)?;
                let text = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
                let metadata =
                    path.symlink_metadata().map_err(|source| ListingError::Read { path: path.clone(), source })?;
                let kind = if metadata.is_dir() {
                    folders.push((path.clone(), text.clone()));
                    ItemKind::Directory
                } else if metadata.is_symlink() {
                    let target =
                        fs::read_link(&path).map_err(|source| ListingError::Read { path: path.clone(), source })?;
                    ItemKind::Link(target.into_os_string().into_string().map_err(|_| not_utf8())?)
                } else if metadata.is_file() {
                    ItemKind::File
                } else {
                    return Err(ListingError::Special { path });
                };
                let size = if kind == ItemKind::File { metadata.len() } else { 0 };
                let path: BundlePath = text.parse().map_err(|invalid| ListingError::Read {
                    path: path.clone(),
                    source: io::Error::new(io::ErrorKind::InvalidFilename, invalid),
                })?;
                items.push((path, Item { kind, mode: metadata.mode() & 0o7777, size }));
            }
        }
        Ok(items.into_iter().collect())
    }

    /// The item at a path.
    pub fn get(&self, path: &BundlePath) -> Option<&Item> {
        self.items.get(path)
    }

    /// Everything, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&BundlePath, &Item)> {
        self.items.iter()
    }

    /// Everything below a folder, at any depth, with the rest of its path below that folder; sorted.
    pub fn below<'a>(&'a self, folder: &'a BundlePath) -> impl Iterator<Item = (&'a BundlePath, &'a str, &'a Item)> {
        // All paths that begin with the folder's text stand together, `folder-b` among them.
        self.items
            .range(folder..)
            .take_while(|(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter_map(|(path, item)| path.below(folder).map(|rest| (path, rest, item)))
    }
}

impl FromIterator<(BundlePath, Item)> for Listing {
    fn from_iter<T: IntoIterator<Item = (BundlePath, Item)>>(items: T) -> Listing {
        let mut items: BTreeMap<BundlePath, Item> = items.into_iter().collect();
        let mut implied = Vec::new();
        for path in items.keys() {
            let mut folder = path.parent();
            while let Some(path) = folder {
                folder = path.parent();
                implied.push(path);
            }
        }
        for path in implied {
            items.entry(path).or_insert(Item { kind: ItemKind::Directory, mode: 0o755, size: 0 });
        }
        Listing { items }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use longshore_core::digest::Sha256;

    use super::*;

    fn entry(path: &str, kind: EntryKind, mode: u32, size: u64) -> Entry {
        Entry { path: path.parse().unwrap(), kind, mode, size }
    }

    #[test]
    fn a_bundle_and_its_unpacked_archive_have_the_same_listing() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/empty")).unwrap();
        fs::write(dir.path().join("a/.hidden"), "12345").unwrap();
        fs::set_permissions(dir.path().join("a/.hidden"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("/nowhere", dir.path().join("a/link")).unwrap();
        for folder in ["a", "a/empty"] {
            fs::set_permissions(dir.path().join(folder), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let entries = [
            entry("a/.hidden", EntryKind::File(Sha256::of(b"12345")), 0o4755, 5),
            entry("a/empty", EntryKind::Directory, 0o755, 0),
            entry("a/link", EntryKind::Link("/nowhere".into()), 0o777, 0),
        ];
        assert_eq!(Listing::read(dir.path()).unwrap(), Listing::of_entries(&entries));
    }

    #[test]
    fn below_a_folder_is_what_stands_in_it_and_not_beside_it() {
        let file = || EntryKind::File(Sha256::of(b""));
        let listing = Listing::of_entries(&[
            entry("a-b", file(), 0o644, 0),
            entry("a/c/d", file(), 0o644, 0),
            entry("a/b", file(), 0o644, 0),
            entry("ab", file(), 0o644, 0),
        ]);
        let folder = "a".parse().unwrap();
        let found: Vec<&str> = listing.below(&folder).map(|(_, rest, _)| rest).collect();
        assert_eq!(found, ["b", "c", "c/d"]);
    }

    #[test]
    fn a_pipe_in_an_archive_is_named() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let error = Listing::read(dir.path()).unwrap_err();
        assert!(matches!(error, ListingError::Special { path } if path.ends_with("pipe")));
    }
}
