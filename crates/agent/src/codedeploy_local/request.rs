//! Options and configuration → an order. Looks at the disk where the AWS agent 1.8.1 does before it begins.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicUsize;

use longshore_core::appspec::{self, FileExists};
use longshore_core::bundle::{BundlePath, InvalidPath, Limits, MANIFEST_PATH};
use longshore_core::ids::{ApplicationName, GroupId, GroupName, InvalidId};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};

use super::events::{self, EventsError};
use super::location::{self, Kind, Location, LocationError, UnknownKind};
use super::options::Options;
use crate::config::Config;
use crate::deployment::agent::fresh_id;
use crate::deployment::application::named_by;
use crate::deployment::order::{Cause, Group, OnFailure, Order, Pace, Policy, Revision, SignaturePolicy, StopFrom};
use crate::hook::policy::{HookPolicy, ToldNames};
use crate::layout::Layout;

/// The group of who names none (AWS agent 1.8.1).
const DEFAULT_GROUP_ID: &str = "default-local-deployment-group";
/// The group's name of who gives none (AWS agent 1.8.1).
const DEFAULT_GROUP_NAME: &str = "LocalFleet";

/// An order, and what its giver should know.
#[derive(Debug)]
pub struct Request {
    /// The order.
    pub order: Order,
    /// What will surprise.
    pub notes: Vec<Note>,
}

/// Something that can be lived with, and will surprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Events that stop the old release come so late that they run the new release's scripts.
    StopsTheNew(Vec<LifecycleEvent>),
    /// Events that do not stand in CodeDeploy's order.
    UnusualOrder,
    /// A `--file-exists-behavior` that there is not, which stands for DISALLOW.
    FileExists(String),
}

/// Why no order can be made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// `--type`.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// `--bundle-location`.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The working folder is gone.
    #[error("the working folder cannot be found, and no location is given")]
    WorkingFolder(#[source] io::Error),
    /// Nothing stands at the location.
    #[error("location `{location}` does not exist")]
    Missing {
        /// The location.
        location: String,
        /// Why.
        source: io::Error,
    },
    /// A file where a folder was announced.
    #[error("location `{0}` is a file, and its type is directory; say `--type zip`, `tar` or `tgz`")]
    File(String),
    /// A folder where a file was announced.
    #[error("location `{location}` is a directory, and its type is {kind}")]
    Directory {
        /// The location.
        location: String,
        /// What was announced.
        kind: Kind,
    },
    /// A folder without an appspec.
    #[error("there is no {name} in `{location}`; go to the folder that has one, or give it with `--bundle-location`")]
    NoAppspec {
        /// The location.
        location: String,
        /// The file that is looked for.
        name: String,
    },
    /// `--appspec-filename`.
    #[error("appspec name {0}")]
    AppspecName(InvalidPath),
    /// `--events`.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// `--deployment-group`.
    #[error(transparent)]
    Group(#[from] InvalidId),
    /// No id could be made up.
    #[error("cannot make up an id for the deployment")]
    Id(#[source] io::Error),
}

/// The order that a command line stands for.
pub fn order(options: &Options, config: &Config, layout: &Layout) -> Result<Request, RequestError> {
    let kind: Kind = options.kind.as_deref().unwrap_or("directory").parse()?;
    let text = match &options.bundle_location {
        Some(location) => location.clone(),
        None => std::env::current_dir().map_err(RequestError::WorkingFolder)?.display().to_string(),
    };
    let appspec_name = options.appspec_filename.as_deref().map(BundlePath::normalized).transpose();
    let appspec_name = appspec_name.map_err(RequestError::AppspecName)?;
    let revision = match location::parse(&text, kind)? {
        Location::Path(path) => Revision::Local(local(&text, path, kind, appspec_name.as_ref())?),
        Location::Object(url) => Revision::Object(url),
        Location::GitHub(source) => Revision::GitHub(source),
    };
    let events = events::parse(options.events.as_deref())?;
    let mut notes = Vec::new();
    match events::stopping_the_new(&events) {
        stopping if !stopping.is_empty() => notes.push(Note::StopsTheNew(stopping)),
        _ if !events::in_usual_order(&events) => notes.push(Note::UnusualOrder),
        _ => {}
    }
    let file_exists = match options.file_exists_behavior.as_deref() {
        None => FileExists::Disallow,
        Some(text) => file_exists(text).unwrap_or_else(|| {
            notes.push(Note::FileExists(text.to_owned()));
            FileExists::Disallow
        }),
    };
    let group = options.deployment_group.as_deref().unwrap_or(DEFAULT_GROUP_ID).parse::<GroupId>()?;
    let names = ToldNames {
        application: options.application_name.clone().unwrap_or_else(|| text.clone()),
        group: options.deployment_group_name.clone().unwrap_or_else(|| DEFAULT_GROUP_NAME.to_owned()),
    };
    let application = match &options.application_name {
        Some(name) => name_of(name),
        None => said_by(&revision).unwrap_or_else(|| name_of::<ApplicationName>(&text)),
    };
    let order = Order {
        deployment: local_id()?,
        number: 0,
        application,
        group: Group { id: group, name: name_of::<GroupName>(&names.group) },
        revision,
        events,
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists,
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: None,
        appspec_name,
        policy: policy(config, layout, names),
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
    };
    Ok(Request { order, notes })
}

/// AWS's course: what failed stays as it is.
fn policy(config: &Config, layout: &Layout, names: ToldNames) -> Policy {
    let log = config.enable_deployments_log.then(|| layout.deployments_log(&config.program_name));
    Policy {
        on_failure: OnFailure::Leave,
        hooks: HookPolicy { deployments_log: log, told_names: Some(names), ..HookPolicy::default() },
        limits: Limits::default(),
        keep: config.max_revisions,
        signatures: SignaturePolicy::default(),
    }
}

/// An absolute path that has what its type announces.
fn local(text: &str, path: PathBuf, kind: Kind, appspec: Option<&BundlePath>) -> Result<PathBuf, RequestError> {
    let missing = |source| RequestError::Missing { location: text.to_owned(), source };
    let metadata: Metadata = fs::metadata(&path).map_err(missing)?;
    match kind {
        Kind::Directory if !metadata.is_dir() => return Err(RequestError::File(text.to_owned())),
        Kind::Tgz | Kind::Tar | Kind::Zip if metadata.is_dir() => {
            return Err(RequestError::Directory { location: text.to_owned(), kind });
        }
        Kind::Directory => check_appspec(text, &path, appspec)?,
        Kind::Tgz | Kind::Tar | Kind::Zip => {}
    }
    std::path::absolute(path).map_err(missing)
}

fn check_appspec(text: &str, folder: &Path, name: Option<&BundlePath>) -> Result<(), RequestError> {
    let (found, name) = match name {
        Some(name) => (name.under(folder).exists(), format!("`{name}`")),
        None => {
            let found = appspec::NAMES.iter().any(|name| folder.join(name).exists());
            (found, appspec::NAMES.map(|name| format!("`{name}`")).join(" or "))
        }
    };
    if found { Ok(()) } else { Err(RequestError::NoAppspec { location: text.to_owned(), name }) }
}

fn file_exists(text: &str) -> Option<FileExists> {
    match text.to_ascii_uppercase().as_str() {
        "DISALLOW" => Some(FileExists::Disallow),
        "OVERWRITE" => Some(FileExists::Overwrite),
        "RETAIN" => Some(FileExists::Retain),
        _ => None,
    }
}

/// The application that a bundle says it is. What cannot be read is for the deployment to report.
fn said_by(revision: &Revision) -> Option<ApplicationName> {
    if let Revision::Local(path) = revision
        && path.is_dir()
        && !path.join(MANIFEST_PATH).exists()
    {
        return None;
    }
    named_by(revision, &Policy::default(), &AtomicUsize::new(0)).ok().flatten()
}

/// A name made of a text that need not be one: scripts get the text, records the name.
fn name_of<T: FromStr>(text: &str) -> T {
    let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._+=,@-".contains(c) { c } else { '-' };
    let name: String = last.chars().map(plain).take(100).collect();
    let parsed = [text, &name, "local"].iter().find_map(|name| name.parse().ok());
    parsed.expect("the last of them is a name")
}

/// AWS's form of a local deployment's id: `d-`, nine of `A-Z 0-9`, `-local`.
fn local_id() -> Result<longshore_core::ids::DeploymentId, RequestError> {
    let id = fresh_id().map_err(RequestError::Id)?;
    Ok(format!("{id}-local").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_name_gives_one() {
        for (text, name) in [
            ("shop", "shop"),
            ("/srv/my shop/", "my-shop"),
            ("s3://bucket/shop.zip?etag=e", "shop.zip-etag=e"),
            ("..", "local"),
            ("/", "local"),
            ("", "local"),
            ("/srv/ä", "-"),
        ] {
            assert_eq!(name_of::<ApplicationName>(text).as_str(), name, "{text:?}");
        }
    }
}
