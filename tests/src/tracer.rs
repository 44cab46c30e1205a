//! Runs a program under `ptrace`, counts the system calls by which it changes the world, and makes it die or fail at one
//! of them.
//!
//! A call counts when it changes a file below one folder (the `scope`), or starts or signals a process. Calls of all
//! threads are counted together, in the order in which they begin.

mod call;
mod registers;

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

pub use self::call::{Call, Change};
use self::registers::Registers;

/// A program to be run under the tracer.
#[derive(Debug, Clone, Copy)]
pub struct Tracer<'a> {
    /// Only changes below this folder count.
    pub scope: &'a Path,
    /// Whose calls count.
    pub follow: Follow,
    /// What goes wrong.
    pub fault: Option<Fault>,
}

/// Whose calls are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Those of the program and its threads. What it starts runs free, and outlives it when it is killed.
    Program,
    /// Those of everything that it starts, too.
    Everything,
}

/// Something that goes wrong at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the call, from 0.
    pub at: usize,
    /// What happens there.
    pub deed: Deed,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The program is killed and the call does not take place.
    KillBefore,
    /// The call takes place and the program is killed before it learns so.
    KillAfter,
    /// The call does not take place and gives an error.
    Fail(Errno),
    /// This call and every later one that this error is plausible for does not take place and gives the error.
    FailFromHere(Errno),
}

/// What a program did.
#[derive(Debug)]
pub struct Trace {
    /// The calls that counted, in order.
    pub calls: Vec<Call>,
    /// The exit code; `None` when it was killed.
    pub code: Option<i32>,
}

/// A thread between the beginning and the end of a call.
struct Inside {
    /// Which call, when it counts.
    index: Option<usize>,
    errno: Option<Errno>,
    kill: bool,
}

impl Tracer<'_> {
    /// Runs the program to its end. `seen` is told of each call that succeeded, right after it, while its thread stands
    /// still.
    pub fn run(&self, command: &mut Command, seen: &mut dyn FnMut(&Call)) -> Trace {
        let leader = start(command);
        assert!(
            matches!(waitpid(leader, None), Ok(WaitStatus::Stopped(_, Signal::SIGTRAP))),
            "the program stops when it is started under ptrace"
        );
        let mut options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
        options |= Options::PTRACE_O_TRACEEXEC;
        if self.follow == Follow::Everything {
            options |= Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
        }
        ptrace::setoptions(leader, options).expect("the stopped program takes options");
        ptrace::syscall(leader, None).expect("the stopped program goes on");
        let mut run =
            Run { tracer: self, leader, inside: HashMap::new(), trace: Trace { calls: Vec::new(), code: None } };
        run.inside.insert(leader, None);
        run.until_all_ended(seen);
        run.trace
    }
}

#[expect(unsafe_code, reason = "only a process itself can ask to be traced, between fork and exec")]
fn start(command: &mut Command) -> Pid {
    // SAFETY: one system call, which is allowed there.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it by itself")]
    let child = command.spawn().expect("the program starts");
    Pid::from_raw(child.id().try_into().expect("process ids are small"))
}

struct Run<'a> {
    tracer: &'a Tracer<'a>,
    leader: Pid,
    /// All threads that are traced, and the call that each is in.
    inside: HashMap<Pid, Option<Inside>>,
    trace: Trace,
}

impl Run<'_> {
    fn until_all_ended(&mut self, seen: &mut dyn FnMut(&Call)) {
        // Other threads of this process trace programs of their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(thread, code)) => {
                    self.inside.remove(&thread);
                    if thread == self.leader {
                        self.trace.code = Some(code);
                    }
                }
                Ok(WaitStatus::Signaled(thread, _, _)) => {
                    self.inside.remove(&thread);
                }
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if self.call(thread, seen) {
                        resume(thread, None);
                    }
                }
                Ok(WaitStatus::PtraceEvent(thread, _, _)) => resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => {
                    // A new thread begins with a stop of its own.
                    let is_new = !self.inside.contains_key(&thread);
                    self.inside.entry(thread).or_insert(None);
                    resume(thread, (!(is_new && signal == Signal::SIGSTOP)).then_some(signal));
                }
                Ok(other) => unreachable!("waitpid reported {other:?}"),
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return,
                Err(error) => panic!("cannot wait for the traced program: {error}"),
            }
        }
    }

    /// A thread enters or leaves a call. Gives back whether it goes on.
    fn call(&mut self, thread: Pid, seen: &mut dyn FnMut(&Call)) -> bool {
        // It may have been killed in between.
        let Ok(mut registers) = Registers::of(thread) else { return true };
        match self.inside.entry(thread).or_default().take() {
            None => {
                let Some(inside) = self.enter(thread, &mut registers) else { return false };
                self.inside.insert(thread, Some(inside));
            }
            Some(Inside { index: None, .. }) => {}
            Some(Inside { index: Some(index), errno, kill }) => {
                if let Some(errno) = errno {
                    // Killed in between: then nobody reads it.
                    let _ = registers.set_result(thread, -i64::from(errno as i32));
                } else {
                    let call = &mut self.trace.calls[index];
                    call.succeeded = registers.result() >= 0;
                    if call.succeeded {
                        seen(call);
                    }
                }
                if kill {
                    self.kill();
                    return false;
                }
            }
        }
        true
    }

    fn enter(&mut self, thread: Pid, registers: &mut Registers) -> Option<Inside> {
        let mut inside = Inside { index: None, errno: None, kill: false };
        let Some(call) = call::read(thread, registers, self.tracer.scope) else { return Some(inside) };
        let index = self.trace.calls.len();
        inside.index = Some(index);
        match self.tracer.fault.map(|fault| (index.cmp(&fault.at), fault.deed)) {
            Some((std::cmp::Ordering::Equal, Deed::KillBefore)) => {
                // The kernel does not begin a call of a thread that has to die.
                self.kill();
                self.trace.calls.push(call);
                return None;
            }
            Some((std::cmp::Ordering::Equal, Deed::KillAfter)) => inside.kill = true,
            Some((std::cmp::Ordering::Equal, Deed::Fail(errno))) => inside.errno = Some(errno),
            Some((std::cmp::Ordering::Equal | std::cmp::Ordering::Greater, Deed::FailFromHere(errno)))
                if call.change.can_fail_with(errno) =>
            {
                inside.errno = Some(errno);
            }
            Some(_) | None => {}
        }
        if inside.errno.is_some() && registers.skip(thread).is_err() {
            inside.errno = None;
        }
        self.trace.calls.push(call);
        Some(inside)
    }

    fn kill(&self) {
        // Gone already: then it ended by itself.
        let _ = kill(self.leader, Signal::SIGKILL);
    }
}

fn resume(thread: Pid, signal: Option<Signal>) {
    // A thread that was killed cannot be resumed; its end is reported.
    let _ = ptrace::syscall(thread, signal);
}
