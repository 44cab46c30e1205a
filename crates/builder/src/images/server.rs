//! A web server for tests: says what a closure says, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method and target.
    pub(crate) line: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Request {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Line, credentials and body, in one line.
    pub(crate) fn shown(&self) -> String {
        [self.line.as_str(), self.header("authorization"), &self.body].join(" ").trim().to_owned()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// For example `200 OK`.
    pub(crate) status: &'static str,
    /// Headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body; none is sent for HEAD.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// An answer without headers.
    pub(crate) fn new(status: &'static str, body: &str) -> Response {
        Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    /// `127.0.0.1:port`
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one. `answer` gets the server's own host and the request.
    pub(crate) fn start(answer: impl Fn(&str, &Request) -> Response + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (own, asked, end, answer) = (host.clone(), Arc::clone(&seen), Arc::clone(&ended), Arc::new(answer));
        let thread = thread::spawn(move || {
            let mut talks = Vec::new();
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let (own, asked, answer) = (own.clone(), Arc::clone(&asked), Arc::clone(&answer));
                talks.push(thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = read(&stream) else { return };
                    asked.lock().unwrap().push(request.clone());
                    write(&mut stream, &request, &answer(&own, &request));
                }));
            }
            talks.into_iter().for_each(|talk| talk.join().unwrap());
        });
        Server { host, seen, ended, thread: Some(thread) }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.host);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || joined.is_none_or(|joined| joined.is_ok()), "the server panicked");
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { line, headers, body: String::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_string(&mut request.body).ok()?;
    Some(request)
}

fn write(stream: &mut TcpStream, request: &Request, response: &Response) {
    let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !response.headers.iter().any(|(name, _)| *name == "content-length") {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    // Who asked may have heard enough.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    if !request.line.starts_with("HEAD") {
        let _ = stream.write_all(&response.body);
    }
}
