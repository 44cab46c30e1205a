//! What the service asks a host to do. Values only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hook::diagnostics::Diagnostics;

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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Envelope {
    /// What an acknowledgement says: whether the event has nothing to do on this host.
    pub fn of_acknowledgement(has_nothing_to_do: bool) -> Envelope {
        Envelope::json(format!("{{\"IsCommandNoop\":{has_nothing_to_do}}}"))
    }

    /// What is told with a command's end.
    pub fn of_diagnostics(diagnostics: &Diagnostics) -> Envelope {
        Envelope::json(diagnostics.to_json())
    }

    fn json(payload: String) -> Envelope {
        Envelope { format: "JSON".to_owned(), payload }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A specification holds the token for GitHub.
        f.debug_struct("Envelope").field("format", &self.format).field("bytes", &self.payload.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_carry_the_json_of_the_aws_agent() {
        let json = |payload: &str| Envelope { format: "JSON".to_owned(), payload: payload.to_owned() };
        assert_eq!(Envelope::of_acknowledgement(true), json(r#"{"IsCommandNoop":true}"#));
        assert_eq!(Envelope::of_acknowledgement(false), json(r#"{"IsCommandNoop":false}"#));
        assert_eq!(
            Envelope::of_diagnostics(&Diagnostics::succeeded("")),
            json(r#"{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}"#)
        );
    }

    #[test]
    fn what_is_in_an_envelope_is_not_in_its_debug_form() {
        let envelope = Envelope { format: "TEXT/JSON".to_owned(), payload: "s3cret".to_owned() };
        assert_eq!(format!("{envelope:?}"), r#"Envelope { format: "TEXT/JSON", bytes: 6 }"#);
    }
}
