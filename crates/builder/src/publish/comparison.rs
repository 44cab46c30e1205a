//! Whether what stands under the key of an artifact is that artifact, and else how they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use longshore_core::bundle::{Bundle, BundlePath, Entry, EntryKind, Limits, MANIFEST_PATH, ManifestFile};
use longshore_core::digest::Sha256;
use longshore_core::store::{ObjectInfo, Store};
use tempfile::TempDir;

use super::error::PublishError;
use crate::artifact::Artifact;
use crate::destination::Destination;
use crate::tail::{self, TailError};

/// The archive's bytes decide first; two versions of the compressor may pack the same content differently.
pub(super) async fn compare(
    artifact: &Artifact,
    destination: Destination<'_>,
    info: ObjectInfo,
) -> Result<ObjectInfo, PublishError> {
    if info.sha256 == Some(artifact.archive_digest) {
        return Ok(info);
    }
    let ours = artifact.manifest.content_digest;
    if info.content_digest == Some(ours) {
        return Ok(info);
    }
    let conflict = |theirs: Sha256, there: &Files<'_>| {
        let differences = listed(&differences(there, &artifact.manifest.files));
        PublishError::Conflict { url: destination.url(), theirs, ours, differences }
    };
    if let Store::S3(store) = destination.store {
        let object = destination.to.object(destination.key);
        match tail::manifest(store, &object, &info).await {
            Ok(Some(theirs)) if theirs.content_digest == ours => return Ok(info),
            Ok(Some(theirs)) => return Err(conflict(theirs.content_digest, &of_manifest(&theirs.files))),
            // Whoever opens the whole says what it is.
            Ok(None) | Err(TailError::Read(_)) => {}
            Err(TailError::Store(source)) => return Err(PublishError::Store { url: destination.url(), source }),
            Err(TailError::Temporary(source)) => return Err(PublishError::Temporary(source)),
        }
    }
    let fetched = fetch(destination).await?;
    let info = ObjectInfo { sha256: fetched.digest, ..info };
    let published = Bundle::open(&fetched.path, &Limits::default());
    let published = published.map_err(|source| PublishError::Foreign { url: destination.url(), source })?;
    if published.content_digest == ours {
        return Ok(info);
    }
    Err(conflict(published.content_digest, &of_entries(&published.entries)))
}

/// What is published, on this machine for a moment.
pub(super) struct Fetched {
    _folder: TempDir,
    /// The archive.
    pub(super) path: PathBuf,
    /// The digest of its bytes.
    pub(super) digest: Option<Sha256>,
}

/// Fetches what is published.
pub(super) async fn fetch(destination: Destination<'_>) -> Result<Fetched, PublishError> {
    let folder = tempfile::tempdir().map_err(PublishError::Temporary)?;
    let path = folder.path().join("published.zip");
    let info = destination.fetch(&path).await;
    let digest = info.map_err(|source| PublishError::Store { url: destination.url(), source })?.sha256;
    Ok(Fetched { _folder: folder, path, digest })
}

/// How many files an error lists.
const SHOWN_DIFFERENCES: usize = 10;

fn listed(differences: &[String]) -> String {
    let mut list: String = differences.iter().take(SHOWN_DIFFERENCES).map(|line| format!("\n    {line}")).collect();
    if differences.len() > SHOWN_DIFFERENCES {
        list.push_str(&format!("\n    and {} more", differences.len() - SHOWN_DIFFERENCES));
    }
    list
}

/// Whether a file has an x bit, and its digest.
type Files<'a> = BTreeMap<&'a BundlePath, (bool, Sha256)>;

fn of_entries(entries: &[Entry]) -> Files<'_> {
    entries
        .iter()
        .filter(|entry| entry.path.as_str() != MANIFEST_PATH)
        .filter_map(|entry| match &entry.kind {
            EntryKind::File(digest) => Some((&entry.path, (entry.mode & 0o111 != 0, *digest))),
            EntryKind::Link(target) => Some((&entry.path, (false, Sha256::of(target.as_bytes())))),
            EntryKind::Directory => None,
        })
        .collect()
}

fn of_manifest(files: &[ManifestFile]) -> Files<'_> {
    files.iter().map(|file| (&file.path, (file.is_executable(), file.sha256))).collect()
}

/// How the files that are here differ from those that are published, one line each, sorted by path.
fn differences(there: &Files<'_>, here: &[ManifestFile]) -> Vec<String> {
    let here = of_manifest(here);
    let paths: BTreeSet<&BundlePath> = there.keys().chain(here.keys()).copied().collect();
    let difference = |path: &BundlePath| match (there.get(path), here.get(path)) {
        (Some(_), None) => Some(format!("only there  {path}")),
        (None, Some(_)) => Some(format!("only here   {path}")),
        (Some(there), Some(here)) if there != here => Some(format!("differs     {path}")),
        (Some(_), Some(_)) | (None, None) => None,
    };
    paths.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_every_file_that_is_not_the_same() {
        let entry = |path: &str, mode, text: &str| Entry {
            path: path.parse().unwrap(),
            kind: EntryKind::File(Sha256::of(text.as_bytes())),
            mode,
            size: text.len() as u64,
        };
        let file = |path: &str, executable, text: &str| {
            ManifestFile::file(path.parse().unwrap(), executable, text.len() as u64, Sha256::of(text.as_bytes()))
        };
        let link = |target: &str| Entry {
            path: "link".parse().unwrap(),
            kind: EntryKind::Link(target.into()),
            mode: 0o777,
            size: 0,
        };
        let there = [
            entry("same", 0o644, "1"),
            entry("changed", 0o644, "1"),
            entry("mode", 0o644, "1"),
            entry("old", 0o644, "1"),
            link("a"),
        ];
        let here = [
            file("same", false, "1"),
            file("changed", false, "2"),
            file("mode", true, "1"),
            file("new", false, "1"),
            ManifestFile::link("link".parse().unwrap(), "b"),
        ];
        assert_eq!(
            differences(&of_entries(&there), &here),
            ["differs     changed", "differs     link", "differs     mode", "only here   new", "only there  old"]
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let lines: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert!(listed(&lines).ends_with("\n    9\n    and 2 more"));
        assert_eq!(listed(&lines[..1]), "\n    0");
    }
}
