//! CodeDeploy as CI sees it, without hosts: strict about requests and signatures, and as unreliable as a test wants it. How each
//! deployment goes is a script that the test writes. Listens on a port of this machine alone.

mod book;
mod operation;
mod server;
mod stage;

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::server::Call;
pub use self::stage::{Course, Stage};
pub use crate::command_service::Fault;

use self::server::Inner;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running service. Ends with its last connection when it is dropped.
#[derive(Debug)]
pub struct CodeDeployService {
    /// Its URL, without a slash at the end.
    pub url: String,
    inner: Arc<Inner>,
}

impl CodeDeployService {
    /// Starts a service that knows the application `shop` with the groups `prod` and `dev`, and the keys of the S3 server.
    pub fn start() -> CodeDeployService {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let inner = Arc::new(Inner { state: Mutex::default(), changed: Condvar::new(), started: Instant::now() });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.state().ended {
                    break;
                }
                let serving = Arc::clone(&accepting);
                thread::spawn(move || serving.serve(stream));
            }
        });
        CodeDeployService { url, inner }
    }

    /// What a program needs in its environment to use this service.
    pub fn environment(&self) -> (&'static str, String) {
        ("AWS_ENDPOINT_URL_CODEDEPLOY", self.url.clone())
    }

    /// How the next deployment goes for which nothing was said yet; a rollback is a deployment too.
    pub fn will_go(&self, course: Course) {
        self.inner.state().book.courses.push_back(course);
    }

    /// The next `times` requests for an operation go wrong.
    pub fn inject(&self, operation: &'static str, fault: Fault, times: usize) {
        self.inner.state().armed.push((operation, fault, times));
    }

    /// Once so many more requests for an operation were answered, somebody else deploys a revision to `prod`.
    pub fn deploys_after(&self, operation: &'static str, times: usize, revision: Value) {
        self.inner.state().others.push((operation, times, revision));
    }

    /// No fault waits any more.
    pub fn mend(&self) {
        self.inner.state().armed.clear();
        self.inner.changed.notify_all();
    }

    /// From now on connections end at once, until it is up again.
    pub fn set_down(&self, down: bool) {
        self.inner.state().down = down;
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.state().calls.clone()
    }

    /// The bodies of the requests for one operation so far that were carried out.
    pub fn asked(&self, operation: &str) -> Vec<Value> {
        let done = |call: &Call| call.operation == operation && call.status == Some(200);
        self.calls().into_iter().filter(done).map(|call| call.body).collect()
    }

    /// Waits until so many requests for an operation came, also such that went wrong.
    pub fn wait_for(&self, operation: &str, count: usize) {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.inner.state();
        while state.calls.iter().filter(|call| call.operation == operation).count() < count {
            assert!(Instant::now() < deadline, "{count} × {operation} did not come; calls: {:#?}", state.calls);
            let waited = self.inner.changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for CodeDeployService {
    fn drop(&mut self) {
        self.inner.state().ended = true;
        // The listener wakes up and sees it.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}
