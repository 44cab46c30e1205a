//! The calls of CodeDeploy, each tried once, and [`Client::patiently`] for those that may be repeated. Turns what they answer
//! into values; decides nothing.

mod answer;
mod refusal;

use std::time::Duration;

use aws_sdk_codedeploy::Client as Sdk;
use aws_sdk_codedeploy::types::{
    Alarm, AlarmConfiguration, AutoRollbackConfiguration, AutoRollbackEvent, DeploymentStatus, FileExistsBehavior,
};
use longshore_core::appspec::FileExists;
use longshore_core::chance;
use longshore_core::failure::chain;
use longshore_core::ids::DeploymentId;
use longshore_core::store::{self, StoreError};

use super::deployment::{Deployment, Status, Target};

use super::order::{Automatic, Order};
use super::revision::Revision;
use super::service_error::{Action, ServiceError};
use crate::display::Screen;
use crate::event::Deploying;
use crate::settings::RollbackOn;

/// How often a call is made at most that throttling or the network keeps from succeeding.
const ATTEMPTS: u32 = 7;

/// How many targets and deployments one call may ask for.
pub(crate) const BATCH: usize = 25;

/// CodeDeploy in a region.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    sdk: Sdk,
    /// The region.
    pub(crate) region: String,
    /// Its URL where one is set, else what stands for it; for messages.
    endpoint: String,
    screen: &'a Screen,
}

/// Why CodeDeploy cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No settings or credentials.
    #[error("cannot speak to CodeDeploy")]
    Settings(#[source] StoreError),
    /// No region.
    #[error("no region is named, so it is not known where the application is")]
    NoRegion,
}

/// What CodeDeploy knows of a group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The revision that it was given last.
    pub(crate) revision: Option<Revision>,
    /// The deployment that was made last.
    pub(crate) last: Option<String>,
    /// The deployment that succeeded last.
    pub(crate) good: Option<String>,
}

/// How CodeDeploy takes the wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// Events under way come to their end first.
    Pending,
    /// Nothing was under way.
    Stopped,
}

impl<'a> Client<'a> {
    /// Finds out settings and credentials; asks the service nothing.
    pub(crate) async fn connect(region: Option<&str>, screen: &'a Screen) -> Result<Client<'a>, ConnectError> {
        let settings = store::connect("CodeDeploy", region).await.map_err(ConnectError::Settings)?;
        let region = settings.region().map(ToString::to_string).ok_or(ConnectError::NoRegion)?;
        let endpoint = settings.endpoint_url().map_or_else(|| format!("CodeDeploy in region {region}"), str::to_owned);
        Ok(Client { sdk: Sdk::new(&settings), region, endpoint, screen })
    }

    /// Makes a call that may be repeated again after throttling, a lost connection or a failure of the service.
    pub(crate) async fn patiently<T>(
        &self,
        call: impl AsyncFn() -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let mut times = 0;
        loop {
            match call().await {
                Err(error) if error.may_heal() && times + 1 < ATTEMPTS => {
                    if times == 0 {
                        self.screen.tell(
                            &Deploying::ServiceLost { why: chain(&error), throttled: error.is_throttled() }.into(),
                        );
                    }
                    times += 1;
                    pause(times).await;
                }
                Ok(answer) => {
                    if times > 0 {
                        self.screen.tell(&Deploying::ServiceBack.into());
                    }
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `GetDeploymentGroup`
    pub(crate) async fn group(&self, application: &str, group: &str) -> Result<Group, ServiceError> {
        let call = self.sdk.get_deployment_group().application_name(application).deployment_group_name(group);
        let answer = call.send().await.map_err(|error| self.refused(Action::GetDeploymentGroup, &error))?;
        let info = answer.deployment_group_info();
        Ok(Group {
            revision: info.and_then(|info| info.target_revision()).map(answer::revision),
            last: info.and_then(|info| info.last_attempted_deployment()?.deployment_id()).map(str::to_owned),
            good: info.and_then(|info| info.last_successful_deployment()?.deployment_id()).map(str::to_owned),
        })
    }

    /// `ListApplications`
    pub(crate) async fn applications(&self) -> Result<Vec<String>, ServiceError> {
        let answer = self.sdk.list_applications().into_paginator().items().send().collect::<Result<_, _>>().await;
        answer.map_err(|error| self.refused(Action::ListApplications, &error))
    }

    /// `ListDeploymentGroups`
    pub(crate) async fn groups(&self, application: &str) -> Result<Vec<String>, ServiceError> {
        let pages = self.sdk.list_deployment_groups().application_name(application).into_paginator().items().send();
        pages.collect::<Result<_, _>>().await.map_err(|error| self.refused(Action::ListDeploymentGroups, &error))
    }

    /// `ListDeploymentConfigs`
    pub(crate) async fn configs(&self) -> Result<Vec<String>, ServiceError> {
        let answer = self.sdk.list_deployment_configs().into_paginator().items().send().collect::<Result<_, _>>().await;
        answer.map_err(|error| self.refused(Action::ListDeploymentConfigs, &error))
    }

    /// `RegisterApplicationRevision`
    pub(crate) async fn register(&self, order: &Order, revision: &Revision) -> Result<(), ServiceError> {
        let call = self.sdk.register_application_revision().application_name(&order.application);
        let call = call.description(&order.description).set_revision(answer::location(revision));
        let answer = call.send().await;
        answer.map(drop).map_err(|error| self.refused(Action::RegisterApplicationRevision, &error))
    }

    /// `CreateDeployment`
    pub(crate) async fn create(&self, order: &Order, revision: &Revision) -> Result<DeploymentId, ServiceError> {
        let rollback = match &order.rollback {
            Automatic::AsTheGroup => None,
            Automatic::Off => Some(AutoRollbackConfiguration::builder().enabled(false).build()),
            Automatic::On(events) => {
                let events = events.iter().map(|on| match on {
                    RollbackOn::Failure => AutoRollbackEvent::DeploymentFailure,
                    RollbackOn::Alarm => AutoRollbackEvent::DeploymentStopOnAlarm,
                    RollbackOn::Stop => AutoRollbackEvent::DeploymentStopOnRequest,
                });
                Some(AutoRollbackConfiguration::builder().enabled(true).set_events(Some(events.collect())).build())
            }
        };
        let alarms = match &order.alarms {
            Automatic::AsTheGroup => None,
            Automatic::Off => Some(AlarmConfiguration::builder().enabled(false).build()),
            Automatic::On(names) => {
                let alarms = names.iter().map(|name| Alarm::builder().name(name).build()).collect();
                Some(AlarmConfiguration::builder().enabled(true).set_alarms(Some(alarms)).build())
            }
        };
        let file_exists = order.file_exists.map(|what| match what {
            FileExists::Disallow => FileExistsBehavior::Disallow,
            FileExists::Overwrite => FileExistsBehavior::Overwrite,
            FileExists::Retain => FileExistsBehavior::Retain,
        });
        let call = self.sdk.create_deployment().application_name(&order.application);
        let call = call.deployment_group_name(&order.group).set_revision(answer::location(revision));
        let call = call.set_deployment_config_name(order.config.clone()).description(&order.description);
        let call = call.set_ignore_application_stop_failures(order.ignore_stop_failures);
        let call = call.set_file_exists_behavior(file_exists);
        let call = call.set_auto_rollback_configuration(rollback).set_override_alarm_configuration(alarms);
        let answer = call.send().await.map_err(|error| self.refused(Action::CreateDeployment, &error))?;
        self.id(Action::CreateDeployment, answer.deployment_id())
    }

    /// `GetDeployment`
    pub(crate) async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, ServiceError> {
        let answer = self.sdk.get_deployment().deployment_id(id.as_str()).send().await;
        let answer = answer.map_err(|error| self.refused(Action::GetDeployment, &error))?;
        let deployment = answer.deployment_info().and_then(answer::deployment);
        deployment.ok_or_else(|| ServiceError::strange(Action::GetDeployment))
    }

    /// `BatchGetDeployments`, the latest first.
    pub(crate) async fn deployments(&self, ids: &[String]) -> Result<Vec<Deployment>, ServiceError> {
        let mut found = Vec::new();
        for some in ids.chunks(BATCH) {
            let answer = self.sdk.batch_get_deployments().set_deployment_ids(Some(some.to_vec())).send().await;
            let answer = answer.map_err(|error| self.refused(Action::BatchGetDeployments, &error))?;
            found.extend(answer.deployments_info().iter().filter_map(answer::deployment));
        }
        found.sort_by_key(|deployment| std::cmp::Reverse(deployment.created));
        Ok(found)
    }

    /// `ListDeployments`: the first page, or as many pages as `least` ids take. Without statuses: all.
    pub(crate) async fn list(
        &self,
        application: &str,
        group: &str,
        statuses: &[Status],
        least: usize,
    ) -> Result<Vec<String>, ServiceError> {
        let statuses: Vec<_> = statuses.iter().map(|status| DeploymentStatus::from(status.word())).collect();
        let call = self.sdk.list_deployments().application_name(application).deployment_group_name(group);
        let mut pages =
            call.set_include_only_statuses((!statuses.is_empty()).then_some(statuses)).into_paginator().send();
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.refused(Action::ListDeployments, &error))?;
            ids.extend_from_slice(page.deployments());
            if ids.len() >= least {
                break;
            }
        }
        Ok(ids)
    }

    /// `ListDeploymentTargets`
    pub(crate) async fn target_ids(&self, deployment: &DeploymentId) -> Result<Vec<String>, ServiceError> {
        // The SDK pages through everything but this.
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            let call = self.sdk.list_deployment_targets().deployment_id(deployment.as_str()).set_next_token(token);
            let page = match call.send().await {
                Ok(page) => page,
                Err(error) => {
                    let error = self.refused(Action::ListDeploymentTargets, &error);
                    // That it has not begun is no failure.
                    return if error.is("DeploymentNotStartedException") { Ok(ids) } else { Err(error) };
                }
            };
            ids.extend_from_slice(page.target_ids());
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(ids);
            }
        }
    }

    /// All of `BatchGetDeploymentTargets`.
    pub(crate) async fn targets(&self, deployment: &DeploymentId, ids: &[String]) -> Result<Vec<Target>, ServiceError> {
        let mut targets = Vec::new();
        for some in ids.chunks(BATCH) {
            targets.extend(self.some_targets(deployment, some).await?);
        }
        Ok(targets)
    }

    /// `BatchGetDeploymentTargets`, of [`BATCH`] at most. Those that have vanished are left out.
    pub(crate) async fn some_targets(
        &self,
        deployment: &DeploymentId,
        ids: &[String],
    ) -> Result<Vec<Target>, ServiceError> {
        let mut targets = Vec::new();
        let mut open = vec![ids];
        while let Some(some) = open.pop() {
            let call = self.sdk.batch_get_deployment_targets().deployment_id(deployment.as_str());
            let answer = call.set_target_ids(Some(some.to_vec())).send().await;
            match answer.map_err(|error| self.refused(Action::BatchGetDeploymentTargets, &error)) {
                Ok(answer) => targets.extend(answer.deployment_targets().iter().filter_map(answer::target)),
                // One that has vanished takes the whole batch along.
                Err(error) if error.is("DeploymentTargetDoesNotExistException") => {
                    if some.len() > 1 {
                        let (first, second) = some.split_at(some.len() / 2);
                        open.extend([second, first]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(targets)
    }

    /// `StopDeployment`. `rollback`: whether CodeDeploy then rolls back; `None`: as the deployment says.
    pub(crate) async fn stop(&self, id: &DeploymentId, rollback: Option<bool>) -> Result<Stopping, ServiceError> {
        let call = self.sdk.stop_deployment().deployment_id(id.as_str()).set_auto_rollback_enabled(rollback);
        let answer = call.send().await.map_err(|error| self.refused(Action::StopDeployment, &error))?;
        match answer.status().map(aws_sdk_codedeploy::types::StopStatus::as_str) {
            Some("Succeeded") => Ok(Stopping::Stopped),
            _ => Ok(Stopping::Pending),
        }
    }

    fn id(&self, action: Action, id: Option<&str>) -> Result<DeploymentId, ServiceError> {
        id.and_then(|id| id.parse().ok()).ok_or_else(|| ServiceError::strange(action))
    }
}

/// Waits before the next attempt: 0.5 s, doubled each time, at most 15 s, of that between half and all by chance.
pub(crate) async fn pause(times: u32) {
    let longest =
        Duration::from_millis(500).saturating_mul(1 << times.saturating_sub(1).min(10)).min(Duration::from_secs(15));
    tokio::time::sleep(chance::between(longest / 2, longest)).await;
}
