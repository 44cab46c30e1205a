//! The sentences of `codedeploy-local`. What AWS's tool prints is on standard output in AWS's order; what is ours beside it
//! is on standard error.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use longshore_core::bundle::BundlePath;
use longshore_core::failure::{Failure, chain};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::{self, Look};
use longshore_core::report::{Envelope, Reporter};

use super::error::LocalError;
use super::log::{Level, Log};
use super::request::Note;
use crate::deployment::order::Order;
use crate::display::{look, sentence};
use crate::event::Event;
use crate::layout::{DeploymentDir, Layout};

/// Which program answers to `codedeploy-local`.
pub const VERSION: &str = concat!("longshore-agent ", env!("CARGO_PKG_VERSION"), ", called codedeploy-local");

/// How it is called.
pub const USAGE: &str = "Usage: codedeploy-local [options]";

/// The help text.
pub const HELP: &str = "\
Deploy a bundle to this host without the CodeDeploy service

Takes the options of AWS's tool of this name. `longshore-agent deploy` does the same, and can do more.

Usage: codedeploy-local [options]

Options:
  -l, --bundle-location LOCATION        A folder or an archive: a path, file:///path,
                                        s3://bucket/key[?versionId=...&etag=...],
                                        https://github.com/OWNER/REPOSITORY, or
                                        https://api.github.com/repos/OWNER/REPOSITORY/zipball/COMMIT
                                        [default: the working folder]
  -t, --type TYPE                       tgz, tar, zip or directory [default: directory]
  -b, --file-exists-behavior BEHAVIOR   What to do about files in the way, unless the appspec says it:
                                        DISALLOW, OVERWRITE or RETAIN [default: DISALLOW]
  -g, --deployment-group ID             The group, a folder below the root
                                        [default: default-local-deployment-group]
  -d, --deployment-group-name NAME      What scripts see as DEPLOYMENT_GROUP_NAME [default: LocalFleet]
  -a, --application-name NAME           What scripts see as APPLICATION_NAME [default: the bundle's location]
  -e, --events EVENTS                   Run only these events, in this order, separated by commas without
                                        spaces. DownloadBundle and Install are put in front when they are
                                        missing [default: all, in CodeDeploy's order]
  -c, --agent-configuration-file PATH   Where root_dir, max_revisions, log_dir, program_name and
                                        enable_deployments_log are read from
                                        [default: /etc/codedeploy-agent/conf/codedeployagent.yml]
  -A, --appspec-filename NAME           The appspec's name in the bundle [default: appspec.yml]
  -h, --help                            Show this text
  -v, --version                         Show the version

Exits with 0 when the deployment succeeded, and with 1 otherwise.

Example:
  codedeploy-local --bundle-location /srv/bundle.zip --type zip --deployment-group my-group";

/// A line on standard output.
pub fn print(text: &str) {
    // A reader that is gone changes nothing about the outcome.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Something that can be lived with.
pub fn warn(text: &str) {
    tell(&format!("WARNING: {text}"));
}

/// Why no deployment begins.
pub fn refused(error: &LocalError) {
    print(&match error {
        LocalError::Usage(error) => format!("ERROR: {error}\n\n{USAGE}\n(`codedeploy-local --help` shows the options)"),
        LocalError::Config(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("ERROR: {error}\n  {}", problems.join("\n  "))
        }
        LocalError::Word(_)
        | LocalError::Unreadable { .. }
        | LocalError::Request(_)
        | LocalError::Root(_)
        | LocalError::Agent(_) => format!("ERROR: {}", chain(error)),
    });
}

/// Says what will surprise about a request.
pub fn note(note: &Note) {
    warn(&match note {
        Note::StopsTheNew(events) => {
            let names: Vec<&str> = events.iter().map(LifecycleEvent::name).collect();
            format!(
                "{} after DownloadBundle (which is put in front when `--events` leaves it out): the scripts of the new \
                 revision run, not those of the installed one",
                names.join(", ")
            )
        }
        Note::UnusualOrder => "the events do not stand in CodeDeploy's order; they run as they stand".to_owned(),
        Note::FileExists(text) => {
            format!("`--file-exists-behavior {text}` is none of DISALLOW, OVERWRITE and RETAIN; DISALLOW holds")
        }
    });
}

/// Tells of one deployment.
pub struct Lines {
    layout: Layout,
    order: Order,
    log: Log,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: bool,
    /// The script that runs, or ran last.
    script: Option<PathBuf>,
    failed: bool,
}

impl Lines {
    /// For the deployment of an order.
    pub(super) fn new(layout: Layout, order: &Order, log: Log) -> Lines {
        if let Some(error) = &log.error {
            warn(error);
        }
        Lines { layout, order: order.clone(), log, state: Mutex::default() }
    }

    fn dir(&self) -> DeploymentDir {
        self.layout.deployment(&self.order.group.id, &self.order.deployment)
    }

    /// How the deployment ended; whether it succeeded.
    pub(super) fn ended(&self, result: &Result<(), Failure>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(script)) = (state.failed, &state.script) {
            print(&format!("Deployment failed in script {}", script.display()));
        }
        if state.started {
            print(&format!("The log of its scripts is {}", self.dir().scripts_log().display()));
        }
        match result {
            Ok(()) => print("Deployment succeeded"),
            // As AWS's tool: what is refused before it begins is told on standard output.
            Err(failure) if !state.started => print(&error(failure)),
            Err(failure) => tell(&format!("{}{}", problem::render(&failure.problems, look()), error(failure))),
        }
        result.is_ok()
    }
}

fn error(failure: &Failure) -> String {
    let text = failure.to_text();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let options = failure.hints.iter().any(|hint| hint.contains("`--"));
    let whose = if options { "\n(options in these hints are those of `longshore-agent deploy`)" } else { "" };
    format!("ERROR: {text}{whose}")
}

impl Reporter<Event> for Lines {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut level = Level::Info;
        match envelope.event {
            Event::DeploymentStarted { .. } if !state.started => {
                state.started = true;
                print(&format!("Deploying in folder {}", self.dir().path().display()));
            }
            Event::HookStarted { script, from_deployment, .. } => {
                let archive = self.layout.deployment(&self.order.group.id, from_deployment).archive();
                // As the appspec's reader takes it; a location that is no path has been refused.
                state.script = BundlePath::normalized(script).ok().map(|script| script.under(&archive));
            }
            Event::HookFinished { script, report, .. } => {
                state.failed = !report.outcome.is_success();
                if state.failed {
                    level = Level::Error;
                }
                for note in &report.notes {
                    warn(&format!("`{script}`: {note}"));
                }
                for process in &report.left_running {
                    warn(&format!("`{script}` left process {} running: {}", process.pid, process.command));
                }
            }
            Event::Warning { message } => {
                level = Level::Warn;
                warn(message);
            }
            Event::EarlierClosed { .. } => {
                level = Level::Warn;
                if let Some(text) = sentence(envelope.event, envelope.deployment, Look::Plain) {
                    warn(text.trim());
                }
            }
            Event::EventFailed { .. } => level = Level::Error,
            Event::DeploymentStarted { .. }
            | Event::DeploymentResumed { .. }
            | Event::Fetching { .. }
            | Event::Fetched { .. }
            | Event::SignatureVerified { .. }
            | Event::EventStarted { .. }
            | Event::EventSkipped { .. }
            | Event::HookFound { .. }
            | Event::HookOutput { .. }
            | Event::Installing { .. }
            | Event::Installed { .. }
            | Event::EventFinished { .. }
            | Event::DeploymentFinished { .. } => {}
        }
        if let Some(text) = sentence(envelope.event, envelope.deployment, Look::Plain) {
            self.log.write(level, text.trim_start());
        }
    }
}
