//! A deployment of CodeDeploy as a value: what it deploys, how far it is, and what its instances say. Pure.

use std::fmt;

use jiff::Timestamp;
use longshore_core::figures::quoted;
use longshore_core::ids::{CommitHash, DeploymentId};
use longshore_core::store::{ObjectUrl, StoreUrl};

/// What a deployment deploys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revision {
    /// An object in S3.
    S3(S3Revision),
    /// A commit on GitHub.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// The commit.
        commit: String,
    },
    /// A kind that hosts do not deploy, by its name.
    Other(String),
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Revision {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key.
    pub(crate) key: String,
    /// How it is packed.
    pub(crate) format: Format,
    /// Its ETag without quotes. CodeDeploy compares nothing when it is not given.
    pub(crate) etag: Option<String>,
    /// Its version, where the bucket keeps versions.
    pub(crate) version: Option<String>,
}

/// How a bundle is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `zip`
    Zip,
    /// `tar`
    Tar,
    /// `tgz`
    Tgz,
}

impl Format {
    /// What the ending of a key says.
    pub(crate) fn of_key(key: &str) -> Option<Format> {
        let ends = |endings: &[&str]| endings.iter().any(|ending| key.to_ascii_lowercase().ends_with(ending));
        if ends(&[".zip"]) {
            Some(Format::Zip)
        } else if ends(&[".tgz", ".tar.gz"]) {
            Some(Format::Tgz)
        } else if ends(&[".tar"]) {
            Some(Format::Tar)
        } else {
            None
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::Tar => "tar",
            Format::Tgz => "tgz",
        }
    }
}

impl S3Revision {
    /// The commit that a key of ours names: `…/<commit>.zip`, `…/<commit>-dirty-<digest>.zip`.
    pub(crate) fn commit(&self) -> Option<CommitHash> {
        let stem = self.key.rsplit('/').next()?.split('.').next()?;
        stem.split('-').next()?.parse().ok()
    }

    /// Whether it was built from a work tree that differed from its commit.
    pub(crate) fn is_dirty(&self) -> bool {
        self.key.rsplit('/').next().is_some_and(|name| name.contains("-dirty-"))
    }

    /// Where it is, pinned.
    pub(crate) fn object(&self) -> ObjectUrl {
        let store = StoreUrl::S3 { bucket: self.bucket.clone(), prefix: String::new() };
        ObjectUrl { store, key: self.key.clone(), version: self.version.clone(), etag: self.etag.clone() }
    }

    /// Its URL, pinned.
    pub(crate) fn url(&self) -> String {
        let pins = [("versionId", &self.version), ("etag", &self.etag)];
        let pins: Vec<String> =
            pins.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect();
        let query = if pins.is_empty() { String::new() } else { format!("?{}", pins.join("&")) };
        format!("{}{query}", self.plain_url())
    }

    /// Its URL without ETag and version.
    pub(crate) fn plain_url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl Revision {
    /// The commit, where it can be told.
    pub(crate) fn commit(&self) -> Option<CommitHash> {
        match self {
            Revision::S3(object) => object.commit(),
            Revision::GitHub { commit, .. } => commit.parse().ok(),
            Revision::Other(_) => None,
        }
    }

    /// Whether both mean the same bytes. What one of them does not say is no difference.
    pub(crate) fn is_same(&self, other: &Revision) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        match (self, other) {
            (Revision::S3(one), Revision::S3(other)) => {
                (&one.bucket, &one.key) == (&other.bucket, &other.key)
                    && agree(&one.etag, &other.etag)
                    && agree(&one.version, &other.version)
            }
            (Revision::GitHub { .. } | Revision::Other(_), Revision::GitHub { .. } | Revision::Other(_)) => {
                self == other
            }
            (Revision::S3(_), Revision::GitHub { .. } | Revision::Other(_))
            | (Revision::GitHub { .. } | Revision::Other(_), Revision::S3(_)) => false,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::S3(object) => f.write_str(&object.plain_url()),
            Revision::GitHub { repository, commit } => write!(f, "{repository} at {commit} on GitHub"),
            Revision::Other(kind) => write!(f, "a revision of the kind {kind}"),
        }
    }
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It exists.
    Created,
    /// It waits for its turn.
    Queued,
    /// It runs.
    InProgress,
    /// Its instances are watched for a while.
    Baking,
    /// Blue/green: the replacement is ready for traffic.
    Ready,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// Somebody or an alarm stopped it.
    Stopped,
    /// A word that this program does not know.
    Unknown(String),
}

impl Status {
    /// What CodeDeploy's word means.
    pub(crate) fn of(word: &str) -> Status {
        match word {
            "Created" => Status::Created,
            "Queued" => Status::Queued,
            "InProgress" => Status::InProgress,
            "Baking" => Status::Baking,
            "Ready" => Status::Ready,
            "Succeeded" => Status::Succeeded,
            "Failed" => Status::Failed,
            "Stopped" => Status::Stopped,
            word => Status::Unknown(word.to_owned()),
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(&self) -> &str {
        match self {
            Status::Created => "Created",
            Status::Queued => "Queued",
            Status::InProgress => "InProgress",
            Status::Baking => "Baking",
            Status::Ready => "Ready",
            Status::Succeeded => "Succeeded",
            Status::Failed => "Failed",
            Status::Stopped => "Stopped",
            Status::Unknown(word) => word,
        }
    }

    /// Whether nothing more happens.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Status::Succeeded | Status::Failed | Status::Stopped => true,
            Status::Created
            | Status::Queued
            | Status::InProgress
            | Status::Baking
            | Status::Ready
            | Status::Unknown(_) => false,
        }
    }
}

/// What CodeDeploy knows of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployment {
    /// Its id.
    pub(crate) id: DeploymentId,
    /// The application.
    pub(crate) application: String,
    /// The group.
    pub(crate) group: String,
    /// How far it is.
    pub(crate) status: Status,
    /// What it deploys.
    pub(crate) revision: Option<Revision>,
    /// The deployment configuration.
    pub(crate) config: Option<String>,
    /// Who made it: `user`, `codeDeployRollback`, `autoscaling` …
    pub(crate) creator: Option<String>,
    /// What whoever made it wrote.
    pub(crate) description: Option<String>,
    /// When it was made.
    pub(crate) created: Option<Timestamp>,
    /// When it ended.
    pub(crate) completed: Option<Timestamp>,
    /// Why it failed.
    pub(crate) error: Option<Fault>,
    /// The rollback that follows or followed it.
    pub(crate) rollback: Option<Rollback>,
    /// On which events CodeDeploy rolls back by itself, in its words; empty: never.
    pub(crate) rolls_back_on: Vec<String>,
    /// What a blue/green deployment waits for.
    pub(crate) waits: Option<Waits>,
    /// Further words of CodeDeploy.
    pub(crate) messages: Vec<String>,
}

/// Why something failed: a code of CodeDeploy, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The code.
    pub(crate) code: String,
    /// The words.
    pub(crate) message: String,
}

/// What is known of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollback {
    /// The deployment that brings the last good revision back.
    pub(crate) deployment: Option<DeploymentId>,
    /// The deployment that this one rolls back.
    pub(crate) of: Option<DeploymentId>,
    /// CodeDeploy's words.
    pub(crate) message: Option<String>,
}

/// What a blue/green deployment waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// That somebody lets the traffic over to the replacement; without that it is stopped after so many minutes.
    ForTraffic {
        /// Minutes, where it says so.
        stops_after: Option<i32>,
    },
    /// That the time is over for which the original instances are kept.
    ForTermination {
        /// Minutes, where it says so.
        minutes: Option<i32>,
    },
}

impl Waits {
    /// What to type to go on at once.
    pub(crate) fn way_on(self, deployment: &DeploymentId, region: &str) -> String {
        let kind = match self {
            Waits::ForTraffic { .. } => "READY_WAIT",
            Waits::ForTermination { .. } => "TERMINATION_WAIT",
        };
        format!(
            "aws deploy continue-deployment --deployment-id {} --deployment-wait-type {kind} --region {}",
            quoted(deployment.as_str()),
            quoted(region)
        )
    }
}

/// How far an instance or an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not begun.
    Pending,
    /// It is under way.
    Running,
    /// Blue/green: it is ready for traffic.
    Ready,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
    /// Nobody knows.
    Unknown,
}

impl Progress {
    /// What CodeDeploy's word means.
    pub(crate) fn of(word: &str) -> Progress {
        match word {
            "Pending" => Progress::Pending,
            "InProgress" => Progress::Running,
            "Ready" => Progress::Ready,
            "Succeeded" => Progress::Succeeded,
            "Failed" => Progress::Failed,
            "Skipped" => Progress::Skipped,
            _ => Progress::Unknown,
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Progress::Pending => "Pending",
            Progress::Running => "InProgress",
            Progress::Ready => "Ready",
            Progress::Succeeded => "Succeeded",
            Progress::Failed => "Failed",
            Progress::Skipped => "Skipped",
            Progress::Unknown => "Unknown",
        }
    }

    /// Whether nothing more happens.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Progress::Succeeded | Progress::Failed | Progress::Skipped => true,
            Progress::Pending | Progress::Running | Progress::Ready | Progress::Unknown => false,
        }
    }
}

/// An instance in a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The instance's id or name.
    pub(crate) id: String,
    /// How far it is.
    pub(crate) progress: Progress,
    /// Blue/green: `Blue` or `Green`.
    pub(crate) label: Option<String>,
    /// Its lifecycle events, in their order.
    pub(crate) events: Vec<TargetEvent>,
}

/// A lifecycle event on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetEvent {
    /// Its name.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) progress: Progress,
    /// When it began.
    pub(crate) began: Option<Timestamp>,
    /// When it ended.
    pub(crate) ended: Option<Timestamp>,
    /// What went wrong, if something did.
    pub(crate) diagnostics: Option<Diagnostics>,
}

/// What the agent says of a script that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostics {
    /// `ScriptFailed` and so on.
    pub(crate) code: String,
    /// The script.
    pub(crate) script: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    /// The end of what it wrote.
    pub(crate) log_tail: String,
}

impl Target {
    /// The event that is under way, or that failed, or that ended last.
    pub(crate) fn event(&self) -> Option<&TargetEvent> {
        let is = |wanted: Progress| self.events.iter().find(move |event| event.progress == wanted);
        is(Progress::Failed)
            .or_else(|| is(Progress::Running))
            .or_else(|| self.events.iter().rfind(|event| event.progress.is_final()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: Option<&str>, version: Option<&str>) -> S3Revision {
        let text = |text: &str| text.to_owned();
        S3Revision {
            bucket: text("b"),
            key: text(key),
            format: Format::Zip,
            etag: etag.map(text),
            version: version.map(text),
        }
    }

    #[test]
    fn a_key_of_ours_names_its_commit_and_whether_it_is_clean() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (key, found, dirty) in [
            (format!("releases/shop/{commit}.zip"), true, false),
            (format!("shop/{commit}-dirty-0123456789ab.zip"), true, true),
            (format!("{commit}.tar.gz"), true, false),
            ("shop/1.2.3.zip".to_owned(), false, false),
            (format!("{commit}/bundle.zip"), false, false),
        ] {
            let object = object(&key, None, None);
            assert_eq!((object.commit().is_some(), object.is_dirty()), (found, dirty), "{key}");
        }
    }

    #[test]
    fn the_ending_of_a_key_says_how_it_is_packed() {
        for (key, format) in [
            ("a.zip", Some("zip")),
            ("a.ZIP", Some("zip")),
            ("a.tar", Some("tar")),
            ("a.tgz", Some("tgz")),
            ("a.tar.gz", Some("tgz")),
            ("a.gz", None),
            ("zip", None),
        ] {
            assert_eq!(Format::of_key(key).map(Format::word), format, "{key}");
        }
    }

    #[test]
    fn two_revisions_are_the_same_unless_they_say_something_different() {
        let one = Revision::S3(object("k", Some("e"), Some("v")));
        for (other, same) in [
            (object("k", Some("e"), Some("v")), true),
            (object("k", None, None), true),
            (object("k", Some("e"), None), true),
            (object("k", Some("f"), None), false),
            (object("k", Some("e"), Some("w")), false),
            (object("l", Some("e"), Some("v")), false),
        ] {
            assert_eq!(one.is_same(&Revision::S3(other.clone())), same, "{other:?}");
        }
        let github = Revision::GitHub { repository: "o/r".into(), commit: "c".into() };
        assert!(!one.is_same(&github) && github.is_same(&github.clone()));
    }

    #[test]
    fn an_instance_is_told_by_the_event_that_matters_most() {
        let event = |name: &str, progress| TargetEvent {
            name: name.to_owned(),
            progress,
            began: None,
            ended: None,
            diagnostics: None,
        };
        for (states, expected) in [
            ([Progress::Pending, Progress::Pending, Progress::Pending], None),
            ([Progress::Succeeded, Progress::Pending, Progress::Pending], Some("a")),
            ([Progress::Succeeded, Progress::Running, Progress::Pending], Some("b")),
            ([Progress::Succeeded, Progress::Failed, Progress::Skipped], Some("b")),
            ([Progress::Succeeded, Progress::Succeeded, Progress::Succeeded], Some("c")),
        ] {
            let events = ["a", "b", "c"].iter().zip(states).map(|(name, state)| event(name, state)).collect();
            let target = Target { id: "i".into(), progress: Progress::Running, label: None, events };
            assert_eq!(target.event().map(|event| event.name.as_str()), expected, "{states:?}");
        }
    }
}
