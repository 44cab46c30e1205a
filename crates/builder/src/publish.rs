//! A verified bundle → a store, under its commit. Never over another one: the same content is already published, other
//! content is a conflict.

use std::io;
use std::path::PathBuf;

use longshore_core::bundle::{Bundle, Limits, Manifest, OpenError};
use longshore_core::digest::Sha256;
use longshore_core::store::{Attributes, ObjectInfo, Put, Store, StoreError, StoreUrl};

/// What is published.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// The archive.
    pub(crate) path: PathBuf,
    /// Its digest.
    pub(crate) archive_digest: Sha256,
    /// Its manifest.
    pub(crate) manifest: Manifest,
}

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
    #[error("`{url}` holds other content for this commit: {theirs} there, {ours} here")]
    Conflict {
        /// The object.
        url: String,
        /// A digest of what is there.
        theirs: String,
        /// The same kind of digest of what should be published.
        ours: String,
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
    format!("{}/{name}.zip", manifest.application)
}

/// Publishes an artifact.
pub(crate) async fn publish(
    artifact: &Artifact,
    to: &StoreUrl,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Published, PublishError> {
    let key = key(&artifact.manifest);
    let url = to.object(&key).to_string();
    let failed = |source| PublishError::Store { url: url.clone(), source };
    let attributes = Attributes {
        sha256: artifact.archive_digest,
        content_digest: artifact.manifest.content_digest,
        commit: artifact.manifest.commit.to_string(),
    };
    let store = Store::open(to).await.map_err(failed)?;
    let put = tokio::select! {
        put = store.put_new(&key, &artifact.path, &attributes, progress) => put,
        _ = tokio::signal::ctrl_c() => {
            // Parts of a large upload would stay in the bucket, invisible and billed.
            store.clean_up().await.map_err(failed)?;
            return Err(PublishError::Interrupted { url });
        }
    };
    match put.map_err(failed)? {
        Put::Created(info) => Ok(Published::New(info)),
        Put::Exists(info) => compare(artifact, to, &store, info).await,
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
    let object = to.object(&key(&artifact.manifest));
    let url = object.to_string();
    let theirs = match info.content_digest {
        Some(digest) => digest,
        None => {
            let folder = tempfile::tempdir().map_err(PublishError::Temporary)?;
            let path = folder.path().join("published.zip");
            let fetched = store.get(&object, &path, None, &|_| {}).await;
            fetched.map_err(|source| PublishError::Store { url: url.clone(), source })?;
            match Bundle::open(&path, &Limits::default()) {
                Ok(bundle) => bundle.content_digest,
                Err(source) => return Err(PublishError::Foreign { url, source }),
            }
        }
    };
    if theirs == artifact.manifest.content_digest {
        return Ok(Published::Already(info));
    }
    let (theirs, ours) = (theirs.to_string(), artifact.manifest.content_digest.to_string());
    Err(PublishError::Conflict { url, theirs, ours })
}
