//! YAML → [`AppSpec`], with YAML 1.1 scalars read as the AWS agent reads them.
//!
//! Walks the whole document whatever is wrong in it, so that every problem is reported at once. Asks [`super::check`]
//! about each value; opens no file, so what a path leads to is for others to check.

mod field;
mod hooks;
mod permissions;

use std::collections::HashMap;
use std::sync::Arc;

use self::field::{Field, Findings};
use super::check::{self, names};
use super::{AppSpec, FileExists, FileMapping, Os};
use crate::problem::{self, Problem, SourceFile};
use crate::yaml::{self, Node};

/// What came out of a file.
#[derive(Debug)]
pub struct Parsed {
    /// The appspec; `None` exactly when one of the problems is an error.
    pub appspec: Option<AppSpec>,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads an appspec and reports every problem at once.
pub fn parse(source: &Arc<SourceFile>) -> Parsed {
    let reading = yaml::read(source);
    let mut findings = Findings::new(source, reading.problems);
    let draft = match &reading.node {
        Some(node) if !node.is_null() => document(node, source, &mut findings),
        None if !findings.is_empty() => {
            misspelt_sections(source, &mut findings);
            None
        }
        Some(_) | None => {
            findings.push(
                Problem::error(check::NO_APPSPEC, source, None, "the file is empty: it holds no appspec")
                    .with_fix("begin with `version: 0.0` and `os: linux`"),
            );
            None
        }
    };
    about_the_file(source, reading.second_document, &mut findings);
    let problems = findings.finish();
    let appspec = if problem::has_errors(&problems) { None } else { draft };
    Parsed { appspec, problems }
}

/// What can be said of a file that is not YAML: keys at the start of a line that are nearly those of an appspec.
fn misspelt_sections(source: &Arc<SourceFile>, findings: &mut Findings<'_>) {
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let key = line.split(':').next().unwrap_or_default();
        let is_word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if is_word
            && key.len() < line.len()
            && !names::TOP.contains(&key)
            && let Some(meant) = check::did_you_mean(key, names::TOP)
        {
            findings.push(
                Problem::warning(check::UNKNOWN_KEY, source, Some(start..start + key.len()), "has no effect")
                    .at_path(key)
                    .with_fix(format!("did you mean `{meant}`?")),
            );
        }
        start += line.len();
    }
}

fn about_the_file(source: &Arc<SourceFile>, second_document: Option<problem::Span>, findings: &mut Findings<'_>) {
    if source.text.starts_with(problem::BYTE_ORDER_MARK) {
        findings.push(
            Problem::warning(
                check::BYTE_ORDER_MARK,
                source,
                Some(0..problem::BYTE_ORDER_MARK.len_utf8()),
                "the file begins with a byte order mark, over which the AWS agent stumbles",
            )
            .with_fix("save the file as UTF-8 without BOM"),
        );
    }
    if let Some(span) = second_document {
        findings.push(
            Problem::warning(
                check::SECOND_DOCUMENT,
                source,
                Some(span),
                "a second YAML document begins here, and nobody reads it",
            )
            .with_fix("remove it, or join the two"),
        );
    }
}

fn document(node: &Node, source: &Arc<SourceFile>, findings: &mut Findings<'_>) -> Option<AppSpec> {
    let root = Field::root(node);
    if node.as_map().is_none() {
        let message = format!("an appspec is a mapping of `version`, `os`, `files` and `hooks`, found {}", node.kind());
        findings.error(check::NO_APPSPEC, &root, message, "begin with `version: 0.0` and `os: linux`");
        return None;
    }
    if let Some(problem) = other_platform(&root, source) {
        findings.push(problem);
        return None;
    }
    if let Some(version) = findings.required(&root, "version", "write `version: 0.0`")
        && let Some(scalar) = findings.scalar(&version)
    {
        findings.judge(&version, check::version(scalar));
    }
    // With another `os` the rest is still checked, as if for Linux.
    let os = os(&root, findings).unwrap_or(Os::Linux);
    let appspec = AppSpec {
        os,
        files: files(&root, os, source, findings),
        permissions: permissions::read(&root, os, findings),
        hooks: hooks::read(&root, os, findings),
        file_exists: file_exists(&root, findings),
    };
    unknown_keys(&root, &names::TOP, findings);
    Some(appspec)
}

/// Names an appspec for ECS or Lambda as what it is.
fn other_platform(root: &Field<'_>, source: &Arc<SourceFile>) -> Option<Problem> {
    let resources = root
        .children()
        .into_iter()
        .find(|field| field.name().eq_ignore_ascii_case("resources") && root.node.get("os").is_none())?;
    let types = |node: &Node, service: &str| {
        node.entries().iter().any(|(_, resource)| {
            resource.entries().iter().any(|(key, value)| {
                key.text().is_some_and(|key| key.eq_ignore_ascii_case("type"))
                    && value.text().is_some_and(|value| value.contains(service))
            })
        })
    };
    let has = |service: &str| {
        resources.node.as_list().unwrap_or_default().iter().chain([resources.node]).any(|node| types(node, service))
    };
    let platform = match (has("ECS"), has("Lambda")) {
        (true, _) => "ECS",
        (false, true) => "Lambda",
        (false, false) => "ECS or Lambda",
    };
    Some(
        Problem::error(
            check::OTHER_PLATFORM,
            source,
            resources.key.map(|key| key.span.clone()),
            format!("this is an appspec for {platform}, which has no host to deploy to"),
        )
        .at_path(resources.path)
        .with_fix("for hosts, write `os: linux` with `files` and `hooks`"),
    )
}

fn os(root: &Field<'_>, findings: &mut Findings<'_>) -> Option<Os> {
    let os = findings.required(root, "os", "write `os: linux`")?;
    let scalar = findings.scalar(&os)?;
    findings.judge(&os, check::os(scalar))
}

fn file_exists(root: &Field<'_>, findings: &mut Findings<'_>) -> Option<FileExists> {
    let field = root.given("file_exists_behavior")?;
    let scalar = findings.scalar(&field)?;
    findings.judge(&field, check::file_exists(scalar))
}

fn files(root: &Field<'_>, os: Os, source: &Arc<SourceFile>, findings: &mut Findings<'_>) -> Vec<FileMapping> {
    const FIX: &str = "write `- source: …` and below it, indented by two more, `destination: …`";
    let Some(field) = root.given("files") else { return Vec::new() };
    let mut mappings: Vec<FileMapping> = Vec::new();
    let mut first: HashMap<(String, String), problem::Span> = HashMap::new();
    for entry in findings.list(&field, FIX) {
        let Some(mapping) = file(&entry, os, findings) else { continue };
        let place = (format!("{:?}", mapping.source), mapping.destination.trim_end_matches('/').to_owned());
        match first.get(&place) {
            None => {
                first.insert(place, mapping.span.clone());
            }
            Some(span) => findings.push(
                Problem::warning(
                    check::REPEATED_FILES,
                    source,
                    Some(entry.span()),
                    "installs what an entry above installs to the same place, which the agent refuses",
                )
                .at_path(entry.path.clone())
                .with_related(span.clone(), "first here")
                .with_fix("remove one of the two"),
            ),
        }
        mappings.push(mapping);
    }
    mappings
}

fn file(entry: &Field<'_>, os: Os, findings: &mut Findings<'_>) -> Option<FileMapping> {
    if !findings.mapping(entry, "write `source: …` and `destination: …`") {
        return None;
    }
    unknown_keys(entry, &names::FILE, findings);
    let source = findings.required(entry, "source", "name a file or folder of the bundle; `/` is the whole bundle");
    let source = source.and_then(|field| {
        let text = findings.text(&field)?;
        findings.judge(&field, check::source(text, os))
    });
    let destination = findings.required(entry, "destination", "write the full path of the folder to copy into");
    let destination = destination.and_then(|field| {
        let text = findings.text(&field)?;
        findings.judge(&field, check::destination(text, os))
    });
    Some(FileMapping { source: source?, destination: destination?, span: entry.span() })
}

fn unknown_keys(parent: &Field<'_>, known: &[&str], findings: &mut Findings<'_>) {
    for field in parent.children() {
        // `x-…` is where people keep what they repeat with anchors, as in compose files.
        if !known.contains(&field.name()) && !field.name().starts_with("x-") {
            findings.judge_key(&field, check::no_effect(field.name(), known));
        }
    }
}

#[cfg(test)]
mod tests;
