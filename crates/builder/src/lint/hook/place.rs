//! Where a hook thinks it is: the working folder (LS230), its arguments (LS231), the folder of the deployment (LS233).

use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::{Problem, Span};

use super::ShellHook;
use crate::lint::invocation::Invocation;
use crate::lint::shell::Command;

const INTO_THE_BUNDLE: &str = "write `cd \"$(dirname \"$0\")/..\"` first, as far up as the top of the bundle is";

/// LS230: a relative path, before the script has gone anywhere.
pub(super) fn working_folder(hook: &ShellHook<'_>) -> Option<Problem> {
    let shell = &hook.main.shell;
    let moves = |command: &Command| command.invocation().is_some_and(|found| matches!(found.name, "cd" | "pushd"));
    // A function that moves may be called at any time, and so may a file that is read in.
    let unknown = shell.commands.iter().any(|command| command.in_function && moves(command))
        || hook.sourced.iter().any(|part| part.shell.commands.iter().any(moves));
    if unknown {
        return None;
    }
    let mut commands: Vec<&Command> = shell.commands.iter().filter(|command| !command.in_function).collect();
    commands.sort_by_key(|command| command.span.start);
    for command in commands {
        let Some(invocation) = command.invocation() else { continue };
        if let Some((path, span)) = assumes(&invocation, hook) {
            let message = match path.as_str() {
                ".." => "the working folder of a hook is the agent's, so `..` is not what it seems to be".to_owned(),
                path => format!("the working folder of a hook is the agent's, where there is no `{path}`"),
            };
            return Some(hook.main.warning("LS230", &span, message).with_fix(INTO_THE_BUNDLE));
        }
        if moves(command) {
            return None;
        }
    }
    None
}

/// The relative path that a command takes for one of the bundle.
fn assumes(invocation: &Invocation<'_>, hook: &ShellHook<'_>) -> Option<(String, Span)> {
    let relative = |text: &str| !text.is_empty() && !text.starts_with(['/', '$', '~', '`', '-']);
    let held = |text: &str| relative(text) && (hook.holds)(text);
    let first = invocation.arguments.iter().find(|word| !word.text.starts_with('-'));
    let word = match invocation.name {
        "cd" | "pushd" => first.filter(|word| relative(&word.text)),
        "." | "source" | "sh" | "bash" if !invocation.has_letter('c') => first.filter(|word| held(&word.text)),
        _ if invocation.program.text.contains('/') && held(&invocation.program.text) => Some(invocation.program),
        _ => None,
    };
    if let Some(word) = word {
        return Some((word.text.clone(), word.span.clone()));
    }
    invocation.compose()?;
    let mut named = invocation.arguments.iter().skip_while(|word| !matches!(word.text.as_str(), "-f" | "--file"));
    if named.next().is_some() {
        return named.next().filter(|word| held(&word.text)).map(|word| (word.text.clone(), word.span.clone()));
    }
    let elsewhere = invocation.arguments.iter().any(|word| {
        word.text == "--project-directory"
            || word.text.starts_with("--file=")
            || word.text.starts_with("--project-directory=")
    });
    let set = hook.main.source.text.contains("COMPOSE_FILE");
    if elsewhere || set {
        return None;
    }
    let files = ["docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"];
    let file = files.iter().find(|file| (hook.holds)(file))?;
    Some(((*file).to_owned(), invocation.program.span.clone()))
}

/// LS231: `$1`, which is never there.
pub(super) fn argument(hook: &ShellHook<'_>) -> Option<Problem> {
    let shell = &hook.main.shell;
    let sets = shell.commands.iter().any(|command| {
        command.words.first().is_some_and(|word| word.text == "set")
            && command.words[1..].iter().any(|word| word.text == "--" || word.text.starts_with(['$', '`']))
    });
    // Who counts the arguments knows that there may be none.
    if sets || shell.parameters.iter().any(|parameter| parameter.name == "#") {
        return None;
    }
    let number = |name: &str| name.parse::<u32>().is_ok_and(|number| number > 0);
    let mut found = shell.parameters.iter().filter(|parameter| number(&parameter.name));
    let first = found.find(|parameter| !parameter.in_function && !parameter.has_default)?;
    let problem = hook.main.warning("LS231", &first.span, "a hook is given no arguments, so this is empty");
    Some(problem.with_fix("the event is in `$LIFECYCLE_EVENT`, the group in `$DEPLOYMENT_GROUP_NAME`"))
}

/// LS233: the new deployment's folder, in an event of the installed revision.
pub(super) fn of_another_deployment(hook: &ShellHook<'_>) -> Option<Problem> {
    let early = |event: &&LifecycleEvent| {
        matches!(event.name(), "ApplicationStop" | "BeforeBlockTraffic" | "AfterBlockTraffic")
    };
    let event = hook.events.iter().copied().find(early)?;
    let words = hook.main.shell.commands.iter().flat_map(|command| command.assignments.iter().chain(&command.words));
    let builds = |text: &str| {
        (text.contains("$DEPLOYMENT_ID") || text.contains("${DEPLOYMENT_ID}"))
            && (text.contains("deployment-root") || text.contains("deployment-archive"))
    };
    let word = words.filter(|word| builds(&word.text)).min_by_key(|word| word.span.start)?;
    let message = format!(
        "{event} runs before the new deployment is on the host, and `$DEPLOYMENT_ID` names the new one: there is no such folder"
    );
    let fix = "use `$LONGSHORE_ARCHIVE_DIR`, or `$(dirname \"$0\")`, which the AWS agent has too";
    Some(hook.main.warning("LS233", &word.span, message).with_fix(fix))
}
