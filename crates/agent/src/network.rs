//! The way to the services: a client with the proxies and certificate authorities that the settings and the environment name.
//!
//! Each client reads the authorities of the host anew, so a program keeps one.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::authorities::{Authorities, AuthoritiesError};
use longshore_core::proxy::{InvalidProxy, Proxies, ProxyUrl};
use longshore_core::store::S3Options;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy, Url};

/// How we name ourselves to servers.
pub const USER_AGENT: &str = concat!("longshore-agent/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);

/// The way to the services, for every connection of the agent's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The proxy (AWS: `proxy_uri`); `None`: the standard variables.
    pub proxy: Option<String>,
    /// A file of further certificate authorities (`AWS_CA_BUNDLE`); `SSL_CERT_FILE` is known to the TLS library itself.
    pub ca_bundle: Option<PathBuf>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = self.proxy.as_deref().map(masked);
        f.debug_struct("Network").field("proxy", &proxy).field("ca_bundle", &self.ca_bundle).finish()
    }
}

/// Why there is no way to the services.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The proxy is none.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The further certificate authorities are none.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The client could not be made.
    #[error("cannot make a client for the network")]
    Client(#[source] reqwest::Error),
}

/// The client for services of AWS. It follows no redirects; how long an answer may take is for each request to say.
pub fn client(network: &Network) -> Result<Client, NetworkError> {
    builder(network)?.redirect(Policy::none()).build().map_err(NetworkError::Client)
}

/// The same before it is made, and with redirects.
pub fn builder(network: &Network) -> Result<ClientBuilder, NetworkError> {
    let variable = |name: &str| std::env::var(name).ok();
    let proxies = Proxies::find(proxy(network)?.as_ref(), &variable)?;
    // What is set here is everything: the library's own look at the environment would not know what is never proxied.
    let mut builder = Client::builder().no_proxy().user_agent(USER_AGENT).connect_timeout(CONNECT);
    let direct = NoProxy::from_string(&proxies.direct);
    if let Some(proxy) = proxies.http {
        let proxy = Proxy::http(proxy.with_secrets()).map_err(NetworkError::Client)?;
        builder = builder.proxy(proxy.no_proxy(direct.clone()));
    }
    if let Some(proxy) = proxies.https {
        let proxy = Proxy::https(proxy.with_secrets()).map_err(NetworkError::Client)?;
        builder = builder.proxy(proxy.no_proxy(direct));
    }
    if let Some(authorities) = Authorities::find(network.ca_bundle.as_deref(), &variable)? {
        let further = Certificate::from_pem_bundle(&authorities.pem).map_err(NetworkError::Client)?;
        builder = builder.tls_certs_merge(further);
    }
    Ok(builder)
}

/// Whether an address is on this host: nobody is on the way there, so it needs no encryption.
pub fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The same way for S3.
pub fn s3_options(network: &Network) -> Result<S3Options, InvalidProxy> {
    Ok(S3Options { proxy: proxy(network)?, ca_bundle: network.ca_bundle.clone(), ..S3Options::default() })
}

fn proxy(network: &Network) -> Result<Option<ProxyUrl>, InvalidProxy> {
    network.proxy.as_deref().filter(|proxy| !proxy.is_empty()).map(str::parse).transpose()
}

/// A URL without what is secret in it: what stands before `@`.
pub fn masked(url: &str) -> String {
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_reads_the_password_of_a_proxy() {
        for (url, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://anna:secret@proxy:3128/x", "http://***@proxy:3128/x"),
            ("https://anna:p@ss@proxy", "https://***@proxy"),
            ("anna:secret@proxy:3128", "***@proxy:3128"),
            ("http://anna:p/s@proxy", "http://***@proxy"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
