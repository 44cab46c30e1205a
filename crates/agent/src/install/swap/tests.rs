//! Undoing from every point inside the swap.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};

use super::super::listing::ItemKind;
use super::super::ownership::Ownership;
use super::super::transaction::{Contexts, Moved, NewFolder};
use super::*;

/// A folder in which something of each kind is replaced, added and removed, with everything staged.
fn staged(root: &Path) -> Transaction {
    fs::create_dir_all(root.join("becomes-file/sub")).unwrap();
    for name in ["same", "gone", "becomes-folder", "becomes-file/sub/x"] {
        fs::write(root.join(name), "old").unwrap();
    }
    symlink("same", root.join("link")).unwrap();

    let file = |place: &str, staged: &str, arrival: Arrival| {
        fs::write(root.join(staged), "new").unwrap();
        NewFile {
            source: "x".parse().unwrap(),
            kind: ItemKind::File,
            size: 3,
            place: root.join(place),
            staged: root.join(staged),
            arrival,
            owner: Ownership::default(),
            mode: 0o644,
            identity: None,
        }
    };
    let over = |old: &str, contents: &[&str]| Arrival::Over {
        old: root.join(old),
        contents: contents.iter().map(PathBuf::from).collect(),
    };
    for folder in ["n-tree", "n-other"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let tree = |place: &str, staged: &str, old: Option<&str>| Tree {
        place: root.join(place),
        staged: root.join(staged),
        old: old.map(|old| root.join(old)),
        identity: None,
    };
    let folder = |staged: &str| NewFolder { staged: root.join(staged), owner: Ownership::default(), mode: None };
    let mut transaction = Transaction {
        phase: Phase::Swapping,
        trees: vec![tree("fresh", "n-tree", None), tree("becomes-folder", "n-other", Some("o-folder"))],
        folders: vec![folder("n-tree"), folder("n-other")],
        files: vec![
            file("fresh/x", "n-tree/x", Arrival::InTree),
            file("becomes-folder/x", "n-other/x", Arrival::InTree),
            file("new", "n-new", Arrival::New),
            file("same", "n-same", over("o-same", &[])),
            file("link", "n-link", over("o-link", &[])),
            file("becomes-file", "n-file", over("o-file", &["sub/x", "sub"])),
        ],
        removals: vec![Moved { place: root.join("gone"), old: root.join("o-gone") }],
        emptied: Vec::new(),
        acls: Vec::new(),
        kept: Vec::new(),
        contexts: Contexts::default(),
    };
    identify(&mut transaction).unwrap();
    transaction
}

/// Path below `root` → contents, link target, or `/`.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let text = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path.clone());
                "/".to_owned()
            } else {
                format!("{} {}", fs::read_to_string(&path).unwrap(), metadata.nlink())
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    found
}

fn only_old(mut found: BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    found.retain(|path, _| !path.to_str().unwrap().starts_with("n-"));
    found
}

#[test]
fn a_swap_that_stops_anywhere_is_undone() {
    let (trees, files) = (2, 6);
    for steps in 0..=trees + files + 1 {
        let dir = tempfile::tempdir().unwrap();
        let transaction = staged(dir.path());
        let before = only_old(tree(dir.path()));
        let mut part = transaction.clone();
        part.trees.truncate(steps);
        part.files.truncate(steps.saturating_sub(trees));
        part.removals.truncate(steps.saturating_sub(trees + files));
        swap(&part, &keep(&part).unwrap()).unwrap();
        let left = undo(&transaction, &Programs::default());
        assert!(left.is_empty(), "{steps}: {left:?}");
        assert_eq!(tree(dir.path()), before, "{steps}");
        // A second time, if the first was interrupted at its end.
        assert!(undo(&transaction, &Programs::default()).is_empty());
        assert_eq!(tree(dir.path()), before, "{steps}");
    }
}

#[test]
fn a_swap_that_stops_inside_a_step_is_undone() {
    type Half = fn(&Path);
    let halves: [(&str, Half); 6] = [
        ("new file under both names", |root| fs::hard_link(root.join("n-new"), root.join("new")).unwrap()),
        ("old file under both names", |root| fs::hard_link(root.join("same"), root.join("o-same")).unwrap()),
        ("old file moved, new one not", |root| fs::rename(root.join("same"), root.join("o-same")).unwrap()),
        ("old link under both names", |root| fs::hard_link(root.join("link"), root.join("o-link")).unwrap()),
        ("old folder moved", |root| fs::rename(root.join("becomes-file"), root.join("o-file")).unwrap()),
        ("folder's place cleared", |root| fs::rename(root.join("becomes-folder"), root.join("o-folder")).unwrap()),
    ];
    for (name, half) in halves {
        let dir = tempfile::tempdir().unwrap();
        let transaction = staged(dir.path());
        let before = only_old(tree(dir.path()));
        half(dir.path());
        let left = undo(&transaction, &Programs::default());
        assert!(left.is_empty(), "{name}: {left:?}");
        assert_eq!(tree(dir.path()), before, "{name}");
    }
}

#[test]
fn second_names_go_away_again_when_nothing_was_swapped_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut transaction = Transaction { phase: Phase::Staging, ..staged(root) };
    transaction.files.iter_mut().for_each(|file| file.identity = None);
    fs::write(root.join("new"), "theirs").unwrap();
    // Crashed before it was written, so nothing says whose the one in its place is.
    fs::remove_file(root.join("n-new")).unwrap();
    let before = only_old(tree(root));
    keep(&transaction).unwrap();
    assert!(undo(&transaction, &Programs::default()).is_empty());
    assert_eq!(tree(root), before);
}

#[test]
fn what_somebody_else_put_in_the_place_of_a_kept_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let transaction = staged(root);
    fs::hard_link(root.join("same"), root.join("o-same")).unwrap();
    fs::write(root.join("theirs"), "theirs").unwrap();
    fs::rename(root.join("theirs"), root.join("same")).unwrap();
    let mut expected = only_old(tree(root));
    expected.remove(Path::new("o-same"));
    let left = undo(&transaction, &Programs::default());
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(tree(root), expected);
}

#[test]
fn a_whole_swap_shows_the_new_release_and_clearing_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let transaction = staged(dir.path());
    swap(&transaction, &keep(&transaction).unwrap()).unwrap();
    let cleared = clear(&transaction);
    assert!(cleared.left.is_empty(), "{:?}", cleared.left);
    let found: Vec<(String, String)> =
        tree(dir.path()).into_iter().map(|(path, text)| (path.to_str().unwrap().to_owned(), text)).collect();
    let expected = [
        ("becomes-file", "new 1"),
        ("becomes-folder", "/"),
        ("becomes-folder/x", "new 1"),
        ("fresh", "/"),
        ("fresh/x", "new 1"),
        ("link", "new 1"),
        ("new", "new 1"),
        ("same", "new 1"),
    ];
    assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}
