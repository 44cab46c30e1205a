//! Pure: whether a hook's script can start at all, and who will run it (LS203–LS208).

use std::sync::Arc;

use longshore_core::appspec::Os;
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span};

use crate::recipe::Named;

/// A script as it was read.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// How the appspec names it.
    pub(crate) named: Named<'a>,
    /// The appspec.
    pub(crate) appspec: &'a Arc<SourceFile>,
    /// The first bytes of the script, up to [`LIMIT`].
    pub(crate) bytes: Vec<u8>,
    /// Whether any execute bit is set.
    pub(crate) executable: bool,
}

/// How much of a script is read.
pub(crate) const LIMIT: u64 = 1 << 20;

/// What is wrong with one hook script.
pub(crate) fn lint(script: &Script<'_>, os: Os) -> Vec<Problem> {
    match os {
        Os::Linux => linux_script(script),
        // Batch files and PowerShell know neither shebang nor execute bit, and want CRLF.
        Os::Windows => empty(script).into_iter().collect(),
    }
}

fn linux_script(script: &Script<'_>) -> Vec<Problem> {
    let path = &script.named.hook.script;
    let mut problems = Vec::new();
    if !script.executable {
        let message = format!("`{path}` is not executable; the agent will make it so");
        problems.push(at_hook(script, "LS203", message).with_fix(format!("git update-index --chmod=+x {path}")));
    }
    if let Some(problem) = empty(script) {
        problems.push(problem);
        return problems;
    }
    let text = String::from_utf8_lossy(&script.bytes);
    let source = SourceFile::new(path.as_str(), &*text);
    let first = text.lines().next().unwrap_or_default();
    let first_span = 0..text.find('\n').unwrap_or(text.len());
    if let Some(line) = first.strip_prefix('\u{feff}') {
        problems.push(byte_order_mark(&source, path, line, first_span));
        return problems;
    }
    // A program, not a script.
    if script.bytes.starts_with(b"\x7fELF") {
        return problems;
    }
    let carriage_return = text.find("\r\n");
    match interpreter(first) {
        Some(interpreter) if carriage_return.is_some_and(|at| at <= first.len()) => {
            let message =
                format!("CR LF ends the first line, so the kernel looks for an interpreter named `{interpreter}\\r`");
            problems.push(Problem::error("LS205", &source, Some(first_span), message).with_fix(line_ends_fix(path)));
        }
        Some(_) => {
            if let Some(at) = carriage_return.filter(|_| names_shell(first)) {
                problems.push(line_ends(&source, path, at));
            }
        }
        None => {
            problems.push(no_shebang(&source, &text, first_span));
            if let Some(at) = carriage_return {
                problems.push(line_ends(&source, path, at));
            }
        }
    }
    problems
}

fn empty(script: &Script<'_>) -> Option<Problem> {
    let path = &script.named.hook.script;
    let blank = script.bytes.iter().all(u8::is_ascii_whitespace);
    blank.then(|| {
        at_hook(script, "LS207", format!("`{path}` is empty")).with_fix("write the script, or remove the hook")
    })
}

fn at_hook(script: &Script<'_>, code: &'static str, message: String) -> Problem {
    Problem::warning(code, script.appspec, Some(script.named.hook.span.clone()), message).at_path(&script.named.place)
}

fn no_shebang(source: &Arc<SourceFile>, text: &str, first: Span) -> Problem {
    let almost = text.lines().take(5).any(|line| {
        let squeezed: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        squeezed.starts_with("#!")
    });
    let (message, fix) = if almost {
        ("`#!` counts only as the first two characters of the file; `/bin/sh` will run this one", "move it there")
    } else {
        (
            "the first line names no interpreter, so `/bin/sh` will run this",
            "begin the file with `#!/bin/bash` or `#!/bin/sh`",
        )
    };
    Problem::warning("LS204", source, Some(first), message).with_fix(fix)
}

/// `/bin/sh` gets the file: a shell script stumbles over its first line and goes on, anything else is nonsense to it.
fn byte_order_mark(source: &Arc<SourceFile>, path: &BundlePath, line: &str, span: Span) -> Problem {
    let fix = format!("save the file without it: sed -i '1s/^\\xEF\\xBB\\xBF//' {path}");
    let problem = if interpreter(line).is_none() || names_shell(line) {
        let message = "a byte order mark stands before the first line, which `/bin/sh` will take for a command that does not exist";
        Problem::warning("LS208", source, Some(span), message)
    } else {
        let message = "a byte order mark stands before the `#!`, so `/bin/sh` will run this and not its interpreter";
        Problem::error("LS208", source, Some(span), message)
    };
    problem.with_fix(fix)
}

fn line_ends(source: &Arc<SourceFile>, path: &BundlePath, at: usize) -> Problem {
    let start = source.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let message = "this line ends with CR LF; the shell takes the CR for a part of the last word";
    Problem::warning("LS206", source, Some(start..at), message).with_fix(line_ends_fix(path))
}

fn line_ends_fix(path: &BundlePath) -> String {
    format!("sed -i 's/\\r$//' {path}, and `*.sh text eol=lf` in .gitattributes")
}

/// The shell that runs a script, if it is one; without a `#!` line that is `sh`.
pub(crate) fn shell_of(bytes: &[u8]) -> Option<String> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let first = first.trim_end_matches('\r').trim_start_matches('\u{feff}');
    if bytes.contains(&0) || bytes.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    match interpreter(first) {
        Some(_) => shell_named(first),
        None => Some("sh".to_owned()),
    }
}

/// The interpreter that a first line names.
fn interpreter(line: &str) -> Option<&str> {
    line.strip_prefix("#!")?.split_whitespace().next()
}

/// Whether a first line names a shell, itself or by way of `env`.
fn names_shell(line: &str) -> bool {
    shell_named(line).is_some()
}

fn shell_named(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("#!").unwrap_or_default().split_whitespace();
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut named = words.next().map(name);
    if named.as_deref() == Some("env") {
        named = words.find(|word| !word.starts_with('-') && !word.contains('=')).map(name);
    }
    named.filter(|name| matches!(name.as_str(), "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh"))
}
