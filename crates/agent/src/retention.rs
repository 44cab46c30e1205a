//! Which old deployments go away: all but the newest few, never one that is still needed.
//!
//! What counts is releases to go back to: deployments that were good, of those of one and the same content only one. All others
//! go before any of these, and never push one out; the last few that failed stay, so that they can be explained.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::bundle::BundlePath;
use longshore_core::digest::Sha256;
use longshore_core::ids::{DeploymentId, GroupId};

use crate::deployment::journal::{self, Entry, Outcome};
use crate::deployment::order::Cause;
use crate::install::compat::Records;
use crate::layout::Layout;

/// How many of the last failed deployments stay, whatever else goes.
const FAILED: usize = 3;

/// How the names begin of folders that are being removed.
const REMOVING: &str = ".longshore-removing-";

/// Why an old deployment could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The folder cannot be listed.
    #[error("cannot list `{path}`")]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record of the deployment that was fetched last cannot be read.
    #[error("cannot read the records in `{path}`")]
    Records {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder cannot be removed.
    #[error("cannot remove old deployment `{path}`")]
    Remove {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Removes old deployments of a group. `protected` are never removed: the installed one, the last good one, the current one.
/// Nor are the one that was fetched last, whose scripts a rollback may need, and those that are not closed. Goes on after a
/// folder that cannot be removed, and returns the first error.
pub fn prune(layout: &Layout, group: &GroupId, keep: usize, protected: &[DeploymentId]) -> Result<(), RetentionError> {
    let dir = layout.deployments(group);
    let listed = |source| RetentionError::List { path: dir.clone(), source };
    let records = Records { dir: layout.instructions(), group: group.clone() };
    let most_recent =
        records.most_recent_install().map_err(|source| RetentionError::Records { path: records.dir, source })?;
    let mut all = Vec::new();
    for entry in fs::read_dir(&dir).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let metadata = entry.metadata().map_err(listed)?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<DeploymentId>().ok()) else { continue };
        if metadata.is_dir() {
            let Past { number, end, restores } = past(&layout.deployment(group, &id).journal());
            let needed = protected.contains(&id) || most_recent.as_ref() == Some(&entry.path()) || end == End::Open;
            // The AWS agent's have no number; their age is their folder's time, as for that agent.
            let age = (number, metadata.modified().map_err(listed)?);
            all.push((age, Deployment { id, needed, end, restores }));
        }
    }
    all.sort_by(|(age, one), (other_age, other)| age.cmp(other_age).then_with(|| one.id.cmp(&other.id)));
    let all: Vec<Deployment> = all.into_iter().map(|(_, deployment)| deployment).collect();
    let mut result = Ok(());
    for id in superfluous(&all, keep) {
        result = result.and(remove(&dir, id));
    }
    result
}

/// Out of sight first: half a deployment must not look like a whole one.
fn remove(deployments: &Path, id: &DeploymentId) -> Result<(), RetentionError> {
    let path = deployments.join(id.as_str());
    let aside = deployments.join(format!("{REMOVING}{id}"));
    let removed = fs::rename(&path, &aside).and_then(|()| fs::remove_dir_all(&aside));
    removed.map_err(|source| RetentionError::Remove { path, source })
}

/// Finishes removals that a crash interrupted. What cannot be removed is tried again with the next deployment.
pub fn sweep(layout: &Layout, group: &GroupId) {
    for entry in fs::read_dir(layout.deployments(group)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(REMOVING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A deployment whose folder stands.
#[derive(Debug)]
struct Deployment {
    id: DeploymentId,
    /// Whether it must stay.
    needed: bool,
    end: End,
    /// Whether it only brought back what another deployment had brought.
    restores: bool,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// Its release was good, or it is one of the AWS agent's, which does not say.
    Good(Option<Content>),
    /// It went well and shows nothing of its release: it left events out.
    Partial,
    /// It was refused, failed or was interrupted.
    Bad,
    /// It did not end, or its journal cannot be read.
    Open,
}

/// What makes two releases the same one to go back to: the digest of the content, and the appspec's name in it.
type Content = (Sha256, Option<BundlePath>);

/// What the journal of a deployment says.
struct Past {
    /// Its number, 0 when it has none.
    number: u64,
    end: End,
    restores: bool,
}

fn past(journal: &Path) -> Past {
    if !journal.exists() {
        return Past { number: 0, end: End::Good(None), restores: false };
    }
    let Ok(lines) = journal::read(journal) else { return Past { number: 0, end: End::Open, restores: false } };
    let (number, restores) = match lines.first().map(|line| &line.entry) {
        Some(Entry::Opened { order, .. }) => (order.number, matches!(order.cause, Cause::Restore { .. })),
        Some(_) | None => (0, false),
    };
    let (mut content, mut good) = (None, false);
    for line in &lines {
        match &line.entry {
            Entry::Prepared { release, .. } => {
                content = release.content_digest.map(|digest| (digest, release.appspec_name.clone()));
            }
            Entry::Closed { good: is_good, .. } => good = *is_good,
            Entry::Opened { .. }
            | Entry::Resumed { .. }
            | Entry::Asked { .. }
            | Entry::Planned { .. }
            | Entry::Started { .. }
            | Entry::Installing { .. }
            | Entry::Finished { .. }
            | Entry::Failed { .. }
            | Entry::Restoring { .. } => {}
        }
    }
    let end = match journal::outcome(&lines) {
        Some(Outcome::Succeeded) if good => End::Good(content),
        Some(Outcome::Succeeded) => End::Partial,
        Some(Outcome::Failed | Outcome::Refused | Outcome::Interrupted) => End::Bad,
        None => End::Open,
    };
    Past { number, end, restores }
}

/// Which of `oldest_first` go away so that `keep` remain: first those that are no releases to go back to, without the last
/// failed ones, and of the releases only as many as there are too many of them.
fn superfluous(oldest_first: &[Deployment], keep: usize) -> Vec<&DeploymentId> {
    let keep = keep.max(1);
    let over = |count: usize| count.saturating_sub(keep);
    let all = || oldest_first.iter().enumerate();
    // A restore stands for its release only when the deployment that brought it is gone.
    let rank = |index: usize, one: &Deployment| (!one.restores, index);
    let is_release = |index: usize, one: &Deployment| match &one.end {
        End::Good(None) => true,
        End::Good(Some(content)) => !all().any(|(other_index, other)| {
            other.end == End::Good(Some(content.clone())) && rank(other_index, other) > rank(index, one)
        }),
        End::Partial | End::Bad | End::Open => false,
    };
    let (releases, others): (Vec<_>, Vec<_>) = all().partition(|(index, one)| is_release(*index, one));
    let (failed, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, one)| one.end == End::Bad);
    let last_failed = failed.len().saturating_sub(FAILED);
    let first =
        others.iter().chain(&failed[..last_failed]).filter(|(_, one)| !one.needed).take(over(oldest_first.len()));
    let then = releases.iter().filter(|(_, one)| !one.needed).take(over(releases.len()));
    first.chain(then).map(|(_, one)| &one.id).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::deployment::journal::Journal;

    /// `+a` was good, `-b` failed, `~c` left events out; `!` is one that must stay, `=d` restores. What stands after a colon
    /// is its content.
    fn deployments(names: &[&str]) -> Vec<Deployment> {
        let deployment = |name: &&str| {
            let (id, content) = name.trim_start_matches(['+', '-', '~', '!', '=']).split_once(':').unzip();
            let id = id.unwrap_or(name.trim_start_matches(['+', '-', '~', '!', '='])).parse().unwrap();
            let content = content.map(|content| (Sha256::of(content.as_bytes()), None));
            let end = match name.chars().next() {
                Some('+') => End::Good(content),
                Some('~') => End::Partial,
                Some(_) | None => End::Bad,
            };
            Deployment { id, needed: name.contains('!'), end, restores: name.contains('=') }
        };
        names.iter().map(deployment).collect()
    }

    #[test]
    fn what_is_no_release_to_go_back_to_goes_first_and_never_pushes_one_out_and_the_last_three_failed_stay() {
        for (all, keep, gone) in [
            (&["+a", "+b", "+c"][..], 5, &[][..]),
            (&["+a", "+b", "+c"], 3, &[]),
            (&["+a", "+b", "+c", "+d"], 2, &["a", "b"]),
            (&["+!a", "+b", "+c", "+d"], 2, &["b", "c"]),
            (&["+!a", "+b", "+c", "+!d"], 1, &["b", "c"]),
            (&["+a", "+b", "+!c"], 0, &["a", "b"]),
            (&["-a", "+b", "-c", "+d"], 1, &["b"]),
            (&["+a", "~b", "~c", "+d"], 2, &["b", "c"]),
            (&["-a", "+b", "-c", "-d", "-e", "+f"], 5, &["a"]),
            (&["-a", "-b", "+c", "-d", "-e", "-!f"], 1, &["a", "b"]),
            (&["+a", "+b", "+c", "-!d"], 2, &["a"]),
            (&["+!a", "-b", "-c", "-d", "-!e"], 2, &["b"]),
            // The same content again is no other release.
            (&["+a:1", "+b:2", "+c:1", "+d:1"], 3, &["a"]),
            (&["+a:1", "+b:2", "+c:1", "+d:1"], 2, &["a", "c"]),
            (&["+a:1", "+b:2", "+c:1", "+d:1"], 1, &["a", "c", "b"]),
            // Failures in a row, each with its restore, leave the good releases and the deployment that brought each.
            (&["+a:1", "+b:2", "+c:4", "-d", "+=e:4", "-f", "+=g:4", "-h", "+=!i:4"], 5, &["e", "g"]),
            (&["-a", "+=b:4", "-c", "-d", "-e", "+=f:4"], 2, &["b", "a"]),
        ] {
            let all = deployments(all);
            let found: Vec<&str> = superfluous(&all, keep).into_iter().map(DeploymentId::as_str).collect();
            assert_eq!(found, gone, "keep {keep} of {all:?}");
        }
    }

    #[test]
    fn folders_go_by_age_and_the_needed_unfinished_and_foreign_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().to_owned());
        let group: GroupId = "shop".parse().unwrap();
        // Named against their age.
        let made = [
            ("d-9", Some(Some(Outcome::Succeeded))),
            ("d-8", Some(Some(Outcome::Failed))),
            ("d-7", Some(Some(Outcome::Succeeded))),
            ("d-6", None),
            ("d-5", Some(None)),
            ("d-4", Some(Some(Outcome::Refused))),
            ("d-3", Some(Some(Outcome::Succeeded))),
            ("d-2", Some(Some(Outcome::Interrupted))),
            ("d-1", Some(Some(Outcome::Succeeded))),
        ];
        for (age, (name, journal)) in made.iter().enumerate() {
            let directory = layout.deployment(&group, &name.parse().unwrap());
            fs::create_dir_all(directory.archive().join("$(touch hit) ; a b")).unwrap();
            std::os::unix::fs::symlink("/", directory.archive().join("root")).unwrap();
            if let Some(outcome) = journal {
                let mut journal = Journal::create(directory.journal(), || "2026-11-21T00:00:00Z".to_owned()).unwrap();
                if let Some(outcome) = *outcome {
                    journal
                        .append(Entry::Closed { outcome, good: outcome == Outcome::Succeeded, reason: None })
                        .unwrap();
                }
            }
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + age as u64);
            File::open(directory.path()).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        }
        fs::create_dir(layout.deployments(&group).join("not an id")).unwrap();
        let records = Records { dir: layout.instructions(), group: group.clone() };
        fs::create_dir_all(&records.dir).unwrap();
        let names = || {
            let entries = fs::read_dir(layout.deployments(&group)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        // Too many, but most of them are needed: the most recent one that was fetched failed.
        records.write_most_recent_install(layout.deployment(&group, &"d-6".parse().unwrap()).path()).unwrap();
        prune(&layout, &group, 4, &["d-9".parse().unwrap()]).unwrap();
        assert_eq!(names(), ["d-1", "d-2", "d-3", "d-4", "d-5", "d-6", "d-8", "d-9", "not an id"]);
        prune(&layout, &group, 2, &["d-1".parse().unwrap()]).unwrap();
        assert_eq!(names(), ["d-1", "d-2", "d-4", "d-5", "d-6", "d-8", "not an id"]);
        assert!(Path::new("/etc").exists());
    }
}
