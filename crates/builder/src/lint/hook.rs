//! Pure: what a hook's shell script does that will surprise on a host (LS221–LS239). Each rule reads commands, never lines, and
//! says nothing where it is not sure.

mod docker;
mod failure;
mod host;
mod place;

use std::sync::Arc;

use longshore_core::appspec::Hook;
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::{Problem, SourceFile, Span};

use super::shell::{self, Shell};

/// A hook that is a shell script, and the files of the bundle that it reads in.
pub(crate) struct ShellHook<'a> {
    /// Its first entry in the appspec.
    pub(crate) hook: &'a Hook,
    /// Every event that runs it.
    pub(crate) events: Vec<&'a LifecycleEvent>,
    /// The script.
    pub(crate) main: Part,
    /// What it reads in with `.` or `source`, as far as the bundle holds it.
    pub(crate) sourced: Vec<Part>,
    /// Whether the bundle has something at a path that is counted from its top or from the script's folder.
    pub(crate) holds: &'a dyn Fn(&str) -> bool,
}

/// A file of shell.
pub(crate) struct Part {
    /// The file.
    pub(crate) source: Arc<SourceFile>,
    /// What it says.
    pub(crate) shell: Shell,
}

impl Part {
    /// Reads a file of shell.
    pub(crate) fn of(source: Arc<SourceFile>) -> Part {
        let shell = shell::read(&source.text);
        Part { source, shell }
    }

    /// The files that it reads in, as they are written.
    pub(crate) fn sources(&self) -> Vec<&str> {
        let commands = self.shell.commands.iter().filter_map(shell::Command::invocation);
        let sources = commands.filter(|command| matches!(command.name, "." | "source"));
        sources.filter_map(|command| Some(command.arguments.first()?.text.as_str())).collect()
    }

    fn warning(&self, code: &'static str, span: &Span, message: impl Into<String>) -> Problem {
        Problem::warning(code, &self.source, Some(span.clone()), message)
    }
}

/// What is wrong with a hook itself.
pub(crate) fn lint(hook: &ShellHook<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(failure::swallowed(hook));
    problems.extend(place::working_folder(hook));
    problems.extend(place::argument(hook));
    problems.extend(place::of_another_deployment(hook));
    problems.extend(host::sudo(hook));
    problems.extend(part(&hook.main));
    problems
}

/// What is wrong with a file of shell, whoever reads it in.
pub(crate) fn part(part: &Part) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(failure::jobs(part));
    problems.extend(failure::unknown_group(part));
    problems.extend(host::metadata(part));
    problems.extend(host::answers(part));
    problems.extend(host::foreground(part));
    problems.extend(docker::everything(part));
    problems.extend(docker::volumes(part));
    problems.extend(docker::latest(part));
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    problems
}
