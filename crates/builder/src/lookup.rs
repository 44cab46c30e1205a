//! Finds an artifact that is already published, fetches it and looks into it. Changes nothing.

use std::io;

use longshore_core::bundle::{Bundle, Limits, Manifest, OpenError};
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::{ApplicationName, CommitHash};
use longshore_core::pointer::PointedRevision;
use longshore_core::store::{ObjectUrl, Store, StoreError, StoreUrl};

use crate::succession::{Candidate, Stop};

/// Why there is no artifact to point to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// The store failed.
    #[error("cannot look for the artifact in `{url}`")]
    Store {
        /// The store or the object.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// Nothing is published under this commit.
    #[error("no artifact of `{application}` is published in `{url}` for commit {commit}")]
    NoCommit {
        /// The store.
        url: String,
        /// The application.
        application: ApplicationName,
        /// The commit, or its beginning.
        commit: String,
        /// A dirty artifact of the commit: its key and its URL.
        dirty: Option<(String, String)>,
    },
    /// Several commits begin like this.
    #[error("{count} artifacts of `{application}` have a commit that begins with {commit}")]
    Ambiguous {
        /// The application.
        application: ApplicationName,
        /// The beginning.
        commit: String,
        /// How many.
        count: usize,
    },
    /// What stands there is no good bundle.
    #[error("`{url}` is refused")]
    Refused {
        /// The object.
        url: String,
        /// Why.
        source: OpenError,
    },
    /// What stands there was not built by longshore.
    #[error("`{0}` is no artifact of Longshore: it has no manifest")]
    NoManifest(String),
    /// It belongs to another application.
    #[error("`{url}` is an artifact of `{found}`, not of `{wanted}`")]
    OtherApplication {
        /// The object.
        url: String,
        /// Whose it is.
        found: ApplicationName,
        /// Whose it should be.
        wanted: ApplicationName,
    },
    /// No place to put it while it is looked into.
    #[error("cannot make a temporary folder")]
    Temporary(#[source] io::Error),
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Failure {
        let (exit, hint) = match &error {
            LookupError::Store { source, .. } => (source.exit(), source.hint()),
            LookupError::NoCommit { dirty: Some((key, place)), .. } => {
                let (key, place) = (quoted(key), quoted(place));
                let ways = format!("`point --key {key} --allow-dirty`, or `deploy --revision {place} --allow-dirty`");
                (Exit::NotFound, Some(format!("only a dirty build is there: {ways}")))
            }
            LookupError::NoCommit { dirty: None, url, .. } => {
                let to = quoted(url);
                (Exit::NotFound, Some(format!("publish it first: longshore build && longshore push --to {to}")))
            }
            LookupError::Ambiguous { .. } => (Exit::Usage, Some("write more digits of it".to_owned())),
            LookupError::Refused { .. } | LookupError::NoManifest(_) => (Exit::BadBundle, None),
            LookupError::OtherApplication { .. } => (Exit::Usage, None),
            LookupError::Temporary(_) => (Exit::Failed, None),
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The key of the artifact of a commit, of which the beginning is enough if no other commit begins so.
pub(crate) async fn key_of(
    store: &Store,
    url: &StoreUrl,
    application: &ApplicationName,
    commit: &str,
) -> Result<String, LookupError> {
    let folder = format!("{application}/");
    let listed = store.list(&format!("{folder}{commit}")).await;
    let listed = listed.map_err(|source| LookupError::Store { url: url.to_string(), source })?;
    let mut found = Vec::new();
    let mut dirty = None;
    for entry in listed {
        let Some(name) = entry.key.strip_prefix(&folder).and_then(|name| name.strip_suffix(".zip")) else { continue };
        if name.parse::<CommitHash>().is_ok() {
            found.push(entry.key);
        } else if name.contains("-dirty-") {
            dirty = Some((entry.key.clone(), url.object(&entry.key).to_string()));
        }
    }
    let (application, commit) = (application.clone(), commit.to_owned());
    match (found.pop(), found.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => Err(LookupError::NoCommit { url: url.to_string(), application, commit, dirty }),
        (Some(_), others) => Err(LookupError::Ambiguous { application, commit, count: others + 1 }),
    }
}

/// Fetches and verifies an artifact, and gives its manifest too. `wanted`: the application that it must belong to.
pub(crate) async fn candidate(
    store: &Store,
    url: &StoreUrl,
    key: &str,
    wanted: Option<&ApplicationName>,
) -> Result<(Candidate, Manifest), LookupError> {
    candidate_of(store, key, url.object(key), wanted).await
}

/// The same of one version of it, and with the ETag that it must have. `key`: what the object is called in the store.
pub(crate) async fn candidate_of(
    store: &Store,
    key: &str,
    object: ObjectUrl,
    wanted: Option<&ApplicationName>,
) -> Result<(Candidate, Manifest), LookupError> {
    let folder = tempfile::tempdir().map_err(LookupError::Temporary)?;
    let path = folder.path().join("published.zip");
    let url = object.to_string();
    let fetched = store.get(&object, &path, None, &|_| {}).await;
    let info = fetched.map_err(|source| LookupError::Store { url: url.clone(), source })?;
    let bundle = match Bundle::open(&path, &Limits::default()) {
        Ok(bundle) => bundle,
        Err(source) => return Err(LookupError::Refused { url, source }),
    };
    let Some(manifest) = bundle.manifest else { return Err(LookupError::NoManifest(url)) };
    if let Some(wanted) = wanted.filter(|wanted| **wanted != manifest.application) {
        return Err(LookupError::OtherApplication { url, found: manifest.application, wanted: wanted.clone() });
    }
    let candidate = Candidate {
        application: manifest.application.clone(),
        revision: PointedRevision {
            key: key.to_owned(),
            etag: info.etag,
            version: info.version,
            size: info.size,
            content_digest: manifest.content_digest,
        },
        commit: manifest.commit.clone(),
        dirty: manifest.dirty,
        commit_time: manifest.time,
        stop: Stop::default(),
    };
    Ok((candidate, manifest))
}

/// Makes sure that an artifact which was found before still stands there unchanged.
pub(crate) async fn check(store: &Store, url: &StoreUrl, revision: &PointedRevision) -> Result<(), LookupError> {
    let failed = |source| LookupError::Store { url: url.object(&revision.key).to_string(), source };
    let info = store.head(&revision.key, revision.version.as_deref()).await.map_err(failed)?;
    let place = url.object(&revision.key).to_string();
    match info {
        None => Err(failed(StoreError::NotFound(place))),
        Some(info) if info.etag != revision.etag => {
            Err(failed(StoreError::OtherEtag { place, expected: revision.etag.clone(), found: info.etag }))
        }
        Some(_) => Ok(()),
    }
}
