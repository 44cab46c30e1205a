//! Joins the parts: takes the lock, prepares, and walks the plan one journaled step at a time.
//!
//! Holds no rules: [`super::plan`] decides, [`crate::install`] and [`crate::hook`] act.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use longshore_core::bundle::EntryKind;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use longshore_core::report::Fanout;

use super::agent::Agent;
use super::journal::{Entry, Journal, Outcome, Step};
use super::order::Order;
use super::plan::{Action, Plan, PlannedEvent, Revision};
use super::refusal::{self, FailedHook};
use super::{decide, revisions, unfinished};
use crate::event::Event;
use crate::fetch::{self, Fetched, Request};
use crate::history;
use crate::hook::command::{HookCommand, HookContext};
use crate::hook::{HookReport, Stream, user, watch};
use crate::install::compat::Records;
use crate::install::execute::{self, InstallError, Installation};
use crate::install::listing::Listing;
use crate::install::plan::CopyAction;
use crate::install::transaction::{Phase, Transaction};
use crate::layout::{DEFAULT_ROOT, DeploymentDir, Layout};
use crate::lock::{Lock, LockError};
use crate::release::{self, Release};
use crate::retention;

/// Takes the group's lock and makes the deployment's folder.
fn open(layout: &Layout, order: &Order) -> Result<Lock, Failure> {
    let lock = Lock::acquire(layout, &order.group.id, &order.deployment).map_err(|error| match &error {
        LockError::Busy { .. } => {
            Failure::new(Exit::Busy, error).hint("wait for it to end; `longshore-agent history` shows how it did")
        }
        LockError::Io { .. } => Failure::new(Exit::Failed, error).hint(format!(
            "the agent needs to write below {}; run it as root, or give another folder with `--root`",
            layout.root().display()
        )),
    })?;
    let directory = layout.deployment(&order.group.id, &order.deployment);
    if directory.path().exists() {
        let message = format!("deployment `{}` exists already ({})", order.deployment, directory.path().display());
        return Err(Failure::new(Exit::Conflict, message).hint("leave `--deployment-id` out to get a fresh one"));
    }
    create(directory.path())?;
    create(&layout.instructions())?;
    Ok(lock)
}

/// Carries out an order: prepares it, walks its events, closes it. Returns when it succeeded.
pub fn deploy(agent: &Agent, order: &Order) -> Result<(), Failure> {
    let begun = Instant::now();
    let lock = &open(&agent.layout, order)?;
    let events = agent.events(order);
    let directory = agent.layout.deployment(&order.group.id, &order.deployment);
    let mut journal = Journal::create(directory.journal(), agent.now).map_err(internal)?;
    journal
        .append(Entry::Opened { order: Box::new(order.clone()), agent: env!("CARGO_PKG_VERSION").to_owned() })
        .map_err(internal)?;
    events.emit(&Event::DeploymentStarted {
        application: order.application.clone(),
        group: order.group.name.clone(),
        revision: order.revision.to_string(),
        events: order.events.clone(),
        cause: order.cause.clone(),
    });
    let mut run = Run { agent, events: &events, lock, order, directory, journal, begun, hooks_run: 0 };
    let ended = unfinished::close(agent, &events, lock, &order.deployment)
        .map_err(Ended::Refused)
        .and_then(|()| run.prepare())
        .and_then(|prepared| run.walk(&prepared));
    run.close(ended)
}

/// One deployment under way.
struct Run<'a> {
    agent: &'a Agent,
    events: &'a Fanout<Event>,
    lock: &'a Lock,
    order: &'a Order,
    directory: DeploymentDir,
    journal: Journal,
    begun: Instant,
    hooks_run: usize,
}

/// A deployment that is ready to change the host.
struct Prepared {
    fetched: Fetched,
    listing: Listing,
    new: Revision,
    plan: Plan,
}

impl Run<'_> {
    /// Everything that can go wrong without changing what the host serves. The bundle is unpacked into the deployment's
    /// own folder before anything is decided, so that a full disk is found, and free space judged, while the old release
    /// still serves.
    fn prepare(&mut self) -> Result<Prepared, Ended> {
        let request = Request::of(self.order, &self.agent.stop);
        let (events, progress) = (self.events, Throttle::default());
        let fetched = fetch::fetch(&request, &self.directory.bundle(), &|bytes| {
            if progress.is_due() {
                events.emit(&Event::Fetching { bytes });
            }
        })
        .map_err(|error| Ended::Refused(refusal::fetch_failure(error)))?;
        let bundle = &fetched.bundle;
        if let Some(manifest) = &bundle.manifest
            && manifest.application != self.order.application
        {
            return Err(Ended::Refused(refusal::other_application(self.order, &manifest.application)));
        }
        self.refuse_if_stopped()?;
        let archive = self.directory.archive();
        let release = decide::new_release(self.order, &fetched, archive.clone(), (self.agent.now)());
        let (mut new, problems) = revisions::of_bundle(bundle, release.clone(), self.order.appspec_name.as_ref())
            .map_err(|error| Ended::Refused(refusal::revision_failure(error)))?;
        bundle.unpack(&archive).map_err(refused)?;
        revisions::find_faults_on_disk(&mut new);
        sync(&archive).map_err(refused)?;
        events.emit(&Event::Fetched {
            content_digest: bundle.content_digest,
            commit: bundle.manifest.as_ref().map(|manifest| manifest.commit.clone()),
            files: bundle.entries.iter().filter(|entry| entry.kind != EntryKind::Directory).count(),
            bytes: fs::metadata(self.directory.bundle()).ok().map(|metadata| metadata.len()),
            elapsed_ms: elapsed(self.begun),
        });
        self.refuse_if_stopped()?;
        let listing = Listing::of_entries(&bundle.entries);
        let plan = decide::decide(&self.agent.layout, self.order, &new, &listing).map_err(Ended::Refused)?;
        for message in bundle.warnings.iter().chain(&plan.warnings) {
            events.emit(&Event::Warning { message: message.clone() });
        }
        for problem in problems {
            events.emit(&Event::Warning { message: problem.to_string() });
        }
        if let Some(failure) = refusal::blocked(&plan) {
            return Err(Ended::Refused(failure));
        }
        self.journal.append(Entry::Prepared { release }).map_err(refused)?;
        Ok(Prepared { fetched, listing, new, plan })
    }

    fn refuse_if_stopped(&self) -> Result<(), Ended> {
        if self.agent.stop.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        Err(Ended::Refused(Failure::new(Exit::Failed, "stopped before the first event, because somebody asked for it")))
    }

    fn walk(&mut self, prepared: &Prepared) -> Result<(), Ended> {
        for planned in &prepared.plan.events {
            self.check_stop(&planned.event)?;
            self.event(planned, prepared)?;
        }
        if covers_everything(self.order, &prepared.new) {
            release::mark_good(&self.agent.layout, self.lock, &prepared.new.release).map_err(failed)?;
        }
        Ok(())
    }

    fn check_stop(&self, event: &LifecycleEvent) -> Result<(), Ended> {
        if self.agent.stop.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let message = format!("stopped before {event}, because somebody asked for it");
        Err(Ended::Failed(Failure::new(Exit::Failed, message).hint(self.way_back())))
    }

    fn event(&mut self, planned: &PlannedEvent, prepared: &Prepared) -> Result<(), Ended> {
        let event = &planned.event;
        let begun = Instant::now();
        let steps = steps(&planned.action, self.hooks_run);
        if let Action::Nothing { reason } = &planned.action {
            self.events.emit(&Event::EventSkipped { event: event.clone(), reason: *reason });
            return Ok(());
        }
        self.journal.append(Entry::Planned { event: event.clone(), steps: steps.clone() }).map_err(failed)?;
        self.events.emit(&Event::EventStarted { event: event.clone() });
        for (index, step) in steps.iter().enumerate() {
            self.journal.append(Entry::Started { event: event.clone(), step: index }).map_err(failed)?;
            let done = match step {
                Step::MarkMostRecent => self.mark_most_recent().map(|()| None),
                Step::RunHook { index, number, .. } => {
                    self.hook(planned, Place { index: *index, number: *number }, prepared).map(Some)
                }
                Step::Install => self.install(prepared).map(|()| None),
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
            self.journal.append(entry).map_err(failed)?;
            if let Err(failure) = done {
                let code = failure.hook.as_ref().map_or(5, |report| report.outcome.code());
                let message = failure.failure.error.to_string();
                let script = match step {
                    Step::RunHook { location, .. } => Some(location.clone()),
                    Step::MarkMostRecent | Step::Install => None,
                };
                self.events.emit(&Event::EventFailed { event: event.clone(), message, script, code });
                return Err(Ended::Failed(failure.failure.hint(self.way_back())));
            }
            if index + 1 < steps.len() {
                self.check_stop(event)?;
            }
        }
        self.events.emit(&Event::EventFinished { event: event.clone(), elapsed_ms: elapsed(begun) });
        Ok(())
    }

    fn hook(&mut self, planned: &PlannedEvent, place: Place, prepared: &Prepared) -> Result<HookReport, StepFailure> {
        let Action::Hooks { from, revision, hooks } = &planned.action else {
            return Err(internal("a script outside an event that has scripts").into());
        };
        let Some(hook) = hooks.get(place.index) else {
            return Err(internal("a script that the plan does not have").into());
        };
        self.hooks_run = place.number;
        self.events.emit(&Event::HookStarted {
            event: planned.event.clone(),
            script: hook.location.clone(),
            from: *from,
            from_deployment: revision.deployment.clone(),
            number: place.index + 1,
            of: hooks.len(),
            timeout_s: hook.timeout_s,
            user: hook.user.clone(),
        });
        let user = user::resolve(hook.user.as_deref()).map_err(internal)?;
        let context = self.hook_context(&planned.event, revision, prepared);
        let command = HookCommand::new(&hook.hook, place.index, user, &context);
        let events = self.events;
        let mut on_line =
            |stream: Stream, line: &str| events.emit(&Event::HookOutput { stream, line: line.to_owned() });
        let dir = self.directory.hook(place.number);
        let report = ending_when_asked_twice(&self.agent.stop, &dir, || watch::run(&command, &dir, &mut on_line));
        let report = report.map_err(internal)?;
        self.events.emit(&Event::HookFinished {
            event: planned.event.clone(),
            script: hook.location.clone(),
            report: report.clone(),
        });
        if report.outcome.is_success() {
            return Ok(report);
        }
        let failed = FailedHook {
            hook,
            event: &planned.event,
            from: *from,
            number: place.index + 1,
            of: hooks.len(),
            report: &report,
        };
        let failure = refusal::hook_failure(&failed, &self.directory.scripts_log());
        Err(StepFailure { failure, hook: Some(report), left_half_done: false })
    }

    fn hook_context(&self, event: &LifecycleEvent, revision: &Release, prepared: &Prepared) -> HookContext {
        let installed = prepared.plan.installed.as_ref();
        HookContext {
            agent_env: self.agent.environment.clone(),
            agent_uid: nix::unistd::geteuid().as_raw(),
            deployment: self.order.deployment.clone(),
            application: self.order.application.clone(),
            group: self.order.group.name.clone(),
            group_id: self.order.group.id.clone(),
            event: event.clone(),
            archive: revision.archive.clone(),
            bundle: prepared.fetched.source(),
            commit: prepared.new.release.commit.clone(),
            digest: prepared.new.release.content_digest,
            previous_deployment: installed.map(|release| release.deployment.clone()),
            previous_commit: installed.and_then(|release| release.commit.clone()),
            cwd: self.agent.cwd.clone(),
            log: self.directory.scripts_log(),
            policy: self.order.policy.hooks.clone(),
        }
    }

    fn install(&mut self, prepared: &Prepared) -> Result<(), StepFailure> {
        let begun = Instant::now();
        let appspec = prepared.new.appspec.as_ref().map_err(|reason| internal(reason.clone()))?;
        // Decided anew: the scripts that ran before may have changed what stands on disk.
        // So may they have changed the archive: what is installed is what stands in it now (as the AWS agent).
        let changed = match self.hooks_run {
            0 => None,
            _ => Some(Listing::read(&prepared.new.release.archive).map_err(internal)?),
        };
        let listing = changed.as_ref().unwrap_or(&prepared.listing);
        let (decided, programs) = decide::install_plan(&self.agent.layout, self.order, appspec, listing)?;
        let plan = decided.map_err(|conflicts| refusal::conflict_failure(&conflicts))?;
        for message in &plan.notes {
            self.events.emit(&Event::Warning { message: message.clone() });
        }
        let installation = Installation {
            plan: &plan,
            archive: &prepared.new.release.archive,
            deployment_root: self.directory.path(),
            records: &self.records(),
            programs: &programs,
        };
        let (events, throttle) = (self.events, Throttle::default());
        let directory = &self.directory;
        let journal = RefCell::new(&mut self.journal);
        let write_down = |transaction: &Transaction| {
            if transaction.phase == Phase::Staging {
                unfinished::write(directory, &plan, transaction)?;
            }
            let entry = Entry::Installing { phase: transaction.phase };
            journal.borrow_mut().append(entry).map_err(io::Error::other)
        };
        let installed = execute::execute(&installation, &write_down, &|progress| {
            if throttle.is_due() {
                events.emit(&Event::Installing { files: progress.files_done, of: progress.files_total });
            }
        })
        .map_err(|error| {
            // Not closed, so that the next deployment undoes the rest.
            let left_half_done = matches!(error, InstallError::Stuck { .. });
            StepFailure { failure: Failure::new(Exit::InstallFailed, error), hook: None, left_half_done }
        })?;
        release::mark_installed(&self.agent.layout, self.lock, &prepared.new.release).map_err(internal)?;
        // It has ended; a file that stays is read only when the journal says otherwise.
        let _ = fs::remove_file(self.directory.installation());
        for left in &installed.left {
            let message = format!("{left}: {}; it is the old release's and can be deleted by hand", left.source);
            self.events.emit(&Event::Warning { message });
        }
        let count = |action| plan.copies.iter().filter(|copy| copy.action == action).count();
        self.events.emit(&Event::Installed {
            created: count(CopyAction::Create),
            replaced: count(CopyAction::Replace),
            retained: count(CopyAction::Retain),
            removed: installed.removed,
            bytes: installed.bytes,
            elapsed_ms: elapsed(begun),
        });
        Ok(())
    }

    fn mark_most_recent(&mut self) -> Result<(), StepFailure> {
        let records = self.records();
        records
            .write_most_recent_install(self.directory.path())
            .map_err(|source| internal(CannotWrite { path: records.dir, source }).into())
    }

    fn records(&self) -> Records {
        Records { dir: self.agent.layout.instructions(), group: self.order.group.id.clone() }
    }

    /// What to type to get the old release back, or to try again.
    fn way_back(&self) -> String {
        let Ok(Some(good)) = release::good(&self.agent.layout, &self.order.group.id) else {
            return "fix it and deploy again; no earlier release of this group was good".to_owned();
        };
        // As it was fetched: scripts may have written to the folder it was unpacked to.
        let bundle = self.agent.layout.deployment(&self.order.group.id, &good.deployment).bundle();
        let revision = if bundle.exists() { bundle } else { good.archive };
        let mut command = vec!["longshore-agent".to_owned(), "deploy".to_owned(), revision.display().to_string()];
        command.extend(["--group".to_owned(), self.order.group.name.to_string()]);
        command.extend(["--application".to_owned(), self.order.application.to_string()]);
        if self.order.group.id != GroupId::of(&self.order.application, &self.order.group.name) {
            command.extend(["--group-id".to_owned(), self.order.group.id.to_string()]);
        }
        if *self.agent.layout.root() != *Path::new(DEFAULT_ROOT) {
            command.extend(["--root".to_owned(), self.agent.layout.root().display().to_string()]);
        }
        let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        format!("fix it and deploy again, or go back to the last good release: {}", command.join(" "))
    }

    /// Writes down how it ended and tells everybody. The deployment's own error comes first; one on the way out is told
    /// when there is no other.
    fn close(mut self, ended: Result<(), Ended>) -> Result<(), Failure> {
        let stuck = matches!(ended, Err(Ended::Stuck(_)));
        let (outcome, failure) = match ended {
            Ok(()) => (Outcome::Succeeded, None),
            Err(Ended::Refused(failure)) => (Outcome::Refused, Some(failure)),
            Err(Ended::Failed(failure) | Ended::Stuck(failure)) => (Outcome::Failed, Some(failure)),
        };
        let reason = failure.as_ref().map(|failure| failure.error.to_string());
        let closed = if stuck {
            Ok(())
        } else {
            self.journal.append(Entry::Closed { outcome, reason: reason.clone() }).map_err(internal)
        };
        let (installed, tidied) = self.tidy(outcome);
        if let Err(failure) = tidied {
            self.events.emit(&Event::Warning { message: failure.error.to_string() });
        }
        self.events.emit(&Event::DeploymentFinished {
            outcome,
            reason,
            installed: installed.map(|release| release.deployment),
            elapsed_ms: elapsed(self.begun),
        });
        match failure {
            Some(failure) => Err(failure),
            None => closed,
        }
    }

    /// Removes what nobody needs any more: of a refused deployment all but its records, else old deployments. Nothing is
    /// removed when it cannot be told what is needed.
    fn tidy(&self, outcome: Outcome) -> (Option<Release>, Result<(), Failure>) {
        let (layout, group) = (&self.agent.layout, &self.order.group.id);
        let installed = match release::installed(layout, group) {
            Ok(installed) => installed,
            Err(error) => return (None, Err(internal(error))),
        };
        if outcome == Outcome::Refused {
            // What cannot be removed goes with the deployment's folder, later.
            let _ = fs::remove_file(self.directory.bundle());
            let _ = fs::remove_dir_all(self.directory.archive());
            return (installed, Ok(()));
        }
        let pruned = (|| {
            let mut protected = history::unfinished(layout, group).map_err(internal)?;
            protected.push(self.order.deployment.clone());
            let good = release::good(layout, group).map_err(internal)?;
            protected.extend(installed.iter().chain(&good).map(|release| release.deployment.clone()));
            retention::prune(layout, group, self.order.policy.keep, &protected).map_err(internal)
        })();
        (installed, pruned)
    }
}

/// Runs a hook; its script is ended when the user asks a second time.
fn ending_when_asked_twice<T>(stop: &AtomicUsize, dir: &Path, run: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) > 1 {
                    watch::stop(dir);
                }
                std::thread::park_timeout(Duration::from_millis(200));
            }
        });
        let result = run();
        ended.store(true, Ordering::Relaxed);
        look.thread().unpark();
        result
    })
}

/// Whether an order that went through its last event shows that a release works: it installed it, and left out no event
/// that the release has scripts for.
fn covers_everything(order: &Order, new: &Revision) -> bool {
    let scripted = new.appspec.iter().flat_map(|appspec| appspec.hooks.keys());
    let needed =
        scripted.filter(|event| event.scripts_from(order.scripts_map) == ScriptsFrom::Current && event.is_built_in());
    let mut needed = needed.chain([&LifecycleEvent::Install]);
    needed.all(|event| order.events.contains(event) && !order.skip.contains(event))
}

/// Makes everything below a folder durable, with all else that its file system holds.
fn sync(folder: &Path) -> Result<(), CannotWrite> {
    let synced = fs::File::open(folder).and_then(|folder| Ok(nix::unistd::syncfs(folder)?));
    synced.map_err(|source| CannotWrite { path: folder.to_owned(), source })
}

/// Lets progress through five times a second: a reader needs no more, and a file should not hold more.
#[derive(Default)]
struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= Duration::from_millis(200));
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Why a deployment ended early.
enum Ended {
    /// Before anything was changed.
    Refused(Failure),
    /// In the middle.
    Failed(Failure),
    /// In the middle of an installation that could not be undone yet.
    Stuck(Failure),
}

/// A step that failed, and what its hook said of itself.
struct StepFailure {
    failure: Failure,
    hook: Option<HookReport>,
    /// Whether undoing it failed too.
    left_half_done: bool,
}

impl From<Failure> for StepFailure {
    fn from(failure: Failure) -> StepFailure {
        StepFailure { failure, hook: None, left_half_done: false }
    }
}

/// Something below the agent's root that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to `{path}`")]
struct CannotWrite {
    path: PathBuf,
    source: io::Error,
}

/// Which script: its place in its event, from 0, and its number in the deployment, from 1.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    number: usize,
}

/// The steps of an event. `hooks_before` is how many scripts ran earlier in the deployment.
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

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Ended {
    Ended::Refused(internal(error))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Ended {
    Ended::Failed(internal(error))
}

fn elapsed(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
