//! Why nobody knows who this host is, or with what it may speak. No text holds a secret.

use std::io;
use std::path::PathBuf;

/// Why nobody knows who this host is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The metadata service does not say it.
    #[error("the metadata service does not say who this host is")]
    Metadata(#[from] ImdsError),
    /// A file cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The on-premises file is wrong.
    #[error("the on-premises file is wrong: {}", problems.join("; "))]
    OnPremises {
        /// Everything that is wrong, each with its place.
        problems: Vec<String>,
    },
    /// The on-premises file is about another host than when the agent started.
    #[error("`{file}` is about another host by now")]
    OtherHost {
        /// The file.
        file: PathBuf,
    },
    /// The file of a session's credentials is wrong.
    #[error("`{file}` {why}")]
    SharedFile {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No region.
    #[error("{origin} says that the region is `{region}`, which is none")]
    Region {
        /// What should be one.
        region: String,
        /// Who says so.
        origin: String,
    },
    /// No domain.
    #[error("the metadata service says that services stand below `{0}`, which is no domain")]
    Domain(String),
}

/// Why the metadata service did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ImdsError {
    /// `AWS_EC2_METADATA_DISABLED`.
    #[error("`AWS_EC2_METADATA_DISABLED` is `true`")]
    Disabled,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT` leads nowhere.
    #[error("`AWS_EC2_METADATA_SERVICE_ENDPOINT` is `{0}`, which is no http address")]
    Endpoint(String),
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is unknown.
    #[error("`AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is `{0}`; it can be `IPv4` or `IPv6`")]
    Mode(String),
    /// The client could not be made.
    #[error("cannot make a client for the metadata service")]
    Client(#[source] reqwest::Error),
    /// There is nobody, or nobody who answers in time.
    #[error("cannot ask it for `{path}`")]
    Unreachable {
        /// What was asked.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It gives no token, and may not be asked without.
    #[error("it gives no token (HTTP status {0}), and may not be asked without one")]
    NoToken(u16),
    /// Some other answer.
    #[error("it answers {status} to `{path}`")]
    Status {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// The instance has no role.
    #[error("this instance has no role (instance profile)")]
    NoRole,
    /// It has no credentials for the role.
    #[error("it has no credentials for the role `{role}`: {code}")]
    NoCredentials {
        /// The role.
        role: String,
        /// Its word for why.
        code: String,
    },
    /// The answer makes no sense.
    #[error("its answer to `{path}` {why}")]
    Answer {
        /// What was asked.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl IdentityError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            IdentityError::Metadata(error) => error.hint(),
            IdentityError::OtherHost { .. } => Some("start the agent again to take the new identity"),
            IdentityError::Read { .. }
            | IdentityError::OnPremises { .. }
            | IdentityError::SharedFile { .. }
            | IdentityError::Region { .. }
            | IdentityError::Domain(_) => None,
        }
    }

    /// Whether the same question may have another answer in a moment, with nobody changing a setting.
    pub fn may_pass(&self) -> bool {
        match self {
            IdentityError::Metadata(error) => error.may_pass(),
            // Files are being written, mounted, or rotated.
            IdentityError::Read { .. } | IdentityError::SharedFile { .. } => true,
            IdentityError::OnPremises { .. }
            | IdentityError::OtherHost { .. }
            | IdentityError::Region { .. }
            | IdentityError::Domain(_) => false,
        }
    }
}

impl ImdsError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            ImdsError::Unreachable { .. } => Some(
                "a host outside EC2 needs an on-premises file \
                 (`/etc/codedeploy-agent/conf/codedeploy.onpremises.yml`), which `aws deploy register` makes; in a \
                 container the instance's `HttpPutResponseHopLimit` has to be 2; one that takes no orders of CodeDeploy \
                 follows a group: `[[follow]]` in agent.toml",
            ),
            ImdsError::NoToken(_) => Some(
                "allow the instance its metadata (`aws ec2 modify-instance-metadata-options --http-endpoint enabled`), or \
                 leave out `disable_imds_v1`",
            ),
            ImdsError::NoRole | ImdsError::NoCredentials { .. } => {
                Some("give the instance a profile with a role that EC2 may assume")
            }
            ImdsError::Status { status: 401 | 403, .. } => Some(
                "allow the instance its metadata (`aws ec2 modify-instance-metadata-options --http-endpoint enabled`), and \
                 see that no firewall or proxy answers for 169.254.169.254",
            ),
            ImdsError::Disabled => Some(
                "unset it, register the host (`aws deploy register` makes \
                 `/etc/codedeploy-agent/conf/codedeploy.onpremises.yml`), or follow a group: `[[follow]]` in agent.toml",
            ),
            ImdsError::Endpoint(_)
            | ImdsError::Mode(_)
            | ImdsError::Client(_)
            | ImdsError::Status { .. }
            | ImdsError::Answer { .. } => None,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            ImdsError::Disabled | ImdsError::Endpoint(_) | ImdsError::Mode(_) | ImdsError::Client(_) => false,
            // A role may be given to an instance that runs.
            ImdsError::Unreachable { .. }
            | ImdsError::NoToken(_)
            | ImdsError::Status { .. }
            | ImdsError::NoRole
            | ImdsError::NoCredentials { .. }
            | ImdsError::Answer { .. } => true,
        }
    }
}
