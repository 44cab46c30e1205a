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
        let named = || found.arguments.iter().any(|word| everybody.is_all(&word.text, command.span.start));
        let by_xargs =
            || invocation.through.iter().any(|word| word.text == "xargs") && prints_all(&part.shell, command.reads);
        let by_option = || invocation.name == "podman" && (found.has(&["--all"]) || found.has_letter('a'));
        let (what, fix) = if removes(&found) && (named() || by_xargs() || by_option()) {
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
    shell: &'a Shell,
    values: Vec<Value<'a>>,
}

/// A variable gets a value.
struct Value<'a> {
    name: &'a str,
    at: usize,
    /// Where it counts, if that is a loop.
    turns: Option<&'a Span>,
    /// Whether other functions do not see it.
    local: bool,
    /// Whether it is everybody.
    all: bool,
}

impl<'a> Everybody<'a> {
    fn of(shell: &'a Shell) -> Everybody<'a> {
        let mut everybody = Everybody { shell, values: Vec::new() };
        for command in &shell.commands {
            everybody.assigned(command);
        }
        for turns in &shell.loops {
            let at = turns.span.start;
            let all = turns.words.iter().any(|word| everybody.is_all(&word.text, at)) || prints_all(shell, turns.reads);
            let all = all && !chooses(shell, turns);
            let value = |name: &'a String| Value { name, at, turns: Some(&turns.span), local: true, all };
            everybody.values.extend(turns.variables.iter().map(value));
        }
        everybody
    }

    /// `ids=…`, `local ids=…`, `mapfile -t ids`.
    fn assigned(&mut self, command: &'a Command) {
        let at = command.span.start;
        let program = command.words.first().map(|word| word.text.as_str());
        if let (Some("mapfile" | "readarray"), Some(array)) = (program, command.words.last()) {
            let all = prints_all(self.shell, command.reads);
            return self.values.push(Value { name: &array.text, at, turns: None, local: false, all });
        }
        // Before another program they hold for that alone.
        let words = match program {
            None => command.assignments.as_slice(),
            Some("export" | "local" | "declare" | "readonly" | "typeset") => &command.words[1..],
            Some(_) => &[],
        };
        for word in words {
            let Some((name, value)) = word.text.split_once('=') else { continue };
            let value = value.strip_prefix('(').and_then(|array| array.strip_suffix(')')).unwrap_or(value);
            let all = self.is_all(value, at);
            let more = name.strip_suffix('+');
            // What is put behind everybody makes it no smaller.
            if more.is_none() || all {
                let local = matches!(program, Some("local" | "declare" | "typeset"));
                self.values.push(Value { name: more.unwrap_or(name), at, turns: None, local, all });
            }
        }
    }

    /// Whether a word at this place is all of them, or each in its turn.
    fn is_all(&self, text: &str, at: usize) -> bool {
        let text = text.trim_matches('"');
        let variable = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or(text.strip_prefix('$'));
        let variable = variable.map(|name| name.strip_suffix("[@]").or(name.strip_suffix("[*]")).unwrap_or(name));
        lists_all(text) || variable.is_some_and(|name| self.holds_all(name, at))
    }

    /// The last value before this place counts; where the function itself has none, those from elsewhere, if they agree.
    fn holds_all(&self, name: &str, at: usize) -> bool {
        let function = self.function(at);
        let named = || self.values.iter().filter(|value| value.name == name);
        let here = named().filter(|value| {
            let counts = value.turns.is_none_or(|span| span.contains(&at));
            counts && value.at < at && self.function(value.at) == function
        });
        here.max_by_key(|value| value.at).map_or_else(
            || {
                let mut elsewhere =
                    named().filter(|value| !value.local && self.function(value.at) != function).peekable();
                elsewhere.peek().is_some() && elsewhere.all(|value| value.all)
            },
            |value| value.all,
        )
    }

    /// The function around a place.
    fn function(&self, at: usize) -> Option<&'a Span> {
        self.shell.functions.iter().filter(|span| span.contains(&at)).min_by_key(|span| span.len())
    }
}

/// `rm`, `stop` and their like.
fn removes(docker: &Invocation<'_>) -> bool {
    matches!(docker.name, "rm" | "remove" | "stop" | "kill" | "rmi")
}

/// Whether a loop looks at what it takes, so that it may take some and leave others.
fn chooses(shell: &Shell, turns: &Loop) -> bool {
    let within = |span: &Span| turns.span.start <= span.start && span.end <= turns.span.end;
    let commands = shell.commands.iter().filter(|command| within(&command.span)).filter_map(Command::invocation);
    // Whether something was removed already, and whether the command before only asks whether there is anything.
    let (mut removed, mut asked) = (false, false);
    for command in commands {
        let asks = asks_for_anything(&command, &turns.variables);
        let looks = match command.name {
            "docker" | "podman" => command.docker().is_some_and(|(_, found)| {
                removed |= removes(&found);
                found.name == "inspect"
            }),
            "[" | "[[" | "test" => !asks,
            "continue" | "break" => !removed && !asked,
            name => name == "grep",
        };
        if looks {
            return true;
        }
        asked = asks;
    }
    shell.cases.iter().any(|case| within(&case.subject.span))
}

/// `[ -n "$c" ]` of the variable of a loop.
fn asks_for_anything(command: &Invocation<'_>, variables: &[String]) -> bool {
    let words: Vec<&str> =
        command.arguments.iter().map(|word| word.text.as_str()).filter(|text| *text != "]").collect();
    let words = words.strip_prefix(&["!"]).unwrap_or(&words);
    let ([tested] | ["-n" | "-z", tested]) = words else { return false };
    let is_test = matches!(command.name, "[" | "[[" | "test");
    is_test && variables.iter().any(|name| *tested == format!("${name}") || *tested == format!("${{{name}}}"))
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
        "grep" => invocation.has_letter('v') && has(&["CONTAINER", "^CONTAINER", "REPOSITORY", "^REPOSITORY"]),
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
    // One pipeline: every command but the last is read by another. Behind it may stand `|| true`.
    let prints = |index: &usize| {
        let words = shell.commands.get(*index).map(|command| command.words.as_slice()).unwrap_or_default();
        !matches!(words, [word] if matches!(word.text.as_str(), "true" | ":"))
    };
    let last = (0..shell.commands.len()).filter(|index| !read.contains(index)).filter(prints).collect::<Vec<_>>();
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
