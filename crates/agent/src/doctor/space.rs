//! Room on the file systems of the root and of the destinations.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longshore_core::figures::size;
use nix::sys::statvfs::statvfs;

use super::subject::Subject;
use super::{Finding, Severity};
use crate::layout::Layout;

const CHECK: &str = "space";
/// With less, a deployment of anything fails.
const LEAST: u64 = 100_000_000;
/// With less, the next few deployments fill it.
const FEW: u64 = 1_000_000_000;
/// The same for the number of files, where a file system has a limit.
const LEAST_FILES: u64 = 1_000;
const FEW_FILES: u64 = 10_000;

/// What a file system has.
#[derive(Debug, Clone, Copy)]
struct Room {
    free: u64,
    /// `None`: there is no limit.
    files: Option<u64>,
}

pub(super) fn check(layout: &Layout, subjects: &[Subject]) -> Vec<Finding> {
    let destinations = subjects.iter().flat_map(|subject| &subject.appspec.files).map(|file| &file.destination);
    let mut places: BTreeSet<PathBuf> = destinations.filter_map(|path| existing(Path::new(path))).collect();
    places.extend(existing(layout.root()));
    // The archive, the unpacked revision, and the files beside those that they replace.
    let needed = subjects.iter().filter_map(|subject| subject.bytes).max().map_or(0, |bytes| bytes.saturating_mul(3));
    let mut findings: Vec<Finding> = places.iter().filter_map(|place| place_room(place, needed)).collect();
    if findings.iter().all(|finding| finding.severity == Severity::Ok) {
        findings = vec![Finding::ok(CHECK, "there is room at the root and at every destination")];
    }
    findings
}

fn place_room(place: &Path, needed: u64) -> Option<Finding> {
    let space = statvfs(place).ok()?;
    let room = Room {
        free: space.blocks_available().saturating_mul(space.fragment_size()),
        files: (space.files() > 0).then(|| space.files_available()),
    };
    judge(place, room, needed)
}

fn judge(place: &Path, Room { free, files }: Room, needed: u64) -> Option<Finding> {
    let shown = place.display();
    let fix = format!("make room: `df -h {shown}`, `df -i {shown}`, `docker system df`");
    let what = format!("{} are free at {shown}", size(free));
    if free < needed.max(LEAST) {
        let why = if needed > LEAST {
            format!("the revision needs {}", size(needed))
        } else {
            "a deployment needs more".to_owned()
        };
        return Some(Finding::error(CHECK, what, why, fix));
    }
    let few = |files: u64| format!("{files} more files fit at {shown}");
    match files {
        Some(files) if files < LEAST_FILES => {
            return Some(Finding::error(CHECK, few(files), "each file of a release needs one, whatever its size", fix));
        }
        Some(files) if files < FEW_FILES => {
            return Some(Finding::warning(
                CHECK,
                few(files),
                "each file of a release needs one, whatever its size",
                fix,
            ));
        }
        Some(_) | None => {}
    }
    (free < FEW).then(|| Finding::warning(CHECK, what, "the next deployments may fill it", fix))
}

/// The path, or the nearest folder above it that exists.
fn existing(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_too_little_an_error() {
        const GB: u64 = 1_000_000_000;
        for (free, files, needed, severity) in [
            (20 * GB, Some(1_000_000), 0, None),
            (20 * GB, None, GB, None),
            (GB / 2, None, 0, Some(Severity::Warning)),
            (GB / 20, None, 0, Some(Severity::Error)),
            (2 * GB, None, 3 * GB, Some(Severity::Error)),
            (20 * GB, Some(9_000), 0, Some(Severity::Warning)),
            (20 * GB, Some(0), 0, Some(Severity::Error)),
        ] {
            let found = judge(Path::new("/srv"), Room { free, files }, needed);
            assert_eq!(found.map(|finding| finding.severity), severity, "{free} {files:?} {needed}");
        }
    }
}
