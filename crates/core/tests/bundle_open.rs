//! Opening and unpacking: what goes in comes out, from our packer and from other tools, and never anywhere else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bundle_support/raw.rs"]
mod raw;
#[path = "bundle_support/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_core::bundle::{Bundle, EntryKind, Format, Limits, OpenError, PackFile, content_digest, pack};
use longshore_core::digest::Sha256;
use proptest::prelude::*;
use raw::{TarEntry, ZipEntry, gzip, tar, zip};
use tempfile::tempdir;
use tree::{every_kind, file, link, noise, options, pack_to, text};

fn open(path: &Path) -> Bundle {
    Bundle::open(path, &Limits::default()).unwrap()
}

fn open_bytes(dir: &Path, bytes: &[u8]) -> Bundle {
    let path = dir.join("bundle");
    fs::write(&path, bytes).unwrap();
    open(&path)
}

/// Each entry on a line: kind, mode, path, and size or target.
fn entries(bundle: &Bundle) -> Vec<String> {
    let line = |entry: &longshore_core::bundle::Entry| match &entry.kind {
        EntryKind::File(_) => format!("f {:04o} {} {}", entry.mode, entry.path, entry.size),
        EntryKind::Directory => format!("d {:04o} {}", entry.mode, entry.path),
        EntryKind::Link(target) => format!("l {:04o} {} -> {target}", entry.mode, entry.path),
    };
    bundle.entries.iter().map(line).collect()
}

/// Everything below a folder: kind, mode, and content or target.
fn disk(root: &Path) -> BTreeMap<String, (char, u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let mode = metadata.mode() & 0o7777;
            let what = if metadata.is_dir() {
                folders.push(path.clone());
                ('d', mode, Vec::new())
            } else if metadata.is_symlink() {
                ('l', mode, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
            } else {
                ('f', mode, fs::read(&path).unwrap())
            };
            all.insert(name, what);
        }
    }
    all
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// A tree as a build leaves it, with an empty folder, for other tools to pack.
fn work_tree(root: &Path) {
    file(root, "appspec.yml", 0o644, b"version: 0.0\n");
    file(root, "scripts/start.sh", 0o755, b"#!/bin/sh\n");
    file(root, "data/big", 0o640, &[text(400_000), noise(100_000)].concat());
    file(root, "data/gr\u{f6}\u{df}e", 0o600, b"x");
    link(root, "data/link", "../scripts/start.sh");
    fs::create_dir(root.join("empty")).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_packed_bundle_opens_and_unpacks_as_it_was() {
    let dir = tempdir().unwrap();
    let tree = dir.path().join("tree");
    let files = every_kind(&tree, true);
    let zip = dir.path().join("x.zip");
    let packed = pack_to(files.clone(), &zip);
    let bundle = open(&zip);
    assert_eq!(bundle.format, Format::Zip);
    assert_eq!(bundle.archive_digest, Some(packed.archive_digest));
    assert_eq!(bundle.content_digest, packed.manifest.content_digest);
    assert_eq!(bundle.manifest.as_ref(), Some(&packed.manifest));
    assert_eq!(bundle.warnings, Vec::<String>::new());
    let out = dir.path().join("out");
    bundle.unpack(&out).unwrap();
    for PackFile { path, from } in files {
        let copy = path.under(&out);
        if let Ok(target) = fs::read_link(&from) {
            assert_eq!(fs::read_link(&copy).unwrap(), target, "{path}");
            continue;
        }
        assert!(fs::read(&copy).unwrap() == fs::read(&from).unwrap(), "{path}");
        let metadata = fs::metadata(&copy).unwrap();
        let executable = fs::metadata(&from).unwrap().mode() & 0o111 != 0;
        assert_eq!(metadata.mode() & 0o7777, if executable { 0o755 } else { 0o644 }, "{path}");
        assert_eq!(metadata.mtime(), 1_795_228_866, "{path}");
    }
    assert_eq!(names(dir.path()), ["out", "tree", "x.zip"]);
    // The folder that came out is the same bundle, verified by the manifest in it.
    let again = open(&out);
    assert_eq!(again.format, Format::Directory);
    assert_eq!(again.archive_digest, None);
    assert_eq!(again.content_digest, bundle.content_digest);
    assert_eq!(again.manifest, bundle.manifest);
    assert_eq!(again.entries, bundle.entries);
}

#[test]
fn the_shell_lines_of_the_reference_give_the_content_digest() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("tree");
    work_tree(&root);
    fs::remove_file(root.join("data/link")).unwrap();
    let page = include_str!("../../../docs/reference/bundle.md");
    let (_, rest) = page.split_once("```sh\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    let output = Command::new("sh").args(["-c", script]).current_dir(&root).output().unwrap();
    let digest = open(&root).content_digest;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{digest}  -\n"));
}

#[test]
fn umask_does_not_matter() {
    let test = "a_packed_bundle_opens_and_unpacks_as_it_was";
    let program = std::env::current_exe().unwrap();
    let script = format!("umask 0477 && exec '{}' --exact {test}", program.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn zip_tar_tgz_and_folder_of_one_tree_give_one_list_and_one_digest() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("tree");
    work_tree(&root);
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    run(&root, "zip", &["-qry", &at("x.zip"), "."]);
    run(&root, "tar", &["-cf", &at("x.tar"), "."]);
    run(&root, "tar", &["-czf", &at("x.tgz"), "."]);
    run(&root, "tar", &["--format=pax", "-cf", &at("pax.tar"), "."]);
    let folder = open(&root);
    assert_eq!(
        entries(&folder),
        [
            "f 0644 appspec.yml 13",
            "d 0755 data",
            "f 0640 data/big 500000",
            "f 0600 data/gr\u{f6}\u{df}e 1",
            "l 0777 data/link -> ../scripts/start.sh",
            "d 0700 empty",
            "d 0755 scripts",
            "f 0755 scripts/start.sh 10",
        ]
    );
    let expected = disk(&root);
    for (name, format) in
        [("x.zip", Format::Zip), ("x.tar", Format::Tar), ("x.tgz", Format::Tgz), ("pax.tar", Format::Tar)]
    {
        let bundle = open(&dir.path().join(name));
        assert_eq!(bundle.format, format, "{name}");
        assert_eq!(bundle.entries, folder.entries, "{name}");
        assert_eq!(bundle.content_digest, folder.content_digest, "{name}");
        assert_eq!(bundle.archive_digest, Some(Sha256::of(&fs::read(dir.path().join(name)).unwrap())), "{name}");
        assert_eq!((bundle.manifest, bundle.warnings), (None, vec![]), "{name}");
        let out = dir.path().join(format!("{name}.out"));
        open(&dir.path().join(name)).unpack(&out).unwrap();
        assert!(disk(&out) == expected, "{name}");
        let modified = |root: &Path, path: &str| fs::symlink_metadata(root.join(path)).unwrap().mtime();
        for path in ["appspec.yml", "data", "data/link", "empty"] {
            assert_eq!(modified(&out, path), modified(&root, path), "{name} {path}");
        }
    }
    let out = dir.path().join("folder.out");
    folder.unpack(&out).unwrap();
    assert!(disk(&out) == expected);
}

#[test]
fn a_zip_by_python_opens_as_aws_deploy_push_makes_it() {
    let dir = tempdir().unwrap();
    work_tree(&dir.path().join("tree"));
    fs::remove_file(dir.path().join("tree/data/link")).unwrap();
    let script = "import os, zipfile\n\
        z = zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED, allowZip64=True)\n\
        for root, dirs, files in os.walk('tree'):\n\
        \x20   for f in files: z.write(os.path.join(root, f), os.path.relpath(os.path.join(root, f), 'tree'))\n\
        z.writestr('from-memory', 'x')\n\
        z.close()";
    run(dir.path(), "python3", &["-c", script]);
    assert_eq!(
        entries(&open(&dir.path().join("x.zip"))),
        [
            "f 0644 appspec.yml 13",
            "d 0755 data",
            "f 0640 data/big 500000",
            "f 0600 data/gr\u{f6}\u{df}e 1",
            "f 0600 from-memory 1",
            "d 0755 scripts",
            "f 0755 scripts/start.sh 10",
        ]
    );
}

#[test]
fn a_git_archive_loses_its_leading_folder_as_with_the_aws_agent() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("repository");
    work_tree(&root);
    run(&root, "git", &["init", "-q"]);
    run(&root, "git", &["add", "."]);
    let who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"];
    run(&root, "git", &[&who[..], &["commit", "-qm", "x"]].concat());
    for name in ["x.tgz", "x.zip", "x.tar"] {
        let to = dir.path().join(name);
        let format = if name == "x.tgz" { "tar.gz" } else { &name[2..] };
        let format = format!("--format={format}");
        run(&root, "git", &["archive", &format, "--prefix=owner-repo-1a2b3c/", "-o", to.to_str().unwrap(), "HEAD"]);
        let bundle = open(&to);
        let paths: Vec<&str> = bundle.entries.iter().map(|entry| entry.path.as_str()).collect();
        let expected = ["appspec.yml", "data", "data/big", "data/größe", "data/link", "scripts", "scripts/start.sh"];
        assert_eq!(paths, expected, "{name}");
        assert_eq!(bundle.read(&"data/link".parse().unwrap(), 100).unwrap().unwrap(), b"#!/bin/sh\n", "{name}");
        let out = dir.path().join(format!("{name}.out"));
        bundle.unpack(&out).unwrap();
        assert_eq!(fs::read(out.join("appspec.yml")).unwrap(), b"version: 0.0\n", "{name}");
    }
}

#[test]
fn the_leading_folder_goes_only_when_it_is_alone_and_holds_an_appspec() {
    let dir = tempdir().unwrap();
    let paths = |names: &[&str]| {
        let entries: Vec<ZipEntry> =
            names
                .iter()
                .map(|name| {
                    if name.ends_with('/') {
                        ZipEntry::stored(name, 0o040_755, b"")
                    } else {
                        ZipEntry::file(name, b"x")
                    }
                })
                .collect();
        entries_of(&open_bytes(dir.path(), &zip(&entries)))
    };
    fn entries_of(bundle: &Bundle) -> String {
        bundle.entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>().join(" ")
    }
    assert_eq!(paths(&["top/appspec.yml", "top/a/b"]), "a a/b appspec.yml");
    assert_eq!(paths(&["top/", "top/my-AppSpec-file"]), "my-AppSpec-file");
    assert_eq!(paths(&["top/appspec.d/x"]), "appspec.d appspec.d/x", "any kind of entry with such a name");
    assert_eq!(paths(&["top/deploy.yml"]), "top top/deploy.yml");
    assert_eq!(paths(&["top/deep/appspec.yml"]), "top top/deep top/deep/appspec.yml");
    assert_eq!(paths(&["top/appspec.yml", "other"]), "other top top/appspec.yml");
    assert_eq!(paths(&["top/appspec.yml", "other/"]), "other top top/appspec.yml");
    assert_eq!(paths(&["appspec.yml"]), "appspec.yml");
    assert_eq!(paths(&["top/top/appspec.yml", "top/appspec.yml"]), "appspec.yml top top/appspec.yml", "once");

    // A folder is taken as it stands: the AWS agent copies it and strips nothing.
    let folder = dir.path().join("folder");
    file(&folder, "top/appspec.yml", 0o644, b"x");
    assert_eq!(entries_of(&open(&folder)), "top top/appspec.yml");
}

#[test]
fn links_are_judged_after_the_leading_folder_is_gone() {
    let dir = tempdir().unwrap();
    let bundle = open_bytes(
        dir.path(),
        &zip(&[
            ZipEntry::file("top/appspec.yml", b"x"),
            ZipEntry::link("top/inside", b"./appspec.yml"),
            ZipEntry::link("top/up", b"../x"),
            ZipEntry::link("top/abs", b"/etc/passwd"),
        ]),
    );
    assert_eq!(
        bundle.warnings,
        ["link `abs` points outside the bundle, to `/etc/passwd`", "link `up` points outside the bundle, to `../x`",]
    );
    let out = dir.path().join("out");
    bundle.unpack(&out).unwrap();
    assert_eq!(fs::read_link(out.join("up")).unwrap(), Path::new("../x"), "restored, never followed");
}

#[test]
fn setuid_setgid_and_sticky_bits_are_kept_and_said() {
    let dir = tempdir().unwrap();
    let expected = [
        ("s", 'f', 0o4755, "`s` has the setuid bit"),
        ("t", 'd', 0o1777, "`t` has the sticky bit"),
        ("u", 'f', 0o6711, "`u` has the setuid and the setgid bit"),
    ];
    let as_zip = zip(&[
        ZipEntry::stored("s", 0o104_755, b"x"),
        ZipEntry::stored("t/", 0o041_777, b""),
        ZipEntry::stored("u", 0o106_711, b"x"),
    ]);
    let as_tar = tar(&[
        TarEntry { mode: 0o4755, ..TarEntry::file("s", b"x") },
        TarEntry { mode: 0o1777, ..TarEntry::other("t/", b'5', "") },
        TarEntry { mode: 0o6711, ..TarEntry::file("u", b"x") },
    ]);
    for (name, bytes) in [("zip", &as_zip), ("tar", &as_tar), ("tgz", &gzip(&as_tar))] {
        let bundle = open_bytes(dir.path(), bytes);
        let warnings: Vec<&str> = expected.iter().map(|(.., warning)| *warning).collect();
        assert_eq!(bundle.warnings, warnings, "{name}");
        let out = dir.path().join(name);
        bundle.unpack(&out).unwrap();
        let found: Vec<(String, char, u32)> =
            disk(&out).into_iter().map(|(path, (kind, mode, _))| (path, kind, mode)).collect();
        let wanted: Vec<(String, char, u32)> =
            expected.iter().map(|(path, kind, mode, _)| ((*path).to_owned(), *kind, *mode)).collect();
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn a_zip_without_unix_modes_gets_the_usual_ones() {
    let dir = tempdir().unwrap();
    let fat = |name: &str| ZipEntry { host: 0, mode: 0o777, ..ZipEntry::file(name, b"") };
    let bundle =
        open_bytes(dir.path(), &zip(&[fat("a"), fat("d/"), ZipEntry { mode: 0, ..ZipEntry::file("none", b"") }]));
    assert_eq!(entries(&bundle), ["f 0644 a 0", "d 0755 d", "f 0644 none 0"]);
}

#[test]
fn a_backslash_made_on_unix_is_a_letter() {
    let dir = tempdir().unwrap();
    let bundle = open_bytes(dir.path(), &zip(&[ZipEntry::file("a\\b", b"x")]));
    bundle.unpack(&dir.path().join("out")).unwrap();
    assert_eq!(names(&dir.path().join("out")), ["a\\b"]);
}

#[test]
fn a_hard_link_becomes_a_file_of_its_own() {
    let dir = tempdir().unwrap();
    let bytes = tar(&[
        TarEntry::file("top/appspec.yml", b"version: 0.0\n"),
        TarEntry { mode: 0o755, ..TarEntry::other("top/b/copy", b'1', "./top/appspec.yml") },
        TarEntry::other("top/c", b'1', "top/appspec.yml"),
    ]);
    let bundle = open_bytes(dir.path(), &bytes);
    assert_eq!(entries(&bundle), ["f 0644 appspec.yml 13", "d 0755 b", "f 0755 b/copy 13", "f 0644 c 13"]);
    assert_eq!(bundle.read(&"b/copy".parse().unwrap(), 13).unwrap().unwrap(), b"version: 0.0\n");
    let out = dir.path().join("out");
    bundle.unpack(&out).unwrap();
    fs::write(out.join("b/copy"), "changed").unwrap();
    assert_eq!(fs::read(out.join("appspec.yml")).unwrap(), b"version: 0.0\n");
    assert_eq!(fs::read(out.join("c")).unwrap(), b"version: 0.0\n");
}

#[test]
fn an_old_tar_marks_a_folder_by_its_slash() {
    let dir = tempdir().unwrap();
    let bundle = open_bytes(dir.path(), &tar(&[TarEntry { kind: 0, mode: 0o750, ..TarEntry::file("d/", b"") }]));
    assert_eq!(entries(&bundle), ["d 0750 d"]);
    assert_eq!(entries(&open_bytes(dir.path(), &tar(&[]))), Vec::<String>::new());
}

#[test]
fn the_appspec_is_found_and_read_through_links_inside_the_bundle() {
    let dir = tempdir().unwrap();
    let appspec = |names: &[ZipEntry], name: Option<&str>| {
        open_bytes(dir.path(), &zip(names)).appspec(name).map(|path| path.as_str().to_owned())
    };
    let file = |name: &str| ZipEntry::file(name, b"spec");
    assert_eq!(appspec(&[file("appspec.yaml"), file("appspec.yml")], None).as_deref(), Some("appspec.yml"));
    assert_eq!(appspec(&[file("appspec.yaml"), file("x")], None).as_deref(), Some("appspec.yaml"));
    assert_eq!(appspec(&[file("appspec.yml"), file("d/x.yml")], Some("d/x.yml")).as_deref(), Some("d/x.yml"));
    assert_eq!(appspec(&[file("appspec.yml"), file("x")], Some("other.yml")), None);
    assert_eq!(appspec(&[file("appspec.yml"), file("x")], Some("../appspec.yml")), None);
    assert_eq!(appspec(&[file("appspec.yml/x"), file("y")], None), None);

    let bundle = open_bytes(
        dir.path(),
        &zip(&[
            file("d/real.yml"),
            ZipEntry::link("appspec.yml", b"d/link.yml"),
            ZipEntry::link("d/link.yml", b"./real.yml"),
            ZipEntry::link("out.yml", b"/etc/passwd"),
            ZipEntry::link("loop", b"loop"),
        ]),
    );
    let read = |path: &str, limit| bundle.read(&path.parse().unwrap(), limit);
    assert_eq!(bundle.appspec(None).unwrap().as_str(), "appspec.yml");
    assert_eq!(read("appspec.yml", 4).unwrap().unwrap(), b"spec");
    for path in ["out.yml", "loop", "d", "gone", "d/real.yml/x"] {
        assert_eq!(read(path, 4).unwrap(), None, "{path}");
    }
    assert_eq!(read("appspec.yml", 3).unwrap_err().to_string(), "`appspec.yml` has 4 bytes; at most 3 are read");
}

#[test]
fn unpacking_needs_a_free_place_and_leaves_nothing_on_failure() {
    let dir = tempdir().unwrap();
    let bundle = open_bytes(dir.path(), &zip(&[ZipEntry::file("a", b"x")]));
    let out = dir.path().join("out");
    std::os::unix::fs::symlink("/nonexistent", &out).unwrap();
    assert_eq!(
        bundle.unpack(&out).unwrap_err().to_string(),
        format!("cannot unpack to `{}`: it exists", out.display())
    );
    let below = dir.path().join("gone/out");
    assert_eq!(bundle.unpack(&below).unwrap_err().to_string(), format!("cannot write `{}`", below.display()));
    assert_eq!(names(dir.path()), ["bundle", "out"]);
}

#[test]
fn the_archive_that_was_verified_is_the_one_that_is_unpacked() {
    let dir = tempdir().unwrap();
    for (name, good, evil) in [
        ("zip", zip(&[ZipEntry::file("a", b"good")]), zip(&[ZipEntry::file("../a", b"evil")])),
        ("tgz", gzip(&tar(&[TarEntry::file("a", b"good")])), gzip(&tar(&[TarEntry::file("../a", b"evil")]))),
    ] {
        let bundle = open_bytes(dir.path(), &good);
        let other = dir.path().join("other");
        fs::write(&other, evil).unwrap();
        fs::rename(&other, dir.path().join("bundle")).unwrap();
        let out = dir.path().join(name);
        bundle.unpack(&out).unwrap();
        assert_eq!(fs::read(out.join("a")).unwrap(), b"good", "{name}");
    }
}

#[test]
fn an_archive_written_to_after_it_was_verified_is_refused() {
    let dir = tempdir().unwrap();
    // The same length and CRC-32 cannot be had by chance; a stored file of another content has another CRC.
    let good = zip(&[ZipEntry::file("a", b"good")]);
    let bundle = open_bytes(dir.path(), &good);
    fs::write(dir.path().join("bundle"), zip(&[ZipEntry::file("a", b"evil")])).unwrap();
    assert!(matches!(bundle.unpack(&dir.path().join("out")), Err(OpenError::Checksum { entry }) if entry == "a"));

    let bundle = open_bytes(dir.path(), &tar(&[TarEntry::file("a", b"good")]));
    fs::write(dir.path().join("bundle"), tar(&[TarEntry::file("../a", b"evil")])).unwrap();
    assert!(matches!(bundle.unpack(&dir.path().join("out")), Err(OpenError::Changed { entry }) if entry == "a"));
    assert!(matches!(bundle.read(&"a".parse().unwrap(), 9), Err(OpenError::Changed { entry }) if entry == "a"));

    let folder = dir.path().join("folder");
    file(&folder, "a", 0o644, b"good");
    let bundle = open(&folder);
    for change in ["evil", "longer than before", ""] {
        fs::write(folder.join("a"), change).unwrap();
        assert!(matches!(bundle.unpack(&dir.path().join("out")), Err(OpenError::Changed { entry }) if entry == "a"));
    }
    fs::remove_file(folder.join("a")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("a")).unwrap();
    assert!(matches!(bundle.unpack(&dir.path().join("out")), Err(OpenError::ReadEntry { entry, .. }) if entry == "a"));
    assert_eq!(names(dir.path()), ["bundle", "folder"]);
}

#[test]
fn more_than_65535_entries_open() {
    let dir = tempdir().unwrap();
    let one = file(dir.path(), "one", 0o644, b"1");
    let to = dir.path().join("x.zip");
    let files = (0..65_540).map(|n| PackFile { path: format!("{n}").parse().unwrap(), from: one.from.clone() });
    let packed = pack_to(files.collect(), &to);
    let bundle = open(&to);
    assert_eq!(bundle.manifest, Some(packed.manifest));
    assert_eq!(bundle.entries.len(), 65_540 + 2);
}

#[test]
fn a_work_tree_with_its_git_folder_is_taken_whole() {
    let dir = tempdir().unwrap();
    file(dir.path(), ".git/HEAD", 0o644, b"ref");
    file(dir.path(), "a", 0o644, b"x");
    assert_eq!(entries(&open(dir.path())), ["d 0755 .git", "f 0644 .git/HEAD 3", "f 0644 a 1"]);
    assert_eq!(
        Bundle::open(dir.path(), &Limits { total: 3, ..Limits::default() }).unwrap_err().to_string(),
        "the bundle unpacks to more than 3 bytes (entry `a`)"
    );
}

#[derive(Debug, Clone)]
enum Leaf {
    File(Vec<u8>, bool),
    Link(String),
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Leaf>> {
    let part = "[a-c]{1,2}|é|\\.x";
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (0..1_300_000_usize).prop_map(text),
        (0..200_000_usize).prop_map(noise),
    ];
    let leaf = prop_oneof![
        4 => (content, any::<bool>()).prop_map(|(bytes, executable)| Leaf::File(bytes, executable)),
        1 => "[a-c./]{1,8}".prop_map(Leaf::Link),
    ];
    prop::collection::btree_map(path, leaf, 0..12).prop_map(|map| {
        // What stands below another leaf cannot exist.
        let keys: Vec<String> = map.keys().cloned().collect();
        let below = |path: &str| keys.iter().any(|other| path.starts_with(&format!("{other}/")));
        map.into_iter().filter(|(path, _)| !below(path)).collect()
    })
}

fn write(root: &Path, leaves: &BTreeMap<String, Leaf>) -> Vec<PackFile> {
    let make = |(path, leaf): (&String, &Leaf)| match leaf {
        Leaf::File(bytes, executable) => file(root, path, if *executable { 0o755 } else { 0o644 }, bytes),
        Leaf::Link(target) => link(root, path, target),
    };
    leaves.iter().map(make).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn packing_and_unpacking_any_tree_gives_the_tree(leaves in trees(), threads in 1..5_usize) {
        let dir = tempdir().unwrap();
        let (tree, zip, out) = (dir.path().join("tree"), dir.path().join("x.zip"), dir.path().join("out"));
        fs::create_dir(&tree).unwrap();
        let packed = pack(write(&tree, &leaves), &options(threads), &zip, &|_| {}).unwrap();
        let bundle = open(&zip);
        prop_assert_eq!(bundle.content_digest, content_digest(&packed.manifest.files));
        bundle.unpack(&out).unwrap();
        let mut found = disk(&out);
        found.remove(".longshore/manifest.json").unwrap();
        found.remove(".longshore").unwrap();
        prop_assert!(found == disk(&tree));
        prop_assert_eq!(names(dir.path()), ["out", "tree", "x.zip"]);
    }
}

/// Archives of each format that have a bit of everything.
fn samples() -> Vec<Vec<u8>> {
    let dir = tempdir().unwrap();
    let root = dir.path().join("tree");
    let packed = dir.path().join("x.zip");
    pack_to(vec![file(&root, "appspec.yml", 0o644, b"x"), link(&root, "d/l", "../appspec.yml")], &packed);
    let tar = tar(&[
        TarEntry::other("top", b'5', ""),
        TarEntry::file("top/appspec.yml", b"some text"),
        TarEntry::other("top/link", b'2', "../../outside"),
        TarEntry::other("top/hard", b'1', "top/appspec.yml"),
        TarEntry::file("top/d/x", &[7; 600]),
    ]);
    let zip = zip(&[
        ZipEntry::stored("d/", 0o040_755, b""),
        ZipEntry::deflated("d/appspec.yml", b"some text, some text"),
        ZipEntry::link("d/link", b"../../outside"),
        ZipEntry::file("d/x", &[7; 60]),
    ]);
    vec![fs::read(packed).unwrap(), zip, gzip(&tar), tar]
}

/// Opens and, if that goes well, unpacks; nothing outside the target may change, whatever the archive is.
fn survives(bytes: &[u8]) -> Result<(), TestCaseError> {
    let dir = tempdir().unwrap();
    let folder: PathBuf = dir.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bundle"), bytes).unwrap();
    let before = disk(dir.path());
    let limits = Limits { total: 1 << 20, entries: 1000, ratio: 1000 };
    if let Ok(bundle) = Bundle::open(&folder.join("bundle"), &limits) {
        let out = folder.join("out");
        let unpacked = bundle.unpack(&out);
        if unpacked.is_ok() {
            // Deletes what is in it and does not follow links.
            fs::remove_dir_all(&out).unwrap();
        }
    }
    prop_assert!(disk(dir.path()) == before);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_or_cut_archive_never_panics_and_never_writes_outside(
        which in 0..4_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = SAMPLES.with(|samples| samples[which].clone());
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes)?;
    }

    #[test]
    fn a_tar_of_any_names_and_kinds_never_writes_outside(
        entries in prop::collection::vec(
            ("[ab./]{0,6}", prop::sample::select(b"0125S7gxLK\0".to_vec()), "[ab./]{0,6}", any::<bool>()),
            0..6,
        ),
    ) {
        let made: Vec<TarEntry<'_>> = entries
            .iter()
            .map(|(name, kind, link, full)| {
                let data: &[u8] = if *full { b"../../x\0" } else { b"" };
                TarEntry { kind: *kind, link: link.as_bytes(), ..TarEntry::file(name, data) }
            })
            .collect();
        survives(&tar(&made))?;
    }

    #[test]
    fn a_zip_of_any_names_and_modes_never_writes_outside(
        entries in prop::collection::vec(
            ("[ab./\\\\]{0,6}", prop::sample::select(vec![0o100_644_u32, 0o120_777, 0o040_755, 0o104_000, 0]), "[ab./]{0,6}"),
            0..6,
        ),
    ) {
        let made: Vec<ZipEntry> =
            entries.iter().map(|(name, mode, data)| ZipEntry::stored(name, *mode, data.as_bytes())).collect();
        survives(&zip(&made))?;
    }
}

thread_local! {
    static SAMPLES: Vec<Vec<u8>> = samples();
}
