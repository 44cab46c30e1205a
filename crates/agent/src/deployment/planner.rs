//! Decides what a deployment will do: order + revisions + what stands on disk → [`Plan`]. Pure.
//!
//! `longshore-agent plan` prints the result, `deploy` carries it out; there is no other place that decides.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use longshore_core::appspec::{AppSpec, Hook, Os};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::order::{Order, StopFrom};
use super::plan::{Account, Action, Blocker, Idle, Plan, PlannedEvent, PlannedHook, Revisions, Script, Surroundings};
use crate::hook::command::RunAs;
use crate::hook::fault::Fault;
use crate::install::conflict::{Conflict, ConflictKind};
use crate::install::listing::{ItemKind, Listing};
use crate::install::plan::InstallPlan;

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
    if let (Ok(appspec), Some(possible)) = (&new.appspec, &order.possible_events) {
        plan.blockers.extend(impossible(appspec, possible));
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
            | LifecycleEvent::Custom(_) => {
                let from = scripts_from(order, event);
                plan_hooks(&mut plan, event, from, order, revisions, &surroundings.users)
            }
        };
        plan.events.push(PlannedEvent { event: event.clone(), action, expected });
    }
    plan
}

/// Events that the service never asks for, and such that it asks for and the release does not have (AWS agent 1.8.1).
fn impossible(appspec: &AppSpec, possible: &[String]) -> Vec<Blocker> {
    // The service's own, which it asks no host for.
    const OF_THE_SERVICE: [&str; 4] = ["Start", "BlockTraffic", "AllowTraffic", "End"];
    let has = |name: &str| appspec.hooks.keys().any(|event| event.name() == name);
    let is_known = |name: &str| {
        OF_THE_SERVICE.contains(&name) || LifecycleEvent::ALL.iter().any(|event| event.name() == name) || has(name)
    };
    let extra =
        appspec.hooks.keys().map(LifecycleEvent::name).filter(|name| !possible.iter().any(|other| other == name));
    let extra: Vec<String> = extra.map(str::to_owned).collect();
    let missing: Vec<String> = possible.iter().filter(|name| !is_known(name)).cloned().collect();
    let extra = (!extra.is_empty()).then_some(Blocker::ImpossibleEvents { events: extra });
    let missing = (!missing.is_empty()).then_some(Blocker::MissingEvents { events: missing });
    extra.into_iter().chain(missing).collect()
}

/// Decides on one event alone, which takes its scripts from `from`.
pub fn plan_alone(
    order: &Order,
    event: &LifecycleEvent,
    from: ScriptsFrom,
    revisions: Revisions<'_>,
    users: &BTreeMap<String, RunAs>,
    agent: Account,
) -> Plan {
    let mut plan = Plan {
        agent,
        release: revisions.new.release.clone(),
        installed: revisions.installed.map(|revision| revision.release.clone()),
        events: Vec::new(),
        blockers: Vec::new(),
        warnings: Vec::new(),
    };
    let action = plan_hooks(&mut plan, event, from, order, revisions, users);
    plan.events.push(PlannedEvent { event: event.clone(), action, expected: false });
    plan
}

/// Where the scripts of an event stand that is asked for alone (AWS agent 1.8.1). `is_here`: whether the order's own revision
/// was put on this host. `None`: the plan of all events says the same.
pub fn alone(order: &Order, event: &LifecycleEvent, is_planned: bool, is_here: bool) -> Option<ScriptsFrom> {
    if order.needs_bundle(event) {
        return None;
    }
    let now = whose(order, event, is_here);
    (!is_planned || now != scripts_from(order, event)).then_some(now)
}

/// Whose scripts an event runs, in the plan of all events.
pub fn scripts_from(order: &Order, event: &LifecycleEvent) -> ScriptsFrom {
    let downloaded =
        order.events.iter().take_while(|other| *other != event).any(|e| *e == LifecycleEvent::DownloadBundle);
    whose(order, event, downloaded)
}

fn whose(order: &Order, event: &LifecycleEvent, downloaded: bool) -> ScriptsFrom {
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
    from: ScriptsFrom,
    order: &Order,
    revisions: Revisions<'_>,
    users: &BTreeMap<String, RunAs>,
) -> Action {
    let nothing = |reason| Action::Nothing { reason };
    if order.skip.contains(event) {
        return nothing(Idle::LeftOut);
    }
    let revision = match from {
        ScriptsFrom::Current => Some(revisions.new),
        ScriptsFrom::Installed => revisions.installed,
        ScriptsFrom::MostRecent => revisions.most_recent,
    };
    let Some(revision) = revision else { return nothing(Idle::FirstDeployment) };
    let appspec = match &revision.appspec {
        Ok(appspec) => appspec,
        Err(reason) if from == ScriptsFrom::Current => {
            plan.blockers.push(Blocker::NoBundle { event: event.clone(), reason: reason.clone() });
            return nothing(Idle::Unreadable);
        }
        Err(reason) => {
            let known = plan.blockers.iter_mut().find_map(|blocker| match blocker {
                Blocker::InstalledUnreadable { events, .. } => Some(events),
                Blocker::WrongOs
                | Blocker::NoScript { .. }
                | Blocker::NoSuchEvent { .. }
                | Blocker::NotStartable { .. }
                | Blocker::NoUser { .. }
                | Blocker::NotRoot { .. }
                | Blocker::NoBundle { .. }
                | Blocker::ImpossibleEvents { .. }
                | Blocker::MissingEvents { .. }
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
