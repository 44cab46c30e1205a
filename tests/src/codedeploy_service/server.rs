//! The service at work: connections, requests, answers.

use std::io::BufReader;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::book::Book;
use super::operation::{self, ServiceError};
use crate::command_service::http::{self, Request};
use crate::command_service::signature::{self, Refusal};
use crate::command_service::{Fault, Keys};
use crate::{ACCESS_KEY, REGION, SECRET_KEY};

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) started: Instant,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) book: Book,
    pub(super) armed: Vec<(&'static str, Fault, usize)>,
    pub(super) calls: Vec<Call>,
    /// What others deploy, after how many requests for which operation.
    pub(super) others: Vec<(&'static str, usize, Value)>,
    pub(super) down: bool,
    pub(super) ended: bool,
}

/// A request, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came, after the start of the service.
    pub at: Duration,
    /// The operation.
    pub operation: String,
    /// Its body.
    pub body: Value,
    /// The status of the answer; `None`: there was none.
    pub status: Option<u16>,
}

impl State {
    /// Others deploy after a request for this operation.
    fn let_others(&mut self, operation: &str) {
        for (awaited, times, revision) in &mut self.others {
            if *awaited == operation && *times > 0 {
                *times -= 1;
                if *times == 0 {
                    self.book.deploy(revision);
                }
            }
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
            let Some((status, body)) = self.answer(&request) else { break };
            if http::write(stream.get_mut(), status, body.to_string().as_bytes()).is_err() {
                break;
            }
        }
        let _ = stream.get_ref().shutdown(Shutdown::Both);
    }

    /// `None`: the connection ends.
    fn answer(&self, request: &Request) -> Option<(u16, Value)> {
        let target = request.header("x-amz-target").unwrap_or_default();
        let name = target.strip_prefix("CodeDeploy_20141006.").unwrap_or(target).to_owned();
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let mut state = self.state();
        let down = state.down;
        let fault = state.armed.iter_mut().find(|(armed, _, times)| *armed == name && *times > 0);
        let fault = fault.map(|(_, fault, times)| {
            *times -= 1;
            *fault
        });
        let number = state.calls.len();
        state.calls.push(Call {
            at: self.started.elapsed(),
            operation: name.clone(),
            body: body.clone(),
            status: None,
        });
        self.changed.notify_all();
        if down {
            return None;
        }
        let error = |status, kind, message: &str| ServiceError { status, kind, message: message.to_owned() };
        let answered = match fault {
            Some(Fault::LostRequest) => return None,
            Some(Fault::ServerError) => Err(error(500, "InternalFailure", "Internal failure")),
            Some(Fault::Throttled) => Err(error(400, "ThrottlingException", "Rate exceeded")),
            Some(Fault::Denied) => {
                let text =
                    format!("User: arn:aws:iam::123456789012:user/ci is not authorized to perform: codedeploy:{name}");
                Err(error(400, "AccessDeniedException", &text))
            }
            Some(_) | None => check(request, &name).and_then(|()| {
                operation::check(&name, &body)?;
                state.book.carry_out(&name, &body)
            }),
        };
        state.let_others(&name);
        if fault == Some(Fault::LostReply) {
            return None;
        }
        if fault == Some(Fault::HeldReply) {
            let held = self.changed.wait_while(state, |state| !state.armed.is_empty() && !state.ended);
            state = held.unwrap_or_else(PoisonError::into_inner);
        }
        let (status, body) = match answered {
            Ok(body) => (200, body),
            Err(error) => (error.status, json!({"__type": error.kind, "message": error.message})),
        };
        state.calls[number].status = Some(status);
        Some((status, body))
    }
}

/// What every request must be.
fn check(request: &Request, name: &str) -> Result<(), ServiceError> {
    if request.method != "POST" || request.target != "/" || operation::known(name).is_none() {
        return Err(ServiceError::new("UnknownOperationException", format!("{} {name}", request.target)));
    }
    if request.header("content-type") != Some("application/x-amz-json-1.1") {
        return Err(ServiceError::new("SerializationException", "another content type"));
    }
    let keys = Keys { id: ACCESS_KEY.to_owned(), secret: SECRET_KEY.to_owned(), token: None };
    let known = |id: &str| (id == keys.id).then(|| keys.clone());
    let checked = signature::check(request, known, "codedeploy", REGION, Timestamp::now());
    checked.map(drop).map_err(|Refusal(kind, message)| ServiceError::new(kind, message))
}
