//! What an archive lists → one checked tree. Pure. Every name that could be written outside, through a link or twice is
//! refused here.

use std::collections::BTreeMap;

use super::error::shown;
use super::{Entry, EntryKind, Limits, OpenError};
use crate::bundle::{BundlePath, link};

/// Longest text of all names together, for each entry that the limits allow. Folders that only names imply count too.
const NAME_BYTES_EACH: u64 = 512;

/// One entry as an archive lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: BundlePath,
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: Option<i64>,
    pub(super) origin: Origin,
}

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From nowhere: a folder that the name of another entry implies.
    Implied,
    /// The entry of this number in the archive.
    Item(usize),
    /// A hard link to the entry of this number.
    CopyOf(usize),
}

/// Whether the agent's rule of a single leading folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeadingFolder {
    /// As for an archive.
    Strip,
    /// As for a folder, which the AWS agent copies as it is.
    Keep,
}

/// The tree: entries sorted by path, and beside each its origin and time.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) entries: Vec<Entry>,
    pub(super) origins: Vec<(Origin, Option<i64>)>,
}

/// The path of an entry by the name that an archive gives it; `None` for the top of the archive itself (`./`).
pub(super) fn entry_path(name: &[u8]) -> Result<Option<BundlePath>, OpenError> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Err(OpenError::NotUtf8 { entry: shown(name) });
    };
    let refuse = |why| Err(OpenError::Name { entry: shown(name), why });
    if text.is_empty() {
        return refuse("has no name");
    }
    if text.starts_with('/') {
        return refuse("is absolute");
    }
    if text.split('/').all(|part| part.is_empty() || part == ".") {
        return Ok(None);
    }
    match BundlePath::normalized(text) {
        Ok(path) => Ok(Some(path)),
        Err(invalid) => refuse(invalid.why),
    }
}

/// The target of a link by its bytes.
pub(super) fn link_target(entry: &[u8], target: &[u8]) -> Result<String, OpenError> {
    let refuse = |why| Err(OpenError::LinkTarget { entry: shown(entry), why });
    match std::str::from_utf8(target) {
        Err(_) => refuse("is not UTF-8"),
        Ok("") => refuse("is empty"),
        Ok(text) if text.contains('\0') => refuse("has a NUL character"),
        Ok(text) if text.len() >= 4096 => refuse("is longer than a file system takes"),
        Ok(text) => Ok(text.to_owned()),
    }
}

/// Puts the entries into one tree.
pub(super) fn build(found: Vec<Found>, leading: LeadingFolder, limits: &Limits) -> Result<Tree, OpenError> {
    let mut nodes: BTreeMap<BundlePath, Found> = BTreeMap::new();
    let mut bytes = 0;
    let mut count = |path: &BundlePath, nodes: &BTreeMap<BundlePath, Found>| {
        bytes += path.as_str().len() as u64;
        let many = nodes.len() as u64 >= limits.entries || bytes > limits.entries.saturating_mul(NAME_BYTES_EACH);
        if many { Err(OpenError::Entries { limit: limits.entries }) } else { Ok(()) }
    };
    for entry in found {
        let mut above = entry.path.parent();
        while let Some(folder) = above {
            match nodes.get(&folder).map(|node| &node.kind) {
                Some(EntryKind::Directory) => break,
                Some(EntryKind::File(_) | EntryKind::Link(_)) => {
                    return Err(OpenError::BelowFile {
                        entry: shown(entry.path.as_str().as_bytes()),
                        above: shown(folder.as_str().as_bytes()),
                    });
                }
                None => {
                    count(&folder, &nodes)?;
                    above = folder.parent();
                    nodes.insert(folder.clone(), implied(folder));
                }
            }
        }
        let is_folder = entry.kind == EntryKind::Directory;
        match nodes.get(&entry.path).map(|node| node.kind == EntryKind::Directory) {
            None => count(&entry.path, &nodes)?,
            // Harmless, and some tools list a folder twice.
            Some(true) if is_folder => {}
            Some(was_folder) => {
                let name = shown(entry.path.as_str().as_bytes());
                let twice = was_folder == is_folder;
                return Err(if twice {
                    OpenError::Duplicate { entry: name }
                } else {
                    OpenError::Conflict { entry: name }
                });
            }
        }
        nodes.insert(entry.path.clone(), entry);
    }
    Ok(match leading {
        LeadingFolder::Keep => tree(nodes, None),
        LeadingFolder::Strip => {
            let folder = leading_folder(&nodes);
            tree(nodes, folder.as_ref())
        }
    })
}

fn implied(path: BundlePath) -> Found {
    Found { path, kind: EntryKind::Directory, mode: 0o755, size: 0, modified: None, origin: Origin::Implied }
}

/// As the AWS agent 1.8.1: where the top has one entry, a folder, and something directly in it has a name with `appspec`
/// in it, in any case, that folder is the bundle.
fn leading_folder(nodes: &BTreeMap<BundlePath, Found>) -> Option<BundlePath> {
    let mut top = nodes.iter().filter(|(path, _)| path.parent().is_none());
    let (folder, node) = top.next()?;
    let alone = top.next().is_none() && node.kind == EntryKind::Directory;
    let named = |path: &BundlePath| path.file_name().to_ascii_lowercase().contains("appspec");
    let holds_appspec = nodes.keys().any(|path| path.parent().as_ref() == Some(folder) && named(path));
    (alone && holds_appspec).then(|| folder.clone())
}

fn tree(nodes: BTreeMap<BundlePath, Found>, strip: Option<&BundlePath>) -> Tree {
    let mut tree = Tree::default();
    for (path, node) in nodes {
        let path = match strip {
            None => path,
            // The folder itself is the top now, and stands in no list.
            Some(folder) => match path.below(folder).and_then(|rest| rest.parse().ok()) {
                Some(rest) => rest,
                None => continue,
            },
        };
        tree.entries.push(Entry { path, kind: node.kind, mode: node.mode, size: node.size });
        tree.origins.push((node.origin, node.modified));
    }
    tree
}

/// What will surprise, one sentence each.
pub(super) fn warnings(entries: &[Entry]) -> Vec<String> {
    let mut warnings = Vec::new();
    for Entry { path, kind, mode, .. } in entries {
        let path_shown = shown(path.as_str().as_bytes());
        if let EntryKind::Link(target) = kind {
            if link::leaves(path, target) {
                let target = shown(target.as_bytes());
                warnings.push(format!("link `{path_shown}` points outside the bundle, to `{target}`"));
            }
            continue;
        }
        let bits = [(0o4000, "setuid"), (0o2000, "setgid"), (0o1000, "sticky")];
        let set: Vec<&str> = bits.into_iter().filter(|(bit, _)| mode & bit != 0).map(|(_, name)| name).collect();
        if !set.is_empty() {
            warnings.push(format!("`{path_shown}` has the {} bit", set.join(" and the ")));
        }
    }
    warnings
}
