//! Deployments by AWS CodeDeploy. Only this file and its folder name its SDK.

mod artifact;
mod begin;
mod client;
mod console;
pub(crate) mod deployment;
mod explain;
mod following;
mod needed;
pub(crate) mod order;
mod precedence;
pub(crate) mod revision;
mod rollback;
mod run;
mod service_error;

use std::cell::Cell;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::DeploymentId;
use serde_json::{Value, json};

pub(crate) use needed::{Back, Whose, needed};

use artifact::{Located, Wanted};
use begin::{Beginning, Register};
use client::{Client, Group, Stopping};
use deployment::{Deployment, Status};
use explain::{UNDER_WAY, command, explain};
use following::Seen;
use order::Order;
use revision::Revision;
use rollback::Way;
use run::{Run, json_of};

use crate::cli::{DeployArgs, DeploymentsArgs, RollbackArgs, StopArgs};
use crate::commands::group::{self, runtime};
use crate::display::{Screen, deployments as sheet};
use crate::environment::Environment;
use crate::event::Deploying;
use crate::images::deployed as images;
use crate::interrupt::Interruptions;
use crate::outputs;
use crate::signer;
use crate::target::Target;

/// Why a command about deployments was refused or did not end well.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    /// Values that CodeDeploy would refuse.
    #[error("CodeDeploy would refuse this:{0}")]
    Limits(String),
    /// There is nothing to stop.
    #[error("no deployment to `{group}` of `{application}` is under way")]
    Idle { application: String, group: String },
    /// It is over.
    #[error("deployment {id} has ended already{how}; there is nothing to stop")]
    Over { id: DeploymentId, how: String },
    /// It is of others.
    #[error("deployment {id} is to `{group}` of `{application}`, not to `{wanted_group}` of `{wanted_application}`")]
    Others { id: DeploymentId, application: String, group: String, wanted_application: String, wanted_group: String },
}

/// `longshore deploy`.
pub(crate) fn deploy(
    args: &DeployArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let by = signer::signer(environment, || group::local(environment));
    let draft = Order::of(&args.codedeploy, target, "deployed", None, &by);
    check(&draft.problems(target.region.as_deref(), args.revision.as_ref().map(|object| object.key.as_str())))?;
    let wanted = Wanted::of(args, target, environment, screen)?;
    check(&draft.problems(target.region.as_deref(), wanted.key().as_deref()))?;
    runtime()?.block_on(async {
        let client = Client::connect(target.region.as_deref(), screen).await?;
        let group = look_at_group(&client, target, draft.config.as_deref(), screen).await?;
        if let Some(group) = group.as_ref().filter(|_| !args.allow_older) {
            precedence::check_before(target, group, &wanted)?;
        }
        let located = wanted.find(args, target).await?;
        // Publishing hears Ctrl-C itself. From then on it ends no process any more that does not listen.
        let mut signals = Interruptions::listen();
        let found = match located {
            Located::Published(found) => *found,
            Located::Here(artifact) => artifact.publish(args, target, environment, screen).await?,
        };
        if let Some(group) = group.as_ref().filter(|_| !args.allow_older) {
            precedence::check(target, group, &found, screen)?;
        }
        let moved_images = match args.no_image_check {
            true => None,
            false => {
                let url = found.object.object();
                let deployed = found.deployed(&url, target.region.as_deref());
                Some(signals.unless(images::check(deployed, &target.group, environment, screen)).await?)
            }
        };
        let order = Order::of(&args.codedeploy, target, "deployed", found.commit.as_ref(), &by);
        let revision = Revision::S3(found.object);
        let beginning = Beginning { target, order: &order, revision: &revision, group: group.as_ref() };
        let id = beginning.begin(&client, Register::First, &mut signals).await?;
        let more = json!({"moved_images": moved_images});
        Run { client: &client, target, revision: &revision, id: &id, more, environment, screen }
            .finish(&args.waiting, &mut signals)
            .await
    })
}

/// `longshore deployments`.
pub(crate) fn deployments(
    args: &DeploymentsArgs,
    target: &Target,
    _environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    check(&order::problems_of_names(target))?;
    runtime()?.block_on(async {
        let client = Client::connect(target.region.as_deref(), screen).await?;
        let now = jiff::Timestamp::now();
        let Some(id) = &args.deployment else {
            let found = latest(&client, target, &[], args.limit.max(1)).await?;
            let shown = &found[..found.len().min(args.limit)];
            let json: Vec<Value> = shown.iter().map(|deployment| json_of(&client, deployment, None)).collect();
            return screen.result(&sheet::table(shown, now), &json!({"deployments": json}));
        };
        let seen = seen(&client, target, id).await?;
        ours(&seen.deployment, target)?;
        let link = console::link(&client.region, id);
        let json = json_of(&client, &seen.deployment, Some(&seen.targets));
        screen.result(&sheet::one(&seen.deployment, &seen.targets, &link, now), &json!({"deployment": json}))
    })
}

/// `longshore rollback`.
pub(crate) fn rollback(
    args: &RollbackArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let by = signer::signer(environment, || group::local(environment));
    let draft = Order::of(&args.codedeploy, target, "rolled back", None, &by);
    check(&draft.problems(target.region.as_deref(), None))?;
    runtime()?.block_on(async {
        let client = Client::connect(target.region.as_deref(), screen).await?;
        let group = look_at_group(&client, target, draft.config.as_deref(), screen).await?;
        let back = match rollback::find(&client, target, group.as_ref(), screen).await? {
            Way::Back(back) => *back,
            Way::Already(there) => {
                let further = format!("{} --commit HASH --allow-older", command("deploy", target, None));
                let text = sheet::already_back(&there, &further);
                let json =
                    json!({"dry_run": args.dry_run, "already": true, "deployment": json_of(&client, &there, None)});
                return screen.result(&text, &json);
            }
        };
        screen.tell(&Deploying::GoingBackTo { to: Box::new(back.clone()) }.into());
        let Some(revision) = back.revision.clone() else { return Err(rollback::nothing(target)) };
        if args.dry_run {
            let json = json_of(&client, &back, None);
            let text = format!("would deploy {revision}, as {} did\n", back.id);
            return screen.result(&text, &json!({"dry_run": true, "would_deploy": json}));
        }
        let order = Order::of(&args.codedeploy, target, "rolled back", revision.commit().as_ref(), &by);
        let beginning = Beginning { target, order: &order, revision: &revision, group: group.as_ref() };
        let mut signals = Interruptions::listen();
        let id = beginning.begin(&client, Register::Known, &mut signals).await?;
        Run { client: &client, target, revision: &revision, id: &id, more: json!({}), environment, screen }
            .finish(&args.waiting, &mut signals)
            .await
    })
}

/// `longshore stop`.
pub(crate) fn stop(
    args: &StopArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    check(&order::problems_of_names(target))?;
    runtime()?.block_on(async {
        let client = Client::connect(target.region.as_deref(), screen).await?;
        let id = match &args.deployment {
            Some(id) => {
                let found = client.patiently(async || client.deployment(id).await).await;
                match found {
                    Ok(deployment) => ours(&deployment, target)?,
                    Err(error) => return Err(explain(&client, target, None, Some(id), error).await),
                }
                id.clone()
            }
            None => under_way(&client, target).await?,
        };
        let rollback = args.rollback.then_some(true);
        let times = Cell::new(0);
        let stopped = client.patiently(async || {
            times.set(times.get() + 1);
            client.stop(&id, rollback).await
        });
        let stopped = stopped.await;
        let stopping = match stopped {
            Ok(stopping) => stopping,
            Err(error) if error.is("DeploymentAlreadyCompletedException") => {
                let status =
                    client.patiently(async || client.deployment(&id).await).await.ok().map(|found| found.status);
                // An earlier attempt, the answer to which was lost, has stopped it.
                if times.get() > 1 && status == Some(Status::Stopped) {
                    Stopping::Stopped
                } else {
                    let look = command("deployments", target, Some(id.as_str()));
                    let how = status.map(|status| format!(" ({})", status.word())).unwrap_or_default();
                    let over = DeployError::Over { id, how };
                    return Err(Failure::new(Exit::NotFound, over).hint(format!("how it ended: {look}")));
                }
            }
            Err(error) => return Err(explain(&client, target, None, Some(&id), error).await),
        };
        let link = console::link(&client.region, &id);
        let status = match stopping {
            Stopping::Pending => "stopping",
            Stopping::Stopped => "stopped",
        };
        let values = [("deployment_id", id.to_string()), ("deployment_status", status.to_owned())];
        outputs::attempt(environment, &values, screen);
        let json = json!({"deployment": {"id": id, "link": link}, "stop": status, "rollback": args.rollback});
        screen.result(&sheet::stopped(&id, stopping == Stopping::Pending, args.rollback, &link), &json)
    })
}

/// Refuses what CodeDeploy would refuse, everything at once.
fn check(problems: &[String]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let listed = problems.iter().map(|problem| format!("\n    {problem}")).collect();
    Err(Failure::new(Exit::Usage, DeployError::Limits(listed)))
}

/// The group before anything is done. Who may not look at it may still deploy to it.
async fn look_at_group(
    client: &Client<'_>,
    target: &Target,
    config: Option<&str>,
    screen: &Screen,
) -> Result<Option<Group>, Failure> {
    let (application, group) = (&target.codedeploy_application, &target.codedeploy_group);
    match client.patiently(async || client.group(application, group).await).await {
        Ok(group) => Ok(Some(group)),
        Err(error) if error.is_denied() => {
            screen.tell(&Deploying::OrderUnknown("`codedeploy:GetDeploymentGroup` is not allowed").into());
            Ok(None)
        }
        Err(error) => Err(explain(client, target, config, None, error).await),
    }
}

/// The deployments of the group, the latest first; without statuses all.
async fn latest(
    client: &Client<'_>,
    target: &Target,
    statuses: &[Status],
    least: usize,
) -> Result<Vec<Deployment>, Failure> {
    let (application, group) = (&target.codedeploy_application, &target.codedeploy_group);
    let found = client.patiently(async || {
        let ids = client.list(application, group, statuses, least).await?;
        client.deployments(&ids).await
    });
    match found.await {
        Ok(found) => Ok(found),
        Err(error) => Err(explain(client, target, None, None, error).await),
    }
}

/// A deployment with its instances.
async fn seen(client: &Client<'_>, target: &Target, id: &DeploymentId) -> Result<Seen, Failure> {
    let found = client.patiently(async || {
        let deployment = client.deployment(id).await?;
        let ids = client.target_ids(id).await?;
        let targets = client.targets(id, &ids).await?;
        Ok(Seen { deployment, targets })
    });
    match found.await {
        Ok(seen) => Ok(seen),
        Err(error) => Err(explain(client, target, None, Some(id), error).await),
    }
}

/// Refuses a deployment to another group.
fn ours(deployment: &Deployment, target: &Target) -> Result<(), Failure> {
    let Deployment { id, application, group, .. } = deployment;
    if (application, group) == (&target.codedeploy_application, &target.codedeploy_group) {
        return Ok(());
    }
    let others = DeployError::Others {
        id: id.clone(),
        application: application.clone(),
        group: group.clone(),
        wanted_application: target.codedeploy_application.clone(),
        wanted_group: target.codedeploy_group.clone(),
    };
    Err(Failure::new(Exit::Usage, others).hint(format!("those of the group: {}", command("deployments", target, None))))
}

/// The deployment of the group that has not ended.
async fn under_way(client: &Client<'_>, target: &Target) -> Result<DeploymentId, Failure> {
    let found = latest(client, target, &UNDER_WAY, 1).await?;
    let (application, group) = (target.codedeploy_application.clone(), target.codedeploy_group.clone());
    found.into_iter().next().map(|deployment| deployment.id).ok_or_else(|| {
        Failure::new(Exit::NotFound, DeployError::Idle { application, group })
            .hint(format!("the last ones: {}", command("deployments", target, None)))
    })
}
