//! How events reach a person, a program or a file. One stream, several readers; losing a reader never loses the work.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// An event with its place in the stream.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<'a, E> {
    /// The version of the event format.
    pub v: u32,
    /// Counts up from 1 within one run.
    pub seq: u64,
    /// When, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// The deployment or build it belongs to, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<&'a str>,
    /// What happened.
    #[serde(flatten)]
    pub event: &'a E,
}

/// A consumer of the event stream.
pub trait Reporter<E>: Send + Sync {
    /// Takes one event. Must not fail: a reader that is gone is the reader's loss.
    fn report(&self, envelope: &Envelope<'_, E>);
}

impl<E, R: Reporter<E> + ?Sized> Reporter<E> for Arc<R> {
    fn report(&self, envelope: &Envelope<'_, E>) {
        (**self).report(envelope);
    }
}

/// The one source of a run's events: numbers them, stamps them, hands them to every reader.
pub struct Fanout<E> {
    readers: Vec<Box<dyn Reporter<E>>>,
    seq: Mutex<u64>,
    now: fn() -> String,
    deployment: Option<String>,
}

impl<E> Fanout<E> {
    /// A stream with these readers. `now` gives the time stamp.
    pub fn new(readers: Vec<Box<dyn Reporter<E>>>, now: fn() -> String) -> Fanout<E> {
        Fanout { readers, seq: Mutex::new(0), now, deployment: None }
    }

    /// The same stream for one deployment.
    pub fn for_deployment(mut self, deployment: impl Into<String>) -> Fanout<E> {
        self.deployment = Some(deployment.into());
        self
    }

    /// One more reader.
    pub fn add(&mut self, reader: Box<dyn Reporter<E>>) {
        self.readers.push(reader);
    }

    /// Tells every reader.
    pub fn emit(&self, event: &E) {
        // Held until every reader has it: what one thread tells is not overtaken by another.
        let mut seq = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        *seq += 1;
        let envelope = Envelope { v: 1, seq: *seq, at: (self.now)(), deployment: self.deployment.as_deref(), event };
        for reader in &self.readers {
            reader.report(&envelope);
        }
    }
}

/// Writes each event as one line of JSON.
pub struct JsonLines<W>(Mutex<W>);

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines(Mutex::new(out))
    }
}

impl<E: Serialize, W: Write + Send> Reporter<E> for JsonLines<W> {
    fn report(&self, envelope: &Envelope<'_, E>) {
        let Ok(mut line) = serde_json::to_vec(envelope) else { return };
        line.push(b'\n');
        if let Ok(mut out) = self.0.lock() {
            // A closed pipe is the reader's loss.
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
    }
}
