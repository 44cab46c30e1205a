//! What somebody asks for over the socket → an order. Reads the bundle where nothing else says which application it is.

use longshore_core::appspec::FileExists;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};

use super::protocol::Deploy;
use crate::deployment::agent;
use crate::deployment::application::application_of;
use crate::deployment::order::{Cause, Group, Order, Pace, Policy, Revision, SignaturePolicy, StopFrom};
use crate::settings::Settings;

/// The order.
pub(super) fn order(asked: Deploy, settings: &Settings) -> Result<Order, Failure> {
    match &asked.revision {
        Revision::Local(path) if !path.is_absolute() => {
            return Err(Failure::new(Exit::Usage, format!("`{}` is no absolute path", path.display())));
        }
        Revision::Local(_) | Revision::Object(_) | Revision::GitHub(_) => {}
    }
    if let Some(event) = asked.skip.iter().find(|event| !event.is_scriptable() || !LifecycleEvent::ALL.contains(event))
    {
        let message =
            format!("`--skip {event}` leaves nothing out: no event of that name runs scripts in this deployment");
        return Err(Failure::new(Exit::Usage, message));
    }
    let application = match asked.application {
        Some(application) => application,
        None => application_of(&asked.revision, &settings.policy)?,
    };
    let followed = settings.follow.iter().find(|f| f.application == application && f.group == asked.group);
    let policy = followed.map_or(&settings.policy, |follow| &follow.policy);
    let id = asked.group_id.unwrap_or_else(|| GroupId::of(&application, &asked.group));
    // The folder of a group is what its releases are installed from, so its id says whose signature they need, whatever name
    // was given along with it.
    let of_group = settings.follow.iter().find(|f| GroupId::of(&f.application, &f.group) == id);
    let signatures = match of_group {
        Some(follow) => follow.policy.signatures.clone(),
        None => SignaturePolicy { require: signatures_required(settings), ..policy.signatures.clone() },
    };
    Ok(Order {
        deployment: match asked.deployment {
            Some(id) => id,
            None => agent::fresh_id().map_err(|error| Failure::new(Exit::Failed, error))?,
        },
        number: 0,
        group: Group { id, name: asked.group },
        application,
        revision: asked.revision,
        events: LifecycleEvent::ALL.to_vec(),
        skip: asked.skip,
        stop_from: asked.stop_from.unwrap_or(StopFrom::Installed),
        file_exists: asked.file_exists.unwrap_or(FileExists::Disallow),
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: asked.digest,
        appspec_name: None,
        policy: Policy { on_failure: asked.on_failure.unwrap_or(policy.on_failure), signatures, ..policy.clone() },
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
    })
}

/// Whether any source of this host takes signed revisions only. Who asks over the socket can name any group, so the strictest
/// source decides.
fn signatures_required(settings: &Settings) -> bool {
    let sources = settings.follow.iter().map(|follow| &follow.policy);
    let sources = sources.chain(settings.codedeploy.iter().map(|codedeploy| &codedeploy.policy));
    sources.chain([&settings.policy]).any(|policy| policy.signatures.require)
}

#[cfg(test)]
mod tests;
