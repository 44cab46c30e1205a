//! Every archive that is refused: the error names the entry, and nothing was written anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bundle_support/raw.rs"]
mod raw;
#[path = "bundle_support/tree.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use longshore_core::bundle::{Bundle, Limits, MANIFEST_PATH};
use raw::{TarEntry, ZipEntry, gzip, tar, zip};
use tempfile::tempdir;

/// Everything below a folder, with sizes and times.
fn listing(root: &Path) -> BTreeMap<String, (u64, i64, i64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            let stamp = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
            all.insert(entry.path().display().to_string(), stamp);
        }
    }
    all
}

fn refused_within(archive: &[u8], limits: &Limits) -> String {
    let dir = tempdir().unwrap();
    let folder = dir.path().join("a/b/c");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("bundle");
    fs::write(&path, archive).unwrap();
    let before = listing(dir.path());
    let error = Bundle::open(&path, limits).map(|bundle| bundle.entries).unwrap_err();
    assert_eq!(listing(dir.path()), before, "{error}");
    error.to_string().replace(&path.display().to_string(), "BUNDLE")
}

fn refused(archive: &[u8]) -> String {
    refused_within(archive, &Limits::default())
}

fn file(name: &str) -> ZipEntry {
    ZipEntry::file(name, b"data")
}

fn named(name: &[u8]) -> ZipEntry {
    ZipEntry { name: name.to_vec(), ..file("x") }
}

#[test]
fn names_that_could_leave_the_folder() {
    let long = "x".repeat(256);
    for (name, expected) in [
        ("../evil", "entry `../evil` leaves the bundle with `..`"),
        ("a/../../evil", "entry `a/../../evil` leaves the bundle with `..`"),
        ("..", "entry `..` leaves the bundle with `..`"),
        ("/etc/passwd", "entry `/etc/passwd` is absolute"),
        ("//etc/passwd", "entry `//etc/passwd` is absolute"),
        ("", "entry `` has no name"),
        (&long, &format!("entry `{long}` is longer than a file system takes")),
    ] {
        assert_eq!(refused(&zip(&[file("first"), named(name.as_bytes())])), expected);
        if name.len() < 100 && !name.is_empty() {
            assert_eq!(refused(&tar(&[TarEntry::file("first", b""), TarEntry::file(name, b"x")])), expected);
            assert_eq!(refused(&gzip(&tar(&[TarEntry::file(name, b"x")]))), expected);
        }
    }
    assert_eq!(refused(&zip(&[named(b"a\0b")])), "entry `a\\0b` has a NUL character");
    assert_eq!(refused(&zip(&[named(b"a\x1b[2J\n/../b")])), "entry `a\\u{1b}[2J\\n/../b` leaves the bundle with `..`");
}

#[test]
fn names_that_are_not_utf8() {
    assert_eq!(refused(&zip(&[named(b"caf\xe9")])), "the name of entry `caf\u{fffd}` is not UTF-8");
    let entry = TarEntry { name: b"caf\xe9", ..TarEntry::file("", b"x") };
    assert_eq!(refused(&tar(&[entry])), "the name of entry `caf\u{fffd}` is not UTF-8");
}

#[test]
fn windows_separators() {
    assert_eq!(
        refused(&zip(&[ZipEntry { host: 0, ..named(b"..\\evil") }])),
        "the name of entry `..\\\\evil` has a `\\`, which is a separator where the archive was made and none here"
    );
}

#[test]
fn one_name_for_two_entries() {
    let expected = "entry `a/b` stands twice in the archive";
    assert_eq!(refused(&zip(&[file("a/b"), file("c"), file("a/b")])), expected);
    assert_eq!(refused(&zip(&[file("a/b"), file("a//./b")])), expected);
    assert_eq!(refused(&tar(&[TarEntry::file("a/b", b"1"), TarEntry::file("./a/b", b"2")])), expected);
    assert_eq!(refused(&zip(&[ZipEntry::link("a", b"b"), file("a")])), "entry `a` stands twice in the archive");
}

#[test]
fn a_file_and_a_folder_of_one_name() {
    let folder = |name: &str| ZipEntry::stored(name, 0o040_755, b"");
    let expected = "entry `a` is a folder and a file or link at once";
    assert_eq!(refused(&zip(&[folder("a/"), file("a")])), expected);
    assert_eq!(refused(&zip(&[file("a"), folder("a/")])), expected);
    assert_eq!(refused(&zip(&[file("a/b"), file("a")])), expected);
    assert_eq!(refused(&zip(&[file("a/b"), ZipEntry::link("a", b"/etc")])), expected);
}

#[test]
fn an_entry_that_would_be_written_through_a_link() {
    let expected = "entry `l/deep/evil` stands below `l`, which is a file or link";
    assert_eq!(refused(&zip(&[ZipEntry::link("l", b"/tmp"), file("l/deep/evil")])), expected);
    assert_eq!(refused(&zip(&[file("l"), file("l/deep/evil")])), expected);
    assert_eq!(refused(&tar(&[TarEntry::other("l", b'2', "/tmp"), TarEntry::file("l/deep/evil", b"x")])), expected);
}

#[test]
fn headers_that_disagree() {
    let good = ZipEntry::deflated("good", b"some data, some data");
    let differ = |what: &str| format!("entry `good` contradicts itself: its two headers differ in {what}");
    for (entry, expected) in [
        (ZipEntry { local_name: Some(b"evil".to_vec()), ..good.clone() }, differ("name")),
        (ZipEntry { local_name: Some(b"../../evil".to_vec()), ..good.clone() }, differ("name")),
        (ZipEntry { local_method: Some(0), ..good.clone() }, differ("method")),
        (ZipEntry { local_size: Some(7), ..good.clone() }, differ("size")),
        (ZipEntry { local_crc: Some(7), ..good.clone() }, differ("checksum")),
        (
            ZipEntry { extra: b"up\x09\x00\x01\0\0\0\0evil".to_vec(), ..good.clone() },
            "entry `good` contradicts itself: it has a second name, `evil`".to_owned(),
        ),
        (
            ZipEntry { extra: b"up\xff\x00\x01".to_vec(), ..good.clone() },
            "entry `good` contradicts itself: an extra field is longer than its room".to_owned(),
        ),
        (
            ZipEntry { size: u32::MAX, ..good.clone() },
            "entry `good` contradicts itself: its zip64 field is too short".to_owned(),
        ),
        (
            ZipEntry { size: 3, ..file("good") },
            "entry `good` contradicts itself: it is stored, but has two sizes".to_owned(),
        ),
        (
            ZipEntry { mode: 0o040_755, ..good.clone() },
            "entry `good` contradicts itself: its name and its mode disagree on whether it is a folder".to_owned(),
        ),
        (
            ZipEntry::stored("good/", 0o040_755, b"x"),
            "entry `good/` contradicts itself: it is a folder and has bytes".to_owned(),
        ),
    ] {
        assert_eq!(refused(&zip(&[file("first, long enough for a header"), entry])), expected);
    }
}

#[test]
fn a_record_that_points_at_no_local_header() {
    let mut bytes = zip(&[file("first"), file("good")]);
    bytes[30 + 5 + 4] = b'Q';
    assert_eq!(refused(&bytes), "entry `good` contradicts itself: it has no local header where its record says");
}

#[test]
fn a_data_descriptor_is_no_contradiction() {
    let entry = ZipEntry { flags: 8, local_size: Some(0), local_crc: Some(0), ..file("good") };
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("x"), zip(&[entry])).unwrap();
    Bundle::open(&dir.path().join("x"), &Limits::default()).unwrap();
}

#[test]
fn entries_that_share_bytes() {
    let shared = [file("one"), ZipEntry { header: Some(0), ..file("one") }];
    assert_eq!(refused(&zip(&shared)), "entry `one` reaches into what follows it in the archive");
    let long = ZipEntry { compressed: 60, size: 60, ..file("long") };
    assert_eq!(refused(&zip(&[long, file("next")])), "entry `long` reaches into what follows it in the archive");
    let behind = ZipEntry { compressed: 5, size: 5, ..file("behind") };
    assert_eq!(refused(&zip(&[behind])), "entry `behind` reaches into what follows it in the archive");
}

#[test]
fn encrypted_entries() {
    for (entry, name) in [
        (ZipEntry { flags: 1, ..file("secret") }, "secret"),
        (ZipEntry { local_flags: Some(1), ..file("local") }, "local"),
        (ZipEntry { method: 99, ..file("aes") }, "aes"),
    ] {
        assert_eq!(refused(&zip(&[entry])), format!("entry `{name}` is encrypted"));
    }
}

#[test]
fn methods_that_are_not_known() {
    for method in [1, 9, 12, 14, 93] {
        assert_eq!(
            refused(&zip(&[ZipEntry { method, ..file("a") }])),
            format!("entry `a` is compressed by method {method}; stored (0) and deflate (8) are known")
        );
    }
}

#[test]
fn more_or_fewer_bytes_than_declared() {
    let data = vec![0; 300_000];
    let entry = ZipEntry::deflated("zeros", &data);
    assert_eq!(
        refused(&zip(&[ZipEntry { size: 299_999, ..entry.clone() }])),
        "entry `zeros` has more than the 299999 bytes that its header declares"
    );
    assert_eq!(
        refused(&zip(&[ZipEntry { size: 300_001, ..entry.clone() }])),
        "entry `zeros` has fewer than the 300001 bytes that its header declares"
    );
    let mut padded = entry.clone();
    padded.data.extend(b"more");
    padded.compressed += 4;
    assert_eq!(refused(&zip(&[padded])), "entry `zeros` contradicts itself: bytes follow its compressed data");
}

#[test]
fn damaged_bytes() {
    let mut entry = ZipEntry::deflated("a", b"some data, some data, some data");
    entry.data[0] = 0xff;
    assert_eq!(refused(&zip(&[entry])), "the compressed bytes of entry `a` are damaged");
    let cut = ZipEntry::deflated("a", b"some data, some data, some data");
    let data = cut.data[..cut.data.len() - 3].to_vec();
    let cut = ZipEntry { compressed: data.len() as u32, data, ..cut };
    assert_eq!(refused(&zip(&[cut])), "the compressed bytes of entry `a` are damaged");
    let wrong = ZipEntry { crc: 7, ..file("a") };
    assert_eq!(refused(&zip(&[wrong])), "the checksum of entry `a` is wrong");
}

#[test]
fn archives_that_are_cut_off() {
    let whole = zip(&[file("first"), ZipEntry::deflated("second", &tree::text(5000))]);
    for length in [4, 21, 30, 60, whole.len() - 40, whole.len() - 1] {
        let said = refused(&whole[..length]);
        assert_eq!(said, "the archive is cut off before the end of its directory", "{length}");
    }
    let data = tree::text(5000);
    let whole = tar(&[TarEntry::file("first", b"1"), TarEntry::file("second", &data)]);
    for (length, place) in [
        (512, "in entry `first`"),
        (1024, "in or after entry `first`"),
        (1200, "in or after entry `first`"),
        (1024 + 512, "in entry `second`"),
        (1024 + 512 + 4999, "in entry `second`"),
        (whole.len() - 1024, "in or after entry `second`"),
    ] {
        assert_eq!(refused(&whole[..length]), format!("the archive is cut off {place}"), "{length}");
    }
    let packed = gzip(&whole);
    for length in [20, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
        assert!(refused(&packed[..length]).starts_with("the archive is cut off"), "{length}");
    }
}

#[test]
fn a_gzip_with_a_wrong_checksum_or_something_behind_it() {
    let mut packed = gzip(&tar(&[TarEntry::file("a", b"1")]));
    let at = packed.len() - 6;
    packed[at] ^= 1;
    assert_eq!(
        refused(&packed),
        "the archive is damaged: corrupt gzip stream does not have a matching checksum, in or after entry `a`"
    );
    packed[at] ^= 1;
    packed.extend(b"more");
    assert!(refused(&packed).starts_with("the archive is "));
}

#[test]
fn end_records_that_lie() {
    let whole = zip(&[file("a"), file("b")]);
    let edited = |back: usize, value: u8| {
        let mut bytes = whole.clone();
        let at = bytes.len() - back;
        bytes[at] = value;
        refused(&bytes)
    };
    assert_eq!(edited(6, 1), "the archive is damaged: the central directory does not stand where its end record says");
    assert_eq!(edited(10, 1), "the archive is damaged: the central directory does not stand where its end record says");
    assert_eq!(edited(12, 3), "the archive is damaged: it is one part of several");
    assert_eq!(edited(18, 1), "the archive is damaged: it is one part of several");
    let count = |count: u8| {
        let mut bytes = whole.clone();
        let at = bytes.len() - 14;
        (bytes[at], bytes[at + 2]) = (count, count);
        refused(&bytes)
    };
    assert_eq!(count(1), "the archive is damaged: the central directory has more entries than it says");
    assert_eq!(count(3), "the archive is cut off in its directory");
    let mut before = b"PK\x03\x04 a stub in front".to_vec();
    before.extend(&whole);
    assert_eq!(
        refused(&before),
        "the archive is damaged: the central directory does not stand where its end record says"
    );
}

#[test]
fn devices_fifos_and_sockets() {
    for (mode, kind) in [
        (0o010_644, "FIFO"),
        (0o140_644, "socket"),
        (0o020_644, "device"),
        (0o060_644, "device"),
        (0o150_644, "thing of an unknown kind"),
    ] {
        assert_eq!(
            refused(&zip(&[ZipEntry::stored("odd", mode, b"")])),
            format!("entry `odd` is a {kind}; a bundle holds files, folders and links only")
        );
    }
    for (kind, name) in [(b'3', "device"), (b'4', "device"), (b'6', "FIFO"), (b'V', "thing of tar type `V`")] {
        assert_eq!(
            refused(&tar(&[TarEntry::other("odd", kind, "")])),
            format!("entry `odd` is a {name}; a bundle holds files, folders and links only")
        );
    }
}

#[test]
fn hard_links_to_anything_but_an_earlier_file() {
    for target in ["/etc/shadow", "../up", "later", "folder", "link", "hard", ""] {
        let entries = [
            TarEntry::other("folder", b'5', ""),
            TarEntry::other("link", b'2', "file"),
            TarEntry::other("hard", b'1', target),
            TarEntry::file("later", b"x"),
        ];
        assert_eq!(
            refused(&tar(&entries)),
            format!("entry `hard` is a hard link to `{target}`, which is no earlier file of the archive")
        );
    }
}

#[test]
fn links_whose_target_cannot_be_one() {
    for (target, why) in [
        (b"".to_vec(), "is empty"),
        (b"a\xff".to_vec(), "is not UTF-8"),
        (b"a\0b".to_vec(), "has a NUL character"),
        (vec![b'x'; 4096], "is longer than a file system takes"),
        (vec![b'x'; 5000], "is longer than a file system takes"),
    ] {
        assert_eq!(refused(&zip(&[ZipEntry::link("l", &target)])), format!("the target of link `l` {why}"));
    }
    assert_eq!(refused(&tar(&[TarEntry::other("l", b'2', "")])), "the target of link `l` is empty");
}

#[test]
fn a_tar_entry_that_has_bytes_where_none_belong() {
    let folder = TarEntry { kind: b'5', ..TarEntry::file("d", b"x") };
    assert_eq!(refused(&tar(&[folder])), "entry `d` contradicts itself: it has bytes, and is no file");
}

#[test]
fn pax_fields_that_two_programs_read_differently() {
    let pax = |kind, record: &'static [u8]| TarEntry { kind, ..TarEntry::file("pax", record) };
    for record in [&b"22 GNU.sparse.major=1\n"[..], b"19 GNU.sparse.map=\n"] {
        let said = refused(&tar(&[pax(b'x', record), TarEntry::file("a", b"1")]));
        assert!(said.starts_with("entry `a` contradicts itself: its PAX header has the field `GNU.sparse."), "{said}");
    }
    assert_eq!(
        refused(&tar(&[pax(b'g', b"16 path=../evil\n"), TarEntry::file("a", b"1")])),
        "entry `pax` contradicts itself: its PAX header has the field `path`, which is not supported"
    );
    assert_eq!(
        refused(&tar(&[pax(b'x', b"99 path=a\n"), TarEntry::file("a", b"1")])),
        "entry `a` contradicts itself: its PAX header is malformed"
    );
    assert_eq!(
        refused(&tar(&[pax(b'x', b"16 path=../evil\n"), TarEntry::file("a", b"1")])),
        "entry `../evil` leaves the bundle with `..`"
    );
}

#[test]
fn a_damaged_header_of_a_tar_whose_name_would_drive_the_terminal() {
    let mut packed = tar(&[TarEntry::file("a\u{1b}[2J", b"")]);
    packed[124..135].copy_from_slice(b"no\x1b number\0");
    packed[148..156].fill(b' ');
    let sum: u32 = packed[..512].iter().map(|byte| u32::from(*byte)).sum();
    packed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(
        refused(&packed),
        "the archive is damaged: numeric field was not a number: no\\u{1b} number when getting size for \
         a\\u{1b}[2J, at its start"
    );
}

#[test]
fn headers_of_a_tar_that_would_fill_the_memory() {
    let name = vec![b'x'; 3 << 20];
    let long = TarEntry { kind: b'L', ..TarEntry::file("././@LongLink", &name) };
    let said = refused(&gzip(&tar(&[long, TarEntry::file("a", b"1")])));
    assert_eq!(said, "the archive is damaged: a header is longer than 1048576 bytes, at its start");
    let global = TarEntry { kind: b'g', ..TarEntry::file("pax", &name) };
    let said = refused(&gzip(&tar(&[global, TarEntry::file("a", b"1")])));
    assert_eq!(said, "entry `pax` contradicts itself: its PAX header is longer than 1048576 bytes");
}

#[test]
fn more_than_the_limits_allow() {
    let limits = Limits { total: 1000, entries: 5, ratio: 10 };
    let data = vec![7; 600];
    let two = [TarEntry::file("a", &data), TarEntry::file("b", &data)];
    let expected = "the bundle unpacks to more than 1000 bytes (entry `b`)";
    assert_eq!(refused_within(&zip(&[ZipEntry::file("a", &data), ZipEntry::deflated("b", &data)]), &limits), expected);
    assert_eq!(refused_within(&tar(&two), &limits), expected);
    assert_eq!(refused_within(&gzip(&tar(&two)), &limits), expected);
    let hard = [TarEntry::file("a", &data), TarEntry::other("b", b'1', "a")];
    assert_eq!(refused_within(&tar(&hard), &limits), expected);

    let expected = "the bundle has more than 5 entries, folders and the text of their names counted";
    let names = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(refused_within(&zip(&names.map(file)), &limits), expected);
    assert_eq!(refused_within(&tar(&names.map(|name| TarEntry::file(name, b""))), &limits), expected);
    assert_eq!(refused_within(&zip(&[file("a/b/c/d/e/f")]), &limits), expected, "folders that a name implies count");
}

#[test]
fn bombs() {
    let limits = Limits { ratio: 100, ..Limits::default() };
    let zeros = vec![0; 90 << 20];
    let expected = "the bundle unpacks to more than 100 times its size (entry `zeros`)";
    assert_eq!(refused_within(&zip(&[ZipEntry::deflated("zeros", &zeros)]), &limits), expected);
    let packed = gzip(&tar(&[TarEntry::file("zeros", &zeros)]));
    assert_eq!(refused_within(&packed, &limits), expected);
    let mut tail = tar(&[TarEntry::file("a", b"1")]);
    tail.extend(&zeros);
    assert_eq!(
        refused_within(&gzip(&tail), &limits),
        "the bundle unpacks to more than 100 times its size (entry `behind the last one`)"
    );
    // A sparse file: 1 GiB of nothing in a block.
    let mut header = tar(&[TarEntry { kind: b'S', ..TarEntry::file("zeros", b"") }]);
    header[257..265].copy_from_slice(b"ustar  \0");
    header[483..495].copy_from_slice(b"10000000000\0");
    header[386..398].copy_from_slice(b"10000000000\0");
    header[398..410].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(refused_within(&header, &limits), expected);
}

#[test]
fn what_is_no_archive() {
    for bytes in [&b""[..], b"PK", b"hello, world", b"BZh91AY&SY", b"\x28\xb5\x2f\xfd", &[7; 600]] {
        assert_eq!(
            refused(bytes),
            "`BUNDLE` is neither a zip, nor a tar, nor a gzipped tar, nor a folder",
            "{bytes:?}"
        );
    }
    let said = refused(&gzip(b"no tar at all, but long enough to be read as a header of one".repeat(20).as_slice()));
    assert!(said.starts_with("the archive is damaged: "), "{said}");
}

/// A packed bundle, taken apart and put together again with a change.
fn tampered(change: impl FnOnce(&mut Vec<ZipEntry>)) -> String {
    let dir = tempdir().unwrap();
    let root = dir.path();
    let files = vec![
        tree::file(root, "appspec.yml", 0o644, b"version: 0.0\n"),
        tree::file(root, "run.sh", 0o755, b"#!/bin/sh\n"),
        tree::link(root, "current", "run.sh"),
    ];
    let to = root.join("x.zip");
    tree::pack_to(files, &to);
    let mut archive = ::zip::ZipArchive::new(fs::File::open(&to).unwrap()).unwrap();
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        entries.push(ZipEntry::stored(&entry.name().unwrap(), entry.unix_mode().unwrap(), &data));
    }
    change(&mut entries);
    refused(&zip(&entries))
}

fn manifest(entries: &mut [ZipEntry], edit: impl FnOnce(String) -> String) {
    let entry = entries.iter_mut().find(|entry| entry.name == MANIFEST_PATH.as_bytes()).unwrap();
    let text = edit(String::from_utf8(entry.data.clone()).unwrap());
    *entry = ZipEntry::file(MANIFEST_PATH, text.as_bytes());
}

#[test]
fn bundles_that_are_not_what_their_manifest_says() {
    let at = |entries: &mut Vec<ZipEntry>, name: &str| {
        entries.iter().position(|entry| entry.name == name.as_bytes()).unwrap()
    };
    assert_eq!(
        tampered(|entries| entries.push(ZipEntry::file("evil", b"x"))),
        "`evil` stands in the bundle and not in the manifest"
    );
    assert_eq!(
        tampered(|entries| entries.push(ZipEntry::file("zzz", b"x"))),
        "`zzz` stands in the bundle and not in the manifest"
    );
    assert_eq!(
        tampered(|entries| {
            let at = at(entries, "run.sh");
            entries.remove(at);
        }),
        "`run.sh` stands in the manifest and not in the bundle"
    );
    for (name, replacement, what) in [
        ("run.sh", ZipEntry::stored("run.sh", 0o100_755, b"#!/bin/SH\n"), "digest"),
        ("run.sh", ZipEntry::stored("run.sh", 0o100_755, b"#!/bin/sh \n"), "size"),
        ("run.sh", ZipEntry::stored("run.sh", 0o100_644, b"#!/bin/sh\n"), "x bit"),
        ("appspec.yml", ZipEntry::stored("appspec.yml", 0o100_744, b"version: 0.0\n"), "x bit"),
        ("appspec.yml", ZipEntry::link("appspec.yml", b"version: 0.0\n"), "kind"),
        ("current", ZipEntry::file("current", b"run.sh"), "kind"),
        ("current", ZipEntry::link("current", b"../run"), "digest"),
    ] {
        let said = tampered(|entries| {
            let at = at(entries, name);
            entries[at] = replacement;
        });
        assert_eq!(said, format!("the {what} of `{name}` differs from the manifest"));
    }
}

#[test]
fn damaged_manifests() {
    for edit in [
        (|_| "{".to_owned()) as fn(String) -> String,
        |text| text.replace("\"format\": 1", "\"format\": 2"),
        |text| text.replace("\"content_digest\": \"", "\"content_digest\": \"0"),
        |text| text.replace("run.sh", "ruN.sh"),
        |text| text.replace("\"appspec.yml\"", "\"../appspec.yml\""),
    ] {
        assert_eq!(tampered(|entries| manifest(entries, edit)), "the manifest of the bundle is damaged");
    }
    let said = tampered(|entries| {
        let last = entries.len() - 1;
        entries[last] = ZipEntry::link(MANIFEST_PATH, b"../appspec.yml");
    });
    assert_eq!(said, "`.longshore/manifest.json` is no regular file");
}

#[test]
fn folders_with_devices_or_names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("in/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let said = Bundle::open(dir.path(), &Limits::default()).unwrap_err().to_string();
    assert_eq!(said, "entry `in/pipe` is a FIFO; a bundle holds files, folders and links only");
    fs::remove_file(dir.path().join("in/pipe")).unwrap();
    fs::write(dir.path().join("in").join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    let said = Bundle::open(dir.path(), &Limits::default()).unwrap_err().to_string();
    assert_eq!(said, "the name of entry `in/\u{fffd}` is not UTF-8");
    let said = Bundle::open(Path::new("/dev/null"), &Limits::default()).unwrap_err().to_string();
    assert_eq!(said, "`/dev/null` is neither a zip, nor a tar, nor a gzipped tar, nor a folder");
    let said = Bundle::open(&dir.path().join("gone"), &Limits::default()).unwrap_err().to_string();
    assert_eq!(said, format!("cannot read bundle `{}`", dir.path().join("gone").display()));
}
