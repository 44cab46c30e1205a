//! Which deployment of this host is meant, or the words for that there is none.

use std::fs::File;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{DeploymentId, GroupName};

use crate::display;
use crate::explain::read::ExplainError;
use crate::history::{self, Damaged, Found, HistoryError, Past, Selection};
use crate::layout::Layout;

/// The deployment that is named, or else the latest of the groups that are meant.
pub(crate) fn one(
    layout: &Layout,
    deployment: Option<&DeploymentId>,
    selection: Selection<'_>,
) -> Result<Found, Failure> {
    let found = history::find(layout, selection, deployment).map_err(unreadable)?;
    found.ok_or_else(|| match deployment {
        Some(id) => not_found(format!("there is no deployment {id} below {}", layout.root().display())),
        None => none(layout, selection),
    })
}

/// There is no deployment of what is meant.
pub(crate) fn none(layout: &Layout, selection: Selection<'_>) -> Failure {
    let known = history::group_names(layout).unwrap_or_default();
    let none = display::past::none(layout.root(), selection.group, selection.application, &known);
    not_found(none.trim_end().to_owned())
}

/// There is no such group.
pub(crate) fn no_group(layout: &Layout, group: &GroupName) -> Failure {
    let message = format!("no group has the name `{group}` below {}", layout.root().display());
    Failure::new(Exit::NotFound, message).hint("`longshore-agent status` shows all groups")
}

/// The past cannot be read.
pub(crate) fn unreadable(error: HistoryError) -> Failure {
    let hint = error.hint();
    let failure = Failure::new(Exit::Failed, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Fails for a journal that only others may read: a list of what nobody may see is of no use.
pub(crate) fn check_readable<'a>(all: impl IntoIterator<Item = &'a Past>) -> Result<(), Failure> {
    for past in all {
        match past {
            Past::Damaged(Damaged { journal, .. }) => {
                if let Err(source) = File::open(journal)
                    && let Some(hint) = history::denied(&source)
                {
                    let path = journal.clone();
                    return Err(Failure::new(Exit::Failed, ExplainError::Unreadable { path, source }).hint(hint));
                }
            }
            Past::Known(_) => {}
        }
    }
    Ok(())
}

fn not_found(message: String) -> Failure {
    Failure::new(Exit::NotFound, message).hint("`longshore-agent history` shows the deployments that are kept")
}
