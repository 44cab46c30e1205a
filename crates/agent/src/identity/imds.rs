//! The metadata service of EC2: a small client that speaks both of its protocols. Never goes through a proxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_core::store::Keys;
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::error::ImdsError;

const TOKEN: &str = "latest/api/token";
const DOCUMENT: &str = "latest/dynamic/instance-identity/document";
const PARTITION: &str = "latest/meta-data/services/partition";
const DOMAIN: &str = "latest/meta-data/services/domain";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
/// How long a token is asked to hold, seconds; the most there is.
const TOKEN_TTL: u64 = 21600;
/// It is on the same host: who does not answer at once is not there.
const CONNECT: Duration = Duration::from_secs(1);
/// An answer to the question for a token gets lost where packets may not travel as far as from here.
const TOKEN_ANSWER: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// The waits before each further try.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(500)];
/// No answer that we ask for is as large.
const LIMIT: usize = 64 << 10;

/// The metadata service. Cheap to clone; all clones share one token.
#[derive(Clone)]
pub struct Imds {
    client: Client,
    endpoint: Url,
    /// Whether its first protocol may be spoken.
    v1: bool,
    token: Arc<Mutex<Token>>,
}

enum Token {
    Unknown,
    Held {
        value: HeaderValue,
        until: Instant,
    },
    /// There are none here, and none are needed.
    Needless,
}

/// Credentials as a source gives them.
pub(super) struct Found {
    /// The keys.
    pub(super) keys: Keys,
    /// When they expire; `None`: nobody says.
    pub(super) expires: Option<Timestamp>,
}

/// What the instance identity document says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The region.
    pub region: String,
    /// The account.
    pub account_id: String,
    /// The instance.
    pub instance_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

impl std::fmt::Debug for Imds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_struct("Imds").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

impl Imds {
    /// The one that the environment names. `v1`: whether its first protocol may be spoken too.
    pub fn new(v1: bool, variable: &dyn Fn(&str) -> Option<String>) -> Result<Imds, ImdsError> {
        if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(ImdsError::Disabled);
        }
        let endpoint = endpoint(variable)?;
        // No authorities: there is no TLS here, and reading those of the host costs memory.
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .user_agent(crate::network::USER_AGENT)
            .build()
            .map_err(ImdsError::Client)?;
        Ok(Imds { client, endpoint, v1, token: Arc::new(Mutex::new(Token::Unknown)) })
    }

    /// The instance identity document.
    pub async fn document(&self) -> Result<Document, ImdsError> {
        let text = self.text(DOCUMENT).await?;
        let wrong = |error: serde_json::Error| self.wrong(DOCUMENT, &format!("is no identity document: {error}"));
        let document: Document = serde_json::from_str(&text).map_err(wrong)?;
        for part in [&document.region, &document.account_id, &document.instance_id] {
            if !is_word(part) {
                return Err(self.wrong(DOCUMENT, "is no identity document"));
            }
        }
        Ok(document)
    }

    /// The domain of the partition.
    pub async fn domain(&self) -> Result<String, ImdsError> {
        Ok(self.text(DOMAIN).await?.trim().to_owned())
    }

    /// The ARN of the instance.
    pub async fn host_identifier(&self) -> Result<String, ImdsError> {
        let partition = self.text(PARTITION).await?.trim().to_owned();
        if !is_word(&partition) {
            return Err(self.wrong(PARTITION, "is no name of a partition"));
        }
        let Document { region, account_id, instance_id } = self.document().await?;
        Ok(format!("arn:{partition}:ec2:{region}:{account_id}:instance/{instance_id}"))
    }

    /// The credentials of the instance's role.
    pub(super) async fn credentials(&self) -> Result<Found, ImdsError> {
        let roles = match self.text(ROLES).await {
            Err(ImdsError::Status { status: 404, .. }) => return Err(ImdsError::NoRole),
            roles => roles?,
        };
        let role = roles.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(ImdsError::NoRole);
        }
        // The characters of a role's name; it becomes part of an address.
        if !role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte)) {
            return Err(self.wrong(ROLES, "is no name of a role"));
        }
        let path = format!("{ROLES}{role}");
        let text = self.text(&path).await?;
        // The parser's words could hold a part of what it read.
        let wrong = |_| self.wrong(&path, "holds no credentials");
        let answer: RoleCredentials = serde_json::from_str(&text).map_err(wrong)?;
        if let Some(code) = answer.code.filter(|code| code != "Success") {
            return Err(ImdsError::NoCredentials { role: role.to_owned(), code: code.chars().take(100).collect() });
        }
        let (Some(access_key_id), Some(secret_access_key)) = (answer.access_key_id, answer.secret_access_key) else {
            return Err(self.wrong(&path, "holds no credentials"));
        };
        let expires = match answer.expiration.map(|text| text.parse::<Timestamp>()) {
            None => None,
            Some(Ok(time)) => Some(time),
            Some(Err(_)) => return Err(self.wrong(&path, "holds credentials without a time at which they expire")),
        };
        Ok(Found { keys: Keys { access_key_id, secret_access_key, session_token: answer.token }, expires })
    }

    fn wrong(&self, path: &str, why: &str) -> ImdsError {
        ImdsError::Answer { path: path.to_owned(), why: why.to_owned() }
    }

    async fn text(&self, path: &str) -> Result<String, ImdsError> {
        let mut answer = self.ask(path).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The token ran out, or the first protocol is not spoken any more.
            *self.token.lock().await = Token::Unknown;
            answer = self.ask(path).await?;
        }
        if !answer.status().is_success() {
            return Err(ImdsError::Status { path: path.to_owned(), status: answer.status().as_u16() });
        }
        self.body(path, answer).await
    }

    async fn body(&self, path: &str, mut answer: Response) -> Result<String, ImdsError> {
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|source| unreachable(path, source))? {
            body.extend_from_slice(&part);
            if body.len() > LIMIT {
                return Err(self.wrong(path, "is too long"));
            }
        }
        String::from_utf8(body).map_err(|_| self.wrong(path, "is no text"))
    }

    async fn ask(&self, path: &str) -> Result<Response, ImdsError> {
        let token = self.token().await?;
        let header = token.map(|token| ("x-aws-ec2-metadata-token", token));
        self.send(Method::GET, path, header, ANSWER).await
    }

    /// The token, if there are any. Who comes while it is fetched waits for it.
    async fn token(&self) -> Result<Option<HeaderValue>, ImdsError> {
        let mut token = self.token.lock().await;
        match &*token {
            Token::Held { value, until } if Instant::now() < *until => return Ok(Some(value.clone())),
            Token::Needless => return Ok(None),
            Token::Held { .. } | Token::Unknown => {}
        }
        let asked = Instant::now();
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", HeaderValue::from(TOKEN_TTL));
        let refused = match self.send(Method::PUT, TOKEN, Some(ttl), TOKEN_ANSWER).await {
            Ok(answer) if answer.status().is_success() => {
                let text = self.body(TOKEN, answer).await?;
                let mut value = HeaderValue::from_str(text.trim()).map_err(|_| self.wrong(TOKEN, "is no token"))?;
                value.set_sensitive(true);
                *token = Token::Held { value: value.clone(), until: asked + Duration::from_secs(TOKEN_TTL - 60) };
                return Ok(Some(value));
            }
            Ok(answer) => ImdsError::NoToken(answer.status().as_u16()),
            // Nobody is there for the other protocol either.
            Err(ImdsError::Unreachable { path, source }) if source.is_connect() => {
                return Err(ImdsError::Unreachable { path, source });
            }
            Err(error) => error,
        };
        if !self.v1 {
            return Err(refused);
        }
        tracing::warn!(
            "the metadata service gives no token ({refused}); it is asked by its first protocol, without one"
        );
        *token = Token::Needless;
        Ok(None)
    }

    /// Asks, and asks again after what may pass.
    async fn send(
        &self,
        method: Method,
        path: &str,
        header: Option<(&'static str, HeaderValue)>,
        patience: Duration,
    ) -> Result<Response, ImdsError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let url = self.endpoint.join(path).unwrap_or_else(|_| self.endpoint.clone());
            let mut request = self.client.request(method.clone(), url).timeout(patience);
            if let Some((name, value)) = header.clone() {
                request = request.header(name, value);
            }
            let answer = request.send().await;
            let may_pass = match &answer {
                Ok(answer) => answer.status().is_server_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS,
                Err(error) => !error.is_builder(),
            };
            match pauses.next() {
                Some(pause) if may_pass => tokio::time::sleep(pause).await,
                Some(_) | None => return answer.map_err(|source| unreachable(path, source)),
            }
        }
    }
}

fn unreachable(path: &str, source: reqwest::Error) -> ImdsError {
    // The error already names the path; the whole address says nothing more.
    ImdsError::Unreachable { path: path.to_owned(), source: source.without_url() }
}

fn endpoint(variable: &dyn Fn(&str) -> Option<String>) -> Result<Url, ImdsError> {
    let text = match variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        Some(endpoint) => endpoint,
        None => match variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") {
            Some(mode) if mode.eq_ignore_ascii_case("ipv6") => "http://[fd00:ec2::254]".to_owned(),
            Some(mode) if !mode.eq_ignore_ascii_case("ipv4") => return Err(ImdsError::Mode(mode)),
            Some(_) | None => "http://169.254.169.254".to_owned(),
        },
    };
    // A path ends with a slash, or its last part would be replaced.
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok();
    let url = url.filter(|url| url.scheme() == "http" && url.has_host() && url.query().is_none());
    url.ok_or(ImdsError::Endpoint(text))
}

/// Whether a text may become a part of an ARN.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_that_the_environment_names() {
        let found = |endpoint: Option<&str>, mode: Option<&str>| {
            let variable = |name: &str| match name {
                "AWS_EC2_METADATA_SERVICE_ENDPOINT" => endpoint.map(str::to_owned),
                "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" => mode.map(str::to_owned),
                _ => None,
            };
            let url = super::endpoint(&variable).map_err(|error| error.to_string())?;
            url.join(DOMAIN).map(String::from).map_err(|error| error.to_string())
        };
        for (endpoint, mode, expected) in [
            (None, None, "http://169.254.169.254/latest/meta-data/services/domain"),
            (None, Some("IPv4"), "http://169.254.169.254/latest/meta-data/services/domain"),
            (None, Some("IPv6"), "http://[fd00:ec2::254]/latest/meta-data/services/domain"),
            (Some("http://127.0.0.1:99"), Some("IPv6"), "http://127.0.0.1:99/latest/meta-data/services/domain"),
            (Some("http://127.0.0.1:99/below/"), None, "http://127.0.0.1:99/below/latest/meta-data/services/domain"),
        ] {
            assert_eq!(found(endpoint, mode).as_deref(), Ok(expected), "{endpoint:?} {mode:?}");
        }
        for (endpoint, mode, expected) in [
            (None, Some("v6"), "`AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is `v6`; it can be `IPv4` or `IPv6`"),
            (Some("https://a"), None, "`AWS_EC2_METADATA_SERVICE_ENDPOINT` is `https://a`, which is no http address"),
            (
                Some("169.254.169.254"),
                None,
                "`AWS_EC2_METADATA_SERVICE_ENDPOINT` is `169.254.169.254`, which is no http address",
            ),
        ] {
            assert_eq!(found(endpoint, mode), Err(expected.to_owned()), "{endpoint:?} {mode:?}");
        }
    }
}
