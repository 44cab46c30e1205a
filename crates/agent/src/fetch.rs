//! Revision → verified bundle on this host.

pub mod access;
mod delta;
pub mod github;
pub mod signature;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_core::bundle::{Bundle, Limits, OpenError};
use longshore_core::digest::Sha256;
use longshore_core::failure::chain;
use longshore_core::store::{InvalidUrl, ObjectInfo, ObjectUrl, S3Options, Store, StoreError, StoreUrl};

use self::access::Access;
use self::delta::{Assembled, Wanted, Whole};
use self::github::{Api, GitHubError};
use self::signature::{Checked, SignatureRefusal};
use crate::deployment::order::{Cause, Order, Revision, SignaturePolicy};
use crate::github::GitHub;
use crate::hook::command::BundleSource;

/// A revision that was fetched and verified.
#[derive(Debug)]
pub struct Fetched {
    /// The bundle.
    pub bundle: Bundle,
    /// Bytes of the archive that an earlier one had, so that they were not fetched.
    pub reused: u64,
    /// Who signed it.
    pub signature: Checked,
    source: BundleSource,
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
    /// There are no settings for S3, or no credentials.
    #[error("cannot fetch `{url}`")]
    Access {
        /// The object.
        url: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// GitHub failed or refused.
    #[error("cannot fetch `{url}`")]
    GitHub {
        /// The commit's archive.
        url: String,
        /// Why.
        #[source]
        source: GitHubError,
    },
    /// Its signature is missing or wrong, or cannot be looked at.
    #[error("`{revision}` was refused before it was opened")]
    Signature {
        /// The revision.
        revision: String,
        /// Why.
        #[source]
        source: SignatureRefusal,
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
    /// Whose signature it must have, or may have.
    pub signatures: &'a SignaturePolicy,
    /// How much the archive may ask for.
    pub limits: &'a Limits,
    /// How many times the user asked to stop; a download ends at the first.
    pub stop: &'a AtomicUsize,
    /// With whose credentials, and over which ways.
    pub access: &'a Access,
    /// Archives of this host that may hold much of it, the likeliest first.
    pub earlier: &'a [PathBuf],
}

impl<'a> Request<'a> {
    /// What an order asks for.
    pub fn of(order: &'a Order, stop: &'a AtomicUsize, access: &'a Access) -> Request<'a> {
        let Order { revision, content_digest, policy, cause, .. } = order;
        let signatures = match (cause, revision) {
            // Out of this host's own keeping, where it stood the test when it was fetched; its content digest was noted.
            (Cause::Restore { .. } | Cause::Rollback { .. }, Revision::Local(_)) => SignaturePolicy::none(),
            (Cause::Asked | Cause::Restore { .. } | Cause::Rollback { .. }, _) => &policy.signatures,
        };
        Request {
            revision,
            content_digest: *content_digest,
            signatures,
            limits: &policy.limits,
            stop,
            access,
            earlier: &[],
        }
    }
}

/// Fetches and verifies. An archive ends up at `to`, also a local one, so that the deployment keeps the very bytes it
/// used; a folder is verified where it stands.
pub fn fetch(request: &Request<'_>, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Fetched, FetchError> {
    let (path, source) = match request.revision {
        Revision::Object(url) => return object(request, url, to, progress),
        Revision::Local(path) if is_folder(path)? => (path.clone(), BundleSource::Local),
        Revision::Local(path) => {
            fs::copy(path, to).map_err(|source| FetchError::Copy { from: path.clone(), to: to.to_owned(), source })?;
            (to.to_owned(), BundleSource::Local)
        }
        Revision::GitHub(github) => (to.to_owned(), download_commit(request, github, to, progress)?),
    };
    open(request, &path, source)
}

/// Fetches an object, of which an earlier archive may hold much. An archive on a disk may be damaged, so what was made with one
/// and turns out to be wrong is fetched as a whole.
fn object(request: &Request<'_>, url: &str, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Fetched, FetchError> {
    let Downloaded { source, reused } = download(request, url, to, progress)?;
    match open(request, to, source) {
        Err(error) if reused > 0 && may_be_damage(&error) => {
            tracing::warn!(%url, error = %chain(&error), "fetched again as a whole: it was not right as it was put together");
            let whole = Request { earlier: &[], ..*request };
            open(&whole, to, download(&whole, url, to, progress)?.source)
        }
        opened => Ok(Fetched { reused, ..opened? }),
    }
}

/// Whether a damaged archive of this host may be the reason. What is said of a whole and right one stays so.
fn may_be_damage(error: &FetchError) -> bool {
    match error {
        FetchError::Open { .. } | FetchError::Digest { .. } => true,
        FetchError::Signature { source, .. } => matches!(source, SignatureRefusal::Wrong { .. }),
        FetchError::Missing { .. }
        | FetchError::Copy { .. }
        | FetchError::Url(_)
        | FetchError::Store { .. }
        | FetchError::Access { .. }
        | FetchError::GitHub { .. }
        | FetchError::Stopped(_)
        | FetchError::Runtime(_) => false,
    }
}

/// Verifies a revision without keeping it: a local one where it stands, an object in a temporary file at `scratch`.
pub fn look(request: &Request<'_>, scratch: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Fetched, FetchError> {
    match request.revision {
        Revision::Local(path) => {
            is_folder(path)?;
            open(request, path, BundleSource::Local)
        }
        Revision::Object(url) => object(request, url, scratch, progress),
        Revision::GitHub(github) => {
            let source = download_commit(request, github, scratch, progress)?;
            open(request, scratch, source)
        }
    }
}

fn open(request: &Request<'_>, path: &Path, origin: BundleSource) -> Result<Fetched, FetchError> {
    let revision = || request.revision.to_string();
    let signature = signature::check(request, path)?;
    let bundle =
        Bundle::open(path, request.limits).map_err(|source| FetchError::Open { revision: revision(), source })?;
    signature::agree(request, &signature, &bundle)?;
    match request.content_digest {
        Some(expected) if expected != bundle.content_digest => {
            Err(FetchError::Digest { revision: revision(), found: bundle.content_digest, expected })
        }
        Some(_) | None => Ok(Fetched { bundle, signature, reused: 0, source: origin }),
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

/// An object that is here, not opened yet.
struct Downloaded {
    source: BundleSource,
    reused: u64,
}

fn download(
    request: &Request<'_>,
    url: &str,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Downloaded, FetchError> {
    let object: ObjectUrl = url.parse()?;
    let failed = |source| FetchError::Store { url: url.to_owned(), source };
    let mut options = match &object.store {
        StoreUrl::S3 { .. } => {
            // Before a runtime of ours is entered: it may wait for another one.
            (request.access.s3)().map_err(|source| FetchError::Access { url: url.to_owned(), source })?
        }
        StoreUrl::Dir(_) => S3Options::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::Runtime)?;
    let wanted = Wanted { object: &object, to, earlier: request.earlier, limits: request.limits };
    let fetched = runtime.block_on(async {
        let fetch = async {
            match get(&wanted, &options, progress).await {
                // As the AWS agent: a bucket may be in another region than the host.
                Err(StoreError::WrongRegion { region: Some(region), .. }) => {
                    options.region = Some(region);
                    get(&wanted, &options, progress).await
                }
                fetched => fetched,
            }
            .map_err(failed)
        };
        tokio::select! {
            fetched = fetch => fetched,
            () = asked_to_stop(request.stop) => Err(FetchError::Stopped(url.to_owned())),
        }
    });
    // A name of a host that is being looked up holds nobody up who asked to stop.
    runtime.shutdown_background();
    let (info, reused) = fetched?;
    Ok(Downloaded { source: source_of(object, info), reused })
}

/// The error for an object that does not exist, by the credentials of the environment; `None` when it does, or when nobody can
/// tell.
pub fn missing(url: &str) -> Option<FetchError> {
    let object: ObjectUrl = url.parse().ok()?;
    // A runtime cannot wait for another one.
    if tokio::runtime::Handle::try_current().is_ok() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async {
        let store = Store::open_with(&object.store, &S3Options::default()).await?;
        store.head(&object.key, None).await
    });
    runtime.shutdown_background();
    match found {
        Ok(None) => Some(FetchError::Store { url: url.to_owned(), source: StoreError::NotFound(object.to_string()) }),
        Err(source @ (StoreError::NotFound(_) | StoreError::NoBucket { .. })) => {
            Some(FetchError::Store { url: url.to_owned(), source })
        }
        Ok(Some(_)) | Err(_) => None,
    }
}

/// The object, and how many of its bytes were not fetched.
async fn get(
    wanted: &Wanted<'_>,
    options: &S3Options,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(ObjectInfo, u64), StoreError> {
    let Wanted { object, to, .. } = *wanted;
    let options = S3Options { largest: Some(wanted.limits.total), ..options.clone() };
    let store = Store::open_with(&object.store, &options).await?;
    if let Store::S3(bucket) = &store {
        match delta::get(bucket, wanted, progress).await {
            Ok(Assembled { info, reused }) => return Ok((info, reused)),
            Err(Whole::Store(source @ StoreError::TooLarge { .. })) => return Err(source),
            Err(why) => tracing::debug!(%object, why = %chain(&why), "fetched as a whole"),
        }
    }
    Ok((store.get(object, to, None, progress).await?, 0))
}

fn download_commit(
    request: &Request<'_>,
    github: &GitHub,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<BundleSource, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::Runtime)?;
    let api = Api::of(request.access);
    let fetched = runtime.block_on(async {
        // An archive that is larger than what may be unpacked cannot be opened.
        tokio::select! {
            fetched = api.get(github, to, request.limits.total, progress) => {
                fetched.map_err(|source| FetchError::GitHub { url: github.to_string(), source })
            }
            () = asked_to_stop(request.stop) => Err(FetchError::Stopped(github.to_string())),
        }
    });
    runtime.shutdown_background();
    fetched?;
    Ok(BundleSource::GitHub { commit: github.commit.clone() })
}

fn source_of(url: ObjectUrl, info: ObjectInfo) -> BundleSource {
    match url.store {
        StoreUrl::S3 { bucket, .. } => {
            BundleSource::S3 { bucket, key: url.key, version: info.version, etag: Some(info.etag) }
        }
        StoreUrl::Dir(_) => BundleSource::Local,
    }
}

impl Fetched {
    /// Where the bundle came from, as hooks are told.
    pub fn source(&self) -> BundleSource {
        self.source.clone()
    }
}
