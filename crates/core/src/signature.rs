//! Signatures of artifacts, in the files of minisign: a public key, a signature, and whether the one made the other over an
//! archive. Verifies; does not sign, and knows no secret key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::digest::Sha256;
use crate::failure::Exit;
use crate::ids::{ApplicationName, CommitHash};

/// What the name of a signature adds to that of its archive, in a folder as in a store.
pub const SUFFIX: &str = ".minisig";

/// The largest signature that is read; those of minisign have about 300 bytes.
pub const SIGNATURE_LIMIT: usize = 8 << 10;

/// What the text of a key or signature begins with, unless it is the key alone.
const UNTRUSTED: &str = "untrusted comment:";

/// How minisign tells keys apart: chance, not a digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    /// As minisign writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A public key. Its text is the line that begins with `RW`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    text: String,
    id: KeyId,
    key: minisign_verify::PublicKey,
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no public key of minisign: 56 characters that begin with `RW`")]
pub struct InvalidKey;

impl PublicKey {
    /// The key of 32 bytes under a chosen id.
    pub fn of_bytes(id: [u8; 8], key: &[u8; 32]) -> PublicKey {
        let bytes = [b"Ed".as_slice(), &id, key].concat();
        let text = BASE64_STANDARD.encode(bytes);
        text.parse().expect("its parts have the sizes that the format asks for")
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The bytes of its id, as signatures name it.
    pub fn key_id_bytes(&self) -> [u8; 8] {
        self.id.0
    }

    /// The file that minisign keeps it in.
    pub fn to_file(&self) -> String {
        format!("{UNTRUSTED} minisign public key {}\n{}\n", self.id, self.text)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    /// Takes the line alone, and the whole file.
    fn from_str(text: &str) -> Result<PublicKey, InvalidKey> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(UNTRUSTED));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(InvalidKey) };
        let bytes = BASE64_STANDARD.decode(line).map_err(|_| InvalidKey)?;
        let id = bytes.get(2..10).and_then(|id| id.try_into().ok()).ok_or(InvalidKey)?;
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_| InvalidKey)?;
        Ok(PublicKey { text: line.to_owned(), id: KeyId(id), key })
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<PublicKey, InvalidKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.text
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A signature as it was read. Nothing that it says is true before [`Signature::verify`].
#[derive(Clone)]
pub struct Signature {
    text: String,
    key_id: KeyId,
    inner: minisign_verify::Signature,
}

/// A signature that is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The id of the key that made it, as minisign writes it.
    pub key_id: String,
    /// What the signer said with it.
    pub trusted_comment: String,
}

/// Why an archive is not taken for signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The signature or the archive cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too much for a signature.
    #[error("it is larger than {SIGNATURE_LIMIT} bytes, so it is no signature of minisign")]
    TooLarge,
    /// The text is damaged, or something else.
    #[error("it is no signature of minisign, or is damaged")]
    Damaged,
    /// Made without the first hash.
    #[error("it was made in minisign's old mode, for which the whole archive would have to be in memory")]
    Legacy,
    /// Somebody else signed it.
    #[error("it was made with key {found}, and the accepted ones are {}", list(.accepted))]
    OtherKey {
        /// The key that made it, as it says.
        found: KeyId,
        /// The keys that were to make it.
        accepted: Vec<KeyId>,
    },
    /// It is not of these bytes.
    #[error("it names key {0}, but is not that key's signature of this archive and comment: one of them was changed")]
    Wrong(KeyId),
    /// The signer meant something else.
    #[error("it was made for {what} `{signed}`, and this is {what} `{found}`")]
    OtherArtifact {
        /// What differs.
        what: &'static str,
        /// What was signed.
        signed: String,
        /// What it is.
        found: String,
    },
    /// Ours, but not as we write it.
    #[error("its trusted comment `{}` is not one that Longshore writes", .0.escape_debug())]
    Comment(String),
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::to_string).collect::<Vec<_>>().join(", ")
}

impl SignatureError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            SignatureError::Read { .. } => Exit::Failed,
            SignatureError::TooLarge
            | SignatureError::Damaged
            | SignatureError::Legacy
            | SignatureError::OtherKey { .. }
            | SignatureError::Wrong(_)
            | SignatureError::OtherArtifact { .. }
            | SignatureError::Comment(_) => Exit::BadBundle,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SignatureError::Read { .. } => return None,
            SignatureError::TooLarge | SignatureError::Damaged => "sign the artifact again: `longshore sign ARTIFACT`",
            SignatureError::Legacy => "sign it again: `longshore sign ARTIFACT`, or `minisign -S -H -m ARTIFACT`",
            SignatureError::OtherKey { .. } => {
                "if that key may sign, name its public key too; else find out who signed the artifact"
            }
            SignatureError::Wrong(_) | SignatureError::OtherArtifact { .. } | SignatureError::Comment(_) => {
                "do not use the artifact before you know who changed what; one that was built anew is signed with \
                 `longshore sign ARTIFACT`"
            }
        };
        Some(hint.to_owned())
    }
}

impl Signature {
    /// Reads the text of a signature.
    pub fn parse(bytes: &[u8]) -> Result<Signature, SignatureError> {
        if bytes.len() > SIGNATURE_LIMIT {
            return Err(SignatureError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::Damaged)?;
        let inner = minisign_verify::Signature::decode(text).map_err(|_| SignatureError::Damaged)?;
        let line = text.lines().nth(1).ok_or(SignatureError::Damaged)?;
        let bytes = BASE64_STANDARD.decode(line).map_err(|_| SignatureError::Damaged)?;
        let key_id = bytes.get(2..10).and_then(|id| id.try_into().ok()).ok_or(SignatureError::Damaged)?;
        if bytes.starts_with(b"Ed") {
            return Err(SignatureError::Legacy);
        }
        Ok(Signature { text: text.to_owned(), key_id: KeyId(key_id), inner })
    }

    /// Reads a file; `None` when there is none. Never more of it than [`SIGNATURE_LIMIT`].
    pub fn read(path: &Path) -> Result<Option<Signature>, SignatureError> {
        let failed = |source| SignatureError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(SIGNATURE_LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Signature::parse(&bytes).map(Some)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key that made it, as it says.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What it says it was made for, if Longshore made it. Not to be trusted before it is verified.
    pub fn claim(&self) -> Result<Option<Claim>, SignatureError> {
        Claim::of_comment(self.inner.trusted_comment())
    }

    /// Verifies that one of these keys made it over this archive, and over its own trusted comment.
    pub fn verify(&self, archive: &Path, keys: &[PublicKey]) -> Result<Signed, SignatureError> {
        let failed = |source| SignatureError::Read { path: archive.to_owned(), source };
        let mut candidates: Vec<_> = keys
            .iter()
            .filter(|key| key.id == self.key_id)
            .filter_map(|key| key.key.verify_stream(&self.inner).ok())
            .collect();
        if candidates.is_empty() {
            let accepted = keys.iter().map(PublicKey::id).collect();
            return Err(SignatureError::OtherKey { found: self.key_id, accepted });
        }
        let mut file = File::open(archive).map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let got = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            candidates.iter_mut().for_each(|candidate| candidate.update(&buffer[..got]));
        }
        if candidates.iter_mut().all(|candidate| candidate.finalize().is_err()) {
            return Err(SignatureError::Wrong(self.key_id));
        }
        let trusted_comment = self.inner.trusted_comment().to_owned();
        Ok(Signed { key_id: self.key_id.to_string(), trusted_comment })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signature").field(&self.text).finish()
    }
}

impl Signed {
    /// Refuses a bundle that the signer did not mean. A comment of another tool says nothing about that.
    pub fn check(&self, bundle: &Bundle) -> Result<(), SignatureError> {
        match Claim::of_comment(&self.trusted_comment)? {
            Some(claim) => {
                let manifest = bundle.manifest.as_ref();
                let of = manifest.map(|manifest| (&manifest.application, &manifest.commit));
                claim.check(of, bundle.archive_digest)
            }
            None => Ok(()),
        }
    }
}

/// What Longshore says in the trusted comment of a signature: `longshore <application> <commit> sha256:<archive digest>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// The digest of the archive.
    pub archive_digest: Sha256,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "longshore {} {} sha256:{}", self.application, self.commit, self.archive_digest)
    }
}

impl Claim {
    /// Reads a trusted comment; `None`: another tool wrote it.
    pub fn of_comment(comment: &str) -> Result<Option<Claim>, SignatureError> {
        let Some(rest) = comment.strip_prefix("longshore ") else { return Ok(None) };
        let claim = || {
            let mut words = rest.split(' ');
            let claim = Claim {
                application: words.next()?.parse().ok()?,
                commit: words.next()?.parse().ok()?,
                archive_digest: words.next()?.strip_prefix("sha256:")?.parse().ok()?,
            };
            words.next().is_none().then_some(claim)
        };
        claim().map(Some).ok_or_else(|| SignatureError::Comment(comment.to_owned()))
    }

    /// Refuses what the signer did not mean. `of`: whose artifact it says it is, where it has a manifest.
    pub fn check(
        &self,
        of: Option<(&ApplicationName, &CommitHash)>,
        archive_digest: Option<Sha256>,
    ) -> Result<(), SignatureError> {
        let none = || "none".to_owned();
        let digest = archive_digest.map_or_else(none, |digest| digest.to_string());
        let (application, commit) =
            of.map_or_else(|| (none(), none()), |(application, commit)| (application.to_string(), commit.to_string()));
        for (what, signed, found) in [
            ("application", self.application.to_string(), application),
            ("commit", self.commit.to_string(), commit),
            ("archive", self.archive_digest.to_string(), digest),
        ] {
            if signed != found {
                return Err(SignatureError::OtherArtifact { what, signed, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
