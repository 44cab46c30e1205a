//! A plan with names for everything that stands on disk between its start and its commit. Pure.
//!
//! New files and folders are written under names of their own beside their destinations, and what they replace is kept under
//! other ones. A new folder is staged as a whole: only the topmost one has such a name, and one rename makes all that is in it
//! visible. The names are decided before anything is written, so that whoever holds the transaction can undo it after a
//! crash from what stands on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use longshore_core::appspec::{Acl, Context};
use longshore_core::bundle::BundlePath;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::listing::ItemKind;
use super::ownership::{FolderState, Ownership};
use super::plan::{Account, CopyAction, DirectoryAction, InstallPlan, PermissionChange, Renewal};
use crate::lossless;

/// How the names begin under which new files wait to be moved into place.
pub const NEW_PREFIX: &str = ".longshore-new-";
/// How the names begin under which replaced and removed files wait to be deleted or put back.
pub const OLD_PREFIX: &str = ".longshore-old-";

/// Everything an installation touches. In JSON a path is a string, or a list of bytes when it is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// How far it may have got; what lies beyond was certainly not touched.
    pub phase: Phase,
    /// Topmost new folders.
    pub trees: Vec<Tree>,
    /// All new folders, ancestors first.
    pub folders: Vec<NewFolder>,
    /// All new files and links.
    pub files: Vec<NewFile>,
    /// What only the previous release had, folders aside.
    pub removals: Vec<Moved>,
    /// Folders that only the previous release had, deepest first.
    pub emptied: Vec<Emptied>,
    /// ACLs of new files and folders.
    pub acls: Vec<StagedAcl>,
    /// Folders of the previous release that stay and get new permissions.
    pub kept: Vec<KeptFolder>,
    /// SELinux contexts.
    pub contexts: Contexts,
}

/// The parts of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// New files are written beside their destinations, and what they will replace gets a second name.
    Staging,
    /// They are renamed into place, and what they replace is moved aside.
    Swapping,
    /// Folders and contexts that stand already are changed.
    Adjusting,
    /// Everything is in place and durable, and the records are renamed into place. After a crash the first of them says which
    /// way: what it names is completed, what it does not name is undone.
    Committing,
}

/// A new folder whose parent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Where it goes.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// Where it waits.
    #[serde(with = "lossless::path")]
    pub staged: PathBuf,
    /// Where the file or link goes that stands in its place.
    #[serde(with = "lossless::optional_path")]
    pub old: Option<PathBuf>,
    /// What was staged; filled in before the first change that others can see.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// A new folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFolder {
    /// Where it waits.
    #[serde(with = "lossless::path")]
    pub staged: PathBuf,
    /// Owner, group and mode to set; `None`: what the system gives a new folder.
    pub owner: Ownership,
    /// The new mode; `None`: what the system gives a new folder.
    pub mode: Option<u32>,
}

/// A new file or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// The path in the archive.
    pub source: BundlePath,
    /// A file or a link.
    pub kind: ItemKind,
    /// Bytes of a file.
    pub size: u64,
    /// Where it goes.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// Where it waits.
    #[serde(with = "lossless::path")]
    pub staged: PathBuf,
    /// How it gets from there to its place.
    pub arrival: Arrival,
    /// Owner and group to set; `None`: those of the file in the archive.
    pub owner: Ownership,
    /// The mode, at most `0o7777`.
    pub mode: u32,
    /// What was staged; filled in before the first change that others can see.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// How a staged file gets to its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// With the new folder it is in.
    InTree,
    /// By a rename to where nothing stands.
    New,
    /// By a rename over what stands there.
    Over {
        /// Where that is kept.
        #[serde(with = "lossless::path")]
        old: PathBuf,
        /// When it is a folder of the previous release: what that release put in it, deepest first, relative to it.
        #[serde(with = "lossless::paths")]
        contents: Vec<PathBuf>,
    },
}

/// Something that is moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Where it stands.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// Where it waits to be deleted.
    #[serde(with = "lossless::path")]
    pub old: PathBuf,
}

/// A folder that goes if it is empty in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptied {
    /// The path in the record of what was installed.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// Where it stands.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
}

/// An ACL for something new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedAcl {
    /// Where it waits.
    #[serde(with = "lossless::path")]
    pub staged: PathBuf,
    /// The appspec's entries.
    pub entries: Vec<Acl>,
    /// The mode it gets, which says what the owning group may do; `None`: its own ACL does.
    pub mode: Option<u32>,
}

/// New permissions for a folder that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFolder {
    /// Where it stands.
    #[serde(with = "lossless::path")]
    pub place: PathBuf,
    /// The new owner and group.
    pub owner: Ownership,
    /// The new mode.
    pub mode: Option<u32>,
    /// Whether it loses the ACLs it has, before all else.
    #[serde(default)]
    pub plain: bool,
    /// The new ACL.
    pub acl: Option<Vec<Acl>>,
    /// What it had; filled in before the first change to the disk.
    pub before: Option<FolderState>,
}

/// SELinux contexts in the host's policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contexts {
    /// Paths that the previous release put there, and their contexts where they are known.
    #[serde(with = "lossless::by_path")]
    pub before: Vec<(PathBuf, Option<Context>)>,
    /// What the new release puts there.
    #[serde(with = "lossless::by_path")]
    pub after: Vec<(PathBuf, Context)>,
}

impl Transaction {
    /// Names everything. `tag` makes the names unique on this host; `contexts` are those of the previous release, by path.
    pub fn new(plan: &InstallPlan, tag: &str, contexts: &BTreeMap<PathBuf, Context>) -> Transaction {
        let mut layout = Layout::new(plan, tag);
        layout.folders(plan);
        layout.files(plan);
        layout.removals(plan);
        layout.transaction.contexts.before =
            plan.contexts_before.iter().map(|path| (path.clone(), contexts.get(path).cloned())).collect();
        layout.transaction
    }

    /// Bytes of all new files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

struct Layout<'a> {
    tag: &'a str,
    count: u32,
    changes: HashMap<&'a Path, &'a PermissionChange>,
    renewals: HashMap<&'a Path, &'a Renewal>,
    /// New folders: place → where it waits.
    staged: HashMap<&'a Path, PathBuf>,
    transaction: Transaction,
}

impl<'a> Layout<'a> {
    fn new(plan: &'a InstallPlan, tag: &'a str) -> Layout<'a> {
        let transaction = Transaction {
            phase: Phase::Staging,
            trees: Vec::new(),
            folders: Vec::new(),
            files: Vec::new(),
            removals: Vec::new(),
            emptied: Vec::new(),
            acls: Vec::new(),
            kept: Vec::new(),
            contexts: Contexts::default(),
        };
        let changes = plan.permissions.iter().map(|change| (change.place.as_path(), change)).collect();
        let renewals = plan.renewals.iter().map(|renewal| (renewal.place.as_path(), renewal)).collect();
        Layout { tag, count: 0, changes, renewals, staged: HashMap::new(), transaction }
    }

    /// A name beside `place` that nothing else has.
    fn beside(&mut self, place: &Path, prefix: &str) -> PathBuf {
        self.count += 1;
        place.with_file_name(format!("{prefix}{}-{}", self.tag, self.count))
    }

    fn folders(&mut self, plan: &'a InstallPlan) {
        for directory in &plan.directories {
            let place = directory.place.as_path();
            let change = self.changes.get(place).copied();
            let (owner, mode) = (ownership(change), change.and_then(|change| change.mode));
            let acl = change.and_then(|change| change.acl.clone());
            self.context(change);
            if directory.action == DirectoryAction::Keep {
                let renewal = self.renewals.get(place).copied();
                let id = |account: &Option<Account>| account.as_ref().map(|account| account.id);
                let owner = Ownership {
                    user: owner.user.or_else(|| renewal.and_then(|renewal| id(&renewal.owner))),
                    group: owner.group.or_else(|| renewal.and_then(|renewal| id(&renewal.group))),
                };
                let mode = mode.or_else(|| renewal.and_then(|renewal| renewal.mode));
                let plain = renewal.is_some_and(|renewal| renewal.plain);
                if mode.is_some() || acl.is_some() || plain || owner != Ownership::default() {
                    let place = place.to_owned();
                    self.transaction.kept.push(KeptFolder { place, owner, mode, plain, acl, before: None });
                }
                continue;
            }
            let inside = place.parent().and_then(|parent| self.staged.get(parent));
            let staged = match (inside, place.file_name()) {
                (Some(parent), Some(name)) => parent.join(name),
                (Some(_) | None, Some(_) | None) => {
                    let staged = self.beside(place, NEW_PREFIX);
                    let replaced = directory.action == DirectoryAction::Replace;
                    let old = replaced.then(|| self.beside(place, OLD_PREFIX));
                    let tree = Tree { place: place.to_owned(), staged: staged.clone(), old, identity: None };
                    self.transaction.trees.push(tree);
                    staged
                }
            };
            if let Some(entries) = acl {
                self.transaction.acls.push(StagedAcl { staged: staged.clone(), entries, mode });
            }
            self.transaction.folders.push(NewFolder { staged: staged.clone(), owner, mode });
            self.staged.insert(place, staged);
        }
    }

    fn files(&mut self, plan: &'a InstallPlan) {
        for copy in &plan.copies {
            let place = copy.place.as_path();
            let change = self.changes.get(place).copied();
            let inside = place.parent().and_then(|parent| self.staged.get(parent));
            let (staged, arrival) = match (inside, place.file_name(), copy.action) {
                (_, _, CopyAction::Retain) => continue,
                (Some(parent), Some(name), CopyAction::Create | CopyAction::Replace) => {
                    (parent.join(name), Arrival::InTree)
                }
                (Some(_) | None, Some(_) | None, CopyAction::Create) => (self.beside(place, NEW_PREFIX), Arrival::New),
                (Some(_) | None, Some(_) | None, CopyAction::Replace) => {
                    let old = self.beside(place, OLD_PREFIX);
                    (self.beside(place, NEW_PREFIX), Arrival::Over { old, contents: Vec::new() })
                }
            };
            let mode = change.and_then(|change| change.mode).unwrap_or(copy.mode);
            if let Some(entries) = change.and_then(|change| change.acl.clone()) {
                self.transaction.acls.push(StagedAcl { staged: staged.clone(), entries, mode: Some(mode) });
            }
            self.context(change);
            self.transaction.files.push(NewFile {
                source: copy.source.clone(),
                kind: copy.kind.clone(),
                size: copy.size,
                place: place.to_owned(),
                staged,
                arrival,
                owner: ownership(change),
                mode,
                identity: None,
            });
        }
    }

    fn removals(&mut self, plan: &'a InstallPlan) {
        let replaced: HashSet<&Path> = plan
            .copies
            .iter()
            .filter(|copy| copy.action == CopyAction::Replace)
            .map(|copy| copy.place.as_path())
            .collect();
        let mut inside: HashMap<&Path, Vec<PathBuf>> = HashMap::new();
        for removal in &plan.removals {
            // What is in a folder whose place a file takes goes with that folder.
            let folder = removal.place.ancestors().skip(1).find_map(|above| replaced.get(above));
            if let Some(folder) = folder
                && let Ok(relative) = removal.place.strip_prefix(folder)
            {
                inside.entry(folder).or_default().push(relative.to_owned());
            } else if removal.directory {
                let (path, place) = (removal.path.clone(), removal.place.clone());
                self.transaction.emptied.push(Emptied { path, place });
            } else {
                let old = self.beside(&removal.place, OLD_PREFIX);
                self.transaction.removals.push(Moved { place: removal.place.clone(), old });
            }
        }
        for file in &mut self.transaction.files {
            if let Arrival::Over { contents, .. } = &mut file.arrival
                && let Some(inside) = inside.remove(file.place.as_path())
            {
                *contents = inside;
            }
        }
    }

    fn context(&mut self, change: Option<&PermissionChange>) {
        if let Some(change) = change
            && let Some(context) = &change.context
        {
            self.transaction.contexts.after.push((change.place.clone(), context.clone()));
        }
    }
}

fn ownership(change: Option<&PermissionChange>) -> Ownership {
    let id = |account: &Option<Account>| account.as_ref().map(|account| account.id);
    change.map(|change| Ownership { user: id(&change.owner), group: id(&change.group) }).unwrap_or_default()
}

#[cfg(test)]
mod tests;
