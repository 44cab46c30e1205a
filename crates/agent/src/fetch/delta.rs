//! An object that differs little from an archive of the host: only what differs is fetched. Whatever is in the way of that is no
//! failure, the object is then fetched as a whole.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_core::bundle::Limits;
use longshore_core::bundle::delta::{Delta, Earlier, Known, NoDelta};
use longshore_core::digest::Sha256;
use longshore_core::fsx;
use longshore_core::store::{ObjectInfo, ObjectUrl, Part, S3Store, StoreError};

/// Below this size one request is faster than three.
const WORTH_IT: u64 = 4 << 20;
/// More pieces than this, or more bytes than this share of the object, and the whole is as fast.
const MOST_PIECES: usize = 2000;
const MOST_PERCENT: u64 = 80;
/// Connections at the same time.
const LANES: usize = 4;
/// What one request asks for at most: a piece of this size is worth a lane of its own.
const PIECE: u64 = 16 << 20;

/// An object that was put together.
#[derive(Debug)]
pub(super) struct Assembled {
    /// What is known of it.
    pub(super) info: ObjectInfo,
    /// Bytes that were not fetched.
    pub(super) reused: u64,
}

/// What is wanted, and from what it may be made.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The object.
    pub(super) object: &'a ObjectUrl,
    /// Where it goes.
    pub(super) to: &'a Path,
    /// Archives of the host, the likeliest first.
    pub(super) earlier: &'a [PathBuf],
    /// How much an archive may ask for.
    pub(super) limits: &'a Limits,
}

/// Why an object is fetched as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Whole {
    /// There is nothing to make it from.
    #[error("no earlier archive of the group is kept")]
    NothingKept,
    /// It is small.
    #[error("it is small")]
    Small,
    /// Too much is missing.
    #[error("{missing} of {size} bytes are new, in {pieces} pieces")]
    TooDifferent {
        /// Bytes.
        missing: u64,
        /// Bytes of the object.
        size: u64,
        /// Pieces.
        pieces: usize,
    },
    /// The archives are not of a kind.
    #[error(transparent)]
    NoDelta(#[from] NoDelta),
    /// What was put together is something else.
    #[error("what was put together has another digest")]
    Digest,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk of this host.
    #[error("cannot write `{path}`")]
    Write {
        /// The archive in the making.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Puts an object together. It stands at its place only when it is whole and, where its digest is known, verified; the caller
/// opens it as any other, and fetches the whole when it cannot.
pub(super) async fn get(
    store: &S3Store,
    wanted: &Wanted<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Assembled, Whole> {
    let Wanted { object, to, limits, .. } = *wanted;
    let earlier = kept(wanted)?;
    let info = store.look(object).await?.ok_or_else(|| StoreError::NotFound(object.to_string()))?;
    if info.size < WORTH_IT {
        return Err(Whole::Small);
    }
    let temporary = Temporary(fsx::temporary_beside(to));
    let path = &temporary.0;
    let cannot_write = |source| Whole::Write { path: path.clone(), source };
    let file = File::options().read(true).write(true).create_new(true).open(path).map_err(cannot_write)?;
    file.set_len(info.size).map_err(cannot_write)?;

    let done = AtomicU64::new(0);
    let more = |bytes| progress(done.fetch_add(bytes, Ordering::Relaxed) + bytes);
    let fetch =
        async |bytes: Range<u64>| store.get_part(&Part { object, info: &info, bytes }, &file, path, &more).await;
    let mut known = info.size.saturating_sub(earlier.end());
    fetch(known..info.size).await?;
    let delta = loop {
        match earlier.compare(&file, info.size, known, limits)? {
            Known::Delta(delta) => break delta,
            Known::Needs(from) => {
                fetch(from..known).await?;
                known = from;
            }
        }
    };
    worth_it(&delta, &info)?;
    let mut lanes: [Vec<Range<u64>>; LANES] = Default::default();
    for (index, piece) in pieces(&delta.missing).into_iter().enumerate() {
        lanes[index % LANES].push(piece);
    }
    let fetch_all = async |pieces: &[Range<u64>]| {
        for piece in pieces {
            fetch(piece.clone()).await?;
        }
        Ok::<(), StoreError>(())
    };
    let [one, two, three, four] = &lanes;
    tokio::try_join!(fetch_all(one), fetch_all(two), fetch_all(three), fetch_all(four))?;
    earlier.lay(&delta, &file, &more).map_err(cannot_write)?;
    if let Some(expected) = info.sha256 {
        let (found, _) = File::open(path).and_then(Sha256::of_reader).map_err(cannot_write)?;
        if found != expected {
            return Err(Whole::Digest);
        }
    }
    file.sync_all().map_err(cannot_write)?;
    fs::rename(path, to).map_err(cannot_write)?;
    let fetched = info.size - known + delta.missing_bytes();
    let reused = info.size.saturating_sub(fetched);
    Ok(Assembled { info, reused })
}

/// The first archive that one of ours can be made from.
fn kept(wanted: &Wanted<'_>) -> Result<Earlier, Whole> {
    let mut why = Whole::NothingKept;
    for path in wanted.earlier {
        let Ok(file) = File::open(path) else { continue };
        match Earlier::open(file, wanted.limits) {
            Ok(earlier) => return Ok(earlier),
            Err(no) => why = no.into(),
        }
    }
    Err(why)
}

fn worth_it(delta: &Delta, info: &ObjectInfo) -> Result<(), Whole> {
    let (missing, pieces, size) = (delta.missing_bytes(), delta.missing.len(), info.size);
    if pieces > MOST_PIECES || missing > size / 100 * MOST_PERCENT {
        return Err(Whole::TooDifferent { missing, size, pieces });
    }
    Ok(())
}

/// Long ranges in several pieces.
fn pieces(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let cut = |range: &Range<u64>| {
        let (start, end) = (range.start, range.end);
        (start..end).step_by(PIECE as usize).map(move |at| at..(at + PIECE).min(end))
    };
    ranges.iter().flat_map(cut).collect()
}

/// A file in the making, gone unless it got its name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ranges_are_fetched_in_pieces() {
        assert_eq!(pieces(&[0..5, 10..10 + PIECE + 1]), [0..5, 10..10 + PIECE, 10 + PIECE..11 + PIECE]);
        assert_eq!(pieces(&[]), []);
    }
}
