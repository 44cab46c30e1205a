//! A deployment that was created here: followed where that is wanted, told of, and ended with the exit code of how it ended.

use std::time::Instant;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::DeploymentId;
use serde_json::{Value, json};

use super::client::Client;
use super::console;
use super::deployment::{self, Deployment, Status};
use super::explain::command;
use super::following::{self, Ended, Followed, Seen, Terms};
use super::revision::Revision;
use super::service_error::ServiceError;
use crate::cli::DeployWaitArgs;
use crate::display::{Screen, deployments as sheet};
use crate::environment::Environment;
use crate::event::Deploying;
use crate::interrupt::Interruptions;
use crate::interruption;
use crate::outputs;
use crate::target::Target;

/// Why a deployment did not end well.
#[derive(Debug, thiserror::Error)]
enum RunError {
    /// It failed.
    #[error("deployment {id} to `{group}` failed{why}")]
    Failed { id: DeploymentId, group: String, why: String },
    /// It failed, and the last good revision runs again.
    #[error("deployment {id} to `{group}` failed and was rolled back by {rollback}{why}")]
    RolledBack { id: DeploymentId, group: String, rollback: String, why: String },
    /// It failed, and so did the rollback.
    #[error("deployment {id} to `{group}` failed, and its rollback {rollback} failed too{why}")]
    RollbackFailed { id: DeploymentId, group: String, rollback: String, why: String },
    /// It was stopped.
    #[error("deployment {id} to `{group}` was stopped{why}")]
    Stopped { id: DeploymentId, group: String, why: String },
    /// It is being stopped.
    #[error("deployment {id} to `{group}` is being stopped, and was not seen to end: {status}")]
    Stopping { id: DeploymentId, group: String, status: String },
    /// It was stopped, and what came after it was not seen to end.
    #[error("deployment {id} to `{group}` was stopped, and its rollback {rollback} was not seen to end: {status}")]
    StoppedFirst { id: DeploymentId, group: String, rollback: String, status: String },
    /// Nobody knows whether it is being stopped.
    #[error("interrupted; deployment {id} to `{group}` is perhaps being stopped: CodeDeploy has not said so")]
    PerhapsStopping { id: DeploymentId, group: String },
    /// Time was up.
    #[error("deployment {id} to `{group}` has not ended within {limit}: {status}")]
    TimedOut { id: DeploymentId, group: String, limit: String, status: String },
    /// Somebody wants this process to end.
    #[error("interrupted; deployment {id} to `{group}` goes on")]
    Left { id: DeploymentId, group: String },
    /// CodeDeploy cannot be asked.
    #[error("cannot see how deployment {id} to `{group}` goes on")]
    Lost { id: DeploymentId, group: String, source: ServiceError },
}

/// A deployment that was created here.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) target: &'a Target,
    pub(super) revision: &'a Revision,
    pub(super) id: &'a DeploymentId,
    /// What else is worth knowing, for programs.
    pub(super) more: Value,
    pub(super) environment: &'a Environment,
    pub(super) screen: &'a Screen,
}

impl Run<'_> {
    /// Tells of it, follows it where that is wanted, and ends as it ended.
    pub(super) async fn finish(&self, waiting: &DeployWaitArgs, signals: &mut Interruptions) -> Result<(), Failure> {
        let Run { client, target, id, screen, .. } = self;
        let link = console::link(&client.region, id);
        screen.tell(
            &Deploying::Created {
                deployment: (*id).clone(),
                application: target.codedeploy_application.clone(),
                group: target.codedeploy_group.clone(),
                link: link.clone(),
            }
            .into(),
        );
        if !waiting.wait {
            self.output(Status::Created.word(), None);
            let look = command("deployments", target, Some(id.as_str()));
            let text = sheet::created(id, self.revision, &link, &look);
            return screen.result(&text, &self.json(None, "created"));
        }
        let terms = Terms {
            limit: waiting.timeout,
            until: Instant::now() + waiting.timeout,
            on_interrupt: waiting.on_interrupt.unwrap_or_else(interruption::default_policy),
        };
        let followed = following::follow(client, id, &terms, signals, screen).await;
        let rollback = followed.rollback.as_ref().map(|seen| seen.deployment.id.to_string());
        let status = followed.seen.as_ref().map_or(Status::Created.word(), |seen| seen.deployment.status.word());
        self.output(status, rollback);
        let json = self.json(Some(&followed), ended(&followed.ended));
        let mut text = sheet::created(id, self.revision, &link, "");
        for seen in followed.seen.iter().chain(&followed.rollback) {
            text.push_str(&sheet::ended(&seen.deployment, &seen.targets));
        }
        match self.failure(followed, &terms) {
            None => screen.result(&text, &json),
            Some(failure) => screen.partial(&text, json).and(Err(failure)),
        }
    }

    fn output(&self, status: &str, rollback: Option<String>) {
        let mut values = vec![
            ("deployment_id", self.id.to_string()),
            ("deployment_status", status.to_owned()),
            ("deployment_url", console::link(&self.client.region, self.id)),
        ];
        values.extend(rollback.map(|id| ("rollback_id", id)));
        outputs::attempt(self.environment, &values, self.screen);
    }

    fn json(&self, followed: Option<&Followed>, ended: &str) -> Value {
        let of = |seen: &Seen| json_of(self.client, &seen.deployment, Some(&seen.targets));
        let link = console::link(&self.client.region, self.id);
        let unseen = || {
            json!({
                "id": self.id,
                "application": self.target.codedeploy_application,
                "group": self.target.codedeploy_group,
                "status": Status::Created.word(),
                "revision": sheet::revision_json(self.revision),
                "link": link,
            })
        };
        let mut json = json!({
            "deployment": followed.and_then(|followed| followed.seen.as_ref()).map_or_else(unseen, of),
            "rollback": followed.and_then(|followed| followed.rollback.as_ref()).map(of),
            "ended": ended,
        });
        if let (Some(all), Some(more)) = (json.as_object_mut(), self.more.as_object()) {
            all.extend(more.clone());
        }
        json
    }

    fn failure(&self, followed: Followed, terms: &Terms) -> Option<Failure> {
        let (id, group) = (self.id.clone(), self.target.codedeploy_group.clone());
        let look = format!("{} shows it", command("deployments", self.target, Some(id.as_str())));
        let stop = format!("{} stops it", command("stop", self.target, Some(id.as_str())));
        let why = |seen: Option<&Seen>| {
            let fault = seen.and_then(|seen| seen.deployment.error.as_ref());
            fault.map(|fault| format!(": {}", sheet::fault(fault))).unwrap_or_default()
        };
        let first = why(followed.seen.as_ref());
        let rollback = followed.rollback.as_ref();
        let rollback_id = rollback.map(|seen| seen.deployment.id.to_string()).unwrap_or_default();
        let hosts = followed.seen.iter().chain(rollback).flat_map(|seen| &seen.targets);
        let failed = hosts.filter(|host| host.progress == deployment::Progress::Failed).count();
        let on_host = (failed > 0).then(|| format!("on an instance that failed: longshore-agent explain {id}"));
        let status = || {
            let seen = rollback.or(followed.seen.as_ref());
            seen.map_or_else(|| "it was never seen".to_owned(), |seen| sheet::standing(&seen.deployment, &seen.targets))
        };
        let failed = |exit, error| {
            let failure = Failure::new(exit, error);
            on_host.clone().into_iter().fold(failure, Failure::hint).hint(look.clone())
        };
        Some(match followed.ended {
            Ended::Succeeded => return None,
            Ended::Failed => failed(Exit::DeploymentFailed, RunError::Failed { id, group, why: first }),
            Ended::Stopped => failed(Exit::Stopped, RunError::Stopped { id, group, why: first }),
            Ended::RolledBack => {
                failed(Exit::RolledBack, RunError::RolledBack { id, group, rollback: rollback_id, why: first })
            }
            Ended::RollbackFailed => {
                let why = why(rollback);
                let error = RunError::RollbackFailed { id, group, rollback: rollback_id, why };
                failed(Exit::DeploymentFailed, error)
            }
            Ended::Stopping => {
                let status = status();
                let stopping = match rollback {
                    None => RunError::Stopping { id, group, status },
                    Some(_) => RunError::StoppedFirst { id, group, rollback: rollback_id, status },
                };
                Failure::new(Exit::Stopped, stopping).hint(look)
            }
            Ended::PerhapsStopping => {
                Failure::new(Exit::Failed, RunError::PerhapsStopping { id, group }).hint(look).hint(stop)
            }
            Ended::TimedOut => {
                let status = status();
                let limit = crate::display::sheet::span(terms.limit.as_secs());
                Failure::new(Exit::TimedOut, RunError::TimedOut { id, group, limit, status }).hint(look).hint(stop)
            }
            Ended::Left => Failure::new(Exit::Failed, RunError::Left { id, group }).hint(look).hint(stop),
            Ended::Lost(source) => {
                let (exit, hint) = (source.exit(), source.hint());
                let lost = Failure::new(exit, RunError::Lost { id, group, source });
                hint.into_iter().fold(lost, Failure::hint).hint(look)
            }
        })
    }
}

/// A deployment for programs, with its link.
pub(super) fn json_of(client: &Client<'_>, deployment: &Deployment, targets: Option<&[deployment::Target]>) -> Value {
    sheet::json(deployment, targets, &console::link(&client.region, &deployment.id))
}

/// How it ended, for programs.
fn ended(ended: &Ended) -> &'static str {
    match ended {
        Ended::Succeeded => "succeeded",
        Ended::Failed => "failed",
        Ended::Stopped => "stopped",
        Ended::Stopping => "stopping",
        Ended::PerhapsStopping => "perhaps_stopping",
        Ended::RolledBack => "rolled_back",
        Ended::RollbackFailed => "rollback_failed",
        Ended::TimedOut => "timed_out",
        Ended::Left => "interrupted",
        Ended::Lost(_) => "lost",
    }
}
