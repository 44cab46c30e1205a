//! One deployment per group at a time. A function that changes a group takes a [`Lock`] as proof.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use longshore_core::ids::GroupId;
use nix::fcntl::{Flock, FlockArg};

use crate::layout::Layout;

/// The lock of a group. The kernel gives it back when this process ends, however it ends, so it is never stale.
#[derive(Debug)]
pub struct Lock {
    /// The group that is locked.
    pub group: GroupId,
    _file: Flock<File>,
}

/// Why a group could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another deployment of group `{group}` is under way ({holder})")]
    Busy {
        /// The group.
        group: GroupId,
        /// Who has it: process and deployment.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock `{path}`")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Who has the lock, without taking it: a look must not be in the way of a deployment that begins in that moment.
    pub fn holder(layout: &Layout, group: &GroupId) -> Option<String> {
        let path = layout.group(group).lock();
        let inode = fs::metadata(&path).ok()?.ino().to_string();
        let holder = fs::read_to_string(&path).ok()?.trim().to_owned();
        // `process 12, deployment d-…`, which stays when the lock is given back.
        let process = holder.strip_prefix("process ")?.split(',').next()?;
        // `1: FLOCK  ADVISORY  WRITE <process> <device>:<inode> 0 EOF`
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let is_held = locks.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1) == Some(&"FLOCK")
                && words.get(4) == Some(&process)
                && words.get(5).and_then(|file| file.rsplit(':').next()) == Some(inode.as_str())
        });
        is_held.then_some(holder)
    }

    /// Takes the lock or says who has it. Does not wait. `holder` is what others are told, beside the process id.
    pub fn acquire(layout: &Layout, group: &GroupId, holder: &str) -> Result<Lock, LockError> {
        let path = layout.group(group).lock();
        let failed = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(layout.group(group).path()).map_err(failed)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                // The holder's name is a courtesy; without it the answer is the same.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "starting".to_owned() } else { holder.trim().to_owned() };
                return Err(LockError::Busy { group: group.clone(), holder });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "process {}, {holder}", std::process::id()).map_err(failed)?;
        Ok(Lock { group: group.clone(), _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_deployment_of_a_group_is_told_who_has_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().to_owned());
        let (dev, stg): (GroupId, GroupId) = ("shop~dev".parse().unwrap(), "shop~stg".parse().unwrap());
        let (one, two) = ("deployment d-ONE", "deployment d-TWO");

        assert_eq!(Lock::holder(&layout, &dev), None);
        let held = Lock::acquire(&layout, &dev, one).unwrap();
        assert_eq!(Lock::holder(&layout, &dev), Some(format!("process {}, deployment d-ONE", std::process::id())));
        let refused = Lock::acquire(&layout, &dev, two).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "another deployment of group `shop~dev` is under way (process {}, deployment d-ONE)",
                std::process::id()
            )
        );
        assert!(Lock::acquire(&layout, &stg, two).is_ok(), "another group is free");
        drop(held);
        assert_eq!(Lock::holder(&layout, &dev), None, "the name stays in the file, the lock does not");
        assert!(Lock::acquire(&layout, &dev, two).is_ok());
    }
}
