//! A manifest is refused, or reads back as it was.

use longshore_core::bundle::{Manifest, ManifestFile, content_digest};
use serde_json::Value;

/// What is read is written and read again without a change. The bytes are tried as they are, and with the content digest
/// that their list should have, which no made up bytes ever hit.
pub fn manifest(bytes: &[u8]) -> bool {
    let repaired = repaired(bytes);
    check(bytes) | repaired.is_some_and(|repaired| check(&repaired))
}

fn check(bytes: &[u8]) -> bool {
    let manifest = match Manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let json = manifest.to_json();
    let again = Manifest::parse(&json).expect("what was written can be read");
    assert_eq!(again, manifest);
    assert_eq!(again.to_json(), json);
    assert!(manifest.files.is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(content_digest(&manifest.files), manifest.content_digest);
    true
}

fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(bytes).ok()?;
    let files: Vec<ManifestFile> = serde_json::from_value(json.get("files")?.clone()).ok()?;
    *json.get_mut("content_digest")? = Value::String(content_digest(&files).to_string());
    serde_json::to_vec(&json).ok()
}
