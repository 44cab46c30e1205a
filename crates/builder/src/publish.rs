//! A verified bundle → a store, under its commit. Never over another one: the same content is already published, other
//! content is a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use longshore_core::bundle::{
    Bundle, BundlePath, Entry, EntryKind, Limits, MANIFEST_PATH, Manifest, ManifestFile, OpenError,
};
use longshore_core::digest::Sha256;
use longshore_core::growing::{GivenUp, Growing};
use longshore_core::ids::ApplicationName;
use longshore_core::store::{Attributes, Described, ObjectInfo, Put, S3Options, Store, StoreError, StoreUrl};

use crate::artifact::Artifact;
use crate::beside::{Beside, BesideError};
use crate::interrupt::asked_to_stop;

/// How publishing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Published {
    /// The object is new.
    New(ObjectInfo),
    /// The same content was there before.
    Already(ObjectInfo),
}

impl Published {
    /// What is known of the object.
    pub(crate) fn info(&self) -> &ObjectInfo {
        match self {
            Published::New(info) | Published::Already(info) => info,
        }
    }

    /// Whether it was there before.
    pub(crate) fn was_there(&self) -> bool {
        match self {
            Published::New(_) => false,
            Published::Already(_) => true,
        }
    }
}

/// Why an artifact was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The store failed.
    #[error("cannot publish to `{url}`")]
    Store {
        /// Where to.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// Other content stands under this commit.
    #[error("`{url}` holds other content for this commit, {theirs}, not {ours}:{differences}")]
    Conflict {
        /// The object.
        url: String,
        /// The content digest of what is there.
        theirs: Sha256,
        /// The content digest of what should be published.
        ours: Sha256,
        /// The files that differ, one line each, each after a line break.
        differences: String,
    },
    /// Ctrl-C.
    #[error("interrupted; nothing was published to `{url}`")]
    Interrupted {
        /// Where to.
        url: String,
    },
    /// What stands there is no bundle that can be compared.
    #[error("something else stands at `{url}`")]
    Foreign {
        /// The object.
        url: String,
        /// Why it cannot be read.
        source: OpenError,
    },
    /// Signature or provenance are not those of the artifact, or cannot be stored.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// The published object could not be kept for comparing.
    #[error("cannot make a temporary folder")]
    Temporary(#[source] io::Error),
}

/// The name of an artifact without its ending: the commit, and what makes a dirty build another one.
pub(crate) fn revision_name(commit: &str, dirty: bool, content_digest: &Sha256) -> String {
    if dirty { format!("{commit}-dirty-{}", content_digest.short()) } else { commit.to_owned() }
}

/// The key of an artifact in a store: `<application>/<commit>.zip`, or `<application>/<commit>-dirty-<digest>.zip`.
pub(crate) fn key(manifest: &Manifest) -> String {
    let name = revision_name(manifest.commit.as_str(), manifest.dirty, &manifest.content_digest);
    key_of(&manifest.application, &name)
}

/// The same from its parts.
pub(crate) fn key_of(application: &ApplicationName, revision_name: &str) -> String {
    format!("{application}/{revision_name}.zip")
}

/// Opens the store that something should be published to. `url`: where to, for messages.
pub(crate) async fn open(to: &StoreUrl, options: &S3Options, url: &str) -> Result<Store, PublishError> {
    let opened = Store::open_with(to, options).await;
    opened.map_err(|source| PublishError::Store { url: url.to_owned(), source })
}

/// Publishes an artifact, and the signature and the provenance that stand beside it. What is not the artifact's own is refused
/// before anything is stored.
pub(crate) async fn publish(
    artifact: &Artifact,
    to: &StoreUrl,
    store: &Store,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Published, PublishError> {
    let key = key(&artifact.manifest);
    let url = to.object(&key).to_string();
    let attributes = Attributes {
        sha256: artifact.archive_digest,
        content_digest: artifact.manifest.content_digest,
        commit: artifact.manifest.commit.to_string(),
    };
    let beside = Beside::read(artifact)?;
    let publishing = async {
        let put = store.put_new(&key, &artifact.path, &attributes, progress).await;
        let put = put.map_err(|source| PublishError::Store { url: url.clone(), source })?;
        let published = settle(put, artifact, to, store).await?;
        beside_it(&beside, &published, artifact, to, store).await?;
        Ok(published)
    };
    unless_stopped(publishing, store, &url).await
}

/// Stores an archive under `key` while it is packed. What that means is known when it is whole: see [`settle`].
pub(crate) async fn store_growing(
    growing: &Growing,
    described: impl AsyncFn() -> Result<Described, GivenUp>,
    (to, key): (&StoreUrl, &str),
    store: &Store,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Put, PublishError> {
    let url = to.object(key).to_string();
    let storing = async {
        let put = store.put_growing(key, growing, described, progress).await;
        let put = put.map_err(|source| PublishError::Store { url: url.clone(), source })?;
        // Where something stands already, packing goes on, and must be able to be stopped as long as it does. If it fails, it
        // says so itself.
        let _ = growing.ends().await;
        Ok(put)
    };
    unless_stopped(storing, store, &url).await
}

/// Whether what stands there is ours.
pub(crate) async fn settle(
    put: Put,
    artifact: &Artifact,
    to: &StoreUrl,
    store: &Store,
) -> Result<Published, PublishError> {
    match put {
        Put::Created(info) => Ok(Published::New(info)),
        Put::Exists(info) => compare(artifact, to, store, info).await,
    }
}

/// Publishes what stands beside an artifact that is in the store.
pub(crate) async fn beside_it(
    beside: &Beside,
    published: &Published,
    artifact: &Artifact,
    to: &StoreUrl,
    store: &Store,
) -> Result<(), PublishError> {
    let key = key(&artifact.manifest);
    let stored = match published {
        Published::New(_) => Some(artifact.archive_digest),
        Published::Already(info) => match info.sha256 {
            // Stored while it was packed, so the store does not know it; a signature is about these very bytes.
            None if beside.suffixes().next().is_some() => {
                let folder = tempfile::tempdir().map_err(PublishError::Temporary)?;
                let object = to.object(&key);
                let fetched = store.get(&object, &folder.path().join("published.zip"), None, &|_| {}).await;
                fetched.map_err(|source| PublishError::Store { url: object.to_string(), source })?.sha256
            }
            known => known,
        },
    };
    Ok(beside.publish(store, to, &key, stored).await?)
}

/// Waits for the end of something that stores, or for Ctrl-C.
pub(crate) async fn unless_stopped<T>(
    storing: impl Future<Output = Result<T, PublishError>>,
    store: &Store,
    url: &str,
) -> Result<T, PublishError> {
    tokio::select! {
        stored = storing => stored,
        () = asked_to_stop() => {
            // Parts of a large upload would stay in the bucket, invisible and billed. Whoever asks again will not wait.
            tokio::select! {
                cleaned = store.clean_up() => {
                    cleaned.map_err(|source| PublishError::Store { url: url.to_owned(), source })?;
                }
                () = asked_to_stop() => {}
            }
            Err(PublishError::Interrupted { url: url.to_owned() })
        }
    }
}

/// The archive's bytes decide first; two versions of the compressor may pack the same content differently.
async fn compare(
    artifact: &Artifact,
    to: &StoreUrl,
    store: &Store,
    info: ObjectInfo,
) -> Result<Published, PublishError> {
    if info.sha256 == Some(artifact.archive_digest) {
        return Ok(Published::Already(info));
    }
    let ours = artifact.manifest.content_digest;
    if info.content_digest == Some(ours) {
        return Ok(Published::Already(info));
    }
    let object = to.object(&key(&artifact.manifest));
    let url = object.to_string();
    // Fetched also where the digest is known: who is refused wants to know which files differ.
    let folder = tempfile::tempdir().map_err(PublishError::Temporary)?;
    let path = folder.path().join("published.zip");
    let fetched = store.get(&object, &path, None, &|_| {}).await;
    let fetched = fetched.map_err(|source| PublishError::Store { url: url.clone(), source })?;
    let info = ObjectInfo { sha256: fetched.sha256, ..info };
    let published = match Bundle::open(&path, &Limits::default()) {
        Ok(bundle) => bundle,
        Err(source) => return Err(PublishError::Foreign { url, source }),
    };
    let theirs = published.content_digest;
    if theirs == ours {
        return Ok(Published::Already(info));
    }
    let differences = differences(&published.entries, &artifact.manifest.files);
    Err(PublishError::Conflict { url, theirs, ours, differences: listed(&differences) })
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

/// How the files that are here differ from those that are published, one line each, sorted by path.
fn differences(published: &[Entry], here: &[ManifestFile]) -> Vec<String> {
    let there: BTreeMap<&BundlePath, (bool, Sha256)> = published
        .iter()
        .filter(|entry| entry.path.as_str() != MANIFEST_PATH)
        .filter_map(|entry| match &entry.kind {
            EntryKind::File(digest) => Some((&entry.path, (entry.mode & 0o111 != 0, *digest))),
            EntryKind::Link(target) => Some((&entry.path, (false, Sha256::of(target.as_bytes())))),
            EntryKind::Directory => None,
        })
        .collect();
    let here: BTreeMap<&BundlePath, (bool, Sha256)> =
        here.iter().map(|file| (&file.path, (file.is_executable(), file.sha256))).collect();
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
            differences(&there, &here),
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
