//! The `files` of an appspec over a listing → which file goes where, and which folders that needs. Pure, disk unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use longshore_core::appspec::Source;
use longshore_core::bundle::BundlePath;

use super::conflict::{Conflict, ConflictKind};
use super::listing::{Item, ItemKind, Listing};
use super::request::Request;

/// What goes where.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    /// Every folder that must stand, `/` excepted, ancestors first, with the entry of `files` that first needs it.
    pub(super) folders: BTreeMap<PathBuf, usize>,
    /// Files and links, sorted by destination; two may still have the same.
    pub(super) copies: Vec<Mapped>,
    pub(super) notes: Vec<String>,
    pub(super) conflicts: Vec<Conflict>,
}

/// One file or link and its destination.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) source: BundlePath,
    pub(super) destination: PathBuf,
    pub(super) kind: ItemKind,
    pub(super) mode: u32,
    pub(super) size: u64,
    /// The entry of `files`.
    pub(super) entry: usize,
}

/// Maps every entry of `files`.
pub(super) fn map(request: &Request<'_>) -> Mapping {
    let mut mapping = Mapping::default();
    for (entry, file) in request.appspec.files.iter().enumerate() {
        let destination = match absolute(&file.destination) {
            Ok(destination) => destination,
            Err(why) => {
                let kind = ConflictKind::BadDestination { destination: file.destination.clone(), why };
                mapping.conflicts.push(Conflict::new(Some(file.span.clone()), kind));
                continue;
            }
        };
        mapping.folder(&destination, entry);
        match &file.source {
            Source::Whole => {
                for (path, item) in request.listing.iter() {
                    mapping.item(path, item, destination.join(path.as_str()), entry);
                }
            }
            Source::Path(path) => match request.listing.get(path) {
                Some(Item { kind: ItemKind::Directory, .. }) => {
                    for (path, rest, item) in request.listing.below(path) {
                        mapping.item(path, item, destination.join(rest), entry);
                    }
                }
                Some(item) => {
                    if let ItemKind::Link(_) = &item.kind {
                        mapping.notes.push(format!("source `{path}` is a link and is installed as one, not followed"));
                    }
                    mapping.item(path, item, destination.join(path.file_name()), entry);
                }
                None => {
                    let link = link_above(path, request.listing);
                    let kind = ConflictKind::MissingSource { file: path.clone(), link };
                    mapping.conflicts.push(Conflict::new(Some(file.span.clone()), kind));
                }
            },
        }
    }
    // Stable, so that of two equal destinations the one of the earlier entry comes first.
    mapping.copies.sort_by(|a, b| a.destination.cmp(&b.destination));
    mapping.line_breaks(request);
    mapping
}

/// Every path that the plan needs to know about, so that a snapshot can look at it.
pub(super) fn paths(request: &Request<'_>) -> BTreeSet<PathBuf> {
    let mapping = map(request);
    let mut paths: BTreeSet<PathBuf> = mapping.folders.into_keys().collect();
    paths.extend(mapping.copies.into_iter().map(|copy| copy.destination));
    paths.extend(request.previous.paths.iter().cloned());
    paths
}

impl Mapping {
    fn item(&mut self, source: &BundlePath, item: &Item, destination: PathBuf, entry: usize) {
        let Item { kind, mode, size } = item.clone();
        match kind {
            ItemKind::Directory => self.folder(&destination, entry),
            ItemKind::File | ItemKind::Link(_) => {
                let source = source.clone();
                self.copies.push(Mapped { source, destination, kind, mode, size, entry });
            }
        }
    }

    fn folder(&mut self, folder: &Path, entry: usize) {
        let mut folder = folder;
        while let Some(parent) = folder.parent() {
            if self.folders.contains_key(folder) {
                break;
            }
            self.folders.insert(folder.to_owned(), entry);
            folder = parent;
        }
    }

    fn line_breaks(&mut self, request: &Request<'_>) {
        let folders = self.folders.iter().map(|(path, entry)| (path, *entry));
        let copies = self.copies.iter().map(|copy| (&copy.destination, copy.entry));
        let broken: BTreeSet<(String, usize)> = folders
            .chain(copies)
            .filter_map(|(path, entry)| path.to_str().map(|text| (text, entry)))
            .filter(|(text, _)| text.contains('\n'))
            .map(|(text, entry)| (text.to_owned(), entry))
            .collect();
        for (path, entry) in broken {
            let span = request.appspec.files.get(entry).map(|file| file.span.clone());
            self.conflicts.push(Conflict::new(span, ConflictKind::LineBreak { path }));
        }
    }
}

/// The first link on the way to a path that is not in a listing.
fn link_above(path: &BundlePath, listing: &Listing) -> Option<BundlePath> {
    let mut above = path.parent();
    while let Some(path) = above {
        if let Some(Item { kind: ItemKind::Link(_), .. }) = listing.get(&path) {
            return Some(path);
        }
        above = path.parent();
    }
    None
}

/// A path as the AWS agent normalises it, by its text alone: `..` takes back a part, doubled and trailing slashes mean
/// nothing. A path that depends on a working folder or a home is refused.
pub(super) fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    if text.contains('\0') {
        return Err("has a NUL character");
    }
    if text.starts_with('~') {
        return Err("begins with `~`, and whose home that is depends on who runs the agent");
    }
    if !text.starts_with('/') {
        return Err("is not absolute, and would depend on the folder that the agent was started in");
    }
    let mut path = PathBuf::from("/");
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => {
                path.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(path)
}
