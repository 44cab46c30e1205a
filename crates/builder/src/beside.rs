//! What stands beside an artifact: its signature and its provenance. Looks whether they are the artifact's own, and stores them
//! beside it, never over others.

use std::io;
use std::path::{Path, PathBuf};

use longshore_core::digest::Sha256;
use longshore_core::failure::Exit;
use longshore_core::figures::quoted;
use longshore_core::signature::{self, Claim, Signature, SignatureError};
use longshore_core::store::{Store, StoreError, StoreUrl};

use crate::artifact::Artifact;
use crate::provenance::{self, ProvenanceError};
use crate::signing;

/// What stands beside an artifact and is its own.
#[derive(Debug)]
pub(crate) struct Beside {
    archive_digest: Sha256,
    /// With what Longshore says in it; `None`: another tool made it, and only the public key tells whether it is right.
    signature: Option<(Signature, Option<Claim>)>,
    provenance: Option<Vec<u8>>,
}

/// Why signature or provenance are not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BesideError {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// A signature that is not this artifact's.
    #[error("`{path}` is no signature of `{artifact}`")]
    Signature { path: PathBuf, artifact: PathBuf, source: SignatureError },
    /// Provenance that is not this artifact's.
    #[error("`{path}` is no provenance of `{artifact}`")]
    Provenance { path: PathBuf, artifact: PathBuf, source: ProvenanceError },
    /// The same content was packed into other bytes.
    #[error("`{0}` has the same content in other bytes, of which the signature or provenance here says nothing")]
    OtherBytes(String),
    /// Something else is published.
    #[error("`{url}` holds {found}, and what is published is never replaced")]
    Taken { url: String, found: String },
    /// The store failed.
    #[error("cannot publish to `{url}`")]
    Store { url: String, source: StoreError },
}

impl BesideError {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            BesideError::Read { .. } => Exit::Failed,
            BesideError::Signature { source, .. } => source.exit(),
            BesideError::Provenance { .. } => Exit::BadBundle,
            BesideError::OtherBytes(_) | BesideError::Taken { .. } => Exit::Conflict,
            BesideError::Store { source, .. } => source.exit(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let shown = |path: &Path| quoted(&path.display().to_string());
        match self {
            BesideError::Read { .. } => None,
            BesideError::Signature { artifact, .. } => Some(format!(
                "it is left from an earlier build, or damaged; sign again: longshore sign {}",
                shown(artifact)
            )),
            BesideError::Provenance { path, .. } => Some(format!(
                "it is left from an earlier build; write it anew with `longshore build --provenance`, or remove it: rm {}",
                shown(path)
            )),
            BesideError::OtherBytes(url) => {
                Some(format!("another version of Longshore packed it: fetch `{url}`, then sign and push that file"))
            }
            BesideError::Taken { .. } => Some(
                "find out who published it; to exchange it on purpose, remove that object from the store first"
                    .to_owned(),
            ),
            BesideError::Store { source, .. } => source.hint(),
        }
    }
}

impl Beside {
    /// Reads what stands beside an artifact, and refuses what is not its own.
    pub(crate) fn read(artifact: &Artifact) -> Result<Beside, BesideError> {
        let archive_digest = artifact.archive_digest;
        let path = signing::path_of(&artifact.path);
        let signature = signature_of(artifact, &path).map_err(|source| BesideError::Signature {
            path,
            artifact: artifact.path.clone(),
            source,
        })?;
        let path = provenance::path_of(&artifact.path);
        let provenance = match std::fs::read(&path) {
            Ok(text) => {
                provenance::about(&text, Some(archive_digest)).map_err(|source| BesideError::Provenance {
                    path,
                    artifact: artifact.path.clone(),
                    source,
                })?;
                Some(text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(BesideError::Read { path, source }),
        };
        Ok(Beside { archive_digest, signature, provenance })
    }

    /// What could not be looked at, one sentence.
    pub(crate) fn warning(&self, artifact: &Artifact) -> Option<String> {
        let (signature, None) = self.signature.as_ref()? else { return None };
        Some(format!(
            "whether `{}`, made with key {}, is of this artifact is not known without the public key; `longshore verify` \
             tells",
            signing::path_of(&artifact.path).display(),
            signature.key_id(),
        ))
    }

    /// The endings of what there is.
    pub(crate) fn suffixes(&self) -> impl Iterator<Item = &'static str> {
        let signature = self.signature.as_ref().map(|_| signature::SUFFIX);
        signature.into_iter().chain(self.provenance.as_ref().map(|_| provenance::SUFFIX))
    }

    /// Stores everything beside the object `key`. `stored`: the digest of the object's bytes, as far as it is known.
    pub(crate) async fn publish(
        &self,
        store: &Store,
        to: &StoreUrl,
        key: &str,
        stored: Option<Sha256>,
    ) -> Result<(), BesideError> {
        if self.suffixes().next().is_some() && stored != Some(self.archive_digest) {
            return Err(BesideError::OtherBytes(to.object(key).to_string()));
        }
        if let Some((signature, claim)) = &self.signature {
            let same = |there: &[u8]| match Signature::parse(there) {
                // Two signatures of one key over one archive are never the same bytes, and say the same.
                Ok(other) if claim.is_some() && other.key_id() == signature.key_id() => {
                    match other.claim().is_ok_and(|other| other == *claim) {
                        true => Ok(()),
                        false => Err("the signature of another archive".to_owned()),
                    }
                }
                Ok(other) => Err(format!("another signature, made with key {}", other.key_id())),
                Err(_) => Err("something else".to_owned()),
            };
            put(store, to, &format!("{key}{}", signature::SUFFIX), signature.text().as_bytes(), same).await?;
        }
        if let Some(text) = &self.provenance {
            // The first one tells of the run that built what is published.
            let same = |there: &[u8]| match provenance::about(there, Some(self.archive_digest)) {
                Ok(_) => Ok(()),
                Err(_) => Err("something else".to_owned()),
            };
            put(store, to, &format!("{key}{}", provenance::SUFFIX), text, same).await?;
        }
        Ok(())
    }
}

fn signature_of(artifact: &Artifact, path: &Path) -> Result<Option<(Signature, Option<Claim>)>, SignatureError> {
    let Some(signature) = Signature::read(path)? else { return Ok(None) };
    let claim = signature.claim()?;
    if let Some(claim) = &claim {
        let manifest = &artifact.manifest;
        claim.check(Some((&manifest.application, &manifest.commit)), Some(artifact.archive_digest))?;
    }
    Ok(Some((signature, claim)))
}

/// Stores a new object; one that is there may stay if `same` finds it good enough, which else says what it is.
async fn put(
    store: &Store,
    to: &StoreUrl,
    key: &str,
    bytes: &[u8],
    same: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<(), BesideError> {
    let url = || to.object(key).to_string();
    let failed = |source| BesideError::Store { url: url(), source };
    if store.replace_if(key, bytes, None).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    match store.read(key).await.map_err(failed)? {
        Some((there, _)) if there == bytes => Ok(()),
        Some((there, _)) => same(&there).map_err(|found| BesideError::Taken { url: url(), found }),
        None => Err(BesideError::Taken { url: url(), found: "an object that somebody removed meanwhile".to_owned() }),
    }
}
