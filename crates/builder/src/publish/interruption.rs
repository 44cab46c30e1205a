//! Ctrl-C while something is published: what is true then, and what stays behind.

use std::sync::atomic::{AtomicBool, Ordering};

use longshore_core::figures::quoted;
use longshore_core::signature;
use longshore_core::store::{StoreError, Unfinished};

use super::error::PublishError;
use crate::destination::Destination;
use crate::event::Event;
use crate::interrupt::asked_to_stop;
use crate::provenance;

/// Whether the request with which an artifact appears is under way. What it will have done is known to nobody before its answer.
#[derive(Debug, Default)]
pub(crate) struct Deciding(AtomicBool);

impl Deciding {
    /// It leaves now.
    pub(super) fn begins(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// It is answered.
    pub(super) fn ends(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Waits for the end of something that stores, or for Ctrl-C. Tells of uploads that could not be cleaned up.
pub(crate) async fn unless_stopped<T>(
    storing: impl Future<Output = Result<T, PublishError>>,
    (destination, deciding): (Destination<'_>, &Deciding),
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<T, PublishError> {
    let ended = tokio::select! {
        stored = storing => stored,
        () = asked_to_stop() => Err(interrupted(destination, deciding).await),
    };
    for unfinished in destination.store.take_unfinished() {
        tell(&Event::Warned(left(&unfinished)));
    }
    ended
}

/// Cleans up, and looks what is true now. Whoever asks again will not wait.
async fn interrupted(destination: Destination<'_>, deciding: &Deciding) -> PublishError {
    let looking = async {
        // Parts of a large upload would stay in the bucket, invisible and billed. Those that do are told of.
        let _ = destination.store.clean_up().await;
        let mut standing = Vec::new();
        for suffix in ["", signature::SUFFIX, provenance::SUFFIX] {
            if destination.store.head(&format!("{}{suffix}", destination.key), None).await?.is_some() {
                standing.push(format!("`{}`", destination.url_beside(suffix)));
            }
        }
        Ok::<_, StoreError>(standing)
    };
    let archive = format!("`{}`", destination.url());
    let looked = tokio::select! {
        looked = looking => looked.ok(),
        () = asked_to_stop() => None,
    };
    match looked {
        // It may appear a moment later.
        Some(standing) if deciding.0.load(Ordering::Relaxed) && !standing.contains(&archive) => {
            PublishError::InterruptedBlind { url: destination.url() }
        }
        Some(standing) if standing.is_empty() => PublishError::Interrupted { url: destination.url() },
        Some(standing) => PublishError::InterruptedLate { standing: standing.join(", ") },
        None => PublishError::InterruptedBlind { url: destination.url() },
    }
}

fn left(unfinished: &Unfinished) -> String {
    let Unfinished { bucket, key, id, why } = unfinished;
    let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    format!(
        "the parts of an upload to `s3://{bucket}/{key}` with the id {id} were not removed{why}. They are invisible and billed; \
         remove them with: aws s3api abort-multipart-upload --bucket {} --key {} --upload-id {}; a lifecycle rule of the bucket \
         with AbortIncompleteMultipartUpload does it by itself",
        quoted(bucket),
        quoted(key),
        quoted(id)
    )
}
