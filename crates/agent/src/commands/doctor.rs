//! `doctor`: looks for what would make a deployment fail here.

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::plural;
use longshore_core::ids::GroupId;

use super::{deploy, print};
use crate::cli::{DoctorArgs, Output};
use crate::display;
use crate::doctor::{self, Environment, Examination, Severity};
use crate::history::{self, HistoryError, Past};
use crate::layout::Layout;

/// Runs the command. Ends with 1 when there are errors; warnings are none.
pub fn run(args: &DoctorArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let failed = |error: HistoryError| Failure::new(Exit::Failed, error);
    let examination = Examination {
        layout,
        groups: groups(args, layout).map_err(failed)?,
        revision: args.revision.as_deref().map(deploy::revision).transpose()?,
        environment: Environment {
            path: std::env::var_os("PATH"),
            docker_host: std::env::var("DOCKER_HOST").ok(),
            home: std::env::var_os("HOME").map(Into::into),
            credentials: std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(Into::into),
        },
    };
    if examination.groups.is_empty() && examination.revision.is_none() && args.group.selection().is_narrow() {
        let known = history::group_names(layout).map_err(failed)?;
        let message =
            display::past::none(layout.root(), args.group.group.as_ref(), args.group.application.as_ref(), &known);
        return Err(Failure::new(Exit::NotFound, message.trim_end().to_owned()));
    }
    let findings = doctor::examine(&examination).map_err(failed)?;
    print(&findings, output, |findings| display::doctor::findings(findings))?;
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        errors => {
            Err(Failure::new(Exit::Failed, format!("{} that will make a deployment fail", plural(errors, "finding"))))
        }
    }
}

fn groups(args: &DoctorArgs, layout: &Layout) -> Result<Vec<GroupId>, HistoryError> {
    let mut groups = Vec::new();
    // What stands there instead of a folder is a finding.
    if !layout.root().is_dir() {
        return Ok(groups);
    }
    for group in history::all_groups(layout)? {
        let past = history::past(layout, &group)?;
        if args.group.selection().means(&group, past.last().and_then(Past::order)) {
            groups.push(group);
        }
    }
    Ok(groups)
}
