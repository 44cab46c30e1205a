//! The AWS agent's `ongoing-deployment/<deployment id>`, which holds the id of the command under way. We write it too, so that
//! whoever looks there finds what it expects; what an AWS agent left there is taken over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::fsx;
use longshore_core::ids::DeploymentId;

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Tracking(PathBuf);

/// How old a file may be to be believed (AWS agent 1.8.1).
const BELIEVED: Duration = Duration::from_secs(24 * 3600);

/// A command that an AWS agent was working on when it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The command's id.
    pub(super) command: String,
    /// The deployment's, as the file is named.
    pub(super) deployment: String,
    /// The file.
    pub(super) path: PathBuf,
}

impl Tracking {
    /// The folder of this name below the root.
    pub(super) fn below(root: &Path, name: &str) -> Tracking {
        Tracking(root.join(name))
    }

    /// A command begins. What cannot be written is nobody's loss: our own ledger has it.
    pub(super) fn begin(&self, deployment: &DeploymentId, command: &str) {
        let _ = fs::create_dir_all(&self.0);
        let _ = fsx::write_atomic(&self.0.join(deployment.as_str()), command.as_bytes());
    }

    /// A command ended.
    pub(super) fn end(&self, deployment: &DeploymentId) {
        let _ = fs::remove_file(self.0.join(deployment.as_str()));
    }

    /// What stands there, young enough to be believed. What is older goes away.
    pub(super) fn left(&self) -> io::Result<Vec<Left>> {
        let files = match fs::read_dir(&self.0) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut left = Vec::new();
        for file in files {
            let file = file?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                continue;
            }
            // A time in the future is as good as now.
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            let command = fs::read_to_string(file.path()).unwrap_or_default().trim().to_owned();
            if age >= BELIEVED || command.is_empty() {
                let _ = fs::remove_file(file.path());
                continue;
            }
            let deployment = file.file_name().to_string_lossy().into_owned();
            left.push(Left { command, deployment, path: file.path() });
        }
        left.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn every_command_that_was_left_within_a_day_is_found_and_older_ones_go_away() {
        let dir = tempfile::tempdir().unwrap();
        let tracking = Tracking::below(dir.path(), "ongoing-deployment");
        assert_eq!(tracking.left().unwrap(), []);
        let ids: Vec<DeploymentId> = ["d-OLD", "d-ONE", "d-TWO"].map(|id| id.parse().unwrap()).to_vec();
        for id in &ids {
            tracking.begin(id, &format!("command of {id}"));
        }
        let folder = dir.path().join("ongoing-deployment");
        let old = SystemTime::now() - BELIEVED - Duration::from_secs(1);
        fs::File::options().write(true).open(folder.join("d-OLD")).unwrap().set_modified(old).unwrap();
        let found: Vec<_> = tracking.left().unwrap().into_iter().map(|left| (left.deployment, left.command)).collect();
        let expected = ["d-ONE", "d-TWO"].map(|id| (id.to_owned(), format!("command of {id}")));
        assert_eq!(found, expected);
        assert!(!folder.join("d-OLD").exists());
        tracking.end(&ids[1]);
        assert_eq!(tracking.left().unwrap().len(), 1);
    }
}
