//! A deployment as the service knows it: what is deployed, the course of its events, and what each host is told.

use serde_json::{Map, Value, json};

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The application.
    pub application: String,
    /// The group's name.
    pub group: String,
    /// The group's id.
    pub group_id: String,
    /// What is deployed.
    pub revision: Revision,
    /// Which events a host is asked for.
    pub course: Course,
    /// Whether the deployment goes on when ApplicationStop, BeforeBlockTraffic or AfterBlockTraffic fails.
    pub ignore_stop_failures: bool,
    /// Further members of the specification; `null` takes one away.
    pub more: Map<String, Value>,
}

/// What is deployed.
#[derive(Debug, Clone)]
pub enum Revision {
    /// An object of S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// `zip`, `tar`, `tgz`.
        bundle_type: &'static str,
        /// Its version.
        version: Option<String>,
        /// Its ETag.
        etag: Option<String>,
    },
    /// A commit on GitHub, for everybody to see.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// The commit.
        commit: String,
    },
    /// An archive on the host.
    LocalFile {
        /// Where it stands.
        location: String,
        /// `zip`, `tar`, `tgz`.
        bundle_type: &'static str,
    },
    /// A folder on the host.
    LocalDirectory(String),
}

/// The events that a host is asked for, in their order. `BlockTraffic` and `AllowTraffic` are the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// In place.
    InPlace,
    /// In place, behind a load balancer.
    InPlaceBalanced,
    /// Blue/green: a host that comes.
    Replacement,
    /// Blue/green: a host that goes.
    Original,
    /// Blue/green, rolled back: a host that comes back.
    RollbackOriginal,
    /// Blue/green, rolled back: a host that goes again.
    RollbackReplacement,
    /// In place, the service's own deployment after a failed one.
    RollbackInPlace,
    /// These.
    Events(Vec<String>),
}

const BLOCK: [&str; 2] = ["BeforeBlockTraffic", "AfterBlockTraffic"];
const RELEASE: [&str; 7] = [
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
];
const ALLOW: [&str; 2] = ["BeforeAllowTraffic", "AfterAllowTraffic"];

impl Course {
    /// Its events.
    pub fn events(&self) -> Vec<String> {
        let parts: &[&[&str]] = match self {
            Course::InPlace | Course::RollbackInPlace => &[&RELEASE],
            Course::InPlaceBalanced => &[&BLOCK, &RELEASE, &ALLOW],
            Course::Replacement => &[&RELEASE, &ALLOW],
            Course::Original | Course::RollbackReplacement => &[&BLOCK],
            Course::RollbackOriginal => &[&ALLOW],
            Course::Events(events) => return events.clone(),
        };
        parts.iter().flat_map(|part| part.iter().map(ToString::to_string)).collect()
    }

    fn creator(&self) -> &'static str {
        match self {
            Course::RollbackOriginal | Course::RollbackReplacement | Course::RollbackInPlace => "codeDeployRollback",
            Course::InPlace | Course::InPlaceBalanced | Course::Replacement | Course::Original | Course::Events(_) => {
                "user"
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Course::Replacement | Course::Original | Course::RollbackOriginal | Course::RollbackReplacement => {
                "BLUE_GREEN"
            }
            Course::InPlace | Course::InPlaceBalanced | Course::RollbackInPlace | Course::Events(_) => "IN_PLACE",
        }
    }
}

impl Deployment {
    /// A deployment of a revision of `shop` to its group `dev`, in place.
    pub fn of(id: &str, revision: Revision) -> Deployment {
        Deployment {
            id: id.to_owned(),
            application: "shop".to_owned(),
            group: "dev".to_owned(),
            group_id: "7c1d9f0a-5b7e-4f58-9d0e-2f6a3c4b5d6e".to_owned(),
            revision,
            course: Course::InPlace,
            ignore_stop_failures: false,
            more: Map::new(),
        }
    }

    /// What a host is told, before it is signed.
    pub fn specification(&self) -> Value {
        let possible: Vec<&str> = BLOCK
            .into_iter()
            .chain(RELEASE)
            .chain(ALLOW)
            .filter(|event| !matches!(*event, "DownloadBundle" | "Install"))
            .collect();
        let mut specification = json!({
            "ApplicationName": self.application,
            "DeploymentId": self.id,
            "DeploymentGroupId": self.group_id,
            "DeploymentGroupName": self.group,
            "DeploymentCreator": self.course.creator(),
            "DeploymentType": self.course.kind(),
            "AppSpecFilename": "appspec.yml",
            "AllPossibleLifecycleEvents": possible,
            "AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": "DISALLOW"}},
            "Revision": self.revision.specification(),
        });
        let members = specification.as_object_mut().expect("a map was made");
        for (name, value) in &self.more {
            match value {
                Value::Null => members.shift_remove(name),
                value => members.insert(name.clone(), value.clone()),
            };
        }
        specification
    }

    /// Whether it goes on when this event fails.
    pub(super) fn goes_on_without(&self, event: &str) -> bool {
        self.ignore_stop_failures && (event == "ApplicationStop" || BLOCK.contains(&event))
    }
}

impl Revision {
    fn specification(&self) -> Value {
        match self {
            Revision::S3 { bucket, key, bundle_type, version, etag } => {
                let mut object = json!({"Bucket": bucket, "Key": key, "BundleType": bundle_type});
                let further = [("Version", version), ("ETag", etag)];
                for (name, value) in further.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
                    object[name] = value.as_str().into();
                }
                json!({"RevisionType": "S3", "S3Revision": object})
            }
            Revision::GitHub { repository, commit } => {
                let (account, repository) = repository.split_once('/').expect("a repository is owner/name");
                let commit =
                    json!({"Account": account, "Repository": repository, "CommitId": commit, "Anonymous": true});
                json!({"RevisionType": "GitHub", "GitHubRevision": commit})
            }
            Revision::LocalFile { location, bundle_type } => json!({
                "RevisionType": "Local File", "LocalRevision": {"Location": location, "BundleType": bundle_type}
            }),
            Revision::LocalDirectory(location) => json!({
                "RevisionType": "Local Directory", "LocalRevision": {"Location": location, "BundleType": "directory"}
            }),
        }
    }
}
