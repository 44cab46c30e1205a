//! Which old deployments go away: all but the newest few, never one that is still needed.

use std::fs;
use std::io;
use std::path::PathBuf;

use longshore_core::ids::{DeploymentId, GroupId};

use crate::layout::Layout;

/// How many deployments of a group are kept (AWS agent 1.8.1: `max_revisions`).
pub const DEFAULT_KEEP: usize = 5;

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
pub fn prune(layout: &Layout, group: &GroupId, keep: usize, protected: &[DeploymentId]) -> Result<(), RetentionError> {
    let dir = layout.deployments(group);
    let listed = |source| RetentionError::List { path: dir.clone(), source };
    let mut all = Vec::new();
    for entry in fs::read_dir(&dir).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let metadata = entry.metadata().map_err(listed)?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if metadata.is_dir() {
            // The age of AWS's deployments is their folder's time, as for the AWS agent.
            all.push((metadata.modified().map_err(listed)?, id));
        }
    }
    all.sort();
    let ids: Vec<DeploymentId> = all.into_iter().map(|(_, id)| id).collect();
    for id in superfluous(&ids, keep, protected) {
        let path = layout.deployment(group, id).path().to_owned();
        fs::remove_dir_all(&path).map_err(|source| RetentionError::Remove { path, source })?;
    }
    Ok(())
}

/// Which of `oldest_first` go away so that `keep` remain, protected ones counted.
fn superfluous<'a>(oldest_first: &'a [DeploymentId], keep: usize, protected: &[DeploymentId]) -> Vec<&'a DeploymentId> {
    let extra = oldest_first.len().saturating_sub(keep.max(1));
    oldest_first.iter().filter(|id| !protected.contains(id)).take(extra).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<DeploymentId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_oldest_go_first_and_the_protected_never() {
        let all = ids(&["a", "b", "c", "d"]);
        for (keep, protected, gone) in [
            (5, &[][..], &[][..]),
            (4, &[], &[]),
            (2, &[], &["a", "b"]),
            (2, &["a"], &["b", "c"]),
            (1, &["a", "d"], &["b", "c"]),
            (0, &["d"], &["a", "b", "c"]),
        ] {
            let gone = ids(gone);
            assert_eq!(
                superfluous(&all, keep, &ids(protected)),
                gone.iter().collect::<Vec<_>>(),
                "keep {keep}, {protected:?}"
            );
        }
    }
}
