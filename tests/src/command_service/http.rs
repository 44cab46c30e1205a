//! HTTP/1.1, as much of it as a client of an AWS service needs: requests with a known length, kept connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// More than a client of the command service ever sends.
const MOST: usize = 1 << 20;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Names in small letters, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header that is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// The next request of a connection; `None`: it has ended.
pub(crate) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let Some(first) = line(stream)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad(&first));
    };
    let mut request =
        Request { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let header = line(stream)?.ok_or_else(|| bad("the headers end too early"))?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| bad(&header))?;
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").map_or(Ok(0), |text| text.parse::<usize>().map_err(|_| bad(text)))?;
    if length > MOST || request.header("transfer-encoding").is_some() {
        return Err(bad("a body of unknown or too great a length"));
    }
    if request.header("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = vec![0; length];
    stream.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Writes an answer.
pub(crate) fn write(stream: &mut TcpStream, status: u16, body: &[u8]) -> io::Result<()> {
    let mut answer = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer)
}

/// Whether whoever is at the other end is still there. Takes nothing from the connection.
pub(crate) fn is_open(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let back = stream.set_nonblocking(false);
    back.is_ok() && matches!(looked, Err(ref error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Returns when whoever is at the other end is gone.
pub(crate) fn await_end(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest), Ok(1..)) {}
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.take(MOST as u64).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix("\r\n").ok_or_else(|| bad(&line))?;
    Ok(Some(line.to_owned()))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
