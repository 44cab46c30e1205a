//! What `push`, `point`, `deploy` and `rollback` have in common: the pointers of groups move, and their hosts are waited for.

mod outcome;

use std::io;
use std::time::{Duration, Instant};

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupName;
use longshore_core::pointer::Pointer;
use longshore_core::store::Store;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::{DeployWaitArgs, OnInterrupt, WaitArgs};
use crate::display::{Screen, sheet};
use crate::environment::Environment;
use crate::event::Event;
use crate::interrupt::Interruptions;
use crate::interruption;
use crate::pointing::{How, Moved, Place, PointError, Stands};
use crate::signer;
use crate::site::Site;
use crate::succession::{self, Candidate, Move, Older};
use crate::waiting::{Ended, Terms, Wait, Waited};

/// Why a command about groups was refused or did not end well.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    /// The asynchronous runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The artifact is not that of a commit.
    #[error("`{0}` was built from a work tree that differs from its commit, and no group is moved to it")]
    Dirty(String),
}

/// What runs everything that waits for a store.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Failed, GroupError::Runtime(error)))
}

/// Refuses a dirty artifact unless it is wanted.
pub(crate) fn accept(dirty: bool, artifact: &str, allowed: bool) -> Result<(), Failure> {
    if !dirty || allowed {
        return Ok(());
    }
    let refused = Failure::new(Exit::Failed, GroupError::Dirty(artifact.to_owned()));
    Err(refused.hint("commit and build again, or add `--allow-dirty`"))
}

/// A pointer that should move.
#[derive(Debug)]
pub(crate) struct Step {
    /// The group.
    pub(crate) group: GroupName,
    /// Its pointer as it was read.
    pub(crate) stands: Option<Stands>,
    /// What it should name.
    pub(crate) ours: Candidate,
    /// Whether it may go back.
    pub(crate) older: Older,
}

/// Whether, how long and for whom is waited, and what an interruption means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    wait: bool,
    limit: Duration,
    at_least: usize,
    on_interrupt: OnInterrupt,
}

impl Patience {
    /// Nobody is waited for.
    pub(crate) fn none() -> Patience {
        Patience { wait: false, limit: Duration::ZERO, at_least: 0, on_interrupt: OnInterrupt::Leave }
    }
}

impl From<&WaitArgs> for Patience {
    fn from(args: &WaitArgs) -> Patience {
        let WaitArgs { wait, timeout: limit, wait_hosts: at_least } = *args;
        Patience { wait, limit, at_least, on_interrupt: OnInterrupt::Leave }
    }
}

impl From<&DeployWaitArgs> for Patience {
    fn from(args: &DeployWaitArgs) -> Patience {
        let DeployWaitArgs { wait, timeout: limit, wait_hosts: at_least, on_interrupt } = *args;
        let on_interrupt = on_interrupt.unwrap_or_else(interruption::default_policy);
        Patience { wait, limit, at_least, on_interrupt }
    }
}

/// What became of the groups. A failure may come after some of them.
#[derive(Debug, Default)]
pub(crate) struct Done {
    groups: Vec<(Moved, Option<Waited>)>,
    /// Why it is not all.
    pub(crate) failure: Option<Failure>,
}

/// Moves pointers one after the other, then waits for their hosts. Nothing moves when one of them may not.
pub(crate) async fn carry_out(
    (store, site): (&Store, &Site),
    steps: Vec<Step>,
    waiting: &Patience,
    environment: &Environment,
    screen: &Screen,
    signals: &mut Interruptions,
) -> Result<Done, Failure> {
    for step in &steps {
        let current = step.stands.as_ref().map(|stands| &stands.pointer);
        if let (Some(theirs), None) = (current, succession::decide(current, &step.ours, step.older)) {
            let (theirs, ours) = (Box::new(theirs.clone()), Box::new(step.ours.clone()));
            return Err(PointError::Older { theirs, ours, raced: false }.into());
        }
    }
    let by = signer::signer(environment, || local(environment));
    let mut done = Done::default();
    for Step { group, stands, ours, older } in steps {
        let place = Place { store, application: &ours.application, group: &group };
        let moved = tokio::select! {
            biased;
            () = signals.next() => {
                Err(PointError::Interrupted { application: ours.application.clone(), group: group.clone() })
            }
            moved = place.go(stands, &ours, older, &by) => moved,
        };
        match moved {
            Ok(moved) => {
                screen.tell(&Event::Moved(Box::new(moved.clone())));
                if let Some(why) = &moved.unwritten {
                    let text = format!("how the deployment before ended is not written down: {why}");
                    screen.tell(&Event::Warned(text));
                }
                if moved.hosts == 0 {
                    let text = format!("no host follows group `{group}` of `{}` yet", ours.application);
                    screen.tell(&Event::Warned(text));
                }
                done.groups.push((moved, None));
            }
            Err(error) => {
                done.failure = Some(error.into());
                return Ok(done);
            }
        }
    }
    if waiting.wait {
        let until = Instant::now() + waiting.limit;
        let Patience { limit, at_least, on_interrupt, .. } = *waiting;
        let terms = Terms { limit, until, at_least, on_interrupt };
        let mut failures = Vec::new();
        for (moved, waited) in &mut done.groups {
            let pointer = &moved.pointer;
            let place = Place { store, application: &pointer.application, group: &pointer.group };
            let ended = Wait { place, pointer, terms: &terms, by: &by, screen }.until_end(signals).await;
            failures.extend(outcome::failure(pointer, &ended, limit, site));
            let interrupted = matches!(ended.ended, Ended::Interrupted | Ended::PerhapsStopped);
            *waited = Some(ended);
            // All groups are waited for, whatever became of the first one.
            if interrupted {
                break;
            }
        }
        done.failure = outcome::together(failures);
    }
    Ok(done)
}

impl Done {
    /// The first group's deployment, and how it ended as far as somebody waited.
    pub(crate) fn first(&self) -> Option<(&Pointer, &'static str)> {
        let (moved, waited) = self.groups.first()?;
        Some((&moved.pointer, waited.as_ref().map_or("created", outcome::word)))
    }

    /// For people: each group, and its hosts when they were waited for. Why some failed was told when they did.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (moved, waited) in &self.groups {
            let Pointer { group, generation, deployment, commit, .. } = &moved.pointer;
            text.push_str(&format!(
                "   group  {group}, generation {generation}, deployment {deployment}, commit {}\n",
                commit.short()
            ));
            if let Some(waited) = waited.as_ref().filter(|waited| !waited.hosts.is_empty()) {
                text.push_str(&format!("\n{}\n", sheet::rows(Some(&moved.pointer), &waited.hosts)));
            }
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let group = |(moved, waited): &(Moved, Option<Waited>)| {
            json!({
                "application": moved.pointer.application,
                "group": moved.pointer.group,
                "moved": match moved.how {
                    How::Ours(Move::First) => "first",
                    How::Ours(Move::Forward) => "forward",
                    How::Ours(Move::Again) => "again",
                    How::Ours(Move::Back) => "back",
                    How::Theirs => "by_another",
                },
                "pointer": moved.pointer,
                "before": moved.before,
                "waited": waited.as_ref().map(waited_json),
            })
        };
        self.groups.iter().map(group).collect()
    }
}

fn waited_json(waited: &Waited) -> Value {
    let hosts: Vec<Value> = waited.hosts.iter().map(sheet::host_json).collect();
    json!({"ended": outcome::word(waited), "hosts": hosts})
}

/// The user and the host.
pub(crate) fn local(environment: &Environment) -> (String, String) {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let named = environment.get("SUDO_USER").or_else(|| environment.get("USER")).map(str::to_owned);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let unknown = || "unknown".to_owned();
    (named.or(user).unwrap_or_else(unknown), host.unwrap_or_else(unknown))
}
