//! Has the deployment of a group stopped: the pointer says so, and hosts heed it.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{DeploymentId, GroupName};
use longshore_core::pointer::Pointer;
use serde_json::{Value, json};

use super::At;
use super::rollback;
use crate::cli::StopArgs;
use crate::commands::group::{self, Patience};
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::fleet::Standing;
use crate::interrupt::Interruptions;
use crate::pointing::{Place, Stopping};
use crate::signer;
use crate::waiting;

/// Why nothing is stopped.
#[derive(Debug, thiserror::Error)]
enum StopError {
    /// Every host is done with it.
    #[error("deployment {deployment} to `{group}` has ended on all its hosts")]
    Ended { deployment: DeploymentId, group: GroupName },
    /// It is not what the group makes.
    #[error("deployment {deployment} to `{group}` is not under way: the group is at {present} since {at}")]
    Other { deployment: DeploymentId, group: GroupName, present: DeploymentId, at: String },
    /// The pointer was removed.
    #[error("the pointer of `{group}` was removed meanwhile")]
    Gone { group: GroupName },
}

/// Stops.
pub(super) async fn stop(
    args: &StopArgs,
    at: &At<'_>,
    environment: &Environment,
    screen: &Screen,
) -> Result<(String, Value), Failure> {
    let store = at.store().await?;
    let place = at.place(&store);
    let stands = at.stands(place).await?;
    let present = stands.pointer.clone();
    let deployment = args.deployment.clone().unwrap_or_else(|| present.deployment.clone());
    if deployment != present.deployment {
        return Err(other(at, &deployment, &present));
    }
    if !present.is_stopped() && has_ended(place, &present).await? {
        let ended = StopError::Ended { deployment, group: at.target.group.clone() };
        let back = at.command("rollback");
        return Err(Failure::new(Exit::Conflict, ended).hint(format!("to go back to what it ran before: {back}")));
    }
    if args.rollback {
        let way = rollback::find(at, &store, &stands, screen).await?;
        let step = rollback::step(at, &way.pointer, stands, Some(deployment.clone()));
        let mut done = group::carry_out(
            (&store, &at.site),
            vec![step],
            &Patience::none(),
            environment,
            screen,
            &mut Interruptions::listen(),
        )
        .await?;
        if let Some(failure) = done.failure.take() {
            return Err(failure);
        }
        let mut json = at.heading();
        json["stopped"] = json!(deployment);
        json["groups"] = done.json();
        return Ok((format!(" stopped  {deployment}\n{}", done.text()), json));
    }
    let by = signer::signer(environment, || group::local(environment));
    let (pointer, already) = match place.stop(&deployment, &by).await? {
        Stopping::Asked(pointer) => (pointer, false),
        Stopping::Already(pointer) => (pointer, true),
        Stopping::MovedOn(pointer) => return Err(other(at, &deployment, &pointer)),
        Stopping::Gone => {
            return Err(Failure::new(Exit::Conflict, StopError::Gone { group: at.target.group.clone() }));
        }
    };
    if already {
        let text = format!("{} had it stopped already, at {}", pointer.by, pointer.at);
        screen.tell(&Event::Warned(text));
    } else {
        screen.tell(&Event::Stopping(pointer.clone()));
    }
    let mut json = at.heading();
    json["stopped"] = json!(deployment);
    json["already"] = json!(already);
    json["pointer"] = json!(pointer);
    let text = format!(
        " stopped  {deployment}\nHosts end the event that is under way and begin no further one; `{}` shows \
         them.\n",
        at.plain_command("status")
    );
    Ok((text, json))
}

fn other(at: &At<'_>, deployment: &DeploymentId, present: &Pointer) -> Failure {
    let other = StopError::Other {
        deployment: deployment.clone(),
        group: at.target.group.clone(),
        present: present.deployment.clone(),
        at: present.at.clone(),
    };
    Failure::new(Exit::Conflict, other)
        .hint(format!("how it ended: {} {deployment}", at.command("deployments")))
        .hint(format!("to stop whatever hosts of the group are at: {}", at.command("stop")))
}

/// Whether every host that says anything has come to its end. A group without hosts may yet get one.
async fn has_ended(place: Place<'_>, pointer: &Pointer) -> Result<bool, Failure> {
    let (hosts, now) = (place.hosts().await?, jiff::Timestamp::now());
    let standings: Vec<Standing> =
        hosts.known().map(|(name, host)| waiting::seen(name, host, Some(pointer), now).standing).collect();
    Ok(!standings.is_empty() && standings.iter().all(|standing| standing.is_final()))
}
