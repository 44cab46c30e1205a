//! `longshore push`.

mod building;

use std::io;
use std::path::{Path, PathBuf};

use longshore_core::bundle::{Bundle, Limits, Manifest, OpenError};
use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::figures::quoted;
use longshore_core::pointer::PointedRevision;
use longshore_core::signature;
use longshore_core::store::{ObjectUrl, Store, StoreUrl};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::build::Prepared;
use super::group::{self, Done, Patience, Step};
use crate::artifact::Artifact;
use crate::beside::{Beside, Strangers};
use crate::cli::PushArgs;
use crate::commit::Chosen;
use crate::destination::Destination;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::Identity;
use crate::interrupt::Interruptions;
use crate::outputs;
use crate::pointing::Place;
use crate::provenance;
use crate::publish::{self, PublishError, Published};
use crate::signing;
use crate::signing::policy::Policy;
use crate::site::Site;
use crate::succession::{Candidate, Older, Stop};
use crate::survey::Project;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
enum PushError {
    /// Nothing was built for this commit.
    #[error("there is no artifact `{0}`")]
    NoArtifact(PathBuf),
    /// The bundle is not there.
    #[error("there is no bundle `{0}`")]
    NoBundle(PathBuf),
    /// The bundle was refused.
    #[error("bundle `{path}` is refused")]
    Refused { path: PathBuf, source: OpenError },
    /// The bundle is good, but does not say whose it is.
    #[error("`{0}` is no artifact of Longshore: it has no manifest")]
    NoManifest(PathBuf),
}

/// Publishes an artifact, and moves groups to it.
pub(crate) fn run(args: &PushArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let project = Project::open(&args.source, environment)?.accept()?;
    args.group.iter().try_for_each(|group| project.accept_group(group))?;
    let site = Site::within(&args.site, &args.upload, environment, &project.settings, &args.group)?;
    let Site { url: to, options } = &site;
    // Before there are threads: compose, which may build images, is left to the signals of this one.
    let prepared = args.build.then(|| Prepared::of(args.into(), environment, screen)).transpose()?;
    let runtime = group::runtime()?;
    let mut pushed = if let Some(prepared) = prepared {
        let policy = Policy::of(&project.settings, &project.source, environment).and(prepared.public_key());
        building::run(args, &prepared, (to, options), &policy, &runtime, screen)?
    } else {
        let path = match &args.bundle {
            Some(path) => path.clone(),
            None => built(args, &project, environment, screen)?,
        };
        let artifact = open(path)?;
        screen.tell(&Event::Verified { path: artifact.path.clone(), files: artifact.manifest.files.len() });
        if !args.group.is_empty() {
            group::accept(artifact.manifest.dirty, &artifact.path.display().to_string(), args.moving.allow_dirty)?;
        }
        let url = to.object(&publish::key(&artifact.manifest)).to_string();
        let store = runtime.block_on(publish::open(to, options, &url)).map_err(publish_failure)?;
        let policy = Policy::of(&project.settings, &project.source, environment);
        let signals = listen(&runtime);
        let published = runtime.block_on(publish(&artifact, (to, &store), &policy, screen))?;
        Pushed { artifact, published, store, signals, build: None }
    };
    let outputs = outputs_of(&pushed.artifact, to, &pushed.published);
    if args.group.is_empty() {
        let (text, json) = result(&pushed, to, None);
        return outputs::conclude(&outputs, &text, json, environment, screen);
    }
    let mut done = runtime.block_on(move_groups(args, &mut pushed, &site, environment, screen))?;
    let (text, json) = result(&pushed, to, Some(&done));
    match done.failure.take() {
        None => outputs::conclude(&outputs, &text, json, environment, screen),
        Some(failure) => {
            // That a host failed says more than that nobody will hear of it.
            if let Err(unwritten) = outputs::write(environment, &outputs) {
                screen.tell(&Event::Warned(chain(&*unwritten.error)));
            }
            screen.partial(&text, json).and(Err(failure))
        }
    }
}

/// What later steps of a CI job learn.
fn outputs_of(artifact: &Artifact, to: &StoreUrl, published: &Published) -> Vec<(&'static str, String)> {
    let (manifest, info) = (&artifact.manifest, published.info());
    let mut outputs = vec![
        ("artifact", artifact.path.display().to_string()),
        ("application", manifest.application.to_string()),
        ("commit", manifest.commit.to_string()),
        ("url", to.object(&publish::key(manifest)).to_string()),
        ("etag", info.etag.clone()),
    ];
    // Empty where the bucket keeps none, so that no earlier one stays.
    outputs.push(("version", info.version.clone().unwrap_or_default()));
    outputs.push(("content_digest", manifest.content_digest.to_string()));
    let archive_digest = published.archive_digest(artifact.archive_digest);
    outputs.push(("archive_digest", archive_digest.map(|digest| digest.to_string()).unwrap_or_default()));
    outputs
}

/// What stands in the store now.
struct Pushed {
    artifact: Artifact,
    published: Published,
    store: Store,
    /// Who wants this process to end, since it began to publish.
    signals: Interruptions,
    /// What `build` would print, where this command has built it.
    build: Option<(String, Value)>,
}

/// What groups should run.
pub(crate) fn candidate(artifact: &Artifact, published: &Published, stop: Stop) -> Candidate {
    let (manifest, info) = (&artifact.manifest, published.info());
    Candidate {
        application: manifest.application.clone(),
        revision: PointedRevision {
            key: publish::key(manifest),
            etag: info.etag.clone(),
            version: info.version.clone(),
            size: info.size,
            content_digest: manifest.content_digest,
        },
        commit: manifest.commit.clone(),
        dirty: manifest.dirty,
        commit_time: manifest.time,
        stop,
    }
}

/// Hears Ctrl-C from now on. Publishing does so itself, and from then on it ends no process any more that does not listen.
fn listen(runtime: &Runtime) -> Interruptions {
    let _entered = runtime.enter();
    Interruptions::listen()
}

async fn move_groups(
    args: &PushArgs,
    pushed: &mut Pushed,
    site: &Site,
    environment: &Environment,
    screen: &Screen,
) -> Result<Done, Failure> {
    let Pushed { artifact, published, store, signals, .. } = pushed;
    let ours = candidate(artifact, published, args.moving.stop());
    let older = if args.moving.allow_older { Older::Allowed } else { Older::Refused };
    let mut steps = Vec::new();
    for group in &args.group {
        let stands = signals.unless(Place { store, application: &ours.application, group }.read()).await??;
        steps.push(Step { group: group.clone(), stands, ours: ours.clone(), older });
    }
    group::carry_out((store, site), steps, &Patience::from(&args.waiting), environment, screen, signals).await
}

/// The artifact of the current commit.
fn built(args: &PushArgs, project: &Project, environment: &Environment, screen: &Screen) -> Result<PathBuf, Failure> {
    let identity = Identity::of(&args.identity, environment, &project.source, project.settings.application.as_ref())?;
    tell(&identity.chosen, screen);
    built_of(project, &identity)
}

/// Tells which commit was chosen.
pub(crate) fn tell(chosen: &Chosen, screen: &Screen) {
    screen.tell(&Event::Named { commit: chosen.commit.clone(), origin: chosen.origin.clone() });
    for warning in &chosen.warnings {
        screen.tell(&Event::Warned(warning.clone()));
    }
}

/// The artifact of a commit in the folder for artifacts.
pub(crate) fn built_of(project: &Project, identity: &Identity) -> Result<PathBuf, Failure> {
    let chosen = &identity.chosen;
    let stem = format!("{}-{}", identity.application, chosen.commit);
    let path = project.out.join(format!("{stem}.zip"));
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Whoever opens it says what is wrong with it.
        Ok(_) | Err(_) => return Ok(path),
    }
    let failure = Failure::new(Exit::NotFound, PushError::NoArtifact(path));
    Err(match dirty_artifact(&project.out, &stem) {
        Some(dirty) => failure.hint(format!("only a dirty build is there; name it to publish it: {}", quoted(&dirty))),
        None => failure.hint("build it first: longshore build"),
    })
}

fn dirty_artifact(out: &Path, stem: &str) -> Option<String> {
    let dirty = format!("{stem}-dirty-");
    let names = std::fs::read_dir(out).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let name = names.filter(|name| name.starts_with(&dirty)).min()?;
    Some(out.join(name).display().to_string())
}

/// Opens an artifact of Longshore.
pub(crate) fn open(path: PathBuf) -> Result<Artifact, Failure> {
    let bundle = open_bundle(&path)?;
    match (bundle.manifest, bundle.archive_digest) {
        (Some(manifest), Some(archive_digest)) => Ok(Artifact { path, archive_digest, manifest }),
        (_, _) => Err(Failure::new(Exit::BadBundle, PushError::NoManifest(path))
            .hint("build it with `longshore build`; `longshore inspect` shows what is in it")),
    }
}

/// Opens and verifies a bundle.
pub(crate) fn open_bundle(path: &Path) -> Result<Bundle, Failure> {
    if let Ok(false) = path.try_exists() {
        return Err(Failure::new(Exit::NotFound, PushError::NoBundle(path.to_owned()))
            .hint("build one with `longshore build`, which says where it is"));
    }
    Bundle::open(path, &Limits::default()).map_err(|source| match source {
        // A bundle that cannot be read may be a good one.
        OpenError::Read { .. } | OpenError::ReadEntry { .. } => Failure::new(Exit::Failed, source),
        source => Failure::new(Exit::BadBundle, PushError::Refused { path: path.to_owned(), source }),
    })
}

/// Publishes an artifact and what stands beside it, and tells so.
pub(crate) async fn publish(
    artifact: &Artifact,
    (to, store): (&StoreUrl, &Store),
    policy: &Policy<'_>,
    screen: &Screen,
) -> Result<Published, Failure> {
    let key = publish::key(&artifact.manifest);
    let destination = Destination { to, store, key: &key };
    let size = artifact.path.metadata().map_or(0, |metadata| metadata.len());
    let beside = beside(artifact, policy, screen)?;
    screen.tell(&Event::Publishing { url: destination.url(), size });
    let made = match to {
        StoreUrl::Dir(folder) if !folder.exists() => Some(folder),
        StoreUrl::Dir(_) | StoreUrl::S3 { .. } => None,
    };
    let tell = |event: &Event| screen.tell(event);
    let outcome = publish::publish(artifact, &beside, destination, &tell).await.map_err(publish_failure)?;
    if let Some(folder) = made {
        screen.tell(&Event::CreatedStore(folder.clone()));
    }
    outcome.tell(destination, &tell);
    warn_unsigned(artifact, &beside, destination, policy, screen).await;
    Ok(outcome.published)
}

/// What stands beside an artifact and is its own.
fn beside(artifact: &Artifact, policy: &Policy<'_>, screen: &Screen) -> Result<Beside, Failure> {
    // Keys that nobody needs are not missed.
    let (keys, strangers) = if !signing::path_of(&artifact.path).exists() {
        (Vec::new(), Strangers::Told)
    } else if policy.accepted()?.is_empty() {
        (policy.keys()?, Strangers::Told)
    } else {
        (policy.keys()?, Strangers::Refused)
    };
    let beside = Beside::read(artifact, keys, strangers).map_err(|error| publish_failure(error.into()))?;
    if let Some(warning) = beside.warning() {
        screen.tell(&Event::Warned(warning));
    }
    Ok(beside)
}

/// Warns of an artifact that is not signed where there is a key to sign with.
async fn warn_unsigned(
    artifact: &Artifact,
    beside: &Beside,
    destination: Destination<'_>,
    policy: &Policy<'_>,
    screen: &Screen,
) {
    let Some(key) = policy.key_to_sign_with().filter(|_| !beside.is_signed()) else { return };
    let there = destination.store.head(&format!("{}{}", destination.key, signature::SUFFIX), None).await;
    // Signed earlier, or nobody knows.
    let Ok(None) = there else { return };
    let path = quoted(&artifact.path.display().to_string());
    let url = destination.url();
    let text = format!("`{url}` has no signature, although {key} names a key: longshore sign {path}, and push again");
    screen.tell(&Event::Warned(text));
}

/// How publishing failed, with what to do about it.
pub(crate) fn publish_failure(error: PublishError) -> Failure {
    let (exit, hint) = match &error {
        PublishError::Store { source, .. } => (source.exit(), source.hint()),
        PublishError::Conflict { .. } => (
            Exit::Conflict,
            Some(
                "a published artifact is never replaced; files that the build makes must come out the same for the same commit. \
                 Commit something and build again, or publish under another prefix"
                    .to_owned(),
            ),
        ),
        PublishError::Foreign { .. } => {
            (Exit::Conflict, Some("publish under another prefix, or remove what stands there".to_owned()))
        }
        PublishError::Beside(error) => (error.exit(), error.hint()),
        PublishError::InterruptedLate { .. } | PublishError::InterruptedBlind { .. } => {
            (Exit::Failed, Some("run the same command again: it goes on from what is published".to_owned()))
        }
        PublishError::Interrupted { .. } | PublishError::Read { .. } | PublishError::Temporary(_) => (Exit::Failed, None),
    };
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to type next.
struct Next {
    revision: String,
    longshore: Option<String>,
    aws: Option<String>,
    agent: String,
}

fn next(manifest: &Manifest, object: &ObjectUrl) -> Next {
    let agent = format!("longshore-agent deploy {} --group dev", quoted(&object.to_string()));
    match &object.store {
        StoreUrl::S3 { bucket, .. } => {
            let mut location = format!("bucket={bucket},key={},bundleType=zip", object.key);
            for (name, value) in [("eTag", &object.etag), ("version", &object.version)] {
                if let Some(value) = value {
                    location.push_str(&format!(",{name}={value}"));
                }
            }
            let aws = format!(
                "aws deploy create-deployment --application-name {} --deployment-group-name dev --s3-location {}",
                quoted(manifest.application.as_str()),
                quoted(&location)
            );
            let longshore = format!(
                "longshore deploy --application {} --group dev --revision {} --wait",
                quoted(manifest.application.as_str()),
                quoted(&object.to_string())
            );
            Next { revision: location, longshore: Some(longshore), aws: Some(aws), agent }
        }
        StoreUrl::Dir(_) => Next { revision: object.to_string(), longshore: None, aws: None, agent },
    }
}

/// What is printed. `groups`: what was moved to it.
fn result(pushed: &Pushed, to: &StoreUrl, groups: Option<&Done>) -> (String, Value) {
    let Pushed { artifact, published, build, .. } = pushed;
    let manifest = &artifact.manifest;
    let info = published.info();
    let plain = to.object(&publish::key(manifest));
    let pinned = ObjectUrl { version: info.version.clone(), etag: Some(info.etag.clone()), ..plain.clone() };
    let next = next(manifest, &pinned);
    let (bucket, key) = match &plain.store {
        StoreUrl::S3 { bucket, .. } => (Some(bucket.as_str()), Some(plain.key.as_str())),
        StoreUrl::Dir(_) => (None, None),
    };
    let mut text = build.as_ref().map_or_else(String::new, |(text, _)| format!("{text}\n"));
    text.push_str(&format!("revision  {}\n", next.revision));
    for (name, value) in [("bucket", bucket), ("key", key), ("eTag", Some(info.etag.as_str()))] {
        if let Some(value) = value {
            text.push_str(&format!("{name:>8}  {value}\n"));
        }
    }
    if let Some(version) = &info.version {
        text.push_str(&format!(" version  {version}\n"));
    }
    if let Some(done) = groups {
        text.push_str(&done.text());
    } else {
        text.push_str(&deploy_it(&next));
    }
    let beside = |file: PathBuf, suffix: &str| file.exists().then(|| format!("{plain}{suffix}"));
    let signature = beside(signing::path_of(&artifact.path), signature::SUFFIX);
    let provenance = beside(provenance::path_of(&artifact.path), provenance::SUFFIX);
    let mut json = json!({
        "already_published": published.was_there(),
        "url": plain.to_string(),
        "pinned_url": pinned.to_string(),
        "revision": {"bucket": bucket, "key": key, "bundleType": "zip", "eTag": info.etag, "version": info.version},
        "application": manifest.application,
        "commit": manifest.commit,
        "dirty": manifest.dirty,
        "size": info.size,
        "content_digest": manifest.content_digest,
        // Of what is published: the same content may have been packed into other bytes.
        "archive_digest": published.archive_digest(artifact.archive_digest),
        "signature": signature,
        "provenance": provenance,
        "next": {"longshore": next.longshore, "aws": next.aws, "agent": next.agent},
    });
    if let Some((_, build)) = build {
        json["build"] = build.clone();
    }
    if let Some(done) = groups {
        json["groups"] = done.json();
    }
    (text, json)
}

fn deploy_it(next: &Next) -> String {
    let heading = if next.aws.is_some() { "Deploy it with one of:" } else { "Deploy it with:" };
    let commands = next.longshore.iter().chain(&next.aws).chain([&next.agent]);
    let lines: String = commands.map(|line| format!("  {line}\n")).collect();
    format!("\n{heading}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_value(json!({
            "format": 1,
            "tool": {"name": "longshore", "version": "0.1.0", "compressor": "none"},
            "application": "shop",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "time": 0,
            "content_digest": "0".repeat(64),
            "files": [],
        }))
        .unwrap()
    }

    #[test]
    fn the_next_command_pins_etag_and_version() {
        let object = |version: Option<&str>| ObjectUrl {
            store: StoreUrl::S3 { bucket: "artifacts".into(), prefix: String::new() },
            key: "releases/shop/0123456789abcdef0123456789abcdef01234567.zip".into(),
            version: version.map(Into::into),
            etag: Some("abc-2".into()),
        };
        assert_eq!(
            next(&manifest(), &object(Some("v1"))).aws.unwrap(),
            "aws deploy create-deployment --application-name shop --deployment-group-name dev --s3-location \
             bucket=artifacts,key=releases/shop/0123456789abcdef0123456789abcdef01234567.zip,bundleType=zip,eTag=abc-2,version=v1"
        );
        assert_eq!(
            next(&manifest(), &object(None)).longshore.unwrap(),
            "longshore deploy --application shop --group dev --revision \
             's3://artifacts/releases/shop/0123456789abcdef0123456789abcdef01234567.zip?etag=abc-2' --wait"
        );
        assert_eq!(
            next(&manifest(), &object(None)).agent,
            "longshore-agent deploy \
             's3://artifacts/releases/shop/0123456789abcdef0123456789abcdef01234567.zip?etag=abc-2' --group dev"
        );
    }

    #[test]
    fn a_dirty_artifact_has_a_key_of_its_own() {
        let clean = manifest();
        let dirty = Manifest { dirty: true, ..manifest() };
        assert_eq!(publish::key(&clean), "shop/0123456789abcdef0123456789abcdef01234567.zip");
        assert_eq!(publish::key(&dirty), "shop/0123456789abcdef0123456789abcdef01234567-dirty-000000000000.zip");
    }
}
