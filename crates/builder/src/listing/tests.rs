use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One line per entry, then one per exclusion.
fn shown(listing: &Listing) -> String {
    let entries = listing.entries.iter().map(|(path, kind)| match kind {
        Kind::File { size, executable: true } => format!("{path} {size} x"),
        Kind::File { size, executable: false } => format!("{path} {size}"),
        Kind::Link(target) => format!("{path} -> {target}"),
        Kind::Folder => format!("{path}/"),
        Kind::Special(what) => format!("{path} is {what}"),
    });
    let excluded = listing.excluded.iter().map(|(path, rule)| format!("- {path}: {rule}"));
    entries.chain(excluded).collect::<Vec<_>>().join("\n")
}

fn read(root: &Path, out: Option<&str>, exclude: &Rules) -> Listing {
    let out = out.map(|out| out.parse().unwrap());
    Listing::read(&Reach { source: root, out: out.as_ref(), exclude, enters: &|_| true }).unwrap()
}

#[test]
fn everything_is_listed_but_what_a_rule_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for path in [
        ".env",
        ".git/config",
        ".gitignore",
        "app/.git",
        "app/main",
        "app/cache/x",
        "app/keep.log",
        "b.log",
        "dist/shop-0123456789abcdef0123456789abcdef01234567.zip",
        "node_modules/x/y",
        ".longshore/manifest.json",
        "shop-0123456789abcdef0123456789abcdef01234567-dirty-0123456789ab.zip",
        "vendor.zip",
        "app/dist/z",
    ] {
        write(root, path, "12345");
    }
    // What git ignores may be a build product.
    write(root, ".gitignore", "/app/main\n");
    write(root, ".longshoreignore", "*.log\nnode_modules/\n");
    write(root, "app/.longshoreignore", "!keep.log\n/cache/\n");
    fs::set_permissions(root.join("app/main"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("main", root.join("app/link")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    let toml = SourceFile::new("longshore.toml", "\n\n/vendor.zip");
    let (exclude, _) = Rules::of(&toml, [("/vendor.zip".to_owned(), 2..13)]);
    let listing = read(root, Some("dist"), &exclude);
    insta::assert_snapshot!(shown(&listing));
    assert_eq!(listing.problems, []);
    assert_eq!(listing.out_with_other_files, None);
    let files: Vec<&str> = listing.ignore_files.iter().map(BundlePath::as_str).collect();
    assert_eq!(files, [".longshoreignore", "app/.longshoreignore"]);
}

#[test]
fn a_folder_for_artifacts_that_holds_other_files_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "dist/index.html", "");
    assert_eq!(read(dir.path(), Some("dist"), &Rules::none()).out_with_other_files, Some("dist".parse().unwrap()));
    assert_eq!(read(dir.path(), Some("out"), &Rules::none()).out_with_other_files, None);
}

#[test]
fn a_name_that_no_manifest_can_hold_is_an_error_unless_ignored() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), "").unwrap();
    let listing = read(dir.path(), None, &Rules::none());
    let messages: Vec<&str> = listing.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["the name `caf\u{fffd}.txt` is not UTF-8, so no appspec or manifest can name it"]);
    write(dir.path(), ".longshoreignore", "caf*\n");
    assert_eq!(read(dir.path(), None, &Rules::none()).problems, []);
}

#[test]
fn a_folder_that_nobody_wants_is_not_entered() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "app/x", "");
    write(dir.path(), "data/y", "");
    let wanted = |folder: &BundlePath| folder.as_str() == "app";
    let rules = Rules::none();
    let listing = Listing::read(&Reach { source: dir.path(), out: None, exclude: &rules, enters: &wanted }).unwrap();
    assert_eq!(shown(&listing), "app/\napp/x 0\ndata/");
}

#[test]
fn artifacts_are_known_by_their_names() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (name, expected) in [
        (format!("shop-{commit}.zip"), true),
        (format!("my-shop-{commit}{}.zip", &commit[..24]), true),
        (format!("shop-{commit}-dirty-0123456789ab.zip"), true),
        (format!("{commit}.zip"), false),
        (format!("shop-{commit}.tar"), false),
        ("shop-1.0.zip".to_owned(), false),
        (format!("shop-{}.zip", &commit[..39]), false),
    ] {
        assert_eq!(is_artifact_name(&name), expected, "{name}");
    }
}

#[test]
fn below_is_about_whole_parts() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["a/x", "a-b", "ab/x", "a.b"] {
        write(dir.path(), path, "");
    }
    let listing = read(dir.path(), None, &Rules::none());
    let folder = "a".parse().unwrap();
    let below: Vec<&str> = listing.below(&folder).map(|(path, _)| path.as_str()).collect();
    assert_eq!(below, ["a/x"]);
}
