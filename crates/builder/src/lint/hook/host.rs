//! What the host has to say: `sudo` (LS223), instance metadata (LS224), questions that nobody answers (LS228), commands that
//! never end (LS229).

use longshore_core::problem::{Problem, Span};

use super::{Part, ShellHook};
use crate::lint::invocation::Invocation;
use crate::lint::shell::Command;

/// LS223: `sudo`, once for each script.
pub(super) fn sudo(hook: &ShellHook<'_>) -> Option<Problem> {
    let root = hook.hook.run_as.as_deref().is_none_or(|user| matches!(user, "root" | "0"));
    let mut found: Vec<Span> = Vec::new();
    for command in &hook.main.shell.commands {
        let sudo = command.words.iter().position(|word| word.text.rsplit('/').next() == Some("sudo"));
        let Some(sudo) = sudo.filter(|_| calls_sudo(command)) else { continue };
        let options: Vec<&str> = command.words[sudo + 1..]
            .iter()
            .map(|word| word.text.as_str())
            .take_while(|word| word.starts_with('-'))
            .collect();
        let other_user = command.words[sudo + 1..].windows(2).any(|pair| {
            matches!(pair[0].text.as_str(), "-u" | "--user" | "-iu" | "-Hu" | "-nu" | "-EHu") && pair[1].text != "root"
        }) || options.iter().any(|option| option.starts_with("--user="));
        let asks_nobody = options.iter().any(|option| *option == "-n" || *option == "--non-interactive");
        if if root { !other_user } else { !asks_nobody } {
            found.push(command.words[sudo].span.clone());
        }
    }
    found.sort_by_key(|span| span.start);
    let first = found.first()?;
    let more = match found.len() - 1 {
        0 => String::new(),
        more => format!(" ({more} more below)"),
    };
    let place = &hook.main;
    Some(match &hook.hook.run_as {
        Some(user) if !root => place
            .warning(
                "LS223",
                first,
                format!("`{user}` may need a password here, and there is no terminal to type it on{more}"),
            )
            .with_fix("run the hook with `runas: root`, or write `sudo -n`, which fails at once"),
        Some(_) | None => place
            .warning("LS223", first, format!("the hook runs as root already: `sudo` takes its variables away{more}"))
            .with_fix("leave `sudo` out"),
    })
}

fn calls_sudo(command: &Command) -> bool {
    command.invocation().is_some_and(|invocation| {
        invocation.name == "sudo" || invocation.through.iter().any(|word| word.text.rsplit('/').next() == Some("sudo"))
    })
}

/// Where an instance asks about itself.
const ADDRESSES: [&str; 3] = ["169.254.169.254", "fd00:ec2::254", "//instance-data/"];

/// LS224: a question without a token, which instances of today refuse.
pub(super) fn metadata(part: &Part) -> Option<Problem> {
    let token = "x-aws-ec2-metadata-token";
    let text = part.source.text.to_ascii_lowercase();
    // Other clouds use the same address.
    if ["metadata-flavor", "metadata: true", "metadata:true"].iter().any(|other| text.contains(other)) {
        return None;
    }
    let knows_tokens = text.contains(token);
    let asks = |text: &str| ADDRESSES.iter().any(|address| text.contains(address)) && !text.contains("/api/token");
    for command in &part.shell.commands {
        let Some(word) = command.assignments.iter().chain(&command.words).find(|word| asks(&word.text)) else {
            continue;
        };
        // `$(curl …)` stands in a word and is a command of its own.
        if word.text.contains("$(") || word.text.contains('`') {
            continue;
        }
        let invocation = command.invocation();
        let with_header = invocation.as_ref().is_some_and(|invocation| {
            invocation.has_letter('H') || invocation.arguments.iter().any(|word| word.text.starts_with("--header"))
        });
        let direct = invocation.is_some_and(|invocation| matches!(invocation.name, "curl" | "wget"));
        if (knows_tokens && !direct) || with_header {
            continue;
        }
        let message = "this asks the instance metadata without a token (IMDSv1), which new instances refuse with 401";
        let fix = "get a token first: curl -sX PUT http://169.254.169.254/latest/api/token -H \
                   'X-aws-ec2-metadata-token-ttl-seconds: 60', and send it as `X-aws-ec2-metadata-token`";
        return Some(part.warning("LS224", &word.span, message).with_fix(fix));
    }
    None
}

/// LS228: what asks, where nobody answers.
pub(super) fn answers(part: &Part) -> Vec<Problem> {
    let mut problems = Vec::new();
    for command in &part.shell.commands {
        let Some(invocation) = command.invocation() else { continue };
        if command.reads.is_some() || command.input {
            continue;
        }
        if let Some((what, fix)) = asks(&invocation) {
            let message = format!("{what}, and a hook has neither a terminal nor an input");
            problems.push(part.warning("LS228", &command.span, message).with_fix(fix));
        }
    }
    problems
}

/// What a program asks, and how it does not.
fn asks(invocation: &Invocation<'_>) -> Option<(String, &'static str)> {
    let has = |options: &[&str]| invocation.has(options);
    let name = invocation.name;
    let asks = |fix| Some((format!("`{name}` asks whether to go on"), fix));
    match name {
        "apt-get" | "apt" | "aptitude" => {
            let changes = has(&["install", "upgrade", "dist-upgrade", "full-upgrade", "remove", "purge", "autoremove"]);
            let told =
                has(&["--yes", "--assume-yes", "-qq", "--assume-no", "--dry-run", "--simulate", "--download-only"])
                    || ['y', 's', 'd'].iter().any(|letter| invocation.has_letter(*letter))
                    || invocation.has_letter('q') && invocation.arguments.iter().any(|word| word.text.contains("qq"));
            if changes && !told { asks("add `-y`") } else { None }
        }
        "yum" | "dnf" => {
            let changes = has(&["install", "update", "upgrade", "remove", "erase", "localinstall"]);
            let told = has(&["--assumeyes", "--assumeno"]) || invocation.has_letter('y');
            if changes && !told { asks("add `-y`") } else { None }
        }
        "add-apt-repository" if !has(&["-y", "--yes"]) => asks("add `-y`"),
        "amazon-linux-extras" if has(&["install"]) && !has(&["-y"]) => asks("add `-y`"),
        "read" if invocation.has_letter('p') => {
            Some(("`read -p` waits for an answer".to_owned(), "take the value from a variable"))
        }
        "vi" | "vim" | "nano" | "less" | "more" | "top" | "htop" | "passwd" | "mysql_secure_installation" => {
            Some((format!("`{name}` is for a terminal"), "leave it out, or use a program that asks nobody"))
        }
        "docker" | "podman" | "docker-compose" => docker_asks(invocation),
        _ => None,
    }
}

fn docker_asks(invocation: &Invocation<'_>) -> Option<(String, &'static str)> {
    let terminal = |found: &Invocation<'_>| {
        // Options end where the image or the container is named.
        let options: Vec<&str> =
            found.arguments.iter().map(|word| word.text.as_str()).take_while(|word| word.starts_with('-')).collect();
        options.iter().any(|option| {
            *option == "--tty" || (!option.starts_with("--") && option.contains('t') && option.len() <= 4)
        })
    };
    if let Some((group, found)) = invocation.docker() {
        if matches!(found.name, "exec" | "run") && group.is_none_or(|group| group == "container") && terminal(&found) {
            return Some((format!("`docker {} -t` wants a terminal", found.name), "leave `-t` out"));
        }
        if found.name == "prune" && !found.has(&["--force"]) && !found.has_letter('f') {
            return Some(("`prune` asks whether to go on".to_owned(), "add `--force`"));
        }
    }
    let found = invocation.compose().filter(|_| invocation.name == "docker-compose")?;
    if matches!(found.name, "exec" | "run")
        && !found.has(&["-T", "-d", "--detach", "--no-TTY"])
        && !found.has_letter('T')
    {
        return Some((format!("`docker-compose {}` wants a terminal", found.name), "add `-T`"));
    }
    None
}

/// LS229: what ends only with the hook's timeout.
pub(super) fn foreground(part: &Part) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, command) in part.shell.commands.iter().enumerate() {
        let Some(invocation) = command.invocation() else { continue };
        let in_background =
            part.shell.jobs.iter().any(|job| job.span.start <= command.span.start && command.span.end <= job.span.end);
        let limited = invocation.through.iter().any(|word| word.text.ends_with("timeout"));
        // `tail -f log | grep -m 1 ready` ends.
        let read_by_another = part.shell.commands.iter().any(|other| other.reads == Some(index));
        if in_background || limited || read_by_another {
            continue;
        }
        let compose = invocation.compose();
        let (what, fix) = if compose.as_ref().is_some_and(stays) {
            ("this stays with its containers", "add `--detach`")
        } else if follows(&invocation, compose.as_ref()) {
            ("this follows a log", "show its last lines, or what came until now")
        } else {
            continue;
        };
        let message = format!("{what} and ends only with the hook's timeout, which fails the deployment");
        problems.push(part.warning("LS229", &command.span, message).with_fix(fix));
    }
    problems
}

/// `up` that does not come back.
fn stays(compose: &Invocation<'_>) -> bool {
    let comes_back = [
        "--detach",
        "--wait",
        "--no-start",
        "--abort-on-container-exit",
        "--abort-on-container-failure",
        "--exit-code-from",
    ];
    compose.name == "up"
        && !compose.has(&comes_back)
        && !compose.has_letter('d')
        && !compose.arguments.iter().any(|word| word.text.starts_with("--exit-code-from=") || word.text.contains('$'))
}

fn follows(invocation: &Invocation<'_>, compose: Option<&Invocation<'_>>) -> bool {
    let follow = |found: &Invocation<'_>| found.has_letter('f') || found.has(&["--follow"]);
    let logs = compose.is_some_and(|found| found.name == "logs" && follow(found))
        || invocation.docker().is_some_and(|(_, found)| found.name == "logs" && follow(&found));
    logs || (matches!(invocation.name, "tail" | "journalctl") && (follow(invocation) || invocation.has_letter('F')))
}
