//! `deploy`: one deployment, from the command line to its outcome.

use std::sync::Arc;
use std::time::Duration;

use longshore_core::appspec::FileExists;
use longshore_core::bundle::Limits;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::report::{JsonLines, Reporter};
use longshore_core::store::ObjectUrl;

use crate::cli::{DeployArgs, FileExistsBehavior, Output};
use crate::deployment::agent::{self, Agent};
use crate::deployment::application::application_of;
use crate::deployment::drive;
use crate::deployment::order::{self, Cause, Group, Order, Pace, Policy, Revision};
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
        Output::Json => Arc::new(JsonLines::new(std::io::stdout())),
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
    let policy = policy(args, layout);
    let application = match &args.application {
        Some(application) => application.clone(),
        None => application_of(&revision, &policy.limits)?,
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

fn policy(args: &DeployArgs, layout: &Layout) -> Policy {
    Policy {
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
    }
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
