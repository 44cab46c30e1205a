//! What went wrong → what the user is told: the error, its causes, the exit code, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::plural;
use longshore_core::ids::ApplicationName;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::order::Order;
use super::plan::{self, Plan, PlannedHook};
use super::revisions::RevisionError;
use crate::display;
use crate::fetch::FetchError;
use crate::hook::{HookOutcome, HookReport};
use crate::install::conflict::Conflict;

/// A script that did not succeed, and where it stands in its event.
pub(super) struct FailedHook<'a> {
    /// The script.
    pub(super) hook: &'a PlannedHook,
    /// Its event.
    pub(super) event: &'a LifecycleEvent,
    /// Whose script it is.
    pub(super) from: ScriptsFrom,
    /// Which of the event's scripts, from 1.
    pub(super) number: usize,
    /// How many scripts the event has.
    pub(super) of: usize,
    /// What it said of itself.
    pub(super) report: &'a HookReport,
}

/// Names the script, the event, what it printed last, and what to do next.
pub(super) fn hook_failure(failed: &FailedHook<'_>, scripts_log: &Path) -> Failure {
    let FailedHook { hook, event, from, number, of, report } = *failed;
    let error = HookFailed {
        script: hook.location.clone(),
        outcome: display::outcome(&report.outcome),
        event: event.clone(),
        number,
        of,
        output: LastLines::of(report),
    };
    let mut failure =
        Failure::new(Exit::HookFailed, error).hint(format!("all of its output: less {}", scripts_log.display()));
    if matches!(report.outcome, HookOutcome::TimedOut { .. }) {
        failure = failure
            .hint(format!("its limit is {}s; raise `timeout` in the appspec if it needs longer", hook.timeout_s));
    }
    if report.outcome == HookOutcome::Interrupted {
        failure = failure
            .hint("find out what it changed before it runs again: nothing of it was undone, and it was not repeated");
    }
    if from == ScriptsFrom::Installed {
        failure = failure.hint(format!(
            "this script belongs to the installed revision, so a fix in the new one does not reach it: leave it out with \
             `--skip {event}`, or run the new release's with `--stop-from new`"
        ));
    }
    failure
}

/// The refusal that a plan's blockers amount to; `None` when there are none. The first one decides the exit code.
pub fn blocked(plan: &Plan) -> Option<Failure> {
    let first = plan.blockers.first()?;
    let mut message =
        format!("the deployment was refused before anything was changed ({})", plural(plan.blockers.len(), "reason"));
    for blocker in &plan.blockers {
        message.push_str("\n  - ");
        message.push_str(&blocker.to_string());
    }
    let mut failure = Failure::new(first.exit(), message);
    for hint in plan.blockers.iter().map(plan::Blocker::hint) {
        if !failure.hints.contains(&hint) {
            failure.hints.push(hint);
        }
    }
    Some(failure)
}

/// How a fetch that failed is told.
pub fn fetch_failure(error: FetchError) -> Failure {
    let exit = match &error {
        FetchError::Missing { .. } => Exit::NotFound,
        FetchError::Copy { .. } | FetchError::Runtime(_) | FetchError::Stopped(_) => Exit::Failed,
        FetchError::Url(_) => Exit::Usage,
        FetchError::Store { source, .. } => source.exit(),
        FetchError::Access { .. } => Exit::Unavailable,
        FetchError::GitHub { source, .. } => source.exit(),
        FetchError::Signature { source, .. } => source.exit(),
        FetchError::Open { .. } | FetchError::Digest { .. } => Exit::BadBundle,
    };
    let hint = match &error {
        FetchError::Missing { .. } => {
            Some("build one with `longshore build`, or give the URL that `longshore push` printed".to_owned())
        }
        FetchError::Open { .. } => Some(
            "nothing was unpacked; see what is in the bundle with `longshore inspect`, or build it anew".to_owned(),
        ),
        FetchError::Digest { .. } => Some("give the content digest that `longshore build` printed".to_owned()),
        FetchError::Store { source, .. } => source.hint(),
        FetchError::GitHub { source, .. } => source.hint(),
        FetchError::Signature { source, .. } => source.hint(),
        FetchError::Copy { .. }
        | FetchError::Access { .. }
        | FetchError::Runtime(_)
        | FetchError::Stopped(_)
        | FetchError::Url(_) => None,
    };
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The bundle says that it is another application's.
pub fn other_application(order: &Order, found: &ApplicationName) -> Failure {
    let message = format!(
        "`{}` is a bundle of application `{found}`, and this is a deployment of `{}`",
        order.revision, order.application
    );
    Failure::new(Exit::Usage, message).hint(format!("deploy it as what it is: `--application {found}`"))
}

/// How a revision that cannot be deployed is told.
pub fn revision_failure(error: RevisionError) -> Failure {
    match error {
        RevisionError::Invalid { name, problems } => {
            Failure::new(Exit::Invalid, RevisionError::Invalid { name, problems: Vec::new() })
                .with_problems(problems)
                .hint("`longshore check` shows the same in the repository, before a build")
        }
        RevisionError::NoAppspec { .. } => {
            Failure::new(Exit::Invalid, error).hint("`longshore init` writes a first one")
        }
        RevisionError::Read(source) => Failure::new(Exit::BadBundle, RevisionError::Read(source)),
    }
}

/// The files cannot be installed as the disk is now.
pub(super) fn conflict_failure(conflicts: &[Conflict]) -> Failure {
    let mut message = format!("nothing was installed: {} in the way", plural(conflicts.len(), "conflict"));
    for conflict in conflicts {
        message.push_str("\n  - ");
        message.push_str(&conflict.to_string());
    }
    let mut failure = Failure::new(Exit::InstallFailed, message);
    for fix in conflicts.iter().filter_map(Conflict::fix) {
        if !failure.hints.contains(&fix) {
            failure.hints.push(fix);
        }
    }
    failure
}

/// A script that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("hook `{script}` {outcome} ({event}, {number} of {of})")]
struct HookFailed {
    script: String,
    outcome: String,
    event: LifecycleEvent,
    number: usize,
    of: usize,
    #[source]
    output: LastLines,
}

/// What a script printed last.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct LastLines(String);

impl LastLines {
    fn of(report: &HookReport) -> LastLines {
        let mut text = match report.last_lines.len() {
            0 => match report.outcome {
                HookOutcome::Missing
                | HookOutcome::NotExecutable { .. }
                | HookOutcome::NoSuchUser { .. }
                | HookOutcome::NotStarted { .. } => "it did not run".to_owned(),
                HookOutcome::Passed
                | HookOutcome::Exited { .. }
                | HookOutcome::Killed { .. }
                | HookOutcome::TimedOut { .. }
                | HookOutcome::LeftRunning { .. }
                | HookOutcome::Interrupted => "it printed nothing".to_owned(),
            },
            count => format!("its last {} of output:", plural(count, "line")),
        };
        for line in &report.last_lines {
            text.push_str("\n    ");
            text.push_str(line);
        }
        LastLines(text)
    }
}

/// Something below the agent's root that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to `{path}`")]
pub(super) struct CannotWrite {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}
