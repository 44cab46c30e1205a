//! `longshore push --build`: builds, and stores the archive while it is packed.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use longshore_core::failure::Failure;
use longshore_core::growing::{Growing, Whole};
use longshore_core::store::{S3Options, Store, StoreError, StoreUrl};
use tokio::runtime::Runtime;

use super::{Published, Pushed, listen, publish, publish_failure, warn_unsigned};
use crate::cli::PushArgs;
use crate::commands::build::{Begun, Built, Prepared};
use crate::commands::group;
use crate::destination::Destination;
use crate::display::Screen;
use crate::event::Event;
use crate::publish::{self as publishing, Deciding, PublishError};
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
    let (built, published, signals) = if overlaps {
        let signals = listen(runtime);
        let (built, published) = together(prepared, &begun, (to, &store), policy, runtime, screen)?;
        (built, published, signals)
    } else {
        let built = begun.pack(&|_| ControlFlow::Continue(()), screen)?;
        let signals = listen(runtime);
        let published = runtime.block_on(publish(&built.artifact, (to, &store), policy, screen))?;
        (built, published, signals)
    };
    let build = built.report(prepared);
    Ok(Pushed { artifact: built.artifact, published, store, signals, build: Some(build) })
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
    let beside = OnceLock::new();
    let tell = |event: &Event| match event {
        // Until then the bar shows how much is packed.
        Event::Stored(_) if beside.get().is_none() => {}
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
            // What is refused here never appears.
            drop(beside.set(super::beside(artifact, policy, screen)?));
            screen.tell(&Event::Publishing { url: destination.url(), size: *size });
            let (sha256, content_digest) = (artifact.archive_digest, artifact.manifest.content_digest);
            grower.whole(Whole { size: *size, sha256, content_digest });
            Ok(built)
        });
        let deciding = Deciding::default();
        let sending = async {
            let sent = publishing::send((&growing, commit.as_str()), &|| beside.get(), (destination, &deciding), &tell)
                .await?;
            // Where something stands already, packing goes on, and must be able to be stopped as long as it does. If it fails, it
            // says so itself.
            let _ = growing.ends().await;
            Ok(sent)
        };
        let sent = runtime.block_on(publishing::unless_stopped(sending, (destination, &deciding), &tell));
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
        // Who packs the files failed, and said why.
        (Err(PublishError::Store { source: StoreError::GivenUp(_), .. }), Err(failure)) => return Err(failure),
        (Err(error), _) => return Err(publish_failure(error)),
    };
    let beside = beside.get().unwrap_or_else(|| unreachable!("what is whole was looked at"));
    let settling = publishing::settle(sent, &built.artifact, beside, destination, &tell);
    // What decided is answered.
    let decided = Deciding::default();
    let settling = publishing::unless_stopped(settling, (destination, &decided), &tell);
    let settled = runtime.block_on(settling).map_err(publish_failure)?;
    settled.tell(destination, &tell);
    runtime.block_on(warn_unsigned(&built.artifact, beside, destination, policy, screen));
    let published = settled.published;
    Ok((built, published))
}
