//! The lifecycle events of a deployment: their names, their order, and whose scripts they run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One stage of a deployment, by the name CodeDeploy gives it.
///
/// `BlockTraffic`, `AllowTraffic`, `Start` and `End` are not here: the service performs them itself and never asks an
/// agent to (AWS agent 1.8.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LifecycleEvent {
    /// Before the instance is taken out of the load balancer.
    BeforeBlockTraffic,
    /// After the instance was taken out of the load balancer.
    AfterBlockTraffic,
    /// Stops the running application, with the scripts of the revision that is installed.
    ApplicationStop,
    /// Built in: puts the revision on disk.
    DownloadBundle,
    /// Before files are copied.
    BeforeInstall,
    /// Built in: copies files and applies permissions.
    Install,
    /// After files were copied: configure, pull images.
    AfterInstall,
    /// Starts the application.
    ApplicationStart,
    /// Shows that the application works.
    ValidateService,
    /// Before the instance gets traffic again.
    BeforeAllowTraffic,
    /// After the instance got traffic again.
    AfterAllowTraffic,
    /// An event of the user's own, which runs only in an order that names it (as `codedeploy-local --events` does).
    Custom(EventName),
}

/// The name of an event of the user's own: PascalCase, as `codedeploy-local` 1.8.1 demands, and none of the built-in names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(String);

/// Which revision an event takes its scripts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptsFrom {
    /// The revision being deployed.
    Current,
    /// The revision that was installed last (AWS: "last successful", which means that Install succeeded).
    Installed,
    /// The revision that was fetched last, whether it was installed or not (AWS: "most recent").
    MostRecent,
}

/// Which revisions the events of a deployment take their scripts from (AWS agent 1.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptsMap {
    /// What takes the old release out of service is written in the old release.
    #[default]
    InPlace,
    /// The service goes back to the original instances of a blue/green deployment (`codeDeployRollback` and `BLUE_GREEN`).
    BlueGreenRollback,
}

impl LifecycleEvent {
    /// All events, in the order in which CodeDeploy runs them in place.
    pub const ALL: [LifecycleEvent; 11] = [
        LifecycleEvent::BeforeBlockTraffic,
        LifecycleEvent::AfterBlockTraffic,
        LifecycleEvent::ApplicationStop,
        LifecycleEvent::DownloadBundle,
        LifecycleEvent::BeforeInstall,
        LifecycleEvent::Install,
        LifecycleEvent::AfterInstall,
        LifecycleEvent::ApplicationStart,
        LifecycleEvent::ValidateService,
        LifecycleEvent::BeforeAllowTraffic,
        LifecycleEvent::AfterAllowTraffic,
    ];

    /// The name as it stands in an appspec and in `LIFECYCLE_EVENT`.
    pub fn name(&self) -> &str {
        match self {
            LifecycleEvent::BeforeBlockTraffic => "BeforeBlockTraffic",
            LifecycleEvent::AfterBlockTraffic => "AfterBlockTraffic",
            LifecycleEvent::ApplicationStop => "ApplicationStop",
            LifecycleEvent::DownloadBundle => "DownloadBundle",
            LifecycleEvent::BeforeInstall => "BeforeInstall",
            LifecycleEvent::Install => "Install",
            LifecycleEvent::AfterInstall => "AfterInstall",
            LifecycleEvent::ApplicationStart => "ApplicationStart",
            LifecycleEvent::ValidateService => "ValidateService",
            LifecycleEvent::BeforeAllowTraffic => "BeforeAllowTraffic",
            LifecycleEvent::AfterAllowTraffic => "AfterAllowTraffic",
            LifecycleEvent::Custom(name) => &name.0,
        }
    }

    /// Whether it is one of CodeDeploy's own.
    pub fn is_built_in(&self) -> bool {
        !matches!(self, LifecycleEvent::Custom(_))
    }

    /// Whether an appspec may hang scripts on this event. `DownloadBundle` and `Install` are the agent's own.
    pub fn is_scriptable(&self) -> bool {
        !matches!(self, LifecycleEvent::DownloadBundle | LifecycleEvent::Install)
    }

    /// Whether it stands before or after the load balancer's part.
    pub fn is_traffic(&self) -> bool {
        match self {
            LifecycleEvent::BeforeBlockTraffic
            | LifecycleEvent::AfterBlockTraffic
            | LifecycleEvent::BeforeAllowTraffic
            | LifecycleEvent::AfterAllowTraffic => true,
            LifecycleEvent::ApplicationStop
            | LifecycleEvent::DownloadBundle
            | LifecycleEvent::BeforeInstall
            | LifecycleEvent::Install
            | LifecycleEvent::AfterInstall
            | LifecycleEvent::ApplicationStart
            | LifecycleEvent::ValidateService
            | LifecycleEvent::Custom(_) => false,
        }
    }

    /// Whose scripts run (AWS agent 1.8.1). What is not [`ScriptsFrom::Current`] holds only until the bundle of the
    /// deployment is on disk.
    pub fn scripts_from(&self, map: ScriptsMap) -> ScriptsFrom {
        match (self, map) {
            (LifecycleEvent::BeforeBlockTraffic | LifecycleEvent::AfterBlockTraffic, ScriptsMap::BlueGreenRollback) => {
                ScriptsFrom::MostRecent
            }
            (LifecycleEvent::BeforeBlockTraffic | LifecycleEvent::AfterBlockTraffic, ScriptsMap::InPlace)
            | (LifecycleEvent::ApplicationStop, _)
            | (LifecycleEvent::BeforeAllowTraffic | LifecycleEvent::AfterAllowTraffic, ScriptsMap::BlueGreenRollback) => {
                ScriptsFrom::Installed
            }
            (LifecycleEvent::BeforeAllowTraffic | LifecycleEvent::AfterAllowTraffic, ScriptsMap::InPlace)
            | (
                LifecycleEvent::DownloadBundle
                | LifecycleEvent::BeforeInstall
                | LifecycleEvent::Install
                | LifecycleEvent::AfterInstall
                | LifecycleEvent::ApplicationStart
                | LifecycleEvent::ValidateService
                | LifecycleEvent::Custom(_),
                _,
            ) => ScriptsFrom::Current,
        }
    }
}

impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that cannot be the name of a lifecycle event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a lifecycle event; an event of your own is written in PascalCase")]
pub struct UnknownEvent(pub String);

impl FromStr for LifecycleEvent {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(event) = LifecycleEvent::ALL.into_iter().find(|event| event.name() == text) {
            return Ok(event);
        }
        if is_pascal_case(text) {
            Ok(LifecycleEvent::Custom(EventName(text.to_owned())))
        } else {
            Err(UnknownEvent(text.to_owned()))
        }
    }
}

impl TryFrom<String> for LifecycleEvent {
    type Error = UnknownEvent;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LifecycleEvent> for String {
    fn from(event: LifecycleEvent) -> String {
        event.name().to_owned()
    }
}

/// `([A-Z][a-z0-9]+)+` over the whole word (AWS agent 1.8.1, `codedeploy-local`).
fn is_pascal_case(text: &str) -> bool {
    let bytes = text.as_bytes();
    let small = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.first().is_some_and(u8::is_ascii_uppercase)
        && bytes.iter().all(|b| small(b) || b.is_ascii_uppercase())
        && bytes.iter().enumerate().all(|(i, b)| small(b) || bytes.get(i + 1).is_some_and(small))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_its_name() {
        for event in LifecycleEvent::ALL {
            assert_eq!(event.name().parse(), Ok(event));
        }
    }

    #[test]
    fn scripts_come_from_where_the_aws_agent_takes_them() {
        use ScriptsFrom::{Current, Installed, MostRecent};
        let whose = |map| LifecycleEvent::ALL.map(|event| event.scripts_from(map));
        assert_eq!(
            whose(ScriptsMap::InPlace),
            [Installed, Installed, Installed, Current, Current, Current, Current, Current, Current, Current, Current]
        );
        assert_eq!(
            whose(ScriptsMap::BlueGreenRollback),
            [
                MostRecent, MostRecent, Installed, Current, Current, Current, Current, Current, Current, Installed,
                Installed
            ]
        );
    }

    #[test]
    fn an_event_of_ones_own_is_pascal_case() {
        assert!(matches!("WarmCaches2".parse(), Ok(LifecycleEvent::Custom(_))));
        for bad in ["", "warm", "Warm-Caches", "W", "WArm", "../Evil"] {
            assert_eq!(bad.parse::<LifecycleEvent>(), Err(UnknownEvent(bad.into())), "{bad:?}");
        }
    }

    #[test]
    fn the_declared_order_is_the_order_of_all() {
        let mut sorted = LifecycleEvent::ALL;
        sorted.sort();
        assert_eq!(sorted, LifecycleEvent::ALL);
    }
}
