//! The command service of CodeDeploy, for hosts under test: as strict as the real one about requests and signatures, and
//! as unreliable as a test wants it. Listens on a port of this machine alone.

mod book;
mod deployment;
mod envelope;
mod fault;
pub(crate) mod http;
mod operation;
mod server;
pub(crate) mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::book::{Command, Completion};
pub use self::deployment::{Course, Deployment, Revision};
pub use self::fault::Fault;
pub use self::operation::{Diagnostics, Operation, Status};
pub use self::signature::Keys;

use self::envelope::Signer;
use self::fault::Armed;
use self::server::Inner;

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

    /// Gives the next command of a host to some other agent, which takes it and says no more of it.
    pub fn hand_out(&self, host: &str) -> Command {
        let mut state = self.inner.state();
        let given = state.book.next(host, Instant::now(), Duration::MAX).expect("a command waits");
        let id = given["HostCommandIdentifier"].as_str().expect("a command has an id");
        state.book.acknowledge(host, id, None).expect("the host has this command");
        state.book.commands.iter().find(|command| command.id == id).expect("it was given").clone()
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
