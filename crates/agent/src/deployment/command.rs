//! Events that are asked for one at a time: each is carried out alone, from the plan of them all that was made before the
//! first. Between two of them the deployment is open, and nobody holds the lock.

use std::thread;
use std::time::{Duration, Instant};

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::lifecycle::LifecycleEvent;

use super::agent::Agent;
use super::alone;
use super::answer::Answer;
use super::handover;
use super::journal::{self, Entry, Journal, Step};
use super::order::{Order, Pace};
use super::plan::{Action, Plan};
use super::prepare::{self, Ready};
use super::progress::{FailedStep, Progress, Standing};
use super::refusal;
use super::run::{self, Ended, Run, begin, hooks, internal, lock, take_up, unreadable};
use super::unfinished;
use crate::hook::diagnostics::Diagnostics;
use crate::lock::Lock;

/// How long to wait for somebody else who works on the group, such as a person's `deploy`.
const OTHERS: Duration = Duration::from_secs(600);
/// How often to look whether they are done.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Carries out one event, or says again how it ended.
pub(super) fn command(agent: &Agent, order: &Order, event: &LifecycleEvent) -> Answer {
    let (progress, ended) = match carry_out(agent, order, event) {
        Ok((progress, ended)) => (Some(progress), ended),
        Err(failure) => (None, Err(failure)),
    };
    match ended {
        Ok(()) => Answer::Succeeded,
        Err(failure) if handover::is_handover(&failure) => Answer::HandedOver,
        Err(failure) => {
            let step = progress.as_ref().and_then(|progress| match progress.standing(event) {
                Standing::Failed(step) => Some(diagnostics(progress, step)),
                Standing::NotAsked | Standing::Open | Standing::Done | Standing::Ended(_) => None,
            });
            let diagnostics = step.unwrap_or_else(|| Diagnostics::unknown(chain(&*failure.error)));
            Answer::Failed { diagnostics, failure }
        }
    }
}

/// Goes on with the event that an earlier agent left in the middle.
pub(super) fn go_on(agent: &Agent, lock: &Lock, progress: Progress, event: &LifecycleEvent) -> Result<(), Failure> {
    one(agent, lock, progress, event).and_then(|(_, ended)| ended)
}

/// The first error says that it could not even be begun; the second one is how the event ended.
fn carry_out(agent: &Agent, order: &Order, event: &LifecycleEvent) -> Result<(Progress, Result<(), Failure>), Failure> {
    let lock = wait(agent, order)?;
    handover::check(agent)?;
    unfinished::sweep(agent, &lock);
    let path = agent.layout.deployment(&order.group.id, &order.deployment).journal();
    let written = if path.exists() { journal::read(&path).map_err(unreadable)? } else { Vec::new() };
    let progress = Progress::replay(written).unwrap_or_else(|| Progress::new(order.clone()));
    match progress.order.pace {
        Pace::OnCommand => one(agent, &lock, progress, event),
        Pace::AtOnce => {
            let message = format!("deployment {} exists, and its events were not asked for", order.deployment);
            Err(Failure::new(Exit::Conflict, message))
        }
    }
}

/// The group's lock, also when somebody else has it for a while.
fn wait(agent: &Agent, order: &Order) -> Result<Lock, Failure> {
    let until = Instant::now() + OTHERS;
    loop {
        match lock(&agent.layout, &order.group.id, &format!("deployment {}", order.deployment)) {
            Err(busy) if busy.exit == Exit::Busy && Instant::now() < until => {
                handover::check(agent)?;
                thread::sleep(LOOK_AGAIN);
            }
            other => return other,
        }
    }
}

fn one(
    agent: &Agent,
    lock: &Lock,
    progress: Progress,
    event: &LifecycleEvent,
) -> Result<(Progress, Result<(), Failure>), Failure> {
    let recorded = match progress.standing(event) {
        Standing::Ended(reason) => Some(Err(internal(reason.to_owned()))),
        Standing::Failed(step) if progress.failed.is_none() || progress.closed.is_some() => {
            Some(Err(run::failed_before(step)))
        }
        Standing::Done if progress.closed.is_some() || !progress.ends_with(event) => Some(Ok(())),
        Standing::NotAsked | Standing::Open | Standing::Done | Standing::Failed(_) => None,
    };
    if let Some(ended) = recorded {
        return Ok((progress, ended));
    }
    unfinished::refuse_beside_scripts(agent, lock, &progress.order.deployment)?;
    let directory = agent.layout.deployment(&progress.order.group.id, &progress.order.deployment);
    let (journal, events, progress) = if progress.order.number == 0 {
        begin(agent, &directory, &progress.order)?
    } else if progress.open().is_some() {
        take_up(agent, &directory, progress)?
    } else {
        let journal = Journal::reopen(directory.journal(), agent.now).map_err(internal)?;
        (journal, agent.events(&progress.order), progress)
    };
    let order = &progress.order.clone();
    let (events, directory) = (&events, &directory);
    let mut run = Run { agent, events, lock, order, directory, journal, begun: Instant::now(), progress };
    let ended = run.asked(event);
    let ended = run.answer(event, ended);
    Ok((run.progress, ended))
}

impl Run<'_> {
    fn asked(&mut self, event: &LifecycleEvent) -> Result<(), Ended> {
        // One that was left in the middle comes to its end first: nothing ever runs beside it.
        if let Some(left) = self.progress.open().filter(|open| *open != event).cloned()
            && self.progress.steps(&left).is_some()
        {
            match self.event_alone(&left) {
                Ok(()) | Err(Ended::Refused(_) | Ended::Failed(_) | Ended::Interrupted(_)) => {}
                Err(ended @ (Ended::Stuck(_) | Ended::HandedOver(_))) => return Err(ended),
            }
        }
        match self.progress.standing(event) {
            Standing::NotAsked => self.ask(event)?,
            Standing::Open => {}
            Standing::Done => return Ok(()),
            Standing::Failed(step) => return Err(run::ended(run::failed_before(step), step)),
            Standing::Ended(reason) => return Err(Ended::Failed(internal(reason.to_owned()))),
        }
        self.event_alone(event)
    }

    /// Writes down that an event was asked for, and what it does, if that is not in the plan of all events.
    fn ask(&mut self, event: &LifecycleEvent) -> Result<(), Ended> {
        let plan = self.plan_alone(event);
        let (plan, refused) = match plan {
            Ok(plan) => (plan.map(Box::new), Ok(())),
            Err(failure) => (None, Err(Ended::refused(failure))),
        };
        self.note(Entry::Asked { event: event.clone(), plan }).map_err(Ended::Failed)?;
        refused
    }

    fn plan_alone(&self, event: &LifecycleEvent) -> Result<Option<Plan>, Failure> {
        let layout = &self.agent.layout;
        let Some(from) = alone::scripts_from(layout, &self.progress, event) else { return Ok(None) };
        let plan = alone::plan(layout, &self.progress, event, from)?;
        match refusal::blocked(&plan) {
            Some(failure) => Err(failure),
            None => Ok(Some(plan)),
        }
    }

    /// Carries out one event and no other.
    fn event_alone(&mut self, event: &LifecycleEvent) -> Result<(), Ended> {
        let ready = self.ready_for(event).map_err(Ended::refused)?;
        let events = &ready.plan.events;
        let Some(index) = events.iter().position(|planned| planned.event == *event) else {
            return Err(Ended::Refused(internal(format!("the plan of the deployment does not have {event}"))));
        };
        let planned = &events[index];
        if !matches!(planned.action, Action::Nothing { .. }) {
            self.check_stop(event)?;
        }
        let is_alone = self.own_plan(event).is_some();
        let hooks_before = if is_alone {
            // After all that are given, or will be.
            let all = self.progress.prepared.iter().flat_map(|prepared| &prepared.plan.events);
            let planned: usize = all.map(|planned| hooks(&planned.action)).sum();
            (self.progress.scripts_before + planned).max(self.progress.last_number())
        } else {
            self.progress.scripts_before + events[..index].iter().map(|planned| hooks(&planned.action)).sum::<usize>()
        };
        self.event(planned, hooks_before, &ready)
    }

    fn ready_for(&mut self, event: &LifecycleEvent) -> Result<Ready, Failure> {
        if self.own_plan(event).is_none() && alone::scripts_from(&self.agent.layout, &self.progress, event).is_some() {
            // An earlier agent came no further than to write down that it was asked for.
            let plan = self.plan_alone(event)?.map(Box::new);
            self.note(Entry::Asked { event: event.clone(), plan })?;
        }
        match self.own_plan(event).cloned() {
            Some(plan) => {
                self.clear_the_way()?;
                Ok(alone::ready(self.order, plan))
            }
            None => self.ready(),
        }
    }

    /// What was decided for the event alone.
    fn own_plan(&self, event: &LifecycleEvent) -> Option<&Plan> {
        let asked = self.progress.asked.iter().find(|asked| asked.event == *event)?;
        asked.plan.as_ref()
    }

    /// Closes what has come to its end, and leaves open what waits for the next event.
    fn answer(&mut self, event: &LifecycleEvent, ended: Result<(), Ended>) -> Result<(), Failure> {
        match ended {
            Ok(()) if self.progress.ends_with(event) => {
                let good = match self.progress.prepared.clone() {
                    Some(prepared) => self.judge(&prepare::again(self.order, prepared)),
                    None => Ok(false),
                };
                self.close(good)
            }
            Ok(()) => Ok(()),
            Err(ended) => self.close(Err(ended)),
        }
    }
}

/// What the service is told of a step that failed, the first time and whenever it asks again.
fn diagnostics(progress: &Progress, failed: &FailedStep) -> Diagnostics {
    let step = progress.steps(&failed.event).and_then(|steps| steps.get(failed.step));
    match (&failed.hook, step) {
        (Some(report), Some(Step::RunHook { location, index, .. })) => {
            let user = progress.plan_of(&failed.event).and_then(|planned| match &planned.action {
                Action::Hooks { hooks, .. } => hooks.get(*index)?.user.as_deref(),
                Action::Nothing { .. } | Action::Download { .. } | Action::Install { .. } => None,
            });
            Diagnostics::of_hook(report, location, user)
        }
        (Some(_) | None, _) => Diagnostics::unknown(failed.message.clone()),
    }
}
