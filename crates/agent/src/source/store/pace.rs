//! How long until the next look. Pure; the caller brings the chance, from 0 to below 1.

use std::time::Duration;

/// The longest pause while a store fails.
const LONGEST: Duration = Duration::from_secs(300);

/// A pause up to a fifth shorter or longer, so that a fleet that was started at once does not ask at once.
pub(super) fn around(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance)
}

/// The pause after so many failures in a row, the first included: doubles up to five minutes, less up to a half of it.
pub(super) fn back_off(first: Duration, failures: u32, chance: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(LONGEST).mul_f64(1.0 - 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_scatter_and_grow_up_to_five_minutes() {
        let (second, millis) = (Duration::from_secs(1), Duration::from_millis);
        assert_eq!(
            [around(second, 0.0), around(second, 0.5), around(second, 1.0)].map(|p| p.as_millis()),
            [800, 1000, 1200]
        );
        for (failures, longest) in [(1, 1000), (2, 2000), (5, 16_000), (9, 256_000), (10, 300_000), (99, 300_000)] {
            assert_eq!(back_off(second, failures, 0.0), millis(longest), "{failures}");
            assert_eq!(back_off(second, failures, 1.0), millis(longest / 2), "{failures}");
        }
    }
}
