//! The `permissions` of an appspec over what is installed → one change per path. Pure.
//!
//! Follows the AWS agent 1.8.1: an entry means an installed file by its path, or what this installation put below a folder.
//! The folder itself is never meant.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use longshore_core::appspec::{AclTag, AppSpec, Pattern, Permission};

use super::super::conflict::{Conflict, ConflictKind};
use super::super::listing::ItemKind;
use super::super::mapping::absolute;
use super::super::plan::{Account, Copy, CopyAction, Directory, PermissionChange};
use super::super::snapshot::Snapshot;
use super::glob;

/// What permissions can be about.
pub(super) struct Installed<'a> {
    pub(super) appspec: &'a AppSpec,
    pub(super) snapshot: &'a Snapshot,
    pub(super) directories: &'a [Directory],
    pub(super) copies: &'a [Copy],
}

/// What they come to.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) changes: Vec<PermissionChange>,
    pub(super) notes: Vec<String>,
    pub(super) conflicts: Vec<Conflict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Directory,
}

struct Target<'a> {
    path: &'a Path,
    place: &'a Path,
    kind: Kind,
}

/// Applies the entries in their order.
pub(super) fn matching(installed: &Installed<'_>) -> Matched {
    let mut targets: Vec<Target<'_>> = installed
        .directories
        .iter()
        .map(|directory| Target { path: &directory.path, place: &directory.place, kind: Kind::Directory })
        .collect();
    let copies = installed.copies.iter().filter(|copy| copy.action != CopyAction::Retain);
    targets.extend(copies.map(|copy| Target {
        path: &copy.destination,
        place: &copy.place,
        kind: match copy.kind {
            ItemKind::Link(_) => Kind::Link,
            ItemKind::File | ItemKind::Directory => Kind::File,
        },
    }));
    targets.sort_by_key(|target| target.path);

    let mut matched = Matched::default();
    let mut first_entry: HashMap<&Path, usize> = HashMap::new();
    for (index, permission) in installed.appspec.permissions.iter().enumerate() {
        let change = matched.resolve(permission, installed.snapshot);
        let mut meant = Vec::new();
        match absolute(&permission.object) {
            Ok(object) => matched.find(permission, &object, &targets, &mut meant),
            Err(why) => matched.notes.push(format!("permissions of `{}` mean nothing: it {why}", permission.object)),
        }
        if let Some(file) = meant.iter().find(|target| target.kind == Kind::File)
            && permission.acls.iter().flatten().any(|entry| entry.default)
        {
            let kind = ConflictKind::DefaultAclOnFile { object: permission.object.clone(), path: file.path.to_owned() };
            matched.conflict(permission, kind);
        }
        for target in meant {
            if let Some(first) = first_entry.get(target.path) {
                let kind = ConflictKind::PermissionTwice {
                    path: target.path.to_owned(),
                    first: installed.appspec.permissions[*first].object.clone(),
                    second: permission.object.clone(),
                };
                matched.conflict(permission, kind);
                continue;
            }
            first_entry.insert(target.path, index);
            matched.apply(&change, target);
        }
    }
    matched
}

impl Matched {
    /// Which targets an entry means.
    fn find<'t>(
        &mut self,
        permission: &Permission,
        object: &PathBuf,
        targets: &'t [Target<'t>],
        meant: &mut Vec<&'t Target<'t>>,
    ) {
        let everywhere = permission.pattern == Pattern("**".to_owned());
        let is_file = |target: &&Target<'_>| target.kind != Kind::Directory && target.path == object;
        if let Some(file) = targets.iter().find(is_file) {
            if !permission.files {
                self.notes.push(format!(
                    "permissions of `{}` mean nothing: it is a file, and `type` leaves files out",
                    permission.object
                ));
            } else if everywhere && permission.except.is_empty() {
                meant.push(file);
            } else {
                self.conflict(permission, ConflictKind::PatternOnFile { object: permission.object.clone() });
            }
            return;
        }
        for target in targets {
            let wanted = match target.kind {
                Kind::File | Kind::Link => permission.files,
                Kind::Directory => permission.directories,
            };
            let Some(below) = target.path.strip_prefix(object).ok().filter(|below| !below.as_os_str().is_empty())
            else {
                continue;
            };
            let child = below.to_str().filter(|name| !name.contains('/'));
            let matches = |pattern: &Pattern| child.is_some_and(|name| glob::matches(&pattern.0, name));
            if wanted && (everywhere || matches(&permission.pattern)) && !permission.except.iter().any(matches) {
                meant.push(target);
            }
        }
        if meant.is_empty() {
            self.notes.push(format!("permissions of `{}` match nothing that this release installs", permission.object));
        }
    }

    /// Names → numbers, once per entry.
    fn resolve(&mut self, permission: &Permission, snapshot: &Snapshot) -> PermissionChange {
        let object = || permission.object.clone();
        let user = |name: &String| snapshot.users.get(name).copied().flatten();
        let group = |name: &String| snapshot.groups.get(name).copied().flatten();
        let account = |name: &String, id: u32| Account { name: name.clone(), id };
        let mut names: Vec<ConflictKind> = Vec::new();
        let mut need_user = |name: &String| {
            user(name).or_else(|| {
                names.push(ConflictKind::NoSuchUser { name: name.clone(), object: object() });
                None
            })
        };
        let owner = permission.owner.as_ref().and_then(|name| need_user(name).map(|id| account(name, id)));
        for entry in permission.acls.iter().flatten().filter(|entry| !entry.name.is_empty()) {
            if entry.tag == AclTag::User {
                need_user(&entry.name);
            }
        }
        let mut need_group = |name: &String| {
            group(name).or_else(|| {
                names.push(ConflictKind::NoSuchGroup { name: name.clone(), object: object() });
                None
            })
        };
        let group = permission.group.as_ref().and_then(|name| need_group(name).map(|id| account(name, id)));
        for entry in permission.acls.iter().flatten().filter(|entry| !entry.name.is_empty()) {
            if entry.tag == AclTag::Group {
                need_group(&entry.name);
            }
        }
        if let Some(agent) = &snapshot.unprivileged {
            let mut refuse = |account: &Option<Account>, can: &dyn Fn(u32) -> bool| {
                if let Some(Account { name, .. }) = account.as_ref().filter(|account| !can(account.id)) {
                    names.push(ConflictKind::NotRoot { name: name.clone(), object: object() });
                }
            };
            refuse(&owner, &|id| id == agent.user);
            refuse(&group, &|id| agent.groups.contains(&id));
        }
        if permission.acls.is_some() {
            names.extend(
                snapshot
                    .programs
                    .missing_for_acl()
                    .map(|program| ConflictKind::NoProgram { program, object: object() }),
            );
        }
        if permission.context.is_some() {
            names.extend(
                snapshot
                    .programs
                    .missing_for_context()
                    .map(|program| ConflictKind::NoProgram { program, object: object() }),
            );
        }
        for kind in names {
            self.conflict(permission, kind);
        }
        PermissionChange {
            path: PathBuf::new(),
            place: PathBuf::new(),
            owner,
            group,
            mode: permission.mode,
            acl: permission.acls.clone(),
            context: permission.context.clone(),
        }
    }

    /// One entry on one target. A link has an owner, but no mode, ACL or context of its own that anyone could mean.
    fn apply(&mut self, change: &PermissionChange, target: &Target<'_>) {
        let mut change =
            PermissionChange { path: target.path.to_owned(), place: target.place.to_owned(), ..change.clone() };
        if target.kind == Kind::Link && (change.mode.is_some() || change.acl.is_some() || change.context.is_some()) {
            let path = target.path.display();
            self.notes.push(format!("`{path}` is a link: mode, ACL and context are not set through it"));
            (change.mode, change.acl, change.context) = (None, None, None);
        }
        let nothing = change.owner.is_none()
            && change.group.is_none()
            && change.mode.is_none()
            && change.acl.is_none()
            && change.context.is_none();
        if !nothing {
            self.changes.push(change);
        }
    }

    fn conflict(&mut self, permission: &Permission, kind: ConflictKind) {
        self.conflicts.push(Conflict::new(Some(permission.span.clone()), kind));
    }
}
