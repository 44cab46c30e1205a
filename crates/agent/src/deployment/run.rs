//! One deployment under way: walks its plan one journaled step at a time, also when an earlier agent began, and closes it.
//!
//! Holds no rules: [`super::planner`] and [`super::restore`] decide, [`super::step`] acts.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::report::Fanout;

use super::agent::{self, Agent};
use super::ending;
use super::handover;
use super::journal::{self, Entry, Journal, Outcome, Step};
use super::order::{Cause, Order};
use super::plan::{Action, PlannedEvent};
use super::prepare::{self, Ready};
use super::progress::{Closed, FailedStep, Progress};
use super::refusal::CannotWrite;
use super::restore;
use super::step::{Place, StepFailure, Steps};
use super::throttle::elapsed;
use super::unfinished;
use crate::event::{Event, Restored};
use crate::history;
use crate::hook::{HookOutcome, boot_id};
use crate::layout::{DeploymentDir, Layout};
use crate::lock::{Lock, LockError};
use crate::release;

/// Takes the lock of a group, or says who has it.
pub(super) fn lock(layout: &Layout, group: &GroupId, holder: &str) -> Result<Lock, Failure> {
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

/// Begins an order whose events run one after the other, or goes on with it where its journal ends.
pub(super) fn carry_out(agent: &Agent, lock: &Lock, order: &Order) -> Result<(), Failure> {
    let begun = Instant::now();
    handover::check(agent)?;
    let directory = agent.layout.deployment(&order.group.id, &order.deployment);
    let path = directory.journal();
    let written = if path.exists() { journal::read(&path).map_err(unreadable)? } else { Vec::new() };
    let (journal, events, progress) = match Progress::replay(written) {
        Some(Progress { closed: Some(Closed { outcome, reason }), .. }) => {
            return match outcome {
                Outcome::Succeeded => Ok(()),
                Outcome::Failed | Outcome::Refused | Outcome::Interrupted => {
                    Err(internal(reason.unwrap_or_else(|| outcome.word().to_owned())))
                }
            };
        }
        Some(progress) => take_up(agent, &directory, progress)?,
        None => begin(agent, &directory, order)?,
    };
    // As it was written down, with its number.
    let order = &progress.order.clone();
    let mut run = Run { agent, events: &events, lock, order, directory: &directory, journal, begun, progress };
    let ended = run.go();
    run.close(ended)
}

/// Goes on with a deployment in the middle of which an earlier agent went away.
pub(super) fn take_up(
    agent: &Agent,
    directory: &DeploymentDir,
    progress: Progress,
) -> Result<(Journal, Fanout<Event>, Progress), Failure> {
    let mut journal = Journal::reopen(directory.journal(), agent.now).map_err(internal)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    journal.append(Entry::Resumed { agent: version }).map_err(internal)?;
    let events = agent.events(&progress.order);
    events.emit(&Event::DeploymentResumed {
        application: progress.order.application.clone(),
        group: progress.order.group.name.clone(),
        events: progress.order.events.clone(),
        during: progress.during().cloned(),
    });
    Ok((journal, events, progress))
}

/// Makes the deployment's folder and writes the order down.
pub(super) fn begin(
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
pub(super) struct Run<'a> {
    pub(super) agent: &'a Agent,
    pub(super) events: &'a Fanout<Event>,
    pub(super) lock: &'a Lock,
    pub(super) order: &'a Order,
    pub(super) directory: &'a DeploymentDir,
    pub(super) journal: Journal,
    pub(super) begun: Instant,
    pub(super) progress: Progress,
}

/// Why a deployment ended early.
pub(super) enum Ended {
    /// Before anything was changed.
    Refused(Failure),
    /// In the middle.
    Failed(Failure),
    /// In the middle of a script that nobody knows the end of.
    Interrupted(Failure),
    /// In the middle of an installation that could not be undone yet.
    Stuck(Failure),
    /// Not at all: the next agent goes on.
    HandedOver(Failure),
}

impl Ended {
    /// What went wrong before anything was changed.
    pub(super) fn refused(failure: Failure) -> Ended {
        if handover::is_handover(&failure) { Ended::HandedOver(failure) } else { Ended::Refused(failure) }
    }

    fn failed(failure: Failure) -> Ended {
        if handover::is_handover(&failure) { Ended::HandedOver(failure) } else { Ended::Failed(failure) }
    }
}

impl Run<'_> {
    /// Writes down what happened, and takes note of it.
    pub(super) fn note(&mut self, entry: Entry) -> Result<(), Failure> {
        self.journal.append(entry.clone()).map_err(internal)?;
        self.progress.take(entry);
        Ok(())
    }

    /// Everything but the end. Whether the release is good now.
    fn go(&mut self) -> Result<bool, Ended> {
        if let Some(failed) = &self.progress.failed {
            return Err(ended(failed_before(failed), failed));
        }
        let ready = self.ready().map_err(Ended::refused)?;
        self.walk(&ready)
    }

    /// Ends what other deployments of the group left.
    pub(super) fn clear_the_way(&self) -> Result<(), Failure> {
        unfinished::sweep(self.agent, self.lock);
        // A deployment that restores belongs to the one that failed, which is still open.
        match self.order.cause {
            Cause::Asked | Cause::Rollback { .. } => {
                unfinished::close(self.agent, self.events, self.lock, &self.order.deployment)?;
            }
            Cause::Restore { .. } => {}
        }
        Ok(())
    }

    /// Fetches, verifies, unpacks and plans, unless that was done.
    pub(super) fn ready(&mut self) -> Result<Ready, Failure> {
        self.clear_the_way()?;
        if let Some(prepared) = self.progress.prepared.clone() {
            return Ok(prepare::again(self.order, prepared));
        }
        prepare::clear(self.directory)?;
        let ready = prepare::prepare(self.agent, self.events, self.order, self.directory).inspect_err(|_| {
            // What cannot be removed goes with the deployment's folder, later.
            let _ = prepare::clear(self.directory);
        })?;
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
                self.check_halt(&planned.event)?;
                self.check_stop(&planned.event)?;
            }
            self.event(planned, hooks_before, ready)?;
        }
        self.judge(ready)
    }

    /// Whether the release is good, which is written down.
    pub(super) fn judge(&self, ready: &Ready) -> Result<bool, Ended> {
        let good = ending::is_good(&self.progress, &ready.new);
        if good {
            release::mark_good(&self.agent.layout, self.lock, &ready.new.release).map_err(failed)?;
        }
        Ok(good)
    }

    /// Whether the deployment is to be stopped before this event. One that is under way comes to its end, and so does bringing the
    /// last good release back.
    fn check_halt(&self, event: &LifecycleEvent) -> Result<(), Ended> {
        let is_begun = self.progress.steps(event).is_some();
        if is_begun || !self.is_halted() {
            return Ok(());
        }
        let message = format!("stopped before {event}, because somebody stopped the deployment");
        Err(Ended::Failed(Failure::new(Exit::Failed, message)))
    }

    fn is_halted(&self) -> bool {
        let is_own = !matches!(self.order.cause, Cause::Restore { .. });
        is_own && self.agent.halt.load(Ordering::Relaxed)
    }

    pub(super) fn check_stop(&self, event: &LifecycleEvent) -> Result<(), Ended> {
        handover::check(self.agent).map_err(Ended::failed)?;
        if self.agent.stop.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let message = format!("stopped before {event}, because somebody asked for it");
        Err(Ended::Failed(Failure::new(Exit::Failed, message)))
    }

    /// `hooks_before`: how many scripts have a lower number.
    pub(super) fn event(&mut self, planned: &PlannedEvent, hooks_before: usize, ready: &Ready) -> Result<(), Ended> {
        let event = &planned.event;
        let begun = Instant::now();
        if let Action::Nothing { reason } = &planned.action {
            self.events.emit(&Event::EventSkipped { event: event.clone(), reason: *reason });
            return Ok(());
        }
        let steps = match self.progress.steps(event) {
            Some(steps) => steps.to_vec(),
            None => {
                let steps = steps(&planned.action, hooks_before);
                self.note(Entry::Planned { event: event.clone(), steps: steps.clone() }).map_err(Ended::Failed)?;
                steps
            }
        };
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
        let done = match done {
            Err(StepFailure { failure, .. }) if handover::is_handover(&failure) => {
                return Err(Ended::HandedOver(failure));
            }
            Err(StepFailure { left_half_done: true, failure, .. }) => return Err(Ended::Stuck(failure)),
            done => done,
        };
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
        Err(match &self.progress.failed {
            Some(step) => ended(failure.failure, step),
            None => Ended::Failed(failure.failure),
        })
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

    /// Restores what has to be restored, writes down how it ended and tells everybody. The deployment's own error comes
    /// first; one on the way out is told when there is no other.
    pub(super) fn close(&mut self, ended: Result<bool, Ended>) -> Result<(), Failure> {
        let good = matches!(ended, Ok(true));
        let stuck = matches!(ended, Err(Ended::Stuck(_)));
        let (outcome, mut failure) = match ended {
            Ok(_) => (Outcome::Succeeded, None),
            Err(Ended::Refused(failure)) => (Outcome::Refused, Some(failure)),
            Err(Ended::Failed(failure) | Ended::Stuck(failure)) => (Outcome::Failed, Some(failure)),
            Err(Ended::Interrupted(failure)) => (Outcome::Interrupted, Some(failure)),
            Err(Ended::HandedOver(failure)) => return Err(failure),
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
            Some(failure) if outcome != Outcome::Refused => restored = self.restore(failure)?,
            Some(_) | None => {}
        }
        let closed = if stuck { Ok(()) } else { self.note(Entry::Closed { outcome, good, reason: reason.clone() }) };
        if let (Err(_), Some(failure)) = (&closed, &mut failure) {
            let command = self.command("resume");
            failure.hints.push(format!("its journal could not be closed; when its cause is gone: {command}"));
        }
        if !stuck && closed.is_ok() {
            ending::remove_scratch(self.directory, &self.progress);
        }
        let (installed, tidied) = ending::tidy(&self.agent.layout, &self.progress, outcome);
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

    /// Brings the last good release back if that is due; says in the failure what came of it, and what to type next. An error
    /// is a handover: the next agent restores.
    fn restore(&mut self, failure: &mut Failure) -> Result<Option<Restored>, Failure> {
        let (layout, group) = (&self.agent.layout, &self.order.group.id);
        let (installed, good) = match (release::installed(layout, group), release::good(layout, group)) {
            (Ok(installed), Ok(good)) => (installed, good),
            (Err(error), _) | (_, Err(error)) => {
                failure.hints.push(format!("nobody can tell what was installed before: {}", chain(&error)));
                return Ok(None);
            }
        };
        // What has begun to come back is not left half-way.
        let halted = self.is_halted() && self.progress.restoring.is_none();
        let asked_to_stop = halted || self.agent.stop.load(Ordering::Relaxed) > 0;
        let due = match restore::due(&self.progress, installed.as_ref(), good.as_ref(), asked_to_stop) {
            Ok(due) => due,
            Err(why) => {
                failure.hints.push(ending::way_back(layout, &self.progress, why, good.as_ref()));
                return Ok(None);
            }
        };
        let kept = good.and_then(|good| release::kept(layout, group, &good).map(|kept| (good, kept)));
        let Some((good, kept)) = kept else {
            let command = self.command("rollback");
            failure.hints.push(format!("the last good release is no longer kept here; fetch it again with: {command}"));
            return Ok(None);
        };
        handover::check(self.agent)?;
        let by = match self.restoring() {
            Ok(by) => by,
            Err(error) => {
                failure.hints.push(format!("the last good release did not come back: {}", error.error));
                return Ok(None);
            }
        };
        let order = restore::order(self.order, by.clone(), due, &good, kept);
        let ended = carry_out(self.agent, self.lock, &order);
        if ended.as_ref().is_err_and(handover::is_handover) {
            return Err(handover::handed_over());
        }
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
        Ok(Some(Restored { by, to: good.deployment, succeeded: ended.is_ok() }))
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

    fn command(&self, name: &str) -> String {
        ending::command(&self.agent.layout, self.order, name)
    }
}

/// A step failed: in which way the deployment ended.
pub(super) fn ended(failure: Failure, step: &FailedStep) -> Ended {
    match step.hook.as_ref().map(|report| &report.outcome) {
        Some(HookOutcome::Interrupted) => Ended::Interrupted(failure),
        Some(_) | None => Ended::Failed(failure),
    }
}

/// A step that failed before, as its journal tells it.
pub(super) fn failed_before(step: &FailedStep) -> Failure {
    Failure::new(exit_of(step.hook.is_some()), format!("{}: {}", step.event, step.message))
}

fn exit_of(is_hook: bool) -> Exit {
    if is_hook { Exit::HookFailed } else { Exit::InstallFailed }
}

/// How many scripts an event runs.
pub(super) fn hooks(action: &Action) -> usize {
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
pub(super) fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
        .hint("`longshore-agent doctor` names what is damaged and how to put it aside; nothing is guessed from it")
}

pub(super) fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Ended {
    Ended::Failed(internal(error))
}
