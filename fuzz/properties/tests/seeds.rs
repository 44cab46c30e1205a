//! Each fuzz target over its seeds: those that we wrote, and what fuzzing found (`found-…`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz_properties::ALL;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_property_holds_for_its_seeds_some_of_which_are_accepted_and_some_are_not() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (name, property) in ALL {
        let mut accepted = BTreeSet::new();
        for path in files(&seeds.join(name)) {
            println!("{}", path.display());
            let bytes = fs::read(&path).unwrap();
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let found = [property(&bytes), property(first), property(second)];
            println!("accepted whole, first half, second half: {found:?}");
            accepted.extend(found);
        }
        assert_eq!(accepted, BTreeSet::from([false, true]), "{name}");
    }
}

#[test]
fn every_property_is_a_fuzz_target_with_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names = |folder: &str| -> Vec<String> {
        files(&fuzz.join(folder)).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets"), all);
    assert_eq!(names("seeds"), all);
}
