//! How long to wait before something is tried again.

use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::time::Duration;

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
        jittered(due.mul_f64(0.75), 1.0 / 3.0, chance())
    }
}

/// A time that is up to `share` longer or shorter. `chance`: from 0 to 1.
pub fn jittered(time: Duration, share: f64, chance: f64) -> Duration {
    time.mul_f64(1.0 + share * (2.0 * chance - 1.0))
}

/// A random number from 0 to 1; good enough for pauses.
pub fn chance() -> f64 {
    // A new hasher of the standard library is seeded by chance.
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX)
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
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.2, 0.0), Duration::from_secs(48));
        assert_eq!(jittered(minute, 0.2, 1.0), Duration::from_secs(72));
    }
}
