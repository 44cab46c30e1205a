//! What holds for archives of every format: they are refused, or unpack to exactly what was listed, within the limits,
//! and to nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use longshore_core::bundle::{Bundle, Entry, EntryKind, Limits};
use longshore_core::digest::Sha256;

use crate::scratch::scratch;

const LIMITS: Limits = Limits { total: 1 << 20, entries: 48, ratio: 20 };

/// Opens and unpacks. The listing, or nothing when it is refused.
pub(crate) fn check(bytes: &[u8]) -> Option<Vec<Entry>> {
    scratch(|dir| {
        let archive = dir.join("archive");
        fs::write(&archive, bytes).expect("the folder takes files");
        let bundle = match Bundle::open(&archive, &LIMITS) {
            Ok(bundle) => bundle,
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
                return None;
            }
        };
        check_listing(&bundle, bytes);
        check_unpacking(&bundle, dir);
        Some(bundle.entries)
    })
}

fn check_listing(bundle: &Bundle, bytes: &[u8]) {
    assert_eq!(bundle.archive_digest, Some(Sha256::of(bytes)));
    assert!(bundle.entries.len() as u64 <= LIMITS.entries);
    assert!(bundle.entries.iter().map(|entry| entry.size).sum::<u64>() <= LIMITS.total);
    assert!(bundle.entries.is_sorted_by(|a, b| a.path < b.path));
    for entry in &bundle.entries {
        assert!(entry.mode <= 0o7777, "{entry:?}");
        if let EntryKind::File(sha256) = entry.kind {
            let bytes = bundle.read(&entry.path, LIMITS.total).expect("it was verified").expect("it is listed");
            assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (entry.size, sha256));
        }
    }
}

fn check_unpacking(bundle: &Bundle, dir: &Path) {
    let room = dir.join("room");
    let _ = fs::remove_dir_all(&room);
    fs::create_dir(&room).expect("the folder takes folders");
    fs::write(room.join("beside"), "untouched").expect("the folder takes files");
    let to = room.join("unpacked");
    let before = listing(dir);
    let unpacked = bundle.unpack(&to);
    if let Err(error) = &unpacked {
        // The only reason there is: names that together are too long for one call of the system.
        let long = bundle.entries.iter().any(|entry| entry.path.as_str().len() >= 4000);
        assert!(long, "what was verified cannot be unpacked: {error:?}");
    } else {
        assert_eq!(tree(&to), expected(bundle));
        let again = Bundle::open(&to, &LIMITS).expect("what was unpacked can be opened");
        assert_eq!(again.content_digest, bundle.content_digest);
        fs::remove_dir_all(&to).expect("it is ours");
    }
    assert_eq!(listing(dir), before, "something was written beside the folder");
}

/// Kind, mode, and digest or target of everything below, by path.
type Tree = BTreeMap<String, (EntryKind, u32)>;

fn expected(bundle: &Bundle) -> Tree {
    bundle.entries.iter().map(|entry| (entry.path.to_string(), (entry.kind.clone(), entry.mode))).collect()
}

fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tests run as root, or the folder is ours") {
            let path = entry.expect("the folder can be read").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            let kind = if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("it is a link").into_os_string().into_vec();
                EntryKind::Link(String::from_utf8(target).expect("it was text"))
            } else if metadata.is_dir() {
                folders.push(path.clone());
                EntryKind::Directory
            } else {
                assert!(metadata.is_file() && metadata.nlink() == 1, "{path:?}");
                EntryKind::File(Sha256::of(&fs::read(&path).expect("it is a file")))
            };
            let name = path.strip_prefix(top).expect("it stands below").to_str().expect("it was text").to_owned();
            tree.insert(name, (kind, metadata.permissions().mode() & 0o7777));
        }
    }
    tree
}

/// Every path below, with the bytes of files: what must not change.
fn listing(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for folder in [dir.to_owned(), dir.join("room")] {
        for entry in fs::read_dir(&folder).expect("the folder is ours") {
            let path = entry.expect("the folder can be read").path();
            found.insert(path.display().to_string(), fs::read(&path).ok());
        }
    }
    found
}
