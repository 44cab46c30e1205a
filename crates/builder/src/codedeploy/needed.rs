//! What groups must find again: the revisions that they have, that they are given, and that they could go back to.

use longshore_core::failure::Failure;

use super::client::Client;
use super::deployment::{Deployment, Status};
use super::explain::{UNDER_WAY, explain};
use super::revision::{Revision, S3Revision};
use super::service_error::ServiceError;
use crate::display::Screen;
use crate::target::Target;

/// How many of the deployments that succeeded are looked through at first; when they are not enough, twice as many.
const FIRST: usize = 100;

/// Which groups are asked.
#[derive(Debug)]
pub(crate) enum Whose {
    /// This one.
    Group(Box<Target>),
    /// All of all applications in this region; `None`: the region that is set.
    Region(Option<String>),
}

/// How far back is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// What a group has and is given at this moment.
    Not,
    /// Also what the last deployments that succeeded brought: the latest, and so many before it.
    By(usize),
}

/// The objects. Whoever may not look at the groups gets none, but an error.
pub(crate) async fn needed(whose: &Whose, back: Back, screen: &Screen) -> Result<Vec<S3Revision>, Failure> {
    let revisions = match whose {
        Whose::Group(target) => {
            let client = Client::connect(target.region.as_deref(), screen).await?;
            match look(&client, &target.codedeploy_application, &target.codedeploy_group, back).await {
                Ok(revisions) => revisions,
                Err(error) => return Err(explain(&client, target, None, None, error).await),
            }
        }
        Whose::Region(region) => all(&Client::connect(region.as_deref(), screen).await?, back).await?,
    };
    Ok(revisions.into_iter().filter_map(object).collect())
}

async fn all(client: &Client<'_>, back: Back) -> Result<Vec<Revision>, ServiceError> {
    let is_gone = |error: &ServiceError| {
        error.is("ApplicationDoesNotExistException") || error.is("DeploymentGroupDoesNotExistException")
    };
    let mut revisions = Vec::new();
    for application in client.patiently(async || client.applications().await).await? {
        let groups = match client.patiently(async || client.groups(&application).await).await {
            // Somebody has removed it since.
            Err(error) if is_gone(&error) => continue,
            groups => groups?,
        };
        for group in groups {
            match look(client, &application, &group, back).await {
                Err(error) if is_gone(&error) => {}
                found => revisions.extend(found?),
            }
        }
    }
    Ok(revisions)
}

async fn look(client: &Client<'_>, application: &str, name: &str, back: Back) -> Result<Vec<Revision>, ServiceError> {
    let group = client.patiently(async || client.group(application, name).await).await?;
    let of = async |statuses: &[Status], least: usize| {
        client.patiently(async || client.list(application, name, statuses, least).await).await
    };
    let deployments = async |ids: &[String]| client.patiently(async || client.deployments(ids).await).await;
    let mut named = of(&UNDER_WAY, usize::MAX).await?;
    named.extend(group.last.into_iter().chain(group.good));
    let named = distinct(deployments(&named).await?);
    let mut revisions: Vec<Revision> = group.revision.into_iter().chain(named).collect();
    let Back::By(rollbacks) = back else { return Ok(revisions) };
    let mut least = FIRST;
    let good = loop {
        let ids = of(&[Status::Succeeded], least).await?;
        let good = distinct(deployments(&ids).await?);
        if good.len() > rollbacks || ids.len() < least {
            break good;
        }
        least = least.saturating_mul(2);
    };
    revisions.extend(good.into_iter().take(rollbacks.saturating_add(1)));
    Ok(revisions)
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
