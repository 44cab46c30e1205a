//! Why the service did not answer as hoped, read from its answer. Pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::signature::SignatureError;
use crate::identity::IdentityError;

/// Why the service did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The question is wrong, for the service or for somebody on the way to it.
    #[error("CodeDeploy answers {status} to `{operation}`{}", said(kind.as_deref(), message))]
    Client {
        /// What was asked.
        operation: &'static str,
        /// The answer's status.
        status: StatusCode,
        /// The service's name for it (`__type`); `None`: it was not the service that answered.
        kind: Option<String>,
        /// What it says about it.
        message: String,
    },
    /// The service fails.
    #[error("CodeDeploy fails with {status} at `{operation}`{}", said(kind.as_deref(), message))]
    Server {
        /// What was asked.
        operation: &'static str,
        /// The answer's status.
        status: StatusCode,
        /// The service's name for it.
        kind: Option<String>,
        /// What it says about it.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The service is asked too often.
    #[error("CodeDeploy asks for fewer calls of `{operation}`{}", said(kind.as_deref(), message))]
    Throttled {
        /// What was asked.
        operation: &'static str,
        /// The service's name for it.
        kind: Option<String>,
        /// What it says about it.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The credentials do not hold, and fresh ones neither.
    #[error("CodeDeploy does not take this host's credentials{}", said(Some(kind), message))]
    Credentials {
        /// The service's name for it.
        kind: String,
        /// What it says about it.
        message: String,
    },
    /// A signature holds for some minutes around its time, by the service's clock.
    #[error("the clock of this host says {here}, that of CodeDeploy {there}, and signatures hold for five minutes")]
    ClockSkew {
        /// The time on this host.
        here: Timestamp,
        /// The time there.
        there: Timestamp,
    },
    /// The answer cannot be read.
    #[error("CodeDeploy's answer to `{operation}` is not what was expected")]
    Answer {
        /// What was asked.
        operation: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The answer is something else, for example the page of a proxy.
    #[error("the answer to `{operation}` is `{content_type}` and not JSON, so it is not from CodeDeploy")]
    Content {
        /// What was asked.
        operation: &'static str,
        /// What it says that it is.
        content_type: String,
    },
    /// The answer is larger than any of the service's.
    #[error("CodeDeploy's answer to `{operation}` is larger than {limit} bytes")]
    TooLarge {
        /// What was asked.
        operation: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The answer sends us elsewhere, which the service never does.
    #[error("the answer to `{operation}` leads to `{to}`, which CodeDeploy never does")]
    Redirected {
        /// What was asked.
        operation: &'static str,
        /// Where to.
        to: String,
    },
    /// The service cannot be reached, or the connection broke, or the answer took too long.
    #[error("cannot reach CodeDeploy for `{operation}`")]
    Network {
        /// What was asked.
        operation: &'static str,
        /// Why.
        source: reqwest::Error,
    },
    /// There are no credentials.
    #[error("cannot find credentials for CodeDeploy")]
    Identity(#[from] IdentityError),
    /// The request could not be signed.
    #[error("cannot sign `{operation}`")]
    Sign {
        /// What was asked.
        operation: &'static str,
        /// Why.
        source: SignatureError,
    },
}

/// By how much the clocks may differ; the service takes five minutes.
const SKEW: Duration = Duration::from_secs(4 * 60);
/// How much of a message is kept, in characters.
const MESSAGE: usize = 500;

const THROTTLED: [&str; 8] = [
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
const EXPIRED: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
];
const DENIED: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "IncompleteSignatureException", "MissingAuthenticationTokenException"];
const WRONGLY_SIGNED: [&str; 6] = [
    "AuthFailure",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

impl ServiceError {
    /// Whether asking again with the same words can help: network, 5xx, throttling, credentials and permissions that may be
    /// renewed, an answer that somebody on the way spoilt.
    pub fn is_transient(&self) -> bool {
        match self {
            ServiceError::Server { .. }
            | ServiceError::Throttled { .. }
            | ServiceError::Credentials { .. }
            | ServiceError::ClockSkew { .. }
            | ServiceError::Content { .. }
            | ServiceError::Redirected { .. }
            | ServiceError::Network { .. }
            | ServiceError::Identity(_) => true,
            // What somebody on the way refuses today, the service may take tomorrow; and whoever may not speak today may
            // tomorrow: a result must not be lost because a policy was wrong for an hour.
            ServiceError::Client { kind, .. } => {
                kind.as_deref().is_none_or(|kind| DENIED.contains(&kind) || WRONGLY_SIGNED.contains(&kind))
            }
            // One that was cut may come whole; one that says something else will say it again.
            ServiceError::Answer { source, .. } => source.is_eof() || source.is_syntax(),
            ServiceError::TooLarge { .. } | ServiceError::Sign { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ServiceError::ClockSkew { .. } => {
                Some("let a time service set this host's clock, `timedatectl set-ntp true`")
            }
            ServiceError::Credentials { .. } | ServiceError::Identity(_) => Some(
                "an instance needs an instance profile that may call `codedeploy-commands-secure:*`, another host a valid \
                 on-premises file",
            ),
            ServiceError::Content { .. } | ServiceError::Redirected { .. } => {
                Some("look at the proxy, and at `deploy_control_endpoint`")
            }
            ServiceError::Network { .. } => Some(
                "the service is reached by port 443, through `proxy_uri` or `HTTPS_PROXY` when there is a proxy; in a network \
                 without a way out it needs a VPC endpoint and `enable_auth_policy`",
            ),
            ServiceError::Client { .. }
            | ServiceError::Server { .. }
            | ServiceError::Throttled { .. }
            | ServiceError::Answer { .. }
            | ServiceError::TooLarge { .. }
            | ServiceError::Sign { .. } => None,
        }
    }

    /// What an answer means that is no success.
    pub(super) fn of_answer(
        operation: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> ServiceError {
        if status.is_redirection() {
            return ServiceError::Redirected {
                operation,
                to: text(headers, &LOCATION).unwrap_or("nowhere").to_owned(),
            };
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (kind, message) = (kind(headers, &body), message(&body));
        let is = |names: &[&str]| kind.as_deref().is_some_and(|kind| names.contains(&kind));
        let now = Timestamp::try_from(now).unwrap_or_default();
        let there = text(headers, &DATE).and_then(date);
        let retry_after = text(headers, &RETRY_AFTER).and_then(|text| retry_after(text, there.unwrap_or(now)));

        if status == StatusCode::TOO_MANY_REQUESTS || is(&THROTTLED) {
            return ServiceError::Throttled { operation, kind, message, retry_after };
        }
        if status.is_server_error() || is(&["ServerException"]) {
            return ServiceError::Server { operation, status, kind, message, retry_after };
        }
        match (kind, there) {
            (Some(kind), Some(there))
                if WRONGLY_SIGNED.contains(&&*kind) && now.duration_since(there).unsigned_abs() > SKEW =>
            {
                ServiceError::ClockSkew { here: now, there }
            }
            (Some(kind), _) if EXPIRED.contains(&&*kind) => ServiceError::Credentials { kind, message },
            (kind, _) => ServiceError::Client { operation, status, kind, message },
        }
    }
}

/// `: Kind: message`, as far as there is any.
fn said(kind: Option<&str>, message: &str) -> String {
    let parts = [kind.unwrap_or_default(), message];
    parts.iter().filter(|part| !part.is_empty()).map(|part| format!(": {part}")).collect()
}

/// The name of an error, `a.b#Name` or `Name:https://…`.
fn kind(headers: &HeaderMap, body: &Value) -> Option<String> {
    let named = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let name = named.or_else(|| body["__type"].as_str()).or_else(|| body["code"].as_str())?;
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| shortened(name))
}

/// The first line of the message: about a wrong signature the service goes on with the request as it read it, and the session
/// token is a part of that.
fn message(body: &Value) -> String {
    let message = body["message"].as_str().or_else(|| body["Message"].as_str()).unwrap_or_default();
    shortened(message.lines().next().unwrap_or_default())
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// Seconds, or a time.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Duration::try_from(date(text)?.duration_since(now)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> ServiceError {
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(header).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        ServiceError::of_answer("PollHostCommand", status.try_into().unwrap(), &headers, body.as_bytes(), now)
    }

    #[test]
    fn each_answer_that_is_no_success_has_its_meaning() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(u16, Headers, &str, &str, bool); 17] = [
            (
                403,
                &[],
                r#"{"__type":"InvalidSignatureException","message":"It does not match.\n\nThe Canonical String should have been\n'POST\n/\n\nx-amz-security-token:hush"}"#,
                "CodeDeploy answers 403 Forbidden to `PollHostCommand`: InvalidSignatureException: It does not match.",
                true,
            ),
            (
                400,
                &[],
                r#"{"__type":"com.amazon.x#ClientException","message":"no such command"}"#,
                "CodeDeploy answers 400 Bad Request to `PollHostCommand`: ClientException: no such command",
                false,
            ),
            (
                400,
                &[("x-amzn-errortype", "ValidationException:https://x/")],
                r#"{"Message":"bad"}"#,
                "CodeDeploy answers 400 Bad Request to `PollHostCommand`: ValidationException: bad",
                false,
            ),
            (
                403,
                &[],
                r#"{"__type":"AccessDeniedException"}"#,
                "CodeDeploy answers 403 Forbidden to `PollHostCommand`: AccessDeniedException",
                true,
            ),
            (
                403,
                &[("content-type", "text/html")],
                "<h1>Forbidden</h1>",
                "CodeDeploy answers 403 Forbidden to `PollHostCommand`",
                true,
            ),
            (
                500,
                &[],
                r#"{"__type":"InternalFailure"}"#,
                "CodeDeploy fails with 500 Internal Server Error at `PollHostCommand`: InternalFailure",
                true,
            ),
            (503, &[], "<html>", "CodeDeploy fails with 503 Service Unavailable at `PollHostCommand`", true),
            (
                400,
                &[],
                r#"{"__type":"ServerException","message":"try later"}"#,
                "CodeDeploy fails with 400 Bad Request at `PollHostCommand`: ServerException: try later",
                true,
            ),
            (
                400,
                &[],
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
                "CodeDeploy asks for fewer calls of `PollHostCommand`: ThrottlingException: Rate exceeded",
                true,
            ),
            (429, &[], "", "CodeDeploy asks for fewer calls of `PollHostCommand`", true),
            (
                400,
                &[],
                r#"{"__type":"ExpiredTokenException","message":"old"}"#,
                "CodeDeploy does not take this host's credentials: ExpiredTokenException: old",
                true,
            ),
            (
                400,
                &[],
                r#"{"__type":"UnrecognizedClientException"}"#,
                "CodeDeploy does not take this host's credentials: UnrecognizedClientException",
                true,
            ),
            (
                403,
                &[("date", "Sun, 06 Nov 1994 09:49:37 GMT")],
                r#"{"__type":"InvalidSignatureException"}"#,
                "the clock of this host says 1994-11-06T08:49:37Z, that of CodeDeploy 1994-11-06T09:49:37Z, \
              and signatures hold for five minutes",
                true,
            ),
            (
                403,
                &[("date", "Sun, 06 Nov 1994 08:49:30 GMT")],
                r#"{"__type":"InvalidSignatureException","message":"no"}"#,
                "CodeDeploy answers 403 Forbidden to `PollHostCommand`: InvalidSignatureException: no",
                true,
            ),
            (
                403,
                &[],
                r#"{"__type":"InvalidSignatureException"}"#,
                "CodeDeploy answers 403 Forbidden to `PollHostCommand`: InvalidSignatureException",
                true,
            ),
            (
                302,
                &[("location", "https://portal.example/")],
                "",
                "the answer to `PollHostCommand` leads to `https://portal.example/`, which CodeDeploy never does",
                true,
            ),
            (404, &[], r#"{"__type":7,"message":[]}"#, "CodeDeploy answers 404 Not Found to `PollHostCommand`", true),
        ];
        for (status, headers, body, expected, transient) in table {
            let error = read(status, headers, body);
            assert_eq!((error.to_string().as_str(), error.is_transient()), (expected, transient), "{status} {body}");
        }
    }

    #[test]
    fn a_message_of_any_length_is_cut() {
        let body = format!(r#"{{"__type":"ClientException","message":"{}"}}"#, "x".repeat(100_000));
        let expected = "CodeDeploy answers 400 Bad Request to `PollHostCommand`: ClientException: ".to_owned();
        assert_eq!(read(400, &[], &body).to_string(), expected + &"x".repeat(MESSAGE));
    }

    #[test]
    fn the_service_says_how_long_it_wants_to_be_left_alone() {
        let table = [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", None),
            ("-1", None),
            ("soon", None),
        ];
        for (text, expected) in table {
            let ServiceError::Throttled { retry_after, .. } = read(429, &[("retry-after", text)], "") else {
                panic!("{text}")
            };
            assert_eq!(retry_after, expected.map(Duration::from_secs), "{text}");
        }
    }
}
