//! Finds what is to be deployed: an object in S3 whose ETag and version are known. Publishes what is not published yet.

use std::path::PathBuf;

use longshore_core::bundle::Manifest;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::CommitHash;
use longshore_core::store::{ObjectInfo, ObjectUrl, S3Options, Store, StoreError, StoreUrl};

use super::revision::{Format, S3Revision};
use crate::artifact::Artifact;
use crate::cli::DeployArgs;
use crate::commands::push;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::Identity;
use crate::images::deployed::Deployed;
use crate::lookup::{self, LookupError};
use crate::publish;
use crate::signing::policy::Policy;
use crate::target::Target;

/// What the command line asks for. Nothing was asked of a server yet.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// An artifact on this machine, and where it is or will be published.
    Bundle(Box<Artifact>, StoreUrl),
    /// An object.
    Object(ObjectUrl),
    /// The published artifact of a commit, or of the only one that begins so.
    Commit(String, StoreUrl),
    /// The published artifact of the current commit, else the built one.
    Current {
        /// Its key in the store.
        key: String,
        /// The built one.
        built: PathBuf,
        /// The store.
        to: StoreUrl,
    },
}

/// What is deployed.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The object, pinned.
    pub(crate) object: S3Revision,
    /// Its commit, where it can be told.
    pub(crate) commit: Option<CommitHash>,
    /// When that was made, where the artifact says so: seconds since 1970.
    pub(crate) time: Option<i64>,
    /// Its manifest, where the artifact is on this machine.
    pub(crate) manifest: Option<Box<Manifest>>,
}

impl Found {
    /// For what is said of its images.
    pub(crate) fn deployed<'a>(&'a self, url: &'a ObjectUrl, region: Option<&'a str>) -> Deployed<'a> {
        match (&self.manifest, self.object.format) {
            (Some(manifest), _) => Deployed::Known(manifest),
            (None, Format::Zip) => Deployed::Published(url, region),
            (None, Format::Tar | Format::Tgz) => Deployed::Foreign,
        }
    }
}

/// Why there is nothing to deploy.
#[derive(Debug, thiserror::Error)]
enum ArtifactError {
    /// The store is a folder.
    #[error("CodeDeploy deploys from S3 alone, and `{0}` is a folder")]
    Folder(String),
    /// The key has an ending that nobody knows.
    #[error("`{0}` does not say how it is packed: CodeDeploy takes `.zip`, `.tar` and `.tgz`")]
    Format(String),
    /// It is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// Nothing is published and nothing is built.
    #[error("there is no artifact of commit {commit}: neither `{url}` nor `{built}` exists")]
    Nothing { commit: CommitHash, url: String, built: PathBuf },
    /// It cannot be looked at.
    #[error("cannot look at `{url}`")]
    Look { url: String, source: StoreError },
    /// It is not that of a commit.
    #[error("`{0}` was built from a work tree that differs from its commit")]
    Dirty(String),
}

impl Wanted {
    /// What the command line asks for.
    pub(crate) fn of(
        args: &DeployArgs,
        target: &Target,
        environment: &Environment,
        screen: &Screen,
    ) -> Result<Wanted, Failure> {
        if let Some(object) = &args.revision {
            bucket(&object.store)?;
            format(&object.key)?;
            return Ok(Wanted::Object(object.clone()));
        }
        let to = target.store(&args.store, environment)?;
        bucket(&to)?;
        if let Some(path) = &args.bundle {
            let artifact = ours(push::open(path.clone())?, target)?;
            screen.tell(&Event::Verified { path: path.clone(), files: artifact.manifest.files.len() });
            return Ok(Wanted::Bundle(Box::new(artifact), to));
        }
        if let Some(commit) = &args.commit {
            return Ok(Wanted::Commit(commit.clone(), to));
        }
        let project = &target.project;
        let identity =
            Identity::of(&args.identity(), environment, &project.source, project.settings.application.as_ref())?;
        let chosen = identity.chosen;
        screen.tell(&Event::Named { commit: chosen.commit.clone(), origin: chosen.origin });
        for warning in chosen.warnings {
            screen.tell(&Event::Warned(warning));
        }
        let key = format!("{}/{}.zip", target.application, chosen.commit);
        let built = project.out.join(format!("{}-{}.zip", target.application, chosen.commit));
        Ok(Wanted::Current { key, built, to })
    }

    /// The whole key of the object, where it is known already.
    pub(crate) fn key(&self) -> Option<String> {
        match self {
            Wanted::Bundle(artifact, to) => Some(to.object(&publish::key(&artifact.manifest)).key),
            Wanted::Object(object) => Some(object.key.clone()),
            Wanted::Current { key, to, .. } => Some(to.object(key).key),
            Wanted::Commit(..) => None,
        }
    }

    /// The commit that may yet have to be published, and when it was made, where the artifact is at hand.
    pub(crate) fn commit(&self) -> Option<(CommitHash, Option<i64>)> {
        match self {
            Wanted::Bundle(artifact, _) => Some((artifact.manifest.commit.clone(), Some(artifact.manifest.time))),
            Wanted::Current { key, .. } => {
                let name = key.rsplit('/').next()?.strip_suffix(".zip")?;
                Some((name.parse().ok()?, None))
            }
            Wanted::Object(_) | Wanted::Commit(..) => None,
        }
    }

    /// Finds it, if it is published.
    pub(crate) async fn find(self, args: &DeployArgs, target: &Target) -> Result<Located, Failure> {
        let region = target.region.as_deref();
        let found = match self {
            Wanted::Bundle(artifact, to) => return Unpublished::open(artifact, to, args, target).await,
            Wanted::Object(object) => of_object(&object, region).await?,
            Wanted::Commit(commit, to) => {
                let store = open(&to, region).await?;
                let key = lookup::key_of(&store, &to, &target.application, &commit).await?;
                of_object(&to.object(&key), region).await?
            }
            Wanted::Current { key, built, to } => {
                let url = to.object(&key);
                match head(&url, region).await? {
                    Some(info) => pinned(&url, info)?,
                    None if built.exists() => {
                        let artifact = ours(push::open(built)?, target)?;
                        return Unpublished::open(Box::new(artifact), to, args, target).await;
                    }
                    None => return Err(nothing(&url, built, &to)),
                }
            }
        };
        accept(found.object.is_dirty(), &found.object.plain_url(), args)?;
        Ok(Located::Published(Box::new(found)))
    }
}

/// Where it is.
pub(crate) enum Located {
    /// Where it is deployed from.
    Published(Box<Found>),
    /// Only here.
    Here(Unpublished),
}

/// An artifact that is to be published.
pub(crate) struct Unpublished {
    artifact: Box<Artifact>,
    to: StoreUrl,
    store: Store,
}

impl Unpublished {
    async fn open(
        artifact: Box<Artifact>,
        to: StoreUrl,
        args: &DeployArgs,
        target: &Target,
    ) -> Result<Located, Failure> {
        accept(artifact.manifest.dirty, &artifact.path.display().to_string(), args)?;
        let url = to.object(&publish::key(&artifact.manifest)).to_string();
        let store = publish::open(&to, &target.options()?, &url).await.map_err(push::publish_failure)?;
        Ok(Located::Here(Unpublished { artifact, to, store }))
    }

    /// Publishes it.
    pub(crate) async fn publish(
        self,
        args: &DeployArgs,
        target: &Target,
        environment: &Environment,
        screen: &Screen,
    ) -> Result<Found, Failure> {
        let Unpublished { artifact, to, store } = self;
        let policy = Policy::of(&target.project.settings, &target.project.source, environment);
        let published = push::publish(&artifact, (&to, &store), &policy, screen).await?;
        let object = revision(&to.object(&publish::key(&artifact.manifest)), published.info())?;
        accept(object.is_dirty(), &object.plain_url(), args)?;
        Ok(Found {
            object,
            commit: Some(artifact.manifest.commit.clone()),
            time: Some(artifact.manifest.time),
            manifest: Some(Box::new(artifact.manifest)),
        })
    }
}

fn nothing(url: &ObjectUrl, built: PathBuf, to: &StoreUrl) -> Failure {
    let name = url.key.rsplit('/').next().unwrap_or_default();
    let plain = url.to_string();
    match name.trim_end_matches(".zip").parse() {
        Ok(commit) => {
            let push = format!("longshore build && longshore push --to {}", quoted(&to.to_string()));
            Failure::new(Exit::NotFound, ArtifactError::Nothing { commit, url: plain, built })
                .hint(format!("build it first: {push}"))
        }
        Err(_) => Failure::new(Exit::NotFound, ArtifactError::Missing(plain)),
    }
}

/// Refuses the artifact of another application.
fn ours(artifact: Artifact, target: &Target) -> Result<Artifact, Failure> {
    let (found, wanted) = (&artifact.manifest.application, &target.application);
    if found == wanted {
        return Ok(artifact);
    }
    let (url, found, wanted) = (artifact.path.display().to_string(), found.clone(), wanted.clone());
    Err(LookupError::OtherApplication { url, found, wanted }.into())
}

/// Refuses a dirty artifact unless it is wanted.
fn accept(dirty: bool, what: &str, args: &DeployArgs) -> Result<(), Failure> {
    if !dirty || args.allow_dirty {
        return Ok(());
    }
    let refused = Failure::new(Exit::Failed, ArtifactError::Dirty(what.to_owned()));
    Err(refused.hint("commit and build again, or add `--allow-dirty`"))
}

fn bucket(store: &StoreUrl) -> Result<&str, Failure> {
    match store {
        StoreUrl::S3 { bucket, .. } => Ok(bucket),
        StoreUrl::Dir(_) => Err(Failure::new(Exit::Usage, ArtifactError::Folder(store.to_string()))
            .hint("name a bucket with `--to s3://bucket/prefix`, or deploy with `--with store`")),
    }
}

async fn of_object(object: &ObjectUrl, region: Option<&str>) -> Result<Found, Failure> {
    match head(object, region).await? {
        Some(info) => pinned(object, info),
        None => {
            let url = object.to_string();
            Err(Failure::new(Exit::NotFound, ArtifactError::Missing(url)))
        }
    }
}

/// The object as it is now; refused when it is another one than the URL pins.
fn pinned(object: &ObjectUrl, info: ObjectInfo) -> Result<Found, Failure> {
    if let Some(expected) = object.etag.as_ref().filter(|etag| **etag != info.etag) {
        let (place, expected, found) = (object.to_string(), expected.clone(), info.etag);
        let source = StoreError::OtherEtag { place: place.clone(), expected, found };
        return Err(Failure::new(source.exit(), ArtifactError::Look { url: place, source }));
    }
    let object = revision(object, &info)?;
    Ok(Found { commit: object.commit(), object, time: None, manifest: None })
}

fn revision(object: &ObjectUrl, info: &ObjectInfo) -> Result<S3Revision, Failure> {
    Ok(S3Revision {
        bucket: bucket(&object.store)?.to_owned(),
        key: object.key.clone(),
        format: format(&object.key)?,
        etag: Some(info.etag.clone()).filter(|etag| !etag.is_empty()),
        version: info.version.clone().or_else(|| object.version.clone()),
    })
}

fn format(key: &str) -> Result<Format, Failure> {
    Format::of_key(key).ok_or_else(|| Failure::new(Exit::Usage, ArtifactError::Format(key.to_owned())))
}

async fn open(url: &StoreUrl, region: Option<&str>) -> Result<Store, Failure> {
    let options = S3Options { region: region.map(str::to_owned), ..S3Options::default() };
    let opened = Store::open_with(url, &options).await;
    opened.map_err(|source| LookupError::Store { url: url.to_string(), source }.into())
}

/// What is known of an object; `None`: it is not there.
pub(crate) async fn head(object: &ObjectUrl, region: Option<&str>) -> Result<Option<ObjectInfo>, Failure> {
    let store = open(&object.store, region).await?;
    store.head(&object.key, object.version.as_deref()).await.map_err(|source| {
        let (exit, hint) = (source.exit(), source.hint());
        let failure = Failure::new(exit, ArtifactError::Look { url: object.to_string(), source });
        hint.into_iter().fold(failure, Failure::hint)
    })
}
