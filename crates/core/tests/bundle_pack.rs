//! Packing: the same tree gives the same bytes, and every other tool can read them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bundle_support/tree.rs"]
mod tree;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use longshore_core::bundle::pack::{Sources, Target, Told};
use longshore_core::bundle::{MANIFEST_PATH, Manifest, PackError, PackFile, PackOptions, pack};
use longshore_core::digest::Sha256;
use longshore_core::growing::Written;
use tempfile::tempdir;
use tree::{COMMIT, every_kind, file, noise, options, pack_to, text};

fn bytes_of(files: Vec<PackFile>, options: &PackOptions) -> Vec<u8> {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    pack(files, options, &to, &|_| {}).unwrap();
    fs::read(to).unwrap()
}

/// The bytes that are final at this stage, with those of the hole left out.
fn final_bytes(archive: &File, written: &Written) -> Vec<u8> {
    let read = |range: Range<u64>| {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap()];
        archive.read_exact_at(&mut bytes, range.start).unwrap();
        bytes
    };
    match &written.hole {
        Some(hole) if hole.start < written.end => {
            [read(0..hole.start), read(hole.end.min(written.end)..written.end)].concat()
        }
        Some(_) | None => read(0..written.end),
    }
}

#[test]
fn bytes_that_are_told_to_be_final_never_change() {
    let dir = tempdir().unwrap();
    let files = vec![
        file(dir.path(), "a", 0o644, b"a"),
        file(dir.path(), "deflated", 0o644, &text(9 << 20)),
        file(dir.path(), "stored", 0o644, &noise(3 << 20)),
        file(dir.path(), "z", 0o644, &text(300 << 10)),
    ];
    let to = dir.path().join("x.zip");
    let archive = File::options().read(true).write(true).create_new(true).open(&to).unwrap();
    let stages = RefCell::new(Vec::new());
    let written = |written: Written| {
        let bytes = Sha256::of(&final_bytes(&archive, &written));
        stages.borrow_mut().push((written, bytes));
        ControlFlow::Continue(())
    };
    let sources = Sources::look(files.clone()).unwrap();
    let told = Told { progress: &|_| (), written: &written };
    let packed = sources.pack(&options(2), Target { file: &archive, path: &to }, &told).unwrap();
    let stages = stages.into_inner();
    for (written, bytes) in &stages {
        assert_eq!(Sha256::of(&final_bytes(&archive, written)), *bytes, "{written:?}");
    }
    let grows_behind_a_hole = stages.windows(2).filter(|two| {
        let [(one, _), (next, _)] = two else { unreachable!() };
        one.hole.is_some() && one.hole == next.hole && one.end < next.end
    });
    assert!(grows_behind_a_hole.count() >= 2, "a large file does not hold back what follows its header: {stages:?}");
    assert_eq!(stages.last().unwrap().0.hole, None);
    assert!(fs::read(&to).unwrap() == bytes_of(files, &options(1)));
    assert!(packed.size <= sources.most_bytes());
}

#[test]
fn an_archive_has_no_more_bytes_than_was_said_before() {
    let dir = tempdir().unwrap();
    let mut files = every_kind(dir.path(), true);
    files.push(file(dir.path(), "large", 0o755, &text(3 << 20)));
    let most = Sources::look(files.clone()).unwrap().most_bytes();
    let packed = pack(files, &options(2), &dir.path().join("x.zip"), &|_| {}).unwrap();
    assert!(packed.size <= most, "{} {most}", packed.size);
}

#[test]
fn an_archive_is_never_larger_than_was_said_before() {
    let dir = tempdir().unwrap();
    let long = format!("{}/{}", "\"".repeat(200), "ü".repeat(120));
    let mut files: Vec<PackFile> = (0..300).map(|n| file(dir.path(), &format!("{long}{n}"), 0o644, b"")).collect();
    // Deflated since its samples deflate, and hardly smaller.
    let bytes = [text(64 << 10), noise(2 << 20), text(64 << 10)].concat();
    files.push(file(dir.path(), "hard", 0o644, &bytes));
    let sources = Sources::look(files.clone()).unwrap();
    let packed = pack(files, &options(2), &dir.path().join("x.zip"), &|_| {}).unwrap();
    assert!(packed.size <= sources.most_bytes(), "{} {}", packed.size, sources.most_bytes());
}

#[test]
fn packing_can_be_stopped() {
    let dir = tempdir().unwrap();
    let files = (0..8).map(|n| file(dir.path(), &format!("f{n}"), 0o644, &noise(2 << 20))).collect();
    let to = dir.path().join("x.zip");
    let archive = File::options().read(true).write(true).create_new(true).open(&to).unwrap();
    let written = |written: Written| match written.end {
        0..4_000_000 => ControlFlow::Continue(()),
        4_000_000.. => ControlFlow::Break(()),
    };
    let told = Told { progress: &|_| (), written: &written };
    let stopped = Sources::look(files).unwrap().pack(&options(2), Target { file: &archive, path: &to }, &told);
    assert!(matches!(stopped, Err(PackError::Stopped)), "{stopped:?}");
    assert!(archive.metadata().unwrap().len() < 8 << 20);
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Output {
    let output = Command::new(program).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

/// Bytes in front of the manifest's local header: all that does not carry our own version.
fn before_manifest(archive: &[u8]) -> &[u8] {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let start = zip.by_name(MANIFEST_PATH).unwrap().header_start();
    &archive[..usize::try_from(start).unwrap()]
}

// If this fails after a dependency changed, archives of one commit are no longer the same bytes as before: say so in the
// change log, and pin the new digest here.
#[test]
fn the_bytes_of_a_fixed_tree_never_change() {
    let dir = tempdir().unwrap();
    let archive = bytes_of(every_kind(dir.path(), true), &options(2));
    let digest = Sha256::of(before_manifest(&archive)).to_string();
    assert_eq!(digest, "c8056918d8a3ea1b127efb60e9cac60ab7bb4f479af73b757f8c3c52f4b09317");
}

#[test]
fn zone_and_locale_do_not_matter() {
    for (zone, locale) in [("Asia/Tokyo", "C"), ("America/St_Johns", "de_DE.UTF-8")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_bytes_of_a_fixed_tree_never_change"])
            .envs([("TZ", zone), ("LC_ALL", locale)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{zone} {locale}: {text}");
    }
}

#[test]
fn threads_order_duplicates_modes_times_and_folder_do_not_matter() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let files = every_kind(dir.path(), true);
    let expected = bytes_of(files.clone(), &options(1));
    for threads in [0, 2, 8] {
        assert!(bytes_of(files.clone(), &options(threads)) == expected, "{threads} threads");
    }
    let mut shuffled = every_kind(other.path(), false);
    for packed in &shuffled {
        if let Ok(file) = File::options().write(true).open(&packed.from) {
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        }
    }
    shuffled.reverse();
    shuffled.swap(1, 5);
    shuffled.extend_from_within(2..6);
    assert!(bytes_of(shuffled, &options(2)) == expected, "another folder, order, umask and age");
}

#[test]
fn the_commit_the_time_and_one_x_bit_do_matter() {
    let dir = tempdir().unwrap();
    let files = || vec![file(dir.path(), "a", 0o644, b"a")];
    let base = bytes_of(files(), &options(1));
    assert_ne!(bytes_of(files(), &PackOptions { time: 1_795_228_868, ..options(1) }), base);
    assert_eq!(bytes_of(files(), &PackOptions { time: 1_795_228_866, ..options(1) }), base, "rounded to two seconds");
    assert_ne!(bytes_of(files(), &PackOptions { commit: "f".repeat(40).parse().unwrap(), ..options(1) }), base);
    assert_ne!(bytes_of(vec![file(dir.path(), "a", 0o645, b"a")], &options(1)), base);
}

#[test]
fn every_other_tool_reads_it_without_a_warning() {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    pack_to(every_kind(&dir.path().join("tree"), true), &to);
    let output = run("unzip", &["-t"], &to);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("No errors detected"), "{said}");
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
    run("python3", &["-m", "zipfile", "-t"], &to);

    let mut zip = zip::ZipArchive::new(File::open(&to).unwrap()).unwrap();
    assert_eq!(zip.comment(), COMMIT.as_bytes());
    zip.validate_header_consistency().unwrap();
    let mut seen = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name != MANIFEST_PATH && !entry.is_symlink() {
            assert!(bytes == fs::read(dir.path().join("tree").join(&name)).unwrap(), "{name}");
        }
        assert_eq!(entry.last_modified().unwrap().to_string(), "2026-11-21 02:41:06", "{name}");
        assert!(entry.extra_data().is_none_or(|extra| extra.is_empty()), "{name}");
        seen.push(format!("{:06o} {:?} {name}", entry.unix_mode().unwrap(), entry.compression()));
    }
    assert_eq!(
        seen,
        [
            "100644 Deflated appspec.yml",
            "120777 Stored current",
            "100755 Deflated data/blocks.mixed",
            "100644 Stored data/blocks.noise",
            "100644 Deflated data/blocks.txt",
            "100644 Deflated data/one-block.txt",
            "100644 Stored data/probe.noise",
            "100644 Stored data/small.noise",
            "100644 Stored empty",
            "100644 Deflated größe/日本.txt",
            "100644 Stored scripts.d/x",
            "100755 Stored scripts/start.sh",
            "120777 Stored scripts/up",
            "100644 Deflated .longshore/manifest.json",
        ]
    );
}

#[test]
fn unzip_restores_modes_links_and_contents() {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    pack_to(every_kind(&dir.path().join("tree"), true), &to);
    let out = dir.path().join("out");
    run("unzip", &["-q", "-d", out.to_str().unwrap()], &to);
    assert_eq!(fs::metadata(out.join("scripts/start.sh")).unwrap().mode() & 0o111, 0o111);
    assert_eq!(fs::read_link(out.join("scripts/up")).unwrap(), Path::new("../appspec.yml"));
    assert!(
        fs::read(out.join("data/blocks.mixed")).unwrap()
            == fs::read(dir.path().join("tree/data/blocks.mixed")).unwrap()
    );
}

#[test]
fn digests_size_manifest_and_progress_are_those_of_the_files() {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    let files = every_kind(&dir.path().join("tree"), true);
    let expected: u64 = files.iter().map(|file| fs::symlink_metadata(&file.from).unwrap().len()).sum();
    let total = Mutex::new(0);
    let packed = pack(files.clone(), &options(2), &to, &|bytes| *total.lock().unwrap() += bytes).unwrap();
    assert_eq!(*total.lock().unwrap(), expected);
    let archive = fs::read(&to).unwrap();
    assert_eq!(packed.size, archive.len() as u64);
    assert_eq!(packed.archive_digest, Sha256::of(&archive));
    assert_eq!(packed.warnings, Vec::<String>::new());
    assert_eq!(packed.manifest.time, 1_795_228_866);
    let mut zip = zip::ZipArchive::new(File::open(&to).unwrap()).unwrap();
    let mut json = Vec::new();
    zip.by_name(MANIFEST_PATH).unwrap().read_to_end(&mut json).unwrap();
    assert_eq!(Manifest::parse(&json).unwrap(), packed.manifest);
    assert_eq!(packed.manifest.files.len(), files.len());
    for listed in packed.manifest.files {
        let from = dir.path().join("tree").join(listed.path.as_str());
        let bytes = match fs::read_link(&from) {
            Ok(target) => target.into_os_string().into_encoded_bytes(),
            Err(_) => fs::read(&from).unwrap(),
        };
        assert_eq!((listed.size, listed.sha256), (bytes.len() as u64, Sha256::of(&bytes)), "{}", listed.path);
    }
}

#[test]
fn no_files_give_a_bundle_of_the_manifest_alone() {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    pack_to(vec![], &to);
    run("unzip", &["-t"], &to);
    assert_eq!(names(dir.path()), ["x.zip"]);
}

#[test]
fn more_than_65535_entries_get_zip64_records_that_other_tools_read() {
    let dir = tempdir().unwrap();
    let one = file(dir.path(), "one", 0o644, b"1");
    let to = dir.path().join("x.zip");
    let files =
        (0..65_540).map(|n| PackFile { path: format!("d{}/{n}", n % 50).parse().unwrap(), from: one.from.clone() });
    let packed = pack_to(files.collect(), &to);
    assert_eq!(packed.manifest.files.len(), 65_540);
    run("unzip", &["-tq"], &to);
    run("python3", &["-m", "zipfile", "-t"], &to);
    assert_eq!(zip::ZipArchive::new(File::open(&to).unwrap()).unwrap().len(), 65_541);
}

/// The error, after checking that nothing was left and that what stood at the target still does.
fn refused(files: Vec<PackFile>) -> String {
    let dir = tempdir().unwrap();
    let to = dir.path().join("x.zip");
    fs::write(&to, "the old one").unwrap();
    let error = pack(files, &options(2), &to, &|_| {}).unwrap_err();
    assert_eq!(names(dir.path()), ["x.zip"]);
    assert_eq!(fs::read(&to).unwrap(), b"the old one");
    error.to_string()
}

#[test]
fn what_is_neither_file_nor_link_is_refused_by_name() {
    let dir = tempdir().unwrap();
    let root = dir.path();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    for (name, kind) in [("pipe", "FIFO"), ("socket", "socket"), ("folder", "folder")] {
        let from = root.join(name);
        let said = refused(vec![
            file(root, "a", 0o644, b"a"),
            PackFile { path: format!("in/{name}").parse().unwrap(), from: from.clone() },
        ]);
        let from = from.display();
        assert_eq!(
            said,
            format!("cannot pack `in/{name}`: `{from}` is a {kind}, and a bundle holds files and links only")
        );
    }
    let said = refused(vec![PackFile { path: "null".parse().unwrap(), from: "/dev/null".into() }]);
    assert_eq!(said, "cannot pack `null`: `/dev/null` is a device, and a bundle holds files and links only");
    let said = refused(vec![PackFile { path: "gone".parse().unwrap(), from: root.join("gone") }]);
    assert_eq!(said, format!("cannot read `{}`", root.join("gone").display()));
}

#[test]
fn paths_that_cannot_stand_together_are_refused() {
    let dir = tempdir().unwrap();
    let (a, b) = (file(dir.path(), "a", 0o644, b"a"), file(dir.path(), "b", 0o644, b"b"));
    let at = |path: &str, from: &PackFile| PackFile { path: path.parse().unwrap(), from: from.from.clone() };
    let (one, two) = (a.from.display().to_string(), b.from.display().to_string());
    let expected = format!("two files want to be `x` in the bundle: `{one}` and `{two}`");
    assert_eq!(refused(vec![at("x", &a), at("x", &b)]), expected);
    assert_eq!(refused(vec![at("x", &b), at("x", &a)]), expected);
    assert_eq!(
        refused(vec![at("x/y/z", &b), at("x", &a)]),
        "`x/y/z` cannot stand below `x`, which is a file or link of the bundle"
    );
    for path in [MANIFEST_PATH, ".longshore/manifest.json/x"] {
        assert_eq!(
            refused(vec![at(path, &a)]),
            format!("`{path}` cannot be packed: Longshore writes its manifest there")
        );
    }
    assert_eq!(
        refused(vec![at(".longshore", &a)]),
        "`.longshore/manifest.json` cannot stand below `.longshore`, which is a file or link of the bundle"
    );
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_named() {
    let dir = tempdir().unwrap();
    let root = dir.path();
    // The files before it do not fit into memory at once, so the last one is read after the first progress.
    let mut files: Vec<PackFile> =
        (0..40).map(|n| file(root, &format!("a{n:02}"), 0o644, &noise((1 << 20) - 1))).collect();
    let last = file(root, "z", 0o644, b"before");
    files.push(last.clone());
    let to = root.join("x.zip");
    let once = RefCell::new(Some(()));
    let grow = Mutex::new(once);
    let error = pack(files, &options(2), &to, &|_| {
        if grow.lock().unwrap().take().is_some() {
            fs::write(&last.from, "after, and longer").unwrap();
        }
    })
    .unwrap_err();
    assert!(matches!(&error, PackError::Changed { path } if *path == last.from), "{error:?}");
    assert!(!to.exists());
    assert!(names(root).iter().all(|name| !name.contains("longshore")), "{:?}", names(root));
}

#[test]
fn a_link_whose_target_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempdir().unwrap();
    let from = dir.path().join("l");
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(b"\xff"), &from).unwrap();
    let said = refused(vec![PackFile { path: "l".parse().unwrap(), from: from.clone() }]);
    assert_eq!(said, format!("cannot pack link `l`: the target of `{}` is not UTF-8", from.display()));
}

#[test]
fn what_will_surprise_is_said() {
    let dir = tempdir().unwrap();
    let root = dir.path();
    let packed = pack_to(
        vec![
            file(root, "setuid", 0o4755, b"x"),
            file(root, "sticky", 0o1644, b"x"),
            file(root, "n/Readme", 0o644, b"1"),
            file(root, "n/README", 0o644, b"2"),
            file(root, "n/caf\u{e9}", 0o644, b"3"),
            file(root, "n/cafe\u{301}", 0o644, b"4"),
        ],
        &root.join("x.zip"),
    );
    assert_eq!(
        packed.warnings,
        [
            "`setuid` loses its setuid or setgid bit",
            "`n/README` and `n/Readme` are one file where case or Unicode form does not count",
            "`n/cafe\u{301}` and `n/caf\u{e9}` are one file where case or Unicode form does not count",
        ]
    );
    let setuid = packed.manifest.files.iter().find(|file| file.path.as_str() == "setuid").unwrap();
    assert_eq!(setuid.mode, "0755");
}

#[test]
fn a_target_that_cannot_be_written_is_named_and_nothing_is_left() {
    let dir = tempdir().unwrap();
    let to = dir.path().join("folder");
    fs::create_dir_all(to.join("full")).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    let files = vec![file(&dir.path().join("t"), "a", 0o644, &text(10))];
    let error = pack(files, &options(1), &to, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write bundle `{}`", to.display()));
    assert_eq!(names(dir.path()), ["folder", "t"]);
}
