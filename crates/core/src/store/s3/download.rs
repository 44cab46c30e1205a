//! Fetching an object into a file: one stream, resumed by range after a broken connection, verified before it gets its
//! name.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::super::temporary::Temporary;
use super::super::url::{check_key, join_key};
use super::super::{Cause, ObjectInfo, ObjectUrl, StoreError, StoreUrl, Verb};
use super::refusal::{self, Asked, Refusal};
use super::{
    META_CONTENT_DIGEST, META_SHA256, S3Store, bytes, info_of_head, meta, pause, quoted, small, unquoted, version,
};
use crate::digest::{Hasher, Sha256};

/// How often in a row a connection may break without a single new byte.
const FRUITLESS: u32 = 5;
/// How often a connection may break in all.
const BREAKS: u32 = 200;

/// A download under way.
struct Download<'a> {
    store: &'a S3Store,
    bucket: &'a str,
    key: String,
    object: &'a ObjectUrl,
    to: &'a Path,
    /// What the first answer said. Every later answer must be about the same bytes.
    info: Option<ObjectInfo>,
    received: u64,
    hasher: Hasher,
}

impl S3Store {
    /// See [`super::super::Store::get`]. The bucket may be another one than that of the store.
    pub(in super::super) async fn get(
        &self,
        object: &ObjectUrl,
        to: &Path,
        expect: Option<Sha256>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ObjectInfo, StoreError> {
        let (bucket, key) = whole(object)?;
        let cannot_write = |source| StoreError::File { verb: Verb::Write, path: to.to_owned(), source };
        let temporary = Temporary::beside(to);
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(temporary.path()).await.map_err(cannot_write)?;
        let mut download =
            Download { store: self, bucket, key, object, to, info: None, received: 0, hasher: Hasher::default() };
        let info = download.run(&mut file, progress).await?;
        file.sync_all().await.map_err(cannot_write)?;
        drop(file);

        let found = download.hasher.finish();
        if let Some(expected) = expect.or(info.sha256).filter(|expected| *expected != found) {
            return Err(StoreError::OtherDigest { place: object.to_string(), expected, found });
        }
        temporary.rename(to).map_err(cannot_write)?;
        Ok(ObjectInfo { sha256: Some(found), ..info })
    }
}

/// A part of an object.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The object.
    pub object: &'a ObjectUrl,
    /// What [`S3Store::look`] said of it.
    pub info: &'a ObjectInfo,
    /// Its bytes, from and up to.
    pub bytes: Range<u64>,
}

impl S3Store {
    /// What is known of an object by its URL, whose bucket need not be that of this store. Refuses an object whose ETag is not
    /// that of the URL, and one that is larger than this store fetches. `None` when it does not exist.
    pub async fn look(&self, object: &ObjectUrl) -> Result<Option<ObjectInfo>, StoreError> {
        let (bucket, key) = whole(object)?;
        let request = self.client.head_object().bucket(bucket).key(&key).set_version_id(object.version.clone());
        let info = match request.customize().config_override(small()).send().await {
            Ok(output) => info_of_head(&output),
            Err(error) => {
                let asked = Asked { verb: Verb::Read, bucket, place: object.to_string(), store: self };
                return match asked.refusal_of_head(&error, object.version.as_deref()) {
                    Refusal::NotFound => Ok(None),
                    refusal => Err(asked.unexpected(refusal)),
                };
            }
        };
        match object.etag.clone().filter(|expected| *expected != info.etag) {
            Some(expected) => Err(StoreError::OtherEtag { place: object.to_string(), expected, found: info.etag }),
            None => self.refuse_large(object, info.size).map(|()| Some(info)),
        }
    }

    /// Refuses an object that nobody wants to have on a disk, at the first answer that tells its size.
    fn refuse_large(&self, object: &ObjectUrl, size: u64) -> Result<(), StoreError> {
        match self.largest.filter(|largest| size > *largest) {
            Some(limit) => Err(StoreError::TooLarge { place: object.to_string(), size, limit }),
            None => Ok(()),
        }
    }

    /// Fetches a part of an object into the same place of `file`, which stands at `path`, in as many connections as it takes.
    /// Refuses an object that is no longer the one that was looked at. Verifies nothing else: a digest is about the whole.
    /// `progress` is told how many more bytes are there.
    pub async fn get_part(
        &self,
        part: &Part<'_>,
        file: &std::fs::File,
        path: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), StoreError> {
        let Part { object, info, bytes: part } = part;
        let cannot_write = |source| StoreError::File { verb: Verb::Write, path: path.to_owned(), source };
        let (bucket, key) = whole(object)?;
        let asked = Asked { verb: Verb::Read, bucket, place: object.to_string(), store: self };
        let version = info.version.clone().or_else(|| object.version.clone());
        let (mut at, mut breaks, mut fruitless) = (part.start, 0, 0);
        while at < part.end {
            let before = at;
            let request = self.client.get_object().bucket(bucket).key(&key).set_version_id(version.clone());
            let request = request.if_match(quoted(&info.etag)).range(format!("bytes={at}-{}", part.end - 1));
            let source = match request.send().await {
                Ok(mut answer) => {
                    let expected = format!("bytes {at}-");
                    if !answer.content_range().is_some_and(|range| range.starts_with(&expected)) {
                        return Err(asked.unexpected(Refusal::Range));
                    }
                    loop {
                        match answer.body.try_next().await {
                            Ok(Some(chunk)) => {
                                let room = usize::try_from(part.end - at).unwrap_or(usize::MAX);
                                let chunk = &chunk[..chunk.len().min(room)];
                                file.write_all_at(chunk, at).map_err(cannot_write)?;
                                at += chunk.len() as u64;
                                progress(chunk.len() as u64);
                            }
                            Ok(None) => break Cause("the server closed the connection early".to_owned()),
                            Err(error) => break refusal::deepest(&error),
                        }
                    }
                }
                Err(error) => match asked.refusal(&error) {
                    Refusal::Precondition | Refusal::Range => return Err(StoreError::Replaced { place: asked.place }),
                    refusal => match asked.unexpected(refusal) {
                        StoreError::Unreachable { source, .. } => source,
                        error => return Err(error),
                    },
                },
            };
            if at == part.end {
                break;
            }
            breaks += 1;
            fruitless = if at > before { 1 } else { fruitless + 1 };
            if fruitless > FRUITLESS || breaks > BREAKS {
                let (received, size) = (at - part.start, part.end - part.start);
                return Err(StoreError::Broken { place: object.to_string(), times: breaks, received, size, source });
            }
            pause(fruitless).await;
        }
        Ok(())
    }
}

/// Bucket and whole key of an object in S3.
fn whole(object: &ObjectUrl) -> Result<(&str, String), StoreError> {
    let StoreUrl::S3 { bucket, prefix } = &object.store else {
        return Err(StoreError::OtherStore { object: object.to_string() });
    };
    let key = join_key(prefix, &object.key);
    check_key(&key)?;
    Ok((bucket, key))
}

impl Download<'_> {
    /// Receives all bytes, in as many connections as it takes.
    async fn run(&mut self, file: &mut File, progress: &(dyn Fn(u64) + Sync)) -> Result<ObjectInfo, StoreError> {
        let mut breaks = 0;
        let mut fruitless = 0;
        loop {
            let before = self.received;
            let source = match self.connect().await {
                Ok(Some(answer)) => match self.receive(answer, file, progress).await? {
                    None => break,
                    Some(source) => source,
                },
                Ok(None) => break,
                // The first connection must succeed; later the network may be away for a moment.
                Err(StoreError::Unreachable { source, .. }) if self.info.is_some() => source,
                Err(error) => return Err(error),
            };
            breaks += 1;
            fruitless = if self.received > before { 1 } else { fruitless + 1 };
            tracing::debug!(object = %self.object, received = self.received, %source, "the download broke off");
            if fruitless > FRUITLESS || breaks > BREAKS {
                let size = self.info.as_ref().map_or(0, |info| info.size);
                let (place, received) = (self.object.to_string(), self.received);
                return Err(StoreError::Broken { place, times: breaks, received, size, source });
            }
            pause(fruitless).await;
        }
        file.flush().await.map_err(|source| self.cannot_write(source))?;
        self.info.clone().ok_or_else(|| StoreError::NotFound(self.object.to_string()))
    }

    /// Asks for what is missing. `None`: nothing is.
    async fn connect(&mut self) -> Result<Option<GetObjectOutput>, StoreError> {
        let mut request = self.store.client.get_object().bucket(self.bucket).key(&self.key);
        request = request.set_version_id(self.object.version.clone());
        if let Some(info) = &self.info {
            if self.received == info.size {
                return Ok(None);
            }
            request = request
                .if_match(quoted(&info.etag))
                .set_version_id(info.version.clone().or_else(|| self.object.version.clone()))
                .range(format!("bytes={}-", self.received));
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let asked = self.asked();
                return Err(match asked.refusal(&error) {
                    Refusal::Precondition | Refusal::Range => StoreError::Replaced { place: asked.place },
                    refusal => asked.unexpected(refusal),
                });
            }
        };
        let etag = unquoted(answer.e_tag());
        match &self.info {
            Some(info) if info.etag != etag => Err(StoreError::Replaced { place: self.object.to_string() }),
            Some(_) => Ok(Some(answer)),
            None => {
                if let Some(expected) = self.object.etag.clone().filter(|expected| *expected != etag) {
                    return Err(StoreError::OtherEtag { place: self.object.to_string(), expected, found: etag });
                }
                let size = bytes(answer.content_length());
                self.store.refuse_large(self.object, size)?;
                self.info = Some(ObjectInfo {
                    size,
                    etag,
                    version: version(answer.version_id()),
                    sha256: meta(answer.metadata(), META_SHA256),
                    content_digest: meta(answer.metadata(), META_CONTENT_DIGEST),
                });
                Ok(Some(answer))
            }
        }
    }

    /// Writes what comes. `Some`: the stream broke off, for this reason.
    async fn receive(
        &mut self,
        mut answer: GetObjectOutput,
        file: &mut File,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Cause>, StoreError> {
        let expected = format!("bytes {}-", self.received);
        if self.received > 0 && !answer.content_range().is_some_and(|range| range.starts_with(&expected)) {
            return Err(self.asked().unexpected(Refusal::Range));
        }
        loop {
            let chunk = match answer.body.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Ok(Some(refusal::deepest(&error))),
            };
            file.write_all(&chunk).await.map_err(|source| self.cannot_write(source))?;
            self.hasher.update(&chunk);
            self.received += chunk.len() as u64;
            progress(self.received);
        }
        let size = self.info.as_ref().map_or(0, |info| info.size);
        if self.received == size {
            return Ok(None);
        }
        Ok(Some(Cause("the server closed the connection early".to_owned())))
    }

    fn asked(&self) -> Asked<'_> {
        Asked { verb: Verb::Read, bucket: self.bucket, place: self.object.to_string(), store: self.store }
    }

    fn cannot_write(&self, source: std::io::Error) -> StoreError {
        StoreError::File { verb: Verb::Write, path: self.to.to_owned(), source }
    }
}
