//! The sentences. Pure.

use longshore_core::figures::{painted, plural, size, verb_line};
use longshore_core::pointer::Pointer;
use longshore_core::problem::{Look, visible_lines};

use super::deploying;
use super::sheet::{ago, one_line, progress, span, why};
use crate::ending::Known;
use crate::event::{Event, HostSeen, PublishedBeside};
use crate::fleet::{LeftOut, Standing};
use crate::images::moved::{MovedImage, Now};
use crate::pointing::{How, Moved};
use crate::succession::Move;

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
        Event::Noted(sentence) => ("Note", sentence.clone()),
        Event::Packing { .. } | Event::PackedMore(_) | Event::Stored(_) | Event::Fleet(_) | Event::WaitEnded => {
            return None;
        }
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
        Event::CreatedStore(path) => ("Created", format!("the store `{}`, which did not exist", path.display())),
        Event::Wrote(path) => ("Wrote", path.clone()),
        Event::Kept(path) => ("Kept", format!("{path}, which exists")),
        Event::Moved(moved) => ("Moved", moved_text(moved)),
        Event::Waiting { application, group, deployment, limit } => (
            "Waiting",
            format!("for {deployment} on the hosts of `{group}` of `{application}`, at most {}", span(limit.as_secs())),
        ),
        Event::Stopping(pointer) => (
            "Stopping",
            format!(
                "{} on the hosts of `{}`, as {} wants it (generation {})",
                pointer.stop.as_ref().unwrap_or(&pointer.deployment),
                pointer.group,
                one_line(&pointer.by),
                pointer.generation
            ),
        ),
        Event::GoingBack { to, ending } => ("Back", back(to, *ending)),
        Event::Removed(key) => ("Removed", key.clone()),
        Event::Host(seen) => host(seen),
        Event::StillWaiting { done, under_way, since } => ("Waiting", still(*done, under_way, since.as_secs())),
        Event::StoreLost(why) => {
            ("Warning", format!("the store does not answer, and is asked again: {}", one_line(why)))
        }
        Event::StoreBack => ("Found", "the store again".to_owned()),
        Event::Forgot { host, lives: None } => ("Forgot", format!("`{host}`")),
        Event::Forgot { host, lives: Some(age_s) } => (
            "Forgot",
            format!("`{host}`, which wrote {} ago: it will be back as soon as its agent writes again", ago(*age_s)),
        ),
        Event::BuildingImage { service, image } => ("Building", format!("`{image}` of service `{service}`")),
        Event::PushingImage { service, image } => ("Pushing", format!("`{image}` of service `{service}`")),
        Event::ServiceSaid { service, line } => return Some(visible_lines(&format!("{service:>12} | {line}"))),
        Event::AskingForImages { images } => ("Asking", format!("for the digest of {}", plural(*images, "image"))),
        Event::PinnedImage { image, digest } => ("Pinned", format!("`{image}` to {digest}")),
        Event::ImageMoved(moved) => {
            let sentence = visible_lines(&image_moved(moved));
            return Some(format!("{} {sentence}", painted("warning:", look, "1;33")));
        }
        Event::Signed { path, key_id } => ("Signed", format!("with key {key_id} into `{}`", path.display())),
        Event::Described(path) => ("Described", format!("where it comes from in `{}`", path.display())),
        Event::PublishedBeside(PublishedBeside { url, already: false }) => ("Published", format!("`{url}`")),
        Event::PublishedBeside(PublishedBeside { url, already: true }) => {
            ("Found", format!("`{url}`: already published"))
        }
        Event::Deploying(event) => return deploying::line(event, look),
    };
    Some(verb_line(verb, &rest, look))
}

fn moved_text(moved: &Moved) -> String {
    let Moved { pointer, before, how, .. } = moved;
    let was =
        before.as_ref().map(|before| format!(", which was at commit {}", before.commit.short())).unwrap_or_default();
    let how = match how {
        How::Ours(Move::First | Move::Forward) => was,
        How::Ours(Move::Again) => ", once more".to_owned(),
        How::Ours(Move::Back) => format!("{was}: back to an older commit"),
        How::Theirs => format!(": {} was faster with the same", one_line(&pointer.by)),
    };
    format!(
        "`{}` of `{}` to commit {} as {} (generation {}){how}",
        pointer.group,
        pointer.application,
        pointer.commit.short(),
        pointer.deployment,
        pointer.generation
    )
}

fn back(to: &Pointer, ending: Known) -> String {
    let known = match ending {
        Known::Succeeded => "which succeeded on its hosts",
        Known::Failed | Known::RolledBack | Known::Stopped => "which did not succeed everywhere",
        Known::Unfinished | Known::Superseded | Known::Unknown => "of which nobody knows how it ended",
    };
    format!("to commit {} of deployment {} (generation {}), {known}", to.commit.short(), to.deployment, to.generation)
}

fn image_moved(moved: &MovedImage) -> String {
    let MovedImage { services, image, recorded, now, locked } = moved;
    let services = services.iter().map(|service| format!("`{service}`")).collect::<Vec<_>>().join(", ");
    let runs = match locked {
        true => "hosts run what was recorded, because the artifact locks it",
        false => "hosts that pull it run what it leads to now",
    };
    match now {
        Now::Other(digest) => format!(
            "`{image}` ({services}) leads to {digest} now, and led to {recorded} when the artifact was built; {runs}"
        ),
        Now::Unknown(why) => format!("not known whether `{image}` ({services}) is still {recorded}: {why}"),
    }
}

fn host(seen: &HostSeen) -> (&'static str, String) {
    let name = one_line(&seen.host);
    match seen.standing {
        Standing::Unaware | Standing::Deploying => ("Deploying", format!("{name}: {}", progress(seen))),
        Standing::Succeeded => ("Deployed", name),
        Standing::Failed => {
            let why = seen.status.as_ref().and_then(why).map(|why| format!(": {why}")).unwrap_or_default();
            let event = seen.status.as_ref().and_then(|status| status.event.as_ref());
            let event = event.map(|event| format!(" in {}", event.name())).unwrap_or_default();
            ("Failed", format!("{name}{event}{why}"))
        }
        Standing::Halted => ("Stopped", format!("{name}: {}", progress(seen))),
        Standing::LeftOut(LeftOut::Silent | LeftOut::Stopped | LeftOut::Paused | LeftOut::Unreadable) => {
            ("Warning", format!("{name} is not waited for: {}", progress(seen)))
        }
        Standing::Ahead => ("Found", format!("{name}, which {}", progress(seen))),
    }
}

fn still(done: usize, under_way: &[HostSeen], since: u64) -> String {
    /// How many hosts a line names.
    const SHOWN: usize = 5;
    let mut hosts: Vec<String> =
        under_way.iter().take(SHOWN).map(|seen| format!("{} ({})", one_line(&seen.host), progress(seen))).collect();
    if under_way.len() > SHOWN {
        hosts.push(format!("and {} more", under_way.len() - SHOWN));
    }
    let hosts = if hosts.is_empty() { "a first host".to_owned() } else { hosts.join(", ") };
    format!("for {hosts}; {done} done after {}", ago(since))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commit::Origin;

    fn pointer(commit: char) -> Pointer {
        serde_json::from_value(serde_json::json!({
            "format": 1, "application": "shop", "group": "dev", "generation": 7, "deployment": "d-7",
            "revision": {"key": "shop/a.zip", "etag": "e", "size": 1, "content_digest": "0".repeat(64)},
            "commit": commit.to_string().repeat(40), "commit_time": 0, "at": "2026-01-02T03:04:06Z", "by": "ann, GitLab CI 7",
        }))
        .unwrap()
    }

    fn moved(how: How, before: Option<char>) -> Event {
        Event::Moved(Box::new(Moved {
            pointer: pointer('a'),
            before: before.map(pointer),
            how,
            hosts: 1,
            unwritten: None,
        }))
    }

    fn seen(standing: Standing, event: Option<&str>) -> HostSeen {
        let status = serde_json::json!({
            "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": 7, "deployment": "d-7",
            "commit": null, "state": "failed", "event": event, "reason": "`check.sh` exited with 3", "installed": null,
            "failed_script": {"script": "check.sh", "code": 4, "last_lines": ["asking", "gave up"]},
            "agent": "0.1.0", "at": "2026-01-02T03:04:06Z", "heartbeat_s": 60,
        });
        let status = serde_json::from_value(status).unwrap();
        HostSeen { host: "web-1".into(), standing, status: Some(status), unreadable: None, age_s: 200 }
    }

    fn image_moved(now: Now, locked: bool) -> Event {
        let services = vec!["web".to_owned(), "worker".to_owned()];
        let (image, recorded) = ("shop:1".to_owned(), "sha256:aa".to_owned());
        Event::ImageMoved(Box::new(MovedImage { services, image, recorded, now, locked }))
    }

    fn host(standing: Standing, event: Option<&str>) -> Event {
        Event::Host(Box::new(seen(standing, event)))
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
            moved(How::Ours(Move::First), None),
            moved(How::Ours(Move::Forward), Some('b')),
            moved(How::Ours(Move::Again), Some('a')),
            moved(How::Ours(Move::Back), Some('b')),
            moved(How::Theirs, None),
            Event::Waiting {
                application: "shop".parse().unwrap(),
                group: "dev".parse().unwrap(),
                deployment: "d-7".parse().unwrap(),
                limit: Duration::from_secs(1800),
            },
            host(Standing::Deploying, Some("AfterInstall")),
            host(Standing::Succeeded, None),
            host(Standing::Failed, Some("ValidateService")),
            host(Standing::LeftOut(LeftOut::Silent), None),
            host(Standing::LeftOut(LeftOut::Stopped), None),
            host(Standing::LeftOut(LeftOut::Paused), None),
            host(Standing::Ahead, None),
            Event::StillWaiting {
                done: 1,
                under_way: vec![seen(Standing::Deploying, Some("Install")), seen(Standing::Unaware, None)],
                since: Duration::from_secs(61),
            },
            Event::StillWaiting { done: 0, under_way: vec![seen(Standing::Unaware, None); 7], since: Duration::ZERO },
            Event::StillWaiting { done: 0, under_way: Vec::new(), since: Duration::ZERO },
            Event::StoreLost("cannot reach `http://s3`: Connection refused".into()),
            Event::StoreBack,
            Event::Forgot { host: "web-1".into(), lives: None },
            Event::Forgot { host: "web-1".into(), lives: Some(3) },
            Event::Noted("`artifacts.name` is not used here".into()),
            Event::Signed { path: "dist/a.zip.minisig".into(), key_id: "781188AD86BA5F2B".into() },
            Event::Described("dist/a.zip.intoto.json".into()),
            Event::PublishedBeside(PublishedBeside { url: "s3://b/shop/a.zip.minisig".into(), already: false }),
            Event::PublishedBeside(PublishedBeside { url: "s3://b/shop/a.zip.minisig".into(), already: true }),
            Event::BuildingImage { service: "web".into(), image: "shop:1".into() },
            Event::PushingImage { service: "web".into(), image: "shop:1".into() },
            Event::ServiceSaid { service: "web".into(), line: "Step 1/3 : FROM scratch".into() },
            Event::AskingForImages { images: 2 },
            Event::PinnedImage { image: "docker.io/library/shop:1".into(), digest: "sha256:ab".into() },
            image_moved(Now::Unknown("cannot ask `registry`".into()), false),
            image_moved(Now::Other(format!("sha256:{}", "b".repeat(64)).parse().unwrap()), false),
            image_moved(Now::Other(format!("sha256:{}", "b".repeat(64)).parse().unwrap()), true),
        ];
        let lines: Vec<String> = events.iter().filter_map(|event| line(event, Look::Plain)).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(line(&Event::Wrote("x".into()), Look::Coloured).unwrap(), "\u{1b}[1;32m       Wrote\u{1b}[0m x");
    }
}
