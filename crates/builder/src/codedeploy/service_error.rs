//! Why a call of CodeDeploy did not succeed, without a word of the SDK's.

use std::fmt;

use longshore_core::failure::{Exit, Failure};
use longshore_core::store::Cause;

/// A call, named as IAM names the right to make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// What is known of several deployments.
    BatchGetDeployments,
    /// What is known of instances.
    BatchGetDeploymentTargets,
    /// A deployment begins.
    CreateDeployment,
    /// What is known of a deployment.
    GetDeployment,
    /// What is known of a group.
    GetDeploymentGroup,
    /// The applications.
    ListApplications,
    /// The deployment configurations.
    ListDeploymentConfigs,
    /// The groups of an application.
    ListDeploymentGroups,
    /// The deployments of a group.
    ListDeployments,
    /// The instances of a deployment.
    ListDeploymentTargets,
    /// A revision becomes known.
    RegisterApplicationRevision,
    /// A deployment is stopped.
    StopDeployment,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Their names are IAM's.
        write!(f, "codedeploy:{self:?}")
    }
}

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ServiceError {
    /// A policy does not allow it.
    #[error("not allowed to call `{action}`")]
    Denied {
        /// What was tried.
        action: Action,
        /// The service's words.
        source: Cause,
    },
    /// Too many calls.
    #[error("CodeDeploy is asked too often")]
    Throttled {
        /// The service's words.
        source: Cause,
    },
    /// Credentials that are not accepted, or have run out.
    #[error("the AWS credentials are not accepted")]
    BadCredentials {
        /// The service's words.
        source: Cause,
    },
    /// No answer.
    #[error("cannot reach `{endpoint}`")]
    Unreachable {
        /// Its URL, or what stands for it.
        endpoint: String,
        /// What the network said.
        source: Cause,
    },
    /// The service has troubles of its own, or answers what nobody understands.
    #[error("CodeDeploy fails to answer `{action}`")]
    Failing {
        /// What was tried.
        action: Action,
        /// Its words.
        source: Cause,
    },
    /// It refuses.
    #[error("CodeDeploy refuses `{action}`")]
    Refused {
        /// What was tried.
        action: Action,
        /// The name of the error.
        code: String,
        /// Its words.
        source: Cause,
    },
}

impl ServiceError {
    /// An answer without what it is for.
    pub(crate) fn strange(action: Action) -> ServiceError {
        ServiceError::Refused { action, code: String::new(), source: Cause("the answer says nothing".to_owned()) }
    }

    /// Whether it is the error with this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        match self {
            ServiceError::Refused { code, .. } => code == name,
            ServiceError::Denied { .. }
            | ServiceError::Throttled { .. }
            | ServiceError::BadCredentials { .. }
            | ServiceError::Unreachable { .. }
            | ServiceError::Failing { .. } => false,
        }
    }

    /// Whether the service wants to be asked less often.
    pub(crate) fn is_throttled(&self) -> bool {
        match self {
            ServiceError::Throttled { .. } => true,
            ServiceError::Denied { .. }
            | ServiceError::BadCredentials { .. }
            | ServiceError::Unreachable { .. }
            | ServiceError::Failing { .. }
            | ServiceError::Refused { .. } => false,
        }
    }

    /// Whether a policy is in the way.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, ServiceError::Denied { .. })
    }

    /// Whether asking again may help.
    pub(crate) fn may_heal(&self) -> bool {
        match self {
            ServiceError::Throttled { .. } | ServiceError::Unreachable { .. } | ServiceError::Failing { .. } => true,
            ServiceError::Denied { .. } | ServiceError::BadCredentials { .. } | ServiceError::Refused { .. } => false,
        }
    }

    /// Whether the call may have been carried out although it failed.
    pub(crate) fn is_unclear(&self) -> bool {
        match self {
            ServiceError::Unreachable { .. } | ServiceError::Failing { .. } => true,
            ServiceError::Throttled { .. }
            | ServiceError::Denied { .. }
            | ServiceError::BadCredentials { .. }
            | ServiceError::Refused { .. } => false,
        }
    }

    /// The exit code that this error stands for.
    pub(crate) fn exit(&self) -> Exit {
        Exit::Unavailable
    }

    /// What to type or change next, one sentence.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            ServiceError::Denied { action, .. } => Some(format!(
                "allow `{action}` in the policy of these credentials; docs/guide/codedeploy.md has all of it"
            )),
            ServiceError::Throttled { .. } => {
                Some("try again in a minute; other jobs of the account share the limit".to_owned())
            }
            ServiceError::BadCredentials { .. } => Some(
                "log in again, and look at the clock of this machine; `aws sts get-caller-identity` shows who you are"
                    .to_owned(),
            ),
            ServiceError::Unreachable { .. } => {
                Some("check region, network and proxy (`HTTPS_PROXY`, `AWS_ENDPOINT_URL_CODEDEPLOY`)".to_owned())
            }
            ServiceError::Failing { .. } => {
                Some("try again; https://health.aws.amazon.com says whether AWS has troubles".to_owned())
            }
            ServiceError::Refused { .. } => None,
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Failure {
        let (exit, hint) = (error.exit(), error.hint());
        hint.into_iter().fold(Failure::new(exit, error), Failure::hint)
    }
}
