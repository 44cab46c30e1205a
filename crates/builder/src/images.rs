//! The digests of images, as hosts will get them: asked of their registries, through the Docker daemon where one answers
//! (its proxies, mirrors and authorities are those of this machine's pulls), else directly. A daemon that cannot is no
//! failure: the registry is asked directly then too.

mod challenge;
mod client;
mod credentials;
mod daemon;
pub(crate) mod deployed;
pub(crate) mod moved;
pub(crate) mod reference;
pub(crate) mod registry;
#[cfg(test)]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_core::failure::{Exit, Failure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::client::ClientError;
use self::credentials::{CredentialsError, Keychain, Login};
use self::daemon::{Daemon, DaemonError};
use self::reference::{ImageDigest, Reference};
use self::registry::{Registries, RegistryError};
use crate::environment::Environment;

/// How many images are asked for at the same time.
const AT_ONCE: usize = 8;

/// Finds digests.
#[derive(Debug)]
pub(crate) struct Resolver {
    registries: Arc<Registries>,
    keychain: Keychain,
    daemon: Option<Daemon>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolverError {
    /// There is no way to registries.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Docker's configuration is not right.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Why an image has no digest.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unresolved {
    /// What the registry says.
    pub(crate) error: RegistryError,
    /// What the daemon says that was asked first.
    #[source]
    pub(crate) daemon: Option<DaemonError>,
    /// Whether this machine has built it and it was never pushed.
    pub(crate) only_here: bool,
}

/// The command with which Docker learns who we are for the registry of an image.
pub(crate) fn login_command_of(image: &str) -> String {
    match image.parse::<Reference>() {
        Ok(image) => registry::login_command(&image.registry),
        Err(_) => "`docker login`".to_owned(),
    }
}

/// Digests by the canonical names of their images.
pub(crate) type Digests = BTreeMap<String, Result<ImageDigest, Unresolved>>;

impl Resolver {
    /// The ways that the environment describes.
    pub(crate) async fn open(environment: &Environment) -> Result<Resolver, ResolverError> {
        Ok(Resolver {
            registries: Arc::new(Registries::new(environment)?),
            keychain: Keychain::read(environment)?,
            daemon: Daemon::find(environment).await,
        })
    }

    /// The digests of images; each image is asked for once. `tell` hears of each as it comes.
    pub(crate) async fn digests(
        &self,
        images: impl IntoIterator<Item = &Reference>,
        tell: &dyn Fn(&str, &Result<ImageDigest, Unresolved>),
    ) -> Digests {
        let mut distinct: BTreeMap<String, Reference> =
            images.into_iter().map(|image| (image.to_string(), image.clone())).collect();
        let mut digests = Digests::new();
        distinct.retain(|name, image| match image.digest.take() {
            Some(digest) => {
                digests.insert(name.clone(), Ok(digest));
                false
            }
            None => true,
        });
        let logins = self.logins(distinct.values().map(|image| image.registry.clone()).collect()).await;
        let (mut asked, gate) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        for (name, image) in distinct {
            let login = logins.get(&image.registry).cloned().unwrap_or_default();
            let (registries, daemon, gate) = (Arc::clone(&self.registries), self.daemon.clone(), Arc::clone(&gate));
            asked.spawn(async move {
                // It is never closed.
                let _permit = gate.acquire().await;
                let digest = digest(&registries, daemon.as_ref(), &image, &login).await;
                (name, digest)
            });
        }
        while let Some(joined) = asked.join_next().await {
            match joined {
                Ok((name, digest)) => {
                    tell(&name, &digest);
                    digests.insert(name, digest);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        digests
    }

    /// Who we are for each registry. Helpers may wait for people, so one is asked at a time.
    async fn logins(&self, registries: BTreeSet<String>) -> BTreeMap<String, Arc<Login>> {
        let keychain = self.keychain.clone();
        let find = move || {
            let login = |registry: String| (registry.clone(), Arc::new(keychain.login(&registry)));
            registries.into_iter().map(login).collect()
        };
        match tokio::task::spawn_blocking(find).await {
            Ok(logins) => logins,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

async fn digest(
    registries: &Registries,
    daemon: Option<&Daemon>,
    image: &Reference,
    login: &Login,
) -> Result<ImageDigest, Unresolved> {
    let refused = match daemon {
        Some(daemon) => match daemon.digest(image, login).await {
            Ok(digest) => return Ok(digest),
            Err(error) => Some(error),
        },
        None => None,
    };
    match registries.digest(image, login).await {
        Ok(digest) => Ok(digest),
        Err(error) => {
            let only_here = match (daemon, &error) {
                (Some(daemon), RegistryError::NotFound { .. } | RegistryError::Refused { .. }) => {
                    daemon.is_only_here(image).await
                }
                (Some(_) | None, _) => false,
            };
            Err(Unresolved { error, daemon: refused, only_here })
        }
    }
}

impl From<ResolverError> for Failure {
    fn from(error: ResolverError) -> Failure {
        let (exit, hint) = match &error {
            ResolverError::Client(_) => (Exit::Usage, "correct the variable, or unset it"),
            ResolverError::Credentials(_) => {
                (Exit::Invalid, "correct the file, or name another folder for it with `DOCKER_CONFIG`")
            }
        };
        Failure::new(exit, error).hint(hint)
    }
}

#[cfg(test)]
mod tests;
