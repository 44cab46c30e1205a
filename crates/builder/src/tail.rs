//! The manifest of an archive in S3, from as much of its end as holds it. Compares nothing.

use std::io;
use std::ops::Range;

use longshore_core::bundle::delta::{self, Ending, NoDelta};
use longshore_core::bundle::{Limits, Manifest};
use longshore_core::store::{ObjectInfo, ObjectUrl, Part, S3Store, StoreError};

/// Why the manifest of a published artifact is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
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

/// The manifest of a zip; `None`: another program packed it. `info`: what stands there, and must still stand there.
pub(crate) async fn manifest(
    store: &S3Store,
    object: &ObjectUrl,
    info: &ObjectInfo,
) -> Result<Option<Box<Manifest>>, TailError> {
    let file = tempfile::tempfile().map_err(TailError::Temporary)?;
    file.set_len(info.size).map_err(TailError::Temporary)?;
    let place = std::env::temp_dir();
    let fetch = async |bytes: Range<u64>| store.get_part(&Part { object, info, bytes }, &file, &place, &|_| {}).await;
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
            Err(error @ NoDelta::Read { .. }) => return Err(TailError::Read(error)),
        }
    }
}
