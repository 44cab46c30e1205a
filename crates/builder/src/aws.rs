//! How services of AWS other than S3 are reached: region, credentials, endpoint, proxies and authorities as the AWS CLI finds
//! them. What the SDK does not take from the environment by itself is added.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use longshore_core::authorities::{Authorities, AuthoritiesError};
use longshore_core::failure::{Exit, Failure};
use longshore_core::proxy::{InvalidProxy, Proxies};

/// Why the way to AWS is not known.
#[derive(Debug, thiserror::Error)]
enum WayError {
    /// A proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// Certificate authorities cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The SDK refuses a proxy.
    #[error("the proxy `{0}` cannot be used")]
    Unusable(String),
}

/// The settings of a service with this name in the SDK (`kms`). `region`: instead of the one that the AWS CLI would take.
pub(crate) async fn config(service: &'static str, region: Option<&str>) -> Result<SdkConfig, Failure> {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let endpoint = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    let endpoint = endpoint(&format!("AWS_ENDPOINT_URL_{}", service.to_uppercase())).or(endpoint("AWS_ENDPOINT_URL"));
    // The proxy for plain HTTP is another one than that for HTTPS, by which everything but test servers is reached.
    let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    loader = with_way(loader, plain).map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(loader.load().await)
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the type is named by the SDK of each service, and this file names none of them"
)]
fn with_way(loader: aws_config::ConfigLoader, plain: bool) -> Result<aws_config::ConfigLoader, WayError> {
    let variable = |name: &str| std::env::var(name).ok();
    let proxies = Proxies::find(None, &variable)?;
    let authorities = Authorities::find(None, &variable)?;
    let proxy = if plain { proxies.http } else { proxies.https };
    if proxy.is_none() && authorities.is_none() {
        return Ok(loader);
    }
    let proxy = match proxy {
        Some(proxy) => {
            let made = if plain { ProxyConfig::http } else { ProxyConfig::https }(proxy.with_secrets());
            made.map_err(|_| WayError::Unusable(proxy.to_string()))?.no_proxy(proxies.direct)
        }
        None => ProxyConfig::disabled(),
    };
    let trusted = authorities
        .into_iter()
        .fold(TrustStore::default(), |trusted, authorities| trusted.with_pem_certificate(authorities.pem));
    let tls = TlsContext::builder().with_trust_store(trusted).build();
    let tls = tls.expect("any trust store can be set; its certificates were checked");
    Ok(loader.http_client(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls.clone()).build()
    })))
}
