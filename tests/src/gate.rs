//! A proxy in front of a server that understands HTTP far enough to make certain requests wait, go one at a time, or fail.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long is waited for a request.
const PATIENCE: Duration = Duration::from_secs(120);

/// What happens to the requests that the gate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// They wait until so many stand there. From then on each goes alone, the next one after the whole answer to the one before.
    Together(usize),
    /// They wait until [`Gate::open`].
    Held,
    /// They get to the server, and their answers wait until [`Gate::open`].
    Unanswered,
    /// They never get to the server: it is forbidden.
    Forbidden,
}

/// A running gate. It lives as long as the test's process.
pub struct Gate {
    /// Its URL, to use instead of the server's.
    pub url: String,
    shared: Arc<Shared>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("url", &self.url).finish_non_exhaustive()
    }
}

struct Shared {
    server: String,
    rule: Rule,
    concerns: Box<dyn Fn(&str) -> bool + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Requests that came to the gate so far.
    come: usize,
    is_open: bool,
    /// One is through and has no answer yet.
    is_taken: bool,
}

impl Gate {
    /// A gate before the server at `url` (`http://host:port`). `concerns` says of a request line (`PUT /a?b HTTP/1.1`) whether the
    /// rule is for it.
    pub fn start(url: &str, rule: Rule, concerns: impl Fn(&str) -> bool + Send + Sync + 'static) -> Gate {
        let server = url.strip_prefix("http://").expect("the test server speaks http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { server, rule, concerns: Box::new(concerns), state, changed });
        let gate = Gate { url, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A connection that breaks ends its thread; what it means shows at the client.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        gate
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.shared.state().is_open = true;
        self.shared.changed.notify_all();
    }

    /// Waits until so many requests came to the gate. Panics after two minutes.
    pub fn until(&self, come: usize) {
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), PATIENCE, |state| state.come < come);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(state.come >= come, "{} of {come} requests came to the gate", state.come);
    }

    /// How many requests came to the gate so far.
    pub fn come(&self) -> usize {
        self.shared.state().come
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection, request after request.
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.server)?;
        let (mut from_client, mut from_server) =
            (BufReader::new(client.try_clone()?), BufReader::new(server.try_clone()?));
        let (mut client, mut server) = (client, server);
        while let Some(mut request) = Head::read(&mut from_client)? {
            if request.take("expect").is_some() {
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let length = request.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let concerned = (self.concerns)(&request.line);
            if concerned && self.rule == Rule::Forbidden {
                self.state().come += 1;
                self.changed.notify_all();
                io::copy(&mut (&mut from_client).take(length), &mut io::sink())?;
                client.write_all(forbidden().as_bytes())?;
                continue;
            }
            let is_answer = self.rule == Rule::Unanswered;
            let turn = (concerned && !is_answer).then(|| self.wait());
            request.write(&mut server)?;
            io::copy(&mut (&mut from_client).take(length), &mut server)?;
            let Some(answer) = Head::read(&mut from_server)? else { return Ok(()) };
            let mut whole = Vec::new();
            answer.write(&mut whole)?;
            answer.body(request.line.starts_with("HEAD "), &mut from_server, &mut whole)?;
            drop(turn);
            if concerned && is_answer {
                drop(self.wait());
            }
            client.write_all(&whole)?;
        }
        Ok(())
    }

    /// Waits at the gate.
    fn wait(&self) -> Turn<'_> {
        let mut state = self.state();
        state.come += 1;
        self.changed.notify_all();
        loop {
            let goes = match self.rule {
                _ if state.is_open => true,
                Rule::Together(count) => state.come >= count && !state.is_taken,
                Rule::Held | Rule::Unanswered | Rule::Forbidden => false,
            };
            if goes {
                state.is_taken = true;
                return Turn(self);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Being through the gate, until it is dropped.
struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        self.0.changed.notify_all();
    }
}

fn forbidden() -> String {
    let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    format!("HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The first line and the headers of a request or an answer.
struct Head {
    line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None`: the connection ended.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let pair = |line: String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Some(Head { line, headers: lines.filter_map(pair).collect() }))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.headers.iter().position(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(self.headers.remove(at).1)
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        to.write_all(format!("{}\r\n{headers}\r\n", self.line).as_bytes())
    }

    /// The body of an answer, as it is sent.
    fn body(&self, is_head: bool, from: &mut impl BufRead, to: &mut Vec<u8>) -> io::Result<()> {
        let status = self.line.split(' ').nth(1).unwrap_or_default();
        if is_head || matches!(status, "204" | "304") {
            return Ok(());
        }
        if let Some(length) = self.get("content-length").and_then(|length| length.parse().ok()) {
            from.take(length).read_to_end(to)?;
            return Ok(());
        }
        if self.get("transfer-encoding") != Some("chunked") {
            from.read_to_end(to)?;
            return Ok(());
        }
        loop {
            let mut size = String::new();
            from.read_line(&mut size)?;
            to.extend(size.as_bytes());
            let length = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            from.take(length + 2).read_to_end(to)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
