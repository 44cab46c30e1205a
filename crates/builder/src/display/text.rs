//! The sentences. Pure.

use longshore_core::problem::Look;

use crate::event::Event;

/// The line of an event; `None` when a bar shows it or nobody needs to know.
pub(crate) fn line(event: &Event, look: Look) -> Option<String> {
    let (verb, rest) = match event {
        Event::Checked { appspec, files, bytes, errors, warnings } => (
            "Checked",
            format!(
                "`{appspec}` and {} ({}): {}, {}",
                plural(*files, "file"),
                sized(*bytes),
                plural(*errors, "error"),
                plural(*warnings, "warning")
            ),
        ),
        Event::Named { commit, origin } => ("Commit", format!("{commit} (from {origin})")),
        Event::Warned(sentence) => return Some(format!("{} {sentence}", painted("warning:", look, "1;33"))),
        Event::Packing { .. } | Event::PackedMore(_) | Event::Stored(_) => return None,
        Event::Packed { files, bytes, size, took } => (
            "Packed",
            format!(
                "{} ({}) into {} in {:.1}s",
                plural(*files, "file"),
                sized(*bytes),
                sized(*size),
                took.as_secs_f64()
            ),
        ),
        Event::Replaced { path, same: true } => ("Unchanged", format!("`{}`", path.display())),
        Event::Replaced { path, same: false } => {
            ("Replaced", format!("`{}`, which had other bytes for the same commit", path.display()))
        }
        Event::Verified { path, files } => ("Verified", format!("`{}`, {}", path.display(), plural(*files, "file"))),
        Event::Publishing { url, size } => ("Publishing", format!("{} to `{url}`", sized(*size))),
        Event::Published { url, already: false } => ("Published", format!("`{url}`")),
        Event::Published { url, already: true } => ("Found", format!("`{url}`: already published, the same content")),
        Event::Wrote(path) => ("Wrote", path.clone()),
        Event::Kept(path) => ("Kept", format!("{path}, which exists")),
    };
    Some(format!("{} {rest}", painted(&format!("{verb:>12}"), look, "1;32")))
}

fn painted(text: &str, look: Look, colour: &str) -> String {
    match look {
        Look::Plain => text.to_owned(),
        Look::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Bytes in the unit that keeps the number short, powers of 1000.
pub(crate) fn sized(bytes: u64) -> String {
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

/// A word as a POSIX shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&b));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commit::Origin;

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
            assert_eq!(sized(bytes), text);
        }
    }

    #[test]
    fn a_word_survives_the_shell() {
        for (word, text) in [
            ("s3://b/k.zip", "s3://b/k.zip"),
            ("s3://b/k?versionId=a&etag=b", "'s3://b/k?versionId=a&etag=b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn every_event_has_its_sentence() {
        let commit: longshore_core::ids::CommitHash = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let events = [
            Event::Checked { appspec: "appspec.yml".into(), files: 1, bytes: 12, errors: 0, warnings: 2 },
            Event::Named { commit: commit.clone(), origin: Origin::WorkTree },
            Event::Named { commit, origin: Origin::Variable("GITHUB_SHA") },
            Event::Warned("the sky is low".into()),
            Event::Packed { files: 42, bytes: 12_400_000, size: 3_100_000, took: Duration::from_millis(1234) },
            Event::Replaced { path: "dist/a.zip".into(), same: true },
            Event::Replaced { path: "dist/a.zip".into(), same: false },
            Event::Verified { path: "dist/a.zip".into(), files: 42 },
            Event::Publishing { url: "s3://b/shop/a.zip".into(), size: 3_100_000 },
            Event::Published { url: "s3://b/shop/a.zip".into(), already: false },
            Event::Published { url: "s3://b/shop/a.zip".into(), already: true },
            Event::Wrote("appspec.yml".into()),
            Event::Kept("docker-compose.yml".into()),
        ];
        let lines: Vec<String> = events.iter().filter_map(|event| line(event, Look::Plain)).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(line(&Event::Wrote("x".into()), Look::Coloured).unwrap(), "\u{1b}[1;32m       Wrote\u{1b}[0m x");
    }
}
