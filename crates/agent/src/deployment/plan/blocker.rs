//! What stops a deployment before it begins, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use longshore_core::failure::Exit;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use serde::{Deserialize, Serialize};

use crate::lossless;

/// Something that stops a deployment before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "blocker", rename_all = "snake_case")]
pub enum Blocker {
    /// The appspec is written for Windows.
    WrongOs,
    /// A script is not in its revision, or is a folder.
    NoScript {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        location: String,
        /// Where it should stand.
        #[serde(with = "lossless::path")]
        script: PathBuf,
        /// Whose script it is.
        from: ScriptsFrom,
    },
    /// The kernel could not start a script.
    NotStartable {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        location: String,
        /// Why.
        reason: String,
        /// Whose script it is.
        from: ScriptsFrom,
    },
    /// A script should run as somebody whom this host does not know.
    NoUser {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        location: String,
        /// The user.
        user: String,
    },
    /// A script should run as somebody else than the agent, which only root can do.
    NotRoot {
        /// The event.
        event: LifecycleEvent,
        /// The script as the appspec writes it.
        location: String,
        /// The user.
        user: String,
        /// Whom the agent runs as.
        agent: String,
    },
    /// The installed revision cannot say how it is stopped.
    InstalledUnreadable {
        /// The events that need it.
        events: Vec<LifecycleEvent>,
        /// Why.
        reason: String,
    },
    /// The scripts of an event are in a revision that is not on this host.
    NoBundle {
        /// The event.
        event: LifecycleEvent,
        /// Why.
        reason: String,
    },
    /// The appspec has scripts for events that will not be asked for.
    ImpossibleEvents {
        /// Their names.
        events: Vec<String>,
    },
    /// The appspec has no scripts for events of the user's own that will be asked for.
    MissingEvents {
        /// Their names.
        events: Vec<String>,
    },
    /// The order names an event of the user's own that the appspec does not have.
    NoSuchEvent {
        /// The event.
        event: LifecycleEvent,
    },
    /// Installing would fail.
    Install {
        /// The conflict, one sentence.
        message: String,
        /// What to change.
        fix: Option<String>,
    },
}

impl Blocker {
    /// The exit code of a deployment that it stops.
    pub fn exit(&self) -> Exit {
        match self {
            Blocker::WrongOs
            | Blocker::NoScript { .. }
            | Blocker::InstalledUnreadable { .. }
            | Blocker::ImpossibleEvents { .. }
            | Blocker::MissingEvents { .. } => Exit::Invalid,
            Blocker::NoBundle { .. } => Exit::NotFound,
            Blocker::NoSuchEvent { .. } => Exit::Usage,
            Blocker::NotStartable { .. } | Blocker::NoUser { .. } | Blocker::NotRoot { .. } => Exit::HookFailed,
            Blocker::Install { .. } => Exit::InstallFailed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Blocker::WrongOs => "deploy it with the AWS agent on Windows, or write `os: linux`".to_owned(),
            Blocker::NoScript { event, from: ScriptsFrom::Installed | ScriptsFrom::MostRecent, .. }
            | Blocker::NotStartable { event, from: ScriptsFrom::Installed | ScriptsFrom::MostRecent, .. } => {
                way_round(std::slice::from_ref(event))
            }
            Blocker::InstalledUnreadable { events, .. } => way_round(events),
            Blocker::NotStartable { location, from: ScriptsFrom::Current, .. } => {
                format!(
                    "mend `{location}` in the repository and build again; `longshore check` finds much of this before"
                )
            }
            Blocker::NoScript { location, from: ScriptsFrom::Current, .. } => {
                format!(
                    "add `{location}` to the repository, or take it out of the appspec; `longshore check` finds this before the build"
                )
            }
            Blocker::NoSuchEvent { .. } => {
                let all: Vec<&str> = LifecycleEvent::ALL.iter().map(LifecycleEvent::name).collect();
                format!("CodeDeploy's events are {}; others need scripts in the appspec", all.join(", "))
            }
            Blocker::NoBundle { .. } => {
                "an event that takes its scripts from the new revision runs on hosts that it was installed to"
                    .to_owned()
            }
            Blocker::ImpossibleEvents { .. } => {
                "take them out of `hooks`; the deployment's configuration does not ask for them".to_owned()
            }
            Blocker::MissingEvents { .. } => "add them to `hooks` of the appspec".to_owned(),
            Blocker::NotRoot { .. } => "run the agent as root, or take `runas` out of the appspec".to_owned(),
            Blocker::NoUser { user, .. } => format!("create the user first (`useradd {user}`), or change `runas`"),
            Blocker::Install { fix, .. } => {
                fix.clone().unwrap_or_else(|| "see everything that would happen with `longshore-agent plan`".to_owned())
            }
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocker::WrongOs => f.write_str("the appspec is written for `os: windows`, and this host runs Linux"),
            Blocker::NoScript { event, location, script, from } => {
                let whose = match from {
                    ScriptsFrom::Current => "the bundle",
                    ScriptsFrom::Installed => "the installed revision",
                    ScriptsFrom::MostRecent => "the revision fetched last",
                };
                write!(f, "{event}: script `{location}` is not a file in {whose} (looked for {})", script.display())
            }
            Blocker::NotStartable { event, reason, .. } => write!(f, "{event}: {reason}"),
            Blocker::NoUser { event, location, user } => {
                write!(f, "{event}: script `{location}` should run as `{user}`, and this host knows no such user")
            }
            Blocker::NotRoot { event, location, user, agent } => {
                write!(
                    f,
                    "{event}: script `{location}` should run as `{user}`, and the agent runs as `{agent}`, not as root"
                )
            }
            Blocker::NoSuchEvent { event } => {
                write!(f, "`{event}` is no event of CodeDeploy's, and the appspec has no scripts for it")
            }
            Blocker::NoBundle { event, reason } => {
                write!(f, "{event}: the revision of this deployment is not on this host: {reason}")
            }
            Blocker::ImpossibleEvents { events } => {
                write!(f, "the appspec has scripts for events that are not asked for: {}", events.join(", "))
            }
            Blocker::MissingEvents { events } => {
                write!(f, "the appspec has no scripts for events that are asked for: {}", events.join(", "))
            }
            Blocker::InstalledUnreadable { events, reason } => {
                write!(f, "{}: the scripts of the installed revision cannot be read: {reason}", names(events, ", "))
            }
            Blocker::Install { message, .. } => write!(f, "Install: {message}"),
        }
    }
}

/// How to deploy without the scripts of the installed revision.
fn way_round(events: &[LifecycleEvent]) -> String {
    let events = names(events, ",");
    format!("leave them out with `--skip {events}`, or stop with the new release's scripts: `--stop-from new`")
}

fn names(events: &[LifecycleEvent], separator: &str) -> String {
    events.iter().map(LifecycleEvent::name).collect::<Vec<_>>().join(separator)
}
