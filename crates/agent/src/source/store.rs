//! Orders from a group pointer in a store, without any service between.
//!
//! `decide` says what to do about a pointer (pure), `mark` remembers what was seen of it, `order` turns it into an order
//! (pure), `job` has that carried out; `status` says what this host tells of it (pure), `report` writes that. This file
//! joins them: it looks, and never changes what is installed because a store fails.

mod decide;
mod job;
mod mark;
mod order;
mod place;
mod report;
mod status;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::host_status::{HostState, HostStatus, InstalledRelease};
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::pointer::{self, Pointer};
use longshore_core::report::Reporter;
use longshore_core::store::Changed;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::decide::{Act, Known, Refusal, Standing, View};
use self::job::{Job, Watcher};
use self::mark::{End, Mark, MarkError};
use self::place::{Place, PlaceError};
use self::report::Report;
use self::status::{Doing, Facts, Trouble};
use crate::daemon::backoff::{Backoff, jittered};
use crate::daemon::notice::Notice;
use crate::daemon::shared::Shared;
use crate::deployment::agent::Agent;
use crate::deployment::journal::{self, Line, Outcome};
use crate::deployment::progress::Progress;
use crate::event::Event;
use crate::history;
use crate::release;
use crate::settings::Follow;

/// How long after a change more of them are expected.
const MOVING: Duration = Duration::from_secs(120);

/// The longest pause while a store fails.
const LONGEST: Duration = Duration::from_secs(300);

/// A source, as people know it.
pub fn name(follow: &Follow) -> String {
    format!("{}/{} in {}", follow.application, follow.group, follow.store)
}

/// Follows a pointer until the daemon ends.
pub async fn follow(shared: Shared, follow: Follow) {
    let place = Place::new(&shared, &follow.store);
    let source = name(&follow);
    let mut follower = Follower::new(&shared, &follow, &place, &source);
    let mut report = Report::new(&shared, &place, &source, &follower.told.borrow());
    let changes = follower.told.subscribe();
    let mut ending = shared.ending.clone();
    tokio::select! {
        // An error means that nobody is there to ask any more.
        _ = ending.wait_for(|ending| *ending) => {}
        () = async { tokio::join!(follower.work(), report.keep(changes, follow.heartbeat)); } => {}
    }
    follower.tell(Doing::Stopping);
    let last = follower.told.borrow().clone();
    report.finish(&last).await;
}

/// One pointer and this host.
struct Follower<'a> {
    shared: &'a Shared,
    follow: &'a Follow,
    place: &'a Place,
    /// The source, as people know it.
    source: &'a str,
    group: GroupId,
    mark: PathBuf,
    /// What stood in the store when it was read last, and its ETag.
    standing: Standing,
    etag: Option<String>,
    /// The deployment under way.
    job: Option<Job>,
    /// Whether somebody else is at work on the group.
    is_taken: bool,
    trouble: Option<Trouble>,
    /// When the pointer was seen to move last.
    moved: Option<Instant>,
    /// The pauses while the store fails.
    backoff: Option<Backoff>,
    /// What this host says, without the time.
    told: Arc<watch::Sender<HostStatus>>,
}

/// Why nothing was done about a pointer.
enum Blocked {
    Place(PlaceError),
    Mark(MarkError),
}

impl From<PlaceError> for Blocked {
    fn from(error: PlaceError) -> Blocked {
        Blocked::Place(error)
    }
}

impl From<MarkError> for Blocked {
    fn from(error: MarkError) -> Blocked {
        Blocked::Mark(error)
    }
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Shared, follow: &'a Follow, place: &'a Place, source: &'a str) -> Follower<'a> {
        let group = GroupId::of(&follow.application, &follow.group);
        let facts = Facts { follow, seen: None, installed: None, trouble: None, doing: Doing::Following };
        let (told, _) = watch::channel(status::of(&facts));
        let mut follower = Follower {
            shared,
            follow,
            place,
            source,
            mark: shared.settings.layout.group(&group).pointer(),
            group,
            standing: Standing::Unread,
            etag: None,
            job: None,
            is_taken: false,
            trouble: None,
            moved: None,
            backoff: None,
            told: Arc::new(told),
        };
        // What is seen first is compared with what was seen last.
        if let Some(seen) = follower.seen() {
            follower.etag = Some(seen.etag);
            follower.standing = Standing::Pointer(Box::new(seen.pointer));
        }
        follower.go_on();
        follower.say();
        follower
    }

    async fn work(&mut self) {
        let mut paused = self.shared.paused.subscribe();
        loop {
            let pause = self.look().await;
            self.say();
            let mut pause = pin!(sleep(pause));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    _ = paused.changed() => break,
                    ended = job::end_of(&mut self.job) => {
                        self.close(ended);
                        // Somebody else is asked again after the pause, not at once.
                        if !self.is_taken {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Has what an earlier agent left unfinished gone on with, whatever it was.
    fn go_on(&mut self) {
        // What cannot be read is told by the next deployment.
        let unfinished = history::unfinished(&self.shared.settings.layout, &self.group).unwrap_or_default();
        if unfinished.is_empty() {
            return;
        }
        let seen = self.seen().map(|seen| seen.pointer).filter(|seen| unfinished.contains(&seen.deployment));
        let halted = seen.as_ref().is_some_and(Pointer::is_stopped);
        let deployment = seen.map(|seen| seen.deployment);
        let agent = self.agent(deployment.clone(), halted);
        self.job = Some(Job::going_on(&self.shared.desk, agent, self.group.clone(), deployment));
    }

    /// Looks once and acts. How long until the next time.
    async fn look(&mut self) -> Duration {
        let key = pointer::key(&self.follow.application, &self.follow.group);
        let acted = match self.place.read_if_changed(&key, self.etag.as_deref()).await {
            Ok(changed) => {
                self.take_in(changed);
                self.act(&key).await
            }
            Err(error) => Err(error),
        };
        match acted {
            Ok(()) => {
                self.backoff = None;
                self.shared.source_answered(self.source);
                let trouble = self.trouble.as_ref().map(|trouble| trouble.reason.clone());
                self.shared.source_trouble(self.source, trouble);
                let moving = self.moved.is_some_and(|moved| moved.elapsed() < MOVING);
                let fast = moving || self.is_taken || self.job.is_some();
                let pause = if fast { self.follow.fast_poll.min(self.follow.poll) } else { self.follow.poll };
                jittered(pause)
            }
            Err(error) => {
                let pause = self.backoff.get_or_insert(Backoff::new(self.follow.fast_poll, LONGEST)).pause();
                self.shared.source_lost(self.source, &error.line(), pause);
                pause
            }
        }
    }

    fn take_in(&mut self, changed: Changed) {
        let (standing, etag) = match changed {
            Changed::Same => return,
            Changed::Missing => (Standing::Missing, None),
            Changed::New { contents, etag } => {
                (decide::parse(&contents, &self.follow.application, &self.follow.group), Some(etag))
            }
        };
        if standing != self.standing {
            self.moved = Some(Instant::now());
        }
        (self.standing, self.etag) = (standing, etag);
    }

    /// Does what is to be done, and tells what is in the way.
    async fn act(&mut self, key: &str) -> Result<(), PlaceError> {
        let reason = |reason| Some(Trouble { reason, refused: None });
        let trouble = match self.standing.clone() {
            Standing::Unread => None,
            Standing::Missing => reason(format!("there is no pointer `{key}` in the store")),
            Standing::Unusable(why) => reason(why),
            Standing::Pointer(pointer) => match self.act_on(&pointer).await {
                Ok(trouble) => trouble,
                Err(Blocked::Place(error)) => {
                    // That the store is lost is told by whoever asked.
                    self.trouble = reason(error.line());
                    return Err(error);
                }
                Err(Blocked::Mark(error)) => reason(chain(&error)),
            },
        };
        if let Some(trouble) = trouble.as_ref().filter(|trouble| Some(*trouble) != self.trouble.as_ref()) {
            let message = format!("{}: {}", self.source, trouble.reason);
            self.shared.listener.tell(&Notice::Warned { message });
        }
        self.trouble = trouble;
        Ok(())
    }

    async fn act_on(&mut self, pointer: &Pointer) -> Result<Option<Trouble>, Blocked> {
        let seen = self.read_mark()?;
        let view = View {
            seen: seen.as_ref(),
            standing: &self.standing,
            // What would begin now would have to be handed over at once.
            busy: self.job.is_some() || self.shared.agent.handover.load(Ordering::Relaxed),
            making: self.job.as_ref().and_then(|job| job.deployment.as_ref()),
            paused: self.shared.is_paused(),
        };
        let mark = |ended| Mark {
            format: mark::FORMAT,
            store: self.follow.store.to_string(),
            etag: self.etag.clone().unwrap_or_default(),
            pointer: pointer.clone(),
            ended,
        };
        match decide::decide(&view, |deployment| self.known(deployment)) {
            Act::Rest | Act::Wait | Act::Hold => {}
            Act::Refuse(refusal) => return Ok(Some(self.refused(&refusal, pointer))),
            Act::Stop => {
                let mark = mark(None);
                self.halt(mark)?;
            }
            Act::Skip => {
                let ended =
                    seen.filter(|seen| seen.pointer.deployment == pointer.deployment).and_then(|seen| seen.ended);
                mark::write(&self.mark, &mark(ended.or_else(|| Some(End::skipped()))))?;
            }
            Act::Adopt => mark::write(&self.mark, &mark(self.end(&pointer.deployment, pointer.is_stopped())))?,
            Act::Deploy => {
                // A store that cannot be reached must not make the deployment fail, which happens once.
                self.place.can_reach(&pointer.revision.key, pointer.revision.version.as_deref()).await?;
                let mark = mark(None);
                mark::write(&self.mark, &mark)?;
                self.deploy(mark);
            }
        }
        Ok(None)
    }

    fn deploy(&mut self, mark: Mark) {
        self.is_taken = false;
        // Before its first event is told.
        self.tell(Doing::Deploying);
        let agent = self.agent(Some(mark.pointer.deployment.clone()), mark.pointer.is_stopped());
        let order = order::of(self.follow, &mark.pointer);
        self.job = Some(Job::of(&self.shared.desk, agent, order, mark));
    }

    /// Has the deployment under way stopped. Where the pointer that says so names it too, it is from now on that pointer's.
    fn halt(&mut self, mark: Mark) -> Result<(), MarkError> {
        let Some(job) = self.job.as_mut().filter(|job| !job.is_halted()) else { return Ok(()) };
        if mark.pointer.is_stopped() && job.deployment.as_ref() == Some(&mark.pointer.deployment) {
            mark::write(&self.mark, &mark)?;
            job.mark = Some(mark);
        }
        job.halt.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A deployment ended, or was handed over.
    fn close(&mut self, ended: Option<Option<Failure>>) {
        let Some(job) = self.job.take() else { return };
        let halted = job.is_halted();
        let Some(mark) = job.mark else { return };
        let failure = match ended {
            Some(failure) => failure,
            None => Some(Failure::new(Exit::Failed, "the agent lost the deployment; this is a defect of the agent")),
        };
        let end = match (self.end(&mark.pointer.deployment, halted), failure) {
            (Some(end), _) => end,
            // Somebody else's deployment of the group is under way: a matter of time.
            (None, Some(failure)) if failure.exit == Exit::Busy => {
                self.is_taken = true;
                return;
            }
            (None, Some(failure)) if !self.shared.agent.handover.load(Ordering::Relaxed) => {
                End::failed(&failure.error.to_string())
            }
            // The next agent goes on with it.
            (None, Some(_) | None) => return,
        };
        // When this fails, the next look finds the deployment ended, and tries again.
        let _ = mark::write(&self.mark, &Mark { ended: Some(end), ..mark });
    }

    /// An agent that says here which event of a deployment it is in.
    fn agent(&self, deployment: Option<DeploymentId>, halted: bool) -> Agent {
        let reader = deployment.map(|deployment| {
            Arc::new(Watcher { deployment, told: Arc::clone(&self.told) }) as Arc<dyn Reporter<Event>>
        });
        let agent = self.shared.agent(self.shared.agent.access.clone(), reader);
        // Of this deployment alone.
        Agent { halt: Arc::new(AtomicBool::new(halted)), ..agent }
    }

    /// What is known here of a deployment.
    fn known(&self, deployment: &DeploymentId) -> Known {
        let directory = self.shared.settings.layout.deployment(&self.group, deployment);
        match journal::read(&directory.journal()).map(|lines| journal::outcome(&lines)) {
            Ok(Some(_)) => Known::Closed,
            Ok(None) => Known::Open,
            // The deployment says what is wrong.
            Err(_) => Known::Nothing,
        }
    }

    /// How a deployment ended, by its journal.
    fn end(&self, deployment: &DeploymentId, halted: bool) -> Option<End> {
        let lines = self.journal(deployment)?;
        let restored = Progress::replay(lines.iter().cloned())
            .and_then(|progress| self.journal(&progress.restoring?))
            .is_some_and(|lines| journal::outcome(&lines) == Some(Outcome::Succeeded));
        Some(End { restored, ..End::of(&lines, halted)? })
    }

    fn journal(&self, deployment: &DeploymentId) -> Option<Vec<Line>> {
        journal::read(&self.shared.settings.layout.deployment(&self.group, deployment).journal()).ok()
    }

    /// What was seen of the pointer of this store; nothing when that cannot be read.
    fn seen(&self) -> Option<Mark> {
        self.read_mark().ok().flatten()
    }

    fn read_mark(&self) -> Result<Option<Mark>, MarkError> {
        let seen = mark::read(&self.mark)?;
        Ok(seen.filter(|seen| seen.store == self.follow.store.to_string()))
    }

    fn refused(&self, refusal: &Refusal, pointer: &Pointer) -> Trouble {
        let reason = format!("{refusal}; if the store was replaced, remove `{}` on this host", self.mark.display());
        Trouble { reason, refused: Some(Box::new(pointer.clone())) }
    }

    /// Tells the others how it is.
    fn say(&self) {
        self.tell(match (&self.job, self.shared.is_paused()) {
            (Some(Job { mark: Some(_), .. }), _) => Doing::Deploying,
            (Some(Job { mark: None, .. }) | None, true) => Doing::Paused,
            (Some(Job { mark: None, .. }) | None, false) => Doing::Following,
        });
    }

    fn tell(&self, doing: Doing) {
        let installed = release::installed(&self.shared.settings.layout, &self.group).ok().flatten();
        let installed = installed.map(|release| InstalledRelease {
            deployment: release.deployment,
            commit: release.commit,
            content_digest: release.content_digest,
        });
        let seen = self.seen();
        let trouble = self.trouble.as_ref();
        let mut next = status::of(&Facts { follow: self.follow, seen: seen.as_ref(), installed, trouble, doing });
        self.told.send_if_modified(|told| {
            if told.deployment == next.deployment && matches!(told.state, HostState::Deploying) && next.event.is_none()
            {
                // Which event is under way is said by the deployment itself.
                next.event.clone_from(&told.event);
            }
            let changed = *told != next;
            *told = next;
            changed
        });
    }
}
