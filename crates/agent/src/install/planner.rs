//! Request + what stands on disk → what to do, or every conflict at once. Pure.
//!
//! The mapping says what goes where, this module what that means for the disk, `matching` who owns what afterwards.

mod glob;
mod matching;
mod renewal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_core::appspec::{FileExists, Os};

use super::conflict::{Conflict, ConflictKind, Obstacle};
use super::mapping::{self, Mapped};
use super::plan::{Copy, CopyAction, Directory, DirectoryAction, InstallPlan, PermissionChange, Removal, Renewal};
use super::request::Request;
use super::snapshot::{Found, Snapshot, Standing};

/// Decides everything, or finds everything that is in the way.
pub fn plan(request: &Request<'_>, snapshot: &Snapshot) -> Result<InstallPlan, Vec<Conflict>> {
    let mapping = mapping::map(request);
    let mut planner = Planner::new(request, snapshot);
    planner.conflicts.extend(mapping.conflicts);
    planner.notes.extend(mapping.notes);
    match request.appspec.os {
        Os::Linux => {}
        Os::Windows => planner.conflicts.push(Conflict::new(None, ConflictKind::WrongOs)),
    }
    for (path, entry) in &mapping.folders {
        planner.folder(path, *entry);
    }
    for copy in mapping.copies {
        planner.copy(copy);
    }
    planner.space();
    planner.removals();
    planner.permissions();
    planner.renewals();
    planner.names();
    planner.finish()
}

/// Where a wanted folder is, and whether it stands there already.
#[derive(Debug, Clone)]
struct Wanted {
    place: PathBuf,
    new: bool,
    device: u64,
}

struct Planner<'a> {
    request: &'a Request<'a>,
    snapshot: &'a Snapshot,
    /// Places of what the previous release installed and what still stands.
    owned: HashSet<PathBuf>,
    wanted: BTreeMap<PathBuf, Wanted>,
    /// Wanted folders by place, with the mapping that wants them.
    folder_places: HashMap<PathBuf, usize>,
    /// Copies by place: index into `copies`.
    copy_places: HashMap<PathBuf, usize>,
    bytes_needed: BTreeMap<u64, Need>,
    directories: Vec<Directory>,
    copies: Vec<Copy>,
    permissions: Vec<PermissionChange>,
    renewals: Vec<Renewal>,
    removals: Vec<Removal>,
    remembered: Vec<PathBuf>,
    notes: Vec<String>,
    conflicts: Vec<Conflict>,
    /// What stands in the way and was reported: once, however many files it stops.
    barred: HashSet<PathBuf>,
}

/// What one file system has to take.
struct Need {
    folder: PathBuf,
    bytes: u64,
    files: u64,
}

impl<'a> Planner<'a> {
    fn new(request: &'a Request<'a>, snapshot: &'a Snapshot) -> Planner<'a> {
        let owned = request.previous.paths.iter().filter_map(|path| snapshot.found.get(path));
        let owned = owned.filter(|found| found.standing != Standing::Absent).map(|found| found.place.clone()).collect();
        Planner {
            request,
            snapshot,
            owned,
            wanted: BTreeMap::new(),
            folder_places: HashMap::new(),
            copy_places: HashMap::new(),
            bytes_needed: BTreeMap::new(),
            directories: Vec::new(),
            copies: Vec::new(),
            permissions: Vec::new(),
            renewals: Vec::new(),
            removals: Vec::new(),
            remembered: Vec::new(),
            notes: Vec::new(),
            conflicts: Vec::new(),
            barred: HashSet::new(),
        }
    }

    /// What stands at a path once all wanted folders above it are there. Folders are asked for ancestors first.
    fn standing(&self, path: &Path) -> Found {
        match (path.parent().and_then(|parent| self.wanted.get(parent)), path.file_name()) {
            (Some(parent), Some(name)) if parent.new => {
                Found { place: parent.place.join(name), standing: Standing::Absent, device: parent.device }
            }
            (Some(_) | None, Some(_) | None) => self.snapshot.at(path),
        }
    }

    /// Decides on a folder that must stand: make it, keep it, or see what is in the way.
    fn folder(&mut self, path: &Path, entry: usize) {
        let Found { place, standing, device } = self.standing(path);
        let owned = self.owned.contains(&place);
        let mut wanted = Wanted { place: place.clone(), new: false, device };
        let action = match standing {
            Standing::Absent => Some(DirectoryAction::Create),
            Standing::Directory { .. } => owned.then_some(DirectoryAction::Keep),
            Standing::Link { directory: Some(directory) } if !owned => {
                let (link, target) = (path.display(), directory.display());
                self.notes.push(format!("`{link}` is a link to `{target}`, and files are installed there"));
                wanted.place = directory;
                None
            }
            Standing::File | Standing::Link { .. } | Standing::Special if owned => Some(DirectoryAction::Replace),
            Standing::File | Standing::Link { .. } | Standing::Special => {
                self.conflict(entry, ConflictKind::FolderBlocked { folder: path.to_owned() });
                // As if it were made, so that what is in it is not reported once more.
                wanted.new = true;
                None
            }
        };
        if let Some(action) = action {
            wanted.new = action != DirectoryAction::Keep;
            if wanted.new {
                self.changeable(&place, device, Some(entry));
            }
            if !self.folder_places.contains_key(&place) {
                self.directories.push(Directory { path: path.to_owned(), place, action });
            }
            if wanted.new {
                self.need(&wanted, path, 0);
            }
        }
        self.folder_places.entry(wanted.place.clone()).or_insert(entry);
        self.wanted.insert(path.to_owned(), wanted);
    }

    /// Decides on a file or link.
    fn copy(&mut self, copy: Mapped) {
        let Found { place, standing, device } = self.standing(&copy.destination);
        if let Some(other) = self.copy_places.get(&place) {
            let kind = ConflictKind::TwoSources {
                destination: copy.destination,
                first: self.copies[*other].source.clone(),
                second: copy.source,
            };
            return self.conflict(copy.entry, kind);
        }
        self.copy_places.insert(place.clone(), self.copies.len());
        let mut action = CopyAction::Create;
        if self.folder_places.contains_key(&place) {
            let kind = ConflictKind::FolderAndFile { path: copy.destination.clone(), file: copy.source.clone() };
            self.conflict(copy.entry, kind);
        } else {
            match self.action(&place, &standing) {
                Ok(decided) => action = decided,
                Err(Blocked::Exists) => {
                    let kind =
                        ConflictKind::Exists { destination: copy.destination.clone(), file: copy.source.clone() };
                    self.conflict(copy.entry, kind);
                }
                Err(Blocked::Folder(inside)) => {
                    let kind = ConflictKind::FileBlocked {
                        destination: copy.destination.clone(),
                        file: copy.source.clone(),
                        inside,
                    };
                    self.conflict(copy.entry, kind);
                }
            }
        }
        match action {
            CopyAction::Create | CopyAction::Replace => {
                self.changeable(&place, device, Some(copy.entry));
                let folder = copy.destination.parent().unwrap_or(&copy.destination).to_owned();
                self.need(&Wanted { place: place.clone(), new: true, device }, &folder, copy.size);
            }
            CopyAction::Retain => {
                let destination = copy.destination.display();
                self.notes.push(format!("`{destination}` exists and stays as it is (RETAIN)"));
            }
        }
        let Mapped { source, destination, kind, mode, size, .. } = copy;
        self.copies.push(Copy { source, destination, place, kind, mode, size, action });
    }

    fn action(&self, place: &Path, standing: &Standing) -> Result<CopyAction, Blocked> {
        let owned = self.owned.contains(place);
        match (standing, self.request.file_exists) {
            (Standing::Absent, _) => Ok(CopyAction::Create),
            (Standing::Directory { foreign: None }, _) if owned => Ok(CopyAction::Replace),
            (Standing::File | Standing::Link { .. } | Standing::Special, _) if owned => Ok(CopyAction::Replace),
            (
                Standing::File | Standing::Link { .. } | Standing::Special | Standing::Directory { .. },
                FileExists::Retain,
            ) => Ok(CopyAction::Retain),
            (Standing::Directory { foreign }, FileExists::Disallow | FileExists::Overwrite) => {
                Err(Blocked::Folder(foreign.clone().filter(|_| owned)))
            }
            (Standing::File | Standing::Link { .. }, FileExists::Overwrite) => Ok(CopyAction::Replace),
            (Standing::File | Standing::Link { .. }, FileExists::Disallow) => Err(Blocked::Exists),
            (Standing::Special, FileExists::Disallow | FileExists::Overwrite) => Err(Blocked::Exists),
        }
    }

    /// Sees that the agent can make, replace or remove what stands, or will stand, at a place.
    fn changeable(&mut self, place: &Path, device: u64, entry: Option<usize>) {
        // Of what is above, only a folder that we cannot look into matters: the others may be new.
        let above = place.ancestors().skip(2).filter_map(|path| self.snapshot.barred.get_key_value(path));
        let above = above.filter(|(_, obstacle)| **obstacle == Obstacle::NotSearchable);
        let own = self.snapshot.barred.get_key_value(place).filter(|(_, obstacle)| **obstacle == Obstacle::Immutable);
        let folder = place.parent().and_then(|folder| self.snapshot.barred.get_key_value(folder));
        let Some((path, obstacle)) = own.or(folder).or_else(|| above.last()) else { return };
        // Said once for the whole file system.
        let read_only = self.snapshot.file_systems.get(&device).is_some_and(|space| space.read_only);
        let said = *obstacle == Obstacle::ReadOnly && read_only && entry.is_some();
        if !said && self.barred.insert(path.clone()) {
            let kind = ConflictKind::Barred { path: path.clone(), obstacle: *obstacle };
            let files = &self.request.appspec.files;
            let span = entry.and_then(|entry| files.get(entry)).map(|mapping| mapping.span.clone());
            self.conflicts.push(Conflict::new(span, kind));
        }
    }

    /// Adds one file or folder to what its file system has to take.
    fn need(&mut self, wanted: &Wanted, folder: &Path, size: u64) {
        let block = self.snapshot.file_systems.get(&wanted.device).map_or(4096, |space| space.block);
        let need = self.bytes_needed.entry(wanted.device);
        let need = need.or_insert_with(|| Need { folder: folder.to_owned(), bytes: 0, files: 0 });
        need.bytes = need.bytes.saturating_add(size.div_ceil(block).saturating_mul(block));
        need.files += 1;
    }

    fn space(&mut self) {
        for (device, need) in &self.bytes_needed {
            let Some(free) = self.snapshot.file_systems.get(device) else { continue };
            if free.read_only {
                let kind = ConflictKind::ReadOnly { folder: need.folder.clone() };
                self.conflicts.push(Conflict::new(None, kind));
                continue;
            }
            let too_many = free.files.is_some_and(|files| need.files > files);
            if need.bytes > free.bytes || too_many {
                let kind = ConflictKind::NoSpace {
                    folder: need.folder.clone(),
                    bytes_needed: need.bytes,
                    bytes_free: free.bytes,
                    files_needed: need.files,
                    files_free: free.files,
                };
                self.conflicts.push(Conflict::new(None, kind));
            }
        }
    }

    /// What the previous release installed, stands, and is not part of this one.
    fn removals(&mut self) {
        let mut seen = HashSet::new();
        let mut remembered = Vec::new();
        for path in self.request.previous.paths.iter().rev() {
            let Found { place, standing, device } = self.snapshot.at(path);
            let kept = self.copy_places.contains_key(&place) || self.folder_places.contains_key(&place);
            if kept || !seen.insert(place.clone()) {
                continue;
            }
            match standing {
                Standing::Directory { foreign: Some(_) } => remembered.push(path.clone()),
                Standing::Directory { foreign: None } => {
                    self.removals.push(Removal { path: path.clone(), place, directory: true });
                }
                Standing::File | Standing::Link { .. } | Standing::Special => {
                    self.changeable(&place, device, None);
                    self.removals.push(Removal { path: path.clone(), place, directory: false });
                }
                // Or hidden.
                Standing::Absent if self.is_hidden(&place) => self.changeable(&place, device, None),
                Standing::Absent => {}
            }
        }
        remembered.reverse();
        self.remembered = remembered;
    }

    /// Names that the records of the AWS agent cannot hold, or that it would read as others.
    fn names(&mut self) {
        let directories = self.directories.iter().map(|directory| &directory.path);
        let copies = self.copies.iter().filter(|copy| copy.action != CopyAction::Retain);
        for path in directories.chain(copies.map(|copy| &copy.destination)) {
            if path.as_os_str().as_bytes().last().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == 0x0b) {
                let path = path.to_string_lossy();
                let path = path.escape_debug();
                self.notes.push(format!("`{path}` ends in white space: the AWS agent could not remove it"));
            }
        }
        for change in self.permissions.iter().filter(|change| change.context.is_some()) {
            if change.place.as_os_str().as_bytes().contains(&b'\n') {
                let path = change.place.to_string_lossy().into_owned();
                self.conflicts.push(Conflict::new(None, ConflictKind::LineBreak { path }));
            }
        }
    }

    fn is_hidden(&self, place: &Path) -> bool {
        let mut above = place.ancestors().skip(1);
        above.any(|path| self.snapshot.barred.get(path) == Some(&Obstacle::NotSearchable))
    }

    fn permissions(&mut self) {
        let matched = matching::matching(&matching::Installed {
            appspec: self.request.appspec,
            snapshot: self.snapshot,
            directories: &self.directories,
            copies: &self.copies,
        });
        self.permissions = matched.changes;
        self.notes.extend(matched.notes);
        self.conflicts.extend(matched.conflicts);
    }

    fn renewals(&mut self) {
        let found = self.request.previous.paths.iter().filter_map(|path| self.snapshot.found.get(path));
        let ours = found.filter(|found| found.standing == Standing::Directory { foreign: None });
        let (renewals, notes) = renewal::renewals(&renewal::Staying {
            snapshot: self.snapshot,
            directories: &self.directories,
            permissions: &self.permissions,
            ours: &ours.map(|found| found.place.as_path()).collect(),
        });
        self.renewals = renewals;
        self.notes.extend(notes);
    }

    fn conflict(&mut self, entry: usize, kind: ConflictKind) {
        let span = self.request.appspec.files.get(entry).map(|mapping| mapping.span.clone());
        self.conflicts.push(Conflict::new(span, kind));
    }

    fn finish(self) -> Result<InstallPlan, Vec<Conflict>> {
        if !self.conflicts.is_empty() {
            return Err(self.conflicts);
        }
        Ok(InstallPlan {
            directories: self.directories,
            copies: self.copies,
            permissions: self.permissions,
            renewals: self.renewals,
            removals: self.removals,
            remembered: self.remembered,
            contexts_before: self.request.previous.contexts.clone(),
            notes: self.notes,
        })
    }
}

/// Why a file cannot go where it should.
enum Blocked {
    /// A file, link or device stands there, and is not ours to replace.
    Exists,
    /// A folder stands there; in it, if it is one of the previous release, is something that release did not install.
    Folder(Option<PathBuf>),
}
