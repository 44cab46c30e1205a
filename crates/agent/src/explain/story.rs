//! A journal → what a deployment did, event by event. Pure.

use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use serde::Serialize;

use crate::deployment::journal::{Entry, Line, Outcome, Step};
use crate::deployment::order::{Order, Pace};
use crate::deployment::plan::{Action, Idle, Plan};
use crate::deployment::progress::Progress;
use crate::hook::HookReport;
use crate::release::Release;

/// A deployment as its journal tells it.
#[derive(Debug, Clone)]
pub struct Story {
    /// What was asked for.
    pub order: Order,
    /// The version of the agent that took the order.
    pub agent: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When its last line was written, RFC 3339.
    pub updated: String,
    /// How often another agent went on with it.
    pub resumed: usize,
    /// What it brought, once it was fetched and verified.
    pub release: Option<Release>,
    /// Its events.
    pub events: Vec<EventRun>,
    /// The deployment that brings the last good release back.
    pub restoring: Option<DeploymentId>,
    /// The events that were asked for, where each has to be.
    pub asked: Vec<LifecycleEvent>,
    /// Whether it stands between two events.
    pub waiting: bool,
    /// How it ended, and whether its release was good.
    pub closed: Option<(Outcome, bool)>,
    /// Why it ended so, unless it succeeded.
    pub reason: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRun {
    /// The event.
    pub event: LifecycleEvent,
    /// What became of it.
    #[serde(flatten)]
    pub state: EventState,
    /// Its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRun>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EventState {
    /// All of its steps went well.
    Done,
    /// It had nothing to do.
    Idle {
        /// Why, when the plan says it.
        reason: Option<Idle>,
    },
    /// A step failed.
    Failed,
    /// A step began and did not end.
    Unfinished,
    /// The deployment ended before it.
    NotReached,
}

/// One step of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepRun {
    /// What it is.
    #[serde(flatten)]
    pub step: Step,
    /// Whose script, and how it may run, when it is one.
    #[serde(flatten)]
    pub script: Option<Script>,
    /// What became of it.
    pub state: StepState,
    /// When it began, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the hook said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookReport>,
}

/// Whose script a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    /// Which revision it comes from.
    pub from: ScriptsFrom,
    /// The deployment that brought that revision.
    pub from_deployment: DeploymentId,
    /// Its limit, seconds.
    pub timeout_s: u64,
    /// Whom it runs as; `None`: whoever runs the agent.
    pub user: Option<String>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It went well.
    Done,
    /// It failed.
    Failed,
    /// It began and did not end.
    Unfinished,
    /// It did not begin.
    NotBegun,
}

impl Story {
    /// Replays a journal; `None` when it does not even say what was asked for.
    pub fn replay(lines: Vec<Line>) -> Option<Story> {
        let waiting = Progress::replay(lines.iter().cloned()).is_some_and(|progress| progress.waits());
        let mut lines = lines.into_iter();
        let first = lines.next()?;
        let Entry::Opened { order, agent } = first.entry else { return None };
        let mut story = Story {
            agent,
            started: first.at.clone(),
            updated: first.at,
            resumed: 0,
            release: None,
            events: Vec::new(),
            restoring: None,
            asked: Vec::new(),
            waiting,
            closed: None,
            reason: None,
            order: *order,
        };
        let mut plan = None;
        for line in lines {
            story.take(line, &mut plan);
        }
        story.add_idle_events(plan.as_ref());
        Some(story)
    }

    fn take(&mut self, line: Line, plan: &mut Option<Plan>) {
        self.updated.clone_from(&line.at);
        match line.entry {
            Entry::Opened { .. } | Entry::Installing { .. } => {}
            Entry::Resumed { .. } => self.resumed += 1,
            Entry::Asked { event, plan: alone } => {
                self.asked.push(event);
                self.closed = None;
                self.reason = None;
                if let Some(alone) = alone {
                    let known = plan.take().map(|plan| plan.events).unwrap_or_default();
                    *plan = Some(Plan { events: alone.events.iter().cloned().chain(known).collect(), ..*alone });
                }
            }
            Entry::Prepared { release, plan: outline, .. } => {
                self.release = Some(release);
                let known = plan.take().map(|plan| plan.events).unwrap_or_default();
                *plan = Some(Plan {
                    events: known.into_iter().chain(outline.events.iter().cloned()).collect(),
                    ..*outline
                });
            }
            Entry::Planned { event, steps } => {
                let steps = steps.into_iter().map(|step| StepRun {
                    script: script(plan.as_ref(), &event, &step),
                    step,
                    state: StepState::NotBegun,
                    started: None,
                    ended: None,
                    message: None,
                    hook: None,
                });
                self.events.push(EventRun { steps: steps.collect(), state: EventState::Done, event });
            }
            Entry::Started { event, step, .. } => self.step(&event, step, EventState::Unfinished, |run| {
                run.state = StepState::Unfinished;
                // A step that is taken up again began when it began first.
                run.started.get_or_insert(line.at);
            }),
            Entry::Finished { event, step, hook } => self.step(&event, step, EventState::Done, |run| {
                run.state = StepState::Done;
                run.ended = Some(line.at);
                run.hook = hook;
            }),
            Entry::Failed { event, step, message, hook } => self.step(&event, step, EventState::Failed, |run| {
                run.state = StepState::Failed;
                run.ended = Some(line.at);
                run.message = Some(message);
                run.hook = hook;
            }),
            Entry::Restoring { by } => self.restoring = Some(by),
            Entry::Closed { outcome, good, reason } => {
                self.closed = Some((outcome, good));
                self.reason = reason;
            }
        }
    }

    fn step(&mut self, event: &LifecycleEvent, step: usize, state: EventState, change: impl FnOnce(&mut StepRun)) {
        let Some(run) = self.events.iter_mut().find(|run| run.event == *event) else { return };
        run.state = state;
        if let Some(step) = run.steps.get_mut(step) {
            change(step);
        }
    }

    /// Events without steps are in no journal: those before the last one that is had nothing to do.
    fn add_idle_events(&mut self, plan: Option<&Plan>) {
        let succeeded = matches!(self.closed, Some((Outcome::Succeeded, _)));
        let mut known = std::mem::take(&mut self.events);
        let last = self.order.events.iter().rposition(|event| known.iter().any(|run| run.event == *event));
        for (index, event) in self.order.events.iter().enumerate() {
            if let Some(place) = known.iter().position(|run| run.event == *event) {
                self.events.push(known.remove(place));
                continue;
            }
            let reached = match self.order.pace {
                Pace::AtOnce => succeeded || last.is_some_and(|last| index < last),
                Pace::OnCommand => self.asked.contains(event),
            };
            let state = if reached { EventState::Idle { reason: idle(plan, event) } } else { EventState::NotReached };
            self.events.push(EventRun { event: event.clone(), state, steps: Vec::new() });
        }
        self.events.extend(known);
    }

    /// The step that failed, or else the one that began and did not end.
    pub fn stopped_at(&self) -> Option<(&EventRun, &StepRun)> {
        let with = |state: StepState| {
            let mut all = self.events.iter().flat_map(|run| run.steps.iter().map(move |step| (run, step)));
            all.find(|(_, step)| step.state == state)
        };
        with(StepState::Failed).or_else(|| with(StepState::Unfinished))
    }
}

fn script(plan: Option<&Plan>, event: &LifecycleEvent, step: &Step) -> Option<Script> {
    let Step::RunHook { index, .. } = step else { return None };
    let planned = plan?.events.iter().find(|planned| planned.event == *event)?;
    let Action::Hooks { from, revision, hooks } = &planned.action else { return None };
    let hook = hooks.get(*index)?;
    Some(Script {
        from: *from,
        from_deployment: revision.deployment.clone(),
        timeout_s: hook.timeout_s,
        user: hook.user.clone(),
    })
}

fn idle(plan: Option<&Plan>, event: &LifecycleEvent) -> Option<Idle> {
    let planned = plan?.events.iter().find(|planned| planned.event == *event)?;
    match &planned.action {
        Action::Nothing { reason } => Some(*reason),
        Action::Hooks { .. } | Action::Download { .. } | Action::Install { .. } => None,
    }
}
