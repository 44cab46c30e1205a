//! A journal is read, or the line is named that cannot be.

use std::fs;

use longshore_agent::deployment::journal::{self, Entry, Journal, JournalError, Line, Outcome};
use longshore_agent::deployment::progress::Progress;

use crate::scratch::scratch;

/// Any bytes give lines, or an error that names one of their lines. Every prefix of what can be read can be read too, and
/// gives the first of its lines. A journal that was read can be replayed and
/// carried on.
pub fn journal(bytes: &[u8]) -> bool {
    let Ok(lines) = read(bytes) else { return false };
    let written: Vec<u8> = lines.iter().flat_map(|line| [to_json(line), b"\n".to_vec()].concat()).collect();
    assert_eq!(read(&written).expect("what was written can be read"), lines);
    let progress = Progress::replay(lines.clone());
    assert_eq!(progress.is_some(), matches!(lines.first().map(|line| &line.entry), Some(Entry::Opened { .. })));

    let breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    for at in breaks.flat_map(|at| [at, at + 1]).chain([bytes.len() / 2, bytes.len() / 3]) {
        let before = read(&bytes[..at]).expect("a prefix of a journal can be read");
        assert!(lines.starts_with(&before), "a prefix gives other lines");
    }

    scratch(|dir| {
        let path = dir.join("journal.jsonl");
        fs::write(&path, bytes).expect("the folder takes files");
        let mut open = Journal::reopen(path.clone(), || "2026-01-01T00:00:00Z".into()).expect("it is there");
        open.append(Entry::Closed { outcome: Outcome::Interrupted, good: false, reason: None })
            .expect("the folder takes files");
        let closed = journal::read(&path).expect("it could be read before");
        assert_eq!(closed[..closed.len() - 1], lines);
        assert_eq!(journal::outcome(&closed), Some(Outcome::Interrupted));
    });
    !lines.is_empty()
}

fn read(bytes: &[u8]) -> Result<Vec<Line>, JournalError> {
    let read = scratch(|dir| {
        let path = dir.join("journal.jsonl");
        fs::write(&path, bytes).expect("the folder takes files");
        journal::read(&path)
    });
    if let Err(error) = &read {
        let JournalError::Damaged { line, .. } = error else { panic!("{error:?}") };
        let text = bytes.split(|byte| *byte == b'\n').nth(line - 1).expect("the error names a line of the file");
        assert!(
            !text.is_empty() && serde_json::from_slice::<Line>(text).is_err(),
            "line {line} is not the damaged one"
        );
    }
    read
}

fn to_json(line: &Line) -> Vec<u8> {
    serde_json::to_vec(line).expect("what was read can be written")
}
