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
use longshore_core::signature;
use longshore_core::store::{ObjectInfo, Put, S3Options, Store, StoreError, StoreUrl};

use crate::artifact::Artifact;
use crate::beside::{Beside, BesideError, StoredBeside};
use crate::destination::Destination;
use crate::event::{Event, PublishedBeside};
use crate::provenance;

pub(crate) use error::PublishError;
pub(crate) use interruption::{Deciding, unless_stopped};

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

    /// The digest of the archive that is published. `ours`: of the one that was to be, whose content others may have packed into other
    /// bytes before; `None`: nobody had to know.
    pub(crate) fn archive_digest(&self, ours: Sha256) -> Option<Sha256> {
        match self {
            Published::New(_) => Some(ours),
            Published::Already(info) => info.sha256,
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
    let deciding = Deciding::default();
    let publishing = async {
        let commit = manifest.commit.as_str();
        let sent = send((&growing, commit), &|| Some(beside), (destination, &deciding), tell).await?;
        settle(sent, artifact, beside, destination, tell).await
    };
    // In a box, as the types of what waits for it would grow beyond what the compiler takes.
    unless_stopped(Box::pin(publishing), (destination, &deciding), tell).await
}

/// Stores an archive, which may still be packed. `beside`: what stands beside it, known when it is whole. What an object that is
/// there means is known then: see [`settle`].
pub(crate) async fn send<'a>(
    (growing, commit): (&Growing, &str),
    beside: &dyn Fn() -> Option<&'a Beside>,
    (destination, deciding): (Destination<'_>, &Deciding),
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<Sent, PublishError> {
    let Destination { store, key, .. } = destination;
    let (stored, halt) = (Mutex::new(Vec::new()), Mutex::new(None));
    let ready = async || {
        match beside() {
            Some(beside) if !beside.is_empty() && lock(&stored).is_empty() => {
                let (new, ended) = ahead(beside, destination, tell).await;
                *lock(&stored) = new;
                ended.map_err(|reason| {
                    *lock(&halt) = Some(reason);
                    GivenUp
                })?;
            }
            // Nothing, or done: another writer interfered.
            Some(_) | None => {}
        }
        deciding.begins();
        Ok(())
    };
    let progress = |bytes| tell(&Event::Stored(bytes));
    let put = store.put_growing(key, (growing, commit), ready, &progress).await;
    deciding.ends();
    let beside = std::mem::take(&mut *lock(&stored));
    let halt = lock(&halt).take();
    let put = match (halt, put) {
        (Some(Halt::Standing(info)), _) => Put::Exists(info),
        (Some(Halt::Refused(error)), _) => return Err(error),
        (None, Ok(put)) => put,
        (None, Err(source)) => {
            // It stands there if the answer to an earlier try was lost.
            if source.is_final() && !matches!(store.head(key, None).await, Ok(Some(_))) {
                withdraw(&beside, destination, tell).await;
            }
            return Err(PublishError::Store { url: destination.url(), source });
        }
    };
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
    let storing = async {
        // What is taken is known before the first is stored: whoever finds that one may rely on it.
        beside.look(destination).await?;
        beside.publish(destination, &mut stored).await
    };
    match storing.await {
        Ok(()) => (stored, Ok(())),
        Err(error) => {
            // The next push of these bytes may go on from what is there; after a refusal nobody will.
            if error.is_final() {
                withdraw(&stored, destination, tell).await;
            }
            let error = match error {
                BesideError::Taken { url, found, removal } => {
                    let removal = removal_of_all(destination).await.unwrap_or(removal);
                    BesideError::Orphaned { url, found, removal }
                }
                error => error,
            };
            (Vec::new(), Err(Halt::Refused(error.into())))
        }
    }
}

/// The command that removes all that stands beside an artifact; `None`: nothing does, or nobody may look.
async fn removal_of_all(destination: Destination<'_>) -> Option<String> {
    let mut removals = Vec::new();
    for suffix in [signature::SUFFIX, provenance::SUFFIX] {
        if destination.store.head(&format!("{}{suffix}", destination.key), None).await.ok()?.is_some() {
            removals.push(destination.removal(suffix));
        }
    }
    (!removals.is_empty()).then(|| removals.join(" && "))
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
        Put::Created(info) => {
            if stored.iter().any(|stored| stored.already) {
                // The push that stored it may have taken it back meanwhile, because its own archive was refused.
                beside.publish(destination, &mut Vec::new()).await?;
            }
            return Ok(Outcome { published: Published::New(info), beside: stored });
        }
        Put::Exists(info) => info,
    };
    let settling = async {
        let mut info = comparison::compare(artifact, destination, info).await?;
        if beside.is_empty() {
            return Ok::<_, PublishError>(info);
        }
        let ours = artifact.archive_digest;
        let mut fetched = None;
        // Stored while it was packed, the store does not know it; a signature is about these very bytes.
        if info.sha256.is_none() {
            let size = artifact.path.metadata().map(|metadata| metadata.len());
            // What was stored a moment ago says nothing of what stands there.
            let vouched = stored.is_empty() && size.is_ok_and(|size| size == info.size);
            info.sha256 = if vouched && beside.is_signed_there(destination).await? {
                Some(ours)
            } else {
                fetched.insert(comparison::fetch(destination).await?).digest
            };
        }
        if info.sha256 != Some(ours) {
            let comparison::Fetched { path, digest, .. } = match &fetched {
                Some(fetched) => fetched,
                None => fetched.insert(comparison::fetch(destination).await?),
            };
            let there = match digest {
                Some(digest) => beside.of_other_bytes(destination, (path, *digest)).await?,
                None => None,
            };
            let other = || BesideError::OtherBytes(destination.url());
            stored = there.ok_or_else(other)?;
        } else if stored.is_empty() {
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
