//! Why a registry gives no digest, and what to do about it.

use std::time::Duration;

use longshore_core::failure;
use reqwest::StatusCode;

use crate::images::credentials::Login;
use crate::images::reference::Reference;

/// Who was asked for what, as whom.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    registry: String,
    /// Who was asked: the registry, or the server of its tokens.
    server: String,
    image: String,
    asked_as: AskedAs,
}

/// As whom a registry was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskedAs {
    /// As nobody, because nothing is known.
    Nobody,
    /// As nobody, because what is known could not be had.
    Kept(String),
    /// With what was found there.
    Found(String),
}

/// Why a registry gives no digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The registry's name makes no URL.
    #[error("`{0}` cannot be the host of a registry")]
    Address(String),
    /// It cannot be reached, or the connection broke.
    #[error("cannot ask `{server}`")]
    Network {
        /// Who was asked.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It wants to know who we are, and does not like the answer.
    #[error("`{}` refuses `{}` ({status}); {}", asking.server, asking.image, asking.asked_as.words())]
    Refused {
        /// What was asked.
        asking: Box<Asking>,
        /// Its answer.
        status: StatusCode,
    },
    /// It has no such image, or does not tell us that it has.
    #[error("`{}` has no `{}`; {}", asking.server, asking.image, asking.asked_as.words())]
    NotFound {
        /// What was asked.
        asking: Box<Asking>,
    },
    /// It was asked too often.
    #[error("`{server}` was asked too often (429){}", pause.map_or(String::new(), |it| format!("; it wants a pause of {} s", it.as_secs())))]
    TooMany {
        /// Who was asked.
        server: String,
        /// How long it wants us to wait.
        pause: Option<Duration>,
    },
    /// It answered with something else.
    #[error("`{server}` answered {status}")]
    Status {
        /// Who was asked.
        server: String,
        /// Its answer.
        status: StatusCode,
        /// How long it wants us to wait.
        pause: Option<Duration>,
    },
    /// It sends us for a token to where everybody could read our password, or to nowhere.
    #[error("`{server}` wants a token from `{realm}`, which is no address with encryption")]
    Realm {
        /// Who was asked.
        server: String,
        /// The address.
        realm: String,
    },
    /// The server of tokens gave none.
    #[error("`{0}` gave no token that can be used")]
    NoToken(String),
    /// The digest is none.
    #[error("`{0}` gave no digest that can be used")]
    NoDigest(String),
    /// The answer does not end.
    #[error("the answer of `{server}` is larger than {limit} bytes")]
    TooLarge {
        /// Who was asked.
        server: String,
        /// The limit.
        limit: usize,
    },
}

impl RegistryError {
    /// Whether the next try may end differently.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            RegistryError::Network { source, .. } => !source.is_builder() && !source.is_redirect(),
            RegistryError::TooMany { .. } => true,
            RegistryError::Status { status, .. } => status.is_server_error(),
            RegistryError::Address(_)
            | RegistryError::Refused { .. }
            | RegistryError::NotFound { .. }
            | RegistryError::Realm { .. }
            | RegistryError::NoToken(_)
            | RegistryError::NoDigest(_)
            | RegistryError::TooLarge { .. } => false,
        }
    }

    /// How long the registry wants us to wait.
    pub(crate) fn pause(&self) -> Option<Duration> {
        match self {
            RegistryError::TooMany { pause, .. } | RegistryError::Status { pause, .. } => *pause,
            RegistryError::Network { .. }
            | RegistryError::Address(_)
            | RegistryError::Refused { .. }
            | RegistryError::NotFound { .. }
            | RegistryError::Realm { .. }
            | RegistryError::NoToken(_)
            | RegistryError::NoDigest(_)
            | RegistryError::TooLarge { .. } => None,
        }
    }

    /// What to type or change next.
    pub(crate) fn way_out(&self) -> Option<String> {
        match self {
            RegistryError::Refused { asking, .. } => Some(login_command(&asking.registry)),
            RegistryError::NotFound { asking } => Some(match asking.asked_as {
                AskedAs::Nobody | AskedAs::Kept(_) => format!(
                    "push it first (`longshore build --push-images`); if it is private: {}",
                    login_command(&asking.registry)
                ),
                AskedAs::Found(_) => "push it first (`longshore build --push-images`)".to_owned(),
            }),
            RegistryError::Network { .. } => Some(
                "a proxy is taken from `HTTPS_PROXY`, less `NO_PROXY`; authorities from `SSL_CERT_FILE`".to_owned(),
            ),
            RegistryError::TooMany { .. } => {
                Some("wait, or log in: registries let those they know ask more often".to_owned())
            }
            RegistryError::Address(_)
            | RegistryError::Status { .. }
            | RegistryError::Realm { .. }
            | RegistryError::NoToken(_)
            | RegistryError::NoDigest(_)
            | RegistryError::TooLarge { .. } => None,
        }
    }
}

/// The command with which Docker learns who we are.
pub(crate) fn login_command(registry: &str) -> String {
    let ecr = registry.split_once(".dkr.ecr").or_else(|| registry.split_once(".dkr-ecr"));
    let region = ecr.and_then(|(_, rest)| rest.trim_start_matches("-fips").strip_prefix('.')?.split('.').next());
    match (registry, region) {
        ("docker.io", _) => "`docker login`".to_owned(),
        ("public.ecr.aws", _) => {
            "`aws ecr-public get-login-password --region us-east-1 | docker login --username AWS --password-stdin \
             public.ecr.aws`"
                .to_owned()
        }
        (_, Some(region)) => {
            format!(
                "`aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {registry}`"
            )
        }
        (_, None) => format!("`docker login {registry}`"),
    }
}

impl AskedAs {
    /// What is known of us for a registry.
    pub(crate) fn of(login: &Login) -> AskedAs {
        match (&login.secret, &login.trouble) {
            (Some(_), _) => AskedAs::Found(login.origin.clone()),
            (None, Some(trouble)) => AskedAs::Kept(failure::chain(trouble)),
            (None, None) => AskedAs::Nobody,
        }
    }

    fn words(&self) -> String {
        match self {
            AskedAs::Nobody => "it was asked without credentials: Docker's configuration has none for it".to_owned(),
            AskedAs::Kept(why) => format!("it was asked without credentials: {why}"),
            AskedAs::Found(origin) => format!("it was asked with the credentials from {origin}"),
        }
    }
}

impl Asking {
    /// A question to a registry.
    pub(super) fn new(image: &Reference, asked_as: AskedAs) -> Asking {
        let separator = if image.digest.is_some() { '@' } else { ':' };
        Asking {
            registry: image.registry.clone(),
            server: image.registry.clone(),
            image: format!("{}{separator}{}", image.repository, image.wanted()),
            asked_as,
        }
    }

    /// The same for the server of its tokens.
    pub(super) fn of_token(&self, host: &str) -> Asking {
        Asking { server: host.to_owned(), ..self.clone() }
    }

    pub(super) fn address(&self) -> RegistryError {
        RegistryError::Address(self.registry.clone())
    }

    pub(super) fn network(&self, error: reqwest::Error) -> RegistryError {
        // The address may hold what is nobody's business.
        RegistryError::Network { server: self.server.clone(), source: error.without_url() }
    }

    pub(super) fn refused(&self, status: StatusCode) -> RegistryError {
        RegistryError::Refused { asking: Box::new(self.clone()), status }
    }

    pub(super) fn not_found(&self) -> RegistryError {
        RegistryError::NotFound { asking: Box::new(self.clone()) }
    }

    pub(super) fn too_many(&self, pause: Option<Duration>) -> RegistryError {
        RegistryError::TooMany { server: self.server.clone(), pause }
    }

    pub(super) fn status(&self, status: StatusCode, pause: Option<Duration>) -> RegistryError {
        RegistryError::Status { server: self.server.clone(), status, pause }
    }

    pub(super) fn realm(&self, realm: &str) -> RegistryError {
        RegistryError::Realm { server: self.server.clone(), realm: realm.to_owned() }
    }

    pub(super) fn no_token(&self) -> RegistryError {
        RegistryError::NoToken(self.server.clone())
    }

    pub(super) fn no_digest(&self) -> RegistryError {
        RegistryError::NoDigest(self.server.clone())
    }

    pub(super) fn too_large(&self, limit: usize) -> RegistryError {
        RegistryError::TooLarge { server: self.server.clone(), limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_logs_in_is_the_one_that_the_registry_needs() {
        let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let fips = "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com";
        let dual = "123456789012.dkr-ecr.eu-west-1.on.aws";
        let aws = |region: &str, registry: &str| {
            format!(
                "`aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {registry}`"
            )
        };
        for (registry, command) in [
            ("docker.io", "`docker login`".to_owned()),
            ("ghcr.io", "`docker login ghcr.io`".to_owned()),
            (ecr, aws("eu-west-1", ecr)),
            (fips, aws("us-gov-west-1", fips)),
            (dual, aws("eu-west-1", dual)),
        ] {
            assert_eq!(login_command(registry), command);
        }
    }
}
