//! What stands beside an artifact: its signature and its provenance. Looks whether they are the artifact's own, and stores them
//! beside it, never over others.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use longshore_core::digest::Sha256;
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
    /// It says that it is, and only its public key tells.
    Claimed,
    /// It says nothing, and only its public key tells.
    Nothing,
}

/// What becomes of a signature by a key that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strangers {
    /// It is published, and told of: nobody said whose signatures are accepted.
    Told,
    /// It is refused.
    Refused,
}

/// What is to stand beside the artifact.
#[derive(Debug, Clone, Copy)]
enum Side<'a> {
    Signature(&'a Signature),
    Provenance(&'a [u8]),
}

impl Side<'_> {
    fn suffix(self) -> &'static str {
        match self {
            Side::Signature(_) => signature::SUFFIX,
            Side::Provenance(_) => provenance::SUFFIX,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Side::Signature(signature) => signature.text().as_bytes(),
            Side::Provenance(text) => text,
        }
    }

    /// The most bytes that one can have.
    fn limit(self) -> u64 {
        match self {
            Side::Signature(_) => signature::SIGNATURE_LIMIT as u64,
            Side::Provenance(_) => provenance::LIMIT as u64,
        }
    }
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
    /// The same where there is no artifact that it could be of.
    #[error("`{url}` holds {found}, and no artifact stands there")]
    Orphaned { url: String, found: String, removal: String },
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
            BesideError::OtherBytes(_) | BesideError::Taken { .. } | BesideError::Orphaned { .. } => Exit::Conflict,
            BesideError::Store { source, .. } => source.exit(),
        }
    }

    /// Whether the same will be refused again.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            BesideError::Taken { .. } | BesideError::Orphaned { .. } => true,
            BesideError::Store { source, .. } => source.is_final(),
            BesideError::Read { .. }
            | BesideError::Signature { .. }
            | BesideError::Provenance { .. }
            | BesideError::OtherBytes(_) => false,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let shown = |path: &Path| quoted(&path.display().to_string());
        match self {
            BesideError::Read { .. } => None,
            BesideError::Signature { source: source @ SignatureError::OtherKey { .. }, .. } => source.hint(),
            BesideError::Signature { artifact, .. } => Some(format!(
                "it is left from an earlier build, or damaged; sign again: longshore sign {}",
                shown(artifact)
            )),
            BesideError::Provenance { path, .. } => Some(format!(
                "it is left from an earlier build; write it anew with `longshore build --provenance`, or remove it: rm {}",
                shown(path)
            )),
            BesideError::OtherBytes(url) => Some(format!(
                "another version of Longshore packed it, or another SOURCE_DATE_EPOCH. Without `--sign` and `--provenance` it is \
                 found as it is; to sign it as it is, fetch `{url}`, then sign and push that file"
            )),
            BesideError::Taken { removal, .. } => Some(format!(
                "find out who published it; to exchange it on purpose, remove it and push again: {removal}"
            )),
            BesideError::Orphaned { removal, .. } => Some(format!(
                "it is left from a push that did not end, or of one that is under way; if none is, remove it and push again: \
                 {removal}"
            )),
            BesideError::Store { source, .. } => source.hint(),
        }
    }
}

impl Beside {
    /// Reads what stands beside an artifact, and refuses what is not its own. `keys`: whose signatures can be verified.
    pub(crate) fn read(artifact: &Artifact, keys: Vec<PublicKey>, strangers: Strangers) -> Result<Beside, BesideError> {
        let Artifact { path, archive_digest, manifest } = artifact;
        let claim = Claim {
            application: manifest.application.clone(),
            commit: manifest.commit.clone(),
            archive_digest: *archive_digest,
        };
        let mut beside = Beside { archive: path.clone(), claim, signature: None, provenance: None, keys };
        let of_signature = signing::path_of(path);
        let signature = Signature::read(&of_signature).and_then(|signature| {
            let known = |signature: Signature| match (beside.judge(&signature)?, strangers) {
                (Known::Claimed | Known::Nothing, Strangers::Refused) => {
                    let accepted = beside.keys.iter().map(PublicKey::id).collect();
                    Err(SignatureError::OtherKey { found: signature.key_id(), accepted })
                }
                (known, Strangers::Refused | Strangers::Told) => Ok((signature, known)),
            };
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
        let (signature, Known::Claimed | Known::Nothing) = self.signature.as_ref()? else { return None };
        Some(format!(
            "whether `{}`, made with key {}, is of this artifact is not known without the public key, nor of one that is \
             published already; name it in `LONGSHORE_PUBLIC_KEY` or `sign.public_keys`",
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

    fn sides(&self) -> impl Iterator<Item = Side<'_>> {
        let signature = self.signature.as_ref().map(|(signature, _)| Side::Signature(signature));
        signature.into_iter().chain(self.provenance.as_deref().map(Side::Provenance))
    }

    /// Refuses what stands beside an artifact that is not there yet, unless it says the same, before anything is stored.
    pub(crate) async fn look(&self, destination: Destination<'_>) -> Result<(), BesideError> {
        // One alone is looked at when it is stored.
        if self.sides().count() < 2 {
            return Ok(());
        }
        for side in self.sides() {
            match self.there(side, destination).await {
                Ok(Some(Err(found))) => return Err(taken(side, destination, found)),
                Ok(Some(Ok(())) | None) => {}
                // Who may write need not be allowed to read.
                Err(BesideError::Store { source: StoreError::Denied { .. }, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stores everything beside an artifact of these very bytes. `stored`: what is there, also when the rest fails.
    pub(crate) async fn publish(
        &self,
        destination: Destination<'_>,
        stored: &mut Vec<StoredBeside>,
    ) -> Result<(), BesideError> {
        for side in self.sides() {
            let suffix = side.suffix();
            let key = format!("{}{suffix}", destination.key);
            let put = destination.store.replace_if(&key, side.bytes(), None).await;
            let already = put.map_err(|source| failed(suffix, destination, source))?.is_none();
            if already {
                let removed = || "an object that somebody removed meanwhile".to_owned();
                let there = self.there(side, destination).await?;
                there.unwrap_or_else(|| Err(removed())).map_err(|found| taken(side, destination, found))?;
            }
            stored.push(StoredBeside { suffix, already });
        }
        Ok(())
    }

    /// Whether the signature in the store is of this very archive, by the key that made ours. Never without the public key.
    pub(crate) async fn is_signed_there(&self, destination: Destination<'_>) -> Result<bool, BesideError> {
        let Some((signature, Known::Verified)) = &self.signature else { return Ok(false) };
        Ok(matches!(self.there(Side::Signature(signature), destination).await?, Some(Ok(()))))
    }

    /// What stands there in the place of ours, if all of it is right for the archive that is published: the same content in other bytes.
    pub(crate) async fn of_other_bytes(
        &self,
        destination: Destination<'_>,
        (archive, archive_digest): (&Path, Sha256),
    ) -> Result<Option<Vec<StoredBeside>>, BesideError> {
        let published = Beside {
            archive: archive.to_owned(),
            claim: Claim { archive_digest, ..self.claim.clone() },
            signature: None,
            provenance: None,
            keys: self.keys.clone(),
        };
        let mut stored = Vec::new();
        for side in self.sides() {
            let Ok(Some(there)) = bytes_there(side, destination).await? else { return Ok(None) };
            let right = match side {
                Side::Signature(ours) => Signature::parse(&there).is_ok_and(|there| {
                    there.key_id() == ours.key_id() && matches!(published.judge(&there), Ok(Known::Verified))
                }),
                Side::Provenance(_) => provenance::about(&there, Some(archive_digest)).is_ok(),
            };
            if !right {
                return Ok(None);
            }
            stored.push(StoredBeside { suffix: side.suffix(), already: true });
        }
        Ok(Some(stored))
    }

    /// What stands in the store: nothing, what says the same, or something else.
    async fn there(
        &self,
        side: Side<'_>,
        destination: Destination<'_>,
    ) -> Result<Option<Result<(), String>>, BesideError> {
        let there = match bytes_there(side, destination).await? {
            Ok(None) => return Ok(None),
            Ok(Some(there)) => there,
            Err(large) => return Ok(Some(Err(large))),
        };
        Ok(Some(match side {
            _ if there == side.bytes() => Ok(()),
            Side::Signature(ours) => self.says_the_same(ours, &there),
            // The first one tells of the run that built what is published.
            Side::Provenance(_) => match provenance::about(&there, Some(self.claim.archive_digest)) {
                Ok(_) => Ok(()),
                Err(_) => Err("something else".to_owned()),
            },
        }))
    }

    /// Whether a signature in the store is as good as ours; else what it is.
    fn says_the_same(&self, ours: &Signature, there: &[u8]) -> Result<(), String> {
        let Ok(other) = Signature::parse(there) else { return Err("something else".to_owned()) };
        let id = other.key_id();
        if id != ours.key_id() {
            return Err(format!("another signature, made with key {id}"));
        }
        match self.judge(&other) {
            // Two signatures of one key over the same bytes differ. That nobody has verified them, the warning says.
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

/// What stands in the store, if it is not too large, which is said then.
async fn bytes_there(
    side: Side<'_>,
    destination: Destination<'_>,
) -> Result<Result<Option<Vec<u8>>, String>, BesideError> {
    let suffix = side.suffix();
    match destination.store.read_at_most(&format!("{}{suffix}", destination.key), side.limit()).await {
        Ok(there) => Ok(Ok(there.map(|(there, _)| there))),
        Err(StoreError::TooLarge { size, .. }) => Ok(Err(format!("something else of {size} bytes"))),
        Err(source) => Err(failed(suffix, destination, source)),
    }
}

fn taken(side: Side<'_>, destination: Destination<'_>, found: String) -> BesideError {
    let suffix = side.suffix();
    BesideError::Taken { url: destination.url_beside(suffix), found, removal: destination.removal(suffix) }
}

fn failed(suffix: &str, destination: Destination<'_>, source: StoreError) -> BesideError {
    BesideError::Store { url: destination.url_beside(suffix), source }
}
