//! What speaks for which cause, and for which most. Pure.
//!
//! First what the agent itself knows, then what was printed (the last line first), then what an exit status may mean. A line
//! speaks for the first rule of the table that knows it: the table goes from the special to the general.

use super::Likely;
use super::evidence::{Evidence, bare};
use super::remedy::Remedy;
use super::rules;
use super::rules::rule::{Fits, Rule, Sign};

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
