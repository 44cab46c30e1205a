//! The sentences. Pure.

use longshore_core::figures::{painted, plural, size, verb_line};
use longshore_core::problem::{Look, visible_lines};

use crate::event::Event;

/// The line of an event; `None` when a bar shows it or nobody needs to know.
pub(crate) fn line(event: &Event, look: Look) -> Option<String> {
    let (verb, rest) = match event {
        Event::Checked { appspec, files, bytes, errors, warnings } => (
            "Checked",
            format!(
                "`{appspec}` and {} ({}): {}, {}",
                plural(*files, "file"),
                size(*bytes),
                plural(*errors, "error"),
                plural(*warnings, "warning")
            ),
        ),
        Event::Named { commit, origin } => ("Commit", format!("{commit} (from {origin})")),
        Event::Warned(sentence) => {
            return Some(format!("{} {}", painted("warning:", look, "1;33"), visible_lines(sentence)));
        }
        Event::Packing { .. } | Event::PackedMore(_) | Event::Stored(_) => return None,
        Event::Packed { files, bytes, size: packed, took } => (
            "Packed",
            format!(
                "{} ({}) into {} in {:.1}s",
                plural(*files, "file"),
                size(*bytes),
                size(*packed),
                took.as_secs_f64()
            ),
        ),
        Event::Replaced { path, same: true } => ("Unchanged", format!("`{}`", path.display())),
        Event::Replaced { path, same: false } => {
            ("Replaced", format!("`{}`, which had other bytes for the same commit", path.display()))
        }
        Event::Verified { path, files } => ("Verified", format!("`{}`, {}", path.display(), plural(*files, "file"))),
        Event::Publishing { url, size: bytes } => ("Publishing", format!("{} to `{url}`", size(*bytes))),
        Event::Published { url, already: false } => ("Published", format!("`{url}`")),
        Event::Published { url, already: true } => ("Found", format!("`{url}`: already published, the same content")),
        Event::Wrote(path) => ("Wrote", path.clone()),
        Event::Kept(path) => ("Kept", format!("{path}, which exists")),
    };
    Some(verb_line(verb, &rest, look))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commit::Origin;

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
