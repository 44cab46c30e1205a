//! Why a store refused or failed, what to do about it, and the exit code. No text of the S3 SDK is shown unchecked: what
//! it knows arrives here as a [`Cause`], one line.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::authorities::AuthoritiesError;
use crate::digest::Sha256;
use crate::failure::{Exit, Failure};
use crate::proxy::InvalidProxy;

use super::upload::InvalidUpload;

/// Why a store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key that this store cannot hold.
    #[error("`{key}` cannot be a key: {why}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// An object URL was given to a store of the other kind.
    #[error("`{object}` is not in this kind of store")]
    OtherStore {
        /// The URL.
        object: String,
    },
    /// The object does not exist.
    #[error("`{0}` does not exist")]
    NotFound(String),
    /// The bucket does not exist.
    #[error("bucket `{bucket}` does not exist")]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// The credentials are good, but do not allow this.
    #[error("not allowed to {verb} `{place}`")]
    Denied {
        /// What was tried.
        verb: Verb,
        /// On which object or bucket.
        place: String,
        /// The server's words.
        source: Cause,
    },
    /// What should be stored cannot be kept or sent like that.
    #[error(transparent)]
    Upload(#[from] InvalidUpload),
    /// Whoever wrote the file gave up.
    #[error("`{0}` was not written wholly")]
    GivenUp(PathBuf),
    /// The proxy is none.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The further certificate authorities are none.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// There are no credentials.
    #[error("found no AWS credentials")]
    NoCredentials {
        /// Where was looked.
        source: Cause,
    },
    /// `AWS_PROFILE` names a profile that no file defines.
    #[error("there is no AWS profile `{profile}`, which `AWS_PROFILE` names")]
    NoProfile {
        /// The profile.
        profile: String,
    },
    /// The server does not take the credentials: unknown, expired, wrong secret, wrong clock.
    #[error("the AWS credentials are not accepted")]
    BadCredentials {
        /// The server's words.
        source: Cause,
    },
    /// The bucket is in another region than the one that was asked.
    #[error("bucket `{bucket}` is not in region `{asked}`")]
    WrongRegion {
        /// The bucket.
        bucket: String,
        /// The region that was asked.
        asked: String,
        /// The region of the bucket, where the server said so.
        region: Option<String>,
        /// Whether the caller named the region that was asked, and not the environment.
        named: bool,
    },
    /// No answer from the server.
    #[error("cannot reach `{endpoint}`")]
    Unreachable {
        /// Its URL, or what stands for it.
        endpoint: String,
        /// What the network said.
        source: Cause,
    },
    /// The server refused for another reason, or has troubles of its own.
    #[error("cannot {verb} `{place}`")]
    Refused {
        /// What was tried.
        verb: Verb,
        /// On which object or bucket.
        place: String,
        /// The HTTP status of the answer, where that says why.
        status: Option<u16>,
        /// The server's words.
        source: Cause,
    },
    /// The connection broke too often while an object was fetched.
    #[error("the download of `{place}` broke off {times} times, last after {received} of {size} bytes")]
    Broken {
        /// The object.
        place: String,
        /// How often.
        times: u32,
        /// Bytes that had come.
        received: u64,
        /// Bytes of the object.
        size: u64,
        /// The last reason.
        source: Cause,
    },
    /// The object changed while it was fetched.
    #[error("`{place}` was replaced while it was fetched")]
    Replaced {
        /// The object.
        place: String,
    },
    /// The object is another one than was asked for, by its ETag.
    #[error("`{place}` has the ETag `{found}`, not `{expected}`")]
    OtherEtag {
        /// The object.
        place: String,
        /// The ETag that was asked for.
        expected: String,
        /// The ETag that it has.
        found: String,
    },
    /// The bytes are others than were asked for.
    #[error("`{place}` has the SHA-256 {found}, not {expected}")]
    OtherDigest {
        /// The object that was fetched, or the file that should have been stored.
        place: String,
        /// The digest that was asked for.
        expected: Sha256,
        /// The digest that it has.
        found: Sha256,
    },
    /// An object that should be small is not.
    #[error("`{place}` has {size} bytes; at most {limit} were expected")]
    TooLarge {
        /// The object.
        place: String,
        /// Its bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Every attempt to write met another writer.
    #[error("other writers keep writing `{place}`")]
    Contested {
        /// The object.
        place: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("cannot {verb} `{path}`")]
    File {
        /// What was tried.
        verb: Verb,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reading an object or what is known of it.
    Read,
    /// Storing or replacing.
    Write,
    /// Listing.
    List,
    /// Removing an object.
    Remove,
    /// Removing the parts of an unfinished upload.
    Abort,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Read => "read",
            Verb::Write => "write",
            Verb::List => "list",
            Verb::Remove => "remove",
            Verb::Abort => "abort the upload of",
        })
    }
}

/// What a server or the network said, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub String);

impl StoreError {
    /// The exit code that this error stands for.
    pub fn exit(&self) -> Exit {
        match self {
            StoreError::InvalidKey { .. }
            | StoreError::OtherStore { .. }
            | StoreError::Upload(_)
            | StoreError::Proxy(_)
            | StoreError::Authorities(_) => Exit::Usage,
            StoreError::NotFound(_) | StoreError::NoBucket { .. } => Exit::NotFound,
            StoreError::Denied { .. }
            | StoreError::NoCredentials { .. }
            | StoreError::NoProfile { .. }
            | StoreError::BadCredentials { .. }
            | StoreError::WrongRegion { .. }
            | StoreError::Unreachable { .. }
            | StoreError::Refused { .. }
            | StoreError::Broken { .. } => Exit::Unavailable,
            StoreError::Replaced { .. } | StoreError::Contested { .. } => Exit::Conflict,
            StoreError::OtherEtag { .. } | StoreError::OtherDigest { .. } | StoreError::TooLarge { .. } => {
                Exit::BadBundle
            }
            StoreError::File { .. } | StoreError::GivenUp(_) => Exit::Failed,
        }
    }

    /// Whether a server has said that it does not do this. With troubles of its own (5xx), or without an answer, it may have done it.
    pub fn is_final(&self) -> bool {
        match self {
            StoreError::Denied { .. } | StoreError::BadCredentials { .. } | StoreError::NoBucket { .. } => true,
            StoreError::Refused { status, .. } => status.is_some_and(|status| (400..500).contains(&status)),
            StoreError::InvalidKey { .. }
            | StoreError::OtherStore { .. }
            | StoreError::NotFound(_)
            | StoreError::Upload(_)
            | StoreError::GivenUp(_)
            | StoreError::Proxy(_)
            | StoreError::Authorities(_)
            | StoreError::NoCredentials { .. }
            | StoreError::NoProfile { .. }
            | StoreError::WrongRegion { .. }
            | StoreError::Unreachable { .. }
            | StoreError::Broken { .. }
            | StoreError::Replaced { .. }
            | StoreError::Contested { .. }
            | StoreError::OtherEtag { .. }
            | StoreError::OtherDigest { .. }
            | StoreError::TooLarge { .. }
            | StoreError::File { .. } => false,
        }
    }

    /// The store cannot be reached or refuses; the same call may succeed later or with other rights.
    pub fn is_unavailable(&self) -> bool {
        self.exit() == Exit::Unavailable
    }

    /// What to type or change next, one sentence.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::Denied { verb: Verb::Read, .. } => Some(
                "grant `s3:GetObject` (with versions also `s3:GetObjectVersion`); without `s3:ListBucket` a missing object \
                 looks like this too"
                    .to_owned(),
            ),
            StoreError::Denied { verb: Verb::Write, .. } => {
                Some("grant `s3:PutObject`, and the use of the KMS key if the bucket has one".to_owned())
            }
            StoreError::Denied { verb: Verb::List, .. } => Some("grant `s3:ListBucket`".to_owned()),
            StoreError::Denied { verb: Verb::Remove, .. } => Some("grant `s3:DeleteObject` on it".to_owned()),
            StoreError::Denied { verb: Verb::Abort, .. } => Some(
                "grant `s3:AbortMultipartUpload`, or let a lifecycle rule of the bucket remove unfinished uploads".to_owned(),
            ),
            StoreError::NoBucket { .. } => Some("check the name, and the account that the credentials belong to".to_owned()),
            StoreError::NoCredentials { .. } => Some(
                "set `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or give the machine a role".to_owned(),
            ),
            StoreError::NoProfile { .. } => {
                Some("`aws configure list-profiles` shows those that there are; unset `AWS_PROFILE` to go without".to_owned())
            }
            StoreError::BadCredentials { .. } => {
                Some(
                    "log in again or renew the keys, and check the clock; `aws sts get-caller-identity` shows what is in use"
                        .to_owned(),
                )
            }
            StoreError::WrongRegion { region: Some(region), named: true, .. } => {
                Some(format!("it is in `{region}`: name that region instead"))
            }
            StoreError::WrongRegion { region: None, named: true, .. } => {
                Some("name the region of the bucket instead".to_owned())
            }
            StoreError::WrongRegion { region: Some(region), named: false, .. } => Some(format!("set `AWS_REGION={region}`")),
            StoreError::WrongRegion { region: None, named: false, .. } => Some("set `AWS_REGION` to the region of the bucket".to_owned()),
            StoreError::Unreachable { .. } => Some(
                "check the network, `AWS_REGION`, and if they are set `HTTPS_PROXY`, `NO_PROXY` and `AWS_ENDPOINT_URL_S3`".to_owned(),
            ),
            StoreError::OtherDigest { .. } => Some(
                "the bytes were damaged or replaced: publish the artifact again under a new key".to_owned(),
            ),
            StoreError::Replaced { .. } | StoreError::Contested { .. } | StoreError::Broken { .. } => {
                Some("run the same command again".to_owned())
            }
            StoreError::Proxy(_) => Some(
                "set `HTTPS_PROXY` to the proxy, or unset it; `NO_PROXY` names what is reached without".to_owned(),
            ),
            StoreError::Authorities(_) => {
                Some("name a file in PEM form in `AWS_CA_BUNDLE`; those of the host count beside it".to_owned())
            }
            StoreError::Upload(InvalidUpload::KmsKey { .. }) => Some(
                "name that encryption beside the key, or no key: `longshore config` shows who says what of `upload`".to_owned(),
            ),
            StoreError::InvalidKey { .. }
            | StoreError::OtherStore { .. }
            | StoreError::Upload(_)
            | StoreError::GivenUp(_)
            | StoreError::NotFound(_)
            | StoreError::Refused { .. }
            | StoreError::OtherEtag { .. }
            | StoreError::TooLarge { .. }
            | StoreError::File { .. } => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let hint = error.hint();
        let failure = Failure::new(error.exit(), error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_becomes_a_failure_with_cause_hint_and_exit_code() {
        let error = StoreError::Denied {
            verb: Verb::Write,
            place: "s3://bucket/a".to_owned(),
            source: Cause("AccessDenied: no (HTTP 403)".to_owned()),
        };
        assert!(error.is_unavailable() && error.is_final());
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(
            failure.to_text(),
            "error: not allowed to write `s3://bucket/a`\n  \
             caused by: AccessDenied: no (HTTP 403)\n\n\
             hint: grant `s3:PutObject`, and the use of the KMS key if the bucket has one\n"
        );
    }

    #[test]
    fn after_troubles_of_the_server_nobody_knows_whether_it_was_done() {
        for (status, is_final) in
            [(Some(400), true), (Some(499), true), (Some(500), false), (Some(504), false), (None, false)]
        {
            let (place, source) = ("s3://bucket/a".to_owned(), Cause("no".to_owned()));
            let error = StoreError::Refused { verb: Verb::Write, place, status, source };
            assert_eq!(error.is_final(), is_final, "{status:?}");
        }
        assert!(!StoreError::Unreachable { endpoint: "s3".to_owned(), source: Cause("no".to_owned()) }.is_final());
    }
}
