//! A proxy in front of an S3 server that writes down what is asked, and which rights of IAM that takes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running proxy. It lives as long as the test's process.
#[derive(Debug)]
pub struct Recorder {
    /// Its URL, to use instead of the server's.
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Starts a proxy before the server at `url` (`http://host:port`).
    pub fn start(url: &str) -> Recorder {
        let server = url.strip_prefix("http://").expect("the test server speaks http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else { return };
                let (from_client, to_server) = (clone(&client), clone(&server));
                let written = Arc::clone(&written);
                thread::spawn(move || pass(from_client, to_server, |bytes, requests| requests.take(bytes, &written)));
                thread::spawn(move || pass(server, client, |_, _| ()));
            }
        });
        Recorder { url, heads }
    }

    /// Waits until something took this right.
    pub fn wait_for(&self, right: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if heads.iter().any(|head| rights(head).contains(&right)) {
                return;
            }
            assert!(Instant::now() < deadline, "nothing took {right}; requests: {heads:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The rights that everything so far took; what came before is forgotten.
    pub fn rights(&self) -> BTreeSet<String> {
        let heads = std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner));
        heads.iter().flat_map(|head| rights(head)).map(str::to_owned).collect()
    }
}

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a connection can be shared between threads")
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8], &mut Requests)) {
    let (mut buffer, mut requests) = (vec![0; 64 << 10], Requests::default());
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        look(&buffer[..got], &mut requests);
        if to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    /// What came of the next head.
    head: Vec<u8>,
    /// What is left of a body.
    body: usize,
}

impl Requests {
    fn take(&mut self, bytes: &[u8], heads: &Mutex<Vec<String>>) {
        for byte in bytes {
            if self.body > 0 {
                self.body -= 1;
                continue;
            }
            self.head.push(*byte);
            if self.head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&std::mem::take(&mut self.head)).to_ascii_lowercase();
                self.body = header(&head, "content-length").map_or(0, |text| text.parse().expect("a length"));
                heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            }
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .find_map(|line| line.split_once(':').filter(|(found, _)| *found == name))
        .map(|(_, it)| it.trim())
}

/// The rights that a request takes. Panics when nobody has said it yet.
fn rights(head: &str) -> Vec<&'static str> {
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let is_key = path.trim_matches('/').contains('/');
    let mut rights = match (method, is_key) {
        ("head", false) => vec!["s3:ListBucket"],
        ("get", false) if has("list-type") => vec!["s3:ListBucket"],
        ("get" | "head", true) if has("versionid") => vec!["s3:GetObjectVersion"],
        ("get" | "head", true) => vec!["s3:GetObject"],
        ("put", true) => vec!["s3:PutObject"],
        ("post", true) if has("uploads") || has("uploadid") => vec!["s3:PutObject"],
        ("delete", true) if has("uploadid") => vec!["s3:AbortMultipartUpload"],
        ("delete", true) => vec!["s3:DeleteObject"],
        _ => panic!("nobody has said which right this takes: {line}"),
    };
    if header(head, "x-amz-tagging").is_some() {
        rights.push("s3:PutObjectTagging");
    }
    if header(head, "x-amz-server-side-encryption").is_some_and(|it| it.starts_with("aws:kms")) {
        rights.push("kms:GenerateDataKey");
        // Parts are put together by whoever may read them.
        if has("uploads") {
            rights.push("kms:Decrypt");
        }
    }
    rights
}
