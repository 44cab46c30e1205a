//! A deployment begins, once: also when the answer that says so is lost.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::DeploymentId;

use super::client::{Client, Group, pause};
use super::deployment::Deployment;
use super::explain::{command, explain};
use super::order::Order;
use super::revision::Revision;
use super::service_error::ServiceError;
use crate::interrupt::Interruptions;
use crate::target::Target;

/// How often a deployment is asked for whose beginning is unclear.
const ATTEMPTS: u32 = 6;

/// Nobody waits for it any more.
#[derive(Debug, thiserror::Error)]
#[error("interrupted while the deployment was being created; it may exist")]
struct Interrupted;

/// Nobody knows whether it exists.
#[derive(Debug, thiserror::Error)]
#[error("it is not known whether the deployment was created")]
struct Unclear(#[source] ServiceError);

/// Why there is no deployment that is known.
enum NotCreated {
    /// There is none.
    Refused(ServiceError),
    /// There may be one.
    Unclear(ServiceError),
}

/// What begins.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    /// The group's names.
    pub(crate) target: &'a Target,
    /// What CodeDeploy is asked to do.
    pub(crate) order: &'a Order,
    /// With what.
    pub(crate) revision: &'a Revision,
    /// The group before; `None`: nobody may look at it.
    pub(crate) group: Option<&'a Group>,
}

/// Whether CodeDeploy is told of the revision first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Register {
    /// It is.
    First,
    /// It knows it.
    Known,
}

impl Beginning<'_> {
    /// Creates the deployment.
    pub(crate) async fn begin(
        &self,
        client: &Client<'_>,
        register: Register,
        signals: &mut Interruptions,
    ) -> Result<DeploymentId, Failure> {
        let Beginning { target, order, revision, .. } = self;
        let created = async {
            if register == Register::First {
                let registered = client.patiently(async || client.register(order, revision).await).await;
                registered.map_err(NotCreated::Refused)?;
            }
            self.create(client).await
        };
        tokio::select! {
            biased;
            () = signals.next() => {
                let look = command("deployments", target, None);
                Err(Failure::new(Exit::Failed, Interrupted).hint(format!("{look} shows whether it does")))
            }
            created = created => match created {
                Ok(id) => Ok(id),
                Err(NotCreated::Unclear(error)) => {
                    let (exit, hint) = (error.exit(), error.hint());
                    let failure = Failure::new(exit, Unclear(error));
                    let look = command("deployments", target, None);
                    let failure = failure.hint(format!("{look} shows whether it was; if not, deploy again"));
                    Err(hint.into_iter().fold(failure, Failure::hint))
                }
                Err(NotCreated::Refused(error)) => Err(explain(client, target, order.config.as_deref(), None, error).await),
            },
        }
    }

    /// After a lost answer the deployment may exist; asking once more would meet it as another one that is in the way.
    async fn create(&self, client: &Client<'_>) -> Result<DeploymentId, NotCreated> {
        let mut times = 0;
        let mut unclear = false;
        loop {
            let error = match client.create(self.order, self.revision).await {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            unclear |= error.is_unclear();
            let in_the_way = error.is("DeploymentLimitExceededException");
            if unclear && (in_the_way || error.is_unclear()) {
                let found = client.patiently(async || self.ours(client).await).await;
                match found {
                    Ok(Some(id)) => return Ok(id),
                    // That another one is in the way says that ours does not exist.
                    Ok(None) if self.group.is_some() => unclear &= !in_the_way,
                    // A second one would be made blindly.
                    Ok(None) | Err(_) => return Err(NotCreated::Unclear(error)),
                }
            }
            times += 1;
            if !error.may_heal() || times >= ATTEMPTS {
                return Err(if unclear { NotCreated::Unclear(error) } else { NotCreated::Refused(error) });
            }
            pause(times).await;
        }
    }

    /// The latest deployment of the group, if it is the one that was asked for.
    async fn ours(&self, client: &Client<'_>) -> Result<Option<DeploymentId>, ServiceError> {
        let ids = client.list(&self.order.application, &self.order.group, &[], 1).await?;
        let latest = client.deployments(&ids).await?.into_iter().next();
        Ok(latest.filter(|latest| self.is_ours(latest)).map(|latest| latest.id))
    }

    fn is_ours(&self, latest: &Deployment) -> bool {
        let before = self.group.and_then(|group| group.last.as_deref());
        let revision = latest.revision.as_ref().is_some_and(|revision| revision.is_same(self.revision));
        // Without a look at the group before, an earlier one of the same text could be taken for it.
        self.group.is_some()
            && before != Some(latest.id.as_str())
            && revision
            && latest.description.as_deref() == Some(&self.order.description)
    }
}
