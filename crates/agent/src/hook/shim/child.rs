//! Starts the script's process: fork, join the hook's cgroup, become the hook's user in its own session, exec.
//!
//! `std::process::Command` cannot do this: it does not say which step failed, leaves the fall-back to `/bin/sh` to the C
//! library, and wants to reap what a subreaper must reap itself.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::{self, ForkResult, Gid, Pid, Uid};

use crate::hook::cgroup::Cgroup;
use crate::hook::command::{HookUser, RunAs};

const SH: &CStr = c"/bin/sh";
/// The kernel's; the constant of `libc` has a type that is too small for it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Everything the new process needs, in the form in which the kernel wants it: nothing is allocated after the fork.
pub(super) struct Launch {
    program: CString,
    args: Vec<CString>,
    sh_args: Option<[CString; 2]>,
    env: Vec<CString>,
    cwd: CString,
    switch: Option<Switch>,
    /// Whether the user must be able to read the program, because it is a script.
    is_text: bool,
}

struct Switch {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// A started script.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Whether the kernel knew no interpreter, and `/bin/sh` runs it.
    pub(super) by_sh: bool,
    /// Why it is not in the cgroup that it should be in.
    pub(super) outside: Option<io::Error>,
}

/// The step at which a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Pipes, fork, session, descriptors.
    Process = 1,
    /// Entering the working folder.
    Folder,
    /// Becoming the user.
    User,
    /// Running the program.
    Program,
}

/// Not a stage: the program is now tried with `/bin/sh`.
const BY_SH: u8 = 0;

/// Why a script was not started.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) stage: Stage,
    pub(super) errno: Errno,
}

impl Launch {
    /// Runs `program` with `args` after its name.
    ///
    /// # Errors
    /// When a text holds a NUL character.
    pub(super) fn new<'a>(
        program: &Path,
        args: impl IntoIterator<Item = &'a OsStr>,
        env: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
        cwd: &Path,
    ) -> io::Result<Launch> {
        let text = |text: &OsStr| CString::new(text.as_bytes());
        let program = text(program.as_os_str())?;
        let mut all = vec![program.clone()];
        for arg in args {
            all.push(text(arg)?);
        }
        let mut variables = Vec::new();
        for (name, value) in env {
            variables.push(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let cwd = text(cwd.as_os_str())?;
        Ok(Launch { program, args: all, sh_args: None, env: variables, cwd, switch: None, is_text: false })
    }

    /// It is a script: its user must be able to read it, and `/bin/sh` runs it when it names no interpreter.
    pub(super) fn script(mut self) -> Launch {
        self.sh_args = Some([SH.to_owned(), self.program.clone()]);
        self.is_text = true;
        self
    }

    /// Runs as this user. Only root can do that.
    pub(super) fn for_user(mut self, user: &HookUser) -> Launch {
        let groups = user.groups.iter().copied().map(Gid::from_raw).collect();
        self.switch = Some(Switch { uid: Uid::from_raw(user.uid), gid: Gid::from_raw(user.gid), groups });
        self
    }

    /// Starts it, in this cgroup. Returns when the kernel runs the program, or it is certain that it will not. `announce`
    /// is called before the program has done anything.
    #[expect(unsafe_code, reason = "fork is unsafe by nature")]
    pub(super) fn start(&self, cgroup: Option<&Cgroup>, announce: impl FnOnce(Pid)) -> Result<Started, Failed> {
        let process = |errno| Failed { stage: Stage::Process, errno };
        let null = File::open("/dev/null").map_err(|error| process(errno_of(&error)))?;
        let pipe = || unistd::pipe2(OFlag::O_CLOEXEC).map_err(process);
        let ((stdout, child_stdout), (stderr, child_stderr)) = (pipe()?, pipe()?);
        let ((told, tell), (wait, go)) = (pipe()?, pipe()?);
        // SAFETY: a shim has one thread, so the child starts with consistent memory and no lock held; it calls only
        // system calls and ends in `execve` or `_exit`.
        let (forked, is_inside) = match cgroup.and_then(|cgroup| unsafe { fork_into(cgroup) }) {
            Some(forked) => (forked, true),
            // SAFETY: as above.
            None => (unsafe { unistd::fork() }.map_err(process)?, false),
        };
        match forked {
            ForkResult::Child => {
                drop(go);
                // Nothing to read: the shim died before it could announce us.
                if unistd::read(&wait, &mut [0]) != Ok(1) {
                    // SAFETY: always allowed; unlike `exit` it runs nothing of the parent's.
                    unsafe { libc::_exit(127) }
                }
                let Err((stage, errno)) = self.become_hook(&null, &child_stdout, &child_stderr, &tell);
                say(&tell, stage as u8, errno);
                // SAFETY: always allowed; unlike `exit` it runs nothing of the parent's.
                unsafe { libc::_exit(127) }
            }
            ForkResult::Parent { child } => {
                drop((child_stdout, child_stderr, tell));
                let outside = cgroup.filter(|_| !is_inside).and_then(|cgroup| cgroup.add(child.as_raw()).err());
                announce(child);
                let _ = unistd::write(&go, &[1]);
                let mut by_sh = false;
                for (stage, errno) in heard(told) {
                    if stage == BY_SH {
                        by_sh = true;
                        continue;
                    }
                    // It exits on its own; the shim reaps it like every other child.
                    return Err(Failed { stage: Stage::from_byte(stage), errno });
                }
                Ok(Started { pid: child, stdout, stderr, by_sh, outside })
            }
        }
    }

    fn become_hook(
        &self,
        stdin: &File,
        stdout: &OwnedFd,
        stderr: &OwnedFd,
        tell: &OwnedFd,
    ) -> Result<Infallible, (Stage, Errno)> {
        let at = |stage| move |errno| (stage, errno);
        unistd::setsid().map_err(at(Stage::Process))?;
        unistd::dup2_stdin(stdin).map_err(at(Stage::Process))?;
        unistd::dup2_stdout(stdout).map_err(at(Stage::Process))?;
        unistd::dup2_stderr(stderr).map_err(at(Stage::Process))?;
        reset_signals();
        unistd::chdir(self.cwd.as_c_str()).map_err(at(Stage::Folder))?;
        if let Some(switch) = &self.switch {
            switch.perform().map_err(at(Stage::User))?;
        }
        if self.is_text {
            // The kernel needs no right to read a script, its interpreter does: ask now, while we can still explain.
            let opened = nix::fcntl::open(self.program.as_c_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, MODE);
            opened.map_err(at(Stage::Program))?;
        }
        let Err(errno) = unistd::execve(&self.program, &self.args, &self.env);
        if let (Errno::ENOEXEC, Some(sh_args)) = (errno, &self.sh_args) {
            say(tell, BY_SH, errno);
            unistd::execve(SH, sh_args, &self.env).map_err(at(Stage::Program))?;
        }
        Err((Stage::Program, errno))
    }
}

const MODE: nix::sys::stat::Mode = nix::sys::stat::Mode::empty();

impl Switch {
    /// Groups before user, or there is no right left to change them. Then proves that there is no way back.
    fn perform(&self) -> Result<(), Errno> {
        unistd::setgroups(&self.groups)?;
        unistd::setgid(self.gid)?;
        unistd::setuid(self.uid)?;
        let is_user = Uid::current() == self.uid && Uid::effective() == self.uid;
        let is_group = Gid::current() == self.gid && Gid::effective() == self.gid;
        let can_return = !self.uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok();
        if is_user && is_group && !can_return { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// A fork that is born in the cgroup. To move it there afterwards makes the kernel wait for all processors, which takes
/// milliseconds. `None` where that is not offered: before Linux 5.7, in v1, or when something filters system calls.
///
/// # Safety
/// As `fork`; and unlike that it tells the C library nothing, so the child may only call the kernel.
#[expect(unsafe_code, reason = "the C library has no call for it")]
unsafe fn fork_into(cgroup: &Cgroup) -> Option<ForkResult> {
    let dir = cgroup.open().ok()?;
    // SAFETY: a structure of integers, for which zero means "as usual".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = u64::try_from(libc::SIGCHLD).ok()?;
    args.cgroup = u64::try_from(dir.as_raw_fd()).ok()?;
    // SAFETY: the structure lives during the call and is as long as we say; without CLONE_VM the child has memory of its own.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) } {
        ..0 => None,
        0 => Some(ForkResult::Child),
        pid => Some(ForkResult::Parent { child: Pid::from_raw(i32::try_from(pid).ok()?) }),
    }
}

/// No signal blocked, none ignored: Rust ignores SIGPIPE, and `nohup` and its like leave more.
#[expect(unsafe_code, reason = "nix knows no real-time signals and offers no safe way to a default disposition")]
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default disposition runs no code of ours. KILL, STOP and the two of the C library are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// One message to the parent: five bytes, written at once.
fn say(to: &OwnedFd, stage: u8, errno: Errno) {
    let [a, b, c, d] = (errno as i32).to_le_bytes();
    let _ = unistd::write(to, &[stage, a, b, c, d]);
}

/// Everything the child said until it was another program or gone.
fn heard(from: OwnedFd) -> Vec<(u8, Errno)> {
    let mut bytes = Vec::new();
    let _ = File::from(from).read_to_end(&mut bytes);
    let (messages, _) = bytes.as_chunks::<5>();
    messages.iter().map(|[stage, a, b, c, d]| (*stage, Errno::from_raw(i32::from_le_bytes([*a, *b, *c, *d])))).collect()
}

impl Stage {
    fn from_byte(byte: u8) -> Stage {
        let all = [Stage::Folder, Stage::User, Stage::Program];
        all.into_iter().find(|stage| *stage as u8 == byte).unwrap_or(Stage::Process)
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Whether this process has to change users to run as `user`, and can.
pub(super) fn needs_switch(user: &RunAs) -> Option<&HookUser> {
    match user {
        RunAs::User(user) if Uid::effective().is_root() => Some(user),
        RunAs::User(_) | RunAs::Agent | RunAs::Unknown(_) => None,
    }
}
