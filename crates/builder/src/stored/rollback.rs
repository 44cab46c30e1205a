//! Deploys again what a group ran before.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{ApplicationName, DeploymentId, GroupName};
use longshore_core::pointer::Pointer;
use longshore_core::store::Store;
use serde_json::{Value, json};

use super::At;
use crate::cli::RollbackArgs;
use crate::commands::group::{self, Done, Patience, Step};
use crate::display::Screen;
use crate::ending::Known;
use crate::environment::Environment;
use crate::event::Event;
use crate::interrupt::Interruptions;
use crate::lookup;
use crate::past::{self, WayBack};
use crate::pointing::Stands;
use crate::succession::{Candidate, Older, Stop};

/// How many deployments are looked at.
const MOST: usize = 500;

/// Why a group cannot go back.
#[derive(Debug, thiserror::Error)]
enum BackError {
    /// It was nowhere else, or what it ran did not work either.
    #[error("group `{group}` of `{application}` has run no other artifact before that did not fail")]
    NoOther { application: ApplicationName, group: GroupName },
}

/// What was deployed again, or would be.
pub(super) struct Back {
    way: WayBack,
    heading: Value,
    /// `None`: nothing was done.
    pub(super) done: Option<Done>,
}

/// Goes back.
pub(super) async fn rollback(
    args: &RollbackArgs,
    at: &At<'_>,
    environment: &Environment,
    screen: &Screen,
) -> Result<Back, Failure> {
    let store = at.store().await?;
    let stands = at.stands(at.place(&store)).await?;
    let way = find(at, &store, &stands, screen).await?;
    let done = if args.dry_run {
        None
    } else {
        let step = step(at, &way.pointer, stands, None);
        let patience = Patience::from(&args.waiting);
        let signals = &mut Interruptions::listen();
        Some(group::carry_out((&store, &at.site), vec![step], &patience, environment, screen, signals).await?)
    };
    Ok(Back { way, heading: at.heading(), done })
}

/// What a group goes back to, which still is in the store.
pub(super) async fn find(at: &At<'_>, store: &Store, stands: &Stands, screen: &Screen) -> Result<WayBack, Failure> {
    let place = at.place(store);
    let enough = |found: &[past::Deployment]| found.len() >= MOST || past::is_known(found);
    let deployments = past::read(place, &stands.pointer, &place.hosts().await?, enough).await?;
    let Some(way) = past::way_back(&deployments) else {
        let (application, group) = (at.target.application.clone(), at.target.group.clone());
        return Err(Failure::new(Exit::NotFound, BackError::NoOther { application, group })
            .hint(format!("what it ran: {}", at.command("deployments")))
            .hint(format!("to go back to any of it: {} --generation NUMBER", at.plain_command("point"))));
    };
    lookup::check(store, &at.site.url, &way.pointer.revision).await?;
    if way.known != Known::Succeeded {
        let text = "no earlier deployment is known to have succeeded with another artifact; this is the last one of which nothing \
                    bad is known";
        screen.tell(&Event::Warned(text.to_owned()));
    }
    screen.tell(&Event::GoingBack { to: Box::new(way.pointer.clone()), ending: way.known });
    Ok(way)
}

/// The move back. `halt`: the deployment that is not finished before.
pub(super) fn step(at: &At<'_>, to: &Pointer, stands: Stands, halt: Option<DeploymentId>) -> Step {
    let ours = Candidate { stop: Stop { halt, ..Stop::default() }, ..Candidate::from(to) };
    Step { group: at.target.group.clone(), stands: Some(stands), ours, older: Older::Allowed }
}

impl Back {
    /// For people, and for programs.
    pub(super) fn shown(&self) -> (String, Value) {
        let WayBack { pointer, known } = &self.way;
        let mut json = self.heading.clone();
        json["dry_run"] = json!(self.done.is_none());
        json["to"] = json!({"pointer": pointer, "ended": known.word()});
        let text = match &self.done {
            Some(done) => {
                json["groups"] = done.json();
                done.text()
            }
            None => format!(
                "would deploy commit {} of deployment {} again; nothing was done\n",
                pointer.commit.short(),
                pointer.deployment
            ),
        };
        (text, json)
    }
}
