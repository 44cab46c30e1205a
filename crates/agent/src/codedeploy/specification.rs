//! A deployment specification: the signed envelope → an order.
//!
//! Everything in it comes from outside: names and ids become parts of paths only as the types that keep them there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

use longshore_core::appspec::FileExists;
use longshore_core::bundle::{BundlePath, InvalidPath};
use longshore_core::ids::{DeploymentId, InvalidId};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::store::{InvalidUrl, ObjectUrl, StoreUrl};
use serde_json::{Map, Value};

use super::command::Specification;
use super::envelope::{self, Demand, EnvelopeError};
use crate::deployment::order::{Cause, Group, Order, Pace, Policy, Revision, StopFrom};
use crate::github::{Archive, GitHub, InvalidSource};
use crate::settings::SignatureCheck;

/// What a specification asks for.
pub struct Specified {
    /// The deployment, with every event that the service may ask for, each when it is asked for.
    pub order: Order,
    /// The token for GitHub (`GitHubAccessToken`), which is written down nowhere.
    pub github_token: Option<String>,
    /// What was found and can be lived with, for the log.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Specified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Specified { order, warnings, github_token: _ } = self;
        f.debug_struct("Specified").field("order", order).field("warnings", warnings).finish_non_exhaustive()
    }
}

/// Why a specification is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecificationError {
    /// The deployment is for another kind of agent.
    #[error("the deployment is one of `{0}`, and not of `CodeDeploy`")]
    System(String),
    /// The service sent none.
    #[error("CodeDeploy sent no specification of the deployment")]
    Absent,
    /// The specification is not signed, or in a way of its own.
    #[error("the specification has the format `{0}`, and only `PKCS7/JSON`, which is signed, is taken")]
    Format(String),
    /// The signature is not right, or not one that is trusted.
    #[error("the specification's signature is refused")]
    Envelope(#[source] EnvelopeError),
    /// The content is no JSON.
    #[error("the specification is no JSON")]
    Json(#[source] serde_json::Error),
    /// The content is something else than an object.
    #[error("the specification is no JSON object")]
    NoObject,
    /// A field has to be there.
    #[error("the specification has no `{0}`")]
    Missing(&'static str),
    /// A field has a value of another kind.
    #[error("the specification's `{field}` is not {must}")]
    Kind {
        /// The field.
        field: &'static str,
        /// What it has to be.
        must: &'static str,
    },
    /// An id or name could not be used as such.
    #[error("the specification's `{field}` is refused")]
    Id {
        /// The field.
        field: &'static str,
        /// Why.
        source: InvalidId,
    },
    /// `DeploymentId` is an ARN of something else.
    #[error("the specification's `{0}` is an ARN without a deployment's id")]
    Arn(&'static str),
    /// The appspec would be looked for outside the bundle.
    #[error("the specification's `AppSpecFilename` is refused")]
    AppSpecName(#[source] InvalidPath),
    /// The revision is of a kind that there is not.
    #[error("the specification's `RevisionType` is `{0}`, and not `S3` or `GitHub`")]
    RevisionType(String),
    /// The kind of an archive that GitHub does not make.
    #[error("the specification's `BundleType` is `{0}`, and GitHub makes `tar` and `zip`")]
    GitHubArchive(String),
    /// The commit has no address.
    #[error("the specification's `GitHubRevision` is refused")]
    GitHub(#[source] InvalidSource),
    /// The object has no address.
    #[error("the specification's `S3Revision` is refused")]
    Object(#[source] InvalidUrl),
    /// The object's address would mean another object.
    #[error(
        "the specification's `S3Revision` has the key `{0}`, which cannot be written as an address; store it under another"
    )]
    ObjectName(String),
    /// A path that depends on where the agent was started.
    #[error("the specification's `Location` is `{0}`, which is not absolute")]
    Location(String),
}

impl SpecificationError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SpecificationError::Envelope(error) => error.hint(),
            SpecificationError::System(_)
            | SpecificationError::Absent
            | SpecificationError::Format(_)
            | SpecificationError::Json(_)
            | SpecificationError::NoObject
            | SpecificationError::Missing(_)
            | SpecificationError::Kind { .. }
            | SpecificationError::Id { .. }
            | SpecificationError::Arn(_)
            | SpecificationError::AppSpecName(_)
            | SpecificationError::RevisionType(_)
            | SpecificationError::GitHubArchive(_)
            | SpecificationError::GitHub(_)
            | SpecificationError::Object(_)
            | SpecificationError::ObjectName(_)
            | SpecificationError::Location(_) => None,
        }
    }
}

/// Verifies and reads a specification.
pub fn read(
    specification: &Specification,
    check: &SignatureCheck,
    policy: &Policy,
    now: SystemTime,
) -> Result<Specified, SpecificationError> {
    match specification.system.as_deref() {
        Some("CodeDeploy") => {}
        other => return Err(SpecificationError::System(other.unwrap_or_default().to_owned())),
    }
    let envelope = specification.envelope.as_ref().ok_or(SpecificationError::Absent)?;
    // `TEXT/JSON` is not signed; AWS's agent takes it from `codedeploy-local` alone.
    if envelope.format != "PKCS7/JSON" {
        return Err(SpecificationError::Format(envelope.format.clone()));
    }
    let demand = Demand::of(check).map_err(SpecificationError::Envelope)?;
    let content = envelope::open(&envelope.payload, &demand, now).map_err(SpecificationError::Envelope)?;
    parse(&content, policy)
}

/// Reads the content of a specification. Pure.
pub fn parse(content: &[u8], policy: &Policy) -> Result<Specified, SpecificationError> {
    let whole = match serde_json::from_slice(content).map_err(SpecificationError::Json)? {
        Value::Object(fields) => Fields(fields),
        // Not by way of the parser's own error, which quotes what it found.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(SpecificationError::NoObject);
        }
    };
    let revision = whole.fields("Revision")?.ok_or(SpecificationError::Missing("Revision"))?;
    let mut warnings = Vec::new();
    let blue_green = whole.text("DeploymentType")?.unwrap_or("IN_PLACE") == "BLUE_GREEN";
    let rollback = whole.text("DeploymentCreator")?.unwrap_or("user") == "codeDeployRollback";
    let order = Order {
        deployment: whole.deployment("DeploymentId")?.ok_or(SpecificationError::Missing("DeploymentId"))?,
        number: 0,
        application: whole.id("ApplicationName")?,
        group: Group { id: whole.id("DeploymentGroupId")?, name: whole.id("DeploymentGroupName")? },
        revision: revision.revision(&mut warnings)?,
        events: LifecycleEvent::ALL.to_vec(),
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists: whole.file_exists(&mut warnings)?,
        cause: Cause::Asked,
        scripts_map: if blue_green && rollback { ScriptsMap::BlueGreenRollback } else { ScriptsMap::InPlace },
        content_digest: None,
        appspec_name: whole.appspec_name()?,
        policy: policy.clone(),
        pace: Pace::OnCommand,
        reuse: reuse(&whole, &revision)?,
        possible_events: whole.texts("AllPossibleLifecycleEvents")?,
        blue_green,
    };
    let github_token = whole.text("GitHubAccessToken")?.map(str::to_owned);
    Ok(Specified { order, github_token, warnings })
}

/// Since agent 2.1. Where it stands is not documented: it is looked for beside the deployment's own id and in the revision.
fn reuse(whole: &Fields, revision: &Fields) -> Result<Option<DeploymentId>, SpecificationError> {
    const FIELD: &str = "ReuseArchiveFromDeploymentId";
    match whole.deployment(FIELD)? {
        Some(deployment) => Ok(Some(deployment)),
        None => revision.deployment(FIELD),
    }
}

/// A JSON object, and what is expected in it. What it holds is quoted in no error, unless it is known to be no secret.
struct Fields(Map<String, Value>);

impl Fields {
    /// A text; `None` when there is none, or an empty one.
    fn text(&self, field: &'static str) -> Result<Option<&str>, SpecificationError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(SpecificationError::Kind { field, must: "a text" })
            }
        }
    }

    fn needed(&self, field: &'static str) -> Result<&str, SpecificationError> {
        self.text(field)?.ok_or(SpecificationError::Missing(field))
    }

    fn fields(&self, field: &'static str) -> Result<Option<Fields>, SpecificationError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Fields(fields.clone()))),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_)) => {
                Err(SpecificationError::Kind { field, must: "an object" })
            }
        }
    }

    /// A list of texts; `None` when there is none, or an empty one.
    fn texts(&self, field: &'static str) -> Result<Option<Vec<String>>, SpecificationError> {
        let wrong = || SpecificationError::Kind { field, must: "a list of texts" };
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) => {
                let texts = list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong));
                let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
                Ok(Some(texts).filter(|texts| !texts.is_empty()))
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => Err(wrong()),
        }
    }

    fn id<T: FromStr<Err = InvalidId>>(&self, field: &'static str) -> Result<T, SpecificationError> {
        self.needed(field)?.parse().map_err(|source| SpecificationError::Id { field, source })
    }

    /// A deployment's id, which may be written as its ARN.
    fn deployment(&self, field: &'static str) -> Result<Option<DeploymentId>, SpecificationError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let id = match text.starts_with("arn:") {
            false => text,
            true => {
                let resource = text.split(':').nth(5).and_then(|resource| resource.split_once('/'));
                resource.ok_or(SpecificationError::Arn(field))?.1
            }
        };
        id.parse().map(Some).map_err(|source| SpecificationError::Id { field, source })
    }

    fn appspec_name(&self) -> Result<Option<BundlePath>, SpecificationError> {
        match self.text("AppSpecFilename")? {
            // As said or left out, it is the usual one.
            None | Some("appspec.yml") => Ok(None),
            Some(name) => BundlePath::normalized(name).map(Some).map_err(SpecificationError::AppSpecName),
        }
    }

    fn file_exists(&self, warnings: &mut Vec<String>) -> Result<FileExists, SpecificationError> {
        let overrides = self.fields("AgentActionOverrides")?;
        let overrides = overrides.and_then(|outer| outer.fields("AgentOverrides").transpose()).transpose()?;
        let Some(overrides) = overrides else { return Ok(FileExists::Disallow) };
        let said = overrides.text("FileExistsBehavior")?.unwrap_or("DISALLOW");
        Ok(match said.to_ascii_uppercase().as_str() {
            "DISALLOW" => FileExists::Disallow,
            "OVERWRITE" => FileExists::Overwrite,
            "RETAIN" => FileExists::Retain,
            // AWS's agent fails with it as soon as a file is in the way, which is what DISALLOW means.
            _ => {
                warnings.push(format!("`FileExistsBehavior` is `{said}`, which there is not; taken as `DISALLOW`"));
                FileExists::Disallow
            }
        })
    }

    fn revision(&self, warnings: &mut Vec<String>) -> Result<Revision, SpecificationError> {
        let part = |field| self.fields(field)?.ok_or(SpecificationError::Missing(field));
        match self.needed("RevisionType")? {
            "S3" => part("S3Revision")?.object(warnings),
            "GitHub" => part("GitHubRevision")?.commit(),
            "Local File" | "Local Directory" => {
                let local = part("LocalRevision")?;
                let location = local.needed("Location")?;
                match location.starts_with('/') {
                    true => Ok(Revision::Local(PathBuf::from(location))),
                    false => Err(SpecificationError::Location(location.to_owned())),
                }
            }
            other => Err(SpecificationError::RevisionType(other.to_owned())),
        }
    }

    /// `S3Revision`.
    fn object(&self, warnings: &mut Vec<String>) -> Result<Revision, SpecificationError> {
        if let Some(kind) = self.text("BundleType")?
            && !["tar", "tgz", "zip"].contains(&kind)
        {
            warnings
                .push(format!("`BundleType` is `{kind}`, which there is not; the bundle's first bytes say what it is"));
        }
        let key = self.needed("Key")?;
        let object = ObjectUrl {
            store: StoreUrl::S3 { bucket: self.needed("Bucket")?.to_owned(), prefix: String::new() },
            key: key.to_owned(),
            version: self.text("Version")?.map(str::to_owned),
            etag: self.text("ETag")?.map(|etag| etag.trim_matches('"').to_owned()),
        };
        let url = object.to_string();
        // A `?` in a key begins the parameters of a URL, and nothing of a URL is decoded.
        if key.contains('?') {
            return Err(SpecificationError::ObjectName(key.to_owned()));
        }
        match url.parse::<ObjectUrl>().map_err(SpecificationError::Object)? == object {
            true => Ok(Revision::Object(url)),
            false => Err(SpecificationError::ObjectName(key.to_owned())),
        }
    }

    /// `GitHubRevision`. Its `OAuthToken` is used by nobody.
    fn commit(&self) -> Result<Revision, SpecificationError> {
        let (archive, word) = match self.text("BundleType")? {
            None | Some("tar" | "tgz") => (Archive::Tarball, "tarball"),
            Some("zip") => (Archive::Zipball, "zipball"),
            Some(other) => return Err(SpecificationError::GitHubArchive(other.to_owned())),
        };
        let [account, repository, commit] = ["Account", "Repository", "CommitId"].map(|field| self.needed(field));
        let [account, repository, commit] = [account?, repository?, commit?];
        let path = format!("repos/{account}/{repository}/{word}/{commit}");
        let github = GitHub::of_api_address(&path, archive).map_err(SpecificationError::GitHub)?;
        // A slash in a name would have made another one of it.
        if (&*github.account, &*github.repository, &*github.commit) != (account, repository, commit) {
            let why = "names more than a repository and a commit".to_owned();
            return Err(SpecificationError::GitHub(InvalidSource {
                url: format!("https://api.github.com/{path}"),
                why,
            }));
        }
        Ok(Revision::GitHub(github))
    }
}

#[cfg(test)]
mod tests;
