//! Everything of a deployment that can go wrong without changing what the host serves: fetch, verify, unpack, plan.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longshore_core::bundle::EntryKind;
use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::problem::Problem;
use longshore_core::report::Fanout;
use longshore_core::store::{ObjectUrl, StoreUrl};

use super::agent::Agent;
use super::handover;
use super::order::{self, Order, SignaturePolicy};
use super::plan::{Plan, Revision};
use super::progress::Prepared;
use super::refusal::CannotWrite;
use super::throttle::{Throttle, elapsed};
use super::{decide, refusal, revisions};
use crate::event::Event;
use crate::fetch::signature::Checked;
use crate::fetch::{self, FetchError, Fetched, Request};
use crate::hook::command::BundleSource;
use crate::install::listing::Listing;
use crate::layout::DeploymentDir;
use crate::release;

/// A deployment that is ready to change the host.
pub(super) struct Ready {
    /// Where the bundle came from.
    pub(super) source: BundleSource,
    /// The revision being deployed.
    pub(super) new: Revision,
    /// What the bundle holds; `None` when an earlier agent unpacked it.
    pub(super) listing: Option<Listing>,
    /// What was decided.
    pub(super) plan: Plan,
}

/// Prepares a deployment. The bundle is unpacked into the deployment's own folder before anything is decided, so that a full
/// disk is found, and free space judged, while the old release still serves. An error means that nothing was changed.
pub(super) fn prepare(
    agent: &Agent,
    events: &Fanout<Event>,
    order: &Order,
    directory: &DeploymentDir,
) -> Result<Ready, Failure> {
    let begun = Instant::now();
    let (fetched, source) = match reused(agent, events, order, directory)? {
        Some(fetched) => (fetched, source_of(&order.revision)),
        None => {
            let fetched = fetch(agent, events, order, directory)?;
            let source = fetched.source();
            (fetched, source)
        }
    };
    let bundle = &fetched.bundle;
    if let Some(manifest) = &bundle.manifest
        && manifest.application != order.application
        // Scripts that call `codedeploy-local` name an application as they like.
        && order.policy.hooks.told_names.is_none()
    {
        return Err(refusal::other_application(order, &manifest.application));
    }
    tell_signature(events, &fetched, order);
    refuse_if_stopped(agent)?;
    let archive = directory.archive();
    let release = decide::new_release(order, &fetched, archive.clone(), (agent.now)());
    let (mut new, problems) =
        revisions::of_bundle(bundle, release, order.appspec_name.as_ref()).map_err(refusal::revision_failure)?;
    bundle.unpack(&archive).map_err(internal)?;
    revisions::find_faults_on_disk(&mut new);
    sync(&archive).map_err(internal)?;
    events.emit(&Event::Fetched {
        content_digest: bundle.content_digest,
        commit: bundle.manifest.as_ref().map(|manifest| manifest.commit.clone()),
        files: bundle.entries.iter().filter(|entry| entry.kind != EntryKind::Directory).count(),
        bytes: fs::metadata(directory.bundle()).ok().map(|metadata| metadata.len()),
        reused: fetched.reused,
        elapsed_ms: elapsed(begun),
    });
    refuse_if_stopped(agent)?;
    let listing = Listing::of_entries(&bundle.entries);
    let plan = decide::decide(&agent.layout, order, &new, &listing)?;
    warn(events, bundle.warnings.iter().chain(&plan.warnings), &problems);
    match refusal::blocked(&plan) {
        Some(failure) => Err(failure),
        None => Ok(Ready { source, new, listing: Some(listing), plan }),
    }
}

fn fetch(agent: &Agent, events: &Fanout<Event>, order: &Order, directory: &DeploymentDir) -> Result<Fetched, Failure> {
    let progress = Throttle::default();
    let earlier = earlier(agent, order);
    let fetched = halting(agent, |halt| {
        let request = Request { earlier: &earlier, ..Request::of(order, halt, &agent.access) };
        fetch::fetch(&request, &directory.bundle(), &|bytes| {
            if progress.is_due() {
                events.emit(&Event::Fetching { bytes });
            }
        })
    });
    fetched.map_err(|error| match error {
        FetchError::Stopped(_) if handover::is_due(agent) => handover::handed_over(),
        error => refusal::fetch_failure(error),
    })
}

/// The archives of the group from which much of a new one may be taken. A mark that cannot be read makes a deployment fail
/// elsewhere, not here.
fn earlier(agent: &Agent, order: &Order) -> Vec<PathBuf> {
    let group = &order.group.id;
    let marks = [release::installed(&agent.layout, group), release::good(&agent.layout, group)];
    let releases = marks.into_iter().filter_map(|mark| mark.ok().flatten());
    releases.map(|release| agent.layout.deployment(group, &release.deployment).bundle()).collect()
}

fn tell_signature(events: &Fanout<Event>, fetched: &Fetched, order: &Order) {
    match &fetched.signature {
        Checked::Signed(signed) => events.emit(&Event::SignatureVerified { signed: signed.clone() }),
        Checked::Unsigned => {
            let message = format!("`{}` is not signed; this group does not ask for it", order.revision);
            events.emit(&Event::Warning { message });
        }
        Checked::Unasked => {}
    }
}

/// The archive of another deployment of the group, when the order says so and it is still kept. Whatever is wrong with it
/// is no reason to fail: the revision itself can be fetched.
fn reused(
    agent: &Agent,
    events: &Fanout<Event>,
    order: &Order,
    directory: &DeploymentDir,
) -> Result<Option<Fetched>, Failure> {
    let Some(other) = &order.reuse else { return Ok(None) };
    let kept = agent.layout.deployment(&order.group.id, other);
    let from = [kept.bundle(), kept.archive()].into_iter().find(|path| path.exists());
    let fetched = match from {
        None => Err("it is no longer kept".to_owned()),
        // Nobody knows whether a signature was asked for then.
        Some(_) if order.policy.signatures.require => Err("its signature is not kept with it".to_owned()),
        Some(path) => {
            let revision = order::Revision::Local(path);
            let signatures = SignaturePolicy::none();
            let request = Request { revision: &revision, signatures, ..Request::of(order, &agent.stop, &agent.access) };
            fetch::fetch(&request, &directory.bundle(), &|_| ()).map_err(|error| chain(&error))
        }
    };
    match fetched {
        Ok(fetched) => Ok(Some(fetched)),
        Err(why) => {
            let message =
                format!("the archive of deployment {other} is not used again, the revision is fetched: {why}");
            events.emit(&Event::Warning { message });
            clear(directory)?;
            Ok(None)
        }
    }
}

/// Where the bundle comes from by the order alone, as hooks are told.
pub(super) fn source_of(revision: &order::Revision) -> BundleSource {
    match revision {
        order::Revision::Local(_) => BundleSource::Local,
        order::Revision::GitHub(github) => BundleSource::GitHub { commit: github.commit.clone() },
        order::Revision::Object(url) => match url.parse() {
            Ok(ObjectUrl { store: StoreUrl::S3 { bucket, .. }, key, version, etag }) => {
                BundleSource::S3 { bucket, key, version, etag }
            }
            // A URL that makes no sense is refused where it is fetched.
            Ok(ObjectUrl { store: StoreUrl::Dir(_), .. }) | Err(_) => BundleSource::Local,
        },
    }
}

/// Runs what ends at the first request to stop, which a handover is, too.
fn halting<T>(agent: &Agent, run: impl FnOnce(&AtomicUsize) -> T) -> T {
    let (halt, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if is_asked_to_stop(agent) || handover::is_due(agent) {
                    halt.store(1, Ordering::Relaxed);
                }
                std::thread::park_timeout(Duration::from_millis(100));
            }
        });
        let result = run(&halt);
        ended.store(true, Ordering::Relaxed);
        look.thread().unpark();
        result
    })
}

/// Removes what an earlier agent may have fetched, so that it can be fetched again.
pub(super) fn clear(directory: &DeploymentDir) -> Result<(), Failure> {
    let absent_is_fine = |path: &Path, result: io::Result<()>| match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(internal(CannotWrite { path: path.to_owned(), source }))
        }
        Ok(()) | Err(_) => Ok(()),
    };
    let (bundle, archive) = (directory.bundle(), directory.archive());
    absent_is_fine(&bundle, fs::remove_file(&bundle))?;
    absent_is_fine(&archive, fs::remove_dir_all(&archive))
}

/// What an earlier agent prepared. The appspec is read again from the archive (as the AWS agent does for each event).
pub(super) fn again(order: &Order, prepared: Prepared) -> Ready {
    let Prepared { release, source, plan } = prepared;
    Ready { source, new: revisions::of_installed(release, order.appspec_name.as_ref()), listing: None, plan }
}

fn warn<'a>(events: &Fanout<Event>, warnings: impl Iterator<Item = &'a String>, problems: &[Problem]) {
    for message in warnings {
        events.emit(&Event::Warning { message: message.clone() });
    }
    for problem in problems {
        events.emit(&Event::Warning { message: problem.to_string() });
    }
}

fn is_asked_to_stop(agent: &Agent) -> bool {
    agent.stop.load(Ordering::Relaxed) > 0 || agent.halt.load(Ordering::Relaxed)
}

fn refuse_if_stopped(agent: &Agent) -> Result<(), Failure> {
    handover::check(agent)?;
    if !is_asked_to_stop(agent) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "stopped before the first event, because somebody asked for it"))
}

/// Makes everything below a folder durable, with all else that its file system holds.
fn sync(folder: &Path) -> Result<(), CannotWrite> {
    let synced = fs::File::open(folder).and_then(|folder| Ok(nix::unistd::syncfs(folder)?));
    synced.map_err(|source| CannotWrite { path: folder.to_owned(), source })
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}
