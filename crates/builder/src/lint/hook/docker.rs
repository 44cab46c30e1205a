//! What takes more away than belongs to the application (LS225, LS226), and images that no rollback brings back (LS227).

use longshore_core::problem::{Problem, Span};

use super::Part;
use crate::lint::invocation::Invocation;
use crate::lint::shell::{self, Command, Loop, Shell};

/// LS225: containers or images of everybody on the host.
pub(super) fn everything(part: &Part) -> Vec<Problem> {
    let everybody = Everybody::of(&part.shell);
    let mut problems = Vec::new();
    for command in &part.shell.commands {
        let Some(invocation) = command.invocation() else { continue };
        let Some((group, found)) = invocation.docker() else { continue };
        let removes = matches!(found.name, "rm" | "remove" | "stop" | "kill" | "rmi");
        let named = || found.arguments.iter().any(|word| everybody.is_all(&word.text, command.span.start));
        let by_xargs =
            || invocation.through.iter().any(|word| word.text == "xargs") && prints_all(&part.shell, command.reads);
        let by_option = || invocation.name == "podman" && (found.has(&["--all"]) || found.has_letter('a'));
        let (what, fix) = if removes && (named() || by_xargs() || by_option()) {
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

/// What in a script stands for all containers or images of the host.
struct Everybody<'a> {
    /// Variables, each with where it counts.
    variables: Vec<(&'a str, Option<Span>)>,
}

impl<'a> Everybody<'a> {
    fn of(shell: &'a Shell) -> Everybody<'a> {
        // `export ids=…` has it among the words.
        let assignments = shell.commands.iter().flat_map(|command| command.assignments.iter().chain(&command.words));
        let assigned = assignments.filter_map(|word| {
            let (name, value) = word.text.split_once('=')?;
            lists_all(value).then_some((name, None))
        });
        let mut everybody = Everybody { variables: assigned.collect() };
        for turns in &shell.loops {
            let all = turns.words.iter().any(|word| everybody.is_all(&word.text, turns.span.start));
            if (all || prints_all(shell, turns.reads)) && !chooses(shell, turns) {
                let variables = turns.variables.iter().map(|name| (name.as_str(), Some(turns.span.clone())));
                everybody.variables.extend(variables);
            }
        }
        everybody
    }

    /// Whether a word at this place is all of them, or each in its turn.
    fn is_all(&self, text: &str, at: usize) -> bool {
        let variable = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or(text.strip_prefix('$'));
        let counts = |span: &Option<Span>| span.as_ref().is_none_or(|span| span.contains(&at));
        lists_all(text) || self.variables.iter().any(|(name, span)| variable == Some(*name) && counts(span))
    }
}

/// Whether a loop looks at what it takes, so that it may take some and leave others.
fn chooses(shell: &Shell, turns: &Loop) -> bool {
    let within = |span: &Span| turns.span.start <= span.start && span.end <= turns.span.end;
    let mut commands = shell.commands.iter().filter(|command| within(&command.span)).filter_map(Command::invocation);
    commands.any(|command| {
        let inspects = command.docker().is_some_and(|(_, found)| found.name == "inspect");
        inspects || matches!(command.name, "[" | "[[" | "test" | "grep" | "continue" | "break")
    }) || shell.cases.iter().any(|case| within(&case.subject.span))
}

/// The output of `docker ps -aq`, without a filter, also behind programs that leave every line of it.
fn prints_all(shell: &Shell, index: Option<usize>) -> bool {
    let Some(command) = index.and_then(|index| shell.commands.get(index)) else { return false };
    let Some(invocation) = command.invocation() else { return false };
    let has = |options: &[&str]| invocation.has(options);
    let passes = match invocation.name {
        "cat" | "sort" | "uniq" | "cut" | "tr" => true,
        "tail" => has(&["+2"]) || has(&["-n+2"]),
        "sed" => has(&["1d"]),
        "awk" => invocation.arguments.iter().any(|word| prints_a_column(&word.text)),
        _ => return lists(&invocation),
    };
    let from = command.reads.and_then(|index| shell.commands.get(index)).and_then(Command::invocation);
    // With the names come a heading and other columns, which these take away.
    passes && (prints_all(shell, command.reads) || from.is_some_and(|from| is_table(&from)))
}

/// `{print $1}`, also without the heading.
fn prints_a_column(awk: &str) -> bool {
    let program = awk.replace(' ', "");
    let program = program.strip_prefix("NR>1").or(program.strip_prefix("NR!=1")).unwrap_or(&program);
    program.starts_with("{print$") && program.ends_with('}')
}

/// `docker ps -aq`: all of them, by id or name.
fn lists(invocation: &Invocation<'_>) -> bool {
    let Some((_, found)) = invocation.docker() else { return false };
    let shown = found.arguments.iter().any(|word| word.text.contains("{{.ID}}") || word.text.contains("{{.Names}}"));
    (found.has(&["--quiet"]) || found.has_letter('q') || shown) && is_table(invocation)
}

/// `docker ps`, `docker images` without a filter.
fn is_table(invocation: &Invocation<'_>) -> bool {
    let Some((_, found)) = invocation.docker() else { return false };
    let mut words = found.arguments.iter().map(|word| word.text.as_str());
    let mut some = ['f', 'l', 'n'].iter().any(|letter| found.has_letter(*letter));
    while let Some(word) = words.next() {
        match word {
            "--format" => drop(words.next()),
            "--latest" | "--last" | "--filter" => some = true,
            // `docker images shop -q` names a repository.
            _ => some |= word.starts_with("--filter=") || word.starts_with("--last=") || !word.starts_with('-'),
        }
    }
    matches!(found.name, "ps" | "ls" | "list" | "images") && !some
}

/// The same in the text of a word, which is `$(docker ps -aq)` and nothing else.
fn lists_all(text: &str) -> bool {
    let inner = match text.strip_prefix("$(") {
        Some(inner) => inner.strip_suffix(')'),
        None => text.strip_prefix('`').and_then(|inner| inner.strip_suffix('`')),
    };
    let Some(inner) = inner else { return false };
    let shell = shell::read(inner);
    let read: Vec<usize> = shell.commands.iter().filter_map(|command| command.reads).collect();
    // One pipeline: every command but the last is read by another.
    let last = (0..shell.commands.len()).filter(|index| !read.contains(index)).collect::<Vec<_>>();
    matches!(last.as_slice(), [last] if prints_all(&shell, Some(*last)))
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
