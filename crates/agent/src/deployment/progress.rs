//! How far a deployment got, as its journal tells it. Pure.

use std::collections::BTreeMap;

use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::LifecycleEvent;

use super::journal::{Entry, Line, Outcome, Step};
use super::order::{Order, Pace};
use super::plan::{Action, Plan, PlannedEvent};
use crate::hook::HookReport;
use crate::hook::command::BundleSource;
use crate::install::transaction::Phase;
use crate::release::Release;

/// How far a deployment got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What was asked for.
    pub order: Order,
    /// What was fetched and decided, once it was.
    pub prepared: Option<Prepared>,
    /// How many scripts were decided on before that; theirs are the first numbers.
    pub scripts_before: usize,
    /// The events that were asked for, in order.
    pub asked: Vec<Asked>,
    /// The events whose steps were written down, in order, and these steps.
    pub planned: Vec<(LifecycleEvent, Vec<Step>)>,
    /// How many steps of each event are done.
    pub done: BTreeMap<LifecycleEvent, usize>,
    /// The step that had begun and not ended.
    pub running: Option<Begun>,
    /// How far the installation under way got.
    pub installing: Option<Phase>,
    /// The step that failed, unless another event was asked for since.
    pub failed: Option<FailedStep>,
    /// The deployment that brings the last good release back.
    pub restoring: Option<DeploymentId>,
    /// How it was closed.
    pub closed: Option<Closed>,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// How.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
}

/// What was fetched and decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What the release is once it is installed.
    pub release: Release,
    /// Where the bundle came from.
    pub source: BundleSource,
    /// What was decided, without the files of Install.
    pub plan: Plan,
}

/// An event that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The event.
    pub event: LifecycleEvent,
    /// What was decided for it alone, where it takes no bundle.
    pub plan: Option<Plan>,
    /// Its step that failed.
    pub failed: Option<FailedStep>,
    /// Why the deployment was closed while it was under way.
    pub ended: Option<String>,
}

/// How an event of an order stands whose events run when they are asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody has asked for it.
    NotAsked,
    /// It is not done yet.
    Open,
    /// It is done.
    Done,
    /// A step of it failed.
    Failed(&'a FailedStep),
    /// It came to an end without a failing step: the reason.
    Ended(&'a str),
}

/// A step that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its event.
    pub event: LifecycleEvent,
    /// Its place in the event, from 0.
    pub step: usize,
    /// The host's boot id then.
    pub boot: String,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// Its event.
    pub event: LifecycleEvent,
    /// Its place in the event, from 0.
    pub step: usize,
    /// What went wrong, one sentence.
    pub message: String,
    /// What the hook said of itself, for a step that ran one.
    pub hook: Option<HookReport>,
}

impl Progress {
    /// A deployment that has just been ordered.
    pub fn new(order: Order) -> Progress {
        Progress {
            order,
            prepared: None,
            scripts_before: 0,
            asked: Vec::new(),
            planned: Vec::new(),
            done: BTreeMap::new(),
            running: None,
            installing: None,
            failed: None,
            restoring: None,
            closed: None,
        }
    }

    /// Replays a journal; `None` when it does not even say what was asked for.
    pub fn replay(lines: impl IntoIterator<Item = Line>) -> Option<Progress> {
        let mut lines = lines.into_iter();
        let Entry::Opened { order, .. } = lines.next()?.entry else { return None };
        let mut progress = Progress::new(*order);
        for line in lines {
            progress.take(line.entry);
        }
        Some(progress)
    }

    /// Takes note of a line.
    pub fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Opened { .. } | Entry::Resumed { .. } => {}
            Entry::Asked { event, plan } => self.ask(event, plan.map(|plan| *plan)),
            Entry::Prepared { release, source, plan } => {
                self.scripts_before = self.last_number();
                self.prepared = Some(Prepared { release, source, plan: *plan });
            }
            Entry::Planned { event, steps } => self.planned.push((event, steps)),
            Entry::Started { event, step, boot } => self.running = Some(Begun { event, step, boot }),
            Entry::Installing { phase } => self.installing = Some(phase),
            Entry::Finished { event, step, .. } => {
                self.ended();
                self.done.insert(event, step + 1);
            }
            Entry::Failed { event, step, message, hook } => {
                self.ended();
                let failed = FailedStep { event, step, message, hook };
                if let Some(asked) = self.asked.iter_mut().find(|asked| asked.event == failed.event) {
                    asked.failed = Some(failed.clone());
                }
                self.failed = Some(failed);
            }
            Entry::Restoring { by } => self.restoring = Some(by),
            Entry::Closed { outcome, reason, .. } => {
                if let Some(open) = self.open().cloned()
                    && let Some(asked) = self.asked.iter_mut().find(|asked| asked.event == open)
                {
                    asked.ended = Some(reason.clone().unwrap_or_else(|| outcome.word().to_owned()));
                }
                self.closed = Some(Closed { outcome, reason });
            }
        }
    }

    /// What was closed is open again, and what failed was not the end.
    fn ask(&mut self, event: LifecycleEvent, plan: Option<Plan>) {
        self.asked.retain(|asked| asked.event != event);
        self.asked.push(Asked { event, plan, failed: None, ended: None });
        self.closed = None;
        self.failed = None;
        self.restoring = None;
    }

    fn ended(&mut self) {
        self.running = None;
        self.installing = None;
    }

    /// How many steps of an event are done.
    pub fn done(&self, event: &LifecycleEvent) -> usize {
        self.done.get(event).copied().unwrap_or_default()
    }

    /// The event in which it stopped; `None` before the first.
    pub fn during(&self) -> Option<&LifecycleEvent> {
        self.planned.last().map(|(event, _)| event)
    }

    /// The steps of an event, once they were written down.
    pub fn steps(&self, event: &LifecycleEvent) -> Option<&[Step]> {
        self.planned.iter().find(|(planned, _)| planned == event).map(|(_, steps)| steps.as_slice())
    }

    /// The highest number that a script was given.
    pub fn last_number(&self) -> usize {
        let numbers = self.planned.iter().flat_map(|(_, steps)| steps).map(|step| match step {
            Step::RunHook { number, .. } => *number,
            Step::MarkMostRecent | Step::Install => 0,
        });
        numbers.max().unwrap_or_default()
    }

    /// What was written down of an event: alone, or with all others.
    pub fn plan_of(&self, event: &LifecycleEvent) -> Option<&PlannedEvent> {
        let alone = self.asked.iter().find(|asked| asked.event == *event).and_then(|asked| asked.plan.as_ref());
        let plan = alone.or_else(|| self.prepared.as_ref().map(|prepared| &prepared.plan))?;
        plan.events.iter().find(|planned| planned.event == *event)
    }

    /// How an event stands that may have been asked for.
    pub fn standing(&self, event: &LifecycleEvent) -> Standing<'_> {
        let Some(asked) = self.asked.iter().find(|asked| asked.event == *event) else { return Standing::NotAsked };
        if let Some(failed) = &asked.failed {
            return Standing::Failed(failed);
        }
        if let Some(reason) = &asked.ended {
            return Standing::Ended(reason);
        }
        let is_done = match (self.steps(event), self.plan_of(event)) {
            (Some(steps), _) => self.done(event) == steps.len(),
            (None, Some(planned)) => matches!(planned.action, Action::Nothing { .. }),
            (None, None) => false,
        };
        if is_done { Standing::Done } else { Standing::Open }
    }

    /// The event that was asked for and has not ended.
    pub fn open(&self) -> Option<&LifecycleEvent> {
        self.asked.iter().map(|asked| &asked.event).find(|event| self.standing(event) == Standing::Open)
    }

    /// Whether it stands between two events, and the next one is for others to ask for.
    pub fn waits(&self) -> bool {
        let is_between = self.closed.is_none() && self.failed.is_none() && self.open().is_none();
        self.order.pace == Pace::OnCommand && is_between && !self.asked.is_empty()
    }

    /// The event that an agent left in the middle, of an order whose events run when they are asked for.
    pub fn left(&self) -> Option<&LifecycleEvent> {
        let begun = self.open().filter(|event| self.steps(event).is_some());
        self.failed.as_ref().map(|failed| &failed.event).or(begun)
    }

    /// Whether the service asks for nothing after this event, as far as can be told.
    pub fn ends_with(&self, event: &LifecycleEvent) -> bool {
        match event {
            LifecycleEvent::AfterAllowTraffic => true,
            LifecycleEvent::ValidateService => !self.asked.iter().any(|asked| asked.event.is_traffic()),
            // Of a host that others take the place of.
            LifecycleEvent::AfterBlockTraffic => self.order.blue_green && self.prepared.is_none(),
            LifecycleEvent::BeforeBlockTraffic
            | LifecycleEvent::ApplicationStop
            | LifecycleEvent::DownloadBundle
            | LifecycleEvent::BeforeInstall
            | LifecycleEvent::Install
            | LifecycleEvent::AfterInstall
            | LifecycleEvent::ApplicationStart
            | LifecycleEvent::BeforeAllowTraffic
            | LifecycleEvent::Custom(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::order;
    use super::*;

    fn line(entry: Entry) -> Line {
        Line { at: String::new(), entry }
    }

    #[test]
    fn a_journal_tells_how_far_its_deployment_got_wherever_it_ends() {
        let event = || LifecycleEvent::AfterInstall;
        let begun = |step| Some(Begun { event: event(), step, boot: "b".to_owned() });
        let started = |step| Entry::Started { event: event(), step, boot: "b".to_owned() };
        let finished = |step| Entry::Finished { event: event(), step, hook: None };
        let failed = || Entry::Failed { event: event(), step: 1, message: "m".to_owned(), hook: None };
        // Entry, and after it: steps done, the running one, the phase of an installation, failed, closed.
        let table = [
            (Entry::Opened { order: Box::new(order()), agent: String::new() }, 0, None, None, false, false),
            (Entry::Planned { event: event(), steps: Vec::new() }, 0, None, None, false, false),
            (started(0), 0, begun(0), None, false, false),
            (Entry::Installing { phase: Phase::Staging }, 0, begun(0), Some(Phase::Staging), false, false),
            (Entry::Resumed { agent: String::new() }, 0, begun(0), Some(Phase::Staging), false, false),
            (Entry::Installing { phase: Phase::Swapping }, 0, begun(0), Some(Phase::Swapping), false, false),
            (finished(0), 1, None, None, false, false),
            (started(1), 1, begun(1), None, false, false),
            (failed(), 1, None, None, true, false),
            (Entry::Closed { outcome: Outcome::Failed, good: false, reason: None }, 1, None, None, true, true),
        ];
        for end in 1..=table.len() {
            let lines = table[..end].iter().map(|row| line(row.0.clone()));
            let progress = Progress::replay(lines).unwrap();
            let (_, done, running, installing, has_failed, is_closed) = table[end - 1].clone();
            assert_eq!(
                (
                    progress.done(&event()),
                    progress.running,
                    progress.installing,
                    progress.failed.is_some(),
                    progress.closed.is_some()
                ),
                (done, running, installing, has_failed, is_closed),
                "after {end} lines"
            );
        }
        assert_eq!(Progress::replay([]), None);
        assert_eq!(Progress::replay([line(started(0))]), None, "what was asked for is not known");
    }

    #[test]
    fn a_deployment_whose_events_are_asked_for_waits_between_two_of_them_and_at_no_other_moment() {
        let (one, two) = (LifecycleEvent::BeforeInstall, LifecycleEvent::AfterInstall);
        let order = Order { pace: Pace::OnCommand, ..order() };
        let asked = |event: &LifecycleEvent| Entry::Asked { event: event.clone(), plan: None };
        let planned = |event: &LifecycleEvent| Entry::Planned { event: event.clone(), steps: vec![Step::Install] };
        let started = |event: &LifecycleEvent| Entry::Started { event: event.clone(), step: 0, boot: String::new() };
        let closed = |outcome| Entry::Closed { outcome, good: false, reason: Some("r".to_owned()) };
        // Entry, and after it: whether it waits, what was left, the event that is open.
        let table = [
            (Entry::Opened { order: Box::new(order), agent: String::new() }, false, None, None),
            (asked(&one), false, None, Some(&one)),
            (planned(&one), false, Some(&one), Some(&one)),
            (started(&one), false, Some(&one), Some(&one)),
            (Entry::Finished { event: one.clone(), step: 0, hook: None }, true, None, None),
            (asked(&two), false, None, Some(&two)),
            (planned(&two), false, Some(&two), Some(&two)),
            (
                Entry::Failed { event: two.clone(), step: 0, message: "m".to_owned(), hook: None },
                false,
                Some(&two),
                None,
            ),
            (closed(Outcome::Failed), false, Some(&two), None),
            (asked(&LifecycleEvent::Install), false, None, Some(&LifecycleEvent::Install)),
            (closed(Outcome::Refused), false, None, None),
        ];
        let replay = |end: usize| Progress::replay(table[..end].iter().map(|row| line(row.0.clone()))).unwrap();
        for end in 1..=table.len() {
            let (progress, (_, waits, left, open)) = (replay(end), table[end - 1].clone());
            assert_eq!((progress.waits(), progress.left(), progress.open()), (waits, left, open), "after {end} lines");
        }
        let last = replay(table.len());
        assert_eq!(last.standing(&one), Standing::Done);
        assert!(matches!(last.standing(&two), Standing::Failed(step) if step.message == "m"));
        assert_eq!(last.standing(&LifecycleEvent::Install), Standing::Ended("r"));
        assert_eq!(last.standing(&LifecycleEvent::ApplicationStart), Standing::NotAsked);
    }
}
