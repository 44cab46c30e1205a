//! Speaks with the service.

use super::command::{CommandStatus, Envelope, HostCommand, Specification};

/// A client of the service for one host. Cheap to clone; all clones share one back-off.
#[derive(Clone)]
pub struct Client {}

/// Why the service did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Placeholder.
    #[error("not yet")]
    NotYet,
}

impl ServiceError {
    /// Whether asking again with the same words can help: network, 5xx, throttling, credentials that may be renewed.
    pub fn is_transient(&self) -> bool {
        true
    }
}

impl Client {
    /// Who this host is for the service.
    pub fn host(&self) -> &str {
        ""
    }

    /// `PollHostCommand`: waits for a command, as long as the service lets it; `None`: there is none.
    pub async fn poll(&self) -> Result<Option<HostCommand>, ServiceError> {
        Err(ServiceError::NotYet)
    }

    /// `GetDeploymentSpecification`.
    pub async fn specification(&self, _execution_id: &str) -> Result<Specification, ServiceError> {
        Err(ServiceError::NotYet)
    }

    /// `PutHostCommandAcknowledgement`; the command's status for the service now, when it says one.
    pub async fn acknowledge(
        &self,
        _command: &str,
        _diagnostics: &Envelope,
    ) -> Result<Option<CommandStatus>, ServiceError> {
        Err(ServiceError::NotYet)
    }

    /// `PutHostCommandComplete`.
    pub async fn complete(
        &self,
        _command: &str,
        _status: CommandStatus,
        _diagnostics: &Envelope,
    ) -> Result<(), ServiceError> {
        Err(ServiceError::NotYet)
    }

    /// `PostHostCommandUpdate`: says that a command is still worked on. `estimated_end`: seconds since 1970.
    pub async fn update(
        &self,
        _command: &str,
        _estimated_end: Option<f64>,
        _diagnostics: Option<&Envelope>,
    ) -> Result<Option<CommandStatus>, ServiceError> {
        Err(ServiceError::NotYet)
    }

    /// Asks the service whether it is there; any answer is one.
    pub async fn probe(&self) -> Result<(), ServiceError> {
        Err(ServiceError::NotYet)
    }
}
