//! What goes wrong between a host and the service.

use std::time::Duration;

use super::operation::Operation;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service fails: 500, `ServerException`. Nothing was carried out.
    ServerError,
    /// The service asks for patience: 400, `ThrottlingException`. Nothing was carried out.
    Throttled,
    /// A policy does not let the host speak: 400, `AccessDeniedException`. Nothing was carried out.
    Denied,
    /// The connection ends before the request was carried out.
    LostRequest,
    /// The request is carried out and its answer is lost.
    LostReply,
    /// The request is not carried out and nobody answers, until the host gives up or dies.
    Held,
    /// The request is carried out, and its answer stays away until the host gives up or dies.
    HeldReply,
    /// The answer takes this long.
    Slow(Duration),
    /// The request is carried out, and its answer is no JSON.
    Malformed,
    /// A poll brings the last command of this host once more.
    Duplicate,
    /// A poll brings a command for another host.
    WrongHost,
    /// The content of a specification was changed after it was signed.
    Tampered,
    /// A specification is signed by somebody that another authority stands for.
    WrongSigner,
    /// A specification is not signed at all: `TEXT/JSON`.
    Unsigned,
}

/// A fault that waits for its requests.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) operation: Operation,
    pub(super) fault: Fault,
    pub(super) times: usize,
}

/// The next fault for a request, which has happened with that.
pub(super) fn take(armed: &mut [Armed], operation: Operation) -> Option<Fault> {
    let next = armed.iter_mut().find(|armed| armed.operation == operation && armed.times > 0)?;
    next.times -= 1;
    Some(next.fault)
}
