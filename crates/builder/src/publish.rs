//! A verified bundle → a store, under its commit, with what stands beside it. Never over another one: the same content is already
//! published, other content is a conflict.
//!
//! What stands beside an artifact is stored before it: whoever finds the artifact finds its signature. What can be refused is refused
//! before both.

mod comparison;
mod error;
mod interruption;

use std::sync::{Mutex, PoisonError};

use longshore_core::bundle::Manifest;
use longshore_core::digest::Sha256;
use longshore_core::failure::chain;
use longshore_core::growing::{GivenUp, Growing};
use longshore_core::ids::ApplicationName;
use longshore_core::store::{ObjectInfo, Put, S3Options, Store, StoreError, StoreUrl};

use crate::artifact::Artifact;
use crate::beside::{Beside, BesideError, StoredBeside};
use crate::destination::Destination;
use crate::event::{Event, PublishedBeside};

pub(crate) use error::PublishError;
pub(crate) use interruption::unless_stopped;

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

/// What became of an artifact and of what stands beside it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The artifact.
    pub(crate) published: Published,
    beside: Vec<StoredBeside>,
}

impl Outcome {
    /// Tells where all of it is.
    pub(crate) fn tell(&self, destination: Destination<'_>, tell: &dyn Fn(&Event)) {
        for StoredBeside { suffix, already } in &self.beside {
            let url = destination.url_beside(suffix);
            tell(&Event::PublishedBeside(PublishedBeside { url, already: *already }));
        }
        tell(&Event::Published { url: destination.url(), already: self.published.was_there() });
    }
}

/// What became of the archive, and what was stored beside it before.
#[derive(Debug)]
pub(crate) struct Sent {
    put: Put,
    beside: Vec<StoredBeside>,
}

/// Why an archive that is whole is not to appear.
#[derive(Debug)]
enum Halt {
    /// Something appeared meanwhile.
    Standing(ObjectInfo),
    /// What stands beside it was refused.
    Refused(PublishError),
}

/// Publishes an artifact and what stands beside it.
pub(crate) async fn publish(
    artifact: &Artifact,
    beside: &Beside,
    destination: Destination<'_>,
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<Outcome, PublishError> {
    let Artifact { path, archive_digest, manifest } = artifact;
    let opened = Growing::finished(path, *archive_digest, manifest.content_digest);
    let growing = opened.map_err(|source| PublishError::Read { path: path.clone(), source })?;
    let publishing = async {
        let sent = send((&growing, manifest.commit.as_str()), &|| Some(beside), destination, tell).await?;
        settle(sent, artifact, beside, destination, tell).await
    };
    // In a box, as the types of what waits for it would grow beyond what the compiler takes.
    unless_stopped(Box::pin(publishing), destination, tell).await
}

/// Stores an archive, which may still be packed. `beside`: what stands beside it, known when it is whole. What an object that is
/// there means is known then: see [`settle`].
pub(crate) async fn send<'a>(
    (growing, commit): (&Growing, &str),
    beside: &dyn Fn() -> Option<&'a Beside>,
    destination: Destination<'_>,
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<Sent, PublishError> {
    let Destination { store, key, .. } = destination;
    let (stored, halt) = (Mutex::new(Vec::new()), Mutex::new(None));
    let ready = async || match beside() {
        Some(beside) if !beside.is_empty() && lock(&stored).is_empty() => {
            let (new, ended) = ahead(beside, destination, tell).await;
            *lock(&stored) = new;
            ended.map_err(|reason| {
                *lock(&halt) = Some(reason);
                GivenUp
            })
        }
        // Nothing, or done: another writer interfered.
        Some(_) | None => Ok(()),
    };
    let progress = |bytes| tell(&Event::Stored(bytes));
    let put = store.put_growing(key, (growing, commit), ready, &progress).await;
    let put = match (lock(&halt).take(), put) {
        (Some(Halt::Standing(info)), _) => Put::Exists(info),
        (Some(Halt::Refused(error)), _) => return Err(error),
        (None, put) => put.map_err(|source| PublishError::Store { url: destination.url(), source })?,
    };
    let beside = std::mem::take(&mut *lock(&stored));
    Ok(Sent { put, beside })
}

/// Stores what stands beside an artifact that is about to appear: what was stored, and why the artifact must not appear.
async fn ahead(
    beside: &Beside,
    destination: Destination<'_>,
    tell: &(dyn Fn(&Event) + Sync),
) -> (Vec<StoredBeside>, Result<(), Halt>) {
    match destination.store.head(destination.key, None).await {
        Ok(Some(info)) => return (Vec::new(), Err(Halt::Standing(info))),
        // Who may write need not be allowed to read.
        Ok(None) | Err(StoreError::Denied { .. }) => {}
        Err(source) => {
            let refused = PublishError::Store { url: destination.url(), source };
            return (Vec::new(), Err(Halt::Refused(refused)));
        }
    }
    let mut stored = Vec::new();
    let ended = beside.publish(destination, &mut stored).await.map_err(|error| {
        let taken = matches!(error, BesideError::Taken { .. });
        (taken, Halt::Refused(error.into()))
    });
    match ended {
        Ok(()) => (stored, Ok(())),
        // The next push of these bytes may go on from what is there; after a refusal nobody will.
        Err((taken, halt)) => {
            if taken {
                withdraw(&stored, destination, tell).await;
            }
            (Vec::new(), Err(halt))
        }
    }
}

/// Whether what stands there is ours, and then what stands beside it.
pub(crate) async fn settle(
    sent: Sent,
    artifact: &Artifact,
    beside: &Beside,
    destination: Destination<'_>,
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<Outcome, PublishError> {
    let Sent { put, beside: mut stored } = sent;
    let info = match put {
        Put::Created(info) => return Ok(Outcome { published: Published::New(info), beside: stored }),
        Put::Exists(info) => info,
    };
    let settling = async {
        let info = comparison::compare(artifact, destination, info).await?;
        if !beside.is_empty() && digest_of(&info, destination).await? != Some(artifact.archive_digest) {
            return Err(PublishError::from(BesideError::OtherBytes(destination.url())));
        }
        if stored.is_empty() {
            beside.publish(destination, &mut stored).await?;
        }
        Ok(info)
    };
    match settling.await {
        Ok(info) => Ok(Outcome { published: Published::Already(info), beside: stored }),
        Err(error) => {
            if error.tells_other_bytes() {
                // Another writer was faster, and ours says nothing of its archive.
                withdraw(&stored, destination, tell).await;
            }
            Err(error)
        }
    }
}

/// The digest of what stands there.
async fn digest_of(info: &ObjectInfo, destination: Destination<'_>) -> Result<Option<Sha256>, PublishError> {
    match info.sha256 {
        Some(known) => Ok(Some(known)),
        // Stored while it was packed, so the store does not know it; a signature is about these very bytes.
        None => {
            let folder = tempfile::tempdir().map_err(PublishError::Temporary)?;
            let fetched = destination.fetch(&folder.path().join("published.zip")).await;
            Ok(fetched.map_err(|source| PublishError::Store { url: destination.url(), source })?.sha256)
        }
    }
}

/// Removes what was stored beside an artifact that is not ours, or is refused.
async fn withdraw(stored: &[StoredBeside], destination: Destination<'_>, tell: &(dyn Fn(&Event) + Sync)) {
    for StoredBeside { suffix, .. } in stored.iter().filter(|stored| !stored.already) {
        if let Err(error) = destination.store.remove_artifact(&format!("{}{suffix}", destination.key)).await {
            let (url, why) = (destination.url_beside(suffix), chain(&error));
            let removal = destination.removal(suffix);
            let text = format!(
                "`{url}` is of an artifact that was not published, and could not be removed: {why}; do it with: {removal}"
            );
            tell(&Event::Warned(text));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
