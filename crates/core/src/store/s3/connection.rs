//! How the S3 server is reached: proxies and further certificate authorities, which the SDK takes from nowhere by itself.

use aws_sdk_s3::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};

use super::super::{S3Options, StoreError};
use crate::authorities::Authorities;
use crate::proxy::{InvalidProxy, Proxies};

/// The way to the server.
pub(super) struct Way {
    http: Option<ProxyConfig>,
    https: Option<ProxyConfig>,
    authorities: Option<Authorities>,
}

impl Way {
    /// What the options say, else the environment.
    pub(super) fn find(options: &S3Options) -> Result<Way, StoreError> {
        let variable = |name: &str| std::env::var(name).ok();
        let proxies = Proxies::find(options.proxy.as_ref(), &variable)?;
        let authorities = Authorities::find(options.ca_bundle.as_deref(), &variable)?;
        let direct = &proxies.direct;
        let http = proxies.http.map(|proxy| {
            let config = ProxyConfig::http(proxy.with_secrets()).map_err(|_| unusable(&proxy.to_string()))?;
            Ok::<_, InvalidProxy>(config.no_proxy(direct))
        });
        let https = proxies.https.map(|proxy| {
            let config = ProxyConfig::https(proxy.with_secrets()).map_err(|_| unusable(&proxy.to_string()))?;
            Ok::<_, InvalidProxy>(config.no_proxy(direct))
        });
        Ok(Way { http: http.transpose()?, https: https.transpose()?, authorities })
    }

    /// The client for servers with this URL; `None`: the SDK's own will do.
    pub(super) fn client_for(&self, url: &str) -> Option<SharedHttpClient> {
        let proxy = if url.starts_with("http://") { &self.http } else { &self.https };
        if proxy.is_none() && self.authorities.is_none() {
            return None;
        }
        let proxy = proxy.clone().unwrap_or_else(ProxyConfig::disabled);
        let mut trusted = TrustStore::default();
        if let Some(authorities) = &self.authorities {
            trusted = trusted.with_pem_certificate(authorities.pem.clone());
        }
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        let tls = tls.expect("any trust store can be set; its certificates were checked");
        Some(Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder().proxy_config(proxy.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls.clone()).build()
        }))
    }
}

fn unusable(shown: &str) -> InvalidProxy {
    InvalidProxy { shown: shown.to_owned(), origin: None, why: "cannot be used" }
}
