//! What the scripts of a deployment printed, read while more is printed. Reads only.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::ids::GroupId;

use crate::deployment::journal::{self, Entry, Step};
use crate::deployment::progress::Progress;
use crate::history;
use crate::hook::watch;
use crate::layout::{DeploymentDir, Layout};
use crate::lock::Lock;

/// How often a followed log is looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How much is read at a time.
const CHUNK: u64 = 64 * 1024;

/// Whether more may be printed: until the journal is closed, also between two events that are asked for one at a time; or,
/// when its agent died, until its script has ended.
pub(crate) fn is_under_way(layout: &Layout, group: &GroupId, directory: &DeploymentDir) -> bool {
    let (lines, damage) = history::readable(&directory.journal());
    let is_closed = journal::outcome(&lines).is_some();
    if is_closed || damage.is_some() {
        return false;
    }
    // Steps that are known; those that ended hold no lock.
    let mut hooks = lines.iter().flat_map(|line| match &line.entry {
        Entry::Planned { steps, .. } => steps.as_slice(),
        Entry::Opened { .. }
        | Entry::Resumed { .. }
        | Entry::Asked { .. }
        | Entry::Prepared { .. }
        | Entry::Started { .. }
        | Entry::Installing { .. }
        | Entry::Finished { .. }
        | Entry::Failed { .. }
        | Entry::Restoring { .. }
        | Entry::Closed { .. } => &[],
    });
    let is_held = Lock::holder(layout, group).is_some();
    is_held
        || Progress::replay(lines.iter().cloned()).is_some_and(|progress| progress.waits())
        || hooks.any(|step| match step {
            Step::RunHook { number, .. } => watch::is_running(&directory.hook(*number)).unwrap_or(false),
            Step::MarkMostRecent | Step::Install => false,
        })
}

/// Reads a log that grows, and that is renamed to `….N` when it is full and begun anew.
pub(crate) struct Reader {
    log: PathBuf,
    /// The part that was read last, still open: it may be renamed or removed.
    at: Option<File>,
}

impl Reader {
    /// A reader from the log's first line that is kept.
    pub(crate) fn new(log: PathBuf) -> Reader {
        Reader { log, at: None }
    }

    /// Whether there was no log yet.
    pub(crate) fn found_nothing(&self) -> bool {
        self.at.is_none()
    }

    /// Hands on everything that has come since the last time. The outer error is the log's, the inner one the printer's.
    pub(crate) fn read_on(&mut self, mut print: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<io::Result<()>> {
        loop {
            if let Some(file) = &mut self.at {
                let mut chunk = Vec::new();
                file.by_ref().take(CHUNK).read_to_end(&mut chunk)?;
                if !chunk.is_empty() {
                    if let Err(error) = print(&chunk) {
                        return Ok(Err(error));
                    }
                    continue;
                }
            }
            // Read to its end. Is there a later part?
            let Some(next) = self.next_part()? else { return Ok(Ok(())) };
            if let Some(file) = &mut self.at
                && file.stream_position()? < file.metadata()?.len()
            {
                continue;
            }
            self.at = Some(next);
        }
    }

    /// The part after the one that is being read.
    fn next_part(&self) -> io::Result<Option<File>> {
        let parts = parts(&self.log)?;
        let first = match &self.at {
            None => 0,
            Some(now) => {
                let now = now.metadata()?.ino();
                // One that is gone was the oldest.
                parts.iter().position(|(_, inode)| *inode == now).map_or(0, |place| place + 1)
            }
        };
        for (path, inode) in &parts[first..] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Renamed since it was listed: the next look finds it at its new place.
            if file.metadata()?.ino() == *inode {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// The parts of a log, oldest first: `….2`, `….1`, and the one being written.
fn parts(log: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry?;
        let part = entry.file_name();
        let number = match part.to_str().and_then(|part| part.strip_prefix(name)) {
            Some("") => 0,
            Some(rest) => match rest.strip_prefix('.').and_then(|number| number.parse::<u32>().ok()) {
                Some(number) => number,
                None => continue,
            },
            None => continue,
        };
        if let Ok(metadata) = entry.metadata() {
            parts.push((number, entry.path(), metadata.ino()));
        }
    }
    parts.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    Ok(parts.into_iter().map(|(_, path, inode)| (path, inode)).collect())
}
