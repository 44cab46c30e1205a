//! Tags that lead elsewhere than when an artifact was built: what a deployment should say of the images it will run.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_core::bundle::{BundlePath, Manifest};
use longshore_core::failure;
use longshore_core::ids::GroupName;
use serde_json::{Value, json};

use super::Resolver;
use super::reference::{ImageDigest, Reference};
use crate::environment::Environment;

/// How long a deployment waits for what is only worth a word.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// An image of a group that is not known to be what it was when the artifact was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedImage {
    /// The services that run it.
    pub(crate) services: Vec<String>,
    /// The image as the compose files name it.
    pub(crate) image: String,
    /// What it was.
    pub(crate) recorded: String,
    /// What it is.
    pub(crate) now: Now,
    /// Whether the artifact holds the group's lock file, with which hosts run what was recorded.
    pub(crate) locked: bool,
}

/// What an image is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Now {
    /// Other bytes.
    Other(ImageDigest),
    /// Nobody can say. Why, in one line.
    Unknown(String),
}

impl MovedImage {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let (now, why) = match &self.now {
            Now::Other(digest) => (Some(digest.as_str()), None),
            Now::Unknown(why) => (None, Some(why)),
        };
        json!({
            "services": self.services,
            "image": self.image,
            "recorded": self.recorded,
            "now": now,
            "why_unknown": why,
            "locked": self.locked,
        })
    }
}

/// Where the lock file of a group stands in a bundle, beside its compose files.
pub(crate) fn lock_path(group: &GroupName) -> BundlePath {
    format!("docker-compose.{group}.lock.yml").parse().expect("a group's name has no slash")
}

/// Where the list of the compose files stands that a group's lock file is read on top of.
pub(crate) fn list_path(group: &GroupName) -> BundlePath {
    format!("docker-compose.{group}.files").parse().expect("a group's name has no slash")
}

/// The images of a group whose tags lead elsewhere than the artifact recorded, and those of which nobody can say within
/// `limit`. Never a failure: what runs is the hosts' business, and they have the last word.
pub(super) async fn moved(
    manifest: &Manifest,
    group: &GroupName,
    environment: &Environment,
    limit: Duration,
) -> Vec<MovedImage> {
    let recorded = recorded(manifest, group);
    if recorded.is_empty() {
        return Vec::new();
    }
    let lock = lock_path(group);
    let locked = manifest.files.iter().any(|file| file.path == lock);
    let found = tokio::time::timeout(limit, now(&recorded, environment)).await;
    let unknown = || format!("the registry did not answer within {} s", LIMIT.as_secs());
    let mut moved = Vec::new();
    for ((image, digest), services) in recorded {
        let now = match &found {
            Ok(Ok(found)) => match found.get(&image) {
                Some(Ok(now)) if now.as_str() == digest => continue,
                Some(Ok(now)) => Now::Other(now.clone()),
                Some(Err(why)) => Now::Unknown(why.clone()),
                None => Now::Unknown(unknown()),
            },
            Ok(Err(why)) => Now::Unknown(why.clone()),
            Err(_) => Now::Unknown(unknown()),
        };
        moved.push(MovedImage { services, image, recorded: digest, now, locked });
    }
    moved
}

/// The images of a group that were recorded under a tag, with the services that run them.
fn recorded(manifest: &Manifest, group: &GroupName) -> BTreeMap<(String, String), Vec<String>> {
    let mut recorded: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for image in manifest.images.iter().filter(|image| image.group == *group && !image.image.contains('@')) {
        if let Some(digest) = &image.digest {
            recorded.entry((image.image.clone(), digest.clone())).or_default().push(image.service.clone());
        }
    }
    recorded
}

/// What the images are now, by the names in the compose files.
async fn now(
    recorded: &BTreeMap<(String, String), Vec<String>>,
    environment: &Environment,
) -> Result<BTreeMap<String, Result<ImageDigest, String>>, String> {
    let resolver = Resolver::open(environment).await.map_err(|error| failure::chain(&error))?;
    let named = recorded.keys().map(|(image, _)| (image.clone(), image.parse::<Reference>()));
    let named: Vec<_> = named.collect();
    let digests = resolver.digests(named.iter().filter_map(|(_, image)| image.as_ref().ok()), &|_, _| {}).await;
    let found = named.into_iter().filter_map(|(name, image)| {
        let found = match image {
            Ok(image) => match digests.get(&image.to_string())? {
                Ok(digest) => Ok(digest.clone()),
                Err(why) => Err(why.error.to_string()),
            },
            Err(invalid) => Err(invalid.to_string()),
        };
        Some((name, found))
    });
    Ok(found.collect())
}
