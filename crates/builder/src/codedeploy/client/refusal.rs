//! What the SDK reports as errors, sorted.

use std::error::Error;

use aws_sdk_codedeploy::config::http::HttpResponse;
use aws_sdk_codedeploy::error::{ProvideErrorMetadata, SdkError};
use longshore_core::store::Cause;

use super::super::service_error::{Action, ServiceError};
use super::Client;

impl Client<'_> {
    /// Sorts an error of a call.
    pub(super) fn refused<E>(&self, action: Action, error: &SdkError<E, HttpResponse>) -> ServiceError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answered = matches!(error, SdkError::ServiceError(_) | SdkError::ResponseError(_));
        if !answered {
            return self.without_answer(action, error);
        }
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        let source = one_line(&match (code, message) {
            ("", "") => format!("HTTP status {status}"),
            ("", message) => format!("{message} (HTTP status {status})"),
            (code, "") => format!("{code} (HTTP status {status})"),
            (code, message) => format!("{code}: {message}"),
        });
        match code {
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
                ServiceError::Denied { action, source }
            }
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => ServiceError::Throttled { source },
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "OptInRequired" => ServiceError::BadCredentials { source },
            _ if status == 429 => ServiceError::Throttled { source },
            _ if status >= 500 || matches!(error, SdkError::ResponseError(_)) => {
                ServiceError::Failing { action, source }
            }
            code => ServiceError::Refused { action, code: code.to_owned(), source },
        }
    }

    fn without_answer<E: Error + 'static>(&self, action: Action, error: &SdkError<E, HttpResponse>) -> ServiceError {
        let texts = texts(error);
        let source = one_line(texts.last().map(String::as_str).unwrap_or_default());
        if matches!(error, SdkError::ConstructionFailure(_)) {
            return ServiceError::Refused { action, code: String::new(), source };
        }
        // Credentials are asked for again with each call; those of a role run out.
        if texts.iter().any(|text| text.contains("credential")) {
            return ServiceError::BadCredentials { source };
        }
        let source = match error {
            SdkError::TimeoutError(_) => Cause(format!("no answer in time: {source}")),
            _ => source,
        };
        ServiceError::Unreachable { endpoint: self.endpoint.clone(), source }
    }
}

/// What a server says goes to a terminal: no line breaks, no control characters.
fn one_line(text: &str) -> Cause {
    Cause(text.replace(char::is_control, " "))
}

/// All reasons, outermost first.
fn texts(error: &dyn Error) -> Vec<String> {
    let reasons = std::iter::successors(Some(error), |error| (*error).source());
    reasons.map(ToString::to_string).collect()
}
