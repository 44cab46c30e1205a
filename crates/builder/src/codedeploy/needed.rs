//! What a group must find again: the revisions that it has, that it is given, and that it could go back to.

use longshore_core::failure::Failure;

use super::client::Client;
use super::deployment::{Deployment, Revision, S3Revision, Status};
use super::explain::{UNDER_WAY, explain};
use super::service_error::ServiceError;
use crate::display::Screen;
use crate::target::Target;

/// How many of the deployments that succeeded are looked through at first; when they are not enough, twice as many.
const FIRST: usize = 100;

/// The objects. `rollbacks`: how many earlier ones that succeeded. Whoever may not look at the group gets none, but an error.
pub(crate) async fn needed(target: &Target, rollbacks: usize, screen: &Screen) -> Result<Vec<S3Revision>, Failure> {
    let client = Client::connect(target.region.as_deref(), screen).await?;
    match look(&client, target, rollbacks).await {
        Ok(revisions) => Ok(revisions.into_iter().filter_map(object).collect()),
        Err(error) => Err(explain(&client, target, None, None, error).await),
    }
}

async fn look(client: &Client<'_>, target: &Target, rollbacks: usize) -> Result<Vec<Revision>, ServiceError> {
    let (application, name) = (&target.codedeploy_application, &target.codedeploy_group);
    let group = client.patiently(async || client.group(application, name).await).await?;
    let of = async |statuses: &[Status], least: usize| {
        client.patiently(async || client.list(application, name, statuses, least).await).await
    };
    let mut named = of(&UNDER_WAY, usize::MAX).await?;
    named.extend(group.last.into_iter().chain(group.good));
    let deployments = async |ids: &[String]| client.patiently(async || client.deployments(ids).await).await;
    let mut least = FIRST;
    let good = loop {
        let ids = of(&[Status::Succeeded], least).await?;
        let good = distinct(deployments(&ids).await?);
        if good.len() > rollbacks || ids.len() < least {
            break good;
        }
        least = least.saturating_mul(2);
    };
    let named = deployments(&named).await?;
    let good = good.into_iter().take(rollbacks.saturating_add(1));
    Ok(group.revision.into_iter().chain(distinct(named)).chain(good).collect())
}

/// What they deploy, each once, in their order.
fn distinct(deployments: Vec<Deployment>) -> Vec<Revision> {
    let mut revisions: Vec<Revision> = Vec::new();
    for revision in deployments.into_iter().filter_map(|deployment| deployment.revision) {
        if !revisions.contains(&revision) {
            revisions.push(revision);
        }
    }
    revisions
}

fn object(revision: Revision) -> Option<S3Revision> {
    match revision {
        Revision::S3(object) => Some(object),
        Revision::GitHub { .. } | Revision::Other(_) => None,
    }
}
