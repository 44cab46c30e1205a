//! A system call that changes the world: which one, and of what. Reads the memory and descriptors of the stopped thread.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::registers::Registers;

/// A call that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: Pid,
    /// What it changes.
    pub change: Change,
    /// Whether it took place and gave no error.
    pub succeeded: bool,
}

/// A change of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file is opened so that it may be made or emptied.
    Open(PathBuf),
    /// Bytes of a file.
    Write(PathBuf),
    /// Its size or its blocks.
    Resize(PathBuf),
    /// Mode, owner, times, extended attributes.
    Attributes(PathBuf),
    /// A name is changed.
    Rename(PathBuf, PathBuf),
    /// A second name for a file.
    Link(PathBuf, PathBuf),
    /// A symbolic link, with its target.
    Symlink(PathBuf, PathBuf),
    /// A name of a file goes.
    Unlink(PathBuf),
    /// A folder is made.
    MakeFolder(PathBuf),
    /// A folder goes.
    RemoveFolder(PathBuf),
    /// A file or folder is made durable.
    Sync(PathBuf),
    /// The whole file system of a file is made durable.
    SyncAll(PathBuf),
    /// A process is started.
    Spawn,
    /// A process gets a signal.
    Signal,
}

impl Change {
    /// Whether the kernel may answer this call with this error when a disk is full, gone or read-only.
    pub fn can_fail_with(&self, errno: Errno) -> bool {
        match self {
            Change::Open(_) | Change::MakeFolder(_) | Change::Symlink(..) | Change::Link(..) | Change::Rename(..) => {
                true
            }
            Change::Write(_) | Change::Resize(_) => matches!(errno, Errno::ENOSPC | Errno::EIO),
            Change::Sync(_) | Change::SyncAll(_) => matches!(errno, Errno::ENOSPC | Errno::EIO),
            Change::Attributes(_) | Change::Unlink(_) | Change::RemoveFolder(_) => errno != Errno::ENOSPC,
            Change::Spawn | Change::Signal => false,
        }
    }
}

/// The call at whose beginning a thread stands, if it counts.
pub(super) fn read(thread: Pid, registers: &Registers, scope: &Path) -> Option<Call> {
    let change = Reader { thread, registers }.change()?;
    let counts = match &change {
        Change::Spawn | Change::Signal => true,
        Change::Rename(from, to) | Change::Link(from, to) => from.starts_with(scope) || to.starts_with(scope),
        Change::Open(path)
        | Change::Write(path)
        | Change::Resize(path)
        | Change::Attributes(path)
        | Change::Symlink(_, path)
        | Change::Unlink(path)
        | Change::MakeFolder(path)
        | Change::RemoveFolder(path)
        | Change::Sync(path)
        | Change::SyncAll(path) => path.starts_with(scope),
    };
    counts.then_some(Call { thread, change, succeeded: false })
}

struct Reader<'a> {
    thread: Pid,
    registers: &'a Registers,
}

impl Reader<'_> {
    fn change(&self) -> Option<Change> {
        #[cfg(target_arch = "x86_64")]
        if let Some(change) = self.change_by_old_call() {
            return Some(change);
        }
        let change = match self.registers.number() {
            libc::SYS_openat if opens_to_change(self.argument(2)) => Change::Open(self.at(0, 1)?),
            libc::SYS_openat2 => Change::Open(self.at(0, 1)?),
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev | libc::SYS_sendfile => {
                Change::Write(self.descriptor(0)?)
            }
            libc::SYS_copy_file_range | libc::SYS_splice => Change::Write(self.descriptor(2)?),
            libc::SYS_ftruncate | libc::SYS_fallocate => Change::Resize(self.descriptor(0)?),
            libc::SYS_truncate => Change::Resize(self.path(0)?),
            libc::SYS_fchmod | libc::SYS_fchown | libc::SYS_fsetxattr | libc::SYS_fremovexattr => {
                Change::Attributes(self.descriptor(0)?)
            }
            libc::SYS_fchmodat | libc::SYS_fchmodat2 | libc::SYS_fchownat | libc::SYS_utimensat => {
                Change::Attributes(self.at(0, 1)?)
            }
            libc::SYS_setxattr | libc::SYS_lsetxattr | libc::SYS_removexattr | libc::SYS_lremovexattr => {
                Change::Attributes(self.path(0)?)
            }
            libc::SYS_renameat2 => Change::Rename(self.at(0, 1)?, self.at(2, 3)?),
            libc::SYS_linkat => Change::Link(self.at(0, 1)?, self.at(2, 3)?),
            libc::SYS_symlinkat => Change::Symlink(self.text(0)?, self.at(1, 2)?),
            libc::SYS_unlinkat if self.argument(2) & flag(libc::AT_REMOVEDIR) != 0 => {
                Change::RemoveFolder(self.at(0, 1)?)
            }
            libc::SYS_unlinkat => Change::Unlink(self.at(0, 1)?),
            libc::SYS_mkdirat => Change::MakeFolder(self.at(0, 1)?),
            libc::SYS_fsync | libc::SYS_fdatasync => Change::Sync(self.descriptor(0)?),
            libc::SYS_syncfs => Change::SyncAll(self.descriptor(0)?),
            libc::SYS_clone if self.argument(0) & flag(libc::CLONE_THREAD) == 0 => Change::Spawn,
            libc::SYS_clone3 if self.word(0)? & flag(libc::CLONE_THREAD) == 0 => Change::Spawn,
            libc::SYS_kill | libc::SYS_pidfd_send_signal => Change::Signal,
            _ => return None,
        };
        Some(change)
    }

    /// The calls that newer processors do without.
    #[cfg(target_arch = "x86_64")]
    fn change_by_old_call(&self) -> Option<Change> {
        Some(match self.registers.number() {
            libc::SYS_open if opens_to_change(self.argument(1)) => Change::Open(self.path(0)?),
            libc::SYS_creat => Change::Open(self.path(0)?),
            libc::SYS_chmod | libc::SYS_chown | libc::SYS_lchown | libc::SYS_utime | libc::SYS_utimes => {
                Change::Attributes(self.path(0)?)
            }
            libc::SYS_rename => Change::Rename(self.path(0)?, self.path(1)?),
            libc::SYS_renameat => Change::Rename(self.at(0, 1)?, self.at(2, 3)?),
            libc::SYS_link => Change::Link(self.path(0)?, self.path(1)?),
            libc::SYS_symlink => Change::Symlink(self.text(0)?, self.path(1)?),
            libc::SYS_unlink => Change::Unlink(self.path(0)?),
            libc::SYS_rmdir => Change::RemoveFolder(self.path(0)?),
            libc::SYS_mkdir => Change::MakeFolder(self.path(0)?),
            libc::SYS_fork | libc::SYS_vfork => Change::Spawn,
            _ => return None,
        })
    }

    fn argument(&self, index: usize) -> u64 {
        self.registers.argument(index)
    }

    /// What a descriptor leads to; `None` for pipes and the like.
    fn descriptor(&self, index: usize) -> Option<PathBuf> {
        self.link(&format!("fd/{}", self.number(index)))
    }

    /// A descriptor, which is an `int`, as the low half of an argument.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel looks at the low half, too")]
    fn number(&self, index: usize) -> i32 {
        self.argument(index) as i32
    }

    fn link(&self, name: &str) -> Option<PathBuf> {
        let path = fs::read_link(format!("/proc/{}/{name}", self.thread)).ok()?;
        path.is_absolute().then_some(path)
    }

    /// A path argument, relative to the working folder.
    fn path(&self, index: usize) -> Option<PathBuf> {
        self.resolve(libc::AT_FDCWD, self.text(index)?)
    }

    /// A path argument, relative to a descriptor; without one, the descriptor itself.
    fn at(&self, folder: usize, path: usize) -> Option<PathBuf> {
        if self.argument(path) == 0 {
            return self.descriptor(folder);
        }
        self.resolve(self.number(folder), self.text(path)?)
    }

    fn resolve(&self, folder: i32, path: PathBuf) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(plain(&path));
        }
        let folder = if folder == libc::AT_FDCWD { self.link("cwd")? } else { self.link(&format!("fd/{folder}"))? };
        Some(plain(&folder.join(path)))
    }

    fn text(&self, index: usize) -> Option<PathBuf> {
        let mut text = vec![0; 4096];
        let length = self.memory(self.argument(index), &mut text)?;
        text.truncate(text[..length].iter().position(|byte| *byte == 0)?);
        Some(PathBuf::from(OsString::from_vec(text)))
    }

    /// The first word that an argument points to.
    fn word(&self, index: usize) -> Option<u64> {
        let mut word = [0; 8];
        (self.memory(self.argument(index), &mut word)? == word.len()).then(|| u64::from_ne_bytes(word))
    }

    /// Reads until the end of what is mapped there.
    fn memory(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        File::open(format!("/proc/{}/mem", self.thread)).ok()?.read_at(buffer, address).ok()
    }
}

fn opens_to_change(flags: u64) -> bool {
    flags & (flag(libc::O_CREAT) | flag(libc::O_TRUNC)) != 0
}

/// Flags are `int`s of which none is negative.
fn flag(flag: i32) -> u64 {
    u64::from(flag.unsigned_abs())
}

/// Without `.` and doubled slashes.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Open(path) => write!(f, "open {}", path.display()),
            Change::Write(path) => write!(f, "write {}", path.display()),
            Change::Resize(path) => write!(f, "resize {}", path.display()),
            Change::Attributes(path) => write!(f, "set attributes of {}", path.display()),
            Change::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Change::Link(from, to) => write!(f, "link {} as {}", from.display(), to.display()),
            Change::Symlink(target, path) => write!(f, "symlink {} to {}", path.display(), target.display()),
            Change::Unlink(path) => write!(f, "unlink {}", path.display()),
            Change::MakeFolder(path) => write!(f, "mkdir {}", path.display()),
            Change::RemoveFolder(path) => write!(f, "rmdir {}", path.display()),
            Change::Sync(path) => write!(f, "sync {}", path.display()),
            Change::SyncAll(path) => write!(f, "sync the file system of {}", path.display()),
            Change::Spawn => f.write_str("start a process"),
            Change::Signal => f.write_str("send a signal"),
        }
    }
}
