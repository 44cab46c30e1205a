//! Text from outside, made fit for a line of a terminal. Pure.

use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// The text without what could move the cursor or turn the order of letters: control characters but line breaks, and
/// marks of writing direction. A tab becomes a space.
pub(super) fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let kept = text.chars().map(|c| if c == '\t' { ' ' } else { c });
    kept.filter(|c| *c == '\n' || !(c.is_control() || turns(*c))).collect()
}

/// How many columns a character takes.
fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// How many columns a text takes, sequences for colours left out.
pub(super) fn width(text: &str) -> usize {
    let mut total = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Ours alone: `ESC [ … m`.
            chars.by_ref().take_while(|c| *c != 'm').for_each(drop);
        } else {
            total += columns(c);
        }
    }
    total
}

/// The text in at most `most` columns; what is cut off is shown as `…`.
pub(super) fn fit(text: &str, most: usize) -> String {
    if text.chars().map(columns).sum::<usize>() <= most {
        return text.to_owned();
    }
    let mut fitting = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += columns(c);
        if used > most {
            break;
        }
        fitting.push(c);
    }
    if most > 0 {
        fitting.push('…');
    }
    fitting
}

/// A time that runs: whole seconds, `42s`, `3m05s`, `1h02m05s`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

/// A limit: as short as it is exact, `90s`, `5m`, `1h`, `1h30m`.
pub(super) fn limit(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0 | 1, _) | (0, _, 1..) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (hours, 0, 0) => format!("{hours}h"),
        (hours, minutes, 0) => format!("{hours}h{minutes:02}m"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_the_columns_it_takes_not_by_its_letters() {
        for (text, most, shown) in [
            ("migrate.sh", 10, "migrate.sh"),
            ("migrate.sh", 9, "migrate.…"),
            ("数据库迁移", 10, "数据库迁移"),
            ("数据库迁移", 9, "数据库迁…"),
            ("数据库迁移", 8, "数据库…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("x", 0, ""),
        ] {
            assert_eq!(fit(text, most), shown, "{text} in {most}");
            assert!(width(&fit(text, most)) <= most);
        }
    }

    #[test]
    fn nothing_in_a_text_moves_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\rc\td\u{202e}e\nf\u{9b}g"), "a[2Jbc de\nfg");
        assert_eq!(width("\u{1b}[1;33m  数\u{1b}[0m "), 5);
    }

    #[test]
    fn times_and_limits_are_short() {
        for (seconds, running, bound) in [
            (0, "0s", "0s"),
            (59, "59s", "59s"),
            (90, "1m30s", "90s"),
            (300, "5m00s", "5m"),
            (305, "5m05s", "305s"),
            (3600, "1h00m00s", "1h"),
            (5400, "1h30m00s", "1h30m"),
            (86_405, "24h00m05s", "24h00m05s"),
        ] {
            assert_eq!((clock(Duration::from_secs(seconds)), limit(seconds)), (running.to_owned(), bound.to_owned()));
        }
    }
}
