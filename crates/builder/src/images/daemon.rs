//! The Docker daemon: asks registries for us, by its own way to them, and knows what this machine has built. The only file
//! that names its client library.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;

use super::credentials::{Login, Secret};
use super::reference::{ImageDigest, Reference};
use crate::environment::Environment;

/// Where it listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long it may take to answer at all.
const HELLO: Duration = Duration::from_secs(5);
/// How long it may take to ask a registry.
const ANSWER: Duration = Duration::from_secs(60);

/// A daemon that answers.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    docker: Docker,
}

/// Why a daemon gives no digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// It could not get one.
    #[error("the Docker daemon cannot ask the registry: {0}")]
    Asked(String),
    /// It took too long.
    #[error("the Docker daemon did not answer within {} s", ANSWER.as_secs())]
    TooLong,
    /// What it gave is none.
    #[error("the Docker daemon gave no digest")]
    NoDigest,
}

impl Daemon {
    /// The daemon of this environment, if one answers. One that wants TLS is left out: its registries are asked directly.
    pub(crate) async fn find(environment: &Environment) -> Option<Daemon> {
        let encrypted = environment.get("DOCKER_TLS_VERIFY").is_some();
        let host = match environment.get("DOCKER_HOST") {
            Some(host) if host.starts_with("tcp://") && encrypted => return None,
            Some(host) => host,
            None => DEFAULT_HOST,
        };
        let docker = Docker::connect_with_host(host).ok()?;
        let docker = tokio::time::timeout(HELLO, docker.negotiate_version()).await.ok()?.ok()?;
        Some(Daemon { docker })
    }

    /// The digest of an image, of which the daemon asks the registry.
    pub(crate) async fn digest(&self, image: &Reference, login: &Login) -> Result<ImageDigest, DaemonError> {
        let name = name(image);
        let asked = self.docker.inspect_registry_image(&name, credentials(image, login));
        let answer = tokio::time::timeout(ANSWER, asked).await.map_err(|_| DaemonError::TooLong)?;
        let answer = answer.map_err(|error| DaemonError::Asked(words(&error)))?;
        answer.descriptor.digest.and_then(|digest| digest.parse().ok()).ok_or(DaemonError::NoDigest)
    }

    /// Whether this machine has the image without any registry being known to have it: built here, and never pushed.
    pub(crate) async fn is_only_here(&self, image: &Reference) -> bool {
        match tokio::time::timeout(ANSWER, self.docker.inspect_image(&name(image))).await {
            Ok(Ok(found)) => {
                let mut digests = found.repo_digests.unwrap_or_default().into_iter();
                !digests.any(|digest| digest.parse().is_ok_and(|digest: Reference| is_same_place(&digest, image)))
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// The name that the daemon's API takes: a tag or a digest, not both.
fn name(image: &Reference) -> String {
    let separator = if image.digest.is_some() { '@' } else { ':' };
    format!("{}/{}{separator}{}", image.registry, image.repository, image.wanted())
}

fn is_same_place(one: &Reference, other: &Reference) -> bool {
    one.registry == other.registry && one.repository == other.repository
}

fn credentials(image: &Reference, login: &Login) -> Option<DockerCredentials> {
    let mut credentials = DockerCredentials { serveraddress: Some(image.registry.clone()), ..Default::default() };
    match login.secret.clone()? {
        Secret::Password { user, password } => {
            credentials.username = Some(user);
            credentials.password = Some(password);
        }
        Secret::Identity(token) => credentials.identitytoken = Some(token),
        Secret::Registry(token) => credentials.registrytoken = Some(token),
    }
    Some(credentials)
}

/// What the daemon says, without the library's frame.
fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        error => error.to_string(),
    }
}
