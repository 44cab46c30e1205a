//! Where artifacts live: an S3 bucket or a folder. Both are real stores; neither is a test double.
//!
//! A store is opened at a [`StoreUrl`]; the keys given to its methods are relative to the prefix of that URL. An
//! [`ObjectUrl`] names one object wholly, and [`Store::get`] takes it as it stands. [`StoreUrl::object`] leads from one
//! to the other.

mod dir;
mod error;
mod s3;
mod temporary;
mod upload;
mod url;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::artifact::ArtifactKey;
use crate::digest::Sha256;
use crate::growing::{GivenUp, Growing};
use crate::host_status;
use crate::proxy::ProxyUrl;

pub use error::{Cause, StoreError, Verb};
pub use s3::{Part, S3Store, connect};
pub use upload::{InvalidUpload, S3Upload, Sending, Unfinished};
pub use url::{InvalidUrl, ObjectUrl, StoreUrl};

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// The ETag without quotes. In a folder: the SHA-256 of the bytes in hex.
    pub etag: String,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The SHA-256 of its bytes, where whoever stored it said so; after [`Store::get`], and in a folder, the measured one.
    pub sha256: Option<Sha256>,
    /// The content digest of the bundle, where whoever stored it said so. Folders do not keep it.
    pub content_digest: Option<Sha256>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key, relative to the prefix of the store.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was stored.
    pub modified: Timestamp,
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
    /// Something already stands there; nothing was changed. It may be the same: compare the digests.
    Exists(ObjectInfo),
}

/// What is left of an object that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Its versions, below a delete marker: the bucket keeps them.
    Versions,
}

/// What became of a small object since it was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    Same,
    /// It is not there.
    Missing,
    /// It has other contents, or was not read before.
    New {
        /// All of it.
        contents: Vec<u8>,
        /// Its ETag.
        etag: String,
    },
}

/// What [`Store::open_with`] takes instead of what the environment says. Only for S3.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// The URL of the S3 server; buckets are then part of the path, as local servers want it.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Use the FIPS endpoints of AWS. Without effect on a given endpoint.
    pub fips: bool,
    /// The keys to sign with.
    pub keys: Option<Keys>,
    /// The proxy, instead of those that the standard variables name (`HTTPS_PROXY` and so on). `NO_PROXY` counts for it too.
    pub proxy: Option<ProxyUrl>,
    /// A file of further certificate authorities, instead of the one that `AWS_CA_BUNDLE` names.
    pub ca_bundle: Option<PathBuf>,
    /// How what is stored is kept.
    pub upload: S3Upload,
    /// How artifacts are sent.
    pub sending: Sending,
    /// The largest object that is fetched into a file, in bytes; `None`: any. Who writes into a bucket shall not fill a disk.
    pub largest: Option<u64>,
}

/// Credentials of AWS. Their secrets are not in the debug output.
#[derive(Clone)]
pub struct Keys {
    /// `AKIA…` or `ASIA…`
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// For temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// An opened store.
#[derive(Debug)]
pub enum Store {
    /// A bucket.
    S3(Box<S3Store>),
    /// A folder.
    Dir(dir::DirStore),
}

impl Store {
    /// Opens a store. For S3: region, credentials, endpoint (`AWS_ENDPOINT_URL_S3` included), proxies and certificate
    /// authorities as the AWS CLI finds them; without credentials this fails. Whether bucket or folder exist shows at the first use.
    pub async fn open(url: &StoreUrl) -> Result<Store, StoreError> {
        Store::open_with(url, &S3Options::default()).await
    }

    /// The same with some of the settings given.
    pub async fn open_with(url: &StoreUrl, options: &S3Options) -> Result<Store, StoreError> {
        match url {
            StoreUrl::S3 { bucket, prefix } => Ok(Store::S3(Box::new(S3Store::open(bucket, prefix, options).await?))),
            StoreUrl::Dir(dir) => Ok(Store::Dir(dir::DirStore::new(dir.clone()))),
        }
    }

    /// Stores a file under a key that must be new. Never overwrites, also not when two writers race. Refuses a file whose
    /// digest is not that of its attributes. `progress` gets the bytes that are stored so far.
    ///
    /// When this future is dropped before it ends (Ctrl-C), parts of a large file may stay in the bucket, invisible but
    /// billed: the caller then awaits [`Store::clean_up`].
    pub async fn put_new(
        &self,
        key: &str,
        file: &Path,
        attributes: &Attributes,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        let Attributes { sha256, content_digest, commit } = attributes;
        let opened = Growing::finished(file, *sha256, *content_digest);
        let growing = opened.map_err(|source| StoreError::File { verb: Verb::Read, path: file.to_owned(), source })?;
        self.put_growing(key, (&growing, commit), async || Ok(()), progress).await
    }

    /// Stores a file under a key that must be new while the file is written: what is final is sent at once, and the object
    /// appears only when the file is whole. Nothing is sent when something stands there already. The commit stands beside the
    /// object, and both digests if they are known when the first bytes go. `ready`: awaited when the file is whole, right before the
    /// object appears, and again when another writer interfered; refuses the object.
    ///
    /// Otherwise as [`Store::put_new`]. A folder, and an S3 store that gets at most 16 MiB, wait for the whole file.
    pub async fn put_growing(
        &self,
        key: &str,
        (growing, commit): (&Growing, &str),
        ready: impl AsyncFn() -> Result<(), GivenUp>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        match self {
            Store::S3(store) => store.put_growing(key, (growing, commit), ready, progress).await,
            Store::Dir(store) => store.put_growing(key, growing, ready, progress).await,
        }
    }

    /// The uploads in parts of this store that could not be aborted, each once. Not while something is stored.
    pub fn take_unfinished(&self) -> Vec<Unfinished> {
        match self {
            Store::S3(store) => store.take_unfinished(),
            Store::Dir(_) => Vec::new(),
        }
    }

    /// Removes what a dropped [`Store::put_new`] or [`Store::put_growing`] of this store left behind. Does nothing otherwise.
    pub async fn clean_up(&self) -> Result<(), StoreError> {
        match self {
            Store::S3(store) => store.clean_up().await,
            // A dropped writer has removed its temporary file itself.
            Store::Dir(_) => Ok(()),
        }
    }

    /// Replaces a small object if its ETag is still `expected` (`None`: if it does not exist). The new ETag, or
    /// `Ok(None)`: somebody was faster.
    pub async fn replace_if(
        &self,
        key: &str,
        contents: &[u8],
        expected: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        match self {
            Store::S3(store) => store.replace_if(key, contents, expected).await,
            Store::Dir(store) => store.replace_if(key, contents, expected),
        }
    }

    /// What is known of an object; `None` when it does not exist.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<ObjectInfo>, StoreError> {
        match self {
            Store::S3(store) => store.head(key, version).await,
            Store::Dir(store) => store.head(key, version),
        }
    }

    /// Fetches an object into a file, hashing as it goes and resuming by range after a broken connection. Refuses an
    /// object whose digest is not `expect` (or, without that, not what its own metadata says), and one whose ETag is not
    /// that of the URL. The file appears under its name only when it is whole and verified, replacing what stood there;
    /// after a failure nothing is left. `progress` gets the bytes that are there so far.
    ///
    /// The bucket or folder is that of `object`; its kind must be that of this store.
    pub async fn get(
        &self,
        object: &ObjectUrl,
        to: &Path,
        expect: Option<Sha256>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ObjectInfo, StoreError> {
        match self {
            Store::S3(store) => store.get(object, to, expect, progress).await,
            Store::Dir(_) => dir::DirStore::get(object, to, expect, progress).await,
        }
    }

    /// Fetches a small object whole, with its ETag; `None` when it does not exist. At most 256 KiB: pointers and what
    /// hosts say of themselves are small, and whoever writes one of them must not fill the memory of all who read it.
    pub async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        self.read_at_most(key, READ_LIMIT).await
    }

    /// The same for an object that may have more bytes.
    pub async fn read_at_most(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        match self {
            Store::S3(store) => store.read(key, limit).await,
            Store::Dir(store) => store.read(key, limit),
        }
    }

    /// The same, unless its ETag is still `known`: then nothing but that is fetched.
    pub async fn read_if_changed(&self, key: &str, known: Option<&str>) -> Result<Changed, StoreError> {
        match self {
            Store::S3(store) => store.read_if_changed(key, known).await,
            Store::Dir(store) => store.read_if_changed(key, known),
        }
    }

    /// Removes an artifact, or its signature or provenance; that it is not there is a success. Any other key is refused: pointers,
    /// history, and what is not ours.
    pub async fn remove_artifact(&self, key: &str) -> Result<Left, StoreError> {
        if ArtifactKey::parse(key).is_none() {
            return Err(StoreError::InvalidKey { key: key.to_owned(), why: "it is no key of an artifact".to_owned() });
        }
        match self {
            Store::S3(store) => store.remove(key).await,
            Store::Dir(store) => store.remove(key).map(|()| Left::Nothing),
        }
    }

    /// Removes what a host says of itself; that it is not there is a success. Any key that is not below `status/` is refused:
    /// pointers and history are not removed, and artifacts by [`Store::remove_artifact`] alone.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        if !key.starts_with(host_status::ROOT) {
            let why = format!("only what stands below `{}` is removed so", host_status::ROOT);
            return Err(StoreError::InvalidKey { key: key.to_owned(), why });
        }
        match self {
            Store::S3(store) => store.remove(key).await.map(drop),
            Store::Dir(store) => store.remove(key),
        }
    }

    /// All objects whose key starts with `prefix` (which is itself relative to the store's own), sorted by key.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        match self {
            Store::S3(store) => store.list(prefix).await,
            Store::Dir(store) => store.list(prefix),
        }
    }
}

/// The most that [`Store::read`] fetches.
const READ_LIMIT: u64 = 256 << 10;
