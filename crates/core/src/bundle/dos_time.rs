//! The time stamps of a zip: a date and a time of 16 bits each, from 1980 to 2107, in steps of two seconds. They have no
//! zone; here they are UTC on both ways. Pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const EARLIEST: i64 = 315_532_800; // 1980-01-01T00:00:00Z
const LATEST: i64 = 4_354_819_198; // 2107-12-31T23:59:58Z

/// The nearest time, in seconds since 1970, that a zip can hold and that is not after `time`; 1980-01-01 for what is before it.
pub(super) fn representable(time: i64) -> i64 {
    time.clamp(EARLIEST, LATEST) & !1
}

/// Date and time of [`representable`] `time`.
pub(super) fn encode(time: i64) -> (u16, u16) {
    let stamp = jiff::Timestamp::from_second(representable(time)).expect("1980 to 2107 is in range");
    let at = stamp.to_zoned(TimeZone::UTC).datetime();
    let date = ((at.year() - 1980) as u16) << 9 | (at.month() as u16) << 5 | at.day() as u16;
    let clock = (at.hour() as u16) << 11 | (at.minute() as u16) << 5 | (at.second() as u16 / 2);
    (date, clock)
}

/// Seconds since 1970; 1980-01-01 for a date or time that does not exist.
pub(super) fn decode(date: u16, clock: u16) -> i64 {
    let at = DateTime::new(
        1980 + (date >> 9) as i16,
        (date >> 5 & 15) as i8,
        (date & 31) as i8,
        (clock >> 11) as i8,
        (clock >> 5 & 63) as i8,
        (clock & 31) as i8 * 2,
        0,
    );
    at.and_then(|at| at.to_zoned(TimeZone::UTC)).map_or(EARLIEST, |at| at.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_even_seconds_between_1980_and_2107() {
        assert_eq!(encode(0), (0x0021, 0));
        assert_eq!(encode(i64::MIN), (0x0021, 0));
        assert_eq!(encode(i64::MAX), (0xff9f, 0xbf7d));
        // 2026-11-21T02:41:07Z
        assert_eq!(encode(1_795_228_867), (46 << 9 | 11 << 5 | 21, 2 << 11 | 41 << 5 | 3));
        for time in [EARLIEST, 1_795_228_866, LATEST] {
            let (date, clock) = encode(time);
            assert_eq!(decode(date, clock), time);
        }
        assert_eq!(representable(1_795_228_867), 1_795_228_866);
        for (date, clock) in [(0, 0), (0xffff, 0xffff), (0x0021, 0xffff)] {
            assert_eq!(decode(date, clock), EARLIEST, "no such date or time");
        }
    }
}
