//! Revision → verified bundle on this host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_core::bundle::{Bundle, Limits, OpenError};
use longshore_core::digest::Sha256;
use longshore_core::store::{InvalidUrl, ObjectInfo, ObjectUrl, Store, StoreError, StoreUrl};

use crate::deployment::order::{Order, Revision};
use crate::hook::command::BundleSource;

/// A revision that was fetched and verified.
#[derive(Debug)]
pub struct Fetched {
    /// The bundle.
    pub bundle: Bundle,
    /// Where it came from, when that is a store.
    pub object: Option<(ObjectUrl, ObjectInfo)>,
}

/// Why a revision could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The revision does not exist on this host.
    #[error("there is no bundle at `{path}`")]
    Missing {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be copied.
    #[error("cannot copy `{from}` to `{to}`")]
    Copy {
        /// The archive.
        from: PathBuf,
        /// Where it should go.
        to: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The URL makes no sense.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The store failed or refused.
    #[error("cannot fetch `{url}`")]
    Store {
        /// The object.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The user asked to stop.
    #[error("stopped while fetching `{0}`, because somebody asked for it")]
    Stopped(String),
    /// The runtime for network access could not be started.
    #[error("cannot start the network runtime")]
    Runtime(#[source] io::Error),
    /// The bundle was refused.
    #[error("cannot use bundle `{revision}`")]
    Open {
        /// The revision.
        revision: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The bundle is not the one that was asked for.
    #[error("bundle `{revision}` has content digest {found}, and {expected} was asked for")]
    Digest {
        /// The revision.
        revision: String,
        /// What it has.
        found: Sha256,
        /// What was asked for.
        expected: Sha256,
    },
}

/// What is to be fetched, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The revision.
    pub revision: &'a Revision,
    /// The content digest it must have, when the user said so.
    pub content_digest: Option<Sha256>,
    /// How much the archive may ask for.
    pub limits: &'a Limits,
    /// How many times the user asked to stop; a download ends at the first.
    pub stop: &'a AtomicUsize,
}

impl<'a> Request<'a> {
    /// What an order asks for.
    pub fn of(order: &'a Order, stop: &'a AtomicUsize) -> Request<'a> {
        let Order { revision, content_digest, policy, .. } = order;
        Request { revision, content_digest: *content_digest, limits: &policy.limits, stop }
    }
}

/// Fetches and verifies. An archive ends up at `to`, also a local one, so that the deployment keeps the very bytes it
/// used; a folder is verified where it stands.
pub fn fetch(request: &Request<'_>, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Fetched, FetchError> {
    let (path, object) = match request.revision {
        Revision::Local(path) if is_folder(path)? => (path.clone(), None),
        Revision::Local(path) => {
            fs::copy(path, to).map_err(|source| FetchError::Copy { from: path.clone(), to: to.to_owned(), source })?;
            (to.to_owned(), None)
        }
        Revision::Object(url) => (to.to_owned(), Some(download(request, url, to, progress)?)),
    };
    open(request, &path, object)
}

/// Verifies a revision without keeping it: a local one where it stands, an object in a temporary file at `scratch`.
pub fn look(request: &Request<'_>, scratch: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Fetched, FetchError> {
    match request.revision {
        Revision::Local(path) => {
            is_folder(path)?;
            open(request, path, None)
        }
        Revision::Object(url) => {
            let object = download(request, url, scratch, progress)?;
            open(request, scratch, Some(object))
        }
    }
}

fn open(request: &Request<'_>, path: &Path, object: Option<(ObjectUrl, ObjectInfo)>) -> Result<Fetched, FetchError> {
    let revision = || request.revision.to_string();
    let bundle =
        Bundle::open(path, request.limits).map_err(|source| FetchError::Open { revision: revision(), source })?;
    match request.content_digest {
        Some(expected) if expected != bundle.content_digest => {
            Err(FetchError::Digest { revision: revision(), found: bundle.content_digest, expected })
        }
        Some(_) | None => Ok(Fetched { bundle, object }),
    }
}

async fn asked_to_stop(stop: &AtomicUsize) {
    while stop.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_folder(path: &Path) -> Result<bool, FetchError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(source) => Err(FetchError::Missing { path: path.to_owned(), source }),
    }
}

fn download(
    request: &Request<'_>,
    url: &str,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(ObjectUrl, ObjectInfo), FetchError> {
    let object: ObjectUrl = url.parse()?;
    let failed = |source| FetchError::Store { url: url.to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::Runtime)?;
    let info = runtime.block_on(async {
        let fetch = async {
            let store = Store::open(&object.store).await.map_err(failed)?;
            store.get(&object, to, None, progress).await.map_err(failed)
        };
        tokio::select! {
            info = fetch => info,
            () = asked_to_stop(request.stop) => Err(FetchError::Stopped(url.to_owned())),
        }
    })?;
    Ok((object, info))
}

impl Fetched {
    /// Where the bundle came from, as hooks are told.
    pub fn source(&self) -> BundleSource {
        match &self.object {
            Some((url, info)) => match &url.store {
                StoreUrl::S3 { bucket, .. } => BundleSource::S3 {
                    bucket: bucket.clone(),
                    key: url.key.clone(),
                    version: info.version.clone(),
                    etag: Some(info.etag.clone()),
                },
                StoreUrl::Dir(_) => BundleSource::Local,
            },
            None => BundleSource::Local,
        }
    }
}
