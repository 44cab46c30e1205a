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
mod tests {
    use std::error::Error;

    use serde_json::json;

    use super::super::command::Envelope;
    use super::*;

    /// A specification as the service makes it.
    fn whole() -> Value {
        json!({
            "DeploymentId": "d-4QX7R2M1K",
            "DeploymentGroupId": "6f9c2a3e-0d1b-4c55-9d4e-5f2f8f6a7b10",
            "DeploymentGroupName": "dev",
            "ApplicationName": "shop",
            "Revision": {
                "RevisionType": "S3",
                "S3Revision": {"Bucket": "bundles", "Key": "shop/1.zip", "BundleType": "zip", "ETag": "\"0123abcd\"", "Version": "v.1"},
            },
        })
    }

    fn with(fields: Value) -> Value {
        let (Value::Object(mut whole), Value::Object(fields)) = (whole(), fields) else { panic!("both are objects") };
        whole.extend(fields);
        Value::Object(whole)
    }

    fn of(value: &Value) -> Specified {
        parse(value.to_string().as_bytes(), &Policy::default()).unwrap_or_else(|error| panic!("{error}: {value}"))
    }

    fn refused(value: &Value) -> String {
        let error = parse(value.to_string().as_bytes(), &Policy::default()).expect_err(&value.to_string());
        match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    fn revision(value: Value) -> Value {
        with(Value::from_iter([("Revision", value)]))
    }

    fn object(s3: Value) -> Value {
        revision(Value::from_iter([("RevisionType", "S3".into()), ("S3Revision", s3)]))
    }

    fn commit(github: Value) -> Value {
        revision(Value::from_iter([("RevisionType", "GitHub".into()), ("GitHubRevision", github)]))
    }

    #[test]
    fn a_specification_becomes_an_order_whose_events_wait_to_be_asked_for() {
        let policy = Policy { keep: 7, ..Policy::default() };
        let Specified { order, github_token, warnings } = parse(whole().to_string().as_bytes(), &policy).unwrap();
        let expected = Order {
            deployment: "d-4QX7R2M1K".parse().unwrap(),
            number: 0,
            application: "shop".parse().unwrap(),
            group: Group { id: "6f9c2a3e-0d1b-4c55-9d4e-5f2f8f6a7b10".parse().unwrap(), name: "dev".parse().unwrap() },
            revision: Revision::Object("s3://bundles/shop/1.zip?versionId=v.1&etag=0123abcd".to_owned()),
            events: LifecycleEvent::ALL.to_vec(),
            skip: Vec::new(),
            stop_from: StopFrom::Installed,
            file_exists: FileExists::Disallow,
            cause: Cause::Asked,
            scripts_map: ScriptsMap::InPlace,
            content_digest: None,
            appspec_name: None,
            policy,
            pace: Pace::OnCommand,
            reuse: None,
            possible_events: None,
            blue_green: false,
        };
        assert_eq!(order, expected);
        assert_eq!((github_token, warnings), (None, Vec::new()));
    }

    #[test]
    fn every_field_that_may_be_there_is_read_and_unknown_ones_are_passed_over() {
        let Specified { order, github_token, warnings } = of(&with(json!({
            "DeploymentId": "arn:aws:codedeploy:eu-west-1:123456789012:deployment/d-ARN",
            "DeploymentCreator": "codeDeployRollback",
            "DeploymentType": "BLUE_GREEN",
            "AppSpecFilename": "deploy/appspec.dev.yml",
            "AllPossibleLifecycleEvents": ["ApplicationStop", "Install"],
            "AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": "Retain", "Other": 1}},
            "GitHubAccessToken": "t0ken",
            "ReuseArchiveFromDeploymentId": "d-OLD",
            "Future": {"a": [1, 2]},
        })));
        assert_eq!(order.deployment.as_str(), "d-ARN");
        assert_eq!(order.scripts_map, ScriptsMap::BlueGreenRollback);
        assert!(order.blue_green);
        assert_eq!(order.appspec_name, Some("deploy/appspec.dev.yml".parse().unwrap()));
        assert_eq!(order.possible_events, Some(vec!["ApplicationStop".to_owned(), "Install".to_owned()]));
        assert_eq!(order.file_exists, FileExists::Retain);
        assert_eq!(order.reuse, Some("d-OLD".parse().unwrap()));
        assert_eq!((github_token.as_deref(), warnings), (Some("t0ken"), Vec::new()));
    }

    #[test]
    fn what_is_null_or_empty_is_not_there() {
        let expected = of(&whole()).order;
        for field in [
            "DeploymentCreator",
            "DeploymentType",
            "AppSpecFilename",
            "AllPossibleLifecycleEvents",
            "AgentActionOverrides",
            "GitHubAccessToken",
            "ReuseArchiveFromDeploymentId",
        ] {
            assert_eq!(of(&with(json!({ field: null }))).order, expected, "{field}");
        }
        for empty in [
            json!({"AllPossibleLifecycleEvents": []}),
            json!({"GitHubAccessToken": ""}),
            json!({"AppSpecFilename": "appspec.yml"}),
            json!({"AgentActionOverrides": {}}),
            json!({"AgentActionOverrides": {"AgentOverrides": {}}}),
            json!({"AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": null}}}),
        ] {
            let Specified { order, github_token, warnings } = of(&with(empty.clone()));
            assert_eq!((order, github_token, warnings), (expected.clone(), None, Vec::new()), "{empty}");
        }
    }

    #[test]
    fn scripts_come_from_the_other_side_only_in_a_rollback_of_blue_and_green() {
        let map = |creator: &str, kind: &str| {
            of(&with(json!({"DeploymentCreator": creator, "DeploymentType": kind}))).order.scripts_map
        };
        assert_eq!(map("codeDeployRollback", "BLUE_GREEN"), ScriptsMap::BlueGreenRollback);
        for (creator, kind) in
            [("codeDeployRollback", "IN_PLACE"), ("user", "BLUE_GREEN"), ("autoscaling", "IN_PLACE"), ("", "")]
        {
            assert_eq!(map(creator, kind), ScriptsMap::InPlace, "{creator} {kind}");
        }
    }

    #[test]
    fn a_behaviour_towards_files_is_known_in_any_case_and_an_unknown_one_is_the_safe_one_with_a_warning() {
        let behaviour =
            |word: &str| of(&with(json!({"AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": word}}})));
        for (word, expected) in [
            ("OVERWRITE", FileExists::Overwrite),
            ("overwrite", FileExists::Overwrite),
            ("Retain", FileExists::Retain),
            ("DISALLOW", FileExists::Disallow),
        ] {
            let Specified { order, warnings, .. } = behaviour(word);
            assert_eq!((order.file_exists, warnings), (expected, Vec::new()), "{word}");
        }
        let Specified { order, warnings, .. } = behaviour("REPLACE");
        assert_eq!(order.file_exists, FileExists::Disallow);
        assert_eq!(warnings, ["`FileExistsBehavior` is `REPLACE`, which there is not; taken as `DISALLOW`"]);
    }

    #[test]
    fn every_kind_of_revision_is_read() {
        let github = |archive| {
            let [account, repository, commit] = ["acme", "shop", "0123abc"].map(str::to_owned);
            Revision::GitHub(GitHub { account, repository, commit, archive })
        };
        let commit_of = |kind: Value| {
            commit(json!({"Account": "acme", "Repository": "shop", "CommitId": "0123abc", "BundleType": kind,
                          "Anonymous": false, "OAuthToken": "t0ken"}))
        };
        let local = |kind: &str, location: &str| {
            revision(json!({"RevisionType": kind, "LocalRevision": {"Location": location, "BundleType": "directory"}}))
        };
        let table = [
            (
                object(json!({"Bucket": "bundles", "Key": "a b%20c/ä.tgz", "BundleType": "tgz"})),
                Revision::Object("s3://bundles/a b%20c/ä.tgz".to_owned()),
            ),
            (
                object(
                    json!({"Bucket": "bundles", "Key": "1.tar", "BundleType": "tar", "Version": "null", "ETag": "ab-2"}),
                ),
                Revision::Object("s3://bundles/1.tar?versionId=null&etag=ab-2".to_owned()),
            ),
            (
                object(json!({"Bucket": "bundles", "Key": "1", "Version": null, "ETag": null})),
                Revision::Object("s3://bundles/1".to_owned()),
            ),
            (commit_of(json!(null)), github(Archive::Tarball)),
            (commit_of(json!("tar")), github(Archive::Tarball)),
            (commit_of(json!("zip")), github(Archive::Zipball)),
            (local("Local File", "/srv/1.zip"), Revision::Local("/srv/1.zip".into())),
            (local("Local Directory", "/srv/shop"), Revision::Local("/srv/shop".into())),
        ];
        for (value, expected) in table {
            let Specified { order, warnings, .. } = of(&value);
            assert_eq!((order.revision, warnings), (expected, Vec::new()), "{value}");
        }
        let Specified { warnings, .. } = of(&object(json!({"Bucket": "bundles", "Key": "1", "BundleType": "rar"})));
        assert_eq!(warnings, ["`BundleType` is `rar`, which there is not; the bundle's first bytes say what it is"]);
    }

    #[test]
    fn ids_and_names_that_could_leave_their_place_are_refused() {
        let id = |field: &str, id: &str| refused(&with(json!({ field: id })));
        let no_folder = "which has no place in a folder name";
        let table = [
            (id("DeploymentId", "../../evil"), format!("the specification's `DeploymentId` is refused: deployment id `../../evil` has the character '/', {no_folder}")),
            (id("DeploymentId", "arn:aws:codedeploy:r:1:deployment/../evil"), format!("the specification's `DeploymentId` is refused: deployment id `../evil` has the character '/', {no_folder}")),
            (id("DeploymentId", ".."), "the specification's `DeploymentId` is refused: deployment id `..` begins with a dot".to_owned()),
            (id("DeploymentId", "arn:aws:s3:::x"), "the specification's `DeploymentId` is an ARN without a deployment's id".to_owned()),
            (id("DeploymentGroupId", "groups"), "the specification's `DeploymentGroupId` is refused: deployment group id `groups` is the name of a folder of the agent itself".to_owned()),
            (id("DeploymentGroupId", "a/../b"), format!("the specification's `DeploymentGroupId` is refused: deployment group id `a/../b` has the character '/', {no_folder}")),
            (id("ReuseArchiveFromDeploymentId", "../d"), format!("the specification's `ReuseArchiveFromDeploymentId` is refused: deployment id `../d` has the character '/', {no_folder}")),
            (id("ApplicationName", ".hidden"), "the specification's `ApplicationName` is refused: application name `.hidden` begins with a dot".to_owned()),
            (id("AppSpecFilename", "../appspec.yml"), "the specification's `AppSpecFilename` is refused: path \"../appspec.yml\" leaves the bundle with `..`".to_owned()),
            (id("AppSpecFilename", "a/../../x"), "the specification's `AppSpecFilename` is refused: path \"a/../../x\" leaves the bundle with `..`".to_owned()),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let gone = |field: &str| {
            let mut value = whole();
            value.as_object_mut().unwrap().remove(field);
            refused(&value)
        };
        for field in ["DeploymentId", "DeploymentGroupId", "DeploymentGroupName", "ApplicationName", "Revision"] {
            assert_eq!(gone(field), format!("the specification has no `{field}`"));
            assert_eq!(refused(&with(json!({ field: null }))), format!("the specification has no `{field}`"));
        }
        let table = [
            (with(json!({"DeploymentId": ""})), "the specification has no `DeploymentId`"),
            (with(json!({"DeploymentId": 7})), "the specification's `DeploymentId` is not a text"),
            (with(json!({"Revision": "x"})), "the specification's `Revision` is not an object"),
            (
                with(json!({"AllPossibleLifecycleEvents": "Install"})),
                "the specification's `AllPossibleLifecycleEvents` is not a list of texts",
            ),
            (
                with(json!({"AllPossibleLifecycleEvents": [1]})),
                "the specification's `AllPossibleLifecycleEvents` is not a list of texts",
            ),
            (with(json!({"AgentActionOverrides": []})), "the specification's `AgentActionOverrides` is not an object"),
            (revision(json!({})), "the specification has no `RevisionType`"),
            (
                revision(json!({"RevisionType": "AppSpecContent"})),
                "the specification's `RevisionType` is `AppSpecContent`, and not `S3` or `GitHub`",
            ),
            (revision(json!({"RevisionType": "S3"})), "the specification has no `S3Revision`"),
            (object(json!({"Bucket": "bundles"})), "the specification has no `Key`"),
            (object(json!({"Key": "1.zip"})), "the specification has no `Bucket`"),
            (
                object(json!({"Bucket": "bundles", "Key": "a?versionId=2"})),
                "the specification's `S3Revision` has the key `a?versionId=2`, which cannot be written as an address; store it under another",
            ),
            (
                object(json!({"Bucket": "bundles", "Key": "a", "Version": "1&etag=2"})),
                "the specification's `S3Revision` has the key `a`, which cannot be written as an address; store it under another",
            ),
            (
                object(json!({"Bucket": "a/b", "Key": "c"})),
                "the specification's `S3Revision` is refused: `s3://a/b/c` has `a` where a bucket should be; its name has at least 3 letters, digits, `.`, `-` or `_`",
            ),
            (commit(json!({"Account": "acme", "Repository": "shop"})), "the specification has no `CommitId`"),
            (
                commit(json!({"Account": "acme", "Repository": "a/b", "CommitId": "c"})),
                "the specification's `GitHubRevision` is refused: `https://api.github.com/repos/acme/a/b/tarball/c` names more than a repository and a commit",
            ),
            (
                commit(json!({"Account": "..", "Repository": "a", "CommitId": "c"})),
                "the specification's `GitHubRevision` is refused: `https://api.github.com/repos/../a/tarball/c` has `..` where a name should be",
            ),
            (
                commit(json!({"Account": "acme", "Repository": "a", "CommitId": "c", "BundleType": "directory"})),
                "the specification's `BundleType` is `directory`, and GitHub makes `tar` and `zip`",
            ),
            (
                revision(json!({"RevisionType": "Local File", "LocalRevision": {"Location": "etc"}})),
                "the specification's `Location` is `etc`, which is not absolute",
            ),
        ];
        for (value, expected) in table {
            assert_eq!(refused(&value), expected, "{value}");
        }
        let (no_json, no_object) = ("the specification is no JSON", "the specification is no JSON object");
        for (bytes, expected) in
            [("", no_json), ("[]", no_object), ("7", no_object), ("{", no_json), ("{\"a\":1}x", no_json)]
        {
            let error = parse(bytes.as_bytes(), &Policy::default()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{bytes}");
        }
    }

    #[test]
    fn secrets_are_in_no_error_and_in_no_debug_form() {
        let value = with(json!({
            "GitHubAccessToken": "s3cret",
            "Revision": {"RevisionType": "GitHub", "GitHubRevision": {
                "Account": "a", "Repository": "b", "CommitId": "c", "Anonymous": false, "OAuthToken": "s3cret",
            }},
        }));
        assert!(!format!("{:?}", of(&value)).contains("s3cret"));
        for value in [with(json!({"GitHubAccessToken": ["s3cret"]})), json!({"GitHubAccessToken": "s3cret"})] {
            assert!(!refused(&value).contains("s3cret"));
        }
        for broken in [r#"{"GitHubAccessToken": "s3cret"#, r#"["s3cret"]"#, r#""s3cret""#] {
            let error = parse(broken.as_bytes(), &Policy::default()).unwrap_err();
            let source = error.source().map(ToString::to_string);
            assert!(!format!("{error:?} {error} {source:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_signed_or_not_for_us_is_refused_under_every_check() {
        let envelope = |format: &str| Some(Envelope { format: format.to_owned(), payload: whole().to_string() });
        let system = Some("CodeDeploy".to_owned());
        let table = [
            (None, envelope("PKCS7/JSON"), "the deployment is one of ``, and not of `CodeDeploy`"),
            (Some("Other".to_owned()), None, "the deployment is one of `Other`, and not of `CodeDeploy`"),
            (system.clone(), None, "CodeDeploy sent no specification of the deployment"),
            (
                system.clone(),
                envelope("TEXT/JSON"),
                "the specification has the format `TEXT/JSON`, and only `PKCS7/JSON`, which is signed, is taken",
            ),
            (system, envelope("PKCS7/JSON"), "the specification's signature is refused"),
        ];
        for (system, envelope, expected) in table {
            let specification = Specification { system, envelope };
            for check in [SignatureCheck::Chain(None), SignatureCheck::Content, SignatureCheck::Unchecked] {
                let error = read(&specification, &check, &Policy::default(), SystemTime::UNIX_EPOCH).unwrap_err();
                assert_eq!(error.to_string(), expected, "{check:?}");
            }
        }
    }
}
