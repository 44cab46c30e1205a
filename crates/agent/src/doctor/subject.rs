//! What would be deployed, or is: the appspec and its scripts, read from the revision that was named and from those that are
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use longshore_core::appspec::AppSpec;
use longshore_core::bundle::Limits;
use longshore_core::failure::chain;
use longshore_core::lifecycle::LifecycleEvent;

use super::{Examination, Finding};
use crate::deployment::order::{Revision, SignaturePolicy};
use crate::deployment::plan::Revision as Read;
use crate::deployment::{refusal, revisions};
use crate::fetch::access::Access;
use crate::fetch::{self, Request};
use crate::release::{self, Release};

/// How much of a script is looked at.
const SCRIPT: u64 = 1 << 20;

/// A revision that is looked at.
#[derive(Debug)]
pub(super) struct Subject {
    /// Which, for people.
    pub(super) name: String,
    /// Its appspec.
    pub(super) appspec: AppSpec,
    /// Its scripts that could be read.
    pub(super) scripts: Vec<Script>,
    /// Whether compose files stand at its top.
    pub(super) has_compose_file: bool,
    /// Bytes unpacked, when it is to be deployed.
    pub(super) bytes: Option<u64>,
}

/// A script of a revision.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) event: LifecycleEvent,
    pub(super) location: String,
    pub(super) run_as: Option<String>,
    pub(super) sudo: bool,
    pub(super) text: Vec<u8>,
}

impl Script {
    /// Whether it says this.
    pub(super) fn says(&self, word: &str) -> bool {
        self.text.windows(word.len()).any(|part| part == word.as_bytes())
    }
}

/// The revision that was named, or else those that are installed; and what cannot be read.
pub(super) fn all(it: &Examination<'_>) -> (Vec<Subject>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut subjects = Vec::new();
    if let Some(revision) = &it.revision {
        match given(revision) {
            Ok((subject, told)) => {
                subjects.push(subject);
                findings.push(told);
            }
            Err(finding) => findings.push(*finding),
        }
        return (subjects, findings);
    }
    for group in &it.groups {
        // What is damaged is told by the check of records.
        let Ok(Some(release)) = release::installed(it.layout, group) else { continue };
        match installed(release, group.as_str()) {
            Ok(subject) => subjects.push(subject),
            Err(finding) => findings.push(*finding),
        }
    }
    (subjects, findings)
}

fn installed(release: Release, group: &str) -> Result<Subject, Box<Finding>> {
    let archive = release.archive.clone();
    let Read { appspec, .. } = revisions::of_installed(release, None);
    let name = format!("the installed revision of `{group}`");
    let appspec = appspec.map_err(|reason| {
        Box::new(Finding::error(
            "revision",
            format!("{name} cannot be read: {reason}"),
            "ApplicationStop runs its scripts, so the next deployment is refused",
            "deploy with `--skip ApplicationStop` or `--stop-from new`",
        ))
    })?;
    let read = |path: &Path| fs::read(archive.join(path)).ok();
    let has_compose_file = names(&archive).iter().any(|name| is_compose_file(name));
    let scripts = scripts(&appspec, |hook| read(Path::new(hook)));
    Ok(Subject { name, appspec, scripts, has_compose_file, bytes: None })
}

fn given(revision: &Revision) -> Result<(Subject, Finding), Box<Finding>> {
    let broken = |what: String, fix: Option<&String>| {
        let fix = fix.map_or("see what is in it with `longshore inspect`", String::as_str);
        Box::new(Finding::error("revision", what, "it could not be deployed", fix))
    };
    // Only an object of a store is written here, and never below the root.
    let scratch = tempfile::tempdir().map_err(|error| broken(format!("no temporary folder: {error}"), None))?;
    let limits = Limits::default();
    let (access, stop) = (Access::default(), AtomicUsize::new(0));
    let signatures = SignaturePolicy::none();
    let request = Request {
        revision,
        content_digest: None,
        signatures,
        limits: &limits,
        stop: &stop,
        access: &access,
        earlier: &[],
    };
    let fetched = fetch::look(&request, &scratch.path().join("bundle"), &|_| ()).map_err(|error| {
        let told = chain(&error);
        broken(told, refusal::fetch_failure(error).hints.first())
    })?;
    let bundle = &fetched.bundle;
    let id = "d-DOCTOR".parse().map_err(|_| broken("no id".to_owned(), None))?;
    let release = Release {
        deployment: id,
        application: None,
        group: None,
        commit: None,
        content_digest: None,
        archive: PathBuf::new(),
        appspec_name: None,
        at: None,
        signed_by: None,
    };
    let (read, problems) = revisions::of_bundle(bundle, release, None).map_err(|error| {
        let told = chain(&error);
        let failure = refusal::revision_failure(error);
        let first = failure.problems.iter().find(|problem| problem.is_error());
        broken(first.map_or(told.clone(), |problem| format!("{told}: {problem}")), failure.hints.first())
    })?;
    let appspec = read.appspec.map_err(|reason| broken(reason, None))?;
    let scripts = scripts(&appspec, |path| bundle.read(&path.parse().ok()?, SCRIPT).ok().flatten());
    let top = bundle.entries.iter().map(|entry| entry.path.as_str());
    let has_compose_file = top.into_iter().any(is_compose_file);
    let bytes = bundle.entries.iter().map(|entry| entry.size).sum();
    let subject = Subject { name: revision.to_string(), appspec, scripts, has_compose_file, bytes: Some(bytes) };
    let told = match problems.len() {
        0 => Finding::ok("revision", format!("`{revision}` can be fetched, is whole, and its appspec has no errors")),
        _ => Finding::warning(
            "revision",
            format!("`{revision}` can be fetched and is whole; {}", problems[0]),
            "the appspec says something that surprises",
            "`longshore check` shows all of it in the repository",
        ),
    };
    Ok((subject, told))
}

fn scripts(appspec: &AppSpec, read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Script> {
    let hooks = appspec.hooks.iter().flat_map(|(event, hooks)| hooks.iter().map(move |hook| (event, hook)));
    hooks
        .filter_map(|(event, hook)| {
            Some(Script {
                event: event.clone(),
                location: hook.location.clone(),
                run_as: hook.run_as.clone(),
                sudo: hook.sudo,
                text: read(hook.script.as_str())?,
            })
        })
        .collect()
}

fn is_compose_file(name: &str) -> bool {
    (name.starts_with("docker-compose") || name.starts_with("compose"))
        && (name.ends_with(".yml") || name.ends_with(".yaml"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}
