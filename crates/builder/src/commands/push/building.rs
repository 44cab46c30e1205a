//! `longshore push --build`: builds, and stores the archive while it is packed.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use longshore_core::bundle::PackError;
use longshore_core::digest::Sha256;
use longshore_core::failure::Failure;
use longshore_core::growing::{GivenUp, Growing};
use longshore_core::store::{Described, S3Options, Store, StoreError, StoreUrl};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{Published, Pushed, publish, publish_failure, warn_unsigned};
use crate::cli::PushArgs;
use crate::commands::build::{self, Begun, Built, Prepared};
use crate::commands::group;
use crate::destination::Destination;
use crate::display::Screen;
use crate::event::Event;
use crate::publish::{self as publishing, PublishError};
use crate::signing::policy::Policy;

/// Builds and publishes.
pub(super) fn run(
    args: &PushArgs,
    prepared: &Prepared<'_>,
    (to, options): (&StoreUrl, &S3Options),
    policy: &Policy<'_>,
    runtime: &Runtime,
    screen: &Screen,
) -> Result<Pushed, Failure> {
    if !args.group.is_empty() {
        group::accept(prepared.options.dirty, prepared.options.commit.as_str(), args.moving.allow_dirty)?;
    }
    // Before any work: without credentials there is nothing to pack for.
    let store = runtime.block_on(publishing::open(to, options, &to.to_string())).map_err(publish_failure)?;
    let begun = prepared.begin()?;
    let overlaps = match to {
        // The key of a dirty build names its content, which is known when it is packed.
        StoreUrl::S3 { .. } => !prepared.options.dirty,
        // Copying a file does not wait for anything that packing could be done meanwhile.
        StoreUrl::Dir(_) => false,
    };
    let (built, published) = if overlaps {
        together(prepared, &begun, (to, &store), policy, runtime, screen)?
    } else {
        let built = begun.pack(&|_| ControlFlow::Continue(()), screen)?;
        let published = runtime.block_on(publish(&built.artifact, (to, &store), policy, screen))?;
        (built, published)
    };
    let build = built.report(prepared);
    Ok(Pushed { artifact: built.artifact, published, store, build: Some(build) })
}

/// Packs on one thread and stores on another. Whoever fails first ends the other.
fn together(
    prepared: &Prepared<'_>,
    begun: &Begun<'_>,
    (to, store): (&StoreUrl, &Store),
    policy: &Policy<'_>,
    runtime: &Runtime,
    screen: &Screen,
) -> Result<(Built, Published), Failure> {
    let commit = &prepared.options.commit;
    let key = publishing::key_of(&prepared.options.application, commit.as_str());
    let destination = Destination { to, store, key: &key };
    let file = begun.archive()?;
    let (grower, growing) = Growing::new(file, &begun.temporary, begun.sources.most_bytes());
    let stop = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed);
    let digests = Mutex::new(Digests::default());
    let unread = OnceLock::new();
    let beside = OnceLock::new();
    let tell = |event: &Event| match event {
        // Until then the bar shows how much is packed.
        Event::Stored(_) if lock(&digests).packed.is_none() => {}
        event => screen.tell(event),
    };
    let (sent, built) = thread::scope(|scope| {
        let packing = scope.spawn(|| {
            let written = |written| {
                grower.written(written);
                if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let built = begun.pack(&written, screen)?;
            let Built { artifact, size, .. } = &built;
            if !lock(&digests).pack(artifact.manifest.content_digest) {
                return Err(build::moved());
            }
            // What is refused here never appears.
            drop(beside.set(super::beside(artifact, policy, screen)?));
            screen.tell(&Event::Publishing { url: destination.url(), size: *size });
            grower.whole(*size, artifact.archive_digest);
            Ok(built)
        });
        // The digest stands beside the object from its first part on, so files are read before they are packed, as long as they
        // are not packed yet.
        let described = async || {
            let (tell, told) = oneshot::channel();
            scope.spawn(|| {
                let enough = || stopped() || lock(&digests).packed.is_some();
                match begun.sources.content_digest(prepared.options.threads, &enough) {
                    Ok(digest) => drop(tell.send(digest)),
                    // Packing was faster, or nobody waits any more.
                    Err(PackError::Stopped) => {}
                    Err(error) => drop(unread.set(error)),
                }
            });
            let content_digest = tokio::select! {
                Ok(hashed) = told => lock(&digests).hash(hashed),
                ended = growing.ends() => {
                    ended?;
                    lock(&digests).packed.ok_or(GivenUp)?
                }
            };
            Ok(Described { content_digest, commit: commit.to_string() })
        };
        let sending = async {
            let sent = publishing::send(&growing, described, &|| beside.get(), destination, &tell).await?;
            // Where something stands already, packing goes on, and must be able to be stopped as long as it does. If it fails, it
            // says so itself.
            let _ = growing.ends().await;
            Ok(sent)
        };
        let sent = runtime.block_on(publishing::unless_stopped(sending, destination, &tell));
        if sent.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let built = match packing.join() {
            Ok(built) => built,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        (sent, built)
    });
    let (sent, built) = match (sent, built) {
        (Ok(sent), built) => (sent, built?),
        // Who packs or reads the files failed, and said why.
        (Err(PublishError::Store { source: StoreError::GivenUp(_), .. }), built) => {
            return Err(match (unread.into_inner(), built) {
                (Some(error), _) => build::pack_failed(error),
                (None, Err(failure)) => failure,
                (None, Ok(_)) => build::moved(),
            });
        }
        (Err(error), _) => return Err(publish_failure(error)),
    };
    let beside = beside.into_inner().unwrap_or_else(|| unreachable!("what is whole was looked at"));
    let settling = publishing::settle(sent, &built.artifact, &beside, destination, &tell);
    let settled =
        runtime.block_on(publishing::unless_stopped(settling, destination, &tell)).map_err(publish_failure)?;
    settled.tell(destination, &tell);
    runtime.block_on(warn_unsigned(&built.artifact, &beside, destination, policy, screen));
    let published = settled.published;
    Ok((built, published))
}

/// The content digest, as it was told to the store before packing, and as it was packed.
#[derive(Debug, Default)]
struct Digests {
    hashed: Option<Sha256>,
    packed: Option<Sha256>,
}

impl Digests {
    /// What was packed. Whether that is what the store was told.
    fn pack(&mut self, digest: Sha256) -> bool {
        self.packed = Some(digest);
        self.hashed.is_none_or(|hashed| hashed == digest)
    }

    /// What the store is told: what was packed, where that is known by now.
    fn hash(&mut self, digest: Sha256) -> Sha256 {
        self.hashed = Some(digest);
        self.packed.unwrap_or(digest)
    }
}

fn lock(digests: &Mutex<Digests>) -> MutexGuard<'_, Digests> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_never_learns_another_digest_than_that_of_what_was_packed() {
        let [one, other] = [b"1", b"2"].map(|bytes| Sha256::of(bytes));
        let mut first_hashed = Digests::default();
        assert_eq!(first_hashed.hash(one), one);
        assert!(first_hashed.pack(one) && !first_hashed.pack(other));
        let mut first_packed = Digests::default();
        assert!(first_packed.pack(one));
        assert_eq!(first_packed.hash(other), one);
    }
}
