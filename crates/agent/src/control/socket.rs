//! The socket in the file system: made, taken over from an agent that died, removed. Blocks.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};

/// A socket that is listened on. Removed when it is dropped, unless another one stands in its place.
pub(super) struct Bound {
    path: PathBuf,
    inode: u64,
}

/// What can go wrong and leaves a socket that works for root.
pub(super) type Warning = Option<String>;

impl Bound {
    /// Listens at a path, for root and a group of the host.
    pub(super) fn listen(path: &Path, group: Option<&str>) -> io::Result<(Bound, UnixListener, Warning)> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|error| about(folder, &error))?;
        make_way(path)?;
        let (gid, warning) = gid(group);
        // Made in a folder of its own and moved: nobody can connect before it has its owner and mode, whatever the umask.
        let own = folder.join(format!(".s{}", std::process::id()));
        let _ = fs::remove_dir_all(&own);
        DirBuilder::new().mode(0o700).create(&own).map_err(|error| about(&own, &error))?;
        let placed = place(&own.join("s"), gid, path);
        // What stays is removed by the next process of this number.
        let _ = fs::remove_dir_all(&own);
        let (listener, inode) = placed.map_err(|error| about(path, &error))?;
        Ok((Bound { path: path.to_owned(), inode }, listener, warning))
    }
}

/// Makes a socket with its owner and mode, and moves it to its place.
fn place(made: &Path, gid: Option<Gid>, path: &Path) -> io::Result<(UnixListener, u64)> {
    let listener = UnixListener::bind(made)?;
    let mode = match gid {
        Some(gid) => {
            chown(made, None, Some(gid.as_raw()))?;
            0o660
        }
        // Not for the members of root's group either.
        None => 0o600,
    };
    fs::set_permissions(made, Permissions::from_mode(mode))?;
    let inode = fs::metadata(made)?.ino();
    fs::rename(made, path)?;
    Ok((listener, inode))
}

impl Drop for Bound {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            // One that stays is taken over by the next agent.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What stands at the path may be replaced only when it is a socket that nobody listens on.
fn make_way(path: &Path) -> io::Result<()> {
    let in_use = |why: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("`{}` {why}", path.display()));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(about(path, &error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(in_use("is there and is no socket")),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(in_use("is the socket of another agent, which runs")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(about(path, &error)),
    }
}

fn gid(group: Option<&str>) -> (Option<Gid>, Warning) {
    let Some(name) = group else { return (None, None) };
    match Group::from_name(name) {
        Ok(Some(group)) => (Some(group.gid), None),
        Ok(None) => (None, Some(format!("there is no group `{name}` on this host: the socket is for root alone"))),
        Err(error) => {
            (None, Some(format!("the group `{name}` cannot be looked up ({error}): the socket is for root alone")))
        }
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
