//! Runs a program to its end: what it writes is passed on at once, a time limit and Ctrl-C end it and its children. Does not
//! choose programs.

use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// How long a program may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(5);
/// How long its children may hold its output when it has ended.
const HELD: Duration = Duration::from_secs(2);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A program and how it is run.
#[derive(Debug)]
pub(crate) struct Program {
    /// The command; its standard streams are ours to set.
    pub(crate) command: Command,
    /// What it reads.
    pub(crate) input: Vec<u8>,
    /// How long it may take.
    pub(crate) limit: Option<Duration>,
    /// Who sees to it that Ctrl-C and TERM end it.
    pub(crate) stopping: Stopping,
}

/// Who ends a program when this one is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// It is in our process group and gets the signal itself, and we end as any program does.
    Shared,
    /// We do, in order. Only when no other thread of ours runs: it would take the signal.
    Ours,
}

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It could not be followed.
    #[error("cannot follow `{program}`")]
    Follow {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long, and was ended.
    #[error("`{program}` did not end within {} s and was ended", limit.as_secs())]
    TooLong {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// We were asked to stop, and it was ended.
    #[error("interrupted; `{program}` was ended")]
    Interrupted {
        /// The program.
        program: String,
    },
}

impl Program {
    /// Runs it. `tell` gets what it writes, in pieces as they come.
    pub(crate) fn run(mut self, tell: &mut dyn FnMut(Stream, &[u8])) -> Result<ExitStatus, ProgramError> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let follow = |source| ProgramError::Follow { program: program.clone(), source };
        if self.stopping == Stopping::Ours {
            self.command.process_group(0);
        }
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = self.command.spawn();
        let mut child = started.map_err(|source| ProgramError::Start { program: program.clone(), source })?;
        // Not before: the child would inherit what is blocked, and not hear TERM.
        let signals = match self.stopping {
            Stopping::Ours => Some(Signals::hold().map_err(|error| follow(error.into()))?),
            Stopping::Shared => None,
        };
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read what it is told says why by its exit code.
            let _ = stdin.write_all(&self.input);
        }
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut running = Running {
            pipes: [out.map(|pipe| (Stream::Out, Pipe::Out(pipe))), err.map(|pipe| (Stream::Err, Pipe::Err(pipe)))]
                .into_iter()
                .flatten()
                .collect(),
            own_group: signals.is_some(),
            child,
        };
        let ended = running.follow(self.limit, signals.as_ref(), tell).map_err(follow)?;
        match (ended.why, self.limit) {
            (Why::Itself, _) => Ok(ended.status),
            (Why::Limit, limit) => Err(ProgramError::TooLong { program, limit: limit.unwrap_or_default() }),
            (Why::Asked, _) => Err(ProgramError::Interrupted { program }),
        }
    }
}

/// Ctrl-C and TERM, kept from ending this process while it lives.
struct Signals {
    before: SigSet,
    pending: SignalFd,
}

impl Signals {
    fn hold() -> nix::Result<Signals> {
        let mut wanted = SigSet::empty();
        wanted.add(Signal::SIGINT);
        wanted.add(Signal::SIGTERM);
        let before = SigSet::thread_get_mask()?;
        wanted.thread_block()?;
        let pending = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        if pending.is_err() {
            before.thread_set_mask()?;
        }
        Ok(Signals { before, pending: pending? })
    }

    fn came(&self) -> io::Result<bool> {
        Ok(self.pending.read_signal()?.is_some())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It was right before.
        let _ = self.before.thread_set_mask();
    }
}

enum Pipe {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

impl Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Pipe::Out(pipe) => pipe.read(buffer),
            Pipe::Err(pipe) => pipe.read(buffer),
        }
    }

    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Pipe::Out(pipe) => pipe.as_fd(),
            Pipe::Err(pipe) => pipe.as_fd(),
        }
    }
}

struct Running {
    child: Child,
    own_group: bool,
    /// Those that are still open.
    pipes: Vec<(Stream, Pipe)>,
}

struct Ended {
    status: ExitStatus,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Itself,
    Limit,
    Asked,
}

impl Running {
    fn follow(
        &mut self,
        limit: Option<Duration>,
        signals: Option<&Signals>,
        tell: &mut dyn FnMut(Stream, &[u8]),
    ) -> io::Result<Ended> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (mut why, mut kill_at, mut left_at) = (Why::Itself, None, None);
        loop {
            self.listen(signals, tell)?;
            let now = Instant::now();
            if let Some(status) = self.child.try_wait()? {
                let left_at = *left_at.get_or_insert(now + HELD);
                if self.pipes.is_empty() || now >= left_at {
                    return Ok(Ended { status, why });
                }
                continue;
            }
            if why == Why::Itself {
                why = match signals.map(Signals::came).transpose()? {
                    Some(true) => Why::Asked,
                    Some(false) | None if deadline.is_some_and(|deadline| now >= deadline) => Why::Limit,
                    Some(false) | None => continue,
                };
                self.send(Signal::SIGTERM)?;
                kill_at = Some(now + GRACE);
            } else if kill_at.is_some_and(|kill_at| now >= kill_at) {
                self.send(Signal::SIGKILL)?;
            }
        }
    }

    /// Waits for output, a signal or the next look, and passes output on.
    fn listen(&mut self, signals: Option<&Signals>, tell: &mut dyn FnMut(Stream, &[u8])) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> =
            self.pipes.iter().map(|(_, pipe)| PollFd::new(pipe.fd(), PollFlags::POLLIN)).collect();
        fds.extend(signals.map(|signals| PollFd::new(signals.pending.as_fd(), PollFlags::POLLIN)));
        let wait = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, wait) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut buffer = [0; 8192];
        let mut open = Vec::new();
        for ((stream, mut pipe), ready) in self.pipes.drain(..).zip(ready) {
            if ready {
                let read = pipe.read(&mut buffer)?;
                if read == 0 {
                    continue;
                }
                tell(stream, &buffer[..read]);
            }
            open.push((stream, pipe));
        }
        self.pipes = open;
        Ok(())
    }

    fn send(&mut self, signal: Signal) -> io::Result<()> {
        let Ok(id) = i32::try_from(self.child.id()) else { return self.child.kill() };
        let id = Pid::from_raw(id);
        let sent = if self.own_group { killpg(id, signal) } else { nix::sys::signal::kill(id, signal) };
        match sent {
            // It has ended since it was looked at.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Pieces of output → whole lines. What `\r` would overwrite on a terminal is a line too.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// More output; the lines that it ends.
    pub(crate) fn more(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in piece {
            match byte {
                b'\n' | b'\r' => lines.extend(self.rest()),
                byte => self.begun.push(*byte),
            }
        }
        lines
    }

    /// What has no end yet, unless it is empty.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let begun = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&begun).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Option<u64>, stopping: Stopping) -> (Result<i32, String>, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let limit = limit.map(Duration::from_millis);
        let program = Program { command, input: b"said".to_vec(), limit, stopping };
        let mut written = Vec::new();
        let ended = program.run(&mut |stream, piece| {
            let mark = if stream == Stream::Out { "o:" } else { "e:" };
            written.extend_from_slice(mark.as_bytes());
            written.extend_from_slice(piece);
        });
        let ended = ended.map(|status| status.code().unwrap_or(-1)).map_err(|error| error.to_string());
        (ended, String::from_utf8(written).unwrap())
    }

    #[test]
    fn a_program_reads_its_input_and_what_it_writes_is_passed_on() {
        let (ended, written) = shell("cat; exec >&-; echo no >&2; exit 3", None, Stopping::Shared);
        assert_eq!((ended, written.as_str()), (Ok(3), "o:saide:no\n"));
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let script = "trap '' TERM; sleep 1000 & echo $!; wait; exit 0";
        let (ended, written) = shell(script, Some(3000), Stopping::Ours);
        assert_eq!(ended, Err("`sh` did not end within 3 s and was ended".to_owned()));
        let child = written.strip_prefix("o:").unwrap().trim();
        // A killed process closes its output before it is gone, and whoever inherits it may leave it a zombie.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") || state.contains(") X ") {
                break;
            }
            assert!(Instant::now() < deadline, "{state}");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_child_that_stays_behind_does_not_hold_us() {
        let started = Instant::now();
        let (ended, written) = shell("echo here; sleep 1000 & exit 0", None, Stopping::Ours);
        assert_eq!((ended, written.as_str()), (Ok(0), "o:here\n"));
        assert!(started.elapsed() < Duration::from_secs(100), "{:?}", started.elapsed());
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let command = Command::new("no-such-program");
        let program = Program { command, input: Vec::new(), limit: None, stopping: Stopping::Shared };
        let error = program.run(&mut |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program`");
    }

    #[test]
    fn lines_end_where_a_terminal_would_begin_one() {
        let mut lines = Lines::default();
        assert_eq!(lines.more(b"one\ntw"), ["one"]);
        assert_eq!(lines.more(b"o\r\n\n50%\r100%\rdo"), ["two", "50%", "100%"]);
        assert_eq!((lines.rest(), lines.rest()), (Some("do".to_owned()), None));
    }
}
