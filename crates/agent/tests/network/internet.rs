//! An internet of one server, which is reached by a proxy: every name leads to it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// What a server says to a request head: status and headers, an empty line, the body.
pub(super) type Answer = fn(&str) -> String;

/// What was asked, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// An authority of its own, its server and the proxy that leads there.
pub(super) struct Internet {
    folder: TempDir,
    /// The address of the proxy.
    pub(super) proxy: String,
    /// The port of the server on this host.
    pub(super) port: u16,
    tunnels: Log,
    requests: Log,
}

impl Internet {
    /// A server that speaks TLS.
    pub(super) fn start(answer: Answer) -> Internet {
        let folder = tempfile::tempdir().unwrap();
        let config = Arc::new(certified(folder.path()));
        Internet::with(folder, answer, move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        })
    }

    /// A server without TLS.
    pub(super) fn start_plain(answer: Answer) -> Internet {
        Internet::with(tempfile::tempdir().unwrap(), answer, |stream| Box::new(stream))
    }

    fn with(folder: TempDir, answer: Answer, open: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static) -> Internet {
        let (server, proxy) = (listener(), listener());
        let port = server.local_addr().unwrap().port();
        let address = proxy.local_addr().unwrap().to_string();
        let (tunnels, requests) = (Log::default(), Log::default());
        let (told_tunnels, told_requests) = (Arc::clone(&tunnels), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in server.incoming() {
                // Who does not trust us ends the handshake.
                let _ = serve(open(stream.unwrap()), answer, &told_requests);
            }
        });
        thread::spawn(move || {
            for stream in proxy.incoming() {
                let told = Arc::clone(&told_tunnels);
                thread::spawn(move || tunnel(&stream.unwrap(), port, &told));
            }
        });
        Internet { folder, proxy: format!("http://{address}"), port, tunnels, requests }
    }

    /// The file with the certificate of the authority.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What the proxy was asked: first line, and who asks. Each once.
    pub(super) fn tunnels(&self) -> Vec<String> {
        let mut tunnels = self.tunnels.lock().unwrap().clone();
        tunnels.dedup();
        tunnels
    }

    /// The same with those that came again.
    pub(super) fn all_tunnels(&self) -> Vec<String> {
        self.tunnels.lock().unwrap().clone()
    }

    /// What the server was asked: whole heads.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The lines up to an empty one.
fn head(reader: &mut dyn BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn serve(stream: Box<dyn Stream>, answer: Answer, requests: &Log) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader)?;
    let said = answer(&head);
    requests.lock().unwrap().push(head);
    let (status_and_headers, body) = said.split_once("\n\n").unwrap_or((&said, ""));
    let lines = status_and_headers.replace('\n', "\r\n");
    let text = format!("HTTP/1.1 {lines}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    reader.get_mut().write_all(text.as_bytes())?;
    reader.get_mut().flush()
}

/// Tunnels to the one server, whatever is asked for; refuses anything that is no tunnel.
fn tunnel(client: &TcpStream, port: u16, told: &Log) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let Ok(head) = head(&mut reader) else { return };
    let first = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    let user = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| format!(" as {value}"))
    });
    told.lock().unwrap().push(format!("{first}{}", user.unwrap_or_default()));
    let mut to_client = client.try_clone().unwrap();
    if !first.starts_with("CONNECT ") {
        let _ = to_client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _ = to_client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    let mut to_server = server.try_clone().unwrap();
    thread::spawn(move || {
        let _ = io::copy(&mut reader, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
}

/// Makes an authority and a certificate for every name that the tests use.
fn certified(folder: &Path) -> ServerConfig {
    let regions = ["eu-central-1", "eu-west-1"].map(|region| format!("DNS:*.s3.{region}.amazonaws.com")).join(",");
    let names = format!("subjectAltName=DNS:*.example.test,DNS:api.github.com,DNS:localhost,{regions}");
    fs::write(folder.join("names"), names).unwrap();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let output = command.args(arguments).current_dir(folder).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(
        &[&["req", "-x509"], &key[..], &["ca.key", "-subj", "/CN=An authority", "-days", "2", "-out", "ca.pem"]]
            .concat(),
    );
    openssl(&[&["req"], &key[..], &["server.key", "-subj", "/CN=a server", "-out", "server.csr"]].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
