//! Hosts as a table, as lines and as JSON. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use longshore_core::host_status::{HostState, HostStatus};
use longshore_core::pointer::Pointer;
use longshore_core::problem::visible_lines;
use serde_json::{Value, json};

use crate::event::HostSeen;
use crate::fleet::{LeftOut, Standing, is_behind, is_silent};

/// A time that has passed, as short as it tells enough: `42s`, `3m`, `5h`, `12d`.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A limit: as short as it is exact, `90s`, `30m`, `2h`.
pub(crate) fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60, seconds % 60) {
        (hours @ 1.., minutes, 0) if minutes % 60 == 0 => format!("{hours}h"),
        (_, minutes @ 1.., 0) => format!("{minutes}m"),
        _ => format!("{seconds}s"),
    }
}

/// One line of what others wrote.
pub(crate) fn one_line(text: &str) -> String {
    visible_lines(&text.replace('\n', " "))
}

/// The state as a word.
fn state(status: &HostStatus) -> &'static str {
    match status.state {
        HostState::Idle => "idle",
        HostState::Deploying => "deploying",
        HostState::Succeeded => "succeeded",
        HostState::Failed => "failed",
        HostState::Refused => "refused",
        HostState::Interrupted => "interrupted",
        HostState::Paused => "paused",
        HostState::Stopped => "stopped",
    }
}

/// What else is to be said of a host.
fn note(pointer: Option<&Pointer>, status: &HostStatus, age_s: u64) -> String {
    let mut notes = Vec::new();
    if is_silent(status, age_s) {
        notes.push(format!("silent, should write every {}", span(status.heartbeat_s)));
    }
    if let Some(pointer) = pointer.filter(|pointer| is_behind(pointer, status)) {
        notes.push(match status.generation {
            0 => "has not seen the pointer".to_owned(),
            seen => format!("behind, has seen generation {seen} of {}", pointer.generation),
        });
    }
    let is_other = |installed: &&longshore_core::host_status::InstalledRelease| {
        Some(&installed.deployment) != status.deployment.as_ref() && status.state != HostState::Deploying
    };
    if let Some(installed) = status.installed.as_ref().filter(is_other) {
        let commit =
            installed.commit.as_ref().map(|commit| format!("commit {} of ", commit.short())).unwrap_or_default();
        notes.push(format!("{commit}{} is installed", installed.deployment));
    }
    notes.join("; ")
}

/// All hosts, and below them why some failed.
pub(crate) fn table(pointer: Option<&Pointer>, hosts: &[HostSeen]) -> String {
    let mut text = rows(pointer, hosts);
    let mut reasons = hosts.iter().filter_map(|seen| Some((one_line(&seen.host), why(seen.status.as_ref()?)?)));
    if let Some(first) = reasons.next() {
        for (host, why) in std::iter::once(first).chain(reasons) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{host}: {why}");
        }
        text.push('\n');
    }
    text
}

/// All hosts.
pub(crate) fn rows(pointer: Option<&Pointer>, hosts: &[HostSeen]) -> String {
    let heading = ["HOST", "STATE", "EVENT", "COMMIT", "DEPLOYMENT", "AGE", "AGENT", ""].map(str::to_owned);
    let mut rows = vec![heading];
    for HostSeen { host, status, unreadable, age_s, .. } in hosts {
        let host = one_line(host);
        let dash = || "-".to_owned();
        let Some(status) = status else {
            let why = unreadable.as_deref().map(one_line).unwrap_or_default();
            rows.push([host, "unreadable".to_owned(), dash(), dash(), dash(), ago(*age_s), dash(), why]);
            continue;
        };
        rows.push([
            host,
            state(status).to_owned(),
            status.event.as_ref().map_or_else(dash, |event| event.name().to_owned()),
            status.commit.as_ref().map_or_else(dash, |commit| commit.short().to_owned()),
            status.deployment.as_ref().map_or_else(dash, ToString::to_string),
            ago(*age_s),
            one_line(&status.agent),
            note(pointer, status, *age_s),
        ]);
    }
    columns(&rows)
}

/// Why a host failed, with the last lines of its script, each on a line of its own.
pub(crate) fn why(status: &HostStatus) -> Option<String> {
    let mut text = match (&status.reason, &status.failed_script) {
        (None, None) => return None,
        (Some(reason), _) => one_line(reason),
        (None, Some(failed)) => format!("`{}` failed", one_line(&failed.script)),
    };
    for line in status.failed_script.iter().flat_map(|failed| &failed.last_lines) {
        text.push_str("\n    ");
        text.push_str(&one_line(line));
    }
    Some(text)
}

/// How far a host is, in a few words.
pub(crate) fn progress(seen: &HostSeen) -> String {
    let event = || {
        let event = seen.status.as_ref().and_then(|status| status.event.as_ref());
        event.map(|event| event.name().to_owned())
    };
    match seen.standing {
        Standing::Unaware => "has not begun".to_owned(),
        Standing::Deploying => event().unwrap_or_else(|| "has begun".to_owned()),
        Standing::Succeeded => "done".to_owned(),
        Standing::Failed => event().map_or_else(|| "failed".to_owned(), |event| format!("failed in {event}")),
        Standing::LeftOut(LeftOut::Silent) => format!("has not written for {}", ago(seen.age_s)),
        Standing::LeftOut(LeftOut::Stopped) => "its agent is stopped".to_owned(),
        Standing::LeftOut(LeftOut::Paused) => "it is paused".to_owned(),
        Standing::LeftOut(LeftOut::Unreadable) => seen.unreadable.as_deref().map(one_line).unwrap_or_default(),
        Standing::Ahead => "has seen a later generation".to_owned(),
    }
}

/// What a group should run.
pub(crate) fn pointer_line(application: &str, group: &str, pointer: Option<&Pointer>, now: Timestamp) -> String {
    let Some(pointer) = pointer else {
        return format!("{application} {group}: nobody has moved it to an artifact yet");
    };
    let moved = match pointer.at.parse::<Timestamp>() {
        Ok(at) => format!("{} ago", ago(now.duration_since(at).as_secs().try_into().unwrap_or(0))),
        Err(_) => one_line(&pointer.at),
    };
    format!(
        "{application} {group}: commit {}{}, generation {}, deployment {}, moved {moved} by {}{}",
        pointer.commit.short(),
        if pointer.dirty { " (dirty)" } else { "" },
        pointer.generation,
        pointer.deployment,
        one_line(&pointer.by),
        if pointer.older { ", back to an older commit" } else { "" },
    )
}

/// A host for programs.
pub(crate) fn host_json(seen: &HostSeen) -> Value {
    json!({
        "host": seen.host,
        "standing": seen.standing.word(),
        "age_s": seen.age_s,
        "status": seen.status,
        "unreadable": seen.unreadable,
    })
}

/// Rows of equal length as columns, the first row as the heading; the last column is not padded.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer() -> Pointer {
        serde_json::from_value(json!({
            "format": 1, "application": "shop", "group": "dev", "generation": 7, "deployment": "d-7",
            "revision": {"key": "shop/a.zip", "etag": "e", "size": 1, "content_digest": "0".repeat(64)},
            "commit": "a".repeat(40), "commit_time": 0, "at": "2026-01-02T03:04:06Z", "by": "a@b", "older": true,
        }))
        .unwrap()
    }

    fn seen(host: &str, age_s: u64, fields: &Value) -> HostSeen {
        let mut status = json!({
            "format": 1, "host": host, "application": "shop", "group": "dev", "generation": 7, "deployment": "d-7",
            "commit": "a".repeat(40), "state": "succeeded", "event": null, "reason": null, "installed": null,
            "agent": "0.1.0", "at": "2026-01-02T03:04:06Z", "heartbeat_s": 60,
        });
        for (name, value) in fields.as_object().unwrap() {
            status[name] = value.clone();
        }
        let status: HostStatus = serde_json::from_value(status).unwrap();
        let standing = crate::fleet::standing(&pointer(), Some(&status), age_s);
        HostSeen { host: host.into(), standing, status: Some(status), unreadable: None, age_s }
    }

    #[test]
    fn a_table_shows_every_host_and_why_it_is_not_well() {
        let installed = json!({"deployment": "d-6", "commit": "b".repeat(40), "content_digest": null});
        let hosts = [
            seen("web-1", 3, &json!({"installed": {"deployment": "d-7", "commit": null, "content_digest": null}})),
            seen("web-2", 61, &json!({"state": "deploying", "event": "AfterInstall", "installed": installed})),
            seen(
                "web-3",
                0,
                &json!({"state": "failed", "event": "ValidateService", "installed": installed,
                    "reason": "`check.sh` exited with 3",
                    "failed_script": {"script": "check.sh", "code": 4, "last_lines": ["curl: \u{1b}[2Jno", "gave up"]}}),
            ),
            seen(
                "web-4",
                9000,
                &json!({"generation": 6, "deployment": "d-6", "commit": "b".repeat(40), "installed": installed}),
            ),
            seen("web-5", 0, &json!({"generation": 0, "deployment": null, "commit": null, "state": "idle"})),
            HostSeen {
                host: "web-6".into(),
                standing: Standing::LeftOut(LeftOut::Unreadable),
                status: None,
                unreadable: Some("what the host says has format 2; this program reads format 1".into()),
                age_s: 200_000,
            },
        ];
        let now = "2026-01-02T03:09:06Z".parse().unwrap();
        let line = pointer_line("shop", "dev", Some(&pointer()), now);
        insta::assert_snapshot!(format!("{line}\n{}", table(Some(&pointer()), &hosts)));
        let words: Vec<String> = hosts.iter().map(progress).collect();
        insta::assert_snapshot!(words.join("\n"));
        assert_eq!(pointer_line("shop", "dev", None, now), "shop dev: nobody has moved it to an artifact yet");
    }

    #[test]
    fn times_are_short() {
        for (seconds, past, limit) in [
            (0, "0s", "0s"),
            (59, "59s", "59s"),
            (90, "1m", "90s"),
            (1800, "30m", "30m"),
            (7200, "2h", "2h"),
            (172_800, "2d", "48h"),
        ] {
            assert_eq!((ago(seconds).as_str(), span(seconds).as_str()), (past, limit));
        }
    }
}
