//! What is asked for: one deployment of one revision to one group, and the events to walk.

use std::path::PathBuf;

use longshore_core::appspec::FileExists;
use longshore_core::bundle::{BundlePath, Limits};
use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::signature::PublicKey;
use serde::{Deserialize, Serialize};

use crate::github::GitHub;
use crate::hook::policy::HookPolicy;
use crate::lossless;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub deployment: DeploymentId,
    /// Its number among the group's deployments: tells earlier from later whatever the clock did. 0 until it begins.
    pub number: u64,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: Group,
    /// What is deployed.
    pub revision: Revision,
    /// The events, in the order in which they run.
    pub events: Vec<LifecycleEvent>,
    /// Events whose scripts are left out, because the user said so.
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release.
    pub stop_from: StopFrom,
    /// What to do about files that are in the way, unless the appspec says it.
    pub file_exists: FileExists,
    /// Why it was given.
    pub cause: Cause,
    /// Which revisions its events take their scripts from.
    pub scripts_map: ScriptsMap,
    /// The content digest that the revision must have, when the user said so.
    pub content_digest: Option<Sha256>,
    /// The appspec's name in the bundle, when it is not one of the usual (AWS: `AppSpecFilename`).
    pub appspec_name: Option<BundlePath>,
    /// How it is carried out, as far as the user may choose.
    pub policy: Policy,
    /// When its events run.
    #[serde(default)]
    pub pace: Pace,
    /// The deployment of the group whose archive is used again when it is still kept (CodeDeploy:
    /// `ReuseArchiveFromDeploymentId`, since agent 2.1); without it the revision is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<DeploymentId>,
    /// The names of all events that the service may ask for (CodeDeploy: `AllPossibleLifecycleEvents`); a release with
    /// scripts for another event is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_events: Option<Vec<String>>,
    /// Whether hosts are exchanged for others (CodeDeploy: `BLUE_GREEN`), so that one that only loses or gets traffic is not
    /// installed to. Of meaning where each event is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blue_green: bool,
}

impl Order {
    /// Whether the bundle must be on this host before an event that is asked for alone.
    pub fn needs_bundle(&self, event: &LifecycleEvent) -> bool {
        let is_own = matches!(event, LifecycleEvent::DownloadBundle | LifecycleEvent::Install);
        is_own || self.brings_bundle() && !(self.blue_green && event.is_traffic())
    }

    /// Whether the events that the service may ask for have one that works with the new release. It may leave out those that
    /// have no scripts, DownloadBundle and Install; a host that only ends has none of the others either.
    fn brings_bundle(&self) -> bool {
        let brings = |name: &String| {
            !matches!(
                name.parse::<LifecycleEvent>(),
                Ok(LifecycleEvent::BeforeBlockTraffic
                    | LifecycleEvent::AfterBlockTraffic
                    | LifecycleEvent::ApplicationStop)
            )
        };
        self.possible_events.as_ref().is_none_or(|names| names.is_empty() || names.iter().any(brings))
    }
}

/// When the events of an order run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// One after the other, to the end.
    #[default]
    AtOnce,
    /// Each when it is asked for: the CodeDeploy service hands out one event at a time. The order names all that may come.
    OnCommand,
}

/// Why an order was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Somebody asked to go back to the release that this deployment brought.
    Rollback {
        /// That deployment.
        to: DeploymentId,
    },
    /// Another deployment failed after its files were installed, and the last good release comes back.
    Restore {
        /// The deployment that failed.
        failed: DeploymentId,
        /// The deployment that brought the good release.
        to: DeploymentId,
    },
}

/// How an order is carried out. Written down with it, so that it holds after a restart of the agent too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What happens when a script fails after the files were installed.
    pub on_failure: OnFailure,
    /// How scripts run.
    pub hooks: HookPolicy,
    /// How much an archive may ask for.
    pub limits: Limits,
    /// How many deployments of the group are kept (AWS: `max_revisions`).
    pub keep: usize,
    /// Whose signature a revision must have, or may have.
    #[serde(default, skip_serializing_if = "SignaturePolicy::is_none")]
    pub signatures: SignaturePolicy,
}

/// Whose signature a revision must have, or may have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignaturePolicy {
    /// The keys that are accepted. With none of them nobody looks for a signature, unless one is required.
    pub public_keys: Vec<PublicKey>,
    /// Whether a revision without a signature is refused. A wrong signature always is.
    pub require: bool,
}

impl SignaturePolicy {
    /// Nobody looks for signatures.
    pub fn none() -> &'static SignaturePolicy {
        static NONE: SignaturePolicy = SignaturePolicy { public_keys: Vec::new(), require: false };
        &NONE
    }

    fn is_none(&self) -> bool {
        self == SignaturePolicy::none()
    }
}

/// How many deployments of a group are kept (AWS agent 1.8.1: `max_revisions`).
pub const DEFAULT_KEEP: usize = 5;

/// What happens when a script fails after the files were installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The last good release's files come back, and its ApplicationStart runs.
    Restore,
    /// The failed release's files stay (as the AWS agent).
    Leave,
}

/// A deployment group on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id, a folder below the root.
    pub id: GroupId,
    /// Its name, such as `dev`.
    pub name: GroupName,
}

/// Where a revision comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revision {
    /// An archive or a folder on this host, absolute.
    #[serde(with = "lossless::path")]
    Local(PathBuf),
    /// An object of a store, as its URL.
    Object(String),
    /// A commit on GitHub.
    #[serde(rename = "github")]
    GitHub(GitHub),
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Revision::Local(path) => write!(f, "{}", path.display()),
            Revision::Object(url) => f.write_str(url),
            Revision::GitHub(github) => write!(f, "{github}"),
        }
    }
}

/// Whose scripts run for the events that take the old release out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum StopFrom {
    /// Those of the revision that is installed (as the AWS agent).
    Installed,
    /// Those of the revision being deployed: the way out when the installed stop script is broken.
    New,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            on_failure: OnFailure::Restore,
            hooks: HookPolicy::default(),
            limits: Limits::default(),
            keep: DEFAULT_KEEP,
            signatures: SignaturePolicy::default(),
        }
    }
}

/// Why a list of events cannot be an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// An event comes twice.
    #[error("event `{0}` is named twice")]
    Twice(LifecycleEvent),
    /// Built-in events stand in an order in which they cannot work.
    #[error("event `{later}` cannot come before `{earlier}`")]
    Order {
        /// The event that must come first.
        earlier: LifecycleEvent,
        /// The event that stands before it.
        later: LifecycleEvent,
    },
}

/// Checks a list of events that a person gave: no event twice, built-in events in CodeDeploy's order. Events of one's
/// own may stand anywhere.
pub fn check_events(events: &[LifecycleEvent]) -> Result<(), EventsError> {
    let built_in: Vec<&LifecycleEvent> = events.iter().filter(|e| !matches!(e, LifecycleEvent::Custom(_))).collect();
    for pair in built_in.windows(2) {
        if pair[1] < pair[0] {
            return Err(EventsError::Order { earlier: pair[1].clone(), later: pair[0].clone() });
        }
    }
    for (index, event) in events.iter().enumerate() {
        if events[..index].contains(event) {
            return Err(EventsError::Twice(event.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::deployment) mod tests {
    use super::*;

    /// An order to deploy `shop` to `dev`, as `deploy` without options gives it.
    pub(in crate::deployment) fn order() -> Order {
        let (application, name): (ApplicationName, GroupName) = ("shop".parse().unwrap(), "dev".parse().unwrap());
        Order {
            deployment: "d-NEW".parse().unwrap(),
            number: 0,
            group: Group { id: GroupId::of(&application, &name), name },
            application,
            revision: Revision::Local("/bundle.zip".into()),
            events: LifecycleEvent::ALL.to_vec(),
            skip: Vec::new(),
            stop_from: StopFrom::Installed,
            file_exists: FileExists::Disallow,
            cause: Cause::Asked,
            scripts_map: ScriptsMap::InPlace,
            content_digest: None,
            appspec_name: None,
            policy: Policy::default(),
            pace: Pace::AtOnce,
            reuse: None,
            possible_events: None,
            blue_green: false,
        }
    }

    fn events(names: &[&str]) -> Vec<LifecycleEvent> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_bundle_is_needed_unless_a_host_only_loses_or_gets_traffic() {
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let stop_and_block = names(&["ApplicationStop", "BeforeBlockTraffic"]);
        for (blue_green, possible_events, without) in [
            (false, None, &[][..]),
            (false, names(&["Install"]), &[]),
            (false, names(&["ApplicationStop", "BeforeInstall"]), &[]),
            (true, None, &["BeforeBlockTraffic", "AfterBlockTraffic", "BeforeAllowTraffic", "AfterAllowTraffic"]),
            (
                false,
                stop_and_block,
                &[
                    "BeforeBlockTraffic",
                    "AfterBlockTraffic",
                    "ApplicationStop",
                    "BeforeInstall",
                    "AfterInstall",
                    "ApplicationStart",
                    "ValidateService",
                    "BeforeAllowTraffic",
                    "AfterAllowTraffic",
                ],
            ),
        ] {
            let order = Order { blue_green, possible_events, ..order() };
            let found = LifecycleEvent::ALL.into_iter().filter(|event| !order.needs_bundle(event));
            assert_eq!(found.collect::<Vec<_>>(), events(without), "{blue_green} {:?}", order.possible_events);
        }
    }

    #[test]
    fn built_in_events_keep_their_order_and_come_once() {
        assert_eq!(check_events(&LifecycleEvent::ALL), Ok(()));
        assert_eq!(check_events(&events(&["WarmUp", "ApplicationStop", "CoolDown", "Install"])), Ok(()));
        assert_eq!(
            check_events(&events(&["Install", "ApplicationStop"])).unwrap_err().to_string(),
            "event `Install` cannot come before `ApplicationStop`"
        );
        assert_eq!(
            check_events(&events(&["WarmUp", "WarmUp"])).unwrap_err().to_string(),
            "event `WarmUp` is named twice"
        );
        assert!(check_events(&events(&["Install", "Install"])).is_err());
    }
}
