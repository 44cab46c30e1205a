//! Signs requests (SigV4).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use longshore_core::store::Keys;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::endpoint::Endpoint;

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Something in it, or in the credentials, cannot be sent in a header.
    #[error("credentials or headers hold characters that cannot be sent")]
    Characters,
    /// The signature could not be made.
    #[error(transparent)]
    Sign(#[from] SigningError),
}

/// The headers of a request to `endpoint`, `headers` and the signature over them and the body.
pub(super) fn signed(
    endpoint: &Endpoint,
    headers: &[(&'static str, String)],
    body: &[u8],
    keys: &Keys,
    now: SystemTime,
) -> Result<HeaderMap, SignatureError> {
    let Keys { access_key_id, secret_access_key, session_token } = keys;
    let identity = Credentials::new(access_key_id, secret_access_key, session_token.clone(), None, "longshore").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&endpoint.region)
        .name(endpoint.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| SignatureError::Characters)?
        .into();
    let signable = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let request = SignableRequest::new("POST", endpoint.url.as_str(), signable, SignableBody::Bytes(body))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();

    let mut map = HeaderMap::new();
    let all = headers.iter().map(|(name, value)| (*name, value.as_str())).chain(instructions.headers());
    for (name, value) in all {
        let name: HeaderName = name.parse().map_err(|_| SignatureError::Characters)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| SignatureError::Characters)?;
        // Whoever prints requests shows neither.
        value.set_sensitive(["authorization", "x-amz-security-token"].contains(&name.as_str()));
        map.insert(name, value);
    }
    Ok(map)
}
