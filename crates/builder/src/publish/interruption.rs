//! Ctrl-C while something is published: what is true then, and what stays behind.

use longshore_core::figures::quoted;
use longshore_core::signature;
use longshore_core::store::{StoreError, Unfinished};

use super::error::PublishError;
use crate::destination::Destination;
use crate::event::Event;
use crate::interrupt::asked_to_stop;
use crate::provenance;

/// Waits for the end of something that stores, or for Ctrl-C. Tells of uploads that could not be cleaned up.
pub(crate) async fn unless_stopped<T>(
    storing: impl Future<Output = Result<T, PublishError>>,
    destination: Destination<'_>,
    tell: &(dyn Fn(&Event) + Sync),
) -> Result<T, PublishError> {
    let ended = tokio::select! {
        stored = storing => stored,
        () = asked_to_stop() => Err(interrupted(destination).await),
    };
    for unfinished in destination.store.take_unfinished() {
        tell(&Event::Warned(left(&unfinished)));
    }
    ended
}

/// Cleans up, and looks what is true now. Whoever asks again will not wait.
async fn interrupted(destination: Destination<'_>) -> PublishError {
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
    let looked = tokio::select! {
        looked = looking => looked.ok(),
        () = asked_to_stop() => None,
    };
    match looked {
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
