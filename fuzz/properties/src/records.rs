//! The AWS agent's record files: any bytes are a record, and what we write is what we read.

use std::fs;
use std::path::PathBuf;

use longshore_agent::install::cleanup::Cleanup;
use longshore_agent::install::compat::Records;
use longshore_agent::install::instruction::Instruction;
use serde::Deserialize;

use crate::scratch::scratch;

/// `<group>-cleanup`, `<group>-install.json` and the pointers.
pub fn records(bytes: &[u8]) -> bool {
    cleanup(bytes);
    scratch(|dir| {
        let records = Records { dir: dir.to_owned(), group: "g".parse().expect("it is an id") };
        pointer(&records, bytes);
        install(&records, bytes)
    })
}

fn cleanup(bytes: &[u8]) {
    let cleanup = Cleanup::parse(bytes);
    for path in cleanup.paths.iter().chain(&cleanup.contexts) {
        assert!(path.is_absolute() && path.parent().is_some(), "{path:?} is no path to clean up");
    }
    let written = cleanup.to_bytes();
    assert_eq!(Cleanup::parse(&written), cleanup);
    assert_eq!(Cleanup::parse(&written).to_bytes(), written);
    let torn = Cleanup::parse(&bytes[..bytes.len() / 2]);
    assert!(cleanup.paths.starts_with(&torn.paths) && cleanup.contexts.starts_with(&torn.contexts));
}

/// Whether the bytes are an `install.json`.
fn install(records: &Records, bytes: &[u8]) -> bool {
    let path = records.dir.join("g-install.json");
    fs::write(&path, bytes).expect("the folder takes files");
    let contexts = records.contexts().expect("whatever stands in the file, it is no failure");
    let Some(instructions) = instructions(bytes) else {
        assert!(contexts.is_empty());
        return false;
    };
    let (root, cleanup) = (records.dir.join("d-1"), Cleanup::default());
    let staged = records.stage(&root, instructions.clone(), &cleanup);
    staged.and_then(|()| records.commit()).expect("the folder takes files");
    assert_eq!(records.last_successful_install().expect("it was written"), Some(root));
    assert_eq!(records.contexts().expect("it was written"), contexts);
    let written = fs::read(&path).expect("it was written");
    assert_eq!(self::instructions(&written), Some(instructions));
    true
}

fn instructions(bytes: &[u8]) -> Option<Vec<Instruction>> {
    // Not by way of a `Value`, which keeps the last of two equal names where a reader of fields refuses them.
    #[derive(Deserialize)]
    struct InstallFile {
        instructions: Vec<Instruction>,
    }
    serde_json::from_slice(bytes).ok().map(|InstallFile { instructions }| instructions)
}

fn pointer(records: &Records, bytes: &[u8]) {
    fs::write(records.dir.join("g_most_recent_install"), bytes).expect("the folder takes files");
    let pointer = records.most_recent_install().expect("whatever stands in the file, it is no failure");
    assert_ne!(pointer, Some(PathBuf::new()));
    if let Some(pointer) = pointer {
        records.write_most_recent_install(&pointer).expect("the folder takes files");
        assert_eq!(records.most_recent_install().expect("it was written"), Some(pointer));
    }
}
