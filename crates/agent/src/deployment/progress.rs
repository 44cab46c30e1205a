//! How far a deployment got, as its journal tells it. Pure.

use std::collections::BTreeMap;

use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::LifecycleEvent;

use super::journal::{Entry, Line, Outcome};
use super::order::Order;
use super::plan::Plan;
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
    /// The events whose steps were written down, in order.
    pub planned: Vec<LifecycleEvent>,
    /// How many steps of each event are done.
    pub done: BTreeMap<LifecycleEvent, usize>,
    /// The step that had begun and not ended.
    pub running: Option<Begun>,
    /// How far the installation under way got.
    pub installing: Option<Phase>,
    /// The step that failed.
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
            Entry::Prepared { release, source, plan } => {
                self.prepared = Some(Prepared { release, source, plan: *plan });
            }
            Entry::Planned { event, .. } => self.planned.push(event),
            Entry::Started { event, step, boot } => self.running = Some(Begun { event, step, boot }),
            Entry::Installing { phase } => self.installing = Some(phase),
            Entry::Finished { event, step, .. } => {
                self.ended();
                self.done.insert(event, step + 1);
            }
            Entry::Failed { event, step, message, hook } => {
                self.ended();
                self.failed = Some(FailedStep { event, step, message, hook });
            }
            Entry::Restoring { by } => self.restoring = Some(by),
            Entry::Closed { outcome, reason, .. } => self.closed = Some(Closed { outcome, reason }),
        }
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
        self.planned.last()
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
}
