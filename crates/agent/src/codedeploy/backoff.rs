//! When the service may be asked again: one clock for every worker, so that a service in need is not asked by each of them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longshore_core::chance;

/// The first pause after a failure of the service, and the longest.
const FAILING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(90));
/// The longest pause after the service asked for one, when it does not say for how long.
const THROTTLED_MOST: Duration = Duration::from_secs(600);
/// The longest pause that an answer can impose.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);

/// When the service may be asked again.
#[derive(Debug)]
pub struct Backoff {
    throttled: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    not_before: Option<Instant>,
}

/// What the service is in need of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Fewer questions, it says.
    Throttled,
    /// It fails.
    Failing,
}

impl Backoff {
    /// One that has seen nothing. `throttled`: the first pause after the service asked for one.
    pub fn new(throttled: Duration) -> Backoff {
        Backoff { throttled, state: Mutex::default() }
    }

    /// Waits until the service may be asked.
    pub async fn wait(&self) {
        // Another worker may have learned more meanwhile.
        while let Some(pause) = self.pause() {
            tokio::time::sleep(pause).await;
        }
    }

    /// How long the service may not be asked.
    pub fn pause(&self) -> Option<Duration> {
        let pause = self.state().not_before?.saturating_duration_since(Instant::now());
        (!pause.is_zero()).then_some(pause)
    }

    /// The service needs a pause.
    pub fn overloaded(&self, need: Need, retry_after: Option<Duration>) {
        let (base, most) = match need {
            Need::Throttled => (self.throttled, THROTTLED_MOST.max(self.throttled)),
            Need::Failing => FAILING,
        };
        let mut state = self.state();
        let pause =
            pause(base.saturating_mul(2u32.saturating_pow(state.failures)).min(most), retry_after, chance::share());
        let until = Instant::now() + pause;
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(state.not_before.map_or(until, |other| other.max(until)));
    }

    /// The service answered.
    pub fn answered(&self) {
        self.state().failures = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two numbers are whole whatever happened to another thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random part of `most`, so that workers and hosts do not come back all at once, after what the service asked for.
fn pause(most: Duration, retry_after: Option<Duration>, random: f64) -> Duration {
    retry_after.unwrap_or_default().min(RETRY_AFTER_MOST) + most.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_random_part_of_its_measure_after_what_the_service_asked_for() {
        let seconds = Duration::from_secs;
        let table = [
            (seconds(60), None, 0.0, seconds(0)),
            (seconds(60), None, 0.5, seconds(30)),
            (seconds(60), None, 1.0, seconds(60)),
            (seconds(60), Some(seconds(7)), 0.5, seconds(37)),
            (seconds(0), Some(seconds(1_000_000)), 1.0, seconds(3600)),
        ];
        for (most, retry_after, random, expected) in table {
            assert_eq!(pause(most, retry_after, random), expected, "{most:?} {retry_after:?} {random}");
        }
    }

    #[test]
    fn pauses_grow_with_failures_and_an_answer_makes_the_next_one_short_again() {
        let most = |backoff: &Backoff| {
            backoff.state().not_before = None;
            backoff.overloaded(Need::Failing, None);
            backoff.pause().unwrap_or_default()
        };
        let backoff = Backoff::new(Duration::from_secs(60));
        assert!(most(&backoff) <= Duration::from_secs(1));
        // Full jitter: one pause may be short by chance, the longest of many is not.
        let longest = (0..64).map(|_| most(&backoff)).max().unwrap_or_default();
        assert!((Duration::from_secs(45)..=Duration::from_secs(90)).contains(&longest), "{longest:?}");
        backoff.answered();
        assert!(most(&backoff) <= Duration::from_secs(1));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let backoff = Backoff::new(Duration::ZERO);
        backoff.overloaded(Need::Throttled, Some(Duration::from_secs(50)));
        backoff.overloaded(Need::Failing, None);
        assert!(backoff.pause().is_some_and(|pause| pause > Duration::from_secs(45)));
    }
}
