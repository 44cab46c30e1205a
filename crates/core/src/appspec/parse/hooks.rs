//! The `hooks` of an appspec.

use indexmap::IndexMap;

use super::{Field, Findings, unknown_keys};
use crate::appspec::check::{self, EventRule, names};
use crate::appspec::{DEFAULT_TIMEOUT, Hook, Os};
use crate::lifecycle::LifecycleEvent;

pub(super) fn read(root: &Field<'_>, os: Os, findings: &mut Findings<'_>) -> IndexMap<LifecycleEvent, Vec<Hook>> {
    let mut hooks = IndexMap::new();
    let Some(field) = root.given("hooks") else { return hooks };
    if !findings.mapping(&field, "write the name of an event, for example `AfterInstall:`, and its scripts below") {
        return hooks;
    }
    for event in field.children() {
        let verdict = check::event(event.name());
        let empty = event.node.is_null() || event.node.as_list().is_some_and(<[_]>::is_empty);
        if empty && verdict.value.is_some() {
            // Nothing that could not run. A name that is nearly an event's is wrong even so.
            continue;
        }
        let rule = findings.judge_key(&event, verdict);
        if empty {
            continue;
        }
        let scripts = scripts(&event, os, findings);
        match rule {
            Some(EventRule::Runs(name)) if !scripts.is_empty() => {
                hooks.insert(name, scripts);
            }
            Some(EventRule::Runs(_) | EventRule::Ignored) | None => {}
        }
    }
    hooks
}

fn scripts(event: &Field<'_>, os: Os, findings: &mut Findings<'_>) -> Vec<Hook> {
    let fix = match event.node.as_map() {
        Some(_) => "put a `-` before `location` and indent the keys below it by two more".to_owned(),
        None => format!("write `- location: {}` on a line of its own", event.node.text().unwrap_or("scripts/x.sh")),
    };
    let mut hooks = Vec::new();
    let mut written = 0;
    for entry in findings.list(event, &fix) {
        let Some(hook) = script(&entry, os, findings) else { continue };
        if entry.given("timeout").is_some() {
            written += hook.timeout.as_secs();
        }
        hooks.push(hook);
    }
    if written > 3600 && hooks.iter().all(|hook| hook.timeout <= DEFAULT_TIMEOUT) {
        let message = format!("the timeouts add up to {written}, and CodeDeploy ends an event after 3600 seconds");
        let key = Field { node: event.key.unwrap_or(event.node), ..event.clone() };
        findings.warning(check::LONG_TIMEOUT, &key, message, "lower them, or spread the scripts over several events");
    }
    hooks
}

fn script(entry: &Field<'_>, os: Os, findings: &mut Findings<'_>) -> Option<Hook> {
    let fix = match entry.node.text() {
        Some(text) if !text.is_empty() => format!("write `location: {text}`"),
        _ => "write `location: …`".to_owned(),
    };
    if !findings.mapping(entry, &fix) {
        return None;
    }
    unknown_keys(entry, &names::HOOK, findings);
    let location = findings.required(entry, "location", "name a script of the bundle").and_then(|field| {
        let text = findings.text(&field)?.trim();
        Some((findings.judge(&field, check::location(text, os))?, text.to_owned()))
    });
    let timeout = match entry.given("timeout") {
        None => Some(DEFAULT_TIMEOUT),
        Some(field) => findings.scalar(&field).and_then(|scalar| findings.judge(&field, check::timeout(scalar))),
    };
    let run_as = match entry.given("runas") {
        None => Some(None),
        Some(field) => findings.scalar(&field).and_then(|scalar| {
            let user = findings.judge(&field, check::run_as(scalar))?;
            if user.is_some() {
                findings.text(&field);
            }
            Some(user)
        }),
    };
    let sudo = match entry.given("sudo") {
        None => Some(false),
        Some(field) => findings.scalar(&field).and_then(|scalar| findings.judge(&field, check::sudo(scalar))),
    };
    let (script, location) = location?;
    Some(Hook { script, location, timeout: timeout?, run_as: run_as?, sudo: sudo?, span: entry.span() })
}
