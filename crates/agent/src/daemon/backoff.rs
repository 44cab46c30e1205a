//! How long to wait before something is tried again.

use std::time::Duration;

use longshore_core::chance;
use tokio::sync::watch;

/// Longer from time to time, and never the same on two hosts. The default begins with a second and ends with 90, the AWS
/// agent 1.8.1's longest pause.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new(Duration::from_secs(1), Duration::from_secs(90))
    }
}

impl Backoff {
    /// Begins with `first` and ends with `most`.
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { next: first.min(most), most }
    }

    /// The next pause: a random one between half of what is due and all of it.
    pub fn pause(&mut self) -> Duration {
        let due = self.next;
        self.next = due.saturating_mul(2).min(self.most);
        chance::between(due / 2, due)
    }
}

/// Waits, but not longer than until the daemon is asked to end.
pub async fn rest(pause: Duration, ending: &mut watch::Receiver<bool>) {
    if *ending.borrow() {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _ = ending.changed() => {}
    }
}

/// A time that is up to a fifth longer or shorter.
pub fn jittered(time: Duration) -> Duration {
    chance::between(time.mul_f64(0.8), time.mul_f64(1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_are_half_of_it_at_least() {
        let mut backoff = Backoff::default();
        let pauses: Vec<f64> = (0..10).map(|_| backoff.pause().as_secs_f64()).collect();
        for (pause, due) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 90.0, 90.0, 90.0]) {
            assert!((due / 2.0 - 0.001..=due + 0.001).contains(pause), "{pause} for {due}");
        }
    }

    #[test]
    fn two_hosts_do_not_wait_equally_long() {
        let pauses: std::collections::BTreeSet<Duration> = (0..20).map(|_| Backoff::default().pause()).collect();
        assert!(pauses.len() > 15, "{pauses:?}");
        let (least, most) = (Duration::from_secs(48), Duration::from_secs(72));
        let minutes: std::collections::BTreeSet<Duration> =
            (0..20).map(|_| jittered(Duration::from_secs(60))).collect();
        assert!(minutes.len() > 15 && minutes.iter().all(|time| (least..=most).contains(time)), "{minutes:?}");
    }
}
