//! The command service of CodeDeploy, for hosts under test: as strict as the real one about requests and signatures, and
//! as unreliable as a test wants it. Listens on a port of this machine alone.

mod book;
mod deployment;
mod envelope;
mod fault;
mod http;
mod operation;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::book::{Command, Completion};
pub use self::deployment::{Course, Deployment, Revision};
pub use self::fault::Fault;
pub use self::operation::{Diagnostics, Operation, Status};
pub use self::signature::Keys;

use self::book::Book;
use self::envelope::Signer;
use self::fault::Armed;
use self::operation::{Request, ServiceError};

/// The region for which requests must be signed.
pub const REGION: &str = "us-east-1";
/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running service. Ends with its last connection when it is dropped.
#[derive(Debug)]
pub struct CommandService {
    /// Its URL, without a slash at the end.
    pub url: String,
    inner: Arc<Inner>,
}

/// How the service behaves when nothing goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a poll waits for a command.
    pub poll: Duration,
    /// After how long a command that nobody acknowledged is given out again.
    pub again: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { poll: Duration::from_secs(1), again: Duration::from_secs(3) }
    }
}

/// A request, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came, after the start of the service.
    pub at: Duration,
    /// What was asked for; `None`: something that is no operation.
    pub operation: Option<Operation>,
    /// Its headers, but for the signature.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
    /// What went wrong because a test wanted it.
    pub fault: Option<Fault>,
    /// The status and the body of the answer; `None`: there was none (yet).
    pub answer: Option<(u16, Value)>,
}

/// How a deployment ended on a host.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// Its commands.
    pub commands: Vec<Command>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    pace: Pace,
    started: Instant,
    signer: OnceLock<Signer>,
    other_signer: OnceLock<Signer>,
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    /// Each key with its host, and whether it still holds.
    keys: Vec<(Keys, String, bool)>,
    armed: Vec<Armed>,
    calls: Vec<Call>,
    connections: BTreeMap<usize, TcpStream>,
    down: bool,
    ended: bool,
}

/// What a connection does next.
enum Next {
    Answer(u16, Vec<u8>),
    Drop,
    Hold,
}

impl CommandService {
    /// Starts a service.
    pub fn start() -> CommandService {
        CommandService::with_pace(Pace::default())
    }

    /// Starts a service that behaves like this.
    pub fn with_pace(pace: Pace) -> CommandService {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            changed: Condvar::new(),
            pace,
            started: Instant::now(),
            signer: OnceLock::new(),
            other_signer: OnceLock::new(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let mut state = accepting.state();
                if state.ended {
                    break;
                }
                if !state.down {
                    state.connections.insert(number, stream.try_clone().expect("a connection can be shared"));
                    let serving = Arc::clone(&accepting);
                    thread::spawn(move || {
                        serving.serve(stream);
                        serving.state().connections.remove(&number);
                    });
                }
            }
        });
        CommandService { url, inner }
    }

    /// A host becomes known, with a key of its own.
    pub fn register(&self, host: &str, keys: &Keys) {
        self.inner.state().keys.push((keys.clone(), host.to_owned(), true));
    }

    /// A key does not hold any more.
    pub fn expire(&self, keys: &Keys) {
        self.inner.state().keys.iter_mut().filter(|(known, ..)| known == keys).for_each(|known| known.2 = false);
    }

    /// The file of the authority that stands for the signer of specifications.
    pub fn signer_authority(&self) -> PathBuf {
        self.inner.signer.get_or_init(Signer::new).authority()
    }

    /// A deployment begins on a host.
    pub fn deploy(&self, host: &str, deployment: &Deployment) {
        self.inner.state().book.begin(host, deployment);
        self.inner.changed.notify_all();
    }

    /// The next `times` requests for an operation go wrong.
    pub fn inject(&self, operation: Operation, fault: Fault, times: usize) {
        self.inner.state().armed.push(Armed { operation, fault, times });
        self.inner.changed.notify_all();
    }

    /// No fault waits any more.
    pub fn mend(&self) {
        self.inner.state().armed.clear();
    }

    /// Ends every connection, and every one that comes, until [`CommandService::up`].
    pub fn down(&self) {
        let mut state = self.inner.state();
        state.down = true;
        state.break_connections();
        self.inner.changed.notify_all();
    }

    /// Answers again.
    pub fn up(&self) {
        self.inner.state().down = false;
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.state().calls.clone()
    }

    /// The requests for one operation so far.
    pub fn calls_of(&self, operation: Operation) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.operation == Some(operation)).collect()
    }

    /// The commands of a deployment so far, on all hosts.
    pub fn commands(&self, deployment: &str) -> Vec<Command> {
        let state = self.inner.state();
        state.book.commands.iter().filter(|command| command.deployment == deployment).cloned().collect()
    }

    /// How a deployment ended on a host. Waits for it; panics when it takes too long.
    pub fn wait_for_end(&self, host: &str, deployment: &str) -> Ended {
        let status = self.wait(&format!("the end of {deployment} on {host}"), || {
            let state = self.inner.state();
            let status = state.book.execution(host, deployment).map(|execution| execution.status);
            status.filter(|status| status.is_final())
        });
        let commands = self.commands(deployment).into_iter().filter(|command| command.host == host).collect();
        Ended { status, commands }
    }

    /// The first command of a deployment for this event that a look finds right. Waits for it.
    pub fn wait_for_command(&self, deployment: &str, event: &str, is_right: impl Fn(&Command) -> bool) -> Command {
        self.wait(&format!("{event} of {deployment}"), || {
            self.commands(deployment).into_iter().find(|command| command.event == event && is_right(command))
        })
    }

    /// Waits until so many requests for an operation came.
    pub fn wait_for_calls(&self, operation: Operation, count: usize) -> Vec<Call> {
        self.wait(&format!("{count} × {}", operation.name()), || {
            Some(self.calls_of(operation)).filter(|calls| calls.len() >= count)
        })
    }

    /// Waits until requests for an operation went wrong so many times as a test wanted it.
    pub fn wait_for_faults(&self, operation: Operation, count: usize) {
        self.wait(&format!("{count} faults of {}", operation.name()), || {
            let faults = self.calls_of(operation).iter().filter(|call| call.fault.is_some()).count();
            (faults >= count).then_some(())
        });
    }

    /// Looks again after each request until there is something to see; panics with what was asked so far when it takes
    /// too long.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            let state = self.inner.state();
            // What is looked for may stand elsewhere than here, and change without a request.
            let (state, _) = self
                .inner
                .changed
                .wait_timeout(state, Duration::from_millis(20))
                .unwrap_or_else(PoisonError::into_inner);
            assert!(Instant::now() < deadline, "{what} did not come; calls: {:#?}", state.calls);
        }
    }
}

impl Drop for CommandService {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.ended = true;
        state.break_connections();
        drop(state);
        self.inner.changed.notify_all();
        // The listener wakes up and sees it.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl State {
    fn break_connections(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) {
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
