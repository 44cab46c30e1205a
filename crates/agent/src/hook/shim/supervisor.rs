//! Watches a running script: reads its output, keeps its time, reaps what it leaves, and ends the whole tree when it must.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::{self, Pid};

use super::output::Output;
use crate::hook::cgroup::Cgroup;
use crate::hook::command::HookCommand;
use crate::hook::tree::{self, Kin};
use crate::hook::{HookOutcome, HookReport, Process};

/// What the script started may take this long to end after the script itself before it counts as left running. Long
/// enough for the `tee` of a script that logs through one.
const SETTLE: Duration = Duration::from_millis(200);
/// How long to go on killing. Whatever lives then hangs in the kernel, or is not ours to kill.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// The longest wait for a child to end, after which its state is looked at anyway.
const TURN: Duration = Duration::from_secs(60);
/// How often to kill what was forked in the meantime.
const KILL_AGAIN: Duration = Duration::from_millis(10);

/// A script that runs, and everything it started.
pub(super) struct Supervisor<'a> {
    pub(super) command: &'a HookCommand,
    pub(super) clock: Instant,
    pub(super) pid: Pid,
    /// Where everything that the script starts belongs.
    pub(super) cgroup: Option<&'a Cgroup>,
    /// How the script's own process ended, once it has.
    pub(super) status: Option<HookOutcome>,
    /// Whether nothing that it started is our child any more.
    pub(super) is_childless: bool,
    /// Whether somebody sent TERM to the shim.
    pub(super) is_told: bool,
    pub(super) signals: &'a SignalFd,
    pub(super) output: &'a mut Output,
}

impl Supervisor<'_> {
    /// Waits for the end of the script, or brings it about.
    pub(super) fn until_it_ends(&mut self) -> HookOutcome {
        let deadline = self.clock.checked_add(self.command.timeout);
        loop {
            if let Some(outcome) = self.status.clone() {
                self.settle();
                return outcome;
            }
            if self.is_told {
                self.end_all();
                return HookOutcome::Killed { signal: Signal::SIGTERM as i32 };
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return HookOutcome::TimedOut { forced: self.end_all() };
            }
            self.turn(deadline);
        }
    }

    /// Waits until something happens, but no longer than `until`, and takes note of it.
    fn turn(&mut self, until: Option<Instant>) {
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.output.pipes().map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        // A wait longer than poll can express is cut, and the caller comes back. One millisecond more than is left, so
        // that rounding does not make us spin.
        let left = until.map(|until| until.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| left.try_into().unwrap_or(PollTimeout::MAX));
        // An error is EINTR, and then there is nothing to note.
        let _ = poll(&mut watched, timeout);
        self.output.read();
        while let Ok(Some(signal)) = self.signals.read_signal() {
            self.is_told |= signal.ssi_signo == Signal::SIGTERM as u32;
        }
        self.reap();
    }

    /// Takes over the end of every child, adopted ones included.
    #[expect(unsafe_code, reason = "nix cannot tell an end by a real-time signal from a failure")]
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: `status` is a place for one integer, which the kernel fills in before the call returns.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                0 => return,
                // None left: whatever the script started has ended, because orphans become our children.
                ..0 => {
                    self.is_childless = true;
                    return;
                }
                1.. if pid == self.pid.as_raw() => self.status = Some(outcome_of(status)),
                1.. => {}
            }
        }
    }

    /// Reads what the script wrote, and gives what it started a moment to end by itself.
    fn settle(&mut self) {
        let until = Instant::now() + SETTLE;
        while !self.is_over() && Instant::now() < until {
            self.turn(Some(self.look_again(Some(until))));
        }
        self.output.drain();
    }

    /// Whether nothing of it runs any more. Whatever it started becomes our child when its parent ends, unless something
    /// else adopts it; the cgroup knows that too.
    pub(super) fn is_over(&self) -> bool {
        self.is_childless && self.cgroup.is_none_or(|cgroup| cgroup.members().is_empty())
    }

    /// When to look again: no child tells us of its end when all that is left is in the cgroup alone.
    fn look_again(&self, until: Option<Instant>) -> Instant {
        let soon = Instant::now() + if self.is_childless { KILL_AGAIN } else { TURN };
        until.map_or(soon, |until| until.min(soon))
    }

    /// TERM, grace, KILL, for everything the script started. Whether KILL was needed.
    pub(super) fn end_all(&mut self) -> bool {
        self.kin().signal(Signal::SIGTERM);
        // A stopped process gets TERM only when it goes on.
        self.kin().signal(Signal::SIGCONT);
        let grace = Instant::now().checked_add(self.command.grace);
        while !self.is_over() && grace.is_none_or(|grace| Instant::now() < grace) {
            self.turn(Some(self.look_again(grace)));
        }
        let forced = !self.is_over();
        let limit = Instant::now() + KILL_LIMIT;
        while !self.is_over() && Instant::now() < limit {
            // Again and again: what was forked after we looked is in the next look.
            self.kin().kill();
            self.turn(Some(Instant::now() + KILL_AGAIN));
        }
        self.output.drain();
        forced
    }

    fn kin(&self) -> Kin<'_> {
        Kin { root: Some(unistd::getpid().as_raw()), session: Some(self.pid.as_raw()), cgroup: self.cgroup }
    }

    /// What is left of it.
    pub(super) fn left_running(&self) -> Vec<Process> {
        if self.is_over() {
            return Vec::new();
        }
        let mut left = tree::describe(&self.kin().entries(), &self.output.inodes());
        left.truncate(HookReport::MOST_LEFT_RUNNING);
        left
    }
}

/// Of a process that has ended: `waitpid` was asked for nothing else.
fn outcome_of(status: libc::c_int) -> HookOutcome {
    if libc::WIFSIGNALED(status) {
        HookOutcome::Killed { signal: libc::WTERMSIG(status) }
    } else {
        match libc::WEXITSTATUS(status) {
            0 => HookOutcome::Passed,
            status => HookOutcome::Exited { status },
        }
    }
}
