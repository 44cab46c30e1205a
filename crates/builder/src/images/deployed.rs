//! What a deployment says of the images of its artifact before it begins. Never keeps it from beginning.

use longshore_core::bundle::Manifest;
use longshore_core::failure;
use longshore_core::ids::GroupName;
use longshore_core::store::{ObjectUrl, S3Options, Store, StoreError};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::moved::{self, LIMIT};
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::tail::{self, TailError};

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

async fn manifest_of(object: &ObjectUrl, region: Option<&str>) -> Result<Option<Box<Manifest>>, TailError> {
    let options = S3Options { region: region.map(str::to_owned), ..S3Options::default() };
    let Store::S3(store) = Store::open_with(&object.store, &options).await? else { return Ok(None) };
    let info = store.look(object).await?.ok_or_else(|| StoreError::NotFound(object.to_string()))?;
    tail::manifest(&store, object, &info).await
}
