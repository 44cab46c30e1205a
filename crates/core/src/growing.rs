//! A file that is read while it is written: which of its bytes are final. Whoever writes it tells, whoever reads it waits.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::digest::Sha256;

/// How far a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// No byte before this one changes any more, except those of the hole.
    pub end: u64,
    /// Bytes that are filled in later: what stands before data whose size is known only behind them.
    pub hole: Option<Range<u64>>,
}

impl Written {
    /// Whether all these bytes are final.
    pub fn has(&self, range: &Range<u64>) -> bool {
        let hits = |hole: &Range<u64>| hole.start < range.end && range.start < hole.end;
        range.end <= self.end && !self.hole.as_ref().is_some_and(hits)
    }
}

/// What is known of a file in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    /// How far it is written.
    pub(crate) written: Written,
    /// The whole file.
    pub(crate) whole: Option<Whole>,
}

/// An archive that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// The content digest of the bundle.
    pub content_digest: Sha256,
}

impl Stage {
    fn of(whole: Whole) -> Stage {
        Stage { written: Written { end: whole.size, hole: None }, whole: Some(whole) }
    }
}

/// The end of whoever writes. Dropped before [`Grower::whole`]: the file will never be whole.
#[derive(Debug)]
pub struct Grower(watch::Sender<Stage>);

impl Grower {
    /// The file is written so far.
    pub fn written(&self, written: Written) {
        self.0.send_if_modified(|stage| {
            let changed = stage.written != written;
            stage.written = written;
            changed
        });
    }

    /// The file is whole, and what should become of it is still wanted.
    pub fn whole(self, whole: Whole) {
        self.0.send_replace(Stage::of(whole));
    }
}

/// The end of whoever reads.
#[derive(Debug, Clone)]
pub struct Growing {
    pub(crate) file: Arc<File>,
    /// For messages.
    pub(crate) path: PathBuf,
    /// More bytes than this it will not have.
    pub(crate) most: u64,
    pub(crate) stage: watch::Receiver<Stage>,
}

/// Whoever wrote the file gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp;

impl Growing {
    /// A file that is about to be written, of at most `most` bytes. `path` is for messages.
    pub fn new(file: File, path: &Path, most: u64) -> (Grower, Growing) {
        let (sender, stage) = watch::channel(Stage::default());
        (Grower(sender), Growing { file: Arc::new(file), path: path.to_owned(), most, stage })
    }

    /// A file that is whole already, what its digest must be, and the content digest of the bundle.
    pub fn finished(path: &Path, sha256: Sha256, content_digest: Sha256) -> io::Result<Growing> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        // A stage that is whole is never waited for, so nobody misses the other end.
        let (_, stage) = watch::channel(Stage::of(Whole { size, sha256, content_digest }));
        Ok(Growing { file: Arc::new(file), path: path.to_owned(), most: size, stage })
    }

    /// Waits until it has more than `limit` bytes, or is whole. Whether it has more.
    pub async fn exceeds(&self, limit: u64) -> Result<bool, GivenUp> {
        let mut stage = self.stage.clone();
        let known = |stage: &Stage| stage.whole.is_some() || stage.written.end > limit;
        let stage = stage.wait_for(known).await.map_err(|_| GivenUp)?;
        Ok(stage.written.end > limit)
    }

    /// Waits until it is whole.
    pub async fn ends(&self) -> Result<(), GivenUp> {
        self.whole().await.map(|_| ())
    }

    /// The same, and what is known of it then.
    pub(crate) async fn whole(&self) -> Result<Whole, GivenUp> {
        let mut stage = self.stage.clone();
        stage.wait_for(|stage| stage.whole.is_some()).await.map_err(|_| GivenUp)?.whole.ok_or(GivenUp)
    }

    /// A way to the open file: it stays the same one when another gets its name meanwhile.
    pub(crate) fn held(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_final_before_the_end_and_outside_of_the_hole() {
        let written = Written { end: 100, hole: Some(40..50) };
        for (range, expected) in
            [(0..40, true), (0..41, false), (45..46, false), (49..60, false), (50..100, true), (50..101, false)]
        {
            assert_eq!(written.has(&range), expected, "{range:?}");
        }
        assert!(Written { end: 100, hole: None }.has(&(0..100)));
    }

    #[tokio::test]
    async fn who_reads_learns_that_the_writer_gave_up() {
        let (grower, growing) = Growing::new(tempfile::tempfile().unwrap(), Path::new("a"), 10);
        grower.written(Written { end: 5, hole: None });
        assert_eq!(growing.exceeds(4).await, Ok(true));
        drop(grower);
        assert_eq!(growing.exceeds(5).await, Err(GivenUp));
        assert_eq!(growing.whole().await, Err(GivenUp));
    }

    #[tokio::test]
    async fn a_whole_file_is_whole_for_whoever_comes_later() {
        let (grower, growing) = Growing::new(tempfile::tempfile().unwrap(), Path::new("a"), 10);
        let whole = Whole { size: 7, sha256: Sha256::of(b"a"), content_digest: Sha256::of(b"b") };
        grower.whole(whole);
        assert_eq!((growing.exceeds(7).await, growing.exceeds(6).await), (Ok(false), Ok(true)));
        assert_eq!(growing.whole().await, Ok(whole));
    }
}
