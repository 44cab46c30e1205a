//! What a group goes back to: the last revision that succeeded there and is not the present one.

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::store::ObjectUrl;

use super::artifact::head;
use super::client::{Client, Group};
use super::deployment::{Deployment, Status};
use super::explain::command;
use super::latest;
use super::revision::{Revision, S3Revision};
use crate::display::Screen;
use crate::event::Event;
use crate::target::Target;

/// How many deployments are looked through.
const DEPTH: usize = 100;

/// Why there is no way back.
#[derive(Debug, thiserror::Error)]
enum RollbackError {
    /// Nothing else ever succeeded.
    #[error("group `{group}` of `{application}` has no other revision that succeeded")]
    Nothing { application: String, group: String },
    /// It is gone.
    #[error("the last good revision `{url}`, of {deployment}, does not exist any more")]
    Gone { url: String, deployment: String },
    /// It is another one.
    #[error("the last good revision `{url}`, of {deployment}, was replaced since: its ETag was `{was}` and is `{is}`")]
    Replaced { url: String, deployment: String, was: String, is: String },
}

/// There is no way back.
pub(crate) fn nothing(target: &Target) -> Failure {
    let (application, group) = (target.codedeploy_application.clone(), target.codedeploy_group.clone());
    let look = command("deployments", target, None);
    Failure::new(Exit::NotFound, RollbackError::Nothing { application, group }).hint(format!("what it ran: {look}"))
}

/// Where a group goes.
#[derive(Debug)]
pub(crate) enum Way {
    /// To the revision of this deployment; it is pinned.
    Back(Box<Deployment>),
    /// Nowhere: with this one CodeDeploy itself went back to the last good revision.
    Already(Box<Deployment>),
}

/// What the group goes back to.
pub(crate) async fn find(
    client: &Client<'_>,
    target: &Target,
    group: Option<&Group>,
    screen: &Screen,
) -> Result<Way, Failure> {
    let all = latest(client, target, &[], 1).await?;
    if let Some(there) = all.first().filter(|latest| is_rolled_back(latest)) {
        return Ok(Way::Already(Box::new(there.clone())));
    }
    // What was tried last counts as the present one, also when it failed: it is what somebody wants to get away from.
    let present = all.first().and_then(|latest| latest.revision.clone());
    let present = present.or_else(|| group.and_then(|group| group.revision.clone()));
    let good = latest(client, target, &[Status::Succeeded], DEPTH).await?;
    let Some(mut back) = choose(good, present.as_ref()) else { return Err(nothing(target)) };
    if let Some(Revision::S3(object)) = &back.revision {
        back.revision = Some(Revision::S3(pin(object, &back, target, screen).await?));
    }
    Ok(Way::Back(Box::new(back)))
}

/// Whether CodeDeploy brought the last good revision back by itself: one before it is further back than anybody wants.
fn is_rolled_back(latest: &Deployment) -> bool {
    latest.status == Status::Succeeded && latest.creator.as_deref() == Some("codeDeployRollback")
}

/// The latest that succeeded with something else.
fn choose(good: Vec<Deployment>, present: Option<&Revision>) -> Option<Deployment> {
    good.into_iter().filter(|deployment| deployment.status == Status::Succeeded).find(|deployment| {
        let is_known = |revision: &Revision| !matches!(revision, Revision::Other(_));
        let revision = deployment.revision.as_ref().filter(|revision| is_known(revision));
        revision.is_some_and(|revision| present.is_none_or(|present| !revision.is_same(present)))
    })
}

/// The object as it was deployed, if it still is that; what the deployment did not pin is pinned now.
async fn pin(object: &S3Revision, of: &Deployment, target: &Target, screen: &Screen) -> Result<S3Revision, Failure> {
    let place = ObjectUrl { etag: None, ..object.object() };
    let (url, deployment) = (object.plain_url(), of.id.to_string());
    let info = match head(&place, target.region.as_deref()).await {
        Ok(info) => info,
        // Hosts may read what we may not.
        Err(failure) if object.etag.is_some() => {
            screen.tell(&Event::Warned(format!("not looked whether `{url}` is still there: {}", failure.error)));
            return Ok(object.clone());
        }
        Err(failure) => return Err(failure),
    };
    let Some(info) = info else {
        let gone = Failure::new(Exit::NotFound, RollbackError::Gone { url, deployment });
        let deploy = command("deploy", target, None);
        return Err(gone.hint(format!("deploy a published commit: {deploy} --commit HASH --allow-older")));
    };
    if let Some(was) = object.etag.as_ref().filter(|etag| **etag != info.etag) {
        let (was, is) = (was.clone(), info.etag);
        let deploy = format!("{} --revision {}", command("deploy", target, None), quoted(&url));
        return Err(Failure::new(Exit::Conflict, RollbackError::Replaced { url, deployment, was, is })
            .hint(format!("if it is wanted as it is now: {deploy}")));
    }
    Ok(S3Revision { etag: Some(info.etag), version: object.version.clone().or(info.version), ..object.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::revision::Format;
    use super::*;

    fn deployment(id: &str, status: Status, key: Option<&str>) -> Deployment {
        Deployment {
            id: id.parse().unwrap(),
            application: "shop".into(),
            group: "prod".into(),
            status,
            revision: Some(match key {
                Some(key) => Revision::S3(S3Revision {
                    bucket: "b".into(),
                    key: key.into(),
                    format: Format::Zip,
                    etag: None,
                    version: None,
                }),
                None => Revision::Other("String".into()),
            }),
            config: None,
            creator: None,
            description: None,
            created: None,
            completed: None,
            error: None,
            rollback: None,
            rolls_back_on: Vec::new(),
            waits: None,
            messages: Vec::new(),
        }
    }

    #[test]
    fn a_group_that_codedeploy_rolled_back_is_where_it_should_be() {
        for (status, creator, expected) in [
            (Status::Succeeded, "codeDeployRollback", true),
            (Status::Failed, "codeDeployRollback", false),
            (Status::Succeeded, "user", false),
        ] {
            let latest = Deployment { creator: Some(creator.into()), ..deployment("d-3", status, Some("a")) };
            assert_eq!(is_rolled_back(&latest), expected, "{latest:?}");
        }
    }

    #[test]
    fn the_last_good_one_is_the_latest_that_succeeded_with_something_else() {
        let good = |id, key| deployment(id, Status::Succeeded, Some(key));
        for (listed, present, expected) in [
            (vec![good("d-3", "c"), good("d-2", "b"), good("d-1", "a")], Some("c"), Some("d-2")),
            (vec![good("d-2", "b"), good("d-1", "a")], Some("c"), Some("d-2")),
            (vec![good("d-3", "c"), good("d-2", "c"), good("d-1", "a")], Some("c"), Some("d-1")),
            (vec![deployment("d-2", Status::Succeeded, None), good("d-1", "a")], Some("c"), Some("d-1")),
            (vec![deployment("d-2", Status::Failed, Some("b")), good("d-1", "a")], Some("c"), Some("d-1")),
            (vec![good("d-1", "a")], None, Some("d-1")),
            (vec![good("d-1", "a")], Some("a"), None),
            (vec![], Some("a"), None),
        ] {
            let present = present.map(|key| deployment("d-9", Status::Failed, Some(key)).revision.unwrap());
            let chosen = choose(listed, present.as_ref()).map(|deployment| deployment.id.to_string());
            assert_eq!(chosen.as_deref(), expected);
        }
    }
}
