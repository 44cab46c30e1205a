//! Other services of AWS, reached the way S3 is: the same credentials, proxies, certificate authorities and settings.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::config::ProvideCredentials as _;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;

use super::super::{Cause, S3Options, StoreError};
use super::connection::Way;
use super::{endpoint_of, loader, missing_profile, refusal};

/// Settings for a client of the service with this id, for example `CodeDeploy`: endpoint (`AWS_ENDPOINT_URL_…` included), region,
/// credentials, proxies and authorities as the AWS CLI finds them. Without credentials this fails; without a region there is none
/// in them. Requests of these services are small: an attempt that takes half a minute is lost. Nothing is tried twice; callers know
/// what may be.
pub async fn connect(service: &str, region: Option<&str>) -> Result<SdkConfig, StoreError> {
    if let Some(profile) = missing_profile().await {
        return Err(StoreError::NoProfile { profile });
    }
    let options = S3Options { region: region.map(str::to_owned), ..S3Options::default() };
    let way = Way::find(&options)?;
    let sdk = loader(&options, &way).load().await;
    let no_source = || StoreError::NoCredentials { source: Cause("no source of credentials is set".to_owned()) };
    let provider = sdk.credentials_provider().ok_or_else(no_source)?;
    if let Err(error) = provider.provide_credentials().await {
        return Err(StoreError::NoCredentials { source: refusal::chain(&error) });
    }
    let endpoint = endpoint_of(&sdk, service);
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut builder = sdk.into_builder().timeout_config(patience).retry_config(RetryConfig::disabled());
    if let Some(endpoint) = endpoint {
        if let Some(client) = way.client_for(&endpoint) {
            builder = builder.http_client(client);
        }
        builder = builder.endpoint_url(endpoint);
    }
    Ok(builder.build())
}
