//! What a deployment says of the images of its artifact before it begins. Never keeps it from beginning.

use std::fs::File;
use std::io;
use std::ops::Range;

use longshore_core::bundle::delta::{self, Ending, NoDelta};
use longshore_core::bundle::{Limits, Manifest};
use longshore_core::failure;
use longshore_core::ids::GroupName;
use longshore_core::store::{ObjectUrl, Part, S3Options, Store, StoreError};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::moved::{self, LIMIT};
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;

/// What is deployed.
#[derive(Debug)]
pub(crate) enum Deployed<'a> {
    /// An artifact whose manifest is at hand.
    Known(&'a Manifest),
    /// A zip in S3, and the region that is named: as much of its end is fetched as holds the manifest.
    Published(&'a ObjectUrl, Option<&'a str>),
    /// What no manifest is about.
    Foreign,
}

/// Why the manifest of a published artifact is not known.
#[derive(Debug, thiserror::Error)]
enum ManifestError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no place to put it.
    #[error("cannot make a temporary file")]
    Temporary(#[source] io::Error),
    /// It is damaged, or not what its key says.
    #[error(transparent)]
    Read(NoDelta),
}

/// Tells of the images of a group that are not what they were when the artifact was built. For programs: a list of them.
pub(crate) async fn check(
    deployed: Deployed<'_>,
    group: &GroupName,
    environment: &Environment,
    screen: &Screen,
) -> Value {
    let until = Instant::now() + LIMIT;
    let fetched;
    let manifest = match deployed {
        Deployed::Known(manifest) => Some(manifest),
        Deployed::Published(object, region) => {
            let why = match timeout_at(until, manifest_of(object, region)).await {
                Ok(Ok(found)) => {
                    fetched = found;
                    Ok(fetched.as_deref())
                }
                Ok(Err(error)) => Err(failure::chain(&error)),
                Err(_) => Err(format!("its manifest did not come within {} s", LIMIT.as_secs())),
            };
            why.unwrap_or_else(|why| {
                screen.tell(&Event::Noted(format!(
                    "not looked whether images of `{object}` moved since the build: {why}"
                )));
                None
            })
        }
        Deployed::Foreign => None,
    };
    let Some(manifest) = manifest else { return Value::Array(Vec::new()) };
    let moved = moved::moved(manifest, group, environment, until.saturating_duration_since(Instant::now())).await;
    let json = moved.iter().map(moved::MovedImage::to_json).collect();
    moved.into_iter().for_each(|image| screen.tell(&Event::ImageMoved(Box::new(image))));
    json
}

/// The manifest of a zip in S3; `None`: another program packed it.
async fn manifest_of(object: &ObjectUrl, region: Option<&str>) -> Result<Option<Box<Manifest>>, ManifestError> {
    let options = S3Options { region: region.map(str::to_owned), ..S3Options::default() };
    let Store::S3(store) = Store::open_with(&object.store, &options).await? else { return Ok(None) };
    let info = store.look(object).await?.ok_or_else(|| StoreError::NotFound(object.to_string()))?;
    let file: File = tempfile::tempfile().map_err(ManifestError::Temporary)?;
    file.set_len(info.size).map_err(ManifestError::Temporary)?;
    let place = std::env::temp_dir();
    let fetch =
        async |bytes: Range<u64>| store.get_part(&Part { object, info: &info, bytes }, &file, &place, &|_| {}).await;
    let mut known = info.size.saturating_sub(delta::FIRST_END);
    fetch(known..info.size).await?;
    loop {
        match delta::manifest(&file, info.size, known, &Limits::default()) {
            Ok(Ending::Manifest(manifest)) => return Ok(Some(manifest)),
            Ok(Ending::Needs(from)) => {
                fetch(from..known).await?;
                known = from;
            }
            Err(NoDelta::Unlike(_)) => return Ok(None),
            Err(error @ NoDelta::Read { .. }) => return Err(ManifestError::Read(error)),
        }
    }
}
