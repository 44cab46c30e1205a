//! The service at work: connections, requests, answers.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::book::Book;
use super::envelope::Signer;
use super::fault::{self, Armed, Fault};
use super::operation::{Operation, Request, ServiceError};
use super::signature::{self, Keys};
use super::{Call, Pace, REGION, http};

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) pace: Pace,
    pub(super) started: Instant,
    pub(super) signer: OnceLock<Signer>,
    pub(super) other_signer: OnceLock<Signer>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) book: Book,
    /// Each key with its host, and whether it still holds.
    pub(super) keys: Vec<(Keys, String, bool)>,
    pub(super) armed: Vec<Armed>,
    pub(super) calls: Vec<Call>,
    pub(super) connections: BTreeMap<usize, TcpStream>,
    pub(super) down: bool,
    pub(super) ended: bool,
}

/// What a connection does next.
enum Next {
    Answer(u16, Vec<u8>),
    Drop,
    Hold,
}

impl State {
    pub(super) fn break_connections(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = http::read(&mut stream) {
            let next = self.answer(&request, stream.get_ref());
            self.changed.notify_all();
            match next {
                Next::Answer(status, body) => {
                    if http::write(stream.get_mut(), status, &body).is_err() {
                        break;
                    }
                }
                Next::Drop => break,
                Next::Hold => {
                    http::await_end(stream.get_mut());
                    break;
                }
            }
        }
        let _ = stream.get_ref().shutdown(Shutdown::Both);
    }

    fn answer(&self, request: &http::Request, stream: &TcpStream) -> Next {
        let target = request.header("x-amz-target").and_then(Operation::of_target);
        let mut state = self.state();
        let fault = target.and_then(|(operation, _)| fault::take(&mut state.armed, operation));
        let number = state.calls.len();
        let headers = request.headers.iter().filter(|(name, _)| name != "authorization").cloned().collect();
        state.calls.push(Call {
            at: self.started.elapsed(),
            operation: target.map(|(operation, _)| operation),
            headers,
            body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
            fault,
            answer: None,
        });
        drop(state);
        self.changed.notify_all();
        match fault {
            Some(Fault::LostRequest) => return Next::Drop,
            Some(Fault::Held) => return Next::Hold,
            _ => {}
        }

        let (status, body) = match self.carry_out(request, target, fault, stream) {
            Ok(body) => (200, body),
            Err(error) => (error.status, error.body()),
        };
        let mut bytes = body.to_string().into_bytes();
        match fault {
            Some(Fault::LostReply) => return Next::Drop,
            Some(Fault::HeldReply) => return Next::Hold,
            Some(Fault::Slow(time)) => self.pause(time),
            Some(Fault::Malformed) => bytes = b"{\"HostCommand\": {".to_vec(),
            _ => {}
        }
        self.state().calls[number].answer = Some((status, body));
        Next::Answer(status, bytes)
    }

    fn carry_out(
        &self,
        request: &http::Request,
        target: Option<(Operation, &'static str)>,
        fault: Option<Fault>,
        stream: &TcpStream,
    ) -> Result<Value, ServiceError> {
        let Some((operation, service)) = target.filter(|_| request.method == "POST" && request.target == "/") else {
            return Err(ServiceError { status: 404, kind: "UnknownOperationException", message: String::new() });
        };
        if request.header("content-type") != Some("application/x-amz-json-1.1") {
            return Err(ServiceError {
                status: 415,
                kind: "SerializationException",
                message: "content type".to_owned(),
            });
        }
        match fault {
            Some(Fault::ServerError) => {
                return Err(ServiceError {
                    status: 500,
                    kind: "ServerException",
                    message: "Internal failure".to_owned(),
                });
            }
            Some(Fault::Throttled) => {
                let message = "Rate exceeded".to_owned();
                return Err(ServiceError { status: 400, kind: "ThrottlingException", message });
            }
            Some(Fault::Denied) => {
                let message = "not authorized by any policy".to_owned();
                return Err(ServiceError { status: 400, kind: "AccessDeniedException", message });
            }
            _ => {}
        }
        let host = self.whose(request, service)?;
        let body = serde_json::from_slice(&request.body).map_err(|error| ServiceError {
            status: 400,
            kind: "SerializationException",
            message: error.to_string(),
        })?;
        match operation.read(&body)? {
            Request::Poll { host: named } => {
                is_own(&host, &named)?;
                Ok(self.poll(&host, fault, stream).map_or_else(|| json!({}), |command| json!({"HostCommand": command})))
            }
            Request::Specification { execution, host: named } => {
                is_own(&host, &named)?;
                let deployment = self.state().book.specification(&execution, &host)?.clone();
                let envelope = self.seal(&deployment.specification(), fault);
                let specification = json!({"GenericEnvelope": envelope});
                Ok(json!({"DeploymentSystem": "CodeDeploy", "DeploymentSpecification": specification}))
            }
            Request::Acknowledge { command, diagnostics } => {
                let status = self.state().book.acknowledge(&host, &command, diagnostics.as_ref())?;
                Ok(json!({"CommandStatus": status.name()}))
            }
            Request::Complete { command, status, diagnostics } => {
                self.state().book.complete(&host, &command, status, diagnostics)?;
                Ok(json!({}))
            }
            Request::Update { command, diagnostics: _ } => {
                let status = self.state().book.update(&host, &command)?;
                Ok(json!({"CommandStatus": status.name()}))
            }
        }
    }

    /// The host whose key signed a request.
    fn whose(&self, request: &http::Request, service: &str) -> Result<String, ServiceError> {
        let state = self.state();
        let known = |id: &str| state.keys.iter().rev().find(|(keys, ..)| keys.id == id);
        let id =
            signature::check(request, |id| known(id).map(|(keys, ..)| keys.clone()), service, REGION, Timestamp::now())
                .map_err(|signature::Refusal(kind, message)| ServiceError { status: 400, kind, message })?;
        let (_, host, holds) = known(&id).expect("its signature was checked");
        if !holds {
            let message = "The security token included in the request is expired".to_owned();
            return Err(ServiceError { status: 400, kind: "ExpiredTokenException", message });
        }
        Ok(host.clone())
    }

    /// Waits for a command.
    fn poll(&self, host: &str, fault: Option<Fault>, stream: &TcpStream) -> Option<Value> {
        let deadline = Instant::now() + self.pace.poll;
        let mut state = self.state();
        loop {
            let now = Instant::now();
            // Nothing is given to somebody who has gone.
            if state.ended || state.down || now >= deadline || !http::is_open(stream) {
                return None;
            }
            let command = match fault {
                Some(Fault::Duplicate) => state.book.once_more(host, now),
                Some(Fault::WrongHost) => Some(json!({
                    "HostCommandIdentifier": "another",
                    "HostIdentifier": format!("{host}0"),
                    "DeploymentExecutionId": "CodeDeploy/us-east-1/Prod/another",
                    "CommandName": "ApplicationStop",
                    "Nonce": 0,
                })),
                _ => state.book.next(host, now, self.pace.again),
            };
            if command.is_some() {
                return command;
            }
            let wait = (deadline - now).min(Duration::from_millis(100));
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn seal(&self, specification: &Value, fault: Option<Fault>) -> Value {
        if fault == Some(Fault::Unsigned) {
            return json!({"Format": "TEXT/JSON", "Payload": specification.to_string()});
        }
        let signer = match fault {
            Some(Fault::WrongSigner) => &self.other_signer,
            _ => &self.signer,
        };
        let signer = signer.get_or_init(Signer::new);
        match fault {
            Some(Fault::Tampered) => signer.tampered(specification),
            _ => signer.seal(specification),
        }
    }

    fn pause(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = self.state();
        while let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|_| !state.ended) {
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A host may speak for itself alone.
fn is_own(host: &str, named: &str) -> Result<(), ServiceError> {
    if host == named {
        return Ok(());
    }
    let message = format!("{host} is not authorized to speak for {named}");
    Err(ServiceError { status: 400, kind: "AccessDeniedException", message })
}
