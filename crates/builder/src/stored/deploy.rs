//! Finds or publishes an artifact, and moves the pointer of a group to it.

use std::path::{Path, PathBuf};

use longshore_core::bundle::Manifest;
use longshore_core::failure::{Exit, Failure};
use longshore_core::store::{ObjectUrl, Store, StoreUrl};
use serde_json::{Value, json};

use crate::cli::DeployArgs;
use crate::commands::group::{self, Done, Patience, Step};
use crate::commands::push;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::Identity;
use crate::images::deployed::{self as images, Deployed as Images};
use crate::interrupt::Interruptions;
use crate::lookup;
use crate::pointing::Place;
use crate::signing::policy::Policy;
use crate::site::Site;
use crate::succession::{Candidate, Older, Stop};
use crate::target::Target;

/// Why an object cannot be deployed.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    /// It is somewhere else.
    #[error("`{object}` is not in the store `{store}`, which the hosts of the group follow")]
    Elsewhere { object: String, store: String },
}

/// What was deployed.
pub(super) struct Deployed {
    ours: Candidate,
    /// Whether it was stored for this.
    published: bool,
    /// The images that moved since the build, where that was looked at.
    moved_images: Option<Value>,
    pub(super) done: Done,
}

/// What is to be deployed.
struct Found {
    ours: Candidate,
    manifest: Manifest,
    /// Whether it was stored for this.
    published: bool,
}

/// What is to be deployed, which may yet have to be published.
enum Wanted {
    /// It is in the store.
    Stored(Box<Found>),
    /// This bundle.
    File(PathBuf),
}

/// Deploys.
pub(super) async fn deploy(
    args: &DeployArgs,
    target: &Target,
    site: &Site,
    environment: &Environment,
    screen: &Screen,
) -> Result<Deployed, Failure> {
    let (store, to) = (site.open().await?, &site.url);
    let wanted = artifact(args, target, &store, to, environment, screen).await?;
    // Publishing hears Ctrl-C itself. From then on it ends no process any more that does not listen.
    let mut signals = Interruptions::listen();
    let Found { ours, manifest, published } = match wanted {
        Wanted::Stored(found) => *found,
        Wanted::File(path) => published(&path, args, target, (to, &store), environment, screen).await?,
    };
    group::accept(ours.dirty, &to.object(&ours.revision.key).to_string(), args.allow_dirty)?;
    let group = target.group.clone();
    let place = Place { store: &store, application: &ours.application, group: &group };
    let stands = signals.unless(place.read()).await??;
    let older = if args.allow_older { Older::Allowed } else { Older::Refused };
    let moved_images = match args.no_image_check {
        true => None,
        false => Some(signals.unless(images::check(Images::Known(&manifest), &group, environment, screen)).await?),
    };
    let step = Step { group, stands, ours: ours.clone(), older };
    let patience = Patience::from(&args.waiting);
    let done = group::carry_out((&store, site), vec![step], &patience, environment, screen, &mut signals).await?;
    Ok(Deployed { ours, published, moved_images, done })
}

/// What later steps of the job learn.
pub(super) fn outputs(done: &Done, to: &StoreUrl) -> Vec<(&'static str, String)> {
    let Some((pointer, status)) = done.first() else { return Vec::new() };
    vec![
        ("deployment_id", pointer.deployment.to_string()),
        ("deployment_status", status.to_owned()),
        ("commit", pointer.commit.to_string()),
        ("url", to.object(&pointer.revision.key).to_string()),
    ]
}

fn pinned(ours: &Candidate, to: &StoreUrl) -> ObjectUrl {
    let revision = &ours.revision;
    ObjectUrl { version: revision.version.clone(), etag: Some(revision.etag.clone()), ..to.object(&revision.key) }
}

/// The artifact that is named; else the published one of the current commit, else the built one.
async fn artifact(
    args: &DeployArgs,
    target: &Target,
    store: &Store,
    to: &StoreUrl,
    environment: &Environment,
    screen: &Screen,
) -> Result<Wanted, Failure> {
    let stored = |(ours, manifest)| Wanted::Stored(Box::new(Found { ours, manifest, published: false }));
    let application = &target.application;
    if let Some(path) = &args.bundle {
        return Ok(Wanted::File(path.clone()));
    }
    if let Some(object) = &args.revision {
        let key = relative(object, to)?;
        return Ok(stored(lookup::candidate_of(store, &key, object.clone(), Some(application)).await?));
    }
    if let Some(commit) = &args.commit {
        let key = lookup::key_of(store, to, application, commit).await?;
        return Ok(stored(lookup::candidate(store, to, &key, Some(application)).await?));
    }
    let project = &target.project;
    let identity = Identity::of(&args.identity(), environment, &project.source, Some(application))?;
    push::tell(&identity.chosen, screen);
    let key = format!("{application}/{}.zip", identity.chosen.commit);
    if store.head(&key, None).await?.is_some() {
        screen.tell(&Event::Published { url: to.object(&key).to_string(), already: true });
        return Ok(stored(lookup::candidate(store, to, &key, Some(application)).await?));
    }
    Ok(Wanted::File(push::built_of(project, &identity)?))
}

async fn published(
    path: &Path,
    args: &DeployArgs,
    target: &Target,
    (to, store): (&StoreUrl, &Store),
    environment: &Environment,
    screen: &Screen,
) -> Result<Found, Failure> {
    let artifact = push::open(path.to_owned())?;
    screen.tell(&Event::Verified { path: artifact.path.clone(), files: artifact.manifest.files.len() });
    let (found, wanted) = (&artifact.manifest.application, &target.application);
    if found != wanted {
        let (url, found, wanted) = (path.display().to_string(), found.clone(), wanted.clone());
        return Err(lookup::LookupError::OtherApplication { url, found, wanted }.into());
    }
    group::accept(artifact.manifest.dirty, &artifact.path.display().to_string(), args.allow_dirty)?;
    let policy = Policy::of(&target.project.settings, &target.project.source, environment);
    let published = push::publish(&artifact, (to, store), &policy, screen).await?;
    let ours = push::candidate(&artifact, &published, Stop::default());
    Ok(Found { ours, manifest: artifact.manifest, published: !published.was_there() })
}

/// The key of an object in its store: hosts fetch from the store that they follow, and from nowhere else.
fn relative(object: &ObjectUrl, to: &StoreUrl) -> Result<String, Failure> {
    let key = match (&object.store, to) {
        (StoreUrl::S3 { bucket: theirs, .. }, StoreUrl::S3 { bucket, prefix }) if theirs == bucket => {
            let above = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            object.key.strip_prefix(&above).map(str::to_owned)
        }
        (StoreUrl::Dir(theirs), StoreUrl::Dir(folder)) => {
            let path = theirs.join(&object.key);
            path.strip_prefix(folder).ok().and_then(|key| key.to_str()).map(str::to_owned)
        }
        (StoreUrl::S3 { .. } | StoreUrl::Dir(_), StoreUrl::S3 { .. } | StoreUrl::Dir(_)) => None,
    };
    key.ok_or_else(|| {
        let elsewhere = DeployError::Elsewhere { object: object.to_string(), store: to.to_string() };
        Failure::new(Exit::Usage, elsewhere).hint("publish it there first: `longshore push`, or `--bundle`")
    })
}

impl Deployed {
    /// For people, and for programs.
    pub(super) fn shown(&self, to: &StoreUrl) -> (String, Value) {
        let revision = pinned(&self.ours, to).to_string();
        let text = format!("revision  {revision}\n{}", self.done.text());
        let json = json!({
            "with": "store",
            "store": to.to_string(),
            "revision": revision,
            "published": self.published,
            "moved_images": self.moved_images,
            "groups": self.done.json(),
        });
        (text, json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_key_in_its_own_store_and_in_no_other() {
        for (object, store, key) in [
            ("s3://bucket/releases/shop/1.zip?etag=e", "s3://bucket/releases", Some("shop/1.zip")),
            ("s3://bucket/shop/1.zip", "s3://bucket", Some("shop/1.zip")),
            ("s3://bucket/releases2/shop/1.zip", "s3://bucket/releases", None),
            ("s3://other/releases/shop/1.zip", "s3://bucket/releases", None),
            ("file:///srv/store/shop/1.zip", "file:///srv/store", Some("shop/1.zip")),
            ("file:///srv/store2/shop/1.zip", "file:///srv/store", None),
            ("s3://bucket/shop/1.zip", "file:///srv/store", None),
        ] {
            let found = relative(&object.parse().unwrap(), &store.parse().unwrap());
            assert_eq!(found.ok().as_deref(), key, "{object} in {store}");
        }
    }
}
