//! What the service knows: hosts, deployments on them, and the commands that it gave. Decides; speaks with nobody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::deployment::Deployment;
use super::operation::{Diagnostics, ServiceError, Status};

/// A deployment on one host.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) deployment: Deployment,
    pub(super) host: String,
    /// The events that are left, the next one first.
    left: Vec<String>,
    pub(super) status: Status,
}

/// A command: one event for one host.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its id.
    pub id: String,
    /// The host.
    pub host: String,
    /// The deployment's id.
    pub deployment: String,
    /// The event.
    pub event: String,
    /// How it is.
    pub status: Status,
    /// How many times a host got it.
    pub deliveries: usize,
    /// What the host said with each acknowledgement: whether there is nothing to do.
    pub acknowledgements: Vec<bool>,
    /// Everything that the host said of its end. Only the first counts.
    pub completions: Vec<Completion>,
    /// How many times the host said that it works on it.
    pub updates: usize,
    delivered: Option<Instant>,
}

/// What a host said of the end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// How it ended.
    pub status: Status,
    /// The diagnostics.
    pub diagnostics: Option<Diagnostics>,
    /// Whether it changed anything: the command had not ended before.
    pub counts: bool,
}

/// What the service knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    executions: Vec<Execution>,
    pub(super) commands: Vec<Command>,
    /// The last command that each host got.
    last: BTreeMap<String, usize>,
}

impl Book {
    /// A deployment begins on a host.
    pub(super) fn begin(&mut self, host: &str, deployment: &Deployment) {
        let left = deployment.course.events();
        let execution =
            Execution { deployment: deployment.clone(), host: host.to_owned(), left, status: Status::Pending };
        self.executions.push(execution);
        self.advance(self.executions.len() - 1);
    }

    pub(super) fn execution(&self, host: &str, deployment: &str) -> Option<&Execution> {
        self.executions.iter().rev().find(|e| e.host == host && e.deployment.id == deployment)
    }

    /// The next event of a deployment on a host becomes a command.
    fn advance(&mut self, index: usize) {
        let number = self.commands.len();
        let execution = &mut self.executions[index];
        if execution.left.is_empty() {
            execution.status = Status::Succeeded;
            return;
        }
        let event = execution.left.remove(0);
        execution.status = Status::InProgress;
        let words = json!([
            "com.amazon.apollo.deploycontrol.domain.HostCommandIdentifier",
            {
                "deploymentId": execution_id(&execution.deployment.id),
                "hostId": execution.host, "commandName": event, "commandIndex": number, "attemptCount": 1,
            }
        ]);
        self.commands.push(Command {
            // As long as the real ones, longer than the name of a file may be, and with every character of Base64.
            id: format!("{}/+=", BASE64_STANDARD.encode(words.to_string())),
            host: execution.host.clone(),
            deployment: execution.deployment.id.clone(),
            event,
            status: Status::Pending,
            deliveries: 0,
            acknowledgements: Vec::new(),
            completions: Vec::new(),
            updates: 0,
            delivered: None,
        });
    }

    /// The next command for a host: one that it has not got, or got `again` ago and did not acknowledge.
    pub(super) fn next(&mut self, host: &str, now: Instant, again: Duration) -> Option<Value> {
        let waits = |command: &Command| {
            command.host == host
                && command.status == Status::Pending
                && command.delivered.is_none_or(|at| now.duration_since(at) >= again)
        };
        let index = self.commands.iter().position(waits)?;
        Some(self.deliver(index, now))
    }

    /// The last command that the host got, once more.
    pub(super) fn once_more(&mut self, host: &str, now: Instant) -> Option<Value> {
        let index = *self.last.get(host)?;
        Some(self.deliver(index, now))
    }

    fn deliver(&mut self, index: usize, now: Instant) -> Value {
        let command = &mut self.commands[index];
        command.deliveries += 1;
        command.delivered = Some(now);
        self.last.insert(command.host.clone(), index);
        json!({
            "HostCommandIdentifier": command.id,
            "HostIdentifier": command.host,
            "DeploymentExecutionId": execution_id(&command.deployment),
            "CommandName": command.event,
            "Nonce": index,
        })
    }

    /// The deployment that a host asks about.
    pub(super) fn specification(&self, execution: &str, host: &str) -> Result<&Deployment, ServiceError> {
        let found = self
            .executions
            .iter()
            .rev()
            .find(|found| found.host == host && execution_id(&found.deployment.id) == execution);
        let unknown = || ServiceError::client(format!("{host} has no deployment {execution}"));
        Ok(&found.ok_or_else(unknown)?.deployment)
    }

    /// A host took a command. How the command is now.
    pub(super) fn acknowledge(
        &mut self,
        host: &str,
        id: &str,
        diagnostics: Option<&Diagnostics>,
    ) -> Result<Status, ServiceError> {
        let noop = diagnostics.is_some_and(|diagnostics| {
            let said: Option<Value> = serde_json::from_str(&diagnostics.payload).ok();
            said.is_some_and(|said| said["IsCommandNoop"] == true)
        });
        let index = self.command(host, id)?;
        let command = &mut self.commands[index];
        command.acknowledgements.push(noop);
        if command.status == Status::Pending {
            // Where a host has nothing to do, nobody waits for it.
            self.put(index, if noop { Status::Succeeded } else { Status::InProgress });
        }
        Ok(self.commands[index].status)
    }

    /// A host ended a command.
    pub(super) fn complete(
        &mut self,
        host: &str,
        id: &str,
        status: Status,
        diagnostics: Option<Diagnostics>,
    ) -> Result<(), ServiceError> {
        let index = self.command(host, id)?;
        let command = &mut self.commands[index];
        let counts = !command.status.is_final();
        command.completions.push(Completion { status, diagnostics, counts });
        if counts {
            self.put(index, status);
        }
        Ok(())
    }

    /// A host works on a command.
    pub(super) fn update(&mut self, host: &str, id: &str) -> Result<Status, ServiceError> {
        let index = self.command(host, id)?;
        self.commands[index].updates += 1;
        Ok(self.commands[index].status)
    }

    /// A command has another status; what follows from that.
    fn put(&mut self, index: usize, status: Status) {
        self.commands[index].status = status;
        let (host, deployment) = (self.commands[index].host.clone(), self.commands[index].deployment.clone());
        let event = self.commands[index].event.clone();
        let of = |execution: &Execution| execution.host == host && execution.deployment.id == deployment;
        let execution = self.executions.iter().rposition(of).expect("a command belongs to a deployment");
        match status {
            Status::Pending | Status::InProgress => {}
            Status::Failed if !self.executions[execution].deployment.goes_on_without(&event) => {
                self.executions[execution].status = Status::Failed;
            }
            Status::Succeeded | Status::Failed => self.advance(execution),
        }
    }

    fn command(&self, host: &str, id: &str) -> Result<usize, ServiceError> {
        let of = |command: &Command| command.id == id && command.host == host;
        self.commands.iter().position(of).ok_or_else(|| ServiceError::client(format!("{host} has no command {id}")))
    }
}

/// How the service names a deployment for hosts.
fn execution_id(deployment: &str) -> String {
    format!("CodeDeploy/us-east-1/Prod/arn:aws:sds:us-east-1:123456789012:deployment/{deployment}")
}
