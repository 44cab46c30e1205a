//! The first lines of scripts: does their interpreter exist here?

use std::ffi::OsStr;
use std::path::Path;

use super::Finding;
use super::programs::find;
use super::subject::{Script, Subject};

const CHECK: &str = "scripts";

pub(super) fn check(subjects: &[Subject], path: Option<&OsStr>) -> Vec<Finding> {
    let scripts = subjects.iter().flat_map(|subject| subject.scripts.iter().map(move |script| (subject, script)));
    let mut findings: Vec<Finding> =
        scripts.filter_map(|(subject, script)| first_line(subject, script, path)).collect();
    findings.dedup();
    if findings.is_empty() && subjects.iter().any(|subject| !subject.scripts.is_empty()) {
        findings.push(Finding::ok(CHECK, "the interpreter of every script is on this host"));
    }
    findings
}

fn first_line(subject: &Subject, script: &Script, path: Option<&OsStr>) -> Option<Finding> {
    let line = script.text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let what = format!("`{}` ({}, {})", script.location, script.event, subject.name);
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let interpreter = words.next()?;
    let by_env = interpreter.ends_with("/env").then(|| words.next()).flatten().filter(|word| !word.starts_with('-'));
    if by_env.unwrap_or(interpreter).ends_with('\r') {
        return Some(Finding::error(
            CHECK,
            format!("the first line of {what} ends with a Windows line end"),
            "the host would look for an interpreter of that name, and the script does not start",
            "save it with LF, and write `*.sh text eol=lf` into .gitattributes",
        ));
    }
    let missing = match by_env {
        Some(name) => find(name, path).is_none().then_some(name),
        None => (!Path::new(interpreter).exists()).then_some(interpreter),
    }?;
    Some(Finding::error(
        CHECK,
        format!("the interpreter `{missing}` of {what} is not on this host"),
        "the script does not start",
        "install it, or change the `#!` line",
    ))
}
