//! A little randomness, for pauses and names that should differ between processes and hosts. Not for secrets.

use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::time::Duration;

/// Random bits: a new hasher of the standard library is seeded by the system's randomness.
pub fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random number from 0 to 1.
pub fn share() -> f64 {
    bits() as f64 / u64::MAX as f64
}

/// A random time between two.
pub fn between(least: Duration, most: Duration) -> Duration {
    least + most.saturating_sub(least).mul_f64(share())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_that_draw_at_the_same_time_draw_differently_and_within_the_bounds() {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(2));
        let drawn: BTreeSet<Duration> = (0..32).map(|_| between(least, most)).collect();
        assert!(drawn.len() > 16 && drawn.iter().all(|time| (least..=most).contains(time)), "{drawn:?}");
        assert_eq!(between(most, least), most, "bounds that cross leave no choice");
    }
}
