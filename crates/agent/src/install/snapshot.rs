//! What stands on disk where a plan wants to go. Reads only, and follows a link only to learn whether it leads to a folder.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_core::appspec::AclTag;
use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{self, AccessFlags};

use super::conflict::Obstacle;
use super::maker::{FolderLook, Maker};
use super::mapping;
use super::permissions::{self, Programs};
use super::request::Request;

/// What a plan needs to know of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// What stands at each path that matters: destinations, all their folders, and what the previous release installed.
    pub found: BTreeMap<PathBuf, Found>,
    /// Users that the appspec names; `None`: unknown here.
    pub users: BTreeMap<String, Option<u32>>,
    /// Groups that the appspec names; `None`: unknown here.
    pub groups: BTreeMap<String, Option<u32>>,
    /// Free space by device number.
    pub file_systems: BTreeMap<u64, FreeSpace>,
    /// Folders and files that stand and that the agent cannot change, by place.
    pub barred: BTreeMap<PathBuf, Obstacle>,
    /// Whom the agent can give files to; `None`: it is root, and can give them to anyone.
    pub unprivileged: Option<Unprivileged>,
    /// Whose a new folder is; `None`: not known, and folders that stay are left as they are.
    pub maker: Option<Maker>,
    /// Folders of the previous release that hold nothing foreign, and those that they are in, by place.
    pub folders: BTreeMap<PathBuf, FolderLook>,
    /// The programs that set ACLs and contexts.
    pub programs: Programs,
}

/// Who the agent is when it is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprivileged {
    /// Its user.
    pub user: u32,
    /// Its groups.
    pub groups: Vec<u32>,
}

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path with every link above its last part resolved, so that two names of one file give one place.
    pub place: PathBuf,
    /// What stands there.
    pub standing: Standing,
    /// The device number of the nearest folder that exists, the path itself included.
    pub device: u64,
}

/// What stands at a path. Links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Absent,
    /// A regular file.
    File,
    /// A folder.
    Directory {
        /// Something in it that the previous release did not install. Looked for only in folders of that release.
        foreign: Option<PathBuf>,
    },
    /// A symbolic link.
    Link {
        /// The folder it leads to, all links resolved; `None`: it leads to a file or nowhere.
        directory: Option<PathBuf>,
    },
    /// A device, socket or pipe.
    Special,
}

/// How much fits on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that the agent's user may still write.
    pub bytes: u64,
    /// Bytes of one block: a file takes whole blocks.
    pub block: u64,
    /// Files that may still be created; `None`: the file system has no such limit.
    pub files: Option<u64>,
    /// Whether nothing can be written to it at all.
    pub read_only: bool,
}

/// Why the disk could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A path could not be looked at.
    #[error("cannot look at `{path}`")]
    Look {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database of users and groups could not be asked.
    #[error("cannot look up `{name}` among the users and groups")]
    Account {
        /// The user or group.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Snapshot {
    /// Looks at everything that the plan for `request` depends on.
    pub fn take(request: &Request<'_>) -> Result<Snapshot, SnapshotError> {
        let paths = mapping::paths(request);
        let mut snapshot = Snapshot { programs: Programs::find(env::var_os("PATH").as_deref()), ..Snapshot::default() };
        let mut look = Look::default();
        for path in paths {
            let found = look.at(&path)?;
            snapshot.found.insert(path, found);
        }
        snapshot.find_obstacles(&look);
        snapshot.unprivileged = unprivileged()?;
        snapshot.find_foreign(request)?;
        snapshot.find_folders(request)?;
        snapshot.find_accounts(request)?;
        snapshot.find_space()?;
        Ok(snapshot)
    }

    /// What stands at a path. A path that was not looked at counts as absent.
    pub fn at(&self, path: &Path) -> Found {
        let absent = || Found { place: path.to_owned(), standing: Standing::Absent, device: 0 };
        self.found.get(path).cloned().unwrap_or_else(absent)
    }

    /// Asks the kernel about every folder on the way, and about what stands.
    fn find_obstacles(&mut self, look: &Look) {
        let folders = look.folders.values().filter(|folder| folder.stands).map(|folder| folder.place.as_path());
        let directories = self.found.values().filter(|found| matches!(found.standing, Standing::Directory { .. }));
        let folders: BTreeSet<&Path> = folders.chain(directories.map(|found| found.place.as_path())).collect();
        let files = self.found.values().filter(|found| found.standing == Standing::File).map(|found| &found.place);
        let mut barred = BTreeMap::new();
        for folder in folders {
            let obstacle = match unistd::eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
                Err(Errno::EACCES) if unistd::eaccess(folder, AccessFlags::X_OK).is_err() => Obstacle::NotSearchable,
                Err(Errno::EACCES) => Obstacle::NotWritable,
                Err(Errno::EPERM) => Obstacle::Immutable,
                Err(Errno::EROFS) => Obstacle::ReadOnly,
                // Gone meanwhile, or a question that this system does not answer: the installation will see.
                Ok(()) | Err(_) => continue,
            };
            barred.insert(folder.to_owned(), obstacle);
        }
        for file in files {
            // A file is replaced by what its folder allows, whatever its own mode says.
            if unistd::eaccess(file, AccessFlags::W_OK) == Err(Errno::EPERM) {
                barred.insert(file.clone(), Obstacle::Immutable);
            }
        }
        self.barred = barred;
    }

    /// Says of each folder of the previous release what else is in it, deepest first, so that a folder knows of its own.
    fn find_foreign(&mut self, request: &Request<'_>) -> Result<(), SnapshotError> {
        let places: HashSet<PathBuf> =
            request.previous.paths.iter().filter_map(|path| self.found.get(path)).map(|f| f.place.clone()).collect();
        let mut foreign_in: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
        let mut owned: BTreeSet<(usize, &PathBuf)> = BTreeSet::new();
        for path in &request.previous.paths {
            owned.insert((path.components().count(), path));
        }
        for (_, path) in owned.into_iter().rev() {
            let Some(found) = self.found.get_mut(path) else { continue };
            if !matches!(found.standing, Standing::Directory { .. }) {
                continue;
            }
            let mut first = None;
            let entries = match fs::read_dir(&found.place) {
                // What cannot be seen cannot be known to be ours.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let foreign = Some(found.place.clone());
                    foreign_in.insert(found.place.clone(), foreign.clone());
                    found.standing = Standing::Directory { foreign };
                    continue;
                }
                entries => entries.map_err(|source| cannot_look(&found.place, source))?,
            };
            for entry in entries {
                let inside = entry.map_err(|source| cannot_look(&found.place, source))?.path();
                let foreign = match foreign_in.get(&inside) {
                    Some(deeper) => deeper.clone(),
                    None if places.contains(&inside) => None,
                    None => Some(inside),
                };
                // The first in order, so that a report does not depend on the order of the disk.
                first = match (first, foreign) {
                    (Some(one), Some(other)) => Some(std::cmp::min(one, other)),
                    (one, other) => one.or(other),
                };
            }
            foreign_in.insert(found.place.clone(), first.clone());
            found.standing = Standing::Directory { foreign: first };
        }
        Ok(())
    }

    /// Looks at what folders of the previous release have that a new one may not have.
    fn find_folders(&mut self, request: &Request<'_>) -> Result<(), SnapshotError> {
        let failed = |source| SnapshotError::Account { name: unistd::geteuid().to_string(), source };
        self.maker = Maker::of_this_process().map_err(failed)?;
        let found = request.previous.paths.iter().filter_map(|path| self.found.get(path));
        let ours = found.filter(|found| found.standing == Standing::Directory { foreign: None });
        for place in ours.flat_map(|found| [Some(found.place.as_path()), found.place.parent()]).flatten() {
            if !self.folders.contains_key(place) {
                let look = FolderLook::of(place).map_err(|source| cannot_look(place, source))?;
                self.folders.insert(place.to_owned(), look);
            }
        }
        Ok(())
    }

    fn find_accounts(&mut self, request: &Request<'_>) -> Result<(), SnapshotError> {
        for permission in &request.appspec.permissions {
            let acl = permission.acls.iter().flatten().filter(|entry| !entry.name.is_empty());
            let (mut users, mut groups) = (Vec::new(), Vec::new());
            users.extend(&permission.owner);
            groups.extend(&permission.group);
            for entry in acl {
                match entry.tag {
                    AclTag::User => users.push(&entry.name),
                    AclTag::Group => groups.push(&entry.name),
                    AclTag::Mask | AclTag::Other => {}
                }
            }
            for name in users {
                let failed = |source| SnapshotError::Account { name: name.clone(), source };
                self.users.insert(name.clone(), permissions::user_id(name).map_err(failed)?);
            }
            for name in groups {
                let failed = |source| SnapshotError::Account { name: name.clone(), source };
                self.groups.insert(name.clone(), permissions::group_id(name).map_err(failed)?);
            }
        }
        Ok(())
    }

    fn find_space(&mut self) -> Result<(), SnapshotError> {
        for (path, found) in &self.found {
            if self.file_systems.contains_key(&found.device) {
                continue;
            }
            let mut folder = found.place.as_path();
            while fs::metadata(folder).map_or(true, |metadata| !metadata.is_dir() || metadata.dev() != found.device) {
                // The device was found on the way up, so this ends at the latest at `/`.
                let Some(parent) = folder.parent() else { break };
                folder = parent;
            }
            let free = FreeSpace::around(folder).map_err(|source| cannot_look(path, source))?;
            self.file_systems.insert(found.device, free);
        }
        Ok(())
    }
}

fn unprivileged() -> Result<Option<Unprivileged>, SnapshotError> {
    let user = unistd::geteuid();
    if user.is_root() {
        return Ok(None);
    }
    let groups =
        unistd::getgroups().map_err(|errno| SnapshotError::Account { name: user.to_string(), source: errno.into() })?;
    let groups = groups.into_iter().chain([unistd::getegid()]).map(unistd::Gid::as_raw).collect();
    Ok(Some(Unprivileged { user: user.as_raw(), groups }))
}

impl FreeSpace {
    /// What the agent's user may still write to the file system of a folder.
    pub fn around(folder: &Path) -> io::Result<FreeSpace> {
        let space = statvfs(folder)?;
        let root = unistd::geteuid().is_root();
        let blocks = if root { space.blocks_free() } else { space.blocks_available() };
        let files = if root { space.files_free() } else { space.files_available() };
        Ok(FreeSpace {
            bytes: blocks.saturating_mul(space.fragment_size()),
            block: space.fragment_size().max(1),
            files: (space.files() > 0).then_some(files),
            read_only: space.flags().contains(FsFlags::ST_RDONLY),
        })
    }
}

fn cannot_look(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Look { path: path.to_owned(), source }
}

/// Where a folder's name leads, and the device of the nearest one that exists.
#[derive(Clone)]
struct Folder {
    place: PathBuf,
    device: u64,
    /// Whether it is a folder already, as far as the agent's user can know.
    stands: bool,
}

/// Folders that were already resolved: thousands of files share a few.
#[derive(Default)]
struct Look {
    folders: HashMap<PathBuf, Folder>,
}

impl Look {
    fn at(&mut self, path: &Path) -> Result<Found, SnapshotError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let device = fs::metadata(path).map_err(|source| cannot_look(path, source))?.dev();
            return Ok(Found { place: path.to_owned(), standing: Standing::Directory { foreign: None }, device });
        };
        let folder = self.folder(parent)?;
        let place = folder.place.join(name);
        let (standing, device) = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => (Standing::Directory { foreign: None }, metadata.dev()),
            Ok(metadata) if metadata.is_symlink() => match fs::metadata(path) {
                Ok(target) if target.is_dir() => {
                    let directory = fs::canonicalize(path).map_err(|source| cannot_look(path, source))?;
                    (Standing::Link { directory: Some(directory) }, target.dev())
                }
                Ok(_) | Err(_) => (Standing::Link { directory: None }, folder.device),
            },
            Ok(metadata) if metadata.is_file() => (Standing::File, folder.device),
            Ok(_) => (Standing::Special, folder.device),
            Err(error) if is_absent(&error) => (Standing::Absent, folder.device),
            Err(error) => return Err(cannot_look(path, error)),
        };
        Ok(Found { place, standing, device })
    }

    fn folder(&mut self, path: &Path) -> Result<Folder, SnapshotError> {
        if let Some(folder) = self.folders.get(path) {
            return Ok(folder.clone());
        }
        let folder = match fs::canonicalize(path) {
            Ok(place) => {
                let metadata = fs::metadata(&place).map_err(|source| cannot_look(path, source))?;
                Folder { place, device: metadata.dev(), stands: metadata.is_dir() }
            }
            Err(error) if is_absent(&error) => match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => {
                    let Folder { place, device, .. } = self.folder(parent)?;
                    Folder { place: place.join(name), device, stands: false }
                }
                (Some(_) | None, Some(_) | None) => return Err(cannot_look(path, error)),
            },
            Err(error) => return Err(cannot_look(path, error)),
        };
        self.folders.insert(path.to_owned(), folder.clone());
        Ok(folder)
    }
}

/// Nothing stands there as far as we can know: no such name, a file where one of its folders should stand, or a folder that
/// we may not look into, which is found to be barred.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}
