//! Counts, sizes, times and shell words, written the same way by every program. Pure.

use crate::problem::{Look, visible_lines};

/// How wide the verb at the start of a line is.
const VERB: usize = 12;

/// A line about one thing that happened: the verb right-aligned in 12 columns, then the rest, whose control characters are
/// written out: it names files of others.
pub fn verb_line(verb: &str, rest: &str, look: Look) -> String {
    let colour = match verb {
        "Failed" => "1;31",
        "Warning" => "1;33",
        _ => "1;32",
    };
    format!("{} {}", painted(&format!("{verb:>VERB$}"), look, colour), visible_lines(rest))
}

/// A text in a colour, given as the parameters of an ANSI sequence.
pub fn painted(text: &str, look: Look, colour: &str) -> String {
    match look {
        Look::Plain => text.to_owned(),
        Look::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
    }
}

/// `1 file`, `2 files`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Bytes in the unit that keeps the number short, powers of 1000: `512 B`, `3.4 kB`, `12.0 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Milliseconds: `0.3s`, `42.0s`, `3m05s`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    if seconds < 60 {
        format!("{seconds}.{}s", milliseconds % 1000 / 100)
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%~".contains(&byte);
    if !word.is_empty() && !word.starts_with('~') && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_names_cannot_drive_the_terminal() {
        assert_eq!(
            verb_line("Running", "`a\u{1b}[2J\u{202e}b`\n  c", Look::Plain),
            "     Running `a\\u{1b}[2J\\u{202e}b`\n  c"
        );
    }

    #[test]
    fn sizes_have_four_figures_at_most() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345_678, "12.3 MB"),
            (999_999, "1.0 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_short() {
        for (milliseconds, text) in [(0, "0.0s"), (349, "0.3s"), (59_999, "59.9s"), (185_000, "3m05s")] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn a_word_survives_the_shell() {
        for (word, text) in [
            ("s3://b/k.zip", "s3://b/k.zip"),
            ("/srv/shop~dev/x", "/srv/shop~dev/x"),
            ("~/x", "'~/x'"),
            ("s3://b/k?versionId=a&etag=b", "'s3://b/k?versionId=a&etag=b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn a_line_has_its_verb_in_twelve_columns_and_colour_only_when_asked() {
        assert_eq!(verb_line("Wrote", "x", Look::Plain), "       Wrote x");
        assert_eq!(verb_line("Wrote", "x", Look::Coloured), "\u{1b}[1;32m       Wrote\u{1b}[0m x");
        assert_eq!(verb_line("Failed", "x", Look::Coloured), "\u{1b}[1;31m      Failed\u{1b}[0m x");
        assert_eq!((plural(1, "file"), plural(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
