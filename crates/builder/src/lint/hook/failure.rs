//! Failures that nobody notices (LS221), jobs in the background (LS222), groups that nobody thought of (LS232).

use longshore_core::problem::Problem;

use super::{Part, ShellHook};
use crate::lint::shell::{Command, Word};

/// LS221: a command fails, and the hook succeeds.
pub(super) fn swallowed(hook: &ShellHook<'_>) -> Option<Problem> {
    let parts = || std::iter::once(&hook.main).chain(&hook.sourced);
    if shebang_ends(&hook.main.source.text) || parts().any(|part| part.shell.commands.iter().any(ends_on_failure)) {
        return None;
    }
    let commands = hook.main.shell.commands.iter();
    let first = commands.filter(|command| command.swallowed && can_fail(command)).min_by_key(|one| one.span.start)?;
    let message = "when this fails the script goes on, and the hook may succeed all the same";
    let problem = hook.main.warning("LS221", &first.span, message);
    Some(problem.with_fix("write `set -eu` above it; where a failure does not matter, let `|| true` say so"))
}

/// `#!/bin/bash -e`.
fn shebang_ends(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let Some(line) = line.strip_prefix("#!") else { return false };
    line.split_whitespace().skip(1).any(|word| is_letter(word, 'e') || word == "errexit")
}

/// Whether a word is options of one letter, this one among them.
fn is_letter(word: &str, letter: char) -> bool {
    word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains(letter))
}

/// `set -e` and its like, or a trap that does the same.
fn ends_on_failure(command: &Command) -> bool {
    let has = |text: &str| command.words.iter().any(|word| word.text == text);
    match command.words.first().map(|word| word.text.as_str()) {
        Some("set") => has("errexit") || command.words.iter().any(|word| is_letter(&word.text, 'e')),
        Some("trap") => has("ERR"),
        Some(_) | None => false,
    }
}

/// Whether a command does something that can go wrong and then matters.
fn can_fail(command: &Command) -> bool {
    let Some(invocation) = command.invocation() else { return false };
    match invocation.name {
        "rm" => !invocation.has_letter('f'),
        "systemctl" | "service" => !invocation.has(&["status", "is-active", "is-enabled"]),
        name => !HARMLESS.contains(&name),
    }
}

/// What cannot fail, or whose failure is no failure of the hook.
const HARMLESS: [&str; 44] = [
    ".", ":", "[", "[[", "alias", "break", "cat", "continue", "date", "declare", "df", "echo", "env", "exit", "export",
    "false", "hash", "hostname", "id", "kill", "killall", "let", "local", "logger", "ls", "pkill", "printf", "pwd",
    "read", "readonly", "return", "set", "shift", "shopt", "sleep", "source", "test", "trap", "true", "typeset",
    "umask", "unset", "wait", "whoami",
];

/// LS222: what goes on running and writes into the script's outputs.
pub(super) fn jobs(part: &Part) -> Vec<Problem> {
    let waits = |command: &Command| command.words.first().is_some_and(|word: &Word| word.text == "wait");
    if part.shell.commands.iter().any(waits) {
        return Vec::new();
    }
    let holding = part.shell.jobs.iter().filter(|job| job.holds_output);
    holding
        .map(|job| {
            let message = "this goes on running with the script's outputs in its hands: the AWS agent waits for it until the \
                           timeout, and fails the deployment";
            let problem = part.warning("LS222", &job.span, message);
            problem.with_fix("give it outputs of its own, `>/var/log/app.log 2>&1 &`; better, make it a service of systemd")
        })
        .collect()
}

/// LS232: no branch for a group that is new or misspelt.
pub(super) fn unknown_group(part: &Part) -> Vec<Problem> {
    let about = |text: &str| text.contains("DEPLOYMENT_GROUP_NAME");
    let cases = part.shell.cases.iter().filter(|case| about(&case.subject.text) && !case.has_default);
    cases
        .map(|case| {
            let message = "a deployment group that no branch names falls through, and nobody notices";
            let problem = part.warning("LS232", &case.subject.span, message);
            problem.with_fix("end it with `*) echo \"unknown group $DEPLOYMENT_GROUP_NAME\" >&2; exit 1 ;;`")
        })
        .collect()
}
