//! Storing a file under a new key.
//!
//! Up to [`SINGLE_LIMIT`] in one request; beyond that in parts, a few at a time. A multipart upload that does not end is
//! invisible but billed. So each one stands in `unfinished` until it is completed or aborted: a failure aborts it here,
//! and after a dropped future [`S3Store::clean_up`] does. What even that cannot reach is left to a lifecycle rule of the
//! bucket: power cuts, SIGKILL, and the moment in which the server has begun an upload but has not told its id yet.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::upload_part::UploadPartError;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use tokio::task::JoinSet;

use super::super::{Attributes, ObjectInfo, Put, StoreError, Verb};
use super::refusal::{self, Refusal};
use super::{META_COMMIT, META_CONTENT_DIGEST, META_SHA256, S3Store, pause, small, unquoted, version};
use crate::digest::{Hasher, Sha256};

/// The largest file that goes into one request.
const SINGLE_LIMIT: u64 = 16 << 20;
/// The size of a part, unless there would be too many of them.
const PART: u64 = 8 << 20;
/// The most parts that S3 takes.
const PARTS_LIMIT: u64 = 10_000;
/// Parts that are on their way at the same time.
const IN_FLIGHT: usize = 4;
/// How often a write is tried that meets another writer.
const ROUNDS: u32 = 4;
/// What the SDK reads of a file at a time. Its own default of 4 KiB costs several times the CPU.
const BUFFER: usize = 64 << 10;

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    key: String,
    id: String,
}

/// What is stored where.
struct Upload<'a> {
    key: &'a str,
    /// For messages.
    file: &'a Path,
    /// The way to the open file: it stays the same one when another gets its name meanwhile, and the SDK can open it anew
    /// for each part and each repetition.
    held: &'a Path,
    size: u64,
    attributes: &'a Attributes,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// A part that arrived.
struct Part {
    length: u64,
    done: CompletedPart,
}

/// How one attempt ended.
enum Attempt {
    Created(ObjectInfo),
    /// Something stands there; it may be ours, when an answer was lost.
    Taken,
    /// The server could not say who wins.
    Conflict,
}

impl S3Store {
    /// See [`super::super::Store::put_new`].
    pub(in super::super) async fn put_new(
        &self,
        key: &str,
        file: &Path,
        attributes: &Attributes,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        let key = &self.whole_key(key)?;
        let open = File::open(file).map_err(cannot_read(file))?;
        let size = open.metadata().map_err(cannot_read(file))?.len();
        let held = &PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        let upload = Upload { key, file, held, size, attributes, progress };
        for round in 1..=ROUNDS {
            if size > SINGLE_LIMIT {
                // The condition is checked at the very end: do not send gigabytes to learn what can be known now.
                match self.head_whole(key, None).await {
                    Ok(Some(info)) => return Ok(Put::Exists(info)),
                    // Who may write need not be allowed to read.
                    Ok(None) | Err(StoreError::Denied { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let attempt =
                if size > SINGLE_LIMIT { self.in_parts(&upload).await? } else { self.at_once(&upload).await? };
            match attempt {
                Attempt::Created(info) => return Ok(Put::Created(info)),
                Attempt::Taken => match self.head_whole(key, None).await? {
                    Some(info) => return Ok(Put::Exists(info)),
                    // Removed since: the key is free again.
                    None => pause(round).await,
                },
                Attempt::Conflict => pause(round).await,
            }
        }
        Err(StoreError::Contested { place: self.show(key) })
    }

    /// See [`super::super::Store::clean_up`].
    pub(in super::super) async fn clean_up(&self) -> Result<(), StoreError> {
        let unfinished = self.unfinished().clone();
        let mut result = Ok(());
        for upload in unfinished {
            result = result.and(self.abort(&upload).await);
        }
        result
    }

    async fn at_once(&self, upload: &Upload<'_>) -> Result<Attempt, StoreError> {
        let (found, _) = File::open(upload.held).and_then(Sha256::of_reader).map_err(cannot_read(upload.file))?;
        check_digest(upload, found)?;
        let body = body(upload, 0, upload.size).await?;
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(upload.key)
            .if_none_match("*")
            .checksum_sha256(base64::engine::general_purpose::STANDARD.encode(found.as_bytes()))
            .set_metadata(Some(metadata(upload.attributes)))
            .body(body);
        match request.send().await {
            Ok(output) => {
                (upload.progress)(upload.size);
                Ok(Attempt::Created(upload.info(output.e_tag(), output.version_id())))
            }
            Err(error) => match self.asked(Verb::Write, upload.key).refusal(&error) {
                Refusal::Precondition => Ok(Attempt::Taken),
                Refusal::Conflict => Ok(Attempt::Conflict),
                refusal => Err(self.asked(Verb::Write, upload.key).unexpected(refusal)),
            },
        }
    }

    async fn in_parts(&self, upload: &Upload<'_>) -> Result<Attempt, StoreError> {
        let asked = self.asked(Verb::Write, upload.key);
        // The algorithm must be declared here and be used for every part: the SDK adds another one otherwise, and servers
        // refuse the mixture when the upload is completed.
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(upload.key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .set_metadata(Some(metadata(upload.attributes)));
        let created = request.customize().config_override(small()).send().await;
        let created = created.map_err(|error| asked.unexpected(asked.refusal(&error)))?;
        let unfinished =
            Unfinished { key: upload.key.to_owned(), id: created.upload_id().unwrap_or_default().to_owned() };
        self.unfinished().push(unfinished.clone());

        let attempt = async {
            let parts = self.send_parts(upload, &unfinished.id).await?;
            self.complete(upload, &unfinished.id, parts).await
        };
        let attempt = attempt.await;
        if matches!(attempt, Ok(Attempt::Created(_))) {
            self.unfinished().retain(|other| *other != unfinished);
            return attempt;
        }
        if let Err(error) = self.abort(&unfinished).await {
            // What matters to the caller is why the upload failed.
            tracing::warn!(%error, "cannot abort an unfinished upload");
        }
        attempt
    }

    /// Sends all parts and checks on the way that the file is the one that is meant.
    async fn send_parts(&self, upload: &Upload<'_>, id: &str) -> Result<Vec<CompletedPart>, StoreError> {
        let mut running = JoinSet::new();
        let sent = self.keep_sending(upload, id, &mut running).await;
        // After a failure no part may arrive behind the abort.
        running.shutdown().await;
        let mut parts = sent?;
        parts.sort_by_key(CompletedPart::part_number);
        Ok(parts)
    }

    async fn keep_sending(
        &self,
        upload: &Upload<'_>,
        id: &str,
        running: &mut JoinSet<Result<Part, SdkError<UploadPartError, HttpResponse>>>,
    ) -> Result<Vec<CompletedPart>, StoreError> {
        let part_size = part_size(upload.size);
        let mut file = File::open(upload.held).map_err(cannot_read(upload.file))?;
        let mut hasher = Hasher::default();
        let mut parts = Vec::new();
        let (mut offset, mut sent) = (0, 0);
        let mut number = 0;
        while offset < upload.size || !running.is_empty() {
            if offset < upload.size && running.len() < IN_FLIGHT {
                let length = part_size.min(upload.size - offset);
                number += 1;
                hash(&mut hasher, &mut file, length).map_err(cannot_read(upload.file))?;
                let body = body(upload, offset, length).await?;
                let request = self.client.upload_part().bucket(&self.bucket).key(upload.key).upload_id(id);
                let request = request.part_number(number).checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(body);
                running.spawn(async move {
                    let output = request.send().await?;
                    let done = CompletedPart::builder()
                        .part_number(number)
                        .set_e_tag(output.e_tag)
                        .set_checksum_crc64_nvme(output.checksum_crc64_nvme)
                        .build();
                    Ok(Part { length, done })
                });
                offset += length;
            } else if let Some(part) = running.join_next().await {
                let part = part.expect("a part neither panics nor is cancelled while the set lives");
                let asked = self.asked(Verb::Write, upload.key);
                let part = part.map_err(|error| asked.unexpected(asked.refusal(&error)))?;
                sent += part.length;
                parts.push(part.done);
                (upload.progress)(sent);
            }
        }
        check_digest(upload, hasher.finish())?;
        Ok(parts)
    }

    async fn complete(&self, upload: &Upload<'_>, id: &str, parts: Vec<CompletedPart>) -> Result<Attempt, StoreError> {
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(upload.key)
            .upload_id(id)
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(upload.size).unwrap_or(i64::MAX))
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        match request.send().await {
            Ok(output) => Ok(Attempt::Created(upload.info(output.e_tag(), output.version_id()))),
            Err(error) => match self.asked(Verb::Write, upload.key).refusal(&error) {
                // No upload: the first request was carried out and only its answer was lost.
                Refusal::Precondition | Refusal::NoUpload => Ok(Attempt::Taken),
                Refusal::Conflict => Ok(Attempt::Conflict),
                refusal => Err(self.asked(Verb::Write, upload.key).unexpected(refusal)),
            },
        }
    }

    /// Aborts an upload until the server no longer knows it: a part that was under way may have arrived after the first
    /// abort.
    async fn abort(&self, upload: &Unfinished) -> Result<(), StoreError> {
        let asked = self.asked(Verb::Abort, &upload.key);
        for times in 1..=3 {
            let request =
                self.client.abort_multipart_upload().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
            if let Err(error) = request.customize().config_override(small()).send().await {
                match asked.refusal(&error) {
                    Refusal::NoUpload | Refusal::NotFound => break,
                    refusal => return Err(asked.unexpected(refusal)),
                }
            }
            let request = self.client.list_parts().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
            match request.max_parts(1).customize().config_override(small()).send().await {
                Ok(_) => pause(times).await,
                // Gone, or nobody may look: then one abort has to do.
                Err(_) => break,
            }
        }
        self.unfinished().retain(|other| other != upload);
        Ok(())
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, Vec<Unfinished>> {
        // The list is never left half changed.
        self.unfinished.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Upload<'_> {
    fn info(&self, etag: Option<&str>, id: Option<&str>) -> ObjectInfo {
        ObjectInfo {
            size: self.size,
            etag: unquoted(etag),
            version: version(id),
            sha256: Some(self.attributes.sha256),
            content_digest: Some(self.attributes.content_digest),
        }
    }
}

/// A piece of a file as the body of a request. The SDK can read it again when it repeats the request.
async fn body(upload: &Upload<'_>, offset: u64, length: u64) -> Result<ByteStream, StoreError> {
    let body =
        ByteStream::read_from().path(upload.held).offset(offset).length(Length::Exact(length)).buffer_size(BUFFER);
    body.build().await.map_err(|error| cannot_read(upload.file)(std::io::Error::other(refusal::deepest(&error))))
}

/// The size of the parts of a file: [`PART`], or whole MiB so that there are not too many.
fn part_size(size: u64) -> u64 {
    size.div_ceil(PARTS_LIMIT).next_multiple_of(1 << 20).max(PART)
}

fn metadata(attributes: &Attributes) -> std::collections::HashMap<String, String> {
    [
        (META_SHA256, attributes.sha256.to_string()),
        (META_CONTENT_DIGEST, attributes.content_digest.to_string()),
        (META_COMMIT, attributes.commit.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn check_digest(upload: &Upload<'_>, found: Sha256) -> Result<(), StoreError> {
    let expected = upload.attributes.sha256;
    if found == expected {
        return Ok(());
    }
    Err(StoreError::OtherDigest { place: upload.file.display().to_string(), expected, found })
}

/// Adds the next `length` bytes of the file. What is read here is in memory when the part is sent.
fn hash(hasher: &mut Hasher, file: &mut File, length: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut rest = length;
    while rest > 0 {
        let most = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let got = file.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        hasher.update(&buffer[..got]);
        rest -= got as u64;
    }
    Ok(())
}

fn cannot_read(file: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = file.to_owned();
    move |source| StoreError::File { verb: Verb::Read, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_there_are_never_more_than_ten_thousand() {
        for (size, expected) in [
            (17 << 20, 8 << 20),
            (PART * PARTS_LIMIT, 8 << 20),
            (PART * PARTS_LIMIT + 1, 9 << 20),
            (5 << 40, 525 << 20),
        ] {
            let part = part_size(size);
            assert_eq!(part, expected, "{size}");
            assert!(size.div_ceil(part) <= PARTS_LIMIT, "{size}");
        }
    }
}
