//! A bundle that is put together from an earlier one and the bytes that only the new one has is the new one, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bundle_support/tree.rs"]
#[expect(dead_code, reason = "shared with tests that pack more")]
mod tree;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use longshore_core::bundle::delta::{self, Earlier, Ending, Known, NoDelta};
use longshore_core::bundle::{Bundle, Limits, PackFile, PackOptions, pack};
use tempfile::{TempDir, tempdir};
use tree::{every_kind, file, link, noise, options, text};

struct Bench {
    dir: TempDir,
}

/// What was read of the new bundle.
struct Made {
    bytes: Vec<u8>,
    read: u64,
    missing: Vec<Range<u64>>,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pack(&self, name: &str, options: &PackOptions, make: impl FnOnce(&Path) -> Vec<PackFile>) -> PathBuf {
        let tree = self.path(&format!("{name}.tree"));
        fs::create_dir(&tree).unwrap();
        let to = self.path(name);
        pack(make(&tree), options, &to, &|_| {}).unwrap();
        to
    }

    /// Makes `new` from `earlier`, reading of it what must be fetched and, at first, `end` bytes of its end.
    fn make(&self, earlier: &Path, new: &Path, end: Option<u64>) -> Result<Made, NoDelta> {
        let limits = Limits::default();
        let earlier = Earlier::open(File::open(earlier).unwrap(), &limits)?;
        let whole = fs::read(new).unwrap();
        let size = whole.len() as u64;
        let place = self.path("made");
        let made = File::options().read(true).write(true).create(true).truncate(true).open(&place).unwrap();
        made.set_len(size).unwrap();
        let mut read = 0;
        let mut fetch = |bytes: Range<u64>| {
            read += bytes.end - bytes.start;
            made.write_all_at(&whole[bytes.start as usize..bytes.end as usize], bytes.start).unwrap();
        };
        let mut known = size.saturating_sub(end.unwrap_or_else(|| earlier.end()));
        fetch(known..size);
        let delta = loop {
            match earlier.compare(&made, size, known, &limits)? {
                Known::Delta(delta) => break delta,
                Known::Needs(from) => {
                    assert!(from < known);
                    fetch(from..known);
                    known = from;
                }
            }
        };
        delta.missing.iter().cloned().for_each(&mut fetch);
        earlier.lay(&delta, &made, &|_| {}).unwrap();
        Ok(Made { bytes: fs::read(place).unwrap(), read, missing: delta.missing })
    }
}

fn later() -> PackOptions {
    PackOptions { commit: "f".repeat(40).parse().unwrap(), time: 1_800_000_000, ..options(2) }
}

#[test]
fn another_commit_of_the_same_tree_needs_the_end_alone() {
    let bench = Bench::new();
    let earlier = bench.pack("1", &options(2), |root| every_kind(root, true));
    let new = bench.pack("2", &later(), |root| every_kind(root, false));
    assert_ne!(fs::read(&earlier).unwrap(), fs::read(&new).unwrap(), "the headers hold the commit's time");
    let made = bench.make(&earlier, &new, Some(64 << 10)).unwrap();
    assert_eq!(made.missing, []);
    assert_eq!(made.read, 64 << 10);
    assert!(made.bytes == fs::read(&new).unwrap());
    Bundle::open(&bench.path("made"), &Limits::default()).unwrap();
}

#[test]
fn only_what_changed_is_missing() {
    let bench = Bench::new();
    let tree = |root: &Path, changed: bool| {
        let mut files: Vec<PackFile> =
            (0..40).map(|number| file(root, &format!("data/{number:03}"), 0o644, &noise(300_000 + number))).collect();
        files.push(file(root, "appspec.yml", 0o644, b"version: 0.0\nos: linux\n"));
        if changed {
            // One changed, one added, one renamed, one with another mode, one that became a link, one gone.
            files[7] = file(root, "data/007", 0o644, &text(400_000));
            files.push(file(root, "new/file", 0o644, &text(500_000)));
            fs::rename(root.join("data/011"), root.join("data/011-renamed")).unwrap();
            files[11] = PackFile { path: "data/011-renamed".parse().unwrap(), from: root.join("data/011-renamed") };
            files[13] = file(root, "data/013", 0o755, &noise(300_013));
            fs::remove_file(root.join("data/017")).unwrap();
            files[17] = link(root, "data/017", "016");
            files.remove(19);
        }
        files
    };
    let earlier = bench.pack("1", &options(2), |root| tree(root, false));
    let new = bench.pack("2", &later(), |root| tree(root, true));
    let end = 20 << 10;
    let made = bench.make(&earlier, &new, Some(end)).unwrap();
    assert!(made.bytes == fs::read(&new).unwrap());
    assert_eq!(made.missing.len(), 3, "the changed one, the text of the new link, the added one: {:?}", made.missing);
    let packed: u64 = [400_000, 500_000]
        .iter()
        .map(|length| {
            let alone =
                bench.pack(&format!("alone-{length}"), &later(), |root| vec![file(root, "x", 0o644, &text(*length))]);
            fs::metadata(alone).unwrap().len()
        })
        .sum();
    assert!(made.read < packed + end + 4096, "{} of {}", made.read, made.bytes.len());
}

#[test]
fn an_end_that_is_not_enough_is_asked_for_again() {
    let bench = Bench::new();
    let many = |root: &Path| (0..600).map(|number| file(root, &format!("f{number}"), 0o644, &noise(900))).collect();
    let earlier = bench.pack("1", &options(2), many);
    let new = bench.pack("2", &later(), many);
    for end in [100, 70 << 10, 80 << 10, 1 << 30] {
        let made = bench.make(&earlier, &new, Some(end.max(65_557))).unwrap();
        assert!(made.bytes == fs::read(&new).unwrap(), "{end}");
    }
    let made = bench.make(&earlier, &new, None).unwrap();
    assert!(made.bytes == fs::read(&new).unwrap());
}

#[test]
fn what_another_program_packed_is_refused() {
    let bench = Bench::new();
    let ours = bench.pack("1", &options(2), |root| every_kind(root, true));
    let theirs = bench.path("theirs.zip");
    let tree = bench.path("1.tree");
    let zip = |more: &[&str]| {
        let ran = std::process::Command::new("zip")
            .current_dir(&tree)
            .args(["-q", "-r"])
            .args(more)
            .arg(&theirs)
            .arg(".")
            .status();
        assert!(ran.unwrap().success());
    };
    zip(&[]);
    let refused = |earlier: &Path, new: &Path| bench.make(earlier, new, None).err().unwrap().to_string();
    assert_eq!(refused(&theirs, &ours), "one of the two archives was not packed by `longshore`");
    assert_eq!(refused(&ours, &theirs), "one of the two archives was not packed by `longshore`");
    fs::remove_file(&theirs).unwrap();
    zip(&["-X", "-D"]);
    assert_eq!(refused(&theirs, &ours), "one of the two archives has no manifest at its end");
    fs::write(&theirs, noise(100_000)).unwrap();
    assert_eq!(refused(&theirs, &ours), "cannot read the earlier archive");
    assert_eq!(refused(&ours, &theirs), "cannot read the new archive");
}

#[test]
fn any_damage_of_the_earlier_one_gives_an_error_or_other_bytes_but_no_panic() {
    let bench = Bench::new();
    let earlier = bench.pack("1", &options(2), |root| every_kind(root, true));
    let new = bench.pack("2", &later(), |root| every_kind(root, false));
    let whole = fs::read(&earlier).unwrap();
    let damaged = bench.path("damaged");
    let (mut refused, mut other) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 150) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&damaged, bytes).unwrap();
        match bench.make(&damaged, &new, Some(128 << 10)) {
            Ok(made) if made.bytes == fs::read(&new).unwrap() => {}
            Ok(_) => {
                other += 1;
                // Whoever opens it finds out.
                Bundle::open(&bench.path("made"), &Limits::default()).unwrap_err();
            }
            Err(_) => refused += 1,
        }
    }
    assert!(other > 50 && refused + other > 60, "{refused} {other}");
    fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    bench.make(&damaged, &new, None).err().unwrap();
}

#[test]
fn the_manifest_is_read_of_the_end_alone_however_little_of_it_is_there_at_first() {
    let bench = Bench::new();
    let many = |root: &Path| (0..600).map(|number| file(root, &format!("f{number}"), 0o644, &noise(900))).collect();
    let bundle = bench.pack("1", &options(2), many);
    let expected = Bundle::open(&bundle, &Limits::default()).unwrap().manifest.unwrap();
    let whole = fs::read(&bundle).unwrap();
    let size = whole.len() as u64;
    for (end, asked) in [(65_557, 3), (70 << 10, 3), (delta::FIRST_END, 1)] {
        let place = bench.path("end");
        let made = File::options().read(true).write(true).create(true).truncate(true).open(&place).unwrap();
        made.set_len(size).unwrap();
        let (mut from, mut known, mut times) = (size.saturating_sub(end), size, 0);
        let manifest = loop {
            made.write_all_at(&whole[from as usize..known as usize], from).unwrap();
            (known, times) = (from, times + 1);
            match delta::manifest(&made, size, known, &Limits::default()).unwrap() {
                Ending::Manifest(manifest) => break manifest,
                Ending::Needs(more) => from = more,
            }
        };
        assert_eq!(*manifest, expected);
        assert!(times <= asked && known > size / 2, "{end}: {times} times, from {known} of {size}");
    }
    // What is no zip, and a zip of another tool.
    let other = bench.path("other");
    fs::write(&other, noise(70_000)).unwrap();
    let read = delta::manifest(&File::open(&other).unwrap(), 70_000, 0, &Limits::default());
    assert!(matches!(read, Err(NoDelta::Read { which: "published", .. })), "{read:?}");
    fs::write(&other, [b"PK\x05\x06".as_slice(), &[0; 18]].concat()).unwrap();
    let read = delta::manifest(&File::open(&other).unwrap(), 22, 0, &Limits::default());
    assert!(matches!(read, Err(NoDelta::Unlike(_))), "{read:?}");
}
