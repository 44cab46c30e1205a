//! The way to registries: a client with the proxies and certificate authorities that the environment names.

use std::time::Duration;

use longshore_core::authorities::{Authorities, AuthoritiesError};
use longshore_core::proxy::{InvalidProxy, Proxies};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, NoProxy, Proxy};

use crate::environment::Environment;

/// How we name ourselves to servers.
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one question and its answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a question may be sent on.
const REDIRECTS: usize = 5;

/// Why there is no way to registries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// A proxy is none.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The further certificate authorities are none.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The client could not be made.
    #[error("cannot make a client for the network")]
    Client(#[source] reqwest::Error),
}

/// A redirect that nobody should follow.
#[derive(Debug, thiserror::Error)]
#[error("the answer leads from https to http")]
struct Downgrade;

/// The client for registries.
pub(crate) fn client(environment: &Environment) -> Result<Client, ClientError> {
    build(environment, Policy::custom(follow))
}

/// The client for the servers of their tokens. A question there may hold a secret, which is for nobody else: it is never sent on.
pub(crate) fn client_of_tokens(environment: &Environment) -> Result<Client, ClientError> {
    build(environment, Policy::none())
}

fn build(environment: &Environment, redirects: Policy) -> Result<Client, ClientError> {
    let variable = |name: &str| environment.get(name).map(str::to_owned);
    let proxies = Proxies::find(None, &variable)?;
    // What is set here is everything: the library's own look at the environment would not know what is never proxied.
    let mut builder = Client::builder().no_proxy().user_agent(USER_AGENT).connect_timeout(CONNECT).timeout(ANSWER);
    let direct = NoProxy::from_string(&proxies.direct);
    if let Some(proxy) = proxies.http {
        let proxy = Proxy::http(proxy.with_secrets()).map_err(ClientError::Client)?;
        builder = builder.proxy(proxy.no_proxy(direct.clone()));
    }
    if let Some(proxy) = proxies.https {
        let proxy = Proxy::https(proxy.with_secrets()).map_err(ClientError::Client)?;
        builder = builder.proxy(proxy.no_proxy(direct));
    }
    if let Some(authorities) = Authorities::find(None, &variable)? {
        let further = Certificate::from_pem_bundle(&authorities.pem).map_err(ClientError::Client)?;
        builder = builder.tls_certs_merge(further);
    }
    builder.redirect(redirects).build().map_err(ClientError::Client)
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if encrypted && attempt.url().scheme() != "https" {
        return attempt.error(Downgrade);
    }
    if attempt.previous().len() > REDIRECTS { attempt.stop() } else { attempt.follow() }
}
