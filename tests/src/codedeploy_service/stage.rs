//! How a deployment goes, look by look.

use serde_json::{Value, json};

/// The stages of a deployment. Each `GetDeployment` shows the next one; the last one stays.
#[derive(Debug, Clone)]
pub struct Course {
    pub(super) stages: Vec<Stage>,
    /// Whether CodeDeploy deploys the last good revision again when it has failed.
    pub(super) rolls_back: bool,
    /// Whether it takes for ever to be stopped.
    pub(super) never_stops: bool,
}

/// What one look shows.
#[derive(Debug, Clone)]
pub struct Stage {
    pub(super) status: &'static str,
    /// Further members of `deploymentInfo`.
    pub(super) info: Value,
    /// `instanceTarget`s without the id of the deployment.
    pub(super) targets: Vec<Value>,
}

impl Course {
    /// These stages.
    pub fn of(stages: impl IntoIterator<Item = Stage>) -> Course {
        Course { stages: stages.into_iter().collect(), rolls_back: false, never_stops: false }
    }

    /// Created, then done on these instances.
    pub fn success(instances: &[&str]) -> Course {
        let done = |stage: Stage, id: &&str| stage.target(id, "Succeeded", &[("Install", "Succeeded")]);
        Course::of([Stage::new("Created"), instances.iter().fold(Stage::new("Succeeded"), done)])
    }

    /// Created, then in progress for ever on one instance.
    pub fn endless() -> Course {
        let busy = Stage::new("InProgress").target("i-1", "InProgress", &[("AfterInstall", "InProgress")]);
        Course::of([Stage::new("Created"), busy])
    }

    /// Once it has failed or was stopped, CodeDeploy deploys the last good revision again.
    pub fn and_rolls_back(mut self) -> Course {
        self.rolls_back = true;
        self
    }

    /// Who has it stopped waits for ever.
    pub fn and_never_stops(mut self) -> Course {
        self.never_stops = true;
        self
    }
}

impl Stage {
    /// A stage in which the deployment has this status.
    pub fn new(status: &'static str) -> Stage {
        Stage { status, info: json!({}), targets: Vec::new() }
    }

    /// An instance with this status and these events.
    pub fn target(mut self, id: &str, status: &str, events: &[(&str, &str)]) -> Stage {
        let events: Vec<Value> = events
            .iter()
            .enumerate()
            .map(|(index, (name, status))| {
                let mut event = json!({"lifecycleEventName": name, "status": status});
                let began = 1_700_000_000.0 + 10.0 * index as f64;
                if !matches!(*status, "Pending" | "Skipped") {
                    event["startTime"] = json!(began);
                }
                if matches!(*status, "Succeeded" | "Failed") {
                    event["endTime"] = json!(began + 5.5);
                    event["diagnostics"] =
                        json!({"errorCode": "Success", "scriptName": "", "message": "Succeeded", "logTail": ""});
                }
                event
            })
            .collect();
        let arn = format!("arn:aws:ec2:us-east-1:123456789012:instance/{id}");
        self.targets.push(json!({
            "targetId": id, "targetArn": arn, "status": status, "lastUpdatedAt": 1_700_000_000.5, "lifecycleEvents": events,
        }));
        self
    }

    /// What the agent said of the last event of the last instance.
    pub fn diagnostics(mut self, code: &str, script: &str, message: &str, log: &str) -> Stage {
        let events = self.targets.last_mut().and_then(|target| target["lifecycleEvents"].as_array_mut());
        let failed = events.and_then(|events| events.iter_mut().find(|event| event["status"] == "Failed"));
        failed.expect("an event of the instance failed")["diagnostics"] =
            json!({"errorCode": code, "scriptName": script, "message": message, "logTail": log});
        self
    }

    /// Why it failed.
    pub fn error(self, code: &str, message: &str) -> Stage {
        self.info("errorInformation", json!({"code": code, "message": message}))
    }

    /// A further member of `deploymentInfo`.
    pub fn info(mut self, name: &str, value: Value) -> Stage {
        self.info[name] = value;
        self
    }

    pub(super) fn is_final(&self) -> bool {
        matches!(self.status, "Succeeded" | "Failed" | "Stopped")
    }
}
