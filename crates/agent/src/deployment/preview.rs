//! A plan beside what stands on the host: what the command `plan` shows. Pure: [`super::survey`] has read the host.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use longshore_core::bundle::{BundlePath, Entry, EntryKind};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::size;
use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use serde::Serialize;

use super::plan::{Account, Action, Plan};
use super::refusal;
use crate::install::plan::{
    Account as Owner, Copy, CopyAction, Directory, DirectoryAction, InstallPlan, PermissionChange, Renewal,
};
use crate::install::snapshot::FreeSpace;
use crate::lossless;

/// Seconds that the CodeDeploy service gives an event.
const SERVICE_LIMIT: u64 = 3600;

/// What was read of the host.
#[derive(Debug, Default)]
pub struct Host {
    /// Deployments of the group that are not over.
    pub underway: Vec<Underway>,
    /// What stands at the places of a plan.
    pub standing: BTreeMap<PathBuf, Standing>,
    /// The file systems that are written to.
    pub file_systems: Vec<FileSystem>,
    /// The scripts of the installed revision, by their path in it.
    pub scripts: BTreeMap<BundlePath, Sha256>,
}

/// A file system and what a deployment writes to it.
#[derive(Debug)]
pub struct FileSystem {
    /// Where it begins.
    pub folder: PathBuf,
    /// What it has left.
    pub free: FreeSpace,
    /// Bytes of the archive and of what it unpacks to, whole blocks counted. Written before the first event.
    pub unpacked: u64,
    /// Bytes of what is installed, whole blocks counted.
    pub installed: u64,
}

/// What stands at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Its owner, by name where the host has one for it.
    pub owner: String,
    /// Its group.
    pub group: String,
}

/// What something is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A regular file.
    File {
        /// Its bytes.
        size: u64,
        /// Its digest, where that was looked for: a file of another size is another one.
        sha256: Option<Sha256>,
    },
    /// A link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A folder.
    Directory,
    /// A device, socket or pipe.
    Special,
}

/// A deployment of the group that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "underway", rename_all = "snake_case")]
pub enum Underway {
    /// Another agent works on the group.
    Deployment {
        /// Process and deployment.
        holder: String,
    },
    /// The agent of a deployment is gone, and one of its scripts still runs.
    Script {
        /// The deployment.
        deployment: DeploymentId,
        /// The script as the appspec writes it.
        script: String,
        /// Where its output goes.
        #[serde(with = "lossless::path")]
        log: PathBuf,
    },
    /// The agent of a deployment is gone.
    Unfinished {
        /// The deployment.
        deployment: DeploymentId,
        /// Where it stopped.
        during: Option<LifecycleEvent>,
    },
}

/// A plan, and what it changes.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// Deployments of the group that are not over.
    pub underway: Vec<Underway>,
    /// What becomes of each path, sorted by path.
    pub changes: Vec<Change>,
    /// The new revision's scripts beside those of the installed one.
    pub scripts: Vec<ScriptChange>,
    /// File systems that are written to.
    pub space: Vec<Space>,
    /// Events whose limits add up to more than the CodeDeploy service allows.
    pub too_long: Vec<TooLong>,
    /// The sum.
    pub sum: Sum,
}

/// What becomes of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// What happens to it.
    pub change: ChangeKind,
    /// What stands there now.
    pub before: Option<Standing>,
    /// What will stand there.
    pub after: Option<Standing>,
    /// Entries of the ACL that it gets; 0: it loses the one it has.
    pub acl: Option<usize>,
}

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Nothing stands there.
    Create,
    /// What stands there becomes something else.
    Change,
    /// What stands there is what the release brings: content, owner and mode.
    Same,
    /// What stands there stays, and the release's own is not installed (`RETAIN`).
    Keep,
    /// It is not part of the new release.
    Delete,
}

/// A script of the new revision beside the one of the same name in the installed revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptChange {
    /// The script.
    pub script: BundlePath,
    /// What became of it.
    pub change: ChangeKind,
}

/// What a deployment needs of one file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Where it begins.
    #[serde(with = "lossless::path")]
    pub folder: PathBuf,
    /// Bytes needed, whole blocks counted.
    pub bytes_needed: u64,
    /// Those of them that are needed before the first event: the archive, and what it unpacks to.
    pub bytes_to_unpack: u64,
    /// Bytes free.
    pub bytes_free: u64,
}

/// An event that may take longer than the service allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TooLong {
    /// The event.
    pub event: LifecycleEvent,
    /// The sum of its limits, seconds.
    pub limit_s: u64,
}

/// A plan in figures. Files are files and links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Files that are new.
    pub created: usize,
    /// Files that change in content, owner or mode.
    pub changed: usize,
    /// Files that stay what they are.
    pub same: usize,
    /// Files that are left as they are (`RETAIN`).
    pub kept: usize,
    /// Files that go.
    pub deleted: usize,
    /// Bytes of all that is written: unchanged files too, because an installation puts all of its files in place at once.
    pub bytes: u64,
    /// Scripts.
    pub hooks: usize,
    /// The sum of their limits, seconds.
    pub limit_s: u64,
}

/// Puts a plan beside the host. `entries` are those of the bundle, sorted by path.
pub fn preview(plan: Plan, host: Host, entries: &[Entry]) -> Preview {
    let install = plan.events.iter().find_map(|planned| match &planned.action {
        Action::Install { plan: Some(install) } => Some(install),
        Action::Install { plan: None } | Action::Nothing { .. } | Action::Hooks { .. } | Action::Download { .. } => {
            None
        }
    });
    let changes = install.map(|install| changes(install, &plan.agent, &host, entries)).unwrap_or_default();
    let scripts = scripts(&plan, &host, entries);
    let mut sum = Sum::default();
    for change in &changes {
        let standing = change.after.as_ref().or(change.before.as_ref());
        if standing.is_some_and(|standing| standing.what == What::Directory) {
            continue;
        }
        match change.change {
            ChangeKind::Create => sum.created += 1,
            ChangeKind::Change => sum.changed += 1,
            ChangeKind::Same => sum.same += 1,
            ChangeKind::Keep => sum.kept += 1,
            ChangeKind::Delete => sum.deleted += 1,
        }
    }
    sum.bytes = install.map(|install| written(install)).unwrap_or_default();
    let mut too_long = Vec::new();
    for planned in &plan.events {
        let Action::Hooks { hooks, .. } = &planned.action else { continue };
        let limit_s = hooks.iter().map(|hook| hook.timeout_s).sum();
        sum.hooks += hooks.len();
        sum.limit_s += limit_s;
        if limit_s > SERVICE_LIMIT {
            too_long.push(TooLong { event: planned.event.clone(), limit_s });
        }
    }
    let space = host.file_systems.into_iter().map(|system| Space {
        folder: system.folder,
        bytes_needed: system.unpacked.saturating_add(system.installed),
        bytes_to_unpack: system.unpacked,
        bytes_free: system.free.bytes,
    });
    let space: Vec<Space> = space.filter(|space| space.bytes_needed > 0).collect();
    Preview { underway: host.underway, changes, scripts, space, too_long, sum, plan }
}

impl Preview {
    /// Why the deployment would be refused now; `None` when it would begin.
    pub fn refused(&self) -> Option<Failure> {
        let busy = self.underway.iter().find_map(|underway| match underway {
            Underway::Deployment { holder } => Some(
                Failure::new(Exit::Busy, format!("another deployment of the group is under way ({holder})"))
                    .hint("wait for it to end; `longshore-agent history` shows how it did"),
            ),
            Underway::Script { deployment, script, log } => Some(
                Failure::new(
                    Exit::Busy,
                    format!("script `{script}` of the interrupted deployment {deployment} still runs"),
                )
                .hint(format!("wait for it to end; it writes to {}", log.display())),
            ),
            Underway::Unfinished { .. } => None,
        });
        // In the order in which a deployment meets them.
        busy.or_else(|| self.no_room(Exit::Failed, |space| space.bytes_to_unpack))
            .or_else(|| refusal::blocked(&self.plan))
            .or_else(|| {
                let may_change = self.plan.events.iter().any(|planned| {
                    planned.event == LifecycleEvent::BeforeInstall && matches!(planned.action, Action::Hooks { .. })
                });
                if may_change { None } else { self.no_room(Exit::InstallFailed, |space| space.bytes_needed) }
            })
    }

    fn no_room(&self, exit: Exit, needed: fn(&Space) -> u64) -> Option<Failure> {
        let full = self.space.iter().find(|space| needed(space) > space.bytes_free)?;
        let (folder, needed, free) = (full.folder.display(), size(needed(full)), size(full.bytes_free));
        let message = format!("not enough space on the file system at {folder}: {needed} needed, {free} free");
        Some(
            Failure::new(exit, message).hint("remove what is not needed, or keep fewer deployments: `--max-revisions`"),
        )
    }
}

/// Bytes that an installation writes.
fn written(install: &InstallPlan) -> u64 {
    install.copies.iter().filter(|copy| copy.action != CopyAction::Retain).map(|copy| copy.size).sum()
}

fn changes(install: &InstallPlan, agent: &Account, host: &Host, entries: &[Entry]) -> Vec<Change> {
    let permissions: HashMap<&Path, &PermissionChange> =
        install.permissions.iter().map(|change| (change.path.as_path(), change)).collect();
    let renewals = install.renewals.iter().map(|renewal| (renewal.path.as_path(), renewal)).collect();
    let context = Context { agent, permissions, renewals, host, entries };
    let folders = install.directories.iter().map(|folder| context.folder(folder));
    let copies = install.copies.iter().map(|copy| context.copy(copy));
    let removals = install.removals.iter().map(|removal| Change {
        path: removal.path.clone(),
        change: ChangeKind::Delete,
        before: host.standing.get(&removal.place).cloned(),
        after: None,
        acl: None,
    });
    let mut changes: Vec<Change> = folders.chain(copies).chain(removals).collect();
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

struct Context<'a> {
    agent: &'a Account,
    permissions: HashMap<&'a Path, &'a PermissionChange>,
    renewals: HashMap<&'a Path, &'a Renewal>,
    host: &'a Host,
    entries: &'a [Entry],
}

impl Context<'_> {
    fn folder(&self, folder: &Directory) -> Change {
        let before = self.host.standing.get(&folder.place);
        // One that stays keeps what nobody changes; one that is made is the agent's own.
        let kept = match folder.action {
            DirectoryAction::Keep => before.map(|before| self.renewed(&folder.path, before)),
            DirectoryAction::Create | DirectoryAction::Replace => None,
        };
        let after = self.after(&folder.path, What::Directory, 0o755, kept.as_ref());
        self.compared(&folder.path, before.cloned(), after)
    }

    /// What a folder that stays has before `permissions` change it.
    fn renewed(&self, path: &Path, before: &Standing) -> Standing {
        let Some(renewal) = self.renewals.get(path) else { return before.clone() };
        let name = |account: Option<&Owner>, before: &String| {
            account.map_or_else(|| before.clone(), |account| account.name.clone())
        };
        let acl = self.permissions.get(path).is_some_and(|change| change.acl.is_some());
        // With an ACL, these bits are its mask, which is made anew with it.
        let mask = if acl { 0o070 } else { 0 };
        Standing {
            mode: renewal.mode.map_or(before.mode, |mode| mode & !mask | before.mode & mask),
            owner: name(renewal.owner.as_ref(), &before.owner),
            group: name(renewal.group.as_ref(), &before.group),
            what: before.what.clone(),
        }
    }

    fn copy(&self, copy: &Copy) -> Change {
        let before = self.host.standing.get(&copy.place).cloned();
        match copy.action {
            CopyAction::Retain => {
                let path = copy.destination.clone();
                Change { path, change: ChangeKind::Keep, after: before.clone(), before, acl: None }
            }
            CopyAction::Create | CopyAction::Replace => {
                let what = self.what(copy);
                let after = self.after(&copy.destination, what, copy.mode, None);
                self.compared(&copy.destination, before, after)
            }
        }
    }

    fn what(&self, copy: &Copy) -> What {
        let entry = self.entries.binary_search_by(|entry| entry.path.cmp(&copy.source)).ok();
        match entry.map(|index| &self.entries[index].kind) {
            Some(EntryKind::Link(target)) => What::Link { target: target.clone() },
            Some(EntryKind::File(sha256)) => What::File { size: copy.size, sha256: Some(*sha256) },
            Some(EntryKind::Directory) | None => What::File { size: copy.size, sha256: None },
        }
    }

    fn after(&self, path: &Path, what: What, mode: u32, kept: Option<&Standing>) -> Standing {
        let change = self.permissions.get(path);
        let owner = change.and_then(|change| change.owner.as_ref()).map(|owner| owner.name.clone());
        let group = change.and_then(|change| change.group.as_ref()).map(|group| group.name.clone());
        Standing {
            mode: change.and_then(|change| change.mode).or(kept.map(|kept| kept.mode)).unwrap_or(mode),
            owner: owner.or(kept.map(|kept| kept.owner.clone())).unwrap_or_else(|| self.agent.user.clone()),
            group: group.or(kept.map(|kept| kept.group.clone())).unwrap_or_else(|| self.agent.group.clone()),
            what,
        }
    }

    fn compared(&self, path: &Path, before: Option<Standing>, after: Standing) -> Change {
        let plain = self.renewals.get(path).is_some_and(|renewal| renewal.plain);
        let change = match &before {
            None => ChangeKind::Create,
            Some(before) if *before == after && !plain => ChangeKind::Same,
            Some(_) => ChangeKind::Change,
        };
        let acl = self.permissions.get(path).and_then(|change| change.acl.as_ref()).map(Vec::len);
        let acl = acl.or(plain.then_some(0));
        Change { path: path.to_owned(), change, before, after: Some(after), acl }
    }
}

/// The new revision's scripts that this plan runs, beside those of the installed revision.
fn scripts(plan: &Plan, host: &Host, entries: &[Entry]) -> Vec<ScriptChange> {
    let mut found = BTreeMap::new();
    if plan.installed.is_none() {
        return Vec::new();
    }
    for planned in &plan.events {
        let Action::Hooks { from: ScriptsFrom::Current, hooks, .. } = &planned.action else { continue };
        for hook in hooks {
            let path = &hook.path;
            let entry = entries.binary_search_by(|entry| entry.path.cmp(path)).ok().map(|index| &entries[index].kind);
            let change = match (entry, host.scripts.get(path)) {
                (Some(EntryKind::File(new)), Some(old)) if new == old => ChangeKind::Same,
                (Some(EntryKind::File(_)), Some(_)) => ChangeKind::Change,
                (Some(EntryKind::File(_)), None) => ChangeKind::Create,
                (Some(EntryKind::Link(_) | EntryKind::Directory) | None, _) => continue,
            };
            found.insert(path.clone(), change);
        }
    }
    found.into_iter().map(|(script, change)| ScriptChange { script, change }).collect()
}
