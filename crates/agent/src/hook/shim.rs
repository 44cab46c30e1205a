//! The tiny process that owns a running hook: starts the script, reads its output, ends it when its time is over, and
//! writes how it ended. Chooses no hooks, never retries, and does not report to anybody but the file it writes.
//!
//! It is a process of its own so that the agent may be killed, restarted or replaced while a script runs. Signals: HUP,
//! INT, QUIT and all others are ignored; TERM ends the script with everything it started, as a timeout does, and the
//! result says so. As a subreaper it stays an ancestor of everything that the script starts, whatever sessions,
//! background jobs and double forks lie between.

mod child;
mod log;
mod output;
mod raw;
mod rotated;
mod script;
mod supervisor;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{self, ForkResult, Pid};

use self::child::{Failed, Launch, Stage, Started};
use self::log::ScriptsLog;
use self::output::{Output, Progress};
use self::raw::Raw;
use self::script::{Script, not_started};
use self::supervisor::Supervisor;
use super::cgroup::Cgroup;
use super::command::{DEPLOYMENT_VARIABLES, HookCommand, RunAs};
use super::entry::entry;
use super::folder::{self, CgroupDir, Position, Running};
use super::policy::{HookEnvironment, Leftovers};
use super::{HookOutcome, HookReport, Stream, user};

pub(in crate::hook) use self::log::ROTATED;
pub(in crate::hook) use self::output::ProgressLine;
pub(in crate::hook) use self::rotated::rotated;
pub(in crate::hook) use self::script::{interpreter_words, windows_line_end};

/// The hidden subcommand, followed by the hook's folder.
pub const SUBCOMMAND: &str = "hook-shim";

/// How long to try to write the result: a disk may be full for a moment.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Runs a shim when the arguments (program name first) ask for one. Costs next to nothing when they do not.
///
/// To be called before the process has opened a file or started a thread: a shim closes what it inherited, and forks.
pub fn dispatch(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let subcommand = args.nth(1)?;
    let dir = args.next().filter(|_| subcommand == SUBCOMMAND)?;
    Some(run(Path::new(&dir)))
}

/// Runs the hook described by `command.json` in `dir`, writes `result.json` there, and is then done or stays as a reader
/// of what the hook left running.
fn run(dir: &Path) -> ExitCode {
    match own(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::FAILURE
        }
    }
}

/// Why a shim could not do its work.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error("cannot become the owner of a hook")]
    Detach { source: io::Error },
    #[error("cannot take `{path}`")]
    Command { path: PathBuf, source: io::Error },
    #[error("cannot write the result to `{path}`")]
    Result { path: PathBuf, source: io::Error },
}

fn own(dir: &Path) -> Result<(), ShimError> {
    let (signals, progress) = detach().map_err(|source| ShimError::Detach { source })?;
    let mut command = read_command(dir)?;
    if let (RunAs::Agent, HookEnvironment::Clean) = (&command.user, command.environment)
        // An agent without an entry in the user database hands on what it has.
        && let Ok(Some(user)) = user::own()
    {
        command.log_in(&user);
    }
    let log = ScriptsLog::new(&command.log, command.deployments_log.as_ref());
    let mut output = Output::new(log, Raw::new(dir.join(folder::OUTPUT)), Some(progress));
    let cgroup = own_cgroup(&command);
    let report = follow(&command, dir, &signals, cgroup.as_ref(), &mut output);
    write_result(dir, &report)?;
    folder::tidy(dir);
    // What runs on keeps it; the reader or the next hook's shim removes it then.
    let cgroup = cgroup.filter(|cgroup| cgroup.remove().is_err());
    stay(output, cgroup.as_ref());
    Ok(())
}

/// Without one, what belongs to the script is known by parents and sessions alone.
fn own_cgroup(command: &HookCommand) -> Option<Cgroup> {
    match Cgroup::create() {
        Ok(cgroup) => Some(cgroup),
        Err(error) => {
            eprintln!("{}`{}` has no cgroup of its own: {error}", folder::DEBUG, command.location);
            None
        }
    }
}

/// Leaves the agent's session and everything else inherited from it, becomes the ancestor of all that follows, and blocks
/// all signals (CHLD and TERM are read).
fn detach() -> io::Result<(SignalFd, Progress)> {
    // First: from here on descriptors are ours.
    close_inherited()?;
    // Fails only for a process group leader, which is what we want to be.
    let _ = unistd::setsid();
    let _ = prctl::set_name(c"longshore-hook");
    prctl::set_child_subreaper(true)?;
    SigSet::all().thread_block()?;
    let mut read = SigSet::empty();
    read.add(Signal::SIGCHLD);
    read.add(Signal::SIGTERM);
    let signals = SignalFd::with_flags(&read, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let progress = Progress::new(io::stdout().as_fd().try_clone_to_owned()?)?;
    Ok((signals, progress))
}

/// The agent may itself have inherited descriptors from whoever started it. The script must not get them, and the reader
/// that stays must not keep them.
#[expect(unsafe_code, reason = "nobody owns these descriptors; they are known by number alone")]
fn close_inherited() -> io::Result<()> {
    let descriptors = fs::read_dir("/proc/self/fd")?;
    let numbers: Vec<i32> = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: this process has just started and opened nothing itself but the listing above, which is closed.
        unsafe { nix::libc::close(number) };
    }
    Ok(())
}

fn read_command(dir: &Path) -> Result<HookCommand, ShimError> {
    let path = dir.join(folder::COMMAND);
    let read = fs::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?));
    // At once: it holds the environment, and nobody may come who would remove it later. Where it stands, no script was
    // started, so that without it being removed none is.
    let removed = fs::remove_file(&path);
    read.and_then(|command| removed.map(|()| command)).map_err(|source| ShimError::Command { path, source })
}

/// From the first line in the log to the last.
fn follow(
    command: &HookCommand,
    dir: &Path,
    signals: &SignalFd,
    cgroup: Option<&Cgroup>,
    output: &mut Output,
) -> HookReport {
    if command.first_of_event {
        output.log.entry(&format!("LifecycleEvent - {}", command.event));
    }
    output.log.entry(&format!("Script - {}", command.location));
    let mut report = HookReport {
        outcome: HookOutcome::Interrupted,
        duration: Duration::ZERO,
        started: Some(folder::now()),
        ended: None,
        pid: None,
        left_running: Vec::new(),
        made_executable: false,
        notes: Vec::new(),
        last_lines: Vec::new(),
    };
    let clock = Instant::now();
    report.outcome = match start(command, dir, cgroup, &mut report, output) {
        Err(outcome) => outcome,
        Ok(pid) => {
            report.pid = Some(pid.as_raw());
            let mut hook = Supervisor {
                command,
                clock,
                pid,
                cgroup,
                status: None,
                is_childless: false,
                is_told: false,
                signals,
                output,
            };
            let outcome = hook.until_it_ends();
            report.left_running = hook.left_running();
            let is_told = matches!(outcome, HookOutcome::Killed { .. }) && hook.is_told;
            let notes = match command.leftovers {
                // Of what we ended ourselves only that is left which we cannot end.
                Leftovers::Kill if hook.status.is_some() => end_leftovers(&mut hook, &mut report),
                Leftovers::Kill | Leftovers::Warn | Leftovers::Fail => Vec::new(),
            };
            notes.into_iter().for_each(|text| note(&mut report, output, text));
            if is_told {
                note(&mut report, output, "somebody sent TERM to the process that watches the script".to_owned());
            }
            judged(outcome, command.leftovers, &report)
        }
    };
    report.duration = clock.elapsed();
    report.ended = Some(folder::now());
    output.end_lines();
    report.last_lines = output.last_lines();
    conclude(command, &mut report, output);
    report
}

/// Ends what the script left running, and says what that was.
fn end_leftovers(hook: &mut Supervisor<'_>, report: &mut HookReport) -> Vec<String> {
    let left = std::mem::take(&mut report.left_running);
    if left.is_empty() {
        return Vec::new();
    }
    let forced = hook.end_all();
    report.left_running = hook.left_running();
    let ended = left.iter().filter(|process| !report.left_running.iter().any(|still| still.pid == process.pid));
    let mut notes: Vec<String> = ended
        .map(|process| format!("ended what it left running: {} (process {})", process.command, process.pid))
        .collect();
    if forced {
        notes.push("some of that did not end on TERM and was killed".to_owned());
    }
    notes
}

/// What the user thinks of a script that has passed and left something running.
fn judged(outcome: HookOutcome, leftovers: Leftovers, report: &HookReport) -> HookOutcome {
    match (outcome, leftovers) {
        (HookOutcome::Passed, Leftovers::Fail) if !report.left_running.is_empty() => {
            HookOutcome::LeftRunning { holds_output: report.left_running.iter().any(|p| !p.holds.is_empty()) }
        }
        (outcome, Leftovers::Warn | Leftovers::Fail | Leftovers::Kill) => outcome,
    }
}

/// Checks and starts the script.
fn start(
    command: &HookCommand,
    dir: &Path,
    cgroup: Option<&Cgroup>,
    report: &mut HookReport,
    output: &mut Output,
) -> Result<Pid, HookOutcome> {
    let script = script::prepare(command)?;
    if let Some(mode) = script.old_mode {
        report.made_executable = true;
        note(report, output, format!("`{}` was not executable (mode {mode:04o}): made so", command.location));
    }
    let launch = launch(command, &script)?;
    let place = output.log.place();
    let running = |pid: Pid| Running {
        shim: unistd::getpid().as_raw(),
        pid: pid.as_raw(),
        ticks: entry(pid.as_raw()).map_or(0, |entry| entry.ticks),
        started: report.started.clone().unwrap_or_default(),
        boot: folder::boot_id(),
        cgroup: cgroup.map(|cgroup| CgroupDir(cgroup.dir().to_owned())),
        grace: command.grace,
        output: place.map(|(inode, offset)| Position { log: command.log.clone(), inode, offset }),
    };
    let started = launch.start(cgroup, |pid| announce(dir, &running(pid)));
    let started = started.map_err(|failed| why_not_started(&failed, command, &script))?;
    let Started { pid, stdout, stderr, by_sh, outside } = started;
    if let Some(error) = outside {
        eprintln!("{}`{}` is not in its cgroup: {error}", folder::DEBUG, command.location);
    }
    if by_sh {
        note(report, output, script.why_sh(&command.location));
    }
    for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        if let Err(error) = output.add(stream, pipe) {
            note(report, output, format!("cannot read the script's output: {error}"));
        }
    }
    output.log.flush();
    Ok(pid)
}

/// By which program, and as whom.
fn launch(command: &HookCommand, script: &Script) -> Result<Launch, HookOutcome> {
    let (program, args) = match (&command.user, command.sudo) {
        (RunAs::Unknown(user), _) => return Err(HookOutcome::NoSuchUser { user: user.clone() }),
        (RunAs::Agent | RunAs::User(_), true) => sudo(command)?,
        (RunAs::User(user), false) if !can_become(user.uid) => {
            let name = &user.name;
            return Err(not_started(format!(
                "the agent is not root and cannot run `{}` as user `{name}`; run the agent as root, or write \
                 `sudo: true` and let sudo allow it",
                command.location
            )));
        }
        (RunAs::Agent | RunAs::User(_), false) => (command.script.clone(), Vec::new()),
    };
    let env = command.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    let launch = Launch::new(&program, args.iter().map(OsString::as_os_str), env, &command.cwd)
        .map_err(|error| not_started(format!("cannot run `{}`: {error}", command.location)))?;
    let launch = if script.is_text() && !command.sudo { launch.script() } else { launch };
    Ok(match child::needs_switch(&command.user) {
        Some(user) => launch.for_user(user),
        None => launch,
    })
}

fn can_become(uid: u32) -> bool {
    let own = unistd::geteuid();
    own.is_root() || own.as_raw() == uid
}

/// `sudo` and its arguments. It drops all variables but those we name (AWS agent 1.8.1 loses them).
fn sudo(command: &HookCommand) -> Result<(PathBuf, Vec<OsString>), HookOutcome> {
    let path = command.env.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&path).map(|folder| folder.join("sudo")).find(|program| program.is_file());
    let Some(program) = found else {
        return Err(not_started(format!("`{}` asks for sudo, which is not installed", command.location)));
    };
    let kept: Vec<&str> =
        DEPLOYMENT_VARIABLES.into_iter().filter(|name| command.env.contains_key(OsStr::new(name))).collect();
    let mut args = vec!["--non-interactive".into(), format!("--preserve-env={}", kept.join(",")).into()];
    match &command.user {
        RunAs::User(user) => args.push(format!("--user={}", user.name).into()),
        RunAs::Agent | RunAs::Unknown(_) => {}
    }
    args.extend(["--".into(), command.script.clone().into()]);
    Ok((program, args))
}

fn why_not_started(failed: &Failed, command: &HookCommand, script: &Script) -> HookOutcome {
    let Failed { stage, errno } = failed;
    let (location, text) = (&command.location, errno.desc());
    not_started(match stage {
        Stage::Process => format!("cannot start a process for `{location}`: {text}"),
        Stage::Folder => format!("cannot enter the working folder `{}`: {text}", command.cwd.display()),
        Stage::User => format!("cannot become the user that `{location}` runs as: {text}"),
        Stage::Program if command.sudo => format!("cannot run sudo for `{location}`: {text}"),
        Stage::Program => script.why_not(*errno, command),
    })
}

/// Says what runs, for an agent that did not start it. Not synced: after a crash of the host nothing runs.
fn announce(dir: &Path, running: &Running) {
    // Without it an agent knows less, and nothing else changes.
    let _ = serde_json::to_vec(running).map(|json| write_private(&dir.join(folder::RUNNING), &json));
}

/// A sentence for the report and for `scripts.log`.
fn note(report: &mut HookReport, output: &mut Output, text: String) {
    output.log.entry(&format!("Longshore - {text}"));
    report.notes.push(text);
}

/// Says in `scripts.log` what the script's own output cannot say.
fn conclude(command: &HookCommand, report: &mut HookReport, output: &mut Output) {
    let location = &command.location;
    let text = match &report.outcome {
        HookOutcome::Passed | HookOutcome::Interrupted => None,
        HookOutcome::Exited { status } => Some(format!("`{location}` exited with {status}")),
        HookOutcome::Killed { signal } => Some(format!("`{location}` was ended by signal {signal}")),
        HookOutcome::TimedOut { forced } => {
            let how = if *forced { "it did not end on TERM and was killed" } else { "it ended on TERM" };
            Some(format!("`{location}` ran longer than {:?}: {how}", command.timeout))
        }
        HookOutcome::Missing => Some(format!("`{location}` is not in the bundle")),
        HookOutcome::NoSuchUser { user } => Some(format!("user `{user}` of `{location}` does not exist")),
        HookOutcome::NotExecutable { reason } | HookOutcome::NotStarted { reason } => Some(reason.clone()),
        HookOutcome::LeftRunning { .. } => Some(format!("`{location}` failed because it left something running")),
    };
    if let Some(text) = text {
        output.log.entry(&format!("Longshore - {text}"));
    }
    for process in &report.left_running {
        let holds = match process.holds.as_slice() {
            [] => "",
            [Stream::Stdout] => ", holds stdout",
            [Stream::Stderr] => ", holds stderr",
            [_, _, ..] => ", holds stdout and stderr",
        };
        output.log.entry(&format!("Longshore - left running: {} (process {}{holds})", process.command, process.pid));
    }
    output.log.flush();
    if output.is_closed() {
        output.finish();
    }
    let deployments = command.deployments_log.as_ref().map(|log| log.path.as_path());
    let [of_scripts, of_deployments] = output.log.errors();
    let raw = (Some(Path::new(folder::OUTPUT)), output.raw.error());
    for (path, error) in [(Some(command.log.as_path()), of_scripts), (deployments, of_deployments), raw] {
        if let (Some(path), Some(error)) = (path, error) {
            report.notes.push(format!("`{}` is not whole: {error}", path.display()));
        }
    }
}

fn write_result(dir: &Path, report: &HookReport) -> Result<(), ShimError> {
    let path = dir.join(folder::RESULT);
    let json = serde_json::to_vec(report).map_err(io::Error::from);
    let until = Instant::now() + WRITE_LIMIT;
    loop {
        let written = match &json {
            // Neither synced nor renamed into place: whoever finds our lock free and half a result takes it for none, and
            // the agent syncs what it makes of it.
            Ok(json) => write_private(&path, json),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        match written {
            Ok(()) => break,
            Err(source) if Instant::now() > until => return Err(ShimError::Result { path, source }),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
    Ok(())
}

fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(contents)
}

/// Reads on for what the script left running, so that it neither blocks on a full pipe nor dies of SIGPIPE.
///
/// A child does it: the shim's own end tells the agent that the result is there, and a child is no subreaper, so that
/// what is left running gets the parent it would have without us. It ignores all signals (they stay blocked) and ends
/// when the last holder of the output does.
#[expect(unsafe_code, reason = "fork is unsafe by nature")]
fn stay(mut output: Output, cgroup: Option<&Cgroup>) {
    output.close_progress();
    if output.is_closed() {
        return;
    }
    // SAFETY: a shim has one thread, so the child is a whole copy of it.
    match unsafe { unistd::fork() } {
        // Without a reader what is left running may die of SIGPIPE, and there is nobody to tell.
        Ok(ForkResult::Parent { .. }) | Err(_) => return,
        Ok(ForkResult::Child) => {}
    }
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = unistd::dup2_stdin(&null);
        let _ = unistd::dup2_stdout(&null);
        let _ = unistd::dup2_stderr(&null);
    }
    let _ = unistd::chdir("/");
    while !output.is_closed() {
        let mut watched: Vec<_> = output.pipes().map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)).collect();
        let _ = poll(&mut watched, PollTimeout::NONE);
        output.read();
    }
    output.finish();
    if let Some(cgroup) = cgroup {
        let _ = cgroup.remove();
    }
}
