//! What a project says of signatures: whose can be verified, and whether there is a key to sign with.

use std::io;
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure};
use longshore_core::signature::{InvalidKey, PublicKey};

use super::{KEY_VARIABLE, KMS_VARIABLE};
use crate::environment::Environment;
use crate::settings::{Origin, Settings};

/// The variable that holds public keys, or the paths of their files.
pub(crate) const PUBLIC_KEY_VARIABLE: &str = "LONGSHORE_PUBLIC_KEY";

/// Why a public key cannot be used.
#[derive(Debug, thiserror::Error)]
enum PolicyError {
    /// A key is none.
    #[error("`{0}`")]
    Key(String, #[source] InvalidKey),
    /// A key's file cannot be read.
    #[error("cannot read the public key `{path}`")]
    KeyFile { path: PathBuf, source: io::Error },
}

/// What holds for one project.
#[derive(Debug, Clone)]
pub(crate) struct Policy<'a> {
    settings: &'a Settings,
    environment: &'a Environment,
    folder: &'a Path,
    /// The public half of the key that signs in this run.
    own: Option<PublicKey>,
}

impl<'a> Policy<'a> {
    /// What these say, where nothing signs in this run. `folder`: what paths in the settings start from.
    pub(crate) fn of(settings: &'a Settings, folder: &'a Path, environment: &'a Environment) -> Policy<'a> {
        Policy { settings, environment, folder, own: None }
    }

    /// The same where this key, if there is one, signs in this run.
    pub(crate) fn and(self, own: Option<PublicKey>) -> Policy<'a> {
        Policy { own, ..self }
    }

    /// The keys whose signatures are accepted. Paths in the variable start from the working folder.
    pub(crate) fn accepted(&self) -> Result<Vec<PublicKey>, Failure> {
        let folder = match self.settings.origins.get("sign.public_keys") {
            Some(Origin::Variable(_)) => Path::new(""),
            Some(Origin::Line(_) | Origin::Set) | None => self.folder,
        };
        self.settings.sign.public_keys.iter().map(|key| key_of(key, folder)).collect()
    }

    /// All keys whose signatures can be verified: those that are accepted, that which signs in this run, and what stands beside
    /// the key in `sign.key`.
    pub(crate) fn keys(&self) -> Result<Vec<PublicKey>, Failure> {
        let mut keys = self.accepted()?;
        keys.extend(self.own.clone());
        let beside = self.settings.sign.key.as_ref().map(|key| {
            let mut path = self.folder.join(key).into_os_string();
            path.push(".pub");
            path
        });
        // Nobody said that it is there.
        keys.extend(beside.and_then(|path| std::fs::read_to_string(path).ok()?.parse::<PublicKey>().ok()));
        Ok(keys)
    }

    /// What names a key to sign with, for people.
    pub(crate) fn key_to_sign_with(&self) -> Option<String> {
        let of_environment = [KEY_VARIABLE, KMS_VARIABLE].into_iter().find(|name| self.environment.get(name).is_some());
        let of_settings = self.settings.sign.key.as_ref().map(|_| "sign.key");
        let of_settings = of_settings.or(self.settings.sign.kms_key.as_ref().map(|_| "sign.kms_key"));
        of_environment.or(of_settings).map(|name| format!("`{name}`"))
    }
}

/// The text of a key, or else the path of a file with one.
pub(crate) fn key_of(text: &str, folder: &Path) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = folder.join(text);
    let text = std::fs::read_to_string(&path).map_err(|source| {
        let exit = if source.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, PolicyError::KeyFile { path: path.clone(), source })
            .hint("give the text of a public key, which begins with `RW`, or the path of its `.pub` file")
    })?;
    text.parse().map_err(|invalid| Failure::new(Exit::Usage, PolicyError::Key(path.display().to_string(), invalid)))
}
