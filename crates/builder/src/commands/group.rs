//! What `push`, `point`, `deploy` and `rollback` have in common: the pointers of groups move, and their hosts are waited for.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::figures::{plural, quoted};
use longshore_core::ids::{DeploymentId, GroupName};
use longshore_core::pointer::Pointer;
use longshore_core::store::{Store, StoreUrl};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::{DeployWaitArgs, OnInterrupt, WaitArgs};
use crate::display::{Screen, sheet};
use crate::environment::Environment;
use crate::event::{Event, HostSeen};
use crate::fleet::{LeftOut, Standing};
use crate::interrupt::asked_to_stop;
use crate::pointing::{How, Moved, Place, PointError, Stands, Stopping};
use crate::signer;
use crate::succession::{self, Candidate, Move, Older};
use crate::waiting::{self, Ended, Terms, Waited};

/// Why a command about groups was refused or did not end well.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    /// The asynchronous runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The artifact is not that of a commit.
    #[error("`{0}` was built from a work tree that differs from its commit, and no group is moved to it")]
    Dirty(String),
    /// A host failed.
    #[error("deployment {deployment} to `{group}` failed on {failed} of {}: {hosts}", plural(*.of, "host"))]
    Failed { deployment: DeploymentId, group: GroupName, failed: usize, of: usize, hosts: String },
    /// A host failed, and its last good release came back.
    #[error(
        "deployment {deployment} to `{group}` failed on {failed} of {}, and the last good release came back there: {hosts}",
        plural(*.of, "host")
    )]
    RolledBack { deployment: DeploymentId, group: GroupName, failed: usize, of: usize, hosts: String },
    /// Somebody stopped it.
    #[error("deployment {deployment} to `{group}` was stopped{by}{hosts}")]
    Stopped { deployment: DeploymentId, group: GroupName, by: String, hosts: String },
    /// Time was up.
    #[error("deployment {deployment} to `{group}` has not ended within {limit}: {why}")]
    TimedOut { deployment: DeploymentId, group: GroupName, limit: String, why: String },
    /// Nobody is left who would make it.
    #[error("deployment {deployment} to `{group}` waits for hosts that are paused: {hosts}")]
    Paused { deployment: DeploymentId, group: GroupName, hosts: String },
    /// Several groups did not end well.
    #[error("{0}")]
    Several(String),
    /// The pointer moved on.
    #[error(
        "deployment {deployment} to `{group}` was overtaken: {by} moved the group to commit {commit} at {at} (generation \
         {generation}, {successor})"
    )]
    Superseded {
        deployment: DeploymentId,
        group: GroupName,
        by: String,
        commit: String,
        at: String,
        generation: u64,
        successor: DeploymentId,
    },
    /// Somebody wants this process to end.
    #[error("interrupted; deployment {deployment} to `{group}` goes on")]
    Interrupted { deployment: DeploymentId, group: GroupName },
    /// The store cannot be asked.
    #[error("cannot see how deployment {deployment} to `{group}` goes on")]
    Lost { deployment: DeploymentId, group: GroupName, source: Arc<PointError> },
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
        // Who cannot answer is not asked.
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
        let on_interrupt = match on_interrupt.unwrap_or(OnInterrupt::Ask) {
            OnInterrupt::Ask if !asks => OnInterrupt::Leave,
            on_interrupt => on_interrupt,
        };
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
    store: &Store,
    to: &StoreUrl,
    steps: Vec<Step>,
    waiting: &Patience,
    environment: &Environment,
    screen: &Screen,
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
        match place.go_unless_stopped(stands, &ours, older, &by).await {
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
        let terms = Terms { limit: waiting.limit, until, at_least: waiting.at_least };
        let mut failures = Vec::new();
        for (moved, waited) in &mut done.groups {
            let pointer = &moved.pointer;
            let place = Place { store, application: &pointer.application, group: &pointer.group };
            let ended = follow(place, pointer, &terms, waiting.on_interrupt, &by, screen).await;
            failures.extend(failure(pointer, &ended, waiting, to));
            let interrupted = matches!(ended.ended, Ended::Interrupted);
            *waited = Some(ended);
            // All groups are waited for, whatever became of the first one.
            if interrupted {
                break;
            }
        }
        done.failure = together(failures);
    }
    Ok(done)
}

/// Waits for the hosts of a group. Where that is what an interruption means, the deployment is stopped, and its hosts are waited for
/// on until the next interruption.
async fn follow(
    place: Place<'_>,
    pointer: &Pointer,
    terms: &Terms,
    on_interrupt: OnInterrupt,
    by: &str,
    screen: &Screen,
) -> Waited {
    let waited = waiting::wait(place, pointer, terms, screen).await;
    let stops = match (&waited.ended, on_interrupt) {
        (Ended::Interrupted, OnInterrupt::Stop) => true,
        (Ended::Interrupted, OnInterrupt::Ask) => ask(&pointer.deployment, screen).await,
        (_, _) => false,
    };
    if !stops {
        return waited;
    }
    match place.stop(&pointer.deployment, by).await {
        Err(error) => {
            screen.tell(&Event::Warned(format!("the deployment was not stopped: {}", chain(&error))));
            waited
        }
        Ok(asked) => {
            let again = waiting::wait(place, pointer, terms, screen).await;
            match (again.ended, asked) {
                (Ended::Interrupted, Stopping::Asked(pointer)) => {
                    Waited { ended: Ended::Stopped(Some(pointer)), hosts: again.hosts }
                }
                (ended, _) => Waited { ended, hosts: again.hosts },
            }
        }
    }
}

/// Whether whoever sits at the terminal wants the deployment stopped. Another interruption is no.
async fn ask(deployment: &DeploymentId, screen: &Screen) -> bool {
    screen.tell(&Event::Asking(deployment.clone()));
    let (say, answered) = tokio::sync::oneshot::channel();
    // Nobody can take back the question that a terminal was asked, so this thread may outlive it.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Nobody listens any more when somebody pressed Ctrl-C instead.
        let _ = say.send(read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes"));
    });
    tokio::select! {
        answer = answered => answer.unwrap_or(false),
        () = asked_to_stop() => false,
    }
}

impl Done {
    /// The first group's deployment, and how it ended as far as somebody waited.
    pub(crate) fn first(&self) -> Option<(&Pointer, &'static str)> {
        let (moved, waited) = self.groups.first()?;
        Some((&moved.pointer, waited.as_ref().map_or("created", ended_word)))
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
    json!({"ended": ended_word(waited), "hosts": hosts})
}

fn ended_word(waited: &Waited) -> &'static str {
    match &waited.ended {
        Ended::Succeeded => "succeeded",
        Ended::Failed if is_rolled_back(waited) => "rolled_back",
        Ended::Failed => "failed",
        Ended::Stopped(_) => "stopped",
        Ended::TimedOut => "timed_out",
        Ended::Paused => "paused",
        Ended::Superseded(_) => "superseded",
        Ended::Interrupted => "interrupted",
        Ended::Lost(_) => "lost",
    }
}

/// Whether the last good release came back wherever the deployment failed.
fn is_rolled_back(waited: &Waited) -> bool {
    let mut failed = waited.hosts.iter().filter(|seen| seen.standing == Standing::Failed);
    failed.all(|seen| seen.status.as_ref().is_some_and(|status| status.restored))
}

/// Failures of several groups as one; the first decides on the exit code.
fn together(mut failures: Vec<Failure>) -> Option<Failure> {
    if failures.len() < 2 {
        return failures.pop();
    }
    let exit = failures.first()?.exit;
    let all = failures.iter().map(|failure| chain(&*failure.error)).collect::<Vec<_>>().join("; ");
    let mut hints: Vec<String> = failures.into_iter().flat_map(|failure| failure.hints).collect();
    hints.dedup();
    Some(Failure { hints, ..Failure::new(exit, GroupError::Several(all)) })
}

fn failure(pointer: &Pointer, waited: &Waited, patience: &Patience, to: &StoreUrl) -> Option<Failure> {
    let Pointer { deployment, group, application, .. } = pointer;
    let (deployment, group) = (deployment.clone(), group.clone());
    let named = |is: fn(&HostSeen) -> bool| -> Vec<&str> {
        waited.hosts.iter().filter(|seen| is(seen)).map(|seen| seen.host.as_str()).collect()
    };
    let options = format!(
        "--to {} --group {} --application {}",
        quoted(&to.to_string()),
        quoted(group.as_str()),
        quoted(application.as_str())
    );
    let look = format!("`longshore status {options}` shows how it goes on");
    let back = format!("`longshore rollback --with store {options}`");
    Some(match &waited.ended {
        Ended::Succeeded => return None,
        Ended::Failed => {
            let hosts = named(|seen| seen.standing == Standing::Failed);
            let (failed, of) = (hosts.len(), named(|seen| seen.standing.is_final()).len());
            let (deployment, hosts) = (deployment.clone(), hosts.join(", "));
            let (exit, failed) = if is_rolled_back(waited) {
                (Exit::RolledBack, GroupError::RolledBack { deployment, group, failed, of, hosts })
            } else {
                (Exit::DeploymentFailed, GroupError::Failed { deployment, group, failed, of, hosts })
            };
            let made = |seen: &HostSeen| {
                let of = seen.status.as_ref().and_then(|status| status.deployment.as_ref());
                seen.standing == Standing::Failed && of == Some(&pointer.deployment)
            };
            let failure = Failure::new(exit, failed);
            // Who refused the pointer itself has made no deployment of it.
            if waited.hosts.iter().any(made) {
                failure.hint(format!("on the host: longshore-agent explain {}", pointer.deployment))
            } else {
                failure.hint(look)
            }
        }
        Ended::Stopped(by) => {
            let by = by.as_ref().map(|pointer| format!(" by {} at {}", pointer.by, pointer.at)).unwrap_or_default();
            let hosts = [
                (Standing::Succeeded, "succeeded"),
                (Standing::Halted, "halted"),
                (Standing::Failed, "failed"),
                (Standing::Deploying, "still in an event"),
            ]
            .into_iter()
            .filter_map(|(standing, word)| {
                let hosts: Vec<&str> = waited
                    .hosts
                    .iter()
                    .filter(|seen| seen.standing == standing)
                    .map(|seen| seen.host.as_str())
                    .collect();
                (!hosts.is_empty()).then(|| format!("; {word}: {}", hosts.join(", ")))
            })
            .collect();
            let stopped = GroupError::Stopped { deployment, group, by, hosts };
            Failure::new(Exit::Stopped, stopped)
                .hint(format!("hosts stay as they are until the group moves on: deploy again, or {back}"))
        }
        Ended::TimedOut => {
            let hosts = named(|seen| seen.standing.is_under_way());
            let left_out = named(|seen| matches!(seen.standing, Standing::LeftOut(_)));
            let why = match (hosts.as_slice(), left_out.as_slice(), waited.hosts.as_slice()) {
                (_, _, []) => "no host follows the group".to_owned(),
                ([], left_out, _) if !left_out.is_empty() => {
                    format!("too few hosts made it; left out: {}", left_out.join(", "))
                }
                ([], _, _) => "too few hosts made it".to_owned(),
                (hosts, _, _) => format!("still under way: {}", hosts.join(", ")),
            };
            let limit = sheet::span(patience.limit.as_secs());
            Failure::new(Exit::TimedOut, GroupError::TimedOut { deployment, group, limit, why }).hint(look)
        }
        Ended::Paused => {
            let hosts = named(|seen| seen.standing == Standing::LeftOut(LeftOut::Paused)).join(", ");
            Failure::new(Exit::TimedOut, GroupError::Paused { deployment, group, hosts })
                .hint("on the host: longshore-agent control resume")
                .hint(look)
        }
        Ended::Superseded(by) => {
            let Pointer { by, commit, at, generation, deployment: successor, .. } = by.as_ref();
            let superseded = GroupError::Superseded {
                deployment,
                group,
                by: by.clone(),
                commit: commit.short().to_owned(),
                at: at.clone(),
                generation: *generation,
                successor: successor.clone(),
            };
            Failure::new(Exit::Conflict, superseded).hint(look)
        }
        Ended::Interrupted => Failure::new(Exit::Failed, GroupError::Interrupted { deployment, group }).hint(look),
        Ended::Lost(source) => {
            let (exit, hint) = match source.as_ref() {
                PointError::Store { source, .. } => (source.exit(), source.hint()),
                PointError::Unknown { .. }
                | PointError::Older { .. }
                | PointError::Overtaken(_)
                | PointError::Contested { .. }
                | PointError::Interrupted { .. }
                | PointError::Random(_) => (Exit::Conflict, None),
            };
            let source = Arc::clone(source);
            let lost = Failure::new(exit, GroupError::Lost { deployment, group, source });
            hint.into_iter().fold(lost, Failure::hint).hint(look)
        }
    })
}

/// The user and the host.
pub(crate) fn local(environment: &Environment) -> (String, String) {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let named = environment.get("SUDO_USER").or_else(|| environment.get("USER")).map(str::to_owned);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let unknown = || "unknown".to_owned();
    (named.or(user).unwrap_or_else(unknown), host.unwrap_or_else(unknown))
}
