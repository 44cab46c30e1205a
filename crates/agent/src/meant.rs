//! Which deployment of this host is meant, or the words for that there is none.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::DeploymentId;

use crate::display;
use crate::history::{self, Found, HistoryError, Selection};
use crate::layout::Layout;

/// The deployment that is named, or else the latest of the groups that are meant.
pub(crate) fn one(
    layout: &Layout,
    deployment: Option<&DeploymentId>,
    selection: Selection<'_>,
) -> Result<Found, Failure> {
    let failed = |error: HistoryError| {
        let hint = error.hint();
        let failure = Failure::new(Exit::Failed, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let found = history::find(layout, selection, deployment).map_err(failed)?;
    found.ok_or_else(|| {
        let known = history::group_names(layout).unwrap_or_default();
        let message = match deployment {
            Some(id) => format!("there is no deployment {id} below {}", layout.root().display()),
            None => {
                display::past::none(layout.root(), selection.group, selection.application, &known).trim_end().to_owned()
            }
        };
        Failure::new(Exit::NotFound, message).hint("`longshore-agent history` shows the deployments that are kept")
    })
}
