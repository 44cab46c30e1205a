//! Joins the parts: takes the lock, prepares, and walks the plan one journaled step at a time, also when an earlier agent
//! began.
//!
//! Holds no rules: [`super::plan`] and [`super::restore`] decide, [`super::step`] acts.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::report::Fanout;

use super::agent::{self, Agent};
use super::answer::Answer;
use super::journal::{self, Entry, Journal, Outcome, Step};
use super::order::{Cause, Order};
use super::plan::{Action, PlannedEvent, Revision};
use super::prepare::{self, Ready};
use super::progress::Progress;
use super::refusal::CannotWrite;
use super::restore::{self, NotDue};
use super::step::{Place, StepFailure, Steps};
use super::throttle::elapsed;
use super::unfinished;
use crate::event::{Event, Restored};
use crate::history;
use crate::hook::{HookOutcome, boot_id, watch};
use crate::layout::{DeploymentDir, Layout};
use crate::lock::{Lock, LockError};
use crate::release::{self, Release};
use crate::retention;

/// Carries out an order, from the lock to the last event. Returns when it succeeded.
pub fn deploy(agent: &Agent, order: &Order) -> Result<(), Failure> {
    let layout = &agent.layout;
    let lock = lock(layout, &order.group.id, &format!("deployment {}", order.deployment))?;
    let directory = layout.deployment(&order.group.id, &order.deployment);
    if directory.path().exists() {
        let message = format!("deployment `{}` exists already ({})", order.deployment, directory.path().display());
        return Err(Failure::new(Exit::Conflict, message).hint(format!(
            "leave `--deployment-id` out to get a fresh one, or go on with one that was interrupted: \
             longshore-agent resume{}",
            layout.option()
        )));
    }
    carry_out(agent, &lock, order)
}

/// Carries out one event of an order whose events are asked for one at a time ([`super::order::Pace::OnCommand`]), and
/// before the first of them everything that can go wrong without changing the host. Goes on where an earlier agent stopped;
/// an event that is done is not done again, its recorded end is the answer.
pub fn command(_agent: &Agent, _order: &Order, _event: &LifecycleEvent) -> Answer {
    Answer::HandedOver
}

/// Goes on with what an earlier agent left unfinished in a group. Returns whether there was anything; an error is that of
/// the deployment.
pub fn resume(agent: &Agent, group: &GroupId) -> Result<bool, Failure> {
    let lock = lock(&agent.layout, group, "resume")?;
    unfinished::sweep(agent, &lock);
    let mut open = Vec::new();
    for (_, path) in history::journals(&agent.layout, group).map_err(unreadable)? {
        let progress = Progress::replay(journal::read(&path).map_err(unreadable)?);
        open.extend(progress.filter(|progress| progress.closed.is_none()));
    }
    // One that restores is part of the one that failed, which comes to it by itself.
    let is_restore = |progress: &Progress| matches!(progress.order.cause, Cause::Restore { .. });
    let newest = open.iter().max_by_key(|progress| (!is_restore(progress), progress.order.number));
    match newest {
        Some(progress) => carry_out(agent, &lock, &progress.order).map(|()| true),
        None => Ok(false),
    }
}

fn lock(layout: &Layout, group: &GroupId, holder: &str) -> Result<Lock, Failure> {
    Lock::acquire(layout, group, holder).map_err(|error| match &error {
        LockError::Busy { .. } => Failure::new(Exit::Busy, error).hint(format!(
            "wait for it to end; `longshore-agent logs --follow{root}` shows what it does, `longshore-agent history{root}` how \
             it ended",
            root = layout.option()
        )),
        LockError::Io { .. } => Failure::new(Exit::Failed, error).hint(format!(
            "the agent needs to write below {}; run it as root, or give another folder with `--root`",
            layout.root().display()
        )),
    })
}

/// Begins an order, or goes on with it where its journal ends.
fn carry_out(agent: &Agent, lock: &Lock, order: &Order) -> Result<(), Failure> {
    let begun = Instant::now();
    let directory = agent.layout.deployment(&order.group.id, &order.deployment);
    let path = directory.journal();
    let written = if path.exists() { journal::read(&path).map_err(unreadable)? } else { Vec::new() };
    let (journal, events, progress) = match Progress::replay(written) {
        Some(Progress { closed: Some(closed), .. }) => {
            return match closed.outcome {
                Outcome::Succeeded => Ok(()),
                Outcome::Failed | Outcome::Refused | Outcome::Interrupted => {
                    Err(internal(closed.reason.unwrap_or_else(|| closed.outcome.word().to_owned())))
                }
            };
        }
        Some(progress) => {
            let mut journal = Journal::reopen(path, agent.now).map_err(internal)?;
            let version = env!("CARGO_PKG_VERSION").to_owned();
            journal.append(Entry::Resumed { agent: version }).map_err(internal)?;
            let events = agent.events(order);
            events.emit(&Event::DeploymentResumed {
                application: order.application.clone(),
                group: order.group.name.clone(),
                events: order.events.clone(),
                during: progress.during().cloned(),
            });
            (journal, events, progress)
        }
        None => begin(agent, &directory, order)?,
    };
    // As it was written down, with its number.
    let order = &progress.order.clone();
    let mut run = Run { agent, events: &events, lock, order, directory: &directory, journal, begun, progress };
    let ended = run.go();
    run.close(ended)
}

/// Makes the deployment's folder and writes the order down.
fn begin(
    agent: &Agent,
    directory: &DeploymentDir,
    order: &Order,
) -> Result<(Journal, Fanout<Event>, Progress), Failure> {
    create(directory.path())?;
    create(&agent.layout.instructions())?;
    let number = history::next_number(&agent.layout, &order.group.id).map_err(unreadable)?;
    let order = Order { number, ..order.clone() };
    let mut journal = Journal::create(directory.journal(), agent.now).map_err(internal)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    journal.append(Entry::Opened { order: Box::new(order.clone()), agent: version }).map_err(internal)?;
    let events = agent.events(&order);
    events.emit(&Event::DeploymentStarted {
        application: order.application.clone(),
        group: order.group.name.clone(),
        revision: order.revision.to_string(),
        events: order.events.clone(),
        cause: order.cause.clone(),
    });
    Ok((journal, events, Progress::new(order)))
}

/// One deployment under way.
struct Run<'a> {
    agent: &'a Agent,
    events: &'a Fanout<Event>,
    lock: &'a Lock,
    order: &'a Order,
    directory: &'a DeploymentDir,
    journal: Journal,
    begun: Instant,
    progress: Progress,
}

/// Why a deployment ended early.
enum Ended {
    /// Before anything was changed.
    Refused(Failure),
    /// In the middle.
    Failed(Failure),
    /// In the middle of a script that nobody knows the end of.
    Interrupted(Failure),
    /// In the middle of an installation that could not be undone yet.
    Stuck(Failure),
}

impl Run<'_> {
    /// Writes down what happened, and takes note of it.
    fn note(&mut self, entry: Entry) -> Result<(), Failure> {
        self.journal.append(entry.clone()).map_err(internal)?;
        self.progress.take(entry);
        Ok(())
    }

    /// Everything but the end. Whether the release is good now.
    fn go(&mut self) -> Result<bool, Ended> {
        if let Some(failed) = &self.progress.failed {
            let message = format!("{}: {}", failed.event, failed.message);
            let failure = Failure::new(exit_of(failed.hook.is_some()), message);
            return Err(self.ended(failure));
        }
        let ready = self.ready().map_err(Ended::Refused)?;
        self.walk(&ready)
    }

    fn ready(&mut self) -> Result<Ready, Failure> {
        unfinished::sweep(self.agent, self.lock);
        // A deployment that restores belongs to the one that failed, which is still open.
        match self.order.cause {
            Cause::Asked | Cause::Rollback { .. } => {
                unfinished::close(self.agent, self.events, self.lock, &self.order.deployment)?;
            }
            Cause::Restore { .. } => {}
        }
        if let Some(prepared) = self.progress.prepared.clone() {
            return Ok(prepare::again(self.order, prepared));
        }
        prepare::clear(self.directory)?;
        let ready = prepare::prepare(self.agent, self.events, self.order, self.directory)?;
        self.note(Entry::Prepared {
            release: ready.new.release.clone(),
            source: ready.source.clone(),
            plan: Box::new(ready.plan.outline()),
        })?;
        Ok(ready)
    }

    fn walk(&mut self, ready: &Ready) -> Result<bool, Ended> {
        let events = &ready.plan.events;
        let during = self.progress.during().and_then(|event| events.iter().position(|p| p.event == *event));
        for (index, planned) in events.iter().enumerate().skip(during.unwrap_or_default()) {
            let hooks_before = events[..index].iter().map(|planned| hooks(&planned.action)).sum();
            if !matches!(planned.action, Action::Nothing { .. }) {
                self.check_stop(&planned.event)?;
            }
            self.event(planned, hooks_before, ready)?;
        }
        let good = is_good(self.order, &ready.new);
        if good {
            release::mark_good(&self.agent.layout, self.lock, &ready.new.release).map_err(failed)?;
        }
        Ok(good)
    }

    fn check_stop(&self, event: &LifecycleEvent) -> Result<(), Ended> {
        if self.agent.stop.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let message = format!("stopped before {event}, because somebody asked for it");
        Err(Ended::Failed(Failure::new(Exit::Failed, message)))
    }

    fn event(&mut self, planned: &PlannedEvent, hooks_before: usize, ready: &Ready) -> Result<(), Ended> {
        let event = &planned.event;
        let begun = Instant::now();
        if let Action::Nothing { reason } = &planned.action {
            self.events.emit(&Event::EventSkipped { event: event.clone(), reason: *reason });
            return Ok(());
        }
        let steps = steps(&planned.action, hooks_before);
        if !self.progress.planned.contains(event) {
            self.note(Entry::Planned { event: event.clone(), steps: steps.clone() }).map_err(Ended::Failed)?;
        }
        let done = self.progress.done(event);
        if done == steps.len() {
            return Ok(());
        }
        self.events.emit(&Event::EventStarted { event: event.clone() });
        for (index, step) in steps.iter().enumerate().skip(done) {
            if index > done {
                self.check_stop(event)?;
            }
            self.step(planned, index, step, hooks_before, ready)?;
        }
        self.events.emit(&Event::EventFinished { event: event.clone(), elapsed_ms: elapsed(begun) });
        Ok(())
    }

    fn step(
        &mut self,
        planned: &PlannedEvent,
        index: usize,
        step: &Step,
        hooks_before: usize,
        ready: &Ready,
    ) -> Result<(), Ended> {
        let event = &planned.event;
        // Begun by an earlier agent, if it is the one that was running when the journal ended.
        let before = self.progress.running.clone().filter(|begun| begun.event == *event && begun.step == index);
        if before.is_none() {
            let entry = Entry::Started { event: event.clone(), step: index, boot: boot_id() };
            self.note(entry).map_err(Ended::Failed)?;
        }
        let steps = Steps {
            agent: self.agent,
            events: self.events,
            lock: self.lock,
            order: self.order,
            directory: self.directory,
        };
        let done = match step {
            Step::MarkMostRecent => steps.mark_most_recent().map(|()| None),
            Step::RunHook { index, number, .. } => {
                let place = Place { index: *index, number: *number };
                steps.hook(planned, place, ready, before.as_ref()).map(Some)
            }
            Step::Install => self.install(&steps, ready, hooks_before > 0).map(|()| None),
        };
        if let Err(StepFailure { left_half_done: true, failure, .. }) = done {
            return Err(Ended::Stuck(failure));
        }
        let entry = match &done {
            Ok(report) => Entry::Finished { event: event.clone(), step: index, hook: report.clone() },
            Err(failure) => Entry::Failed {
                event: event.clone(),
                step: index,
                message: failure.failure.error.to_string(),
                hook: failure.hook.clone(),
            },
        };
        self.note(entry).map_err(Ended::Failed)?;
        let Err(failure) = done else { return Ok(()) };
        let code = failure.hook.as_ref().map_or(5, |report| report.outcome.code());
        let message = failure.failure.error.to_string();
        let script = match step {
            Step::RunHook { location, .. } => Some(location.clone()),
            Step::MarkMostRecent | Step::Install => None,
        };
        self.events.emit(&Event::EventFailed { event: event.clone(), message, script, code });
        Err(self.ended(failure.failure))
    }

    fn install(&mut self, steps: &Steps<'_>, ready: &Ready, ran_hooks: bool) -> Result<(), StepFailure> {
        if let Some(phase) = self.progress.installing
            && steps.end_install(ready, phase)?
        {
            return Ok(());
        }
        let journal = RefCell::new(&mut self.journal);
        steps.install(ready, ran_hooks, &|phase| {
            journal.borrow_mut().append(Entry::Installing { phase }).map_err(io::Error::other)
        })
    }

    /// A step failed: in which way the deployment ended.
    fn ended(&self, failure: Failure) -> Ended {
        let hook = self.progress.failed.as_ref().and_then(|failed| failed.hook.as_ref());
        match hook.map(|report| &report.outcome) {
            Some(HookOutcome::Interrupted) => Ended::Interrupted(failure),
            Some(_) | None => Ended::Failed(failure),
        }
    }

    /// Restores what has to be restored, writes down how it ended and tells everybody. The deployment's own error comes
    /// first; one on the way out is told when there is no other.
    fn close(mut self, ended: Result<bool, Ended>) -> Result<(), Failure> {
        let good = matches!(ended, Ok(true));
        let stuck = matches!(ended, Err(Ended::Stuck(_)));
        let (outcome, mut failure) = match ended {
            Ok(_) => (Outcome::Succeeded, None),
            Err(Ended::Refused(failure)) => (Outcome::Refused, Some(failure)),
            Err(Ended::Failed(failure) | Ended::Stuck(failure)) => (Outcome::Failed, Some(failure)),
            Err(Ended::Interrupted(failure)) => (Outcome::Interrupted, Some(failure)),
        };
        let reason = failure.as_ref().map(|failure| match outcome {
            // What a store or an archive said is in the causes; of a script's end, the journal has its own line.
            Outcome::Refused => chain(&*failure.error),
            Outcome::Succeeded | Outcome::Failed | Outcome::Interrupted => failure.error.to_string(),
        });
        let mut restored = None;
        match &mut failure {
            Some(failure) if stuck => {
                failure.hints.push(format!("when its cause is gone, undo the rest: {}", self.command("resume")));
            }
            Some(failure) if outcome != Outcome::Refused => restored = self.restore(failure),
            Some(_) | None => {}
        }
        if outcome == Outcome::Refused {
            // What cannot be removed goes with the deployment's folder, later.
            let _ = prepare::clear(self.directory);
        }
        let closed = if stuck { Ok(()) } else { self.note(Entry::Closed { outcome, good, reason: reason.clone() }) };
        if let (Err(_), Some(failure)) = (&closed, &mut failure) {
            let command = self.command("resume");
            failure.hints.push(format!("its journal could not be closed; when its cause is gone: {command}"));
        }
        if !stuck && closed.is_ok() {
            self.remove_scratch();
        }
        let (installed, tidied) = self.tidy(outcome);
        if let Err(failure) = tidied {
            self.events.emit(&Event::Warning { message: failure.error.to_string() });
        }
        self.events.emit(&Event::DeploymentFinished {
            outcome,
            cause: self.order.cause.clone(),
            reason,
            installed: installed.map(|release| release.deployment),
            restored,
            elapsed_ms: elapsed(self.begun),
        });
        match failure {
            Some(failure) => Err(failure),
            None => closed,
        }
    }

    /// Brings the last good release back if that is due; says in the failure what came of it, and what to type next.
    fn restore(&mut self, failure: &mut Failure) -> Option<Restored> {
        let (layout, group) = (&self.agent.layout, &self.order.group.id);
        let (installed, good) = match (release::installed(layout, group), release::good(layout, group)) {
            (Ok(installed), Ok(good)) => (installed, good),
            (Err(error), _) | (_, Err(error)) => {
                failure.hints.push(format!("nobody can tell what was installed before: {}", chain(&error)));
                return None;
            }
        };
        let asked_to_stop = self.agent.stop.load(Ordering::Relaxed) > 0;
        let due = match restore::due(&self.progress, installed.as_ref(), good.as_ref(), asked_to_stop) {
            Ok(due) => due,
            Err(why) => {
                failure.hints.push(self.way_back(why, good.as_ref()));
                return None;
            }
        };
        let kept = good.and_then(|good| release::kept(layout, group, &good).map(|kept| (good, kept)));
        let Some((good, kept)) = kept else {
            let command = self.command("rollback");
            failure.hints.push(format!("the last good release is no longer kept here; fetch it again with: {command}"));
            return None;
        };
        let by = match self.restoring() {
            Ok(by) => by,
            Err(error) => {
                failure.hints.push(format!("the last good release did not come back: {}", error.error));
                return None;
            }
        };
        let order = restore::order(self.order, by.clone(), due, &good, kept);
        let ended = carry_out(self.agent, self.lock, &order);
        failure.hints.push(match &ended {
            Ok(()) => format!(
                "the last good release is back ({by} restored that of {}); fix it and deploy again",
                good.deployment
            ),
            Err(error) => format!(
                "the last good release did not come back: {}; see why with `longshore-agent explain {by}{}`",
                error.error,
                layout.option()
            ),
        });
        Some(Restored { by, to: good.deployment, succeeded: ended.is_ok() })
    }

    /// The id of the deployment that restores, written down before it begins.
    fn restoring(&mut self) -> Result<DeploymentId, Failure> {
        if let Some(by) = &self.progress.restoring {
            return Ok(by.clone());
        }
        let by = agent::fresh_id().map_err(internal)?;
        self.note(Entry::Restoring { by: by.clone() })?;
        Ok(by)
    }

    /// What to type to get the old release back, or to try again.
    fn way_back(&self, why: NotDue, good: Option<&Release>) -> String {
        let good = good.filter(|good| good.deployment != self.order.deployment);
        match (why, good) {
            (NotDue::Untouched, _) => {
                let failed = self.progress.failed.as_ref().map(|failed| &failed.event);
                let stopped = match failed {
                    Some(LifecycleEvent::ApplicationStop) => ", and the application may be stopped",
                    Some(_) | None => "",
                };
                format!("the files on disk are those of before{stopped}; fix it and deploy again")
            }
            (_, None) => "fix it and deploy again; no earlier release of this group was good".to_owned(),
            (NotDue::NotAsked | NotDue::Stopped | NotDue::Interrupted | NotDue::NoneGood, Some(_)) => {
                format!("fix it and deploy again, or go back to the last good release: {}", self.command("rollback"))
            }
        }
    }

    /// A command for this group, as it has to be typed.
    fn command(&self, name: &str) -> String {
        let Order { group, application, .. } = self.order;
        let mut command = vec!["longshore-agent".to_owned(), name.to_owned()];
        command.extend(["--group".to_owned(), group.name.to_string()]);
        command.extend(["--application".to_owned(), application.to_string()]);
        if group.id != GroupId::of(application, &group.name) {
            command.extend(["--group-id".to_owned(), group.id.to_string()]);
        }
        let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        format!("{}{}", command.join(" "), self.agent.layout.option())
    }

    /// Removes what scripts and installations wrote down for a restart. A power cut may have brought back what they removed
    /// themselves.
    fn remove_scratch(&self) {
        // What stays is read by nobody.
        let _ = fs::remove_file(self.directory.installation());
        let hooks = (1..).map(|number| self.directory.hook(number));
        hooks.take_while(|hook| hook.exists()).for_each(|hook| watch::tidy(&hook));
    }

    /// Removes old deployments that nobody needs any more. Nothing is removed when it cannot be told what is needed.
    fn tidy(&self, outcome: Outcome) -> (Option<Release>, Result<(), Failure>) {
        let (layout, group) = (&self.agent.layout, &self.order.group.id);
        let installed = match release::installed(layout, group) {
            Ok(installed) => installed,
            Err(error) => return (None, Err(internal(error))),
        };
        if outcome == Outcome::Refused {
            return (installed, Ok(()));
        }
        let pruned = (|| {
            let mut protected = history::unfinished(layout, group).map_err(internal)?;
            protected.push(self.order.deployment.clone());
            protected.extend(self.progress.restoring.clone());
            let good = release::good(layout, group).map_err(internal)?;
            protected.extend(installed.iter().chain(&good).map(|release| release.deployment.clone()));
            retention::prune(layout, group, self.order.policy.keep, &protected).map_err(internal)
        })();
        (installed, pruned)
    }
}

/// Whether an order that went through its last event shows that a release works: it installed it, and left out no event
/// that the release has scripts for. One that restores shows it when it installed, because the release was good before.
fn is_good(order: &Order, new: &Revision) -> bool {
    let installs = order.events.contains(&LifecycleEvent::Install);
    if matches!(order.cause, Cause::Restore { .. }) {
        return installs;
    }
    let scripted = new.appspec.iter().flat_map(|appspec| appspec.hooks.keys());
    let is_own = |event: &&LifecycleEvent| event.scripts_from(order.scripts_map) == ScriptsFrom::Current;
    let mut needed = scripted.filter(|event| event.is_built_in()).filter(is_own);
    installs && needed.all(|event| order.events.contains(event) && !order.skip.contains(event))
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn exit_of(is_hook: bool) -> Exit {
    if is_hook { Exit::HookFailed } else { Exit::InstallFailed }
}

/// How many scripts an event runs.
fn hooks(action: &Action) -> usize {
    match action {
        Action::Hooks { hooks, .. } => hooks.len(),
        Action::Nothing { .. } | Action::Download { .. } | Action::Install { .. } => 0,
    }
}

/// The steps of an event. `hooks_before` is how many scripts the events before it have.
fn steps(action: &Action, hooks_before: usize) -> Vec<Step> {
    match action {
        Action::Nothing { .. } => Vec::new(),
        Action::Download { .. } => vec![Step::MarkMostRecent],
        Action::Install { .. } => vec![Step::Install],
        Action::Hooks { hooks, .. } => hooks
            .iter()
            .enumerate()
            .map(|(index, hook)| Step::RunHook {
                location: hook.location.clone(),
                index,
                number: hooks_before + index + 1,
            })
            .collect(),
    }
}

fn create(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|source| {
        Failure::new(Exit::Failed, CannotWrite { path: dir.to_owned(), source }).hint(format!(
            "the agent needs to write to {}; run it as root, or give another folder with `--root`",
            dir.display()
        ))
    })
}

/// What was written down before cannot be read.
fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
        .hint("`longshore-agent doctor` names what is damaged and how to put it aside; nothing is guessed from it")
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Ended {
    Ended::Failed(internal(error))
}
