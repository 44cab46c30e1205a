//! What a disk may hold after a power cut, by the calls that changed it until then.
//!
//! Follows the calls of a traced program in two copies of its folder: as every program sees it *now*, and what is
//! *durable*, because a sync has reached it. The model and its limits: `docs/decisions/0007-crash-tests.md`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::tracer::Change;

/// Names a file for as long as it has a name.
type Id = usize;

const TOP: Id = 0;

/// The contents of a folder, as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    nodes: BTreeMap<Id, Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    what: What,
    attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    File(Vec<u8>),
    Link(PathBuf),
    Folder(BTreeMap<OsString, Id>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: SystemTime,
}

/// A folder whose changes are followed.
#[derive(Debug)]
pub struct Followed {
    folder: PathBuf,
    /// A file that stands for the world outside of the disk: what is written there has happened.
    outside: PathBuf,
    now: Disk,
    durable: Disk,
    next: Id,
}

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Bytes that no sync has reached. All names are there.
    Bytes,
    /// The second half of them.
    HalfOfTheBytes,
    /// Everything that no sync has reached by itself.
    Everything,
}

impl Followed {
    /// Begins with what stands in a folder, all of it durable.
    pub fn begin(folder: &Path, outside: &Path) -> Followed {
        let mut now = Disk { nodes: BTreeMap::new() };
        let mut next = TOP;
        now.read(folder, &mut next).expect("the folder can be read");
        Followed { folder: folder.to_owned(), outside: outside.to_owned(), durable: now.clone(), now, next }
    }

    /// Takes note of a change that has just taken place.
    pub fn take(&mut self, change: &Change) {
        // A path that is not found names a file that lost its name while it was open: nobody will see it again.
        let _ = self.apply(change);
    }

    fn apply(&mut self, change: &Change) -> Option<()> {
        match change {
            Change::Open(path) | Change::Write(path) | Change::Resize(path) => {
                let id = match self.find(path) {
                    Some(id) => id,
                    None => self.make(path, What::File(Vec::new()))?,
                };
                if let What::File(bytes) = &mut self.now.nodes.get_mut(&id)?.what {
                    *bytes = fs::read(path).ok()?;
                }
                if *path == self.outside {
                    self.sync(id);
                }
            }
            Change::Attributes(path) => {
                let id = self.find(path)?;
                self.now.nodes.get_mut(&id)?.attributes = attributes(path)?;
            }
            Change::Rename(from, to) => {
                let id = self.find(from)?;
                if self.find(to) != Some(id) {
                    self.unname(from)?;
                    self.name(to, id)?;
                }
            }
            Change::Link(from, to) => {
                let id = self.find(from)?;
                self.name(to, id)?;
            }
            Change::Symlink(target, path) => {
                self.make(path, What::Link(target.clone()))?;
            }
            Change::Unlink(path) | Change::RemoveFolder(path) => self.unname(path)?,
            Change::MakeFolder(path) => {
                self.make(path, What::Folder(BTreeMap::new()))?;
            }
            Change::Sync(path) => {
                let id = self.find(path)?;
                self.sync(id);
            }
            Change::SyncAll(_) => self.durable = self.now.clone(),
            Change::Spawn | Change::Signal => {}
        }
        Some(())
    }

    /// The disk as programs see it now.
    pub fn now(&self) -> &Disk {
        &self.now
    }

    /// The disk after a power cut now.
    pub fn after_power_cut(&self, loss: Loss) -> Disk {
        if loss == Loss::Everything {
            return self.durable.reachable();
        }
        let mut disk = self.now.reachable();
        for (id, node) in &mut disk.nodes {
            let What::File(bytes) = &mut node.what else { continue };
            let synced = match self.durable.nodes.get(id) {
                Some(Node { what: What::File(synced), .. }) if bytes.starts_with(synced) => synced.len(),
                Some(_) | None => 0,
            };
            let kept = if loss == Loss::Bytes { synced } else { synced.midpoint(bytes.len()) };
            bytes.truncate(kept);
        }
        disk
    }

    /// A file with the name it has now, or a folder with the names that are in it now, becomes durable.
    fn sync(&mut self, id: Id) {
        let Some(node) = self.now.nodes.get(&id) else { return };
        if let What::Folder(inside) = &node.what {
            for (name, inside) in inside.clone() {
                self.keep_node(inside);
                self.keep_name(id, &name, inside);
            }
        }
        self.durable.nodes.insert(id, self.now.nodes[&id].clone());
        self.keep_way_to(id);
    }

    /// What stands there without the bytes and names in it, unless more is durable already.
    fn keep_node(&mut self, id: Id) {
        let node = &self.now.nodes[&id];
        let what = match &node.what {
            What::File(_) => What::File(Vec::new()),
            What::Folder(_) => What::Folder(BTreeMap::new()),
            What::Link(target) => What::Link(target.clone()),
        };
        let attributes = node.attributes;
        self.durable.nodes.entry(id).or_insert(Node { what, attributes });
    }

    fn keep_way_to(&mut self, id: Id) {
        for (folder, name) in self.now.names_of(id) {
            self.keep_node(folder);
            self.keep_name(folder, &name, id);
            self.keep_way_to(folder);
        }
    }

    /// A rename is durable as a whole: the old name goes when the new one comes.
    fn keep_name(&mut self, folder: Id, name: &OsStr, id: Id) {
        let now = self.now.names_of(id);
        for (old, old_name) in self.durable.names_of(id) {
            if !now.contains(&(old, old_name.clone()))
                && let Some(inside) = self.durable.inside(old)
            {
                inside.remove(&old_name);
            }
        }
        if let Some(inside) = self.durable.inside(folder) {
            inside.insert(name.to_owned(), id);
        }
    }

    fn find(&self, path: &Path) -> Option<Id> {
        let mut id = TOP;
        for name in path.strip_prefix(&self.folder).ok()? {
            let What::Folder(inside) = &self.now.nodes.get(&id)?.what else { return None };
            id = *inside.get(name)?;
        }
        Some(id)
    }

    fn make(&mut self, path: &Path, what: What) -> Option<Id> {
        let id = self.next;
        self.next += 1;
        self.now.nodes.insert(id, Node { what, attributes: attributes(path)? });
        self.name(path, id)?;
        Some(id)
    }

    fn name(&mut self, path: &Path, id: Id) -> Option<()> {
        let folder = self.find(path.parent()?)?;
        self.now.inside(folder)?.insert(path.file_name()?.to_owned(), id);
        Some(())
    }

    fn unname(&mut self, path: &Path) -> Option<()> {
        let folder = self.find(path.parent()?)?;
        self.now.inside(folder)?.remove(path.file_name()?)?;
        Some(())
    }
}

impl Disk {
    fn read(&mut self, path: &Path, next: &mut Id) -> io::Result<Id> {
        let id = *next;
        *next += 1;
        let metadata = path.symlink_metadata()?;
        let what = if metadata.is_dir() {
            let mut inside = BTreeMap::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                inside.insert(entry.file_name(), self.read(&entry.path(), next)?);
            }
            What::Folder(inside)
        } else if metadata.is_symlink() {
            What::Link(fs::read_link(path)?)
        } else {
            What::File(fs::read(path)?)
        };
        self.nodes.insert(id, Node { what, attributes: Attributes::of(&metadata)? });
        Ok(id)
    }

    fn inside(&mut self, folder: Id) -> Option<&mut BTreeMap<OsString, Id>> {
        match &mut self.nodes.get_mut(&folder)?.what {
            What::Folder(inside) => Some(inside),
            What::File(_) | What::Link(_) => None,
        }
    }

    fn names_of(&self, id: Id) -> Vec<(Id, OsString)> {
        let mut names = Vec::new();
        for (folder, node) in &self.nodes {
            if let What::Folder(inside) = &node.what {
                names.extend(
                    inside.iter().filter(|(_, inside)| **inside == id).map(|(name, _)| (*folder, name.clone())),
                );
            }
        }
        names
    }

    /// Only what still has a name.
    fn reachable(&self) -> Disk {
        let mut nodes = BTreeMap::new();
        let mut left = vec![TOP];
        while let Some(id) = left.pop() {
            if let Some(node) = self.nodes.get(&id)
                && nodes.insert(id, node.clone()).is_none()
                && let What::Folder(inside) = &node.what
            {
                left.extend(inside.values());
            }
        }
        Disk { nodes }
    }

    /// Tells disks apart that a program would find different, times aside.
    pub fn fingerprint(&self) -> Vec<String> {
        let tell = |(id, node): (&Id, &Node)| {
            let Attributes { mode, owner, modified: _ } = node.attributes;
            format!("{id} {mode:o} {owner:?} {:?}", node.what)
        };
        self.nodes.iter().map(tell).collect()
    }

    /// Puts the contents into an empty folder.
    pub fn write(&self, to: &Path) -> io::Result<()> {
        self.write_node(TOP, to, &mut HashMap::new())
    }

    fn write_node(&self, id: Id, to: &Path, written: &mut HashMap<Id, PathBuf>) -> io::Result<()> {
        let Some(Node { what, attributes }) = self.nodes.get(&id) else { return Ok(()) };
        if let Some(first) = written.get(&id) {
            return fs::hard_link(first, to);
        }
        written.insert(id, to.to_owned());
        match what {
            What::Link(target) => return symlink(target, to),
            What::File(bytes) => fs::write(to, bytes)?,
            What::Folder(inside) => {
                if id != TOP {
                    fs::create_dir(to)?;
                }
                for (name, id) in inside {
                    self.write_node(*id, &to.join(name), written)?;
                }
            }
        }
        chown(to, Some(attributes.owner.0), Some(attributes.owner.1))?;
        File::open(to)?.set_times(FileTimes::new().set_modified(attributes.modified))?;
        fs::set_permissions(to, Permissions::from_mode(attributes.mode))
    }
}

impl Attributes {
    fn of(metadata: &fs::Metadata) -> io::Result<Attributes> {
        Ok(Attributes {
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            modified: metadata.modified()?,
        })
    }
}

fn attributes(path: &Path) -> Option<Attributes> {
    Attributes::of(&path.symlink_metadata().ok()?).ok()
}
