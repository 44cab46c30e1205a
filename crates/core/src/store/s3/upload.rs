//! Storing a file under a new key.
//!
//! Up to [`SINGLE_LIMIT`] in one request; beyond that in parts, a few at a time, and from a file that is still written as soon
//! as a part of it is final. A multipart upload that does not end is invisible but billed. So each one stands in `unfinished`
//! until it is completed or aborted: a failure aborts it here, and after a dropped future [`S3Store::clean_up`] does. What even
//! that cannot reach is left to a lifecycle rule of the bucket: power cuts, SIGKILL, and the moment in which the server has begun
//! an upload but has not told its id yet.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use tokio::task::JoinSet;

use super::super::{ObjectInfo, Put, StoreError, Unfinished, Verb};
use super::part::{self, Part};
use super::parts::Parts;
use super::refusal::{self, Refusal};
use super::{META_COMMIT, META_CONTENT_DIGEST, META_SHA256, S3Store, pause, small, unquoted, version};
use crate::digest::{Hasher, Sha256};
use crate::growing::{GivenUp, Growing, Whole};

/// The largest file that goes into one request.
const SINGLE_LIMIT: u64 = 16 << 20;
/// How often a write is tried that meets another writer.
const ROUNDS: u32 = 4;

/// What is stored where.
struct Upload<'a> {
    key: &'a str,
    growing: &'a Growing,
    /// What the bytes must be, where that is known before they are sent.
    whole: Option<Whole>,
    commit: &'a str,
    progress: &'a (dyn Fn(u64) + Sync),
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
    /// See [`super::super::Store::put_growing`].
    pub(in super::super) async fn put_growing(
        &self,
        key: &str,
        (growing, commit): (&Growing, &str),
        ready: impl AsyncFn() -> Result<(), GivenUp>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        let key = &self.whole_key(key)?;
        let given_up = |_: GivenUp| StoreError::GivenUp(growing.path.clone());
        if growing.exceeds(SINGLE_LIMIT).await.map_err(given_up)?
            && let Some(info) = self.standing(key).await?
        {
            return Ok(Put::Exists(info));
        }
        // It may be whole by now.
        let whole = growing.stage.borrow().whole;
        self.put(&Upload { key, growing, whole, commit, progress }, ready).await
    }

    /// What stands at a key. The condition of a large upload is checked at the very end: nobody should send gigabytes to learn
    /// what can be known before.
    async fn standing(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match self.head_whole(key, None).await {
            // Who may write need not be allowed to read.
            Err(StoreError::Denied { .. }) => Ok(None),
            result => result,
        }
    }

    async fn put(&self, upload: &Upload<'_>, ready: impl AsyncFn() -> Result<(), GivenUp>) -> Result<Put, StoreError> {
        let ready = async || ready().await.map_err(upload.given_up());
        for round in 1..=ROUNDS {
            let large = upload.growing.exceeds(SINGLE_LIMIT).await.map_err(upload.given_up())?;
            let attempt =
                if large { self.in_parts(upload, &ready).await? } else { self.at_once(upload, &ready).await? };
            let info = match attempt {
                Attempt::Created(info) => return Ok(Put::Created(info)),
                Attempt::Taken => self.head_whole(upload.key, None).await?,
                Attempt::Conflict if large => self.standing(upload.key).await?,
                Attempt::Conflict => None,
            };
            match info {
                Some(info) => return Ok(Put::Exists(info)),
                // Removed since, or nobody has won yet: the key may be free.
                None => pause(round).await,
            }
        }
        Err(StoreError::Contested { place: self.show(upload.key) })
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

    async fn at_once(
        &self,
        upload: &Upload<'_>,
        ready: &impl AsyncFn() -> Result<(), StoreError>,
    ) -> Result<Attempt, StoreError> {
        let path = &upload.growing.path;
        let held = upload.growing.held();
        let (found, size) = File::open(&held).and_then(Sha256::of_reader).map_err(cannot_read(path))?;
        check_digest(upload, found)?;
        let request = self.client.put_object().bucket(&self.bucket).key(upload.key).if_none_match("*");
        let request = request.checksum_sha256(base64::engine::general_purpose::STANDARD.encode(found.as_bytes()));
        let request = self.keeping.put(request, metadata(upload));
        let request = request.body(part::body(&held, &(0..size)).await.map_err(cannot_read(path))?);
        ready().await?;
        match request.send().await {
            Ok(output) => {
                (upload.progress)(size);
                Ok(Attempt::Created(upload.info(size, output.e_tag(), output.version_id())))
            }
            Err(error) => match self.asked(Verb::Write, upload.key).refusal(&error) {
                Refusal::Precondition => Ok(Attempt::Taken),
                Refusal::Conflict => Ok(Attempt::Conflict),
                refusal => Err(self.asked(Verb::Write, upload.key).unexpected(refusal)),
            },
        }
    }

    async fn in_parts(
        &self,
        upload: &Upload<'_>,
        ready: &impl AsyncFn() -> Result<(), StoreError>,
    ) -> Result<Attempt, StoreError> {
        let asked = self.asked(Verb::Write, upload.key);
        // The algorithm must be declared here and be used for every part: the SDK adds another one otherwise, and servers
        // refuse the mixture when the upload is completed.
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(upload.key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject);
        let request = self.keeping.create(request, metadata(upload));
        let created = request.customize().config_override(small()).send().await;
        let created = created.map_err(|error| asked.unexpected(asked.refusal(&error)))?;
        let unfinished = Unfinished {
            bucket: self.bucket.clone(),
            key: upload.key.to_owned(),
            id: created.upload_id().unwrap_or_default().to_owned(),
            why: None,
        };
        self.unfinished().push(unfinished.clone());

        let attempt = async {
            let (size, parts) = self.send_parts(upload, &unfinished.id).await?;
            ready().await?;
            self.complete(upload, size, &unfinished.id, parts).await
        };
        let attempt = attempt.await;
        if matches!(attempt, Ok(Attempt::Created(_))) {
            self.unfinished().retain(|other| other.id != unfinished.id);
            return attempt;
        }
        // What matters to the caller is why the upload failed; that its parts stay is noted.
        let _ = self.abort(&unfinished).await;
        attempt
    }

    /// Sends all parts. The size of the file, and what completes the upload.
    async fn send_parts(&self, upload: &Upload<'_>, id: &str) -> Result<(u64, Vec<CompletedPart>), StoreError> {
        let mut running = JoinSet::new();
        let sent = self.keep_sending(upload, id, &mut running).await;
        // After a failure no part may arrive behind the abort.
        running.shutdown().await;
        let (size, mut parts) = sent?;
        parts.sort_by_key(CompletedPart::part_number);
        Ok((size, parts))
    }

    async fn keep_sending(
        &self,
        upload: &Upload<'_>,
        id: &str,
        running: &mut JoinSet<Result<(u64, CompletedPart), part::Failed>>,
    ) -> Result<(u64, Vec<CompletedPart>), StoreError> {
        let Growing { path, most, stage, .. } = upload.growing;
        let held = upload.growing.held();
        let mut stage = stage.clone();
        let mut parts = Parts::new(self.sending.part_size, *most);
        let mut check = upload.whole.map(|_| Check::open(&held)).transpose().map_err(cannot_read(path))?;
        let (mut done, mut sent) = (Vec::new(), 0);
        loop {
            let now = stage.borrow_and_update().clone();
            let room = running.len() < self.sending.parallel_parts;
            if let Some(range) = room.then(|| parts.take(&now)).flatten() {
                if let Some(check) = &mut check {
                    check.add(range.end - range.start).map_err(cannot_read(path))?;
                }
                let part = Part {
                    client: self.client.clone(),
                    bucket: self.bucket.clone(),
                    key: upload.key.to_owned(),
                    id: id.to_owned(),
                    number: parts.number(&range),
                    held: held.clone(),
                    range,
                };
                running.spawn(part.send());
                continue;
            }
            if let Some(Whole { size, .. }) = now.whole
                && running.is_empty()
            {
                if let Some(check) = check {
                    check_digest(upload, check.hasher.finish())?;
                }
                return Ok((size, done));
            }
            tokio::select! {
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    let ended = ended.expect("a part neither panics nor is cancelled while the set lives");
                    let (length, part) = ended.map_err(|failed| self.part_failed(upload, failed))?;
                    sent += length;
                    done.push(part);
                    (upload.progress)(sent);
                }
                changed = stage.changed(), if now.whole.is_none() => {
                    changed.map_err(|_| upload.given_up()(GivenUp))?;
                }
            }
        }
    }

    fn part_failed(&self, upload: &Upload<'_>, failed: part::Failed) -> StoreError {
        match failed {
            part::Failed::Read(source) => cannot_read(&upload.growing.path)(source),
            part::Failed::Send(error) => {
                let asked = self.asked(Verb::Write, upload.key);
                asked.unexpected(asked.refusal(&error))
            }
        }
    }

    async fn complete(
        &self,
        upload: &Upload<'_>,
        size: u64,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Attempt, StoreError> {
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(upload.key)
            .upload_id(id)
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(size).unwrap_or(i64::MAX))
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        match request.send().await {
            Ok(output) => Ok(Attempt::Created(upload.info(size, output.e_tag(), output.version_id()))),
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
                    refusal => {
                        let error = asked.unexpected(refusal);
                        let why = refusal::chain(&error).0;
                        let mut unfinished = self.unfinished();
                        unfinished.iter_mut().filter(|it| it.id == upload.id).for_each(|it| it.why = Some(why.clone()));
                        return Err(error);
                    }
                }
            }
            let request = self.client.list_parts().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
            match request.max_parts(1).customize().config_override(small()).send().await {
                Ok(_) => pause(times).await,
                // Gone, or nobody may look: then one abort has to do.
                Err(_) => break,
            }
        }
        self.unfinished().retain(|other| other.id != upload.id);
        Ok(())
    }

    /// See [`super::super::Store::take_unfinished`].
    pub(in super::super) fn take_unfinished(&self) -> Vec<Unfinished> {
        std::mem::take(&mut *self.unfinished())
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, Vec<Unfinished>> {
        // The list is never left half changed.
        self.unfinished.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Upload<'_> {
    fn info(&self, size: u64, etag: Option<&str>, id: Option<&str>) -> ObjectInfo {
        ObjectInfo {
            size,
            etag: unquoted(etag),
            version: version(id),
            sha256: self.whole.map(|whole| whole.sha256),
            content_digest: self.whole.map(|whole| whole.content_digest),
        }
    }

    fn given_up(&self) -> impl Fn(GivenUp) -> StoreError {
        |_| StoreError::GivenUp(self.growing.path.clone())
    }
}

fn metadata(upload: &Upload<'_>) -> std::collections::HashMap<String, String> {
    let digests = upload.whole.map(|whole| [(META_CONTENT_DIGEST, whole.content_digest), (META_SHA256, whole.sha256)]);
    let digests = digests.into_iter().flatten().map(|(name, digest)| (name, digest.to_string()));
    digests.chain([(META_COMMIT, upload.commit.to_owned())]).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn check_digest(upload: &Upload<'_>, found: Sha256) -> Result<(), StoreError> {
    match upload.whole {
        Some(Whole { sha256: expected, .. }) if expected != found => {
            Err(StoreError::OtherDigest { place: upload.growing.path.display().to_string(), expected, found })
        }
        Some(_) | None => Ok(()),
    }
}

/// Hashes a file on the way, part after part. What is read here is in memory when the part is sent.
struct Check {
    file: File,
    hasher: Hasher,
    buffer: Vec<u8>,
}

impl Check {
    fn open(held: &Path) -> std::io::Result<Check> {
        Ok(Check { file: File::open(held)?, hasher: Hasher::default(), buffer: vec![0; 256 << 10] })
    }

    /// Adds the next `length` bytes.
    fn add(&mut self, length: u64) -> std::io::Result<()> {
        let mut rest = length;
        while rest > 0 {
            let most = usize::try_from(rest).unwrap_or(usize::MAX).min(self.buffer.len());
            let got = self.file.read(&mut self.buffer[..most])?;
            if got == 0 {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            self.hasher.update(&self.buffer[..got]);
            rest -= got as u64;
        }
        Ok(())
    }
}

fn cannot_read(file: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = file.to_owned();
    move |source| StoreError::File { verb: Verb::Read, path, source }
}
