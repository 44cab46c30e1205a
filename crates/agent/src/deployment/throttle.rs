//! How often progress is told, and how long things took.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets progress through five times a second: a reader needs no more, and a file should not hold more.
#[derive(Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= Duration::from_millis(200));
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Milliseconds since then.
pub(super) fn elapsed(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
