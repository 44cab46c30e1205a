//! What the service asks a host to do. Values only.

use serde::{Deserialize, Serialize};

/// One command (`HostCommand`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostCommand {
    /// Its id, which the answers carry.
    pub host_command_identifier: String,
    /// Whom it is for.
    pub host_identifier: String,
    /// The deployment on this host, by which the specification is asked for.
    pub deployment_execution_id: String,
    /// A lifecycle event.
    pub command_name: String,
    /// Told by the service, used by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<i64>,
}

/// How a command is, for the service (`CommandStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandStatus {
    /// Nobody has begun.
    Pending,
    /// Somebody works on it.
    InProgress,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// A text with its format (`Envelope`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Envelope {
    /// `JSON`, `PKCS7/JSON`, `TEXT/JSON`.
    pub format: String,
    /// The text.
    #[serde(default)]
    pub payload: String,
}

/// What the service says of a deployment (`GetDeploymentSpecification`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specification {
    /// `CodeDeploy`.
    pub system: Option<String>,
    /// The signed specification.
    pub envelope: Option<Envelope>,
}
