//! `longshore point`.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::store::{Store, StoreUrl};
use serde_json::json;

use super::group::{self, Done, Patience, Step};
use crate::cli::{PointArgs, SourceArgs};
use crate::display::Screen;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::interrupt::Interruptions;
use crate::lookup;
use crate::pointing::{Place, Stands};
use crate::site::Site;
use crate::succession::{Candidate, Older};
use crate::survey::Project;

const KEY_HINT: &str =
    "a key is relative to the store, like `shop/<commit>.zip`; `--commit` finds the artifact of a commit";

/// Why a group cannot go where it was.
#[derive(Debug, thiserror::Error)]
enum BackError {
    /// It was nowhere.
    #[error("group `{group}` of `{application}` has never been moved to an artifact")]
    Nowhere { application: ApplicationName, group: GroupName },
    /// It was nowhere else.
    #[error("group `{group}` of `{application}` has run no other artifact before")]
    NoOther { application: ApplicationName, group: GroupName },
    /// It had no such generation.
    #[error("group `{group}` of `{application}` has no generation {generation} in its history; it is at {current}")]
    Generation { application: ApplicationName, group: GroupName, generation: u64, current: u64 },
}

/// Moves groups to an artifact that is published.
pub(crate) fn run(args: &PointArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let site = Site::of(&args.site, environment, &SourceArgs::here(), &args.group)?;
    let mut done = group::runtime()?.block_on(move_groups(args, &site, environment, screen))?;
    let (text, json) = (done.text(), json!({"groups": done.json()}));
    match done.failure.take() {
        None => screen.result(&text, &json),
        Some(failure) => screen.partial(&text, json).and(Err(failure)),
    }
}

async fn move_groups(
    args: &PointArgs,
    site: &Site,
    environment: &Environment,
    screen: &Screen,
) -> Result<Done, Failure> {
    let (store, to) = (site.open().await?, &site.url);
    let mut steps = Vec::new();
    if args.previous || args.generation.is_some() {
        let application = application(args, environment)?;
        for group in &args.group {
            steps.push(back(args, &store, to, &application, group).await?);
        }
    } else {
        let ours = published(args, &store, to, environment).await?;
        let older = if args.moving.allow_older { Older::Allowed } else { Older::Refused };
        for group in &args.group {
            let stands = Place { store: &store, application: &ours.application, group }.read().await?;
            steps.push(Step { group: group.clone(), stands, ours: ours.clone(), older });
        }
    }
    for step in &mut steps {
        step.ours.stop = args.moving.stop();
        group::accept(step.ours.dirty, &to.object(&step.ours.revision.key).to_string(), args.moving.allow_dirty)?;
    }
    let signals = &mut Interruptions::listen();
    group::carry_out((&store, site), steps, &Patience::from(&args.waiting), environment, screen, signals).await
}

/// The artifact of a commit, or with a key.
async fn published(
    args: &PointArgs,
    store: &Store,
    to: &StoreUrl,
    environment: &Environment,
) -> Result<Candidate, Failure> {
    let (key, wanted) = match (&args.commit, &args.key) {
        (Some(commit), _) => {
            let application = application(args, environment)?;
            (lookup::key_of(store, to, &application, commit).await?, Some(application))
        }
        (None, Some(key)) => (key.clone(), named(args, environment)?),
        // The command line is refused without one of the four.
        (None, None) => return Err(Failure::new(Exit::Usage, "no artifact is named")),
    };
    let found = lookup::candidate(store, to, &key, wanted.as_ref()).await;
    found.map(|(candidate, _)| candidate).map_err(|error| match Failure::from(error) {
        failure if failure.exit == Exit::NotFound && args.key.is_some() => failure.hint(KEY_HINT),
        failure => failure,
    })
}

/// What a group ran before.
async fn back(
    args: &PointArgs,
    store: &Store,
    to: &StoreUrl,
    application: &ApplicationName,
    group: &GroupName,
) -> Result<Step, Failure> {
    let place = Place { store, application, group };
    let (application, group) = (place.application.clone(), place.group.clone());
    let Some(stands) = place.read().await? else {
        return Err(Failure::new(Exit::NotFound, BackError::Nowhere { application, group }));
    };
    let Stands { pointer: current, .. } = &stands;
    let earlier = match args.generation {
        Some(generation) if generation == current.generation => Some(current.clone()),
        Some(generation) => place.in_generation(generation).await?,
        None => place.previous(current).await?,
    };
    let Some(earlier) = earlier else {
        let Some(generation) = args.generation else {
            return Err(Failure::new(Exit::NotFound, BackError::NoOther { application, group }));
        };
        let kept: Vec<u64> = place.generations().await?.into_keys().collect();
        let missing = BackError::Generation { application, group, generation, current: current.generation };
        let failure = Failure::new(Exit::NotFound, missing);
        return Err(match kept.as_slice() {
            [] => failure,
            [only] => failure.hint(format!("its history holds generation {only}")),
            [first, .., last] => failure.hint(format!("its history holds generations from {first} to {last}")),
        });
    };
    lookup::check(store, to, &earlier.revision).await?;
    Ok(Step { group, ours: Candidate::from(&earlier), stands: Some(stands), older: Older::Allowed })
}

fn application(args: &PointArgs, environment: &Environment) -> Result<ApplicationName, Failure> {
    // Who names the application need not stand in its repository.
    if let Some(named) = named(args, environment)? {
        return Ok(named);
    }
    let project = Project::open(&SourceArgs::here(), environment)?.accept()?;
    let settings = project.settings.application.as_ref();
    Identity::application_of(environment, &project.source, settings)
}

fn named(args: &PointArgs, environment: &Environment) -> Result<Option<ApplicationName>, Failure> {
    match &args.application {
        Some(named) => Ok(Some(named.clone())),
        None => Identity::application_of_variable(environment),
    }
}
