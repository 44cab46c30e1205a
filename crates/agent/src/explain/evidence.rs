//! What speaks for which cause, and for which most. Pure.
//!
//! First what the agent itself knows, then what was printed (the last line first), then what an exit status may mean. A line
//! speaks for the first rule of the table that knows it: the table goes from the special to the general.

use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};

use super::Likely;
use super::remedy::Remedy;
use super::rules::{self, Fits, Rule, Sign};
use crate::deployment::journal::Outcome;
use crate::hook::{HookOutcome, Process};

/// What is known of a failure.
#[derive(Debug, Clone, Default)]
pub struct Evidence<'a> {
    /// How the deployment ended; `None`: its agent died.
    pub outcome: Option<Outcome>,
    /// The event.
    pub event: Option<&'a LifecycleEvent>,
    /// How the script ended, when it was one.
    pub hook: Option<&'a HookOutcome>,
    /// Whose script it was.
    pub from: Option<ScriptsFrom>,
    /// What it left running.
    pub left_running: &'a [Process],
    /// What it printed last, oldest first.
    pub output: &'a [String],
    /// What the agent said went wrong, in lines.
    pub said: Vec<&'a str>,
}

impl Evidence<'_> {
    /// The script's exit status, when it had one.
    pub fn status(&self) -> Option<i32> {
        match self.hook {
            Some(HookOutcome::Exited { status }) => Some(*status),
            Some(_) | None => None,
        }
    }

    /// The signal that ended the script; a shell tells of its own child's by a status above 128.
    pub fn signal(&self) -> Option<i32> {
        match self.hook {
            Some(HookOutcome::Killed { signal }) => Some(*signal),
            Some(HookOutcome::Exited { status }) if *status > 128 => Some(status - 128),
            Some(_) | None => None,
        }
    }

    /// Whether the script ran out of time.
    pub fn timed_out(&self) -> bool {
        matches!(self.hook, Some(HookOutcome::TimedOut { .. }))
    }

    /// The last line that was printed, as it was printed, in lower case.
    pub fn last_line(&self) -> Option<String> {
        self.output.last().map(|line| bare(line).to_lowercase())
    }
}

/// A rule that fits, and the line that says so.
struct Fit<'a> {
    rule: &'static Rule,
    seen: Option<&'a str>,
}

/// The likely causes, the likeliest first.
pub fn causes(evidence: &Evidence<'_>, remedy: &Remedy) -> Vec<Likely> {
    let mut fits: Vec<Fit<'_>> = Vec::new();
    let mut add = |rule: &'static Rule, seen| {
        if !fits.iter().any(|fit| fit.rule.name == rule.name) {
            fits.push(Fit { rule, seen });
        }
    };
    let by = |wanted: fn(&Sign) -> Option<Fits>| {
        rules::all().filter(move |rule| rule.signs.iter().filter_map(wanted).any(|fits| fits(evidence)))
    };
    // The agent's own reasons in its order; of what was printed, the last line tells most.
    let lines: Vec<&str> =
        evidence.said.iter().copied().chain(evidence.output.iter().rev().map(String::as_str)).collect();
    let says = |rule: &Rule, line: &str| {
        let text = bare(line).to_lowercase();
        rule.signs.iter().any(|sign| sign.is_in(&text))
    };
    by(Sign::sure).for_each(|rule| add(rule, lines.iter().copied().find(|line| says(rule, line))));
    for line in &lines {
        if let Some(rule) = rules::all().find(|rule| says(rule, line)) {
            add(rule, Some(line));
        }
    }
    by(Sign::maybe).for_each(|rule| add(rule, None));
    fits.iter().filter_map(|fit| likely(fit, remedy)).collect()
}

fn likely(fit: &Fit<'_>, remedy: &Remedy) -> Option<Likely> {
    Some(Likely {
        cause: fit.rule.name,
        what: remedy.fill(fit.rule.what)?,
        seen: fit.seen.map(|line| line.trim().to_owned()),
        fix: remedy.fill(fit.rule.fix)?,
        commands: fit.rule.commands.iter().filter_map(|command| remedy.fill(command)).collect(),
    })
}

/// A line of output without the name of its stream.
fn bare(line: &str) -> &str {
    line.strip_prefix("[stdout]").or_else(|| line.strip_prefix("[stderr]")).unwrap_or(line)
}
