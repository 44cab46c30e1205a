//! What stands beside an artifact: its signature and its provenance. Looks whether they are the artifact's own, and stores them
//! beside it, never over others.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use longshore_core::failure::Exit;
use longshore_core::figures::quoted;
use longshore_core::signature::{self, Claim, PublicKey, Signature, SignatureError};
use longshore_core::store::StoreError;

use crate::artifact::Artifact;
use crate::destination::Destination;
use crate::provenance::{self, ProvenanceError};
use crate::signing;

/// What stands beside an artifact and is its own.
#[derive(Debug)]
pub(crate) struct Beside {
    archive: PathBuf,
    /// What Longshore says in a signature of the artifact.
    claim: Claim,
    signature: Option<(Signature, Known)>,
    provenance: Option<Vec<u8>>,
    /// Whose signatures can be verified.
    keys: Vec<PublicKey>,
}

/// How far a signature is known to be the artifact's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Its key made it over the archive.
    Verified,
    /// Longshore made it, and it says so.
    Claimed,
    /// Another tool made it: only the public key tells.
    Nothing,
}

/// Something that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredBeside {
    /// What its key ends with.
    pub(crate) suffix: &'static str,
    /// Whether one that says the same was there before.
    pub(crate) already: bool,
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
    Taken { url: String, found: String, removal: String },
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
            BesideError::Taken { removal, .. } => Some(format!(
                "find out who published it; to exchange it on purpose, remove it and push again: {removal}"
            )),
            BesideError::Store { source, .. } => source.hint(),
        }
    }
}

impl Beside {
    /// Reads what stands beside an artifact, and refuses what is not its own. `keys`: whose signatures can be verified.
    pub(crate) fn read(artifact: &Artifact, keys: Vec<PublicKey>) -> Result<Beside, BesideError> {
        let Artifact { path, archive_digest, manifest } = artifact;
        let claim = Claim {
            application: manifest.application.clone(),
            commit: manifest.commit.clone(),
            archive_digest: *archive_digest,
        };
        let mut beside = Beside { archive: path.clone(), claim, signature: None, provenance: None, keys };
        let of_signature = signing::path_of(path);
        let signature = Signature::read(&of_signature).and_then(|signature| {
            let known = |signature: Signature| beside.judge(&signature).map(|known| (signature, known));
            signature.map(known).transpose()
        });
        beside.signature = signature.map_err(|source| beside.refused(of_signature, source))?;
        let of_provenance = provenance::path_of(path);
        beside.provenance = read(&of_provenance)?;
        if let Some(text) = &beside.provenance {
            provenance::about(text, Some(*archive_digest)).map_err(|source| BesideError::Provenance {
                path: of_provenance,
                artifact: path.clone(),
                source,
            })?;
        }
        Ok(beside)
    }

    fn refused(&self, path: PathBuf, source: SignatureError) -> BesideError {
        BesideError::Signature { path, artifact: self.archive.clone(), source }
    }

    /// Whether a signature is one of the archive, as far as can be told.
    fn judge(&self, signature: &Signature) -> Result<Known, SignatureError> {
        let claim = signature.claim()?;
        if let Some(claim) = &claim {
            claim.check(Some((&self.claim.application, &self.claim.commit)), Some(self.claim.archive_digest))?;
        }
        if self.keys.iter().any(|key| key.id() == signature.key_id()) {
            signature.verify(&self.archive, &self.keys)?;
            return Ok(Known::Verified);
        }
        Ok(if claim.is_some() { Known::Claimed } else { Known::Nothing })
    }

    /// What could not be looked at, one sentence.
    pub(crate) fn warning(&self) -> Option<String> {
        let (signature, Known::Nothing) = self.signature.as_ref()? else { return None };
        Some(format!(
            "whether `{}`, made with key {}, is of this artifact is not known without the public key; `longshore verify` \
             tells",
            signing::path_of(&self.archive).display(),
            signature.key_id(),
        ))
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.signature.is_none() && self.provenance.is_none()
    }

    /// Whether there is a signature.
    pub(crate) fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Stores everything beside an artifact of these very bytes. `stored`: what is there, also when the rest fails.
    pub(crate) async fn publish(
        &self,
        destination: Destination<'_>,
        stored: &mut Vec<StoredBeside>,
    ) -> Result<(), BesideError> {
        if let Some((signature, _)) = &self.signature {
            let same = |there: &[u8]| self.says_the_same(signature, there);
            let limit = signature::SIGNATURE_LIMIT as u64;
            let bytes = signature.text().as_bytes();
            stored.push(put(destination, signature::SUFFIX, bytes, limit, same).await?);
        }
        if let Some(text) = &self.provenance {
            // The first one tells of the run that built what is published.
            let same = |there: &[u8]| match provenance::about(there, Some(self.claim.archive_digest)) {
                Ok(_) => Ok(()),
                Err(_) => Err("something else".to_owned()),
            };
            stored.push(put(destination, provenance::SUFFIX, text, provenance::LIMIT as u64, same).await?);
        }
        Ok(())
    }

    /// Whether a signature in the store is as good as ours; else what it is.
    fn says_the_same(&self, ours: &Signature, there: &[u8]) -> Result<(), String> {
        let Ok(other) = Signature::parse(there) else { return Err("something else".to_owned()) };
        let id = other.key_id();
        if id != ours.key_id() {
            return Err(format!("another signature, made with key {id}"));
        }
        match self.judge(&other) {
            Ok(Known::Verified | Known::Claimed) => Ok(()),
            Ok(Known::Nothing) => Err(format!("another signature, made with key {id}")),
            Err(SignatureError::OtherArtifact { .. }) => Err("the signature of another archive".to_owned()),
            Err(error) => Err(format!("a signature that is not right ({error})")),
        }
    }
}

/// Reads a statement, and no more of it than tells that it is too large.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BesideError> {
    let failed = |source| BesideError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut text = Vec::new();
    file.take(provenance::LIMIT as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// Stores a new object; one that is there may stay if `same` finds it good enough, which else says what it is. `limit`: the most
/// bytes that it can have.
async fn put(
    destination: Destination<'_>,
    suffix: &'static str,
    bytes: &[u8],
    limit: u64,
    same: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<StoredBeside, BesideError> {
    let Destination { store, key, .. } = destination;
    let url = || destination.url_beside(suffix);
    let taken = |found| BesideError::Taken { url: url(), found, removal: destination.removal(suffix) };
    let failed = |source| BesideError::Store { url: url(), source };
    let key = format!("{key}{suffix}");
    if store.replace_if(&key, bytes, None).await.map_err(failed)?.is_some() {
        return Ok(StoredBeside { suffix, already: false });
    }
    match store.read_at_most(&key, limit).await {
        Ok(Some((there, _))) if there != bytes => same(&there).map_err(taken)?,
        Ok(Some(_)) => {}
        Ok(None) => return Err(taken("an object that somebody removed meanwhile".to_owned())),
        Err(StoreError::TooLarge { size, .. }) => return Err(taken(format!("something else of {size} bytes"))),
        Err(error) => return Err(failed(error)),
    }
    Ok(StoredBeside { suffix, already: true })
}
