//! Turns what the SDK reports into what the callers decide upon, and everything else into a [`StoreError`] in one line.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::super::{Cause, StoreError, Verb};
use super::S3Store;

/// A request, for messages about it.
pub(super) struct Asked<'a> {
    pub(super) verb: Verb,
    pub(super) bucket: &'a str,
    /// The URL of the object or bucket.
    pub(super) place: String,
    pub(super) store: &'a S3Store,
}

/// Why a request failed, as far as callers act upon it.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No such object, or no such version. To HEAD also: no such bucket.
    NotFound,
    /// `If-None-Match` named the ETag that the object still has.
    NotModified,
    /// `If-Match` or `If-None-Match` did not hold.
    Precondition,
    /// Another conditional write was under way; nobody knows yet who wins.
    Conflict,
    /// The multipart upload was completed or aborted.
    NoUpload,
    /// The range starts behind the end.
    Range,
    /// Nothing to decide upon.
    Other(StoreError),
}

impl Asked<'_> {
    /// Sorts an error of the SDK.
    pub(super) fn refusal<E>(&self, error: &SdkError<E, HttpResponse>) -> Refusal
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (SdkError::ServiceError(_) | SdkError::ResponseError(_)) = error else {
            return Refusal::Other(self.without_answer(error));
        };
        let answer = error.raw_response();
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        let header = |name| answer.and_then(|answer| answer.headers().get(name)).map(str::to_owned);
        let region = header("x-amz-bucket-region").filter(|region| *region != self.store.region);
        let code = error.code().unwrap_or_default();
        let source = one_line(&match (code, error.message().unwrap_or_default()) {
            ("", "") => format!("HTTP status {status}"),
            ("", message) => format!("{message} (HTTP status {status})"),
            (code, "") => format!("{code} (HTTP status {status})"),
            (code, message) => format!("{code}: {message} (HTTP status {status})"),
        });
        match (status, code) {
            (_, "NoSuchUpload") => Refusal::NoUpload,
            (_, "NoSuchBucket") => Refusal::Other(StoreError::NoBucket { bucket: self.bucket.to_owned() }),
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301 | 307, _) => self.wrong_region(region),
            // HEAD gets no code.
            (400, _) if region.is_some() => self.wrong_region(region),
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "RequestTimeTooSkewed"
                | "TokenRefreshRequired",
            ) => Refusal::Other(StoreError::BadCredentials { source }),
            // 405: the version is the mark of a deletion.
            (404 | 405, _) => Refusal::NotFound,
            (304, _) => Refusal::NotModified,
            (412, _) => Refusal::Precondition,
            (409, "ConditionalRequestConflict" | "OperationAborted") => Refusal::Conflict,
            (416, _) => Refusal::Range,
            (401 | 403, _) => Refusal::Other(StoreError::Denied { verb: self.verb, place: self.place.clone(), source }),
            _ => {
                let (verb, place) = (self.verb, self.place.clone());
                Refusal::Other(StoreError::Refused { verb, place, status: Some(status), source })
            }
        }
    }

    /// The same for HEAD, whose answer never says why. `version`: the one that was asked for, which can itself be what is wrong.
    pub(super) fn refusal_of_head<E>(&self, error: &SdkError<E, HttpResponse>, version: Option<&str>) -> Refusal
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let is_bare = error.raw_response().is_some_and(|answer| answer.status().as_u16() == 400);
        match self.refusal(error) {
            // Also what it gets for an object that is encrypted with a key of the customer.
            Refusal::Other(StoreError::Refused { verb, place, status, source }) if is_bare && version.is_none() => {
                let source = Cause(format!("{source}: perhaps the session of the AWS credentials has expired"));
                Refusal::Other(StoreError::Refused { verb, place, status, source })
            }
            refusal => refusal,
        }
    }

    /// The error for a refusal that the caller did not expect.
    pub(super) fn unexpected(&self, refusal: Refusal) -> StoreError {
        let refused = |why: &str| StoreError::Refused {
            verb: self.verb,
            place: self.place.clone(),
            status: None,
            source: Cause(why.to_owned()),
        };
        match refusal {
            Refusal::Other(error) => error,
            Refusal::NotFound => StoreError::NotFound(self.place.clone()),
            Refusal::Conflict => StoreError::Contested { place: self.place.clone() },
            Refusal::NotModified => refused("the server says that nothing has changed (HTTP status 304)"),
            Refusal::Precondition => refused("the server says that a condition does not hold (HTTP status 412)"),
            Refusal::NoUpload => refused("somebody aborted the upload (NoSuchUpload)"),
            Refusal::Range => refused("the server does not have the requested bytes (HTTP status 416)"),
        }
    }

    fn wrong_region(&self, region: Option<String>) -> Refusal {
        let (bucket, asked) = (self.bucket.to_owned(), self.store.region.clone());
        Refusal::Other(StoreError::WrongRegion { bucket, asked, region, named: self.store.region_named })
    }

    /// Before or instead of an answer.
    fn without_answer<E: Error + 'static>(&self, error: &SdkError<E, HttpResponse>) -> StoreError {
        let source = deepest(error);
        let texts = texts(error);
        if matches!(error, SdkError::ConstructionFailure(_)) {
            return StoreError::Refused { verb: self.verb, place: self.place.clone(), status: None, source };
        }
        // Credentials are asked for again with each request; those of a role run out.
        if texts.iter().any(|text| text.contains("credential")) {
            return StoreError::NoCredentials { source };
        }
        let endpoint = match &self.store.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("S3 in region {}", self.store.region),
        };
        let source = match error {
            SdkError::TimeoutError(_) => Cause(format!("no answer in time: {source}")),
            _ => source,
        };
        StoreError::Unreachable { endpoint, source }
    }
}

/// Whether the request may have been carried out although it failed.
pub(super) fn is_unclear<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        error => error.raw_response().is_some_and(|answer| answer.status().as_u16() >= 500),
    }
}

/// The innermost reason, which says most: `Connection refused (os error 111)`.
pub(super) fn deepest(error: &dyn Error) -> Cause {
    one_line(&texts(error).pop().unwrap_or_default())
}

/// All reasons, outermost first, in one line.
pub(super) fn chain(error: &dyn Error) -> Cause {
    one_line(&texts(error).join(": "))
}

/// What a server says goes to a terminal: no line breaks, no control characters.
fn one_line(text: &str) -> Cause {
    Cause(text.replace(char::is_control, " "))
}

fn texts(error: &dyn Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}
