//! What the service remembers, and what each operation does to it.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::operation::ServiceError;
use super::stage::{Course, Stage};

/// How many targets a page lists.
const PAGE: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Book {
    /// How deployments go that do not exist yet.
    pub(super) courses: VecDeque<Course>,
    pub(super) registered: Vec<Value>,
    deployments: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    request: Value,
    creator: &'static str,
    course: Course,
    /// Which stage is shown.
    at: usize,
    /// Whether somebody has looked.
    seen: bool,
    rollback: Value,
    created: f64,
}

impl Entry {
    fn stage(&self) -> &Stage {
        &self.course.stages[self.at]
    }

    fn is_over(&self) -> bool {
        self.stage().is_final()
    }

    fn info(&self) -> Value {
        let stage = self.stage();
        let mut info = json!({
            "applicationName": self.request["applicationName"],
            "deploymentGroupName": self.request["deploymentGroupName"],
            "deploymentConfigName": self.request.get("deploymentConfigName").cloned().unwrap_or(json!("CodeDeployDefault.OneAtATime")),
            "deploymentId": self.id,
            "revision": self.request["revision"],
            "description": self.request["description"],
            "status": stage.status,
            "creator": self.creator,
            "createTime": self.created,
            "computePlatform": "Server",
            "autoRollbackConfiguration": {
                "enabled": self.course.rolls_back,
                "events": if self.course.rolls_back { json!(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"]) } else { json!([]) },
            },
        });
        if self.is_over() {
            info["completeTime"] = json!(self.created + 95.25);
        }
        if !self.rollback.is_null() {
            info["rollbackInfo"] = self.rollback.clone();
        }
        for (name, value) in stage.info.as_object().into_iter().flatten() {
            info[name] = value.clone();
        }
        info
    }
}

impl Book {
    pub(super) fn carry_out(&mut self, operation: &str, body: &Value) -> Result<Value, ServiceError> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        if let Some(application) = body["applicationName"].as_str().filter(|name| *name != "shop") {
            return Err(ServiceError::new(
                "ApplicationDoesNotExistException",
                format!("No application found for name: {application}"),
            ));
        }
        if let Some(group) = body["deploymentGroupName"].as_str().filter(|name| !["prod", "dev"].contains(name)) {
            return Err(ServiceError::new(
                "DeploymentGroupDoesNotExistException",
                format!("No Deployment Group found for name: {group}"),
            ));
        }
        match operation {
            "ListApplications" => Ok(json!({"applications": ["blog", "shop"]})),
            "ListDeploymentGroups" => Ok(json!({"applicationName": "shop", "deploymentGroups": ["dev", "prod"]})),
            "ListDeploymentConfigs" => {
                Ok(json!({"deploymentConfigsList": ["CodeDeployDefault.OneAtATime", "Ours.Half"]}))
            }
            "GetDeploymentGroup" => Ok(self.group(&text("deploymentGroupName"))),
            "RegisterApplicationRevision" => {
                self.registered.push(body["revision"].clone());
                Ok(json!({}))
            }
            "CreateDeployment" => self.create(body),
            "GetDeployment" => self.look(&text("deploymentId")),
            "BatchGetDeployments" => {
                let ids = body["deploymentIds"].as_array().cloned().unwrap_or_default();
                let infos: Vec<Value> =
                    self.deployments.iter().filter(|entry| ids.contains(&json!(entry.id))).map(Entry::info).collect();
                Ok(json!({"deploymentsInfo": infos}))
            }
            "ListDeployments" => Ok(self.list(&text("deploymentGroupName"), &body["includeOnlyStatuses"])),
            "ListDeploymentTargets" => {
                let entry = self.entry(&text("deploymentId"))?;
                if entry.stage().status == "Created" {
                    return Err(ServiceError::new("DeploymentNotStartedException", "The deployment has not started"));
                }
                let from: usize = text("nextToken").parse().unwrap_or(0);
                let ids: Vec<&Value> = entry.stage().targets.iter().map(|target| &target["targetId"]).collect();
                let page: Vec<&Value> = ids.iter().skip(from).take(PAGE).copied().collect();
                let mut answer = json!({"targetIds": page});
                if from + PAGE < ids.len() {
                    answer["nextToken"] = json!((from + PAGE).to_string());
                }
                Ok(answer)
            }
            "BatchGetDeploymentTargets" => {
                let entry = self.entry(&text("deploymentId"))?;
                let ids = body["targetIds"].as_array().cloned().unwrap_or_default();
                let wanted = entry.stage().targets.iter().filter(|target| ids.contains(&target["targetId"]));
                let targets: Vec<Value> = wanted
                    .map(|target| {
                        let mut target = target.clone();
                        target["deploymentId"] = json!(entry.id);
                        json!({"deploymentTargetType": "InstanceTarget", "instanceTarget": target})
                    })
                    .collect();
                Ok(json!({"deploymentTargets": targets}))
            }
            "StopDeployment" => self.stop(&text("deploymentId"), body["autoRollbackEnabled"] == true),
            operation => unreachable!("{operation} is checked before"),
        }
    }

    fn entry(&mut self, id: &str) -> Result<&mut Entry, ServiceError> {
        let found = self.deployments.iter_mut().find(|entry| entry.id == id);
        found.ok_or_else(|| {
            ServiceError::new("DeploymentDoesNotExistException", format!("The deployment {id} could not be found"))
        })
    }

    fn group(&self, name: &str) -> Value {
        let of_group = || self.deployments.iter().filter(|entry| entry.request["deploymentGroupName"] == name);
        let (last, good) = (of_group().next_back(), of_group().rfind(|entry| entry.stage().status == "Succeeded"));
        let mut info = json!({"applicationName": "shop", "deploymentGroupName": name, "computePlatform": "Server"});
        if let Some(last) = last {
            info["targetRevision"] = last.request["revision"].clone();
            info["lastAttemptedDeployment"] = json!({"deploymentId": last.id, "status": last.stage().status});
        }
        if let Some(good) = good {
            info["lastSuccessfulDeployment"] = json!({"deploymentId": good.id, "status": "Succeeded"});
        }
        json!({"deploymentGroupInfo": info})
    }

    fn create(&mut self, body: &Value) -> Result<Value, ServiceError> {
        if let Some(config) = body["deploymentConfigName"]
            .as_str()
            .filter(|name| !["Ours.Half", "CodeDeployDefault.AllAtOnce"].contains(name))
        {
            return Err(ServiceError::new(
                "DeploymentConfigDoesNotExistException",
                format!("No configuration found for name: {config}"),
            ));
        }
        let same = |entry: &&Entry| entry.request["deploymentGroupName"] == body["deploymentGroupName"];
        if let Some(other) = self.deployments.iter().filter(same).find(|entry| !entry.is_over()) {
            let message = format!("The Deployment Group already has an active Deployment '{}'", other.id);
            return Err(ServiceError::new("DeploymentLimitExceededException", message));
        }
        if !self.registered.contains(&body["revision"]) {
            return Err(ServiceError::new("RevisionDoesNotExistException", "the revision was not registered"));
        }
        Ok(json!({"deploymentId": self.begin(body.clone(), "user", Value::Null)}))
    }

    /// Somebody deploys a revision to `prod`.
    pub(super) fn deploy(&mut self, revision: &Value) {
        let request = json!({"applicationName": "shop", "deploymentGroupName": "prod", "revision": revision});
        self.begin(request, "user", Value::Null);
    }

    fn begin(&mut self, request: Value, creator: &'static str, rollback: Value) -> String {
        let number = self.deployments.len() + 1;
        let id = format!("d-{number:09}");
        let course = self.courses.pop_front().unwrap_or_else(|| Course::success(&["i-1"]));
        let created = 1_700_000_000.0 + 1000.0 * number as f64;
        self.deployments.push(Entry {
            id: id.clone(),
            request,
            creator,
            course,
            at: 0,
            seen: false,
            rollback,
            created,
        });
        id
    }

    /// Shows the next stage.
    fn look(&mut self, id: &str) -> Result<Value, ServiceError> {
        let entry = self.entry(id)?;
        let was_over = entry.is_over() && entry.seen;
        if entry.seen {
            entry.at = (entry.at + 1).min(entry.course.stages.len() - 1);
        }
        entry.seen = true;
        let info = entry.info();
        // That it rolls back shows a look later than that it failed.
        if was_over && entry.course.rolls_back && entry.rollback.is_null() {
            self.roll_back(id)?;
        }
        Ok(json!({"deploymentInfo": info}))
    }

    fn roll_back(&mut self, id: &str) -> Result<(), ServiceError> {
        let group = self.entry(id)?.request["deploymentGroupName"].clone();
        let good =
            |entry: &&Entry| entry.request["deploymentGroupName"] == group && entry.stage().status == "Succeeded";
        let request = self.deployments.iter().rfind(good).map(|entry| entry.request.clone());
        let info = match request {
            None => json!({"rollbackMessage": "No previous deployment succeeded, so nothing is rolled back"}),
            Some(request) => {
                let triggered = json!({"rollbackTriggeringDeploymentId": id});
                let new = self.begin(request, "codeDeployRollback", triggered);
                json!({"rollbackDeploymentId": new})
            }
        };
        self.entry(id)?.rollback = info;
        Ok(())
    }

    /// The latest first, as the service does, though it does not promise it.
    fn list(&self, group: &str, statuses: &Value) -> Value {
        let wanted = |entry: &&Entry| {
            let status = json!(entry.stage().status);
            entry.request["deploymentGroupName"] == group
                && statuses.as_array().is_none_or(|statuses| statuses.contains(&status))
        };
        let ids: Vec<&str> = self.deployments.iter().rev().filter(wanted).map(|entry| entry.id.as_str()).collect();
        json!({"deployments": ids})
    }

    fn stop(&mut self, id: &str, rollback: bool) -> Result<Value, ServiceError> {
        let entry = self.entry(id)?;
        if entry.is_over() {
            return Err(ServiceError::new("DeploymentAlreadyCompletedException", format!("{id} is complete")));
        }
        if entry.course.never_stops {
            return Ok(json!({"status": "Pending", "statusMessage": "Stopping"}));
        }
        let targets = entry.stage().targets.clone();
        let mut stopped = Stage::new("Stopped").error("MANUAL_STOP", "The deployment was stopped by a user");
        stopped.targets = targets;
        entry.course.stages.truncate(entry.at + 1);
        entry.course.stages.push(stopped);
        if rollback {
            self.roll_back(id)?;
        }
        Ok(json!({"status": "Pending", "statusMessage": "Stopping"}))
    }
}
