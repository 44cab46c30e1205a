//! Signs artifacts, with a key in a file, in the environment, or in KMS: whose key it is, what is signed, and where the
//! signature goes. The files are those of minisign.

pub(crate) mod file;
mod kms;
pub(crate) mod password;
pub(crate) mod policy;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use blake2::{Blake2b512, Digest as _};
use longshore_core::bundle::Manifest;
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::fsx;
use longshore_core::signature::{Claim, KeyId, PublicKey, SUFFIX, Signature, SignatureError};

use crate::cli::SignArgs;
use crate::environment::Environment;
use crate::settings::Settings;
use file::SecretKey;
use kms::KmsKey;

/// The variable that holds the text of a secret key.
const KEY_VARIABLE: &str = "LONGSHORE_SIGN_KEY";
/// The variable that names a key of KMS.
const KMS_VARIABLE: &str = "LONGSHORE_SIGN_KMS_KEY";

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
enum SigningError {
    /// No key.
    #[error("there is no key to sign with")]
    NoKey,
    /// Two keys.
    #[error("{0} and {1} both name a key to sign with")]
    TwoKeys(String, String),
    /// The archive cannot be read.
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// The signature cannot be written.
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    /// The key did something else than to sign.
    #[error("the signature that was made is not right, and was not written")]
    Unsound(#[source] SignatureError),
}

/// A key that signs.
pub(crate) enum Signer {
    /// A secret key of minisign.
    File(SecretKey),
    /// A key that never leaves AWS.
    Kms(KmsKey),
}

/// A signature that was made and is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    text: String,
    key_id: KeyId,
}

/// A signature that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its file.
    pub(crate) path: PathBuf,
    /// The key that made it.
    pub(crate) key_id: KeyId,
}

/// The path of the signature of an artifact.
pub(crate) fn path_of(artifact: &Path) -> PathBuf {
    let mut path = artifact.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

impl Signer {
    /// Finds the key, and opens it: asks for its password, or KMS for its public half and whether it would sign. `folder`: what
    /// paths in the settings start from.
    pub(crate) fn open(
        args: &SignArgs,
        environment: &Environment,
        settings: &Settings,
        folder: &Path,
    ) -> Result<Signer, Failure> {
        let secret = |path: &Path| SecretKey::read(path, environment).map(Signer::File);
        let kms = |key: &str| {
            let key = KmsKey::open(key, settings.region.as_deref())?;
            key.rehearse()?;
            Ok(Signer::Kms(key))
        };
        match (&args.key, &args.kms_key) {
            (Some(path), _) => return secret(path),
            (None, Some(key)) => return kms(key),
            (None, None) => {}
        }
        match (environment.get(KEY_VARIABLE), environment.get(KMS_VARIABLE)) {
            (Some(_), Some(_)) => return Err(two(&format!("`{KEY_VARIABLE}`"), &format!("`{KMS_VARIABLE}`"))),
            (Some(text), None) => {
                return SecretKey::parse(text, &format!("`{KEY_VARIABLE}`"), environment).map(Signer::File);
            }
            (None, Some(key)) => return kms(key),
            (None, None) => {}
        }
        match (&settings.sign.key, &settings.sign.kms_key) {
            (Some(_), Some(_)) => Err(two("`sign.key`", "`sign.kms_key`")),
            (Some(path), None) => secret(&folder.join(path)),
            (None, Some(key)) => kms(key),
            (None, None) => Err(Failure::new(Exit::Usage, SigningError::NoKey)
                .hint(format!("name one with `--key FILE` or `--kms-key KEY`, or put its text into `{KEY_VARIABLE}`"))
                .hint("make one: longshore keygen longshore.key")),
        }
    }

    /// The public half, for those who verify.
    pub(crate) fn public_key(&self) -> PublicKey {
        match self {
            Signer::File(key) => key.public_key(),
            Signer::Kms(key) => key.public_key(),
        }
    }

    /// What will surprise about the key, one sentence.
    pub(crate) fn warning(&self) -> Option<String> {
        match self {
            Signer::File(key) => key.warning.clone(),
            Signer::Kms(_) => None,
        }
    }

    /// The text of a signature of an archive.
    fn sign(&self, archive: &Path, comment: &str) -> Result<String, Failure> {
        match self {
            Signer::File(key) => key.sign(open(archive)?, comment),
            Signer::Kms(key) => {
                // What minisign signs: the archive's BLAKE2b, and then that signature with the comment.
                let signature = key.sign(&prehash(archive)?)?;
                let global = key.sign(&[signature.as_slice(), comment.as_bytes()].concat())?;
                let id = key.public_key().key_id_bytes();
                let first = BASE64_STANDARD.encode([b"ED".as_slice(), &id, &signature].concat());
                let global = BASE64_STANDARD.encode(global);
                Ok(format!("{UNTRUSTED}\n{first}\ntrusted comment: {comment}\n{global}\n"))
            }
        }
    }
}

/// The first line of every signature; nobody relies on it.
const UNTRUSTED: &str = "untrusted comment: signature of a Longshore artifact";

/// The public half of a key of KMS.
pub(crate) fn kms_public_key(key: &str, settings: &Settings) -> Result<PublicKey, Failure> {
    Ok(KmsKey::open(key, settings.region.as_deref())?.public_key())
}

/// Signs an archive, and verifies what was made. Waits for KMS; may be called within a runtime.
pub(crate) fn sign(
    signer: &Signer,
    archive: &Path,
    manifest: &Manifest,
    archive_digest: Sha256,
) -> Result<Made, Failure> {
    let Manifest { application, commit, .. } = manifest;
    let claim = Claim { application: application.clone(), commit: commit.clone(), archive_digest };
    let text = signer.sign(archive, &claim.to_string())?;
    let public_key = signer.public_key();
    let key_id = public_key.id();
    let verified = Signature::parse(text.as_bytes()).and_then(|signature| signature.verify(archive, &[public_key]));
    verified.map_err(|error| Failure::new(Exit::Failed, SigningError::Unsound(error)))?;
    Ok(Made { text, key_id })
}

impl Made {
    /// Writes it beside the artifact, in the place of an earlier one.
    pub(crate) fn write(&self, artifact: &Path) -> Result<Written, Failure> {
        let path = path_of(artifact);
        fsx::write_atomic(&path, self.text.as_bytes())
            .map_err(|source| Failure::new(Exit::Failed, SigningError::Write { path: path.clone(), source }))?;
        Ok(Written { path, key_id: self.key_id })
    }
}

fn two(one: &str, other: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, SigningError::TwoKeys(one.to_owned(), other.to_owned()));
    failure.hint("keep one of them, or say which with `--key` or `--kms-key`")
}

fn open(archive: &Path) -> Result<File, Failure> {
    File::open(archive).map_err(|source| unreadable(archive, source))
}

fn unreadable(archive: &Path, source: io::Error) -> Failure {
    Failure::new(Exit::Failed, SigningError::Read { path: archive.to_owned(), source })
}

fn prehash(archive: &Path) -> Result<[u8; 64], Failure> {
    let mut file = open(archive)?;
    let mut hasher = Blake2b512::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(got) => hasher.update(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(archive, error)),
        }
    }
}
