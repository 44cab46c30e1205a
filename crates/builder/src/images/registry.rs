//! The digest of an image, asked of its registry (HTTP API v2, which OCI calls the distribution specification). Asks for
//! nothing but digests.

mod error;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use longshore_core::chance;
use longshore_core::digest::Sha256;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{Challenge, challenges};
use super::client::{self, ClientError};
use super::credentials::{Login, Secret};
use super::reference::{ImageDigest, Reference};
use crate::environment::Environment;

use error::{AskedAs, Asking};
pub(crate) use error::{RegistryError, login_command};

/// The variable with the registries that are asked without encryption, separated by commas.
pub(crate) const INSECURE_VARIABLE: &str = "LONGSHORE_INSECURE_REGISTRIES";

/// What a tag may lead to. Lists first: their digest is right for hosts of every platform.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
const DIGEST_HEADER: &str = "docker-content-digest";
/// The largest manifest; registries take no larger one.
const MANIFEST_LIMIT: usize = 4 << 20;
/// The largest answer with a token.
const TOKEN_LIMIT: usize = 1 << 20;
/// How we name ourselves to the servers of tokens.
const CLIENT_ID: &str = "longshore";
/// The pauses before further tries.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// How long a registry may ask us to wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The way to all registries.
#[derive(Debug)]
pub(crate) struct Registries {
    client: Client,
    tokens: Client,
    insecure: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Registries {
    /// The way that the environment describes.
    pub(crate) fn new(environment: &Environment) -> Result<Registries, ClientError> {
        let insecure = environment.get(INSECURE_VARIABLE).unwrap_or_default();
        let insecure = insecure.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let (client, tokens) = (client::client(environment)?, client::client_of_tokens(environment)?);
        Ok(Registries { client, tokens, insecure: insecure.collect() })
    }

    /// The digest of an image, as hosts will get it: of the list of platforms where there is one.
    pub(crate) async fn digest(&self, image: &Reference, login: &Login) -> Result<ImageDigest, RegistryError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.once(image, login).await {
                Ok(digest) => return Ok(digest),
                Err(error) => error,
            };
            let Some(pause) = pauses.next().filter(|_| error.may_pass()) else { return Err(error) };
            let pause = match error.pause() {
                Some(asked) if asked > LONGEST_PAUSE => return Err(error),
                Some(asked) => asked.max(pause),
                None => pause,
            };
            // Images of one registry are asked for at the same time; they need not come back at the same time.
            tokio::time::sleep(chance::between(pause, pause.mul_f64(1.5))).await;
        }
    }

    async fn once(&self, image: &Reference, login: &Login) -> Result<ImageDigest, RegistryError> {
        let asking = Asking::new(image, AskedAs::of(login));
        let url = self.url(image).ok_or_else(|| asking.address())?;
        let ask = |method: Method, authorization: Option<&HeaderValue>| {
            let request = self.client.request(method, url.clone()).header(ACCEPT, MANIFESTS);
            send(with(request, authorization), &asking)
        };
        let mut authorization = None;
        let mut answer = ask(Method::HEAD, None).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // Another host, which the registry led to, does not say where our password goes.
            if (answer.url().host_str(), answer.url().port()) != (url.host_str(), url.port()) {
                return Err(asking.refused(answer.status()));
            }
            authorization = self.authorization(answer.headers(), image, login, &asking).await?;
            if authorization.is_none() {
                return Err(asking.refused(answer.status()));
            }
            answer = ask(Method::HEAD, authorization.as_ref()).await?;
        }
        // Some registries and proxies know no HEAD.
        let unknown = matches!(answer.status(), StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if !unknown {
            check(&answer, &asking)?;
            if let Some(digest) = answer.headers().get(DIGEST_HEADER) {
                let digest = digest.to_str().ok().and_then(|digest| digest.parse().ok());
                return digest.ok_or_else(|| asking.no_digest());
            }
        }
        let answer = ask(Method::GET, authorization.as_ref()).await?;
        check(&answer, &asking)?;
        let manifest = body(answer, MANIFEST_LIMIT, &asking).await?;
        format!("sha256:{}", Sha256::of(&manifest)).parse().map_err(|_| asking.no_digest())
    }

    fn url(&self, image: &Reference) -> Option<Url> {
        let scheme = if self.may_be_open(&image.registry) { "http" } else { "https" };
        let host = if image.registry == "docker.io" { "registry-1.docker.io" } else { &image.registry };
        Url::parse(&format!("{scheme}://{host}/v2/{}/manifests/{}", image.repository, image.wanted())).ok()
    }

    /// Whether a host may be spoken with unencrypted: nobody is on the way, or somebody said so.
    fn may_be_open(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let here = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
        here || self.insecure.contains(host) || self.insecure.contains(name)
    }

    /// What to send with the next question, after a first answer of 401. `None`: there is nothing more to say.
    async fn authorization(
        &self,
        headers: &HeaderMap,
        image: &Reference,
        login: &Login,
        asking: &Asking,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        for challenge in challenges(values) {
            match (challenge, &login.secret) {
                (Challenge::Basic, Some(Secret::Password { user, password })) => {
                    return Ok(Some(basic(user, password, asking)?));
                }
                (Challenge::Bearer { .. }, Some(Secret::Registry(token))) => return Ok(Some(bearer(token, asking)?)),
                (
                    Challenge::Bearer { realm, service, scope },
                    None | Some(Secret::Password { .. } | Secret::Identity(_)),
                ) => {
                    let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", image.repository));
                    let token = self.token(&realm, service.as_deref(), &scope, login, asking).await?;
                    return Ok(Some(bearer(&token, asking)?));
                }
                (Challenge::Basic, None | Some(Secret::Identity(_) | Secret::Registry(_))) => {}
            }
        }
        Ok(None)
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        login: &Login,
        asking: &Asking,
    ) -> Result<String, RegistryError> {
        let mut url = Url::parse(realm).map_err(|_| asking.realm(realm))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let host = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        // The registry says where our password goes; it may not say that everybody can read it.
        if url.scheme() != "https" && !(url.scheme() == "http" && self.may_be_open(&host)) {
            return Err(asking.realm(realm));
        }
        let service = service.map(|service| ("service", service));
        let request = match &login.secret {
            Some(Secret::Identity(token)) => {
                let fields = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID)].into_iter().chain(service);
                let fields = fields.chain([("scope", scope), ("refresh_token", token)]);
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.tokens.post(url).header(CONTENT_TYPE, form).body(encoded(fields))
            }
            Some(Secret::Password { user, password }) => {
                let fields = service.into_iter().chain([("scope", scope), ("account", user)]);
                url.query_pairs_mut().extend_pairs(fields);
                with(self.tokens.get(url), Some(&basic(user, password, asking)?))
            }
            None | Some(Secret::Registry(_)) => {
                url.query_pairs_mut().extend_pairs(service.into_iter().chain([("scope", scope)]));
                self.tokens.get(url)
            }
        };
        let asking = asking.of_token(&host);
        let answer = send(request, &asking).await?;
        check(&answer, &asking)?;
        let answer = body(answer, TOKEN_LIMIT, &asking).await?;
        let token = serde_json::from_slice::<Token>(&answer).ok();
        let token = token.map(|it| if it.token.is_empty() { it.access_token } else { it.token });
        token.filter(|token| !token.is_empty()).ok_or_else(|| asking.no_token())
    }
}

fn with(request: RequestBuilder, authorization: Option<&HeaderValue>) -> RequestBuilder {
    match authorization {
        Some(authorization) => request.header(AUTHORIZATION, authorization),
        None => request,
    }
}

fn basic(user: &str, password: &str, asking: &Asking) -> Result<HeaderValue, RegistryError> {
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))), asking)
}

fn bearer(token: &str, asking: &Asking) -> Result<HeaderValue, RegistryError> {
    secret(&format!("Bearer {token}"), asking)
}

fn secret(text: &str, asking: &Asking) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| asking.no_token())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Fields as a form.
fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = Url::parse("form:").expect("`form:` is a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

async fn send(request: RequestBuilder, asking: &Asking) -> Result<Response, RegistryError> {
    request.send().await.map_err(|error| asking.network(error))
}

/// Refuses every answer but success.
fn check(answer: &Response, asking: &Asking) -> Result<(), RegistryError> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(asking.refused(status)),
        StatusCode::NOT_FOUND => Err(asking.not_found()),
        StatusCode::TOO_MANY_REQUESTS => Err(asking.too_many(pause(answer.headers()))),
        status => Err(asking.status(status, pause(answer.headers()))),
    }
}

/// The pause that a registry asks for, in seconds; dates are left to our own pauses.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

async fn body(mut answer: Response, limit: usize, asking: &Asking) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| asking.network(error))? {
        if bytes.len() + chunk.len() > limit {
            return Err(asking.too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
