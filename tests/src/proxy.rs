//! A TCP proxy in front of a server that breaks connections: the bad network between a program and its store.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// A running proxy. It lives as long as the test's process.
#[derive(Debug)]
pub struct Proxy {
    /// Its URL, to use instead of the server's.
    pub url: String,
    cuts: Arc<AtomicUsize>,
    answered: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
    down: Arc<AtomicBool>,
}

/// When the proxy breaks a connection.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// How many connections it breaks; later ones live.
    pub connections: usize,
    /// How many bytes it lets through first. 0 from the server: the request is carried out and its answer is lost.
    pub after: u64,
}

impl Cut {
    /// No connection is broken.
    pub const NEVER: Cut = Cut { connections: 0, after: 0 };
}

impl Proxy {
    /// Starts a proxy before the server at `url` (`http://host:port`).
    pub fn start(url: &str, cut: Cut) -> Proxy {
        Proxy::between(url, cut, Cut::NEVER)
    }

    /// Starts one that breaks connections after so many bytes from the client.
    pub fn breaking_uploads(url: &str, cut: Cut) -> Proxy {
        Proxy::between(url, Cut::NEVER, cut)
    }

    fn between(url: &str, cut: Cut, upload: Cut) -> Proxy {
        let server = url.strip_prefix("http://").expect("the test server speaks http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let cuts = Arc::new(AtomicUsize::new(0));
        let answered = Arc::new(AtomicU64::new(0));
        let sent = Arc::new(AtomicU64::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let down = Arc::new(AtomicBool::new(false));
        let proxy = Proxy {
            url,
            cuts: cuts.clone(),
            answered: answered.clone(),
            sent: sent.clone(),
            closed: closed.clone(),
            down: down.clone(),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) || down.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { return };
                let (cuts, answered, down) = (cuts.clone(), answered.clone(), down.clone());
                let (from_client, to_server) = (clone(&client), clone(&server));
                let (cuts_of_uploads, sent) = (cuts.clone(), sent.clone());
                thread::spawn(move || ask(from_client, to_server, upload, &cuts_of_uploads, &sent));
                thread::spawn(move || answer(server, client, cut, &cuts, &answered, &down));
            }
        });
        proxy
    }

    /// From now on every new connection ends at once.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// From now on no answer comes through, on old connections and on new ones, until it is up again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How many bytes of answers have come through so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// How many bytes clients have sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// How many connections it has broken so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a connection can be shared between threads")
}

/// Passes requests on until they end or are cut.
fn ask(mut client: TcpStream, mut server: TcpStream, cut: Cut, cuts: &AtomicUsize, sent: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    let mut passed = 0;
    while let Ok(got @ 1..) = client.read(&mut buffer) {
        passed += got as u64;
        sent.fetch_add(got as u64, Ordering::SeqCst);
        let budget = |cuts| (passed > cut.after && cuts < cut.connections).then_some(cuts + 1);
        if cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, budget).is_ok() {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
        if server.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

/// Passes the answer on until it ends or is cut.
fn answer(
    mut server: TcpStream,
    mut client: TcpStream,
    cut: Cut,
    cuts: &AtomicUsize,
    answered: &AtomicU64,
    down: &AtomicBool,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    loop {
        let got = match server.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(_) if down.load(Ordering::SeqCst) => break,
            Ok(got) => got,
        };
        let rest = usize::try_from(cut.after - passed).unwrap_or(usize::MAX);
        let budget = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |cuts| {
            (got > rest && cuts < cut.connections).then_some(cuts + 1)
        });
        if budget.is_ok() {
            let _ = client.write_all(&buffer[..rest]);
            break;
        }
        if client.write_all(&buffer[..got]).is_err() {
            break;
        }
        answered.fetch_add(got as u64, Ordering::SeqCst);
        passed = (passed + got as u64).min(cut.after);
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}
