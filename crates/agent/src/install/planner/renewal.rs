//! Folders of the previous release that stay → what each must get to be like one that is made now. Pure.
//!
//! The AWS agent removes such a folder and makes it anew, unless something foreign is in it. Here it stays, and what the
//! previous release's `permissions` gave it has to go all the same: this release may say nothing of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::conflict::Obstacle;
use super::super::maker::{FolderLook, Maker};
use super::super::plan::{Account, Directory, DirectoryAction, PermissionChange, Renewal};
use super::super::snapshot::Snapshot;

/// What is known of the folders that stay.
pub(super) struct Staying<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) directories: &'a [Directory],
    /// What this release says.
    pub(super) permissions: &'a [PermissionChange],
    /// Places of folders that hold nothing foreign.
    pub(super) ours: &'a HashSet<&'a Path>,
}

/// What a folder gives to one that is made in it.
#[derive(Clone, Copy)]
struct Legacy<'a> {
    heirs: Option<&'a Account>,
    default_acl: bool,
}

/// What has to change, ancestors first, and notes on what should but cannot.
pub(super) fn renewals(staying: &Staying<'_>) -> (Vec<Renewal>, Vec<String>) {
    let (mut renewals, mut notes) = (Vec::new(), Vec::new());
    let Some(maker) = &staying.snapshot.maker else { return (renewals, notes) };
    let changes: HashMap<&Path, &PermissionChange> =
        staying.permissions.iter().map(|change| (change.place.as_path(), change)).collect();
    let mut legacies: HashMap<&Path, Legacy<'_>> = HashMap::new();
    let kept = staying.directories.iter().filter(|directory| directory.action == DirectoryAction::Keep);
    for directory in kept.filter(|directory| staying.ours.contains(directory.place.as_path())) {
        let place = directory.place.as_path();
        let Some((look, parent_place, parent)) = removable(place, staying.snapshot) else { continue };
        // A parent that would be made anew has lost what it has by the time this folder is made.
        let stands = Legacy { heirs: parent.heirs.as_ref(), default_acl: parent.default_acl };
        let legacy = legacies.get(parent_place).copied().unwrap_or(stands);
        legacies.insert(place, legacy);
        let wanted = renewal(directory, look, legacy, changes.get(place).copied(), maker);
        notes.extend(possible(wanted, look, staying.snapshot, &mut renewals));
    }
    (renewals, notes)
}

/// What is known of a folder and its parent, unless the folder could not be removed and made anew either.
fn removable<'a>(place: &'a Path, snapshot: &'a Snapshot) -> Option<(&'a FolderLook, &'a Path, &'a FolderLook)> {
    let parent_place = place.parent()?;
    let (look, parent) = (snapshot.folders.get(place)?, snapshot.folders.get(parent_place)?);
    let fixed = matches!(snapshot.barred.get(place), Some(Obstacle::Immutable | Obstacle::ReadOnly));
    let mount_point = look.device != parent.device;
    (!fixed && !mount_point && !snapshot.barred.contains_key(parent_place)).then_some((look, parent_place, parent))
}

fn renewal(
    directory: &Directory,
    look: &FolderLook,
    legacy: Legacy<'_>,
    change: Option<&PermissionChange>,
    maker: &Maker,
) -> Renewal {
    let said = |part: fn(&PermissionChange) -> bool| change.is_some_and(part);
    let group = legacy.heirs.unwrap_or(&maker.group);
    let acl = change.and_then(|change| change.acl.as_deref());
    // With a default ACL above, the kernel makes mode and ACL of it. They stay.
    let plain = !legacy.default_acl
        && match acl {
            None => look.acl || look.default_acl,
            // Setting an ACL replaces the one for the folder itself, and the other one if it has entries of it.
            Some(entries) => look.default_acl && !entries.iter().any(|entry| entry.default),
        };
    let mode = 0o777 & !maker.umask | if legacy.heirs.is_some() { 0o2000 } else { 0 };
    // Where there is an ACL, the mode shows its mask.
    let differs = look.mode != mode || look.acl;
    Renewal {
        path: directory.path.clone(),
        place: directory.place.clone(),
        owner: (!said(|change| change.owner.is_some()) && look.uid != maker.user.id).then(|| maker.user.clone()),
        group: (!said(|change| change.group.is_some()) && look.gid != group.id).then(|| group.clone()),
        mode: (!said(|change| change.mode.is_some()) && !legacy.default_acl && differs).then_some(mode),
        plain,
    }
}

/// Leaves out what the agent cannot do, and says so.
fn possible(
    mut renewal: Renewal,
    look: &FolderLook,
    snapshot: &Snapshot,
    renewals: &mut Vec<Renewal>,
) -> Option<String> {
    let wanted = renewal.clone();
    if let Some(agent) = &snapshot.unprivileged {
        if look.uid != agent.user {
            (renewal.owner, renewal.group, renewal.mode, renewal.plain) = (None, None, None, false);
        }
        renewal.group = renewal.group.filter(|group| agent.groups.contains(&group.id));
    }
    if renewal.plain && snapshot.programs.missing_for_acl().is_some() {
        // The mode would change the mask of what stays.
        (renewal.mode, renewal.plain) = (None, false);
    }
    let less = renewal != wanted;
    if renewal.owner.is_some() || renewal.group.is_some() || renewal.mode.is_some() || renewal.plain {
        renewals.push(renewal);
    }
    let path = wanted.path.display();
    less.then(|| format!("`{path}` keeps owner, mode or ACL of the previous release: the agent cannot change them"))
}
