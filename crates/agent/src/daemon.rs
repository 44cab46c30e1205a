//! The long-lived agent: takes orders from its sources, works on several groups at a time, and ends without losing anything.
//!
//! One thread asks the sources, answers at the socket and keeps the time; a deployment has a thread of its own ([`desk`]).

pub mod backoff;
pub mod desk;
pub mod notice;
pub mod shared;
pub mod traced;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::ids::GroupId;
use longshore_core::report::Reporter;
use nix::fcntl::{Flock, FlockArg};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, LocalSet};

use self::backoff::{Backoff, rest};
use self::notice::{Listener, Notice};
use self::shared::Shared;
use crate::codedeploy::access::host_access;
use crate::codedeploy::client::Client;
use crate::control;
use crate::deployment::agent::Agent;
use crate::deployment::drive;
use crate::event::Event;
use crate::fetch::access;
use crate::history;
use crate::identity::Identity;
use crate::layout::Layout;
use crate::network;
use crate::notify::Notify;
use crate::settings::{CodeDeploy, Settings, SignatureCheck};
use crate::source;

/// How long the parts of the daemon have to end once no deployment runs any more.
const LAST_MOMENT: Duration = Duration::from_secs(8);

/// Why the daemon cannot begin.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    /// Another one has the root.
    #[error("another agent runs on `{root}` ({holder})")]
    Runs { root: PathBuf, holder: String },
    /// The root cannot be used.
    #[error("cannot use `{path}`")]
    Root { path: PathBuf, source: io::Error },
    /// A part of it has a defect.
    #[error("a part of the daemon broke down")]
    Part(#[source] JoinError),
    /// The runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// Runs until somebody asks it to end.
pub fn run<L>(settings: Settings, log: Arc<L>, notify: &Notify) -> Result<(), Failure>
where
    L: Listener + Reporter<Event> + 'static,
{
    let _root = take_root(&settings.layout)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        // For short looks at the disk and for names of hosts; deployments have threads of their own. A store's folder that
        // hangs keeps two of them for each group.
        .max_blocking_threads(64)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| Failure::new(Exit::Failed, DaemonError::Runtime(error)))?;
    let local = LocalSet::new();
    let ended = local.block_on(&runtime, live(settings, log, notify));
    // A look at a disk that hangs holds nobody up.
    runtime.shutdown_background();
    ended
}

async fn live<L>(settings: Settings, log: Arc<L>, notify: &Notify) -> Result<(), Failure>
where
    L: Listener + Reporter<Event> + 'static,
{
    let failed = |error: io::Error| Failure::new(Exit::Failed, DaemonError::Runtime(error));
    let mut signals = Signals::new().map_err(failed)?;
    let (end, ending) = watch::channel(false);
    let paused = control::read_paused(&settings.layout);
    let agent = Agent::quiet(settings.layout.clone(), Arc::clone(&log) as Arc<dyn Reporter<Event>>).map_err(failed)?;
    let agent = Agent { access: access::environment_access(&settings.network, None, false), ..agent };
    let shared = Shared::new(settings, agent, log, ending, paused.is_some());
    let sources = names(&shared.settings);
    shared.listener.tell(&Notice::Started { version: env!("CARGO_PKG_VERSION").to_owned(), sources: sources.clone() });
    go_on(&shared);
    let mut parts = JoinSet::new();
    // Before anybody is told that the agent is ready: whoever was waiting for that may ask at once.
    match control::listen(shared.clone()).await {
        Ok(Some(listening)) => drop(parts.spawn_local(listening.serve())),
        Ok(None) => {}
        Err(error) => shared.listener.tell(&Notice::Warned { message: format!("no local control: {error}") }),
    }
    for follow in shared.settings.follow.clone() {
        parts.spawn_local(source::store::follow(shared.clone(), follow));
    }
    if let Some(codedeploy) = shared.settings.codedeploy.clone() {
        parts.spawn_local(obey(shared.clone(), codedeploy));
    }
    let takes = match sources.as_slice() {
        [] => "takes orders from its socket alone; no source is configured".to_owned(),
        sources => format!("takes orders from {}", sources.join(", ")),
    };
    notify.ready(&takes);
    let broken = tokio::select! {
        () = signals.first() => None,
        () = notify.watchdog(|| true) => None,
        // A source that broke down takes no orders any more. The next process does.
        error = broken(&mut parts) => Some(error),
    };
    notify.stopping();
    // The order matters: what runs stops at the next step before nobody takes its answer any more.
    shared.agent.handover.store(true, Ordering::Relaxed);
    let handed_over = shared.desk.busy().iter().map(ToString::to_string).collect();
    shared.listener.tell(&Notice::Stopping { handed_over });
    let desk = shared.desk.clone();
    let closed = tokio::task::spawn_blocking(move || desk.close());
    tokio::select! {
        _ = closed => {}
        // An installation comes to its end first, which is no reason to take this for dead.
        () = notify.watchdog(|| true) => {}
        // Whoever asks twice does not want to wait; a crash loses nothing either.
        () = signals.first() => return Ok(()),
    }
    let _ = end.send(true);
    let all = async { while parts.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_MOMENT, all).await;
    shared.listener.tell(&Notice::Stopped);
    match broken {
        None => Ok(()),
        Some(error) => Err(Failure::new(Exit::Failed, DaemonError::Part(error))),
    }
}

/// Returns when a part breaks down; one that has nothing to do ends.
async fn broken(parts: &mut JoinSet<()>) -> JoinError {
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            return error;
        }
    }
    std::future::pending().await
}

/// Goes on with deployments that an earlier agent left unfinished, whoever had ordered them.
fn go_on(shared: &Shared) {
    let groups = history::groups(&shared.settings.layout).unwrap_or_else(|error| {
        shared.listener.tell(&Notice::Warned { message: error.to_string() });
        Vec::new()
    });
    let follows = |group: &GroupId| {
        shared.settings.follow.iter().any(|follow| GroupId::of(&follow.application, &follow.group) == *group)
    };
    // What the service had asked for was begun with these.
    let codedeploy = shared.settings.codedeploy.as_ref();
    let told: Arc<Vec<_>> = Arc::new(
        codedeploy.map(|codedeploy| Identity::variables_for_hooks(&codedeploy.on_premises_file)).unwrap_or_default(),
    );
    // Whoever follows a group goes on with it too, and says in which event it is.
    for group in groups.into_iter().filter(|group| !follows(group)) {
        let (agent, listener, of) = (shared.agent.clone(), Arc::clone(&shared.listener), group.clone());
        let told = Arc::clone(&told);
        let job = move || match drive::resume_telling(&agent, &of, &told) {
            // Somebody deploys by hand, or it has been told as the deployment's own event.
            Ok(_) | Err(Failure { exit: Exit::Busy | Exit::HookFailed | Exit::InstallFailed, .. }) => {}
            Err(failure) if drive::is_handover(&failure) => {}
            Err(failure) => {
                listener.tell(&Notice::Warned { message: format!("group {of}: {}", failure.to_text().trim_end()) });
            }
        };
        shared.desk.submit(group, Box::new(job));
    }
}

/// Finds out who this host is, however long it takes, and takes orders from the service.
async fn obey(shared: Shared, settings: CodeDeploy) {
    match settings.signature {
        SignatureCheck::Unchecked => shared.listener.tell(&Notice::Warned {
            message: "signatures of deployment specifications are not checked, as the settings say".to_owned(),
        }),
        SignatureCheck::Chain(_) | SignatureCheck::Content => {}
    }
    let mut ending = shared.ending.clone();
    let mut backoff = Backoff::default();
    while !*ending.borrow() {
        let found = tokio::select! {
            found = introduce(&shared, &settings) => found,
            _ = ending.changed() => return,
        };
        match found {
            Ok((identity, client)) => {
                let network = &shared.settings.network;
                let access = host_access(&identity, &settings, network, Handle::current());
                return source::codedeploy::take(shared, settings, identity, client, access).await;
            }
            Err(failure) => {
                let pause = backoff.pause();
                shared.source_lost(source::codedeploy::NAME, &failure, pause);
                rest(pause, &mut ending).await;
            }
        }
    }
}

async fn introduce(shared: &Shared, settings: &CodeDeploy) -> Result<(Identity, Client), String> {
    let identity = Identity::find(settings).await.map_err(|error| notice::with_hint(&error, error.hint()))?;
    let http = network::client(&shared.settings.network).map_err(|error| chain(&error))?;
    let client = Client::new(&identity, settings, http).map_err(|error| chain(&error))?;
    Ok((identity, client))
}

/// The sources of orders, as people know them.
fn names(settings: &Settings) -> Vec<String> {
    let codedeploy = settings.codedeploy.iter().map(|_| "the CodeDeploy service".to_owned());
    let follow =
        settings.follow.iter().map(|follow| format!("{} {} in {}", follow.application, follow.group, follow.store));
    codedeploy.chain(follow).collect()
}

/// One agent for each root: two would take each other's orders. Given back when this process ends, however it ends.
fn take_root(layout: &Layout) -> Result<Flock<File>, Failure> {
    let path = layout.daemon_lock();
    let failed = |source| {
        Failure::new(Exit::Failed, DaemonError::Root { path: path.clone(), source })
            .hint("run it as root, or give another folder with `--root`")
    };
    std::fs::create_dir_all(layout.root()).map_err(failed)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let written = lock.set_len(0).and_then(|()| write!(lock, "process {}", std::process::id()));
            // Only for whoever is refused.
            drop(written);
            Ok(lock)
        }
        Err((_, nix::errno::Errno::EAGAIN)) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let error = DaemonError::Runs { root: layout.root().to_owned(), holder };
            Err(Failure::new(Exit::Busy, error).hint(
                "see what it does with `longshore-agent control status`, or stop it: systemctl stop longshore-agent",
            ))
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

/// What asks the daemon to end. A lost terminal does not.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_breaks_down_is_noticed_and_one_that_ends_is_none() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(async {
            let mut parts = JoinSet::new();
            parts.spawn(async {});
            parts.spawn(async { panic!("a defect") });
            broken(&mut parts).await
        });
        assert!(error.is_panic());
    }
}
