//! Looks for what would make a deployment fail on this host. Changes nothing.
//!
//! Each check is a file below this one: it looks, and tells what it found, why that matters and what to do.

mod aws;
mod clock;
mod docker;
mod folders;
mod people;
mod programs;
mod records;
mod scripts;
mod space;
mod subject;

use std::ffi::OsString;
use std::path::PathBuf;

use longshore_core::ids::GroupId;
use serde::Serialize;

use crate::deployment::order::Revision;
use crate::history::HistoryError;
use crate::layout::Layout;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, one sentence.
    pub what: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// A deployment may fail, or surprise.
    Warning,
    /// A deployment will fail.
    Error,
}

/// What is looked at.
#[derive(Debug)]
pub struct Examination<'a> {
    /// Where everything stands.
    pub layout: &'a Layout,
    /// The groups that are meant.
    pub groups: Vec<GroupId>,
    /// A revision that is to be deployed.
    pub revision: Option<Revision>,
    /// The environment that matters.
    pub environment: Environment,
}

/// What of the environment matters.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Where programs are looked for.
    pub path: Option<OsString>,
    /// Where the Docker daemon listens, when that is not the usual place.
    pub docker_host: Option<String>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// The file of AWS credentials, when that is not the usual one.
    pub credentials: Option<PathBuf>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { check, severity: Severity::Ok, what: what.into(), why: None, fix: None }
    }

    fn warning(
        check: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { check, severity: Severity::Warning, what: what.into(), why: Some(why.into()), fix: Some(fix.into()) }
    }

    fn error(check: &'static str, what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { severity: Severity::Error, ..Finding::warning(check, what, why, fix) }
    }
}

/// Runs every check, in the order in which a deployment would meet what they find.
pub fn examine(it: &Examination<'_>) -> Result<Vec<Finding>, HistoryError> {
    let mut findings = folders::check(it.layout, &it.groups);
    findings.extend(aws::check(it.layout, &it.environment));
    findings.extend(clock::check(it.layout, &it.groups)?);
    findings.extend(records::check(it.layout, &it.groups)?);
    let (subjects, unreadable) = subject::all(it);
    findings.extend(unreadable);
    findings.extend(space::check(it.layout, &subjects));
    findings.extend(people::check(&subjects));
    findings.extend(scripts::check(&subjects, it.environment.path.as_deref()));
    findings.extend(programs::check(&subjects, it.environment.path.as_deref()));
    findings.extend(docker::check(&subjects, &it.environment));
    Ok(findings)
}
