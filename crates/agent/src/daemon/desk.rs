//! Several groups at a time, one job per group at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use longshore_core::ids::GroupId;

/// A piece of work for one group.
pub type Job = Box<dyn FnOnce() + Send>;

/// Hands jobs to threads: a group's jobs run one after the other, in the order in which they came.
#[derive(Clone, Default)]
pub struct Desk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The groups that are worked on, each with what waits for it.
    busy: Mutex<BTreeMap<GroupId, VecDeque<Job>>>,
    idle: Condvar,
}

/// Why a job was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// Another one of its group is under way.
    #[error("the agent works on group `{0}` already")]
    Busy(GroupId),
    /// There is nobody to do it.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl Desk {
    /// Takes a job in, behind those of its group. Returns at once. For orders that stand somewhere: what waits is lost when the
    /// daemon ends.
    pub fn submit(&self, group: GroupId, job: Job) {
        let mut busy = self.0.busy();
        match busy.get_mut(&group) {
            Some(waiting) => waiting.push_back(job),
            // Where no thread can be had the job is dropped, of which its sender hears, and the group stays free.
            None => drop(self.begin(&mut busy, group, job)),
        }
    }

    /// Begins a job at once, or not at all.
    pub fn begin_at_once(&self, group: GroupId, job: Job) -> Result<(), Untaken> {
        let mut busy = self.0.busy();
        if busy.contains_key(&group) {
            return Err(Untaken::Busy(group));
        }
        self.begin(&mut busy, group, job).map_err(Untaken::Thread)
    }

    /// A thread lives as long as its group has work: an idle daemon has none.
    fn begin(&self, busy: &mut BTreeMap<GroupId, VecDeque<Job>>, group: GroupId, job: Job) -> io::Result<()> {
        let (inner, name) = (Arc::clone(&self.0), group.clone());
        thread::Builder::new().spawn(move || inner.work(&name, job))?;
        busy.insert(group, VecDeque::new());
        Ok(())
    }

    /// The groups that are worked on.
    pub fn busy(&self) -> Vec<GroupId> {
        self.0.busy().keys().cloned().collect()
    }

    /// Drops what waits, and returns when nothing runs any more.
    pub fn close(&self) {
        let mut busy = self.0.busy();
        busy.values_mut().for_each(VecDeque::clear);
        while !busy.is_empty() {
            busy = self.0.idle.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Inner {
    fn busy(&self) -> MutexGuard<'_, BTreeMap<GroupId, VecDeque<Job>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, group: &GroupId, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            // A defect in one job is no reason to leave the others of its group for ever.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let mut busy = self.busy();
            next = busy.get_mut(group).and_then(VecDeque::pop_front);
            if next.is_none() {
                busy.remove(group);
                self.idle.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn groups_run_side_by_side_and_the_jobs_of_one_in_turn() {
        let desk = Desk::default();
        let (seen, order) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let say = |text: &'static str| {
            let seen = seen.clone();
            Box::new(move || seen.send(text).unwrap()) as Job
        };
        let first = seen.clone();
        desk.submit(
            "a".parse().unwrap(),
            Box::new(move || {
                wait.recv().unwrap();
                first.send("a1").unwrap();
            }),
        );
        desk.submit("a".parse().unwrap(), say("a2"));
        desk.submit("b".parse().unwrap(), say("b1"));
        assert_eq!(order.recv().unwrap(), "b1", "another group does not wait");
        let refused = desk.begin_at_once("a".parse().unwrap(), say("a3")).unwrap_err();
        assert_eq!(refused.to_string(), "the agent works on group `a` already");
        assert_eq!(desk.busy().first().map(ToString::to_string).as_deref(), Some("a"));
        let_go.send(()).unwrap();
        assert_eq!([order.recv().unwrap(), order.recv().unwrap()], ["a1", "a2"]);
        desk.close();
        assert!(desk.busy().is_empty());
    }
}
