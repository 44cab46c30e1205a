//! Secret keys of minisign: reads, makes and writes them, and signs with them. Nothing of a secret key is ever shown.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use longshore_core::failure::{Exit, Failure};
use longshore_core::signature::PublicKey;
use minisign::{KeyPair, PError, SecretKeyBox};

use super::password;
use crate::environment::Environment;

/// A key that can sign.
pub(crate) struct SecretKey {
    secret: minisign::SecretKey,
    public: PublicKey,
    /// That others than its owner may read its file.
    pub(super) warning: Option<String>,
}

/// A new pair of keys, as its files hold it.
pub(crate) struct NewPair {
    secret: String,
    /// The public key.
    pub(crate) public: PublicKey,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the secret key `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// The text is no key. It is not repeated.
    #[error("{0} holds no secret key of minisign")]
    NotAKey(String),
    /// The password does not open it.
    #[error("the password does not open the secret key in {0}")]
    Password(String),
    /// The library failed.
    #[error("cannot {what}")]
    Library { what: &'static str, source: PError },
    /// A key stands there.
    #[error("`{0}` exists, and a key is never overwritten")]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
}

impl SecretKey {
    /// Reads a file, and asks for its password when it has one.
    pub(super) fn read(path: &Path, environment: &Environment) -> Result<SecretKey, Failure> {
        let failed = |source: io::Error| {
            let exit = if source.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
            Failure::new(exit, KeyError::Read { path: path.to_owned(), source })
                .hint("make a key: longshore keygen longshore.key")
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let is_open = path.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0;
        let key = SecretKey::parse(&text, &format!("`{}`", path.display()), environment)?;
        let shown = path.display();
        let warning = is_open.then(|| format!("the secret key `{shown}` can be read by others: chmod 600 {shown}"));
        Ok(SecretKey { warning, ..key })
    }

    /// Reads the text of a key: the whole file, or its second line alone, as a variable without line breaks holds it. `of`:
    /// where it stands, for people.
    pub(super) fn parse(text: &str, of: &str, environment: &Environment) -> Result<SecretKey, Failure> {
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("untrusted comment:"));
        let not_a_key = || Failure::new(Exit::Usage, KeyError::NotAKey(of.to_owned()));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(not_a_key()) };
        let bytes = BASE64_STANDARD.decode(line).map_err(|_| not_a_key())?;
        // Algorithm, way of encryption, algorithm of the checksum.
        let encrypted = match bytes.get(..6) {
            Some(b"Ed\0\0B2") => false,
            Some(b"EdScB2") => true,
            Some(_) | None => return Err(not_a_key()),
        };
        let secret = if encrypted {
            let password = password::of_key(of, environment)?;
            let whole = SecretKeyBox::from(format!("untrusted comment: secret key\n{line}\n"));
            whole.into_secret_key(Some(password)).map_err(|_| {
                Failure::new(Exit::Usage, KeyError::Password(of.to_owned()))
                    .hint(format!("the password is taken from `{}`, else asked for", password::VARIABLE))
            })?
        } else {
            // Without its checksum, which minisign itself leaves out here; each signature is verified when it is made.
            minisign::SecretKey::from_bytes(&bytes).map_err(|_| not_a_key())?
        };
        let public = minisign::PublicKey::from_secret_key(&secret).map_err(|_| not_a_key())?;
        let public = public.to_base64().parse().map_err(|_| not_a_key())?;
        Ok(SecretKey { secret, public, warning: None })
    }

    /// The public half.
    pub(super) fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    /// The text of a signature.
    pub(super) fn sign(&self, archive: File, comment: &str) -> Result<String, Failure> {
        let untrusted = super::UNTRUSTED.trim_start_matches("untrusted comment: ");
        let signed = minisign::sign(None, &self.secret, archive, Some(comment), Some(untrusted));
        signed.map(minisign::SignatureBox::into_string).map_err(|source| library("sign the artifact", source))
    }
}

impl NewPair {
    /// Makes a pair of keys. An empty password leaves the secret one unencrypted.
    pub(crate) fn make(password: String) -> Result<NewPair, Failure> {
        let what = "make a pair of keys";
        let failed = |source| library(what, source);
        let comment = if password.is_empty() { "minisign secret key" } else { "minisign encrypted secret key" };
        let KeyPair { pk, sk } = if password.is_empty() {
            KeyPair::generate_unencrypted_keypair()
        } else {
            KeyPair::generate_encrypted_keypair(Some(password))
        }
        .map_err(failed)?;
        let secret = sk.to_box(Some(comment)).map_err(failed)?.into_string();
        let public = pk.to_base64().parse().expect("minisign reads what minisign writes");
        Ok(NewPair { secret, public })
    }

    /// Writes both keys, neither over another file. The secret one is its owner's alone.
    pub(crate) fn write(&self, secret: &Path, public: &Path) -> Result<(), Failure> {
        write_new(secret, &self.secret, 0o600)?;
        write_new(public, &self.public.to_file(), 0o644).inspect_err(|_| {
            // Nobody has its public half.
            let _ = std::fs::remove_file(secret);
        })
    }
}

/// Writes a file that must be new.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(Exit::Conflict, KeyError::Exists(path.to_owned()))
            .hint("name another file, or move that one away: what it signed stays signed"),
        _ => Failure::new(Exit::Failed, KeyError::Write { path: path.to_owned(), source }),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn library(what: &'static str, source: PError) -> Failure {
    Failure::new(Exit::Failed, KeyError::Library { what, source })
}
