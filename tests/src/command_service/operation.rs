//! The five operations: how a request names one, and what its members must be.

use serde_json::{Map, Value, json};

/// An operation of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `PollHostCommand`.
    Poll,
    /// `GetDeploymentSpecification`.
    Specification,
    /// `PutHostCommandAcknowledgement`.
    Acknowledge,
    /// `PutHostCommandComplete`.
    Complete,
    /// `PostHostCommandUpdate`.
    Update,
}

/// What a request asks for, its members checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Poll { host: String },
    Specification { execution: String, host: String },
    Acknowledge { command: String, diagnostics: Option<Diagnostics> },
    Complete { command: String, status: Status, diagnostics: Option<Diagnostics> },
    Update { command: String, diagnostics: Option<Diagnostics> },
}

/// What a host says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// `JSON`.
    pub format: String,
    /// The text.
    pub payload: String,
}

/// How a command or a deployment on a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has said a word.
    Pending,
    /// It was acknowledged.
    InProgress,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

impl Status {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "Pending",
            Status::InProgress => "InProgress",
            Status::Succeeded => "Succeeded",
            Status::Failed => "Failed",
        }
    }

    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed)
    }
}

/// An error of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceError {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl ServiceError {
    /// What the client did wrong.
    pub(super) fn client(message: impl Into<String>) -> ServiceError {
        ServiceError { status: 400, kind: "ClientException", message: message.into() }
    }

    /// The body of the answer. The service's own errors have its name before theirs, those of the signature have not.
    pub(super) fn body(&self) -> Value {
        let own = matches!(self.kind, "ClientException" | "ServerException");
        let name = if own { format!("com.amazonaws.codedeploy.commands#{}", self.kind) } else { self.kind.to_owned() };
        json!({"__type": name, "message": self.message})
    }
}

/// The two prefixes of operations, each with the name for which requests are signed.
const FACES: [(&str, &str); 2] = [
    ("CodeDeployCommandService_v20141006.", "codedeploy-commands"),
    ("CodeDeployCommandService.", "codedeploy-commands-secure"),
];

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 5] =
        [Operation::Poll, Operation::Specification, Operation::Acknowledge, Operation::Complete, Operation::Update];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Poll => "PollHostCommand",
            Operation::Specification => "GetDeploymentSpecification",
            Operation::Acknowledge => "PutHostCommandAcknowledgement",
            Operation::Complete => "PutHostCommandComplete",
            Operation::Update => "PostHostCommandUpdate",
        }
    }

    /// The operation that `X-Amz-Target` names, and the service for which its request is signed.
    pub(super) fn of_target(target: &str) -> Option<(Operation, &'static str)> {
        FACES.iter().find_map(|(prefix, service)| {
            let name = target.strip_prefix(prefix)?;
            Some((Operation::ALL.into_iter().find(|operation| operation.name() == name)?, *service))
        })
    }

    /// Checks the body of a request. Stricter than AWS: a member that nobody knows is an error.
    pub(super) fn read(self, body: &Value) -> Result<Request, ServiceError> {
        let members = Members(body.as_object().ok_or_else(|| malformed("the body is no map".to_owned()))?);
        match self {
            Operation::Poll => {
                members.only(&["HostIdentifier"])?;
                Ok(Request::Poll { host: members.required("HostIdentifier", usize::MAX)? })
            }
            Operation::Specification => {
                members.only(&["DeploymentExecutionId", "HostIdentifier"])?;
                let execution = members.required("DeploymentExecutionId", 129)?;
                if execution.splitn(4, '/').filter(|part| !part.is_empty()).count() != 4 {
                    return Err(ServiceError::client(format!("DeploymentExecutionId `{execution}` is not a/b/c/d")));
                }
                Ok(Request::Specification { execution, host: members.required("HostIdentifier", usize::MAX)? })
            }
            Operation::Acknowledge => {
                members.only(&["HostCommandIdentifier", "Diagnostics"])?;
                let command = members.required("HostCommandIdentifier", usize::MAX)?;
                Ok(Request::Acknowledge { command, diagnostics: members.diagnostics()? })
            }
            Operation::Complete => {
                members.only(&["HostCommandIdentifier", "CommandStatus", "Diagnostics"])?;
                let command = members.required("HostCommandIdentifier", usize::MAX)?;
                let status = match members.required("CommandStatus", usize::MAX)?.as_str() {
                    "Succeeded" => Status::Succeeded,
                    "Failed" => Status::Failed,
                    other => return Err(ServiceError::client(format!("a command cannot be completed as `{other}`"))),
                };
                Ok(Request::Complete { command, status, diagnostics: members.diagnostics()? })
            }
            Operation::Update => {
                members.only(&["HostCommandIdentifier", "EstimatedCompletionTime", "Diagnostics"])?;
                let command = members.required("HostCommandIdentifier", usize::MAX)?;
                if members.0.get("EstimatedCompletionTime").is_some_and(|time| !time.is_number()) {
                    return Err(malformed("EstimatedCompletionTime is no number".to_owned()));
                }
                Ok(Request::Update { command, diagnostics: members.diagnostics()? })
            }
        }
    }
}

struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn only(&self, known: &[&str]) -> Result<(), ServiceError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(malformed(format!("`{name}` is no member"))),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<Option<String>, ServiceError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if lengths.contains(&text.len()) => Ok(Some(text.clone())),
            Some(Value::String(text)) => {
                let text = format!("`{name}` has {} bytes, not {lengths:?}", text.len());
                Err(ServiceError { status: 400, kind: "ValidationException", message: text })
            }
            Some(_) => Err(malformed(format!("`{name}` is no text"))),
        }
    }

    fn required(&self, name: &str, most: usize) -> Result<String, ServiceError> {
        let text = self.text(name, 1..=most)?;
        text.ok_or_else(|| ServiceError {
            status: 400,
            kind: "ValidationException",
            message: format!("`{name}` is required"),
        })
    }

    fn diagnostics(&self) -> Result<Option<Diagnostics>, ServiceError> {
        let Some(envelope) = self.0.get("Diagnostics") else { return Ok(None) };
        let members = Members(envelope.as_object().ok_or_else(|| malformed("Diagnostics is no map".to_owned()))?);
        members.only(&["Format", "Payload"])?;
        let format = members.required("Format", 64)?;
        Ok(Some(Diagnostics { format, payload: members.text("Payload", 0..=8192)?.unwrap_or_default() }))
    }
}

fn malformed(message: String) -> ServiceError {
    ServiceError { status: 400, kind: "SerializationException", message }
}
