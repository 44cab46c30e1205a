//! Pure: what can never work on a host, and what will surprise there. Hook scripts (LS2xx) and the bundle's files (LS4xx).

use std::sync::Arc;

use longshore_core::appspec::Os;
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span};

use crate::plan::{BuildPlan, PlannedKind};
use crate::recipe::Named;

/// A script as it was read.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// How the appspec names it.
    pub(crate) named: Named<'a>,
    /// The appspec.
    pub(crate) appspec: &'a Arc<SourceFile>,
    /// The first bytes of the script, up to [`SCRIPT_LIMIT`].
    pub(crate) bytes: Vec<u8>,
    /// Whether any execute bit is set.
    pub(crate) executable: bool,
}

/// How much of a script is read.
pub(crate) const SCRIPT_LIMIT: u64 = 1 << 20;

/// What is wrong with one hook script.
pub(crate) fn script(script: &Script<'_>, os: Os) -> Vec<Problem> {
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

/// The interpreter that a first line names.
fn interpreter(line: &str) -> Option<&str> {
    line.strip_prefix("#!")?.split_whitespace().next()
}

/// Whether a first line names a shell, itself or by way of `env`.
fn names_shell(line: &str) -> bool {
    let mut words = line.strip_prefix("#!").unwrap_or_default().split_whitespace();
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut named = words.next().map(name);
    if named.as_deref() == Some("env") {
        named = words.find(|word| !word.starts_with('-') && !word.contains('=')).map(name);
    }
    matches!(named.as_deref(), Some("sh" | "bash" | "dash" | "ash" | "ksh" | "zsh"))
}

/// The first bytes of a file that is about to be packed.
#[derive(Debug)]
pub(crate) struct Peek {
    /// Its path in the bundle.
    pub(crate) path: BundlePath,
    /// Its first bytes.
    pub(crate) head: Vec<u8>,
}

/// Which files of a plan want a look inside before they are judged.
pub(crate) fn wants_peek(plan: &BuildPlan) -> Vec<BundlePath> {
    let wanted = |path: &BundlePath, kind: &PlannedKind| match kind {
        PlannedKind::File { size, .. } => is_key_file(path.file_name()) || (100..300).contains(size),
        PlannedKind::Link(_) => false,
    };
    plan.files.iter().filter(|(path, planned)| wanted(path, &planned.kind)).map(|(path, _)| path.clone()).collect()
}

/// How much of such a file is read.
pub(crate) const PEEK_LIMIT: u64 = 64 << 10;

/// What is wrong with the files of a bundle as such.
pub(crate) fn bundle(plan: &BuildPlan, peeks: &[Peek]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for path in plan.files.keys() {
        if let Some(what) = secret(path) {
            problems.push(secret_problem(path, what));
        }
        if path.as_str().contains('\n') {
            let source = SourceFile::new(path.as_str(), "");
            let message =
                "a name with a line break: no agent can install the file, because its records have one line for each";
            problems.push(Problem::warning("LS412", &source, None, message).with_fix("rename it, or keep it out"));
        }
    }
    for peek in peeks {
        if is_key_file(peek.path.file_name()) && contains(&peek.head, b"PRIVATE KEY-----") {
            problems.push(secret_problem(&peek.path, "a private key"));
        }
        if peek.head.starts_with(b"version https://git-lfs.github.com/spec/") {
            let source = SourceFile::new(peek.path.as_str(), "");
            let message = format!("`{}` is a Git LFS pointer, not the file itself", peek.path);
            problems.push(Problem::warning("LS405", &source, None, message).with_fix("git lfs pull"));
        }
    }
    problems
}

/// Submodules that are not checked out: folders with nothing in them. `modules`: the text of `.gitmodules`; `is_empty`: whether
/// a folder would be packed and has nothing in it.
pub(crate) fn submodules(modules: &Arc<SourceFile>, is_empty: &dyn Fn(&BundlePath) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut offset = 0;
    for line in modules.text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let Some((key, value)) = line.split_once('=') else { continue };
        let Ok(path) = BundlePath::normalized(value.trim()) else { continue };
        if key.trim() == "path" && is_empty(&path) {
            let message = format!("the submodule `{path}` is not checked out, so the bundle has nothing of it");
            let span = start..start + line.trim_end().len();
            let problem = Problem::warning("LS409", modules, Some(span), message);
            problems.push(problem.with_fix("git submodule update --init --recursive"));
        }
    }
    problems
}

fn secret_problem(path: &BundlePath, what: &str) -> Problem {
    let source = SourceFile::new(path.as_str(), "");
    let message = format!("`{path}` looks like {what}, and everyone who can read the artifact could read it");
    Problem::warning("LS401", &source, None, message)
        .with_fix("keep it out with `.longshoreignore` and fetch it on the host, for example from a parameter store")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Files that hold a key or only certificates: their text decides.
fn is_key_file(name: &str) -> bool {
    [".pem", ".key", ".crt"].iter().any(|end| name.ends_with(end))
}

/// What a file probably holds, by its name alone.
fn secret(path: &BundlePath) -> Option<&'static str> {
    let name = path.file_name();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let example = ends(&[".example", ".sample", ".template", ".dist", ".defaults", ".tpl"]);
    if (name == ".env" || name.starts_with(".env.")) && !example {
        Some("an environment file with secrets")
    } else if matches!(name, "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519") {
        Some("a private key")
    } else if ends(&[".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"]) {
        Some("a store of keys")
    } else if matches!(
        name,
        ".netrc" | ".npmrc" | ".pypirc" | ".pgpass" | ".git-credentials" | ".vault-token" | ".htpasswd"
    ) || path.as_str().ends_with(".aws/credentials")
        || path.as_str().ends_with(".docker/config.json")
        || name == "credentials.json"
    {
        Some("a file with credentials")
    } else if ends(&[".tfstate", ".tfstate.backup"]) {
        Some("a Terraform state, which holds secrets in clear text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
