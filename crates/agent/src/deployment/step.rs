//! Carries out one step of a deployment. Decides nothing, and writes down only what an installation under way needs.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longshore_core::failure::{Exit, Failure};
use longshore_core::report::Fanout;

use super::agent::Agent;
use super::decide;
use super::handover;
use super::interrupted::{self, Ended};
use super::order::Order;
use super::plan::{Action, PlannedEvent, PlannedHook};
use super::prepare::Ready;
use super::progress::Begun;
use super::refusal::{self, CannotWrite, FailedHook};
use super::throttle::{Throttle, elapsed};
use crate::event::Event;
use crate::hook::command::{HookCommand, HookContext};
use crate::hook::{HookReport, Stream, boot_id, user, watch};
use crate::install::compat::Records;
use crate::install::execute::{self, InstallError, Installation};
use crate::install::listing::Listing;
use crate::install::plan::CopyAction;
use crate::install::step::Operation;
use crate::install::transaction::{Phase, Transaction};
use crate::layout::DeploymentDir;
use crate::lock::Lock;
use crate::release::{self, Release};

/// What every step of one deployment works with.
pub(super) struct Steps<'a> {
    pub(super) agent: &'a Agent,
    pub(super) events: &'a Fanout<Event>,
    pub(super) lock: &'a Lock,
    pub(super) order: &'a Order,
    pub(super) directory: &'a DeploymentDir,
}

/// Which script: its place in its event, from 0, and its number in the deployment, from 1.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) number: usize,
}

/// A step that failed, and what its hook said of itself.
pub(super) struct StepFailure {
    pub(super) failure: Failure,
    pub(super) hook: Option<HookReport>,
    /// Whether undoing it failed too.
    pub(super) left_half_done: bool,
}

impl From<Failure> for StepFailure {
    fn from(failure: Failure) -> StepFailure {
        StepFailure { failure, hook: None, left_half_done: false }
    }
}

impl Steps<'_> {
    /// Records the revision as the one fetched most recently.
    pub(super) fn mark_most_recent(&self) -> Result<(), StepFailure> {
        let records = self.records();
        let written = records.write_most_recent_install(self.directory.path());
        written.map_err(|source| internal(CannotWrite { path: records.dir, source }).into())
    }

    /// Runs one script, or follows it when an earlier agent started it (`before`).
    pub(super) fn hook(
        &self,
        planned: &PlannedEvent,
        place: Place,
        ready: &Ready,
        before: Option<&Begun>,
    ) -> Result<HookReport, StepFailure> {
        let Action::Hooks { from, revision, hooks } = &planned.action else {
            return Err(internal(format!("{} has no scripts in its plan", planned.event)).into());
        };
        let Some(hook) = hooks.get(place.index) else {
            return Err(internal(format!("{} has a step that its plan does not have", planned.event)).into());
        };
        let dir = self.directory.hook(place.number);
        let events = self.events;
        let mut on_line =
            |stream: Stream, line: &str| events.emit(&Event::HookOutput { stream, line: line.to_owned() });
        let let_go: watch::LetGo<'_> = &|| handover::is_due(self.agent);
        let report = if was_started(&dir, before).map_err(internal)? {
            let running = watch::is_running(&dir).map_err(internal)?;
            let (event, script) = (planned.event.clone(), hook.location.clone());
            events.emit(&Event::HookFound { event, script, running });
            ending_when_asked_twice(&self.agent.stop, &dir, || watch::follow_until(&dir, &mut on_line, let_go))
        } else {
            events.emit(&Event::HookStarted {
                event: planned.event.clone(),
                script: hook.location.clone(),
                from: *from,
                from_deployment: revision.deployment.clone(),
                number: place.index + 1,
                of: hooks.len(),
                timeout_s: hook.timeout_s,
                user: hook.user.clone(),
            });
            let command = self.command(planned, hook, place.index, revision, ready)?;
            let shim = &self.agent.shim;
            ending_when_asked_twice(&self.agent.stop, &dir, || shim.run_until(&command, &dir, &mut on_line, let_go))
        };
        let Some(report) = report.map_err(internal)? else { return Err(handover::handed_over().into()) };
        events.emit(&Event::HookFinished {
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

    fn command(
        &self,
        planned: &PlannedEvent,
        hook: &PlannedHook,
        index: usize,
        revision: &Release,
        ready: &Ready,
    ) -> Result<HookCommand, StepFailure> {
        let user = user::resolve(hook.user.as_deref()).map_err(internal)?;
        let installed = ready.plan.installed.as_ref();
        let context = HookContext {
            agent_env: self.agent.environment.clone(),
            agent_uid: nix::unistd::geteuid().as_raw(),
            deployment: self.order.deployment.clone(),
            application: self.order.application.clone(),
            group: self.order.group.name.clone(),
            group_id: self.order.group.id.clone(),
            event: planned.event.clone(),
            archive: revision.archive.clone(),
            bundle: ready.source.clone(),
            commit: ready.new.release.commit.clone(),
            digest: ready.new.release.content_digest,
            previous_deployment: installed.map(|release| release.deployment.clone()),
            previous_commit: installed.and_then(|release| release.commit.clone()),
            cwd: self.agent.cwd.clone(),
            log: self.directory.scripts_log(),
            policy: self.order.policy.hooks.clone(),
        };
        Ok(HookCommand::new(&hook.hook(), index, user, &context))
    }

    /// Installs the files. `ran_hooks`: whether scripts ran before, which may have changed what stands on disk and in the
    /// archive. `note` writes down how far it got.
    pub(super) fn install(
        &self,
        ready: &Ready,
        ran_hooks: bool,
        note: &dyn Fn(Phase) -> io::Result<()>,
    ) -> Result<(), StepFailure> {
        let begun = Instant::now();
        let appspec = ready.new.appspec.as_ref().map_err(|reason| internal(reason.clone()))?;
        // Decided anew, from what stands on disk and in the archive now (as the AWS agent).
        let read = || Listing::read(&ready.new.release.archive).map_err(internal);
        let changed = match &ready.listing {
            Some(_) if !ran_hooks => None,
            Some(_) | None => Some(read()?),
        };
        let listing = match (&changed, &ready.listing) {
            (Some(listing), _) | (None, Some(listing)) => listing,
            (None, None) => &read()?,
        };
        let (decided, programs) = decide::install_plan(&self.agent.layout, self.order, appspec, listing)?;
        let plan = decided.map_err(|conflicts| refusal::conflict_failure(&conflicts))?;
        for message in &plan.notes {
            self.events.emit(&Event::Warning { message: message.clone() });
        }
        let installation = Installation {
            plan: &plan,
            archive: &ready.new.release.archive,
            deployment_root: self.directory.path(),
            records: &self.records(),
            programs: &programs,
        };
        let (events, throttle) = (self.events, Throttle::default());
        let write_down = |transaction: &Transaction| {
            match transaction.phase {
                // The second time with what was staged, by which an undo tells ours from what others made since.
                Phase::Staging | Phase::Swapping => interrupted::write(self.directory, &plan, transaction)?,
                Phase::Adjusting | Phase::Committing => {}
            }
            note(transaction.phase)
        };
        let installed = execute::execute(&installation, &write_down, &|progress| {
            if throttle.is_due() {
                events.emit(&Event::Installing { files: progress.files_done, of: progress.files_total });
            }
        })
        .map_err(|error| {
            // Not closed, so that whoever comes next undoes the rest.
            let left_half_done = matches!(error, InstallError::Stuck { .. });
            StepFailure { failure: Failure::new(Exit::InstallFailed, error), hook: None, left_half_done }
        })?;
        for left in &installed.left {
            let after = match left.operation {
                Operation::Record => "it names folders that are gone",
                Operation::Look
                | Operation::CreateFolder
                | Operation::Write
                | Operation::SetPermissions
                | Operation::SetAcl
                | Operation::SetContext
                | Operation::Sync
                | Operation::MoveAside
                | Operation::MoveIntoPlace
                | Operation::PutBack
                | Operation::Delete
                | Operation::Journal => "it is the old release's and can be deleted by hand",
            };
            let message = format!("{left}: {}; {after}", left.source);
            self.events.emit(&Event::Warning { message });
        }
        release::mark_installed(&self.agent.layout, self.lock, &ready.new.release).map_err(internal)?;
        // It has ended; a file that stays is read only when the journal says otherwise.
        let _ = fs::remove_file(self.directory.installation());
        let count = |action| plan.copies.iter().filter(|copy| copy.action == action).count();
        self.events.emit(&Event::Installed {
            created: count(CopyAction::Create),
            replaced: count(CopyAction::Replace),
            retained: count(CopyAction::Retain),
            removed: installed.removed,
            bytes: installed.bytes,
            visible_ms: installed.visible.map(|visible| visible.as_millis().try_into().unwrap_or(u64::MAX)),
            elapsed_ms: elapsed(begun),
        });
        Ok(())
    }

    /// Ends an installation that an earlier agent began. Whether the release is installed now.
    pub(super) fn end_install(&self, ready: &Ready, phase: Phase) -> Result<bool, StepFailure> {
        let release = &ready.new.release;
        let ended = interrupted::end(self.agent, self.lock, self.directory, release, phase);
        let ended = ended.map_err(|failure| StepFailure { failure, hook: None, left_half_done: true })?;
        Ok(matches!(ended, Ended::Completed))
    }

    fn records(&self) -> Records {
        Records { dir: self.agent.layout.instructions(), group: self.order.group.id.clone() }
    }
}

/// Whether a script may have been started before. After a boot nobody can tell from the folder: what was written to it
/// may not have reached the disk.
fn was_started(dir: &Path, before: Option<&Begun>) -> Result<bool, watch::HookError> {
    match before {
        None => Ok(false),
        Some(begun) => Ok(begun.boot != boot_id() || watch::was_started(dir)?),
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

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
