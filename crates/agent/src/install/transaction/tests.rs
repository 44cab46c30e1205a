//! Whether a plan and its transaction survive being written down.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use longshore_core::appspec::AclTag;

use super::super::plan::{Copy, Directory, Removal};
use super::*;

/// A path below a folder whose name is not UTF-8.
fn path(name: &str) -> PathBuf {
    Path::new(OsStr::from_bytes(b"/srv/caf\xe9")).join(name)
}

fn directory(name: &str, action: DirectoryAction) -> Directory {
    Directory { path: path(name), place: path(name), action }
}

fn copy(name: &str, action: CopyAction) -> Copy {
    let (destination, place) = (path(name), path(name));
    Copy { source: "x".parse().unwrap(), destination, place, kind: ItemKind::File, mode: 0o644, size: 1, action }
}

fn change(name: &str) -> PermissionChange {
    PermissionChange {
        path: path(name),
        place: path(name),
        owner: Some(Account { name: "app".to_owned(), id: 500 }),
        group: None,
        mode: Some(0o700),
        acl: Some(vec![Acl { default: false, tag: AclTag::User, name: "app".to_owned(), permissions: 7 }]),
        context: Some(Context { user: None, kind: "t".to_owned(), range: None }),
    }
}

fn removal(place: PathBuf, directory: bool) -> Removal {
    Removal { path: place.clone(), place, directory }
}

/// One of everything that a plan can hold.
fn plan() -> InstallPlan {
    let inside = path("becomes-file").join(OsStr::from_bytes(b"\xff"));
    InstallPlan {
        directories: vec![
            directory("new", DirectoryAction::Create),
            directory("becomes-folder", DirectoryAction::Replace),
            directory("kept", DirectoryAction::Keep),
        ],
        copies: vec![
            copy("becomes-file", CopyAction::Replace),
            copy("fresh", CopyAction::Create),
            copy("new/x", CopyAction::Create),
            copy("retained", CopyAction::Retain),
        ],
        permissions: vec![change("fresh"), change("kept"), change("new")],
        renewals: Vec::new(),
        removals: vec![removal(inside, false), removal(path("gone"), false), removal(path("emptied"), true)],
        remembered: vec![path("remembered")],
        contexts_before: vec![path("fresh"), path("unknown")],
        notes: Vec::new(),
    }
}

#[test]
fn a_plan_with_paths_that_are_not_utf8_survives_its_json() {
    let plan = plan();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<InstallPlan>(&json).unwrap(), plan);
}

#[test]
fn a_transaction_with_paths_that_are_not_utf8_survives_its_json() {
    let context = Context { user: Some("u".to_owned()), kind: "t".to_owned(), range: None };
    let transaction = Transaction::new(&plan(), "tag", &BTreeMap::from([(path("fresh"), context)]));

    // Nothing survives by not being there.
    let Transaction { phase: _, trees, folders, files, removals, emptied, acls, kept, contexts } = &transaction;
    let lengths = [trees.len(), folders.len(), files.len(), removals.len(), emptied.len(), acls.len(), kept.len()];
    assert_eq!(lengths, [2, 2, 3, 1, 1, 2, 1]);
    assert_eq!((contexts.before.len(), contexts.after.len()), (2, 3));
    assert!(trees.iter().any(|tree| tree.old.is_some()));
    let contents = files.iter().find_map(|file| match &file.arrival {
        Arrival::Over { contents, .. } => Some(contents.as_slice()),
        Arrival::InTree | Arrival::New => None,
    });
    assert_eq!(contents, Some(&[PathBuf::from(OsStr::from_bytes(b"\xff"))][..]));

    let json = serde_json::to_string(&transaction).unwrap();
    assert_eq!(serde_json::from_str::<Transaction>(&json).unwrap(), transaction);
}
