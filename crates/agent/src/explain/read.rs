//! Looks at what a deployment left behind, and at the host, and joins them. Changes nothing.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use longshore_core::figures::quoted;
use longshore_core::ids::{DeploymentId, GroupId};

use super::causes;
use super::evidence::Evidence;
use super::remedy::{self, Remedy};
use super::story::{EventRun, StepRun, StepState, Story};
use super::{Explanation, Failed, FailedScript, Link, Logs, Next, Now, Purpose, Standing};
use crate::deployment::journal::{Outcome, Step};
use crate::deployment::order::Revision;
use crate::history::{self, HistoryError, Past};
use crate::hook::diagnostics::Diagnostics;
use crate::hook::{HookOutcome, HookReport, watch};
use crate::layout::{DeploymentDir, Layout};
use crate::lock::Lock;

/// How much of the end of `scripts.log` is read.
const TAIL: u64 = 64 * 1024;
/// How many lines of a script's output are looked at when its report has none.
const LINES: usize = 20;

/// Why a deployment cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The past could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The journal cannot be opened.
    #[error("cannot read the journal `{path}`")]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal does not say what was asked for.
    #[error("the journal `{path}` does not say what was asked for{}", damage.as_ref().map(|damage| format!(": {damage}")).unwrap_or_default())]
    NoOrder {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        damage: Option<String>,
    },
}

impl ExplainError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        let hint = match self {
            ExplainError::History(error) => error.hint(),
            ExplainError::Unreadable { source, .. } => history::denied(source),
            ExplainError::NoOrder { .. } => None,
        };
        hint.unwrap_or("other deployments: `longshore-agent history`")
    }
}

/// Explains a deployment that has a journal.
pub fn explain(layout: &Layout, group: &GroupId, deployment: &DeploymentId) -> Result<Explanation, ExplainError> {
    let directory = layout.deployment(group, deployment);
    let path = directory.journal();
    File::open(&path).map_err(|source| ExplainError::Unreadable { path, source })?;
    let (lines, damage) = history::readable(&directory.journal());
    let Some(story) = Story::replay(lines) else {
        return Err(ExplainError::NoOrder { path: directory.journal(), damage });
    };
    let standing = standing(layout, group, &directory, &story, damage.is_some())?;
    let now = now(layout, group, &story)?;
    let failed = story.stopped_at().map(|(event, step)| failed(event, step, &directory));
    let remedy = Remedy::new(&story.order, layout.root(), step(failed.as_ref(), &directory));
    let causes = match &standing {
        Standing::Ended { outcome: Outcome::Succeeded, .. } | Standing::Running { .. } | Standing::Waiting => {
            Vec::new()
        }
        Standing::Ended { .. } | Standing::Abandoned { .. } | Standing::Unknown => {
            causes::causes(&seen(&story, &standing, failed.as_ref()), &remedy)
        }
    };
    let (started, updated) = (story.started.parse::<jiff::Timestamp>(), story.updated.parse::<jiff::Timestamp>());
    let until = match &standing {
        // What its journal tells last may be long ago.
        Standing::Running { .. } => Ok(jiff::Timestamp::now()),
        Standing::Ended { .. } | Standing::Abandoned { .. } | Standing::Waiting | Standing::Unknown => updated,
    };
    let elapsed = started.and_then(|started| Ok(until?.duration_since(started))).ok();
    let host = Host { has_daemon: layout.daemon_lock().exists(), follows: layout.group(group).pointer().exists() };
    let next = next(&story, &standing, &now, &host, layout.root());
    Ok(Explanation {
        deployment: deployment.clone(),
        application: story.order.application.clone(),
        group: story.order.group.name.clone(),
        group_id: group.clone(),
        revision: story.order.revision.to_string(),
        commit: story.release.as_ref().and_then(|release| release.commit.clone()),
        content_digest: story.release.as_ref().and_then(|release| release.content_digest),
        cause: story.order.cause.clone(),
        agent: story.agent,
        started: story.started,
        ended: story.closed.is_some().then(|| story.updated.clone()),
        updated: story.updated,
        elapsed_ms: elapsed.and_then(|elapsed| elapsed.as_millis().try_into().ok()),
        resumed: story.resumed,
        standing,
        reason: story.reason,
        events: story.events,
        failed,
        now,
        causes,
        next,
        logs: Logs {
            scripts: Some(directory.scripts_log()).filter(|path| path.exists()),
            journal: directory.journal(),
            events: directory.events(),
        },
        damage,
    })
}

fn standing(
    layout: &Layout,
    group: &GroupId,
    directory: &DeploymentDir,
    story: &Story,
    is_damaged: bool,
) -> Result<Standing, ExplainError> {
    if let Some((outcome, good)) = story.closed {
        return Ok(Standing::Ended { outcome, good });
    }
    if is_damaged {
        return Ok(Standing::Unknown);
    }
    Ok(match Lock::holder(layout, group) {
        // `process 12, deployment d-…`: which one is known.
        Some(holder) => Standing::Running {
            holder: holder.split_once(',').map_or(holder.clone(), |(process, _)| process.to_owned()),
        },
        None if story.waiting => Standing::Waiting,
        None => Standing::Abandoned { script: running_script(story, directory) },
    })
}

/// The script that outlived its agent.
fn running_script(story: &Story, directory: &DeploymentDir) -> Option<String> {
    let steps = story.events.iter().flat_map(|run| &run.steps);
    steps.filter(|step| step.state == StepState::Unfinished).find_map(|step| match &step.step {
        // What cannot be looked at is as good as gone.
        Step::RunHook { location, number, .. } if watch::is_running(&directory.hook(*number)).unwrap_or(false) => {
            Some(location.clone())
        }
        Step::RunHook { .. } | Step::MarkMostRecent | Step::Install => None,
    })
}

fn now(layout: &Layout, group: &GroupId, story: &Story) -> Result<Now, HistoryError> {
    let status = history::status(layout, group.clone())?;
    let past = history::past(layout, group)?;
    let link = |past: &Past| Link {
        deployment: past.deployment().clone(),
        outcome: match past {
            Past::Known(record) => record.outcome,
            Past::Damaged(_) => None,
        },
    };
    let restored_by = story.restoring.as_ref().and_then(|by| {
        let found = past.iter().find(|past| past.deployment() == by);
        // Announced, and never begun: the crash was in between. Where others followed, it is no longer kept.
        let is_last = past.last().is_some_and(|last| *last.deployment() == story.order.deployment);
        found.map(link).or_else(|| is_last.then(|| Link { deployment: by.clone(), outcome: None }))
    });
    let latest = past.last().filter(|past| *past.deployment() != story.order.deployment).map(link);
    Ok(Now { installed: status.installed, good: status.good, restored_by, latest, damage: status.damage })
}

fn failed(event: &EventRun, step: &StepRun, directory: &DeploymentDir) -> Failed {
    let script = match &step.step {
        Step::RunHook { location, index, .. } => Some(failed_script(location, *index, event, step, directory)),
        Step::MarkMostRecent | Step::Install => None,
    };
    let user = script.as_ref().and_then(|script| script.user.as_deref());
    let diagnostics = match (&step.hook, &script, &step.message) {
        (Some(report), Some(script), _) => Some(Diagnostics::of_hook(report, &script.location, user)),
        (_, _, Some(message)) => Some(Diagnostics::unknown(message.clone())),
        (None, _, None) | (Some(_), None, None) => None,
    };
    Failed {
        event: event.event.clone(),
        ended: step.state == StepState::Failed,
        script,
        message: step.message.clone(),
        diagnostics,
    }
}

fn failed_script(
    location: &str,
    index: usize,
    event: &EventRun,
    step: &StepRun,
    directory: &DeploymentDir,
) -> FailedScript {
    let report: Option<&HookReport> = step.hook.as_ref();
    let mut output = report.map(|report| report.last_lines.clone()).unwrap_or_default();
    if output.is_empty() {
        // The report of a script that was interrupted knows nothing of its output, and an unfinished one has none yet.
        output = tail(&directory.scripts_log(), location).unwrap_or_default();
    }
    FailedScript {
        location: location.to_owned(),
        number: index + 1,
        of: event.steps.len(),
        from: step.script.as_ref().map(|script| script.from),
        from_deployment: step.script.as_ref().map(|script| script.from_deployment.clone()),
        timeout_s: step.script.as_ref().map(|script| script.timeout_s),
        user: step.script.as_ref().and_then(|script| script.user.clone()),
        outcome: report.map(|report| report.outcome.clone()),
        duration_ms: report.map(|report| report.duration.as_millis().try_into().unwrap_or(u64::MAX)),
        notes: report.map(|report| report.notes.clone()).unwrap_or_default(),
        left_running: report.map(|report| report.left_running.clone()).unwrap_or_default(),
        output,
    }
}

/// The last lines that a script printed, from the log. None when the log's last script is another one.
fn tail(log: &Path, location: &str) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Each line begins with `2026-01-31 12:00:00 `.
    let lines: Vec<&str> = text.lines().filter_map(|line| line.get(20..)).collect();
    let script = lines.iter().rposition(|line| line.starts_with("Script - "));
    let own = match script {
        Some(at) if lines[at].strip_prefix("Script - ") == Some(location) => &lines[at + 1..],
        Some(_) => &[],
        None => &lines[..],
    };
    let own: Vec<&str> =
        own.iter().copied().filter(|line| line.starts_with("[stdout]") || line.starts_with("[stderr]")).collect();
    Ok(own[own.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect())
}

fn step(failed: Option<&Failed>, directory: &DeploymentDir) -> remedy::Step {
    let script = failed.and_then(|failed| failed.script.as_ref());
    let log = directory.scripts_log();
    remedy::Step {
        // The event that most often takes its scripts from elsewhere: a refusal belongs to no event.
        event: Some(failed.map_or("ApplicationStop".to_owned(), |failed| failed.event.to_string())),
        script: script.map(|script| script.location.clone()),
        archive: script.and_then(|script| script.from_deployment.as_ref()).and_then(|from| {
            let folder = directory.path().parent()?.join(from.as_str()).join("deployment-archive");
            folder.is_dir().then_some(folder)
        }),
        user: script.and_then(|script| script.user.clone()),
        timeout_s: script.and_then(|script| script.timeout_s),
        log: fs::exists(&log).unwrap_or(false).then_some(log),
    }
}

fn seen<'a>(story: &'a Story, standing: &Standing, failed: Option<&'a Failed>) -> Evidence<'a> {
    let script = failed.and_then(|failed| failed.script.as_ref());
    let said = failed.and_then(|failed| failed.message.as_ref()).into_iter().chain(&story.reason);
    let reasons = script.and_then(|script| script.outcome.as_ref()).into_iter().filter_map(reason);
    Evidence {
        outcome: match standing {
            Standing::Ended { outcome, .. } => Some(*outcome),
            // Whether its agent was told to stop or died, nobody wrote down.
            Standing::Running { .. } | Standing::Waiting | Standing::Unknown | Standing::Abandoned { .. } => None,
        },
        event: failed.map(|failed| &failed.event),
        hook: script.and_then(|script| script.outcome.as_ref()),
        from: script.and_then(|script| script.from),
        left_running: script.map_or(&[], |script| &script.left_running),
        output: script.map_or(&[], |script| &script.output),
        said: said.flat_map(|text| text.lines()).chain(reasons).collect(),
    }
}

/// Why a script did not even start.
fn reason(outcome: &HookOutcome) -> Option<&str> {
    match outcome {
        HookOutcome::NotExecutable { reason } | HookOutcome::NotStarted { reason } => Some(reason),
        HookOutcome::Passed
        | HookOutcome::Exited { .. }
        | HookOutcome::Killed { .. }
        | HookOutcome::TimedOut { .. }
        | HookOutcome::Missing
        | HookOutcome::NoSuchUser { .. }
        | HookOutcome::LeftRunning { .. }
        | HookOutcome::Interrupted => None,
    }
}

/// What the host has beside the deployment.
struct Host {
    /// Whether an agent took orders below this root.
    has_daemon: bool,
    /// Whether the group follows a store.
    follows: bool,
}

/// The deployment that came after it. What brought the last good release back because of it is none.
fn overtaken_by(now: &Now) -> Option<&Link> {
    let restored_by = now.restored_by.as_ref().map(|restore| &restore.deployment);
    now.latest.as_ref().filter(|latest| Some(&latest.deployment) != restored_by)
}

fn next(story: &Story, standing: &Standing, now: &Now, host: &Host, root: &Path) -> Vec<Next> {
    let order = &story.order;
    let mut next = Vec::new();
    let mut add = |purpose, command| next.push(Next { purpose, command });
    match standing {
        Standing::Running { .. } => {
            let follow = remedy::on_deployment("logs", order.deployment.as_str(), root);
            add(Purpose::Follow, format!("{follow} --follow"));
        }
        Standing::Abandoned { .. } => {
            if host.has_daemon {
                add(Purpose::Start, "systemctl start longshore-agent".to_owned());
            }
            add(Purpose::Resume, remedy::on_group("resume", order, root));
        }
        Standing::Ended { outcome: Outcome::Succeeded, .. } | Standing::Waiting => {}
        Standing::Ended { .. } | Standing::Unknown => {
            match &order.revision {
                Revision::Local(_) => add(Purpose::Again, remedy::deploy(order, root)),
                Revision::Object(_) if host.follows => match overtaken_by(now) {
                    // Where the group is now, and would go back from, is a matter of that one.
                    Some(latest) => {
                        add(Purpose::Latest, remedy::on_deployment("explain", latest.deployment.as_str(), root));
                    }
                    None => {
                        let group = quoted(order.group.name.as_str());
                        let application = quoted(order.application.as_str());
                        add(Purpose::Push, format!("longshore push --group {group}"));
                        add(
                            Purpose::Previous,
                            format!("longshore point --group {group} --application {application} --previous"),
                        );
                    }
                },
                // What is there cannot be mended: the name is that of its content.
                Revision::Object(_) | Revision::GitHub(_) => {
                    add(Purpose::Other, remedy::deploy_other(order, "BUNDLE", root));
                    add(Purpose::Same, remedy::deploy(order, root));
                }
            }
            let is_back =
                now.installed.as_ref().map(|now| &now.deployment) == now.good.as_ref().map(|good| &good.deployment);
            if now.good.is_some() && !is_back {
                add(Purpose::Rollback, remedy::on_group("rollback", order, root));
            }
            if let Some(restore) = &now.restored_by
                && restore.outcome != Some(Outcome::Succeeded)
            {
                add(Purpose::Restore, remedy::on_deployment("explain", restore.deployment.as_str(), root));
            }
            add(Purpose::Doctor, remedy::on_group("doctor", order, root));
        }
    }
    next
}
