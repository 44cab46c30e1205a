//! Decides what a deployment will do: order + revisions + what stands on disk → [`Plan`]. Pure.
//!
//! `longshore-agent plan` prints the result, `deploy` carries it out; there is no other place that decides.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::appspec::{AppSpec, Hook, Os};
use longshore_core::bundle::BundlePath;
use longshore_core::failure::Exit;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::problem::Span;
use serde::{Deserialize, Serialize};

use super::order::{Order, StopFrom};
use crate::hook::command::RunAs;
use crate::hook::fault::Fault;
use crate::install::conflict::{Conflict, ConflictKind};
use crate::install::listing::{ItemKind, Listing};
use crate::install::plan::InstallPlan;
use crate::lossless;
use crate::release::Release;

/// A revision whose appspec was read.
#[derive(Debug)]
pub struct Revision {
    /// What it is, and where it stands (or will stand) unpacked.
    pub release: Release,
    /// Its appspec, or why there is none that can be used.
    pub appspec: Result<AppSpec, String>,
    /// The scripts that its appspec names and what stands in their place.
    pub scripts: BTreeMap<PathBuf, Script>,
    /// Scripts that could not be started.
    pub faults: BTreeMap<PathBuf, Fault>,
}

/// The revisions that a plan concerns.
#[derive(Debug, Clone, Copy)]
pub struct Revisions<'a> {
    /// The one being deployed.
    pub new: &'a Revision,
    /// The one that is installed.
    pub installed: Option<&'a Revision>,
    /// The one that was fetched last.
    pub most_recent: Option<&'a Revision>,
}

/// What stands where a script should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// A file with these permission bits.
    File(u32),
    /// A folder.
    Directory,
    /// Nothing.
    Missing,
}

/// What the plan needs to know beside the revisions.
#[derive(Debug)]
pub struct Surroundings {
    /// Whom the appspecs name in `runas`, resolved.
    pub users: BTreeMap<String, RunAs>,
    /// Whom the agent runs as.
    pub agent: Account,
    /// What the Install event would do, as decided from the disk as it is now.
    pub install: Result<InstallPlan, Vec<Conflict>>,
}

/// A user and its group, by name, or by number where the host has no name for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: String,
    /// Its primary group.
    pub group: String,
    /// The user's number.
    pub uid: u32,
}

/// What a deployment will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whom the agent runs as: the owner of what no entry of `permissions` gives to somebody else.
    pub agent: Account,
    /// What the new release will be.
    pub release: Release,
    /// The release that is installed now.
    pub installed: Option<Release>,
    /// The events, in order.
    pub events: Vec<PlannedEvent>,
    /// Why it cannot be carried out; empty when it can.
    pub blockers: Vec<Blocker>,
    /// What can be lived with, and will surprise.
    pub warnings: Vec<String>,
}

/// One event of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEvent {
    /// The event.
    pub event: LifecycleEvent,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// Whether scripts run before it, which may change what it finds.
    pub expected: bool,
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing, and why.
    Nothing {
        /// Why.
        reason: Idle,
    },
    /// Runs scripts.
    Hooks {
        /// Whose scripts.
        from: ScriptsFrom,
        /// The release they come from.
        revision: Box<Release>,
        /// The scripts, in order.
        hooks: Vec<PlannedHook>,
    },
    /// Records the revision, which was fetched and verified before the first event.
    Download {
        /// Number of files and links in it.
        files: usize,
    },
    /// Copies files and applies permissions.
    Install {
        /// What exactly; `None` when conflicts stand in the way that a script may still remove.
        plan: Option<Box<InstallPlan>>,
    },
}

/// Why an event does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// The appspec hangs no scripts on it.
    NoScripts,
    /// It takes its scripts from the installed revision, and there is none yet.
    FirstDeployment,
    /// The user left it out.
    LeftOut,
    /// The installed revision cannot be read, which blocks the deployment.
    Unreadable,
}

/// One script of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHook {
    /// The script as the appspec writes it.
    pub location: String,
    /// The script in the bundle.
    pub path: BundlePath,
    /// The script on disk.
    #[serde(with = "lossless::path")]
    pub script: PathBuf,
    /// Its limit, seconds.
    pub timeout_s: u64,
    /// Whom it runs as; `None`: whoever runs the agent.
    pub user: Option<String>,
    /// Whether it runs with `sudo`.
    pub sudo: bool,
    /// What is worth knowing, for example that it will be made executable.
    pub notes: Vec<String>,
}

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

impl Plan {
    /// The plan without the files of Install, which are decided again when it begins.
    pub fn outline(&self) -> Plan {
        let event = |planned: &PlannedEvent| PlannedEvent {
            event: planned.event.clone(),
            action: match &planned.action {
                Action::Install { .. } => Action::Install { plan: None },
                action @ (Action::Nothing { .. } | Action::Hooks { .. } | Action::Download { .. }) => action.clone(),
            },
            expected: planned.expected,
        };
        Plan {
            agent: self.agent.clone(),
            release: self.release.clone(),
            installed: self.installed.clone(),
            events: self.events.iter().map(event).collect(),
            blockers: self.blockers.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

impl PlannedHook {
    /// The entry of the appspec that it was planned from.
    pub fn hook(&self) -> Hook {
        Hook {
            script: self.path.clone(),
            location: self.location.clone(),
            timeout: Duration::from_secs(self.timeout_s),
            run_as: self.user.clone(),
            sudo: self.sudo,
            span: Span::default(),
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Idle::NoScripts => "no scripts in the appspec",
            Idle::FirstDeployment => "first deployment of this group, so no installed revision has scripts for it",
            Idle::LeftOut => "left out by `--skip`",
            Idle::Unreadable => "the installed revision cannot be read",
        })
    }
}

impl Blocker {
    /// The exit code of a deployment that it stops.
    pub fn exit(&self) -> Exit {
        match self {
            Blocker::WrongOs | Blocker::NoScript { .. } | Blocker::InstalledUnreadable { .. } => Exit::Invalid,
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

/// Decides.
pub fn plan(order: &Order, revisions: Revisions<'_>, listing: &Listing, surroundings: Surroundings) -> Plan {
    let Revisions { new, installed, .. } = revisions;
    let mut plan = Plan {
        agent: surroundings.agent,
        release: new.release.clone(),
        installed: installed.map(|revision| revision.release.clone()),
        events: Vec::new(),
        blockers: Vec::new(),
        warnings: Vec::new(),
    };
    if new.appspec.as_ref().is_ok_and(|appspec| appspec.os == Os::Windows) {
        plan.blockers.push(Blocker::WrongOs);
    }
    let mut install = Some(surroundings.install);
    for event in &order.events {
        let expected = plan.events.iter().any(|earlier| matches!(earlier.action, Action::Hooks { .. }));
        let action = match event {
            LifecycleEvent::DownloadBundle => Action::Download { files: files(listing) },
            LifecycleEvent::Install => plan_install(&mut plan, install.take()),
            LifecycleEvent::BeforeBlockTraffic
            | LifecycleEvent::AfterBlockTraffic
            | LifecycleEvent::ApplicationStop
            | LifecycleEvent::BeforeInstall
            | LifecycleEvent::AfterInstall
            | LifecycleEvent::ApplicationStart
            | LifecycleEvent::ValidateService
            | LifecycleEvent::BeforeAllowTraffic
            | LifecycleEvent::AfterAllowTraffic
            | LifecycleEvent::Custom(_) => plan_hooks(&mut plan, event, order, revisions, &surroundings.users),
        };
        plan.events.push(PlannedEvent { event: event.clone(), action, expected });
    }
    plan
}

/// Whose scripts an event runs.
fn scripts_from(order: &Order, event: &LifecycleEvent) -> ScriptsFrom {
    let downloaded =
        order.events.iter().take_while(|other| *other != event).any(|e| *e == LifecycleEvent::DownloadBundle);
    match (event.scripts_from(order.scripts_map), order.stop_from) {
        // As the AWS agent 1.8.1: once the new revision is there, it is used for everything.
        _ if downloaded => ScriptsFrom::Current,
        (ScriptsFrom::Installed | ScriptsFrom::MostRecent, StopFrom::New) => ScriptsFrom::Current,
        (from, StopFrom::Installed | StopFrom::New) => from,
    }
}

/// How many files and links a bundle holds.
fn files(listing: &Listing) -> usize {
    listing.iter().filter(|(_, item)| item.kind != ItemKind::Directory).count()
}

/// Conflicts are final unless the release's own `BeforeInstall` scripts run first: that event is the documented place for
/// moving old files away, so only a look after it can tell.
fn plan_install(plan: &mut Plan, install: Option<Result<InstallPlan, Vec<Conflict>>>) -> Action {
    let prepared_by_script = plan.events.iter().any(|earlier| {
        earlier.event == LifecycleEvent::BeforeInstall && matches!(earlier.action, Action::Hooks { .. })
    });
    match install {
        Some(Ok(install)) => Action::Install { plan: Some(Box::new(install)) },
        Some(Err(conflicts)) => {
            // The operating system was judged for the whole deployment.
            for conflict in conflicts.iter().filter(|conflict| conflict.kind != ConflictKind::WrongOs) {
                if prepared_by_script && conflict.is_of_the_host() {
                    plan.warnings
                        .push(format!("Install will fail unless a BeforeInstall script changes it: {conflict}"));
                } else {
                    plan.blockers.push(Blocker::Install { message: conflict.to_string(), fix: conflict.fix() });
                }
            }
            Action::Install { plan: None }
        }
        // An order names each event once.
        None => Action::Install { plan: None },
    }
}

fn plan_hooks(
    plan: &mut Plan,
    event: &LifecycleEvent,
    order: &Order,
    revisions: Revisions<'_>,
    users: &BTreeMap<String, RunAs>,
) -> Action {
    let nothing = |reason| Action::Nothing { reason };
    if order.skip.contains(event) {
        return nothing(Idle::LeftOut);
    }
    let from = scripts_from(order, event);
    let revision = match from {
        ScriptsFrom::Current => Some(revisions.new),
        ScriptsFrom::Installed => revisions.installed,
        ScriptsFrom::MostRecent => revisions.most_recent,
    };
    let Some(revision) = revision else { return nothing(Idle::FirstDeployment) };
    let appspec = match &revision.appspec {
        Ok(appspec) => appspec,
        Err(reason) => {
            let known = plan.blockers.iter_mut().find_map(|blocker| match blocker {
                Blocker::InstalledUnreadable { events, .. } => Some(events),
                Blocker::WrongOs
                | Blocker::NoScript { .. }
                | Blocker::NoSuchEvent { .. }
                | Blocker::NotStartable { .. }
                | Blocker::NoUser { .. }
                | Blocker::NotRoot { .. }
                | Blocker::Install { .. } => None,
            });
            match known {
                Some(events) => events.push(event.clone()),
                None => plan
                    .blockers
                    .push(Blocker::InstalledUnreadable { events: vec![event.clone()], reason: reason.clone() }),
            }
            return nothing(Idle::Unreadable);
        }
    };
    let hooks = appspec.hooks_of(event);
    if hooks.is_empty() && !event.is_built_in() {
        plan.blockers.push(Blocker::NoSuchEvent { event: event.clone() });
    }
    if hooks.is_empty() {
        return nothing(Idle::NoScripts);
    }
    let prepared_by_script = plan.events.iter().any(|earlier| {
        earlier.event == LifecycleEvent::BeforeInstall && matches!(earlier.action, Action::Hooks { .. })
    });
    let mut planned = Vec::new();
    for hook in hooks {
        let script = hook.script.under(&revision.release.archive);
        let mut notes = Vec::new();
        match revision.scripts.get(&script).copied().unwrap_or(Script::Missing) {
            Script::File(mode) if mode & 0o111 == 0 => {
                notes.push("not executable in the bundle: will be made executable".to_owned());
            }
            Script::File(_) => {}
            Script::Missing | Script::Directory => plan.blockers.push(Blocker::NoScript {
                event: event.clone(),
                location: hook.location.clone(),
                script: script.clone(),
                from,
            }),
        }
        if let Some(fault) = revision.faults.get(&script) {
            let precedes = Precedes { before_install: prepared_by_script, script: !planned.is_empty() };
            plan_fault(plan, fault, event, hook, from, precedes);
        }
        if let Some(RunAs::User(user)) = hook.run_as.as_ref().and_then(|user| users.get(user))
            && plan.agent.uid != 0
            && user.uid != plan.agent.uid
        {
            plan.blockers.push(Blocker::NotRoot {
                event: event.clone(),
                location: hook.location.clone(),
                user: user.name.clone(),
                agent: plan.agent.user.clone(),
            });
        }
        if let Some(user) = &hook.run_as
            && matches!(users.get(user), None | Some(RunAs::Unknown(_)))
        {
            let blocker = Blocker::NoUser { event: event.clone(), location: hook.location.clone(), user: user.clone() };
            if prepared_by_script {
                plan.warnings.push(format!("{blocker}; it will fail unless a BeforeInstall script creates the user"));
            } else {
                plan.blockers.push(blocker);
            }
        }
        planned.push(PlannedHook {
            location: hook.location.clone(),
            path: hook.script.clone(),
            script,
            timeout_s: hook.timeout.as_secs(),
            user: hook.run_as.clone(),
            sudo: hook.sudo,
            notes,
        });
    }
    Action::Hooks { from, revision: Box::new(revision.release.clone()), hooks: planned }
}

/// What runs before a script in its deployment.
#[derive(Clone, Copy)]
struct Precedes {
    /// Scripts of BeforeInstall.
    before_install: bool,
    /// Another script of the same event.
    script: bool,
}

/// A script that could not be started as things are now. A script before it may change that: by mending it where it stands,
/// or by installing its interpreter, as the Install event may too.
fn plan_fault(
    plan: &mut Plan,
    fault: &Fault,
    event: &LifecycleEvent,
    hook: &Hook,
    from: ScriptsFrom,
    precedes: Precedes,
) {
    let location = &hook.location;
    let (reason, may_change) = match fault {
        Fault::WindowsLineEnd { reason } => (reason.clone(), precedes.before_install),
        Fault::NoInterpreter { interpreter } => {
            let earlier = plan.events.iter().any(|earlier| match &earlier.action {
                Action::Hooks { .. } => true,
                Action::Install { plan: None } => true,
                Action::Install { plan: Some(install) } => {
                    // A link of the release may stand for a folder that has it.
                    install.copies.iter().any(|copy| interpreter.starts_with(&copy.destination))
                }
                Action::Nothing { .. } | Action::Download { .. } => false,
            });
            let interpreter = interpreter.display();
            (
                format!(
                    "the interpreter `{interpreter}` of `{location}` does not exist; install it, or change the `#!` line"
                ),
                earlier || precedes.script,
            )
        }
        Fault::NotInPath { program } => {
            plan.warnings.push(format!(
                "{event}: `{location}` runs with `{program}`, which is in no folder of the agent's PATH"
            ));
            return;
        }
    };
    if may_change {
        plan.warnings.push(format!("{event}: {reason}; it will fail unless a script before it changes that"));
    } else {
        let (event, location) = (event.clone(), location.clone());
        plan.blockers.push(Blocker::NotStartable { event, location, reason, from });
    }
}
