//! Who we are for a registry: what `docker login` left in Docker's configuration, or a credential helper knows. Never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::environment::Environment;
use crate::program::{Program, ProgramError, Stopping, Stream};

/// What Docker Hub is called in Docker's configuration.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take; some wait for a person.
const HELPER_LIMIT: Duration = Duration::from_secs(60);
/// What a helper says when it knows nobody.
const NOBODY: &str = "credentials not found";
/// The user name with which a helper gives an identity token.
const TOKEN_USER: &str = "<token>";

/// What Docker's configuration says of registries.
#[derive(Debug, Clone)]
pub(crate) struct Keychain {
    /// The files, first come first served.
    configs: Vec<(String, Arc<Config>)>,
}

/// Who we are for one registry.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// The proof, if there is one.
    pub(crate) secret: Option<Secret>,
    /// Where it was found.
    pub(crate) origin: String,
    /// What kept us from finding one.
    pub(crate) trouble: Option<CredentialsError>,
}

/// What proves who we are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A user name and a password.
    Password {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token for the server that hands out tokens.
    Identity(String),
    /// A token for the registry itself.
    Registry(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Password { .. } => "Password(…)",
            Secret::Identity(_) => "Identity(…)",
            Secret::Registry(_) => "Registry(…)",
        })
    }
}

/// Why nobody knows who we are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// The configuration cannot be read.
    #[error("cannot read Docker's configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no configuration.
    #[error("Docker's configuration {origin} is not right")]
    Config {
        /// The file or variable.
        origin: String,
        /// Why; quotes nothing.
        source: NotJson,
    },
    /// What stands in `auth` is nothing that `docker login` writes.
    #[error("`auth` of `{key}` in {origin} is not what `docker login` writes")]
    Auth {
        /// The registry as written.
        key: String,
        /// The file or variable.
        origin: String,
    },
    /// The helper could not be run to its end.
    #[error("the credential helper of {origin} cannot be asked")]
    Helper {
        /// The file or variable.
        origin: String,
        /// Why.
        source: ProgramError,
    },
    /// The helper failed. What it says may hold a secret; only its exit code is told.
    #[error("the credential helper `{program}` of {origin} failed ({status})")]
    HelperFailed {
        /// The program.
        program: String,
        /// The file or variable.
        origin: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The helper said something else.
    #[error("the credential helper `{program}` of {origin} gave no answer that Docker would understand")]
    HelperAnswer {
        /// The program.
        program: String,
        /// The file or variable.
        origin: String,
    },
}

/// Where a JSON text goes wrong. `serde_json` would quote values, and these are secret.
#[derive(Debug, thiserror::Error)]
#[error("no JSON as Docker writes it, at line {line}, column {column}")]
pub(crate) struct NotJson {
    line: usize,
    column: usize,
}

/// `config.json`, as far as it is about registries.
#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config(…)")
    }
}

#[derive(Deserialize, Default)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
    #[serde(default, rename = "registrytoken")]
    registry_token: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Keychain {
    /// Reads `DOCKER_AUTH_CONFIG`, which CI systems fill, and `config.json` in `DOCKER_CONFIG`, else in `~/.docker`.
    pub(crate) fn read(environment: &Environment) -> Result<Keychain, CredentialsError> {
        let mut texts = Vec::new();
        if let Some(text) = environment.get("DOCKER_AUTH_CONFIG") {
            texts.push(("`DOCKER_AUTH_CONFIG`".to_owned(), text.to_owned()));
        }
        let folder = environment.get("DOCKER_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| Some(PathBuf::from(environment.get("HOME")?).join(".docker")));
        if let Some(path) = folder.map(|folder| folder.join("config.json")) {
            match fs::read_to_string(&path) {
                Ok(text) => texts.push((format!("`{}`", path.display()), text)),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(source) => return Err(CredentialsError::Read { path, source }),
            }
        }
        let parsed = texts.into_iter().map(|(origin, text)| match serde_json::from_str(&text) {
            Ok(config) => Ok((origin, Arc::new(config))),
            Err(error) => {
                let source = NotJson { line: error.line(), column: error.column() };
                Err(CredentialsError::Config { origin, source })
            }
        });
        Ok(Keychain { configs: parsed.collect::<Result<_, _>>()? })
    }

    /// Who we are for a registry. Runs a credential helper, so it may take a while.
    pub(crate) fn login(&self, registry: &str) -> Login {
        let mut login = Login::default();
        for (origin, config) in &self.configs {
            match config.find(registry, origin) {
                Ok(Some((secret, origin))) => return Login { secret: Some(secret), origin, ..login },
                Ok(None) => {}
                Err(trouble) => login.trouble = Some(trouble),
            }
        }
        login
    }
}

impl Config {
    fn find(&self, registry: &str, origin: &str) -> Result<Option<(Secret, String)>, CredentialsError> {
        let asked = match self.helper(registry) {
            Some(helper) => ask(&format!("docker-credential-{helper}"), server(registry), origin),
            None => Ok(None),
        };
        match asked {
            Ok(Some(found)) => Ok(Some(found)),
            // What `docker login` wrote before there was a helper may still hold.
            Ok(None) => self.auth(registry, origin),
            Err(trouble) => match self.auth(registry, origin) {
                Ok(Some(found)) => Ok(Some(found)),
                Ok(None) | Err(_) => Err(trouble),
            },
        }
    }

    fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| names(key, registry)).map(|(_, helper)| helper);
        own.or(Some(&self.store)).map(String::as_str).filter(|helper| !helper.is_empty())
    }

    fn auth(&self, registry: &str, origin: &str) -> Result<Option<(Secret, String)>, CredentialsError> {
        let exact = self.auths.get_key_value(server(registry));
        let Some((key, auth)) = exact.or_else(|| self.auths.iter().find(|(key, _)| names(key, registry))) else {
            return Ok(None);
        };
        let secret =
            auth.secret().map_err(|()| CredentialsError::Auth { key: key.clone(), origin: origin.to_owned() })?;
        Ok(secret.map(|secret| (secret, format!("`auths` of {origin}"))))
    }
}

impl Auth {
    fn secret(&self) -> Result<Option<Secret>, ()> {
        if !self.identity_token.is_empty() {
            return Ok(Some(Secret::Identity(self.identity_token.clone())));
        }
        if !self.registry_token.is_empty() {
            return Ok(Some(Secret::Registry(self.registry_token.clone())));
        }
        if !self.username.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            return Ok(Some(Secret::Password { user, password }));
        }
        if self.auth.is_empty() {
            // With a helper Docker writes an empty entry for each registry.
            return Ok(None);
        }
        let bytes = BASE64_STANDARD.decode(self.auth.trim()).map_err(|_| ())?;
        let text = String::from_utf8(bytes).map_err(|_| ())?;
        let (user, password) = text.split_once(':').ok_or(())?;
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Secret::Password { user: user.to_owned(), password }))
    }
}

/// A registry's name in Docker's configuration, as `docker login` writes it.
fn server(registry: &str) -> &str {
    if registry == "docker.io" { HUB_KEY } else { registry }
}

/// Whether a key of Docker's configuration, which may be a URL, is about a registry.
fn names(key: &str, registry: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = key.split('/').next().unwrap_or_default();
    match registry {
        "docker.io" => matches!(host, "index.docker.io" | "docker.io" | "registry-1.docker.io"),
        registry => host == registry,
    }
}

/// Asks a credential helper.
fn ask(program: &str, server: &str, origin: &str) -> Result<Option<(Secret, String)>, CredentialsError> {
    let mut command = Command::new(program);
    command.arg("get");
    let asked = Program {
        command,
        input: format!("{server}\n").into_bytes(),
        limit: Some(HELPER_LIMIT),
        stopping: Stopping::Shared,
    };
    let mut said = Vec::new();
    let status = asked
        .run(&mut |stream, piece| match stream {
            Stream::Out => said.extend_from_slice(piece),
            Stream::Err => {}
        })
        .map_err(|source| CredentialsError::Helper { origin: origin.to_owned(), source })?;
    let (program, origin) = (program.to_owned(), origin.to_owned());
    if !status.success() {
        if String::from_utf8_lossy(&said).contains(NOBODY) {
            return Ok(None);
        }
        return Err(CredentialsError::HelperFailed { program, origin, status });
    }
    let Ok(Answer { user, secret }) = serde_json::from_slice(&said) else {
        return Err(CredentialsError::HelperAnswer { program, origin });
    };
    let secret = match user.as_str() {
        TOKEN_USER => Secret::Identity(secret),
        _ => Secret::Password { user, password: secret },
    };
    Ok(Some((secret, format!("`{program}` of {origin}"))))
}

#[cfg(test)]
mod tests;
