//! What takes more away than belongs to the application (LS225, LS226), and images that no rollback brings back (LS227).

use longshore_core::problem::Problem;

use super::Part;
use crate::lint::invocation::Invocation;
use crate::lint::shell::Command;

/// LS225: containers or images of everybody on the host.
pub(super) fn everything(part: &Part) -> Vec<Problem> {
    let commands = &part.shell.commands;
    // Variables that hold what `docker ps -q` prints.
    let assignments = commands.iter().flat_map(|command| &command.assignments);
    let all: Vec<&str> =
        assignments.filter(|word| lists_all(&word.text)).filter_map(|word| word.text.split('=').next()).collect();
    let names_all = |text: &str| {
        (text.starts_with('$') || text.starts_with('`')) && lists_all(text)
            || all.iter().any(|name| text == format!("${name}") || text == format!("${{{name}}}"))
    };
    let mut problems = Vec::new();
    for command in commands {
        let Some(invocation) = command.invocation() else { continue };
        let Some((group, found)) = invocation.docker() else { continue };
        let removes = matches!(found.name, "rm" | "stop" | "kill" | "rmi");
        let by_xargs = invocation.through.iter().any(|word| word.text == "xargs")
            && command
                .reads
                .and_then(|index| commands.get(index))
                .and_then(Command::invocation)
                .is_some_and(|from| prints_all(&from));
        let (what, fix) = if removes && (by_xargs || found.arguments.iter().any(|word| names_all(&word.text))) {
            (
                "this is about every container or image on the host, not the application's alone",
                "compose down, or `docker ps --filter label=com.docker.compose.project=NAME`",
            )
        } else if found.name == "prune" && prunes_too_much(group, &found) {
            (
                "this removes what other applications on the host, or a rollback, may still need",
                "leave it to a job of the host, or name what may go with `--filter`",
            )
        } else {
            continue;
        };
        problems.push(part.warning("LS225", &command.span, what).with_fix(fix));
    }
    problems
}

/// `docker ps -aq` without a filter.
fn prints_all(invocation: &Invocation<'_>) -> bool {
    let Some((_, found)) = invocation.docker() else { return false };
    let quiet = found.has(&["--quiet"]) || found.has_letter('q');
    let filtered = found.has_letter('f') || found.arguments.iter().any(|word| word.text.starts_with("--filter"));
    // `docker images shop -q` names a repository.
    let named = found.arguments.iter().any(|word| !word.text.starts_with('-'));
    matches!(found.name, "ps" | "ls" | "images") && quiet && !filtered && !named
}

/// The same in the text of a word, which is `$(docker ps -aq)` and nothing else.
fn lists_all(text: &str) -> bool {
    let inner = text.split_once("$(").map(|(_, inner)| inner).or_else(|| text.split_once('`').map(|(_, inner)| inner));
    let Some(inner) = inner else { return false };
    let inner = inner.trim_end_matches([')', '`', '"']);
    let shell = crate::lint::shell::read(inner);
    match shell.commands.as_slice() {
        [command] => command.invocation().is_some_and(|invocation| prints_all(&invocation)),
        _ => false,
    }
}

fn prunes_too_much(group: Option<&str>, found: &Invocation<'_>) -> bool {
    let filtered = found.arguments.iter().any(|word| word.text.starts_with("--filter"));
    let all = found.has(&["--all", "--volumes"]) || found.has_letter('a');
    match group {
        _ if filtered => false,
        Some("system" | "volume" | "container") => true,
        Some("image") => all,
        Some(_) | None => false,
    }
}

/// LS226: `down -v`.
pub(super) fn volumes(part: &Part) -> Vec<Problem> {
    let mut problems = Vec::new();
    for command in &part.shell.commands {
        let Some(compose) = command.invocation().and_then(|invocation| invocation.compose()) else { continue };
        let removes = compose.has(&["--volumes"]) || compose.has_letter('v');
        if matches!(compose.name, "down" | "rm") && removes {
            let message = "this removes the volumes too: with every deployment the data of the application is gone";
            problems.push(part.warning("LS226", &command.span, message).with_fix("leave `-v` out"));
        }
    }
    problems
}

/// LS227: `latest`, which names another image tomorrow.
pub(super) fn latest(part: &Part) -> Vec<Problem> {
    let mut problems = Vec::new();
    for command in &part.shell.commands {
        let Some((_, found)) = command.invocation().and_then(|invocation| invocation.docker()) else { continue };
        let image = found.arguments.iter().find(|word| match found.name {
            "pull" => !word.text.starts_with('-') && (word.text.ends_with(":latest") || has_no_tag(&word.text)),
            "run" => word.text.ends_with(":latest"),
            _ => false,
        });
        if let Some(image) = image {
            let message = "`latest` is another image tomorrow: hosts will differ, and no rollback brings this one back";
            let fix = "tag images with the commit, and take it from `$LONGSHORE_COMMIT`";
            problems.push(part.warning("LS227", &image.span, message).with_fix(fix));
        }
    }
    problems
}

/// `nginx`, `registry:5000/shop`: a name without a tag, as far as one can see.
fn has_no_tag(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    !image.contains('$') && !image.contains('`') && !name.contains(':') && !name.contains('@')
}
