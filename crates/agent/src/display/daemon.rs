//! The daemon's own log: what happens to it and to its deployments, one line for each thing. On standard error for people and
//! the journal, as JSON lines on standard output for programs, and in the AWS agent's log file where there is a folder for it.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use longshore_core::problem::{Look, visible};
use longshore_core::report::{Envelope, Reporter};
use serde::Serialize;

use self::rolled::Rolled;
use super::sentence;
use crate::cli::Output;
use crate::daemon::notice::{Listener, Notice};
use crate::deployment::journal::Outcome;
use crate::event::Event;
use crate::hook::Stream;
use crate::settings::Settings;

mod rolled;

/// The log.
pub struct DaemonLog {
    is_verbose: bool,
    form: Form,
    out: Mutex<Box<dyn Write + Send>>,
    /// `<log_dir>/<program_name>.log`, when there is a folder.
    file: Option<Rolled>,
    now: fn() -> jiff::Zoned,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For the journal, which knows the time and takes the level as `<6>`.
    Journal,
    /// For a terminal, a file, another supervisor.
    Plain,
    /// For programs.
    Json,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// What is left out unless every detail is wanted.
    Debug,
    /// What happened.
    Info,
    /// What will surprise.
    Warn,
    /// What failed.
    Error,
}

impl Level {
    /// As the AWS agent writes it, five letters wide.
    fn word(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO ",
            Level::Warn => "WARN ",
            Level::Error => "ERROR",
        }
    }

    /// The priority of syslog.
    fn priority(self) -> u8 {
        match self {
            Level::Debug => 7,
            Level::Info => 6,
            Level::Warn => 4,
            Level::Error => 3,
        }
    }
}

/// A notice with its place in time, for programs.
#[derive(Serialize)]
struct Noted<'a> {
    v: u32,
    at: String,
    #[serde(flatten)]
    notice: &'a Notice,
}

impl DaemonLog {
    /// The log of a daemon with these settings. A log file that cannot be written is told, and loses nothing else.
    pub fn new(settings: &Settings, output: Output) -> DaemonLog {
        let (form, out): (Form, Box<dyn Write + Send>) = match output {
            Output::Json => (Form::Json, Box::new(std::io::stdout())),
            Output::Text if is_journal() => (Form::Journal, Box::new(std::io::stderr())),
            Output::Text => (Form::Plain, Box::new(std::io::stderr())),
        };
        let file = settings.log_dir.as_deref().map(|folder| Rolled::open(folder, &settings.program_name));
        let (file, error) = match file {
            Some(Ok(file)) => (Some(file), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let log = DaemonLog { is_verbose: settings.verbose, form, out: Mutex::new(out), file, now: jiff::Zoned::now };
        if let (Some(error), Some(folder)) = (error, &settings.log_dir) {
            let message = format!("no log is written to {}: {error}", folder.display());
            log.tell(&Notice::Warned { message });
        }
        log
    }

    /// Writes lines for people, each about the deployment if there is one.
    fn write(&self, lines: &[(Level, String)], deployment: Option<&str>) {
        let now = (self.now)();
        let about = deployment.map(|id| format!("{id}: ")).unwrap_or_default();
        // A message of more lines than one stays readable: each is a line of the log.
        let lines = lines.iter().flat_map(|(level, text)| {
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(move |line| (level, line))
        });
        for (level, text) in lines {
            if *level == Level::Debug && !self.is_verbose {
                continue;
            }
            let text = format!("{about}{}", visible(text));
            match self.form {
                Form::Journal => self.put(&format!("<{}>{text}\n", level.priority())),
                Form::Plain => self.put(&format!("{} {} {text}\n", stamp(&now), level.word())),
                Form::Json => {}
            }
            if let Some(file) = &self.file {
                file.write(&now, level.word(), &text);
            }
        }
    }

    fn json<T: Serialize>(&self, line: &T) {
        match self.form {
            Form::Json => {
                if let Ok(line) = serde_json::to_string(line) {
                    self.put(&format!("{line}\n"));
                }
            }
            Form::Journal | Form::Plain => {}
        }
    }

    fn put(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that is gone is the log's loss.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

impl Reporter<Event> for DaemonLog {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        if self.is_verbose || !matches!(envelope.event, Event::HookOutput { .. }) {
            self.json(envelope);
        }
        self.write(&of_event(envelope.event, envelope.deployment), envelope.deployment);
    }
}

impl Listener for DaemonLog {
    fn tell(&self, notice: &Notice) {
        let at = (self.now)().timestamp();
        self.json(&Noted { v: 1, at: format!("{at:.3}"), notice });
        self.write(&[of_notice(notice)], None);
    }
}

fn stamp(now: &jiff::Zoned) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Whether standard error is a stream of the journal (systemd: `JOURNAL_STREAM` names its device and inode).
fn is_journal() -> bool {
    let Some(named) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(own) = std::fs::metadata("/proc/self/fd/2") else { return false };
    named == format!("{}:{}", own.dev(), own.ino())
}

/// The lines for an event.
fn of_event(event: &Event, deployment: Option<&str>) -> Vec<(Level, String)> {
    let told = || {
        // `<verb> <rest>`, the verb moved to the right; further lines are warnings about the first.
        let text = sentence(event, deployment, Look::Plain).unwrap_or_default();
        text.lines().map(|line| line.trim_start().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let all = |level| told().into_iter().map(|line| (level, line)).collect::<Vec<_>>();
    match event {
        Event::DeploymentStarted { .. }
        | Event::DeploymentResumed { .. }
        | Event::EarlierClosed { .. }
        | Event::Fetched { .. }
        | Event::SignatureVerified { .. }
        | Event::HookStarted { .. }
        | Event::HookFound { .. }
        | Event::Installed { .. }
        | Event::EventFinished { .. } => all(Level::Info),
        Event::Warning { .. } => all(Level::Warn),
        // A log does not need to know how far it is.
        Event::Fetching { .. } | Event::Installing { .. } => Vec::new(),
        Event::EventStarted { event } => vec![(Level::Debug, format!("Beginning {event}"))],
        Event::EventSkipped { event, reason } => match told() {
            lines if lines.is_empty() => vec![(Level::Debug, format!("Skipped {event}: {reason}"))],
            lines => lines.into_iter().map(|line| (Level::Info, line)).collect(),
        },
        Event::HookOutput { stream, line } => {
            let stream = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            vec![(Level::Debug, format!("[{stream}]{line}"))]
        }
        Event::HookFinished { report, .. } => {
            let first = if report.outcome.is_success() { Level::Info } else { Level::Error };
            let level = |index| if index == 0 { first } else { Level::Warn };
            told().into_iter().enumerate().map(|(index, line)| (level(index), line)).collect()
        }
        Event::EventFailed { event, message, script: _, code } => {
            vec![(Level::Error, format!("Failed {event} (code {code}): {message}"))]
        }
        Event::DeploymentFinished { outcome, reason, .. } => {
            let level = match outcome {
                Outcome::Succeeded => Level::Info,
                Outcome::Failed | Outcome::Refused | Outcome::Interrupted => Level::Error,
            };
            let reason = reason.as_deref().map(|reason| match outcome {
                // The event's own lines have told the rest.
                Outcome::Failed => reason.lines().next().unwrap_or_default(),
                Outcome::Succeeded | Outcome::Refused | Outcome::Interrupted => reason,
            });
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            told().into_iter().map(|line| (level, format!("{line}{reason}"))).collect()
        }
    }
}

/// The line for a notice.
fn of_notice(notice: &Notice) -> (Level, String) {
    match notice {
        Notice::Started { version, sources } if sources.is_empty() => {
            (Level::Info, format!("longshore-agent {version} began; it takes orders from its socket alone"))
        }
        Notice::Started { version, sources } => {
            (Level::Info, format!("longshore-agent {version} began; it takes orders from {}", sources.join(", ")))
        }
        Notice::Warned { message } => (Level::Warn, message.clone()),
        Notice::SourceLost { source, reason, retry_s } => {
            (Level::Warn, format!("{source} gives no orders, next try in {retry_s}s: {reason}"))
        }
        Notice::SourceBack { source } => (Level::Info, format!("{source} answers again")),
        Notice::CommandAgain { command } => (Level::Debug, format!("command {command} came again")),
        Notice::AnswerKept { event, reason, .. } => {
            (Level::Warn, format!("CodeDeploy does not hear of {event} yet, and is told again: {reason}"))
        }
        Notice::CommandRefused { event, reason, .. } => {
            (Level::Error, format!("{event}, as CodeDeploy asks for it, cannot be carried out: {reason}"))
        }
        Notice::ResultRefused { event, reason, .. } => {
            (Level::Error, format!("CodeDeploy does not take the result of {event}: {reason}"))
        }
        Notice::Ordered { by, deployment, revision } => {
            (Level::Info, format!("{deployment} ordered by {by}, from {revision}"))
        }
        Notice::Paused { by } => (Level::Warn, format!("paused by {by}: new orders are left where they are")),
        Notice::Unpaused { by } => (Level::Info, format!("resumed by {by}: new orders are taken again")),
        Notice::Stopping { handed_over } if handed_over.is_empty() => (Level::Info, "ending".to_owned()),
        Notice::Stopping { handed_over } => {
            (Level::Info, format!("ending; the next agent goes on with {}", handed_over.join(", ")))
        }
        Notice::Stopped => (Level::Info, "ended".to_owned()),
    }
}

#[cfg(test)]
mod tests;
