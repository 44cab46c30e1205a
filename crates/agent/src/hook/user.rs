//! Looks up whom a script runs as in the host's user database. Decides nothing.

use std::ffi::CString;
use std::io;

use nix::unistd::{Uid, User, getgrouplist};

use super::command::{HookUser, RunAs};

/// The user that a `runas` of an appspec names: a login name, else, when there is no such name and it is a number, a user
/// id. A number without an entry in the user database is unknown, because nothing tells its group and home.
///
/// # Errors
/// When the user database cannot be read.
pub fn resolve(run_as: Option<&str>) -> io::Result<RunAs> {
    let Some(text) = run_as else { return Ok(RunAs::Agent) };
    let by_name = User::from_name(text)?;
    let found = match (by_name, text.parse()) {
        (Some(user), _) => Some(user),
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid))?,
        (None, Err(_)) => None,
    };
    match found {
        None => Ok(RunAs::Unknown(text.to_owned())),
        Some(user) => Ok(RunAs::User(with_groups(user)?)),
    }
}

/// The user that this process runs as.
///
/// # Errors
/// When the user database cannot be read.
pub fn own() -> io::Result<Option<HookUser>> {
    User::from_uid(Uid::effective())?.map(with_groups).transpose()
}

fn with_groups(user: User) -> io::Result<HookUser> {
    let name = CString::new(user.name.as_str())?;
    let groups = getgrouplist(&name, user.gid)?;
    Ok(HookUser {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        home: user.dir,
        shell: user.shell,
    })
}
