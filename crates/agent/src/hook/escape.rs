//! Terminal escape sequences: found in what scripts print, unwanted in logs. Pure.

use std::borrow::Cow;

pub(in crate::hook) const ESC: u8 = 0x1b;

/// The line without escape sequences (ECMA-48: CSI, OSC and other control strings, single functions). Every other byte
/// stays as it is. A control string that does not end within the line loses only its introducer: output is never lost to
/// a sequence that somebody left open.
pub(in crate::hook) fn strip(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&ESC) {
        return Cow::Borrowed(line);
    }
    let mut kept = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + sequence(&rest[at..])..];
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

/// How long the sequence at the start of `bytes` is, ESC included.
fn sequence(bytes: &[u8]) -> usize {
    let run = |from: usize, low: u8, high: u8| {
        bytes.iter().skip(from).take_while(|byte| (low..=high).contains(*byte)).count()
    };
    match bytes.get(1) {
        None => 1,
        Some(b'[') => {
            let parameters = run(2, 0x30, 0x3f);
            let intermediates = run(2 + parameters, 0x20, 0x2f);
            let end = 2 + parameters + intermediates;
            if bytes.get(end).is_some_and(|byte| (0x40..=0x7e).contains(byte)) { end + 1 } else { end }
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = bytes.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
            let terminator = bytes.windows(2).position(|two| two == [ESC, b'\\']).map(|at| at + 2);
            match (bell, terminator) {
                (Some(bell), Some(terminator)) => bell.min(terminator),
                (one, other) => one.or(other).unwrap_or(2),
            }
        }
        Some(_) => {
            let end = 1 + run(1, 0x20, 0x2f);
            if bytes.get(end).is_some_and(|byte| (0x30..=0x7e).contains(byte)) { end + 1 } else { end }
        }
    }
}

/// A stripped line as people get to see it: what a terminal would show last of a line that was drawn over with carriage
/// returns, invalid UTF-8 replaced, control characters but tabs left out, at most `most` characters.
pub(in crate::hook) fn for_people(line: &[u8], most: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    // No character has more than four bytes; the rest need not be looked at.
    let shown = &shown[..shown.len().min(most.saturating_mul(4))];
    String::from_utf8_lossy(shown).chars().filter(|c| *c == '\t' || !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_go_and_every_other_byte_stays() {
        for (line, stripped) in [
            (&b"plain \xff\x00\t\r"[..], &b"plain \xff\x00\t\r"[..]),
            (b"\x1b[1;31mred\x1b[0m", b"red"),
            (b"\x1b[?25lhidden\x1b[2K", b"hidden"),
            (b"\x1b]0;title\x07text", b"text"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", b"link"),
            (b"\x1bPq#0\x1b\\sixel", b"sixel"),
            (b"\x1b(Bcharset \x1b7save", b"charset save"),
            (b"open \x1b]0;never closed", b"open 0;never closed"),
            (b"cut \x1b[12", b"cut "),
            (b"last \x1b", b"last "),
            (b"\x1b[\xffbad", b"\xffbad"),
        ] {
            assert_eq!(strip(line), stripped, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn people_see_text_without_control_characters() {
        for (line, shown) in [
            (&b"10%\r50%\r100%"[..], "100%"),
            (b"windows\r", "windows"),
            (b"a\tb\x07\x00c", "a\tbc"),
            (b"\xffok", "\u{fffd}ok"),
            (b"0123456789abc", "0123456789"),
        ] {
            assert_eq!(for_people(line, 10), shown, "{}", line.escape_ascii());
        }
    }
}
