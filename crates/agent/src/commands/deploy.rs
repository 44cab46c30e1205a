//! `deploy`: one deployment, from the command line to its outcome.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_core::appspec::FileExists;
use longshore_core::bundle::Limits;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::report::{JsonLines, Reporter};
use longshore_core::signature::{InvalidKey, PublicKey};
use longshore_core::store::ObjectUrl;

use crate::cli::{DeployArgs, FileExistsBehavior, Output};
use crate::deployment::agent::{self, Agent};
use crate::deployment::application::application_of;
use crate::deployment::drive;
use crate::deployment::order::{self, Cause, Group, Order, Pace, Policy, Revision, SignaturePolicy};
use crate::display::Screen;
use crate::event::Event;
use crate::hook::policy::HookPolicy;
use crate::layout::{DEFAULT_PROGRAM, Layout};

/// Runs the command.
pub fn run(args: &DeployArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let agent = of_this_process(layout, output)?;
    drive::deploy(&agent, &order(args, layout)?)
}

/// An agent that tells a person, or a program.
pub(super) fn of_this_process(layout: &Layout, output: Output) -> Result<Agent, Failure> {
    let reader: Arc<dyn Reporter<Event>> = match output {
        Output::Text => Arc::new(Screen::new()),
        Output::Json => Arc::new(JsonLines::new(io::stdout())),
    };
    Agent::of_this_process(layout.clone(), reader).map_err(|error| Failure::new(Exit::Failed, error))
}

/// The order that a command line stands for.
pub(super) fn order(args: &DeployArgs, layout: &Layout) -> Result<Order, Failure> {
    let revision = revision(&args.revision)?;
    let events = if args.events.is_empty() { LifecycleEvent::ALL.to_vec() } else { args.events.clone() };
    order::check_events(&events).map_err(|error| {
        let all: Vec<&str> = LifecycleEvent::ALL.iter().map(LifecycleEvent::name).collect();
        Failure::new(Exit::Usage, error).hint(format!("CodeDeploy's order is {}", all.join(", ")))
    })?;
    if let Some(event) = args.skip.iter().find(|event| !event.is_scriptable() || !events.contains(event)) {
        let message =
            format!("`--skip {event}` leaves nothing out: no event of that name runs scripts in this deployment");
        let known: Vec<&str> = events.iter().filter(|event| event.is_scriptable()).map(LifecycleEvent::name).collect();
        return Err(Failure::new(Exit::Usage, message).hint(format!("those that do are {}", known.join(", "))));
    }
    let policy = policy(args, layout)?;
    let application = match &args.application {
        Some(application) => application.clone(),
        None => application_of(&revision, &policy)?,
    };
    Ok(Order {
        deployment: match &args.deployment_id {
            Some(id) => id.clone(),
            None => agent::fresh_id().map_err(|error| {
                Failure::new(Exit::Failed, error).hint("give the deployment an id with `--deployment-id`")
            })?,
        },
        number: 0,
        group: Group {
            id: args.group_id.clone().unwrap_or_else(|| GroupId::of(&application, &args.group)),
            name: args.group.clone(),
        },
        application,
        revision,
        events,
        skip: args.skip.clone(),
        stop_from: args.stop_from,
        file_exists: match args.file_exists_behavior {
            FileExistsBehavior::Disallow => FileExists::Disallow,
            FileExistsBehavior::Overwrite => FileExists::Overwrite,
            FileExistsBehavior::Retain => FileExists::Retain,
        },
        cause: Cause::Asked,
        scripts_map: if args.blue_green_rollback { ScriptsMap::BlueGreenRollback } else { ScriptsMap::InPlace },
        content_digest: args.digest,
        appspec_name: args.appspec_filename.clone(),
        policy,
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
    })
}

fn policy(args: &DeployArgs, layout: &Layout) -> Result<Policy, Failure> {
    let public_keys = args.public_key.iter().map(|key| public_key(key)).collect::<Result<Vec<_>, _>>()?;
    if args.require_signature && public_keys.is_empty() {
        let failure = Failure::new(Exit::Usage, "`--require-signature` does not say whose signature");
        return Err(failure.hint("name the keys that are accepted with `--public-key`"));
    }
    Ok(Policy {
        on_failure: args.on_failure,
        hooks: HookPolicy {
            grace: Duration::from_secs(args.grace),
            leftovers: args.leftovers,
            environment: args.hook_env,
            deployments_log: Some(layout.deployments_log(DEFAULT_PROGRAM)),
            told_names: None,
        },
        limits: Limits { total: args.max_unpacked_size, entries: args.max_entries, ratio: args.max_ratio },
        keep: args.max_revisions,
        signatures: SignaturePolicy { public_keys, require: args.require_signature },
    })
}

/// The text of a key, or else the path of a file with one.
fn public_key(text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let hint = "give the text of a public key, which begins with `RW`, or the path of its `.pub` file";
    let contents = std::fs::read_to_string(path).map_err(|source| {
        let exit = if source.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, PublicKeyError::Read { path: path.to_owned(), source }).hint(hint)
    })?;
    contents
        .parse()
        .map_err(|source| Failure::new(Exit::Usage, PublicKeyError::Parse { path: path.to_owned(), source }).hint(hint))
}

/// A public key cannot be used.
#[derive(Debug, thiserror::Error)]
enum PublicKeyError {
    /// Its file cannot be read.
    #[error("cannot read the public key `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// It is none.
    #[error("cannot use the public key `{path}`")]
    Parse { path: PathBuf, source: InvalidKey },
}

/// What a person writes → where it comes from.
pub(crate) fn revision(text: &str) -> Result<Revision, Failure> {
    if text.contains("://") {
        text.parse::<ObjectUrl>().map_err(|error| {
            Failure::new(Exit::Usage, error).hint("a revision is a path, `s3://bucket/key` or `file:///path`")
        })?;
        return Ok(Revision::Object(text.to_owned()));
    }
    let path = std::path::absolute(text).map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(Revision::Local(path))
}
