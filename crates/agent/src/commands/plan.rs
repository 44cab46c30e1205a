//! `plan`: what a deployment would do.

use std::io::Write;
use std::sync::atomic::AtomicUsize;

use longshore_core::failure::{Exit, Failure};
use longshore_core::problem;

use super::deploy;
use crate::cli::{Output, PlanArgs};
use crate::deployment::agent::now;
use crate::deployment::{decide, preview, refusal, revisions, survey};
use crate::display::{self, Detail};
use crate::fetch::access::Access;
use crate::fetch::signature::Checked;
use crate::fetch::{self, Request};
use crate::install::listing::Listing;
use crate::layout::Layout;

/// Runs the command. Ends as the deployment would be refused, when it would be.
pub fn run(args: &PlanArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let order = deploy::order(&args.deploy, layout)?;
    let never = AtomicUsize::new(0);
    let access = Access::default();
    let request = Request::of(&order, &never, &access);
    // Only an object of a store is ever written here, and never below the root.
    let scratch = tempfile::tempdir().map_err(|error| Failure::new(Exit::Failed, error))?;
    let fetched = fetch::look(&request, &scratch.path().join("bundle"), &|_| ()).map_err(refusal::fetch_failure)?;
    if let Some(manifest) = &fetched.bundle.manifest
        && manifest.application != order.application
    {
        return Err(refusal::other_application(&order, &manifest.application));
    }
    let archive = layout.deployment(&order.group.id, &order.deployment).archive();
    let release = decide::new_release(&order, &fetched, archive, now());
    let (mut new, problems) = revisions::of_bundle(&fetched.bundle, release, order.appspec_name.as_ref())
        .map_err(refusal::revision_failure)?;
    revisions::find_faults_in_bundle(&mut new, &fetched.bundle);
    let listing = Listing::of_entries(&fetched.bundle.entries);
    let mut plan = decide::decide(layout, &order, &new, &listing)?;
    if fetched.signature == Checked::Unsigned {
        plan.warnings.insert(0, format!("`{}` is not signed; it is not asked for", order.revision));
    }
    plan.warnings.splice(0..0, fetched.bundle.warnings.iter().cloned());
    let host = survey::survey(layout, &order, &plan, &fetched.bundle)?;
    let preview = preview::preview(plan, host, &fetched.bundle.entries);
    let detail = if args.all { Detail::All } else { Detail::Changes };
    super::print(&preview, output, |preview| display::plan(&order, preview, detail))?;
    let _ = write!(std::io::stderr(), "{}", problem::render(&problems, display::look()));
    preview.refused().map_or(Ok(()), Err)
}
