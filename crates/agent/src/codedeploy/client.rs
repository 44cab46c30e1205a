//! Speaks with the service: AWS JSON 1.1, signed, with one back-off for all workers.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use longshore_core::chance;
use longshore_core::store::Keys;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::backoff::{Backoff, Need};
use super::command::{CommandStatus, Envelope, HostCommand, Specification};
use super::endpoint::{Endpoint, EndpointError};
pub use super::service_error::ServiceError;
use super::signature;
use crate::identity::{Credentials, Identity};
use crate::settings::CodeDeploy;

/// A client of the service for one host. Cheap to clone; all clones share one back-off.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    host: String,
    endpoint: Endpoint,
    credentials: Credentials,
    /// What we say that we are.
    version: String,
    read_timeout: Duration,
    http: reqwest::Client,
    backoff: Backoff,
}

/// The largest answer that is read.
const LIMIT: usize = 1024 * 1024;
/// How often a call is tried again at once, and the first pause before it.
const QUICK: (u32, Duration) = (3, Duration::from_millis(250));
/// A shared pause that is longer ends a call that could be tried again: who called writes down what is to be said, and says it
/// later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the AWS agent's package says which version it is.
const AWS_VERSION: &str = "/opt/codedeploy-agent/.version";

/// Whether a call that failed is tried again before the caller hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A few times.
    Quickly,
    /// The caller does.
    No,
}

impl Client {
    /// A client for a host. `http` knows the way: proxies and certificate authorities. An answer from elsewhere, to which it
    /// was redirected, is refused.
    pub fn new(identity: &Identity, settings: &CodeDeploy, http: reqwest::Client) -> Result<Client, EndpointError> {
        Ok(Client(Arc::new(Inner {
            host: identity.host.clone(),
            endpoint: Endpoint::of(&identity.region, &identity.domain, settings)?,
            credentials: identity.credentials.clone(),
            version: version(fs::read_to_string(AWS_VERSION).ok().as_deref()),
            read_timeout: settings.read_timeout,
            http,
            backoff: Backoff::new(settings.throttle_pause),
        })))
    }

    /// Who this host is for the service.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// `PollHostCommand`: waits for a command, as long as the service lets it; `None`: there is none.
    pub async fn poll(&self) -> Result<Option<HostCommand>, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Polled {
            host_command: Option<HostCommand>,
        }
        let polled: Polled = self.call("PollHostCommand", &json!({"HostIdentifier": self.0.host}), Again::No).await?;
        Ok(polled.host_command)
    }

    /// `GetDeploymentSpecification`.
    pub async fn specification(&self, execution_id: &str) -> Result<Specification, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Got {
            deployment_system: Option<String>,
            deployment_specification: Option<Envelopes>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Envelopes {
            generic_envelope: Option<Envelope>,
        }
        let request = json!({"DeploymentExecutionId": execution_id, "HostIdentifier": self.0.host});
        let got: Got = self.call("GetDeploymentSpecification", &request, Again::Quickly).await?;
        let envelope = got.deployment_specification.and_then(|envelopes| envelopes.generic_envelope);
        Ok(Specification { system: got.deployment_system, envelope })
    }

    /// `PutHostCommandAcknowledgement`; the command's status for the service now, when it says one.
    pub async fn acknowledge(
        &self,
        command: &str,
        diagnostics: &Envelope,
    ) -> Result<Option<CommandStatus>, ServiceError> {
        let request = json!({"HostCommandIdentifier": command, "Diagnostics": diagnostics});
        self.call::<Status>("PutHostCommandAcknowledgement", &request, Again::Quickly).await.map(Status::into)
    }

    /// `PutHostCommandComplete`.
    pub async fn complete(
        &self,
        command: &str,
        status: CommandStatus,
        diagnostics: &Envelope,
    ) -> Result<(), ServiceError> {
        let request = json!({"HostCommandIdentifier": command, "CommandStatus": status, "Diagnostics": diagnostics});
        self.call::<Value>("PutHostCommandComplete", &request, Again::Quickly).await.map(drop)
    }

    /// `PostHostCommandUpdate`: says that a command is still worked on. `estimated_end`: seconds since 1970.
    pub async fn update(
        &self,
        command: &str,
        estimated_end: Option<f64>,
        diagnostics: Option<&Envelope>,
    ) -> Result<Option<CommandStatus>, ServiceError> {
        let mut request = json!({"HostCommandIdentifier": command});
        if let Some(end) = estimated_end {
            request["EstimatedCompletionTime"] = end.into();
        }
        if let Some(diagnostics) = diagnostics {
            request["Diagnostics"] = json!(diagnostics);
        }
        self.call::<Status>("PostHostCommandUpdate", &request, Again::No).await.map(Status::into)
    }

    /// Asks the service whether it is there; any answer is one.
    pub async fn probe(&self) -> Result<(), ServiceError> {
        let request = self.0.http.get(self.0.endpoint.url.clone()).timeout(self.0.read_timeout);
        request.send().await.map(drop).map_err(|source| ServiceError::Network { operation: "GET /", source })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &Value,
        again: Again,
    ) -> Result<T, ServiceError> {
        let Inner { backoff, credentials, .. } = &*self.0;
        let body = request.to_string();
        let mut renewed = false;
        let mut quick = match again {
            Again::Quickly => 0..QUICK.0,
            Again::No => 0..0,
        };
        loop {
            backoff.wait().await;
            let keys = credentials.keys().await?;
            let error = match self.once(operation, &body, &keys).await {
                Ok(answer) => {
                    backoff.answered();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            match &error {
                ServiceError::Throttled { retry_after, .. } => backoff.overloaded(Need::Throttled, *retry_after),
                ServiceError::Server { retry_after, .. } => backoff.overloaded(Need::Failing, *retry_after),
                ServiceError::Credentials { .. } if !renewed => {
                    renewed = true;
                    credentials.forget();
                    continue;
                }
                // Nothing of this passes within a second.
                ServiceError::Credentials { .. }
                | ServiceError::ClockSkew { .. }
                | ServiceError::Identity(_)
                | ServiceError::Client { .. }
                | ServiceError::Answer { .. }
                | ServiceError::Content { .. }
                | ServiceError::TooLarge { .. }
                | ServiceError::Redirected { .. }
                | ServiceError::Sign { .. } => return Err(error),
                ServiceError::Network { .. } => {}
            }
            match quick.next() {
                Some(number) if backoff.pause().unwrap_or_default() <= PATIENCE => {
                    tokio::time::sleep(QUICK.1.mul_f64(chance::share()) * 2u32.pow(number)).await;
                }
                Some(_) | None => return Err(error),
            }
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &str,
        keys: &Keys,
    ) -> Result<T, ServiceError> {
        let Inner { endpoint, version, http, read_timeout, .. } = &*self.0;
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-codedeploy-agent-version", version.clone()),
            ("x-amz-target", endpoint.target(operation)),
        ];
        let headers = signature::signed(endpoint, &headers, body.as_bytes(), keys, SystemTime::now())
            .map_err(|source| ServiceError::Sign { operation, source })?;
        let network = |source| ServiceError::Network { operation, source };
        let request = http.post(endpoint.url.clone()).headers(headers).body(body.to_owned()).timeout(*read_timeout);
        let mut answer = request.send().await.map_err(network)?;
        if *answer.url() != endpoint.url {
            return Err(ServiceError::Redirected { operation, to: answer.url().to_string() });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(network)? {
            if bytes.len() + chunk.len() > LIMIT {
                return Err(ServiceError::TooLarge { operation, limit: LIMIT });
            }
            bytes.extend_from_slice(&chunk);
        }
        if !answer.status().is_success() {
            let (status, headers) = (answer.status(), answer.headers());
            return Err(ServiceError::of_answer(operation, status, headers, &bytes, SystemTime::now()));
        }
        if bytes.is_empty() {
            bytes.extend_from_slice(b"{}");
        }
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match content_type {
            Some(other) if !other.contains("json") => {
                Err(ServiceError::Content { operation, content_type: other.to_owned() })
            }
            Some(_) | None => {
                serde_json::from_slice(&bytes).map_err(|source| ServiceError::Answer { operation, source })
            }
        }
    }
}

/// What an answer says of a command.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    command_status: Option<CommandStatus>,
}

impl From<Status> for Option<CommandStatus> {
    fn from(status: Status) -> Option<CommandStatus> {
        status.command_status
    }
}

/// What `x-amz-codedeploy-agent-version` says, from the AWS package's `.version`.
///
/// Nobody outside knows what the service makes of it. What the AWS package on this host has been saying is known to work, and
/// an agent that takes its place on the host speaks for that installation. Where there is none, the truth is safe enough: AWS's
/// own agent says `UNKNOWN_VERSION` when it cannot find out, so any text is taken.
fn version(aws: Option<&str>) -> String {
    let told = aws.and_then(|text| text.split_once(": ")).map(|(_, version)| version.trim());
    let fits =
        |version: &&str| (1..=100).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic());
    told.filter(fits).map_or_else(|| concat!("longshore-", env!("CARGO_PKG_VERSION")).to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_aws_package_or_our_own() {
        let ours = concat!("longshore-", env!("CARGO_PKG_VERSION"));
        let table = [
            (None, ours),
            (Some("agent_version: OFFICIAL_1.8.1-3_deb\n"), "OFFICIAL_1.8.1-3_deb"),
            (Some("agent_version: COMMIT_0123abc"), "COMMIT_0123abc"),
            (Some(""), ours),
            (Some("agent_version:"), ours),
            (Some("agent_version: \n"), ours),
            (Some("agent_version: a\r\nx-evil: b"), ours),
        ];
        for (text, expected) in table {
            assert_eq!(version(text), expected, "{text:?}");
        }
    }
}
