//! How far a deployment got, as its journal tells it. Pure.

use std::collections::BTreeMap;

use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::LifecycleEvent;

use super::journal::{Entry, Line};
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
    /// Whether it was closed.
    pub is_closed: bool,
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
            is_closed: false,
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
            Entry::Closed { .. } => self.is_closed = true,
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
