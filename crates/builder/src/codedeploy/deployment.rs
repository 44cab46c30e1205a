//! A deployment of CodeDeploy as a value: how far it is, and what its instances say. Pure.

use jiff::Timestamp;
use longshore_core::figures::quoted;
use longshore_core::ids::DeploymentId;

use super::revision::Revision;

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It exists.
    Created,
    /// It waits for its turn.
    Queued,
    /// It runs.
    InProgress,
    /// Its instances are watched for a while.
    Baking,
    /// Blue/green: the replacement is ready for traffic.
    Ready,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// Somebody or an alarm stopped it.
    Stopped,
    /// A word that this program does not know.
    Unknown(String),
}

impl Status {
    /// What CodeDeploy's word means.
    pub(crate) fn of(word: &str) -> Status {
        match word {
            "Created" => Status::Created,
            "Queued" => Status::Queued,
            "InProgress" => Status::InProgress,
            "Baking" => Status::Baking,
            "Ready" => Status::Ready,
            "Succeeded" => Status::Succeeded,
            "Failed" => Status::Failed,
            "Stopped" => Status::Stopped,
            word => Status::Unknown(word.to_owned()),
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(&self) -> &str {
        match self {
            Status::Created => "Created",
            Status::Queued => "Queued",
            Status::InProgress => "InProgress",
            Status::Baking => "Baking",
            Status::Ready => "Ready",
            Status::Succeeded => "Succeeded",
            Status::Failed => "Failed",
            Status::Stopped => "Stopped",
            Status::Unknown(word) => word,
        }
    }

    /// Whether nothing more happens.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Status::Succeeded | Status::Failed | Status::Stopped => true,
            Status::Created
            | Status::Queued
            | Status::InProgress
            | Status::Baking
            | Status::Ready
            | Status::Unknown(_) => false,
        }
    }
}

/// What CodeDeploy knows of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployment {
    /// Its id.
    pub(crate) id: DeploymentId,
    /// The application.
    pub(crate) application: String,
    /// The group.
    pub(crate) group: String,
    /// How far it is.
    pub(crate) status: Status,
    /// What it deploys.
    pub(crate) revision: Option<Revision>,
    /// The deployment configuration.
    pub(crate) config: Option<String>,
    /// Who made it: `user`, `codeDeployRollback`, `autoscaling` …
    pub(crate) creator: Option<String>,
    /// What whoever made it wrote.
    pub(crate) description: Option<String>,
    /// When it was made.
    pub(crate) created: Option<Timestamp>,
    /// When it ended.
    pub(crate) completed: Option<Timestamp>,
    /// Why it failed.
    pub(crate) error: Option<Fault>,
    /// The rollback that follows or followed it.
    pub(crate) rollback: Option<Rollback>,
    /// On which events CodeDeploy rolls back by itself, in its words; empty: never.
    pub(crate) rolls_back_on: Vec<String>,
    /// What a blue/green deployment waits for.
    pub(crate) waits: Option<Waits>,
    /// Further words of CodeDeploy.
    pub(crate) messages: Vec<String>,
}

/// Why something failed: a code of CodeDeploy, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The code.
    pub(crate) code: String,
    /// The words.
    pub(crate) message: String,
}

/// What is known of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollback {
    /// The deployment that brings the last good revision back.
    pub(crate) deployment: Option<DeploymentId>,
    /// The deployment that this one rolls back.
    pub(crate) of: Option<DeploymentId>,
    /// CodeDeploy's words.
    pub(crate) message: Option<String>,
}

/// What a blue/green deployment waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// That somebody lets the traffic over to the replacement; without that it is stopped after so many minutes.
    ForTraffic {
        /// Minutes, where it says so.
        stops_after: Option<i32>,
    },
    /// That the time is over for which the original instances are kept.
    ForTermination {
        /// Minutes, where it says so.
        minutes: Option<i32>,
    },
}

impl Waits {
    /// What to type to go on at once.
    pub(crate) fn way_on(self, deployment: &DeploymentId, region: &str) -> String {
        let kind = match self {
            Waits::ForTraffic { .. } => "READY_WAIT",
            Waits::ForTermination { .. } => "TERMINATION_WAIT",
        };
        format!(
            "aws deploy continue-deployment --deployment-id {} --deployment-wait-type {kind} --region {}",
            quoted(deployment.as_str()),
            quoted(region)
        )
    }
}

/// How far an instance or an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not begun.
    Pending,
    /// It is under way.
    Running,
    /// Blue/green: it is ready for traffic.
    Ready,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
    /// Nobody knows.
    Unknown,
}

impl Progress {
    /// What CodeDeploy's word means.
    pub(crate) fn of(word: &str) -> Progress {
        match word {
            "Pending" => Progress::Pending,
            "InProgress" => Progress::Running,
            "Ready" => Progress::Ready,
            "Succeeded" => Progress::Succeeded,
            "Failed" => Progress::Failed,
            "Skipped" => Progress::Skipped,
            _ => Progress::Unknown,
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Progress::Pending => "Pending",
            Progress::Running => "InProgress",
            Progress::Ready => "Ready",
            Progress::Succeeded => "Succeeded",
            Progress::Failed => "Failed",
            Progress::Skipped => "Skipped",
            Progress::Unknown => "Unknown",
        }
    }

    /// Whether nothing more happens.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Progress::Succeeded | Progress::Failed | Progress::Skipped => true,
            Progress::Pending | Progress::Running | Progress::Ready | Progress::Unknown => false,
        }
    }
}

/// An instance in a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The instance's id or name.
    pub(crate) id: String,
    /// How far it is.
    pub(crate) progress: Progress,
    /// Blue/green: `Blue` or `Green`.
    pub(crate) label: Option<String>,
    /// Its lifecycle events, in their order.
    pub(crate) events: Vec<TargetEvent>,
}

/// A lifecycle event on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetEvent {
    /// Its name.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) progress: Progress,
    /// When it began.
    pub(crate) began: Option<Timestamp>,
    /// When it ended.
    pub(crate) ended: Option<Timestamp>,
    /// What went wrong, if something did.
    pub(crate) diagnostics: Option<Diagnostics>,
}

/// What the agent says of a script that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostics {
    /// `ScriptFailed` and so on.
    pub(crate) code: String,
    /// The script.
    pub(crate) script: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    /// The end of what it wrote.
    pub(crate) log_tail: String,
}

impl Target {
    /// The event that is under way, or that failed, or that ended last.
    pub(crate) fn event(&self) -> Option<&TargetEvent> {
        let is = |wanted: Progress| self.events.iter().find(move |event| event.progress == wanted);
        is(Progress::Failed)
            .or_else(|| is(Progress::Running))
            .or_else(|| self.events.iter().rfind(|event| event.progress.is_final()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_told_by_the_event_that_matters_most() {
        let event = |name: &str, progress| TargetEvent {
            name: name.to_owned(),
            progress,
            began: None,
            ended: None,
            diagnostics: None,
        };
        for (states, expected) in [
            ([Progress::Pending, Progress::Pending, Progress::Pending], None),
            ([Progress::Succeeded, Progress::Pending, Progress::Pending], Some("a")),
            ([Progress::Succeeded, Progress::Running, Progress::Pending], Some("b")),
            ([Progress::Succeeded, Progress::Failed, Progress::Skipped], Some("b")),
            ([Progress::Succeeded, Progress::Succeeded, Progress::Succeeded], Some("c")),
        ] {
            let events = ["a", "b", "c"].iter().zip(states).map(|(name, state)| event(name, state)).collect();
            let target = Target { id: "i".into(), progress: Progress::Running, label: None, events };
            assert_eq!(target.event().map(|event| event.name.as_str()), expected, "{states:?}");
        }
    }
}
