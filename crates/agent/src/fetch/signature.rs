//! Who signed a revision: looks for the signature beside it, and verifies it with the keys that this host accepts, before
//! anything else is done with the archive.

use std::error::Error;
use std::path::{Path, PathBuf};

use longshore_core::bundle::Bundle;
use longshore_core::failure::Exit;
use longshore_core::signature::{SUFFIX, Signature, SignatureError, Signed};
use longshore_core::store::{ObjectUrl, S3Options, Store, StoreError, StoreUrl};

use super::{FetchError, Request, asked_to_stop};
use crate::deployment::order::Revision;

/// What was found out about who signed a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// No key is accepted, so nobody looked; or it comes from this host's own keeping.
    Unasked,
    /// It has no signature, and need not have one.
    Unsigned,
    /// An accepted key signed it.
    Signed(Signed),
}

/// Why a revision is not taken because of its signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureRefusal {
    /// There is no signature.
    #[error("it is not signed: there is no `{0}`, and this group takes nothing that is not signed")]
    Unsigned(String),
    /// Nothing of its kind can be signed.
    #[error("{0} has no signature, and this group takes nothing that is not signed")]
    Unsignable(&'static str),
    /// A signature is asked for and nobody says whose.
    #[error("a signature is required, and no public key is accepted")]
    NoKeys,
    /// The signature cannot be fetched.
    #[error("cannot fetch its signature")]
    Store(#[source] StoreError),
    /// There are no settings for S3, or no credentials.
    #[error("cannot fetch its signature")]
    Access(#[source] Box<dyn Error + Send + Sync>),
    /// The signature is wrong.
    #[error("its signature `{place}` is refused")]
    Wrong {
        /// The signature.
        place: String,
        /// Why.
        source: SignatureError,
    },
}

impl SignatureRefusal {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            SignatureRefusal::Unsigned(_) | SignatureRefusal::Unsignable(_) => Exit::BadBundle,
            SignatureRefusal::NoKeys => Exit::Usage,
            SignatureRefusal::Store(source) => source.exit(),
            SignatureRefusal::Access(_) => Exit::Unavailable,
            SignatureRefusal::Wrong { source, .. } => source.exit(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SignatureRefusal::Unsigned(_) => {
                Some("sign it with `longshore sign`, and publish it again with `longshore push`".to_owned())
            }
            SignatureRefusal::Unsignable(_) => {
                Some("build an archive with `longshore build --sign`, and deploy that".to_owned())
            }
            SignatureRefusal::NoKeys => Some("name the keys with `--public-key`".to_owned()),
            SignatureRefusal::Store(source) => source.hint(),
            SignatureRefusal::Access(_) => None,
            SignatureRefusal::Wrong { source, .. } => source.hint(),
        }
    }
}

/// Looks for a signature of the revision whose archive stands at `archive`, and verifies it. Whatever goes wrong is a refusal.
pub(super) fn check(request: &Request<'_>, archive: &Path) -> Result<Checked, FetchError> {
    let policy = request.signatures;
    if policy.public_keys.is_empty() && !policy.require {
        return Ok(Checked::Unasked);
    }
    let refused = |source| FetchError::Signature { revision: request.revision.to_string(), source };
    if policy.public_keys.is_empty() {
        return Err(refused(SignatureRefusal::NoKeys));
    }
    let unsignable = |what| match policy.require {
        true => Err(refused(SignatureRefusal::Unsignable(what))),
        false => Ok(Checked::Unsigned),
    };
    let wrong = |place: &str, source| refused(SignatureRefusal::Wrong { place: place.to_owned(), source });
    let (place, found) = match request.revision {
        Revision::GitHub(_) => return unsignable("an archive that GitHub makes of a commit"),
        Revision::Local(_) if archive.is_dir() => return unsignable("a folder"),
        Revision::Local(path) => {
            let path = beside(path);
            let place = path.display().to_string();
            let found = Signature::read(&path).map_err(|source| wrong(&place, source))?;
            (place, found)
        }
        Revision::Object(url) => {
            let (place, bytes) = fetch(request, url)?;
            let found = bytes.map(|bytes| Signature::parse(&bytes)).transpose();
            (place.clone(), found.map_err(|source| wrong(&place, source))?)
        }
    };
    match found {
        Some(signature) => {
            let signed = signature.verify(archive, &policy.public_keys).map_err(|source| wrong(&place, source))?;
            Ok(Checked::Signed(signed))
        }
        None if policy.require => Err(refused(SignatureRefusal::Unsigned(place))),
        None => Ok(Checked::Unsigned),
    }
}

/// Refuses a bundle that the signer did not mean.
pub(super) fn agree(request: &Request<'_>, checked: &Checked, bundle: &Bundle) -> Result<(), FetchError> {
    let Checked::Signed(signed) = checked else { return Ok(()) };
    signed.check(bundle).map_err(|source| FetchError::Signature {
        revision: request.revision.to_string(),
        source: SignatureRefusal::Wrong { place: format!("{}{SUFFIX}", request.revision), source },
    })
}

fn beside(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// The object beside another one, and its URL. Its newest version, also where the archive's is pinned: a signature is of one
/// archive, whatever version it has.
fn fetch(request: &Request<'_>, url: &str) -> Result<(String, Option<Vec<u8>>), FetchError> {
    let object: ObjectUrl = url.parse()?;
    let object = ObjectUrl { key: format!("{}{SUFFIX}", object.key), version: None, etag: None, ..object };
    let place = object.to_string();
    let refused = |source| FetchError::Signature { revision: url.to_owned(), source };
    let mut options = match &object.store {
        // Before a runtime of ours is entered: it may wait for another one.
        StoreUrl::S3 { .. } => (request.access.s3)().map_err(|source| refused(SignatureRefusal::Access(source)))?,
        StoreUrl::Dir(_) => S3Options::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::Runtime)?;
    let read = runtime.block_on(async {
        let fetch = async {
            match read(&object, &options).await {
                Err(StoreError::WrongRegion { region: Some(region), .. }) => {
                    options.region = Some(region);
                    read(&object, &options).await
                }
                read => read,
            }
        };
        tokio::select! {
            read = fetch => read.map_err(|source| refused(SignatureRefusal::Store(source))),
            () = asked_to_stop(request.stop) => Err(FetchError::Stopped(place.clone())),
        }
    });
    runtime.shutdown_background();
    Ok((place, read?.map(|(bytes, _)| bytes)))
}

async fn read(object: &ObjectUrl, options: &S3Options) -> Result<Option<(Vec<u8>, String)>, StoreError> {
    Store::open_with(&object.store, options).await?.read(&object.key).await
}
