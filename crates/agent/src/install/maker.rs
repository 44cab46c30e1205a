//! What a folder gets that is made now: from the process that makes it, and from the folder that it is made in.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{self, Gid, Group, User};
use rustix::io::Errno;

use super::plan::Account;

/// Who makes new folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Its user.
    pub user: Account,
    /// Its group.
    pub group: Account,
    /// The permissions that it withholds.
    pub umask: u32,
}

impl Maker {
    /// The agent itself; `None`: the kernel does not say what its umask is.
    pub fn of_this_process() -> io::Result<Option<Maker>> {
        // To ask the kernel by a call means to change it for a moment, for all threads.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let Some(umask) = umask.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()) else { return Ok(None) };
        let (uid, gid) = (unistd::geteuid(), unistd::getegid());
        let name = User::from_uid(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
        Ok(Some(Maker { user: Account { name, id: uid.as_raw() }, group: group(gid)?, umask }))
    }
}

/// What a folder has, and what it gives to folders that are made in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderLook {
    /// Its owner's id.
    pub uid: u32,
    /// Its group's id.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// The device it is on.
    pub device: u64,
    /// The group that new folders in it get, when it says so: it is setgid.
    pub heirs: Option<Account>,
    /// Whether its ACL says more than its mode.
    pub acl: bool,
    /// Whether it has an ACL for what is made in it.
    pub default_acl: bool,
}

impl FolderLook {
    /// Looks at a folder.
    pub fn of(path: &Path) -> io::Result<FolderLook> {
        let metadata = fs::symlink_metadata(path)?;
        let mode = metadata.mode() & 0o7777;
        let heirs = if mode & 0o2000 == 0 { None } else { Some(group(Gid::from_raw(metadata.gid()))?) };
        Ok(FolderLook {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode,
            device: metadata.dev(),
            heirs,
            acl: has(path, "system.posix_acl_access")?,
            default_acl: has(path, "system.posix_acl_default")?,
        })
    }
}

fn group(gid: Gid) -> io::Result<Account> {
    let name = Group::from_gid(gid)?.map_or_else(|| gid.to_string(), |group| group.name);
    Ok(Account { name, id: gid.as_raw() })
}

fn has(path: &Path, attribute: &str) -> io::Result<bool> {
    let mut value = [0_u8; 1];
    match rustix::fs::lgetxattr(path, attribute, value.as_mut_slice()) {
        Ok(_) | Err(Errno::RANGE) => Ok(true),
        // None there, or a file system that knows of none.
        Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
