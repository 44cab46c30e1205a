//! Starts a shim and follows it, also one that an earlier agent started. Touches the script only when its shim is dead:
//! then nobody keeps its time any more, and it is ended.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::command::{HookCommand, without_credentials};
use super::entry::entry;
use super::folder::{self, Running};
use super::shim::{ProgressLine, SUBCOMMAND};
use super::tail::Tail;
use super::tree::{self, Kin};
use super::{HookOutcome, HookReport, Process, Stream};
use longshore_core::fsx;

/// How often to look for the end of a hook that another agent started, and whether to let go of one.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a shim may take from its start until it says what it runs.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// How long to go on killing what a dead shim left. Whatever lives then hangs in the kernel, or is not ours to kill.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How often to look whether it has ended.
const ENDED: Duration = Duration::from_millis(10);

/// Why a hook could not be followed. A script that fails is not an error here; it is a [`HookReport`].
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The shim could not be started. The script did not run.
    #[error("cannot start the hook process of `{location}`")]
    Start {
        /// The script.
        location: String,
        /// Why.
        source: io::Error,
    },
    /// The folder has been used for a hook before. The script did not run again.
    #[error("`{}` belongs to a hook that was started before", dir.display())]
    Used {
        /// The hook's folder.
        dir: PathBuf,
    },
    /// The hook's folder cannot be read.
    #[error("cannot read how the hook in `{}` ended", dir.display())]
    Result {
        /// The hook's folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The program that owns running hooks: `longshore-agent` itself.
#[derive(Debug, Clone)]
pub struct Shim {
    /// Its path.
    pub exe: PathBuf,
}

/// Runs one hook to its end. `dir` is created and belongs to this hook alone. `on_line` sees output as it comes, and may
/// miss lines when there are too many; `scripts.log` misses none until it is full.
pub fn run(command: &HookCommand, dir: &Path, on_line: &mut dyn FnMut(Stream, &str)) -> Result<HookReport, HookError> {
    Shim::this_program().run(command, dir, on_line)
}

/// Whether to let go of a hook: it runs on without whoever follows it, and another one can follow it later.
pub type LetGo<'a> = &'a dyn Fn() -> bool;

/// Who keeps a hook to its end.
const NEVER: LetGo<'static> = &|| false;

/// Waits for the end of a hook that an earlier agent started in `dir`. Returns at once when it has ended. `on_line` sees
/// output as it comes, and may miss lines.
///
/// A hook without result and without living shim is [`HookOutcome::Interrupted`]. What still runs of it is ended, TERM
/// first, and named: without a shim it has no time limit, and nobody reads what it prints.
pub fn follow(dir: &Path, on_line: &mut dyn FnMut(Stream, &str)) -> Result<HookReport, HookError> {
    loop {
        if let Some(report) = follow_until(dir, on_line, NEVER)? {
            return Ok(report);
        }
    }
}

/// As [`follow`], and `None` once `let_go` says so.
pub fn follow_until(
    dir: &Path,
    on_line: &mut dyn FnMut(Stream, &str),
    let_go: LetGo<'_>,
) -> Result<Option<HookReport>, HookError> {
    let mut tail = None;
    loop {
        let is_alive = is_locked(dir).map_err(|source| HookError::Result { dir: dir.to_owned(), source })?;
        if is_alive && tail.is_none() {
            tail = Running::read(dir).and_then(|running| running.output).map(|position| Tail::new(&position));
        }
        // Only now: a shim writes the result before it gives up the lock.
        let report = result(dir)?;
        // And only now: it logs the last line before it writes the result.
        if let Some(tail) = &mut tail {
            tail.read(on_line);
        }
        if let Some(report) = report {
            folder::tidy(dir);
            return Ok(Some(report));
        }
        if !is_alive {
            return Ok(Some(interrupted(dir, None)));
        }
        if let_go() {
            return Ok(None);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Whether the hook of this folder still runs, whoever started it.
pub fn is_running(dir: &Path) -> Result<bool, HookError> {
    is_locked(dir).map_err(|source| HookError::Result { dir: dir.to_owned(), source })
}

/// Whether a script may have run in this folder since the host was booted. `false`: certainly not, so that [`run`] is safe.
pub fn was_started(dir: &Path) -> Result<bool, HookError> {
    let failed = |source| HookError::Result { dir: dir.to_owned(), source };
    let exists = |name| dir.join(name).try_exists().map_err(failed);
    if exists(folder::RESULT)? || is_locked(dir).map_err(failed)? {
        return Ok(true);
    }
    // A shim removes the command before it starts anything: where it still stands, none came so far.
    Ok(exists(folder::LOCK)? && !exists(folder::COMMAND)?)
}

/// Asks the shim of this folder to end its script and everything the script started. Does not wait for that; the report
/// comes as always. Nothing happens when no script runs.
pub fn stop(dir: &Path) {
    let until = Instant::now() + ANNOUNCE;
    while let (Ok(true), true) = (is_locked(dir), Instant::now() < until) {
        if let Some(running) = Running::read(dir) {
            // Gone since: then there is nothing to end.
            let _ = kill(Pid::from_raw(running.shim), Signal::SIGTERM);
            return;
        }
        // It is just about to start its script.
        thread::sleep(ENDED);
    }
}

/// Removes what nobody needs of a hook that was interrupted and will not be followed; above all its environment. Nothing
/// happens while it runs. Not to be called while somebody is about to start it.
pub fn tidy(dir: &Path) {
    if let Ok(false) = is_locked(dir) {
        folder::tidy(dir);
    }
}

impl Shim {
    /// The running program, even when its file has been replaced or removed since it was started: agent and shim must
    /// agree on what stands between them.
    pub fn this_program() -> Shim {
        Shim { exe: PathBuf::from("/proc/self/exe") }
    }

    /// As the function [`run`], with this program as shim.
    pub fn run(
        &self,
        command: &HookCommand,
        dir: &Path,
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<HookReport, HookError> {
        match self.run_until(command, dir, on_line, NEVER)? {
            Some(report) => Ok(report),
            None => follow(dir, on_line),
        }
    }

    /// As [`Shim::run`], and `None` once `let_go` says so. What the script prints after that is in its log.
    pub fn run_until(
        &self,
        command: &HookCommand,
        dir: &Path,
        on_line: &mut dyn FnMut(Stream, &str),
        let_go: LetGo<'_>,
    ) -> Result<Option<HookReport>, HookError> {
        let start = |source| HookError::Start { location: command.location.clone(), source };
        let dir = std::path::absolute(dir).map_err(start)?;
        if was_started(&dir)? {
            return Err(HookError::Used { dir });
        }
        // What an agent left that died before it started a shim.
        folder::tidy(&dir);
        let _ = fs::remove_file(dir.join(folder::LOCK));
        // As a rule the deployment's folder of hooks is there.
        let made = dir.ancestors().take_while(|folder| !folder.exists()).count();
        let written = write_command(command, &dir).and_then(|()| self.command(&dir, made));
        let mut shim = written.map_err(|source| {
            folder::tidy(&dir);
            start(source)
        })?;
        let mut shim = shim.spawn().map_err(|source| {
            folder::tidy(&dir);
            // It was ours, and nothing has run.
            let _ = fs::remove_file(dir.join(folder::LOCK));
            start(source)
        })?;
        if let Some(progress) = shim.stdout.take()
            && pass_on(progress, on_line, let_go)
        {
            return Ok(None);
        }
        let status = shim.wait().map_err(|source| HookError::Result { dir: dir.clone(), source })?;
        match result(&dir)? {
            Some(report) => Ok(Some(report)),
            None => Ok(Some(interrupted(&dir, Some(status)))),
        }
    }

    /// `made`: how many of the folder and those above it are new.
    fn command(&self, dir: &Path, made: usize) -> io::Result<Command> {
        let private = || File::options().write(true).create_new(true).mode(0o600).to_owned();
        let lock = private().open(dir.join(folder::LOCK))?;
        // Locked here and not by the shim: from the first moment on at which a script could run, `follow` waits. The shim
        // inherits the locked file as its standard input, and our copy is closed with the command. Somebody may just be
        // looking whether it is locked, so this may take a moment.
        lock.lock()?;
        let log =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(dir.join(folder::SHIM_LOG))?;
        // The file must be there after a crash of the host too: it says that the script may have run.
        for folder in dir.ancestors().take(made.max(1) + 1) {
            fsx::sync_dir(folder)?;
        }
        let env: BTreeMap<_, _> = std::env::vars_os().collect();
        let mut shim = Command::new(&self.exe);
        shim.arg0("longshore-agent").arg(SUBCOMMAND).arg(dir);
        shim.env_clear().envs(without_credentials(&env));
        shim.stdin(Stdio::from(lock)).stdout(Stdio::piped()).stderr(Stdio::from(log));
        Ok(shim)
    }
}

fn write_command(command: &HookCommand, dir: &Path) -> io::Result<()> {
    for path in [&command.script, &command.archive, &command.cwd, &command.log] {
        if !path.is_absolute() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is not absolute", path.display())));
        }
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // It may have been there. Private before the environment is in it.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    // Not atomic and not synced: the shim that reads it starts later, and after a crash of the host there is none.
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(dir.join(folder::COMMAND))?;
    file.write_all(&serde_json::to_vec(command)?)
}

/// Reads until nobody holds the other end: then the result is there, or the shim is dead. Whether it let go before that.
fn pass_on(mut progress: ChildStdout, on_line: &mut dyn FnMut(Stream, &str), let_go: LetGo<'_>) -> bool {
    let wait = PollTimeout::try_from(LOOK_AGAIN).unwrap_or(PollTimeout::ZERO);
    let (mut lines, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        if let_go() {
            return true;
        }
        match poll(&mut [PollFd::new(progress.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            // What is wrong with the pipe is told by the read.
            Ok(_) | Err(_) => {}
        }
        match progress.read(&mut chunk) {
            Ok(0) => return false,
            Ok(read) => lines.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return false,
        }
        // A line that is cut off by the end is in the log.
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = lines.drain(..=end).collect();
            if let Ok(ProgressLine { stream, text }) = serde_json::from_slice(&line) {
                on_line(stream, &text);
            }
        }
    }
}

fn result(dir: &Path) -> Result<Option<HookReport>, HookError> {
    folder::result(dir).map_err(|source| HookError::Result { dir: dir.to_owned(), source })
}

/// Whether a shim lives. A folder without the file never had one.
fn is_locked(dir: &Path) -> io::Result<bool> {
    match File::open(dir.join(folder::LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
    }
}

fn interrupted(dir: &Path, status: Option<ExitStatus>) -> HookReport {
    let running = Running::read(dir);
    let mut notes = Vec::new();
    if let Some(signal) = status.and_then(|status| status.signal()) {
        notes.push(format!("the process that watched the script was ended by signal {signal}"));
    }
    let said = fs::read_to_string(dir.join(folder::SHIM_LOG)).unwrap_or_default();
    notes.extend(said.lines().filter(|line| !line.starts_with(folder::DEBUG)).map(str::to_owned));
    let (found, mut left_running) = running.as_ref().map(end_orphans).unwrap_or_default();
    let ended = found.iter().filter(|process| !left_running.iter().any(|still| still.pid == process.pid));
    notes.extend(ended.map(|process| format!("ended what still ran: {} (process {})", process.command, process.pid)));
    left_running.truncate(HookReport::MOST_LEFT_RUNNING);
    folder::tidy(dir);
    HookReport {
        outcome: HookOutcome::Interrupted,
        duration: Duration::ZERO,
        started: running.as_ref().map(|running| running.started.clone()),
        ended: None,
        pid: running.map(|running| running.pid),
        left_running,
        made_executable: false,
        notes,
        last_lines: Vec::new(),
    }
}

/// Ends what a dead shim left: TERM, grace, KILL. What ran, and what could not be ended.
///
/// Only what certainly belongs to the hook: its cgroup, and its session and descendants as long as the script's own
/// process lives. Without both, a session of that number may be somebody else's by now: what is in it is only named.
fn end_orphans(running: &Running) -> (Vec<Process>, Vec<Process>) {
    if running.boot != folder::boot_id() {
        return Default::default();
    }
    let cgroup = running.cgroup.as_ref().map(|dir| Cgroup::at(dir.0.clone()));
    let leader = entry(running.pid);
    let is_it = leader.as_ref().is_some_and(|leader| leader.ticks == running.ticks);
    let pid = is_it.then_some(running.pid);
    let ours = Kin { root: pid, session: pid, cgroup: cgroup.as_ref() };
    let suspects = Kin { session: leader.is_none().then_some(running.pid).or(pid), ..ours };
    let found = tree::describe(&suspects.living(), &[]);
    let ended_by = |until: Instant, act: &dyn Fn()| {
        while !ours.living().is_empty() && Instant::now() < until {
            act();
            thread::sleep(ENDED);
        }
    };
    if !ours.living().is_empty() {
        ours.signal(Signal::SIGTERM);
        ours.signal(Signal::SIGCONT);
        let now = Instant::now();
        ended_by(now.checked_add(running.grace).unwrap_or(now), &|| {});
        ended_by(Instant::now() + KILL_LIMIT, &|| ours.kill());
    }
    if let Some(cgroup) = &cgroup {
        let _ = cgroup.remove();
    }
    (found, tree::describe(&suspects.living(), &[]))
}
