//! An explanation → text for people.

use std::fmt::Write as _;

use longshore_core::figures::{duration, plural};
use longshore_core::ids::DeploymentId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::{outcome, past};
use crate::deployment::journal::{Outcome, Step};
use crate::deployment::plan::Idle;
use crate::explain::story::{EventRun, EventState, StepRun, StepState};
use crate::explain::{Explanation, Failed, Likely, Link, Next, Now, Purpose, Standing};

/// How many causes are shown; JSON has them all.
const MOST: usize = 4;

/// The whole text.
pub fn explanation(it: &Explanation) -> String {
    let mut text = String::new();
    line(&mut text, &head(it));
    text.push('\n');
    row(&mut text, "Asked", &format!("`{}` to `{}`{}", it.application, it.group, past::cause(&it.cause)));
    row(&mut text, "", &format!("from {}", it.revision));
    let commit = it.commit.as_ref().map(|commit| format!("commit {}", commit.short()));
    let content = it.content_digest.map(|digest| format!("content {}", digest.short()));
    let identity: Vec<String> = commit.into_iter().chain(content).collect();
    if !identity.is_empty() {
        row(&mut text, "", &identity.join(", "));
    }
    let took = it.elapsed_ms.map(|elapsed| format!(", {}", duration(elapsed))).unwrap_or_default();
    let resumed =
        if it.resumed > 0 { format!(", taken up again {}", plural(it.resumed, "time")) } else { String::new() };
    let so_far = if matches!(it.standing, Standing::Running { .. }) { " so far" } else { "" };
    row(&mut text, "When", &format!("{}{took}{so_far}{resumed}", it.started));
    ran(&mut text, it);
    match (&it.failed, &it.reason) {
        (Some(failed), _) => output(&mut text, failed),
        (None, Some(reason)) => reasons(&mut text, reason),
        (None, None) => {}
    }
    text.push('\n');
    now(&mut text, it);
    causes(&mut text, it);
    next(&mut text, &it.next);
    logs(&mut text, it);
    text
}

fn head(it: &Explanation) -> String {
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let because = it.reason.as_ref().map(|reason| format!(": {}", first(reason))).unwrap_or_default();
    let id = &it.deployment;
    match &it.standing {
        Standing::Ended { outcome: Outcome::Succeeded, good: true } => {
            format!("{id} succeeded, and its release is good")
        }
        Standing::Ended { outcome: Outcome::Succeeded, good: false } => {
            format!("{id} succeeded; it left events out, so its release does not count as good")
        }
        Standing::Ended { outcome: Outcome::Refused, .. } => {
            let because = it.reason.as_deref().map(first).unwrap_or_default();
            let twice = "the deployment was refused before anything was changed";
            match because.strip_prefix(twice) {
                Some(rest) => format!("{id} was refused before anything was changed{rest}"),
                None => format!("{id} was refused before anything was changed: {because}"),
            }
        }
        Standing::Ended { outcome: Outcome::Failed, .. } => format!("{id} failed{because}"),
        Standing::Ended { outcome: Outcome::Interrupted, .. } => format!("{id} was interrupted{because}"),
        Standing::Running { holder } => format!("{id} is under way ({holder})"),
        Standing::Abandoned { script: Some(script) } => {
            format!("{id} is unfinished: its agent was stopped or died, and its script `{script}` still runs")
        }
        Standing::Abandoned { script: None } => format!("{id} is unfinished: its agent was stopped or died"),
        Standing::Waiting => format!("{id} waits for its next event: all that it was asked for is done"),
        Standing::Unknown => format!("{id}: how it ended cannot be told, because its journal is damaged"),
    }
}

fn ran(text: &mut String, it: &Explanation) {
    let mut title = "What ran";
    for run in &it.events {
        let what = match run.state {
            EventState::Done | EventState::Failed | EventState::Unfinished => steps(run),
            EventState::Idle { reason: Some(Idle::NoScripts) | None } | EventState::NotReached => continue,
            // Said once: it holds for all three events that take the old release out of service.
            EventState::Idle { reason: Some(Idle::FirstDeployment) }
                if run.event != LifecycleEvent::ApplicationStop =>
            {
                continue;
            }
            EventState::Idle { reason: Some(reason) } => vec![format!("nothing: {reason}")],
        };
        let mut name = run.event.name();
        for what in what {
            row(text, title, &format!("{name:<19} {what}"));
            (title, name) = ("", "");
        }
    }
    if title == "What ran" {
        row(text, title, "nothing");
    }
    let missed: Vec<&str> =
        it.events.iter().filter(|run| run.state == EventState::NotReached).map(|run| run.event.name()).collect();
    if !missed.is_empty() && title.is_empty() {
        row(text, "Not reached", &missed.join(", "));
    }
}

fn steps(run: &EventRun) -> Vec<String> {
    run.steps.iter().filter(|step| step.state != StepState::NotBegun).map(step_text).collect()
}

fn step_text(run: &StepRun) -> String {
    let started = run.started.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let ended = run.ended.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let took = started.zip(ended).and_then(|(a, b)| u64::try_from(b.duration_since(a).as_millis()).ok());
    let took = took.map(|took| format!(" in {}", duration(took))).unwrap_or_default();
    match (&run.step, run.state) {
        (Step::MarkMostRecent, _) => "fetched, verified and unpacked".to_owned(),
        (Step::Install, StepState::Done) => format!("files installed{took}"),
        (Step::Install, StepState::Failed) => {
            let message = run.message.as_deref().unwrap_or_default();
            format!("FAILED: {}", message.lines().next().unwrap_or_default())
        }
        (Step::Install, StepState::Unfinished | StepState::NotBegun) => "was under way".to_owned(),
        (Step::RunHook { location, .. }, state) => {
            let whose = match run.script.as_ref().map(|script| (script.from, &script.from_deployment)) {
                Some((ScriptsFrom::Installed, from)) => format!(", of the installed revision {from}"),
                Some((ScriptsFrom::MostRecent, from)) => format!(", of the revision fetched last, {from}"),
                Some((ScriptsFrom::Current, _)) | None => String::new(),
            };
            let how = match (&run.hook, state) {
                (Some(report), _) => {
                    let took = duration(report.duration.as_millis().try_into().unwrap_or(u64::MAX));
                    if report.outcome.is_success() {
                        format!("`{location}` passed in {took}")
                    } else if report.ended.is_none() {
                        format!("FAILED: `{location}` {}", outcome(&report.outcome))
                    } else {
                        format!("FAILED: `{location}` {} after {took}", outcome(&report.outcome))
                    }
                }
                (None, StepState::Failed) => {
                    format!("FAILED: {}", run.message.as_deref().unwrap_or_default().lines().next().unwrap_or_default())
                }
                (None, StepState::Done) => format!("`{location}` passed{took}"),
                (None, StepState::Unfinished | StepState::NotBegun) => format!("`{location}` was running"),
            };
            format!("{how}{whose}")
        }
    }
}

fn output(text: &mut String, failed: &Failed) {
    if let Some(script) = &failed.script {
        for (index, said) in script.output.iter().enumerate() {
            row(text, if index == 0 { "Said last" } else { "" }, said);
        }
        if script.output.is_empty() && script.outcome.is_some() {
            row(text, "Said last", "nothing");
        }
        for process in &script.left_running {
            row(text, "Still runs", &format!("process {}: {}", process.pid, process.command));
        }
        for note in &script.notes {
            row(text, "Note", note);
        }
    } else if let Some(message) = &failed.message {
        reasons(text, message);
    }
    if let Some(diagnostics) = &failed.diagnostics {
        row(text, "AWS's code", &diagnostics.error_code.to_string());
    }
}

/// The lines of a message after the first, which stands elsewhere.
fn reasons(text: &mut String, message: &str) {
    for (index, reason) in message.lines().skip(1).enumerate() {
        row(text, if index == 0 { "Reasons" } else { "" }, reason.trim());
    }
}

fn now(text: &mut String, it: &Explanation) {
    let Now { installed, good, restored_by, latest, damage } = &it.now;
    let own = |id: &DeploymentId| if *id == it.deployment { " (this deployment)" } else { "" };
    let files = match installed {
        Some(installed) => {
            let id = &installed.deployment;
            let is_good = good.as_ref().is_some_and(|good| good.deployment == *id);
            let state = match (is_good, good) {
                (true, _) => "a good release".to_owned(),
                (false, Some(good)) => {
                    format!("not a good release; the last good one is {}{}", good.deployment, own(&good.deployment))
                }
                (false, None) => "not a good release; no release of this group was good".to_owned(),
            };
            format!("the files on disk are those of {id}{}: {state}", own(id))
        }
        None => "nothing is installed in this group".to_owned(),
    };
    row(text, "Now", &files);
    if let Some(restore) = restored_by {
        row(text, "", &restored(restore));
    }
    if let Some(latest) = latest.as_ref().filter(|latest| Some(*latest) != restored_by.as_ref()) {
        let how = latest.outcome.map_or("has not ended", past::ended);
        row(text, "", &format!("the latest deployment of the group is {}, which {how}", latest.deployment));
    }
    for damage in damage.iter().chain(&it.damage) {
        row(text, "Damaged", damage);
    }
}

fn restored(restore: &Link) -> String {
    let by = &restore.deployment;
    match restore.outcome {
        Some(Outcome::Succeeded) => format!("{by} put the last good release back and started it"),
        Some(outcome @ (Outcome::Failed | Outcome::Refused | Outcome::Interrupted)) => {
            format!("{by} was to put the last good release back, and {}", past::ended(outcome))
        }
        None => format!("{by} was to put the last good release back, and has not ended"),
    }
}

fn causes(text: &mut String, it: &Explanation) {
    let is_wrong = match &it.standing {
        Standing::Ended { outcome: Outcome::Succeeded, .. } | Standing::Running { .. } | Standing::Waiting => false,
        Standing::Ended { .. } | Standing::Abandoned { .. } | Standing::Unknown => true,
    };
    let is_known = match &it.standing {
        Standing::Unknown | Standing::Abandoned { .. } => false,
        Standing::Ended { .. } | Standing::Running { .. } | Standing::Waiting => true,
    };
    if !is_wrong || (it.causes.is_empty() && !is_known) {
        return;
    }
    if it.causes.is_empty() {
        line(
            text,
            "\nThe cause is none of those that are known here. What was printed last stands above; all of it is in the log.",
        );
        return;
    }
    line(text, "\nLikely causes");
    for (index, likely) in it.causes.iter().take(MOST).enumerate() {
        cause(text, index + 1, likely);
    }
    if it.causes.len() > MOST {
        line(text, &format!("  and {} more: --output json", it.causes.len() - MOST));
    }
}

fn cause(text: &mut String, number: usize, likely: &Likely) {
    line(text, &format!("  {number}. {}", sentence(&likely.what)));
    if let Some(seen) = &likely.seen {
        line(text, &format!("     seen: {seen}"));
    }
    line(text, &format!("     fix:  {}", likely.fix));
    for command in &likely.commands {
        line(text, &format!("     type: {command}"));
    }
    line(text, &format!("     more: docs/guide/troubleshoot.md#{}", likely.cause));
}

fn next(text: &mut String, next: &[Next]) {
    if next.is_empty() {
        return;
    }
    line(text, "\nNext");
    for Next { purpose, command } in next {
        let what = match purpose {
            Purpose::Start => "start the agent, which goes on with it",
            Purpose::Resume => "finish it",
            Purpose::Follow => "watch it",
            Purpose::Rollback => "bring the last good release back",
            Purpose::Again => "deploy again when it is fixed",
            Purpose::Other => "a fix is another bundle; deploy that one when it is published",
            Purpose::Same => "deploy the same again, if the cause was on this host and is mended",
            Purpose::Push => "a fix is another bundle; publish it, in the repository",
            Purpose::Previous => "or send the group back to what it had before",
            Purpose::Latest => "see the deployment that came after it",
            Purpose::Doctor => "look for what else is wrong with this host",
            Purpose::Restore => "see why the last good release did not come back",
        };
        line(text, &format!("  {what}:\n     {command}"));
    }
}

fn logs(text: &mut String, it: &Explanation) {
    line(text, "");
    if let Some(scripts) = &it.logs.scripts {
        line(text, &format!("What the scripts printed: {}", scripts.display()));
    }
    line(text, &format!("What was done, step by step: {}", it.logs.journal.display()));
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

fn row(text: &mut String, title: &str, what: &str) {
    line(text, &format!("{title:<12} {what}"));
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", line.trim_end());
}
