//! The host's clock against the journals.

use jiff::{SignedDuration, Timestamp};
use longshore_core::ids::GroupId;

use super::Finding;
use crate::history::{self, HistoryError, Past};
use crate::layout::Layout;

const CHECK: &str = "clock";
/// No host of this agent is older.
const FIRST: &str = "2026-01-01T00:00:00Z";
/// A clock may be set back by so much without a word.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn check(layout: &Layout, groups: &[GroupId]) -> Result<Option<Finding>, HistoryError> {
    let mut newest = None;
    for group in groups {
        for past in history::past(layout, group)? {
            if let Past::Known(record) = past {
                newest = newest.max(record.updated.parse::<Timestamp>().ok());
            }
        }
    }
    Ok(judge(Timestamp::now(), newest))
}

fn judge(now: Timestamp, newest: Option<Timestamp>) -> Option<Finding> {
    let fix = "set the clock, and keep it right with chrony or systemd-timesyncd";
    if now < FIRST.parse().ok()? {
        let why = "signatures and certificates are refused by a wrong clock";
        return Some(Finding::error(CHECK, format!("the clock says {now:.0}"), why, fix));
    }
    match newest {
        Some(newest) if newest > now + SLACK => Some(Finding::warning(
            CHECK,
            format!("the clock says {now:.0}, and the newest journal ends at {newest:.0}"),
            "it went backwards: lists by time are out of order, and signatures may be refused",
            fix,
        )),
        Some(_) | None => Some(Finding::ok(CHECK, "the clock is plausible, and later than every journal")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_clock_that_went_backwards_or_was_never_set_is_found() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (now, newest, severity) in [
            ("2026-06-01T12:00:00Z", None, Severity::Ok),
            ("2026-06-01T12:00:00Z", Some("2026-06-01T11:59:00Z"), Severity::Ok),
            ("2026-06-01T12:00:00Z", Some("2026-06-01T12:00:30Z"), Severity::Ok),
            ("2026-06-01T12:00:00Z", Some("2026-06-01T12:02:00Z"), Severity::Warning),
            ("1970-01-01T00:05:00Z", None, Severity::Error),
        ] {
            assert_eq!(judge(at(now), newest.map(at)).unwrap().severity, severity, "{now} {newest:?}");
        }
    }
}
