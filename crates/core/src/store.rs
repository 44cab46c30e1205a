//! Where artifacts live: an S3 bucket or a folder. Both are real stores; neither is a test double.

mod dir;
mod s3;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::digest::Sha256;

/// The place of a store: `s3://bucket/prefix` or `file:///folder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A bucket and a prefix without slashes at its ends (may be empty).
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// A folder, absolute.
    Dir(PathBuf),
}

/// The place of one object: `s3://bucket/key[?versionId=…&etag=…]` or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUrl {
    /// The bucket or the folder, without prefix.
    pub store: StoreUrl,
    /// The key within it.
    pub key: String,
    /// The version that is meant.
    pub version: Option<String>,
    /// The ETag that it must have, without quotes.
    pub etag: Option<String>,
}

/// A text that is no store or object URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` {why}")]
pub struct InvalidUrl {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub why: String,
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// The ETag without quotes.
    pub etag: String,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The SHA-256 of its bytes, where whoever stored it said so.
    pub sha256: Option<Sha256>,
    /// The content digest of the bundle, where whoever stored it said so.
    pub content_digest: Option<Sha256>,
}

/// What is stored beside an artifact's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The SHA-256 of the bytes.
    pub sha256: Sha256,
    /// The content digest of the bundle.
    pub content_digest: Sha256,
    /// The commit, for people who look at the bucket.
    pub commit: String,
}

/// How [`Store::put_new`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created(ObjectInfo),
    /// Something already stands there; nothing was changed.
    Exists(ObjectInfo),
}

/// Why a store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object does not exist.
    #[error("`{0}` does not exist")]
    NotFound(String),
}

/// An opened store.
#[derive(Debug)]
pub enum Store {
    /// A bucket.
    S3(s3::S3Store),
    /// A folder.
    Dir(dir::DirStore),
}

impl Store {
    /// Opens a store. For S3: region, credentials and endpoint as the AWS CLI finds them (`AWS_ENDPOINT_URL_S3` included).
    pub async fn open(url: &StoreUrl) -> Result<Store, StoreError> {
        let _ = url;
        Err(StoreError::NotFound("not written yet".into()))
    }

    /// Stores a file under a key that must be new. Never overwrites, also not when two writers race.
    pub async fn put_new(
        &self,
        key: &str,
        file: &Path,
        attributes: &Attributes,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        let _ = (key, file, attributes, progress);
        Err(StoreError::NotFound("not written yet".into()))
    }

    /// Replaces a small object if its ETag is still `expected` (`None`: if it does not exist). `Ok(None)`: somebody was faster.
    pub async fn replace_if(
        &self,
        key: &str,
        contents: &[u8],
        expected: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let _ = (key, contents, expected);
        Err(StoreError::NotFound("not written yet".into()))
    }

    /// What is known of an object; `None` when it does not exist.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<ObjectInfo>, StoreError> {
        let _ = (key, version);
        Err(StoreError::NotFound("not written yet".into()))
    }

    /// Fetches an object into a new file, hashing as it goes and resuming by range after a broken connection. Refuses an
    /// object whose digest is not `expect` (or, without that, not what its own metadata says).
    pub async fn get(
        &self,
        object: &ObjectUrl,
        to: &Path,
        expect: Option<Sha256>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ObjectInfo, StoreError> {
        let _ = (object, to, expect, progress);
        Err(StoreError::NotFound("not written yet".into()))
    }

    /// Fetches a small object whole, with its ETag; `None` when it does not exist.
    pub async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let _ = key;
        Err(StoreError::NotFound("not written yet".into()))
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Err(InvalidUrl { url: text.to_owned(), why: "not written yet".into() })
    }
}

impl FromStr for ObjectUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Err(InvalidUrl { url: text.to_owned(), why: "not written yet".into() })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
