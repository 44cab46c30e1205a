//! Reads what a plan needs and has it made. Used by `plan` and `deploy` alike; changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use longshore_core::appspec::AppSpec;
use longshore_core::failure::{Exit, Failure};
use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom};
use nix::unistd::{Group, User, getegid, geteuid};

use super::order::Order;
use super::plan::{Account, Plan, Revision, Revisions, Surroundings};
use super::{planner, revisions};
use crate::fetch::Fetched;
use crate::fetch::signature::Checked;
use crate::hook::command::RunAs;
use crate::hook::user;
use crate::install::compat::Records;
use crate::install::conflict::Conflict;
use crate::install::listing::Listing;
use crate::install::permissions::Programs;
use crate::install::plan::InstallPlan;
use crate::install::planner as install_planner;
use crate::install::request::Request;
use crate::install::snapshot::Snapshot;
use crate::layout::Layout;
use crate::release::{self, Release};

/// What a deployment of `new` would do now.
pub fn decide(layout: &Layout, order: &Order, new: &Revision, listing: &Listing) -> Result<Plan, Failure> {
    let (installed, most_recent) = earlier(layout, order)?;
    let users = users(installed.iter().chain(&most_recent).chain([new]))?;
    let appspec = new.appspec.as_ref().map_err(|reason| internal(reason.clone()))?;
    let (install, _) = install_plan(layout, order, appspec, listing)?;
    let revisions = Revisions { new, installed: installed.as_ref(), most_recent: most_recent.as_ref() };
    Ok(planner::plan(order, revisions, listing, Surroundings { agent: agent()?, users, install }))
}

/// What an event would do now that is asked for alone, and takes its scripts from `from`.
pub(super) fn decide_alone(
    layout: &Layout,
    order: &Order,
    event: &LifecycleEvent,
    from: ScriptsFrom,
    new: &Revision,
) -> Result<Plan, Failure> {
    let (installed, most_recent) = earlier(layout, order)?;
    let users = users(installed.iter().chain(&most_recent).chain([new]))?;
    let revisions = Revisions { new, installed: installed.as_ref(), most_recent: most_recent.as_ref() };
    Ok(planner::plan_alone(order, event, from, revisions, &users, agent()?))
}

/// The revision that is installed, and the one that was fetched last.
fn earlier(layout: &Layout, order: &Order) -> Result<(Option<Revision>, Option<Revision>), Failure> {
    let read = |release| revisions::of_installed(release, order.appspec_name.as_ref());
    let installed = release::installed(layout, &order.group.id).map_err(internal)?.map(read);
    let most_recent = release::most_recent(layout, &order.group.id).map_err(internal)?.map(read);
    Ok((installed, most_recent))
}

fn users<'a>(revisions: impl IntoIterator<Item = &'a Revision>) -> Result<BTreeMap<String, RunAs>, Failure> {
    let mut users = BTreeMap::new();
    for name in revisions::users(revisions) {
        let user = user::resolve(Some(&name)).map_err(internal)?;
        users.insert(name, user);
    }
    Ok(users)
}

fn agent() -> Result<Account, Failure> {
    let (uid, gid) = (geteuid(), getegid());
    let user = User::from_uid(uid).map_err(internal)?;
    let group = Group::from_gid(gid).map_err(internal)?;
    Ok(Account {
        user: user.map_or_else(|| uid.to_string(), |user| user.name),
        group: group.map_or_else(|| gid.to_string(), |group| group.name),
        uid: uid.as_raw(),
    })
}

/// What the Install event would do now, or what is in its way; and the programs that it would use.
pub(super) fn install_plan(
    layout: &Layout,
    order: &Order,
    appspec: &AppSpec,
    listing: &Listing,
) -> Result<(Result<InstallPlan, Vec<Conflict>>, Programs), Failure> {
    let records = Records { dir: layout.instructions(), group: order.group.id.clone() };
    let previous = records.cleanup().map_err(internal)?;
    let file_exists = appspec.file_exists.unwrap_or(order.file_exists);
    let request = Request { appspec, listing, previous: &previous, file_exists };
    let snapshot = Snapshot::take(&request).map_err(internal)?;
    Ok((install_planner::plan(&request, &snapshot), snapshot.programs))
}

/// What a release of this order will be.
pub fn new_release(order: &Order, fetched: &Fetched, archive: PathBuf, at: String) -> Release {
    Release {
        deployment: order.deployment.clone(),
        application: Some(order.application.clone()),
        group: Some(order.group.name.clone()),
        commit: fetched.bundle.manifest.as_ref().map(|manifest| manifest.commit.clone()),
        content_digest: Some(fetched.bundle.content_digest),
        archive,
        appspec_name: order.appspec_name.clone(),
        at: Some(at),
        signed_by: match &fetched.signature {
            Checked::Signed(signed) => Some(signed.key_id.clone()),
            Checked::Unsigned | Checked::Unasked => None,
        },
    }
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
