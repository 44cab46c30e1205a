//! One file per command. They parse, plan and act; they hold no rules of the domain.

pub mod config;
pub mod control;
pub mod deploy;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod history;
pub mod install_service;
pub mod logs;
pub mod plan;
pub mod resume;
pub mod rollback;
pub mod run;
pub mod status;

use std::io::{self, Write};

use longshore_core::failure::{Exit, Failure, printed};
use longshore_core::ids::DeploymentId;
use serde::Serialize;

use crate::cli::{GroupArgs, Output};
use crate::display;
use crate::history::{self as past, Found};
use crate::layout::Layout;

/// Writes a result to standard output: as JSON, or as the text that `text` makes.
fn print<T: Serialize>(result: &T, output: Output, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(result).map_err(|error| Failure::new(Exit::Failed, error))? + "\n",
        Output::Text => text(result),
    };
    printed(write(text.as_bytes()))
}

/// The deployment that is named, or else the latest of the groups that are meant.
pub(crate) fn one(layout: &Layout, deployment: Option<&DeploymentId>, group: &GroupArgs) -> Result<Found, Failure> {
    let failed = |error: past::HistoryError| {
        let hint = error.hint();
        let failure = Failure::new(Exit::Failed, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let found = past::find(layout, group.selection(), deployment).map_err(failed)?;
    found.ok_or_else(|| {
        let known = past::group_names(layout).unwrap_or_default();
        let message = match deployment {
            Some(id) => format!("there is no deployment {id} below {}", layout.root().display()),
            None => display::past::none(layout.root(), group.group.as_ref(), group.application.as_ref(), &known)
                .trim_end()
                .to_owned(),
        };
        Failure::new(Exit::NotFound, message).hint("`longshore-agent history` shows the deployments that are kept")
    })
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Without the flush the last part could be lost unnoticed.
    out.write_all(bytes).and_then(|()| out.flush())
}
