//! What deployments work with: where, with whom, and who is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use longshore_core::ids::DeploymentId;
use longshore_core::report::{Envelope, Fanout, JsonLines, Reporter};

use super::order::Order;
use crate::event::Event;
use crate::fetch::access::Access;
use crate::hook::watch::Shim;
use crate::layout::Layout;
use crate::stop;

/// What deployments work with.
#[derive(Clone)]
pub struct Agent {
    /// Where everything stands.
    pub layout: Layout,
    /// Who is told, beside each deployment's own `events.jsonl`.
    pub reader: Arc<dyn Reporter<Event>>,
    /// The clock: RFC 3339.
    pub now: fn() -> String,
    /// The agent's own environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where relative paths in scripts start: the agent's working folder, as for the AWS agent.
    pub cwd: PathBuf,
    /// How many times the user asked to stop: once ends the deployment after the running script, twice ends the script.
    pub stop: Arc<AtomicUsize>,
    /// Set when the deployment is to be stopped: the event under way comes to its end, and no further one begins.
    pub halt: Arc<AtomicBool>,
    /// Set when this process is about to end and another one will go on: no step begins any more, a script that runs is
    /// left to its shim, and nothing is closed.
    pub handover: Arc<AtomicBool>,
    /// How revisions are fetched.
    pub access: Access,
    /// The program that owns running scripts.
    pub shim: Shim,
}

impl Agent {
    /// An agent with the environment, working folder and signals of this process. To be called before any other thread is
    /// started, because it is asked to stop by signals.
    pub fn of_this_process(layout: Layout, reader: Arc<dyn Reporter<Event>>) -> io::Result<Agent> {
        Ok(Agent { stop: stop::count(), ..Agent::quiet(layout, reader)? })
    }

    /// An agent with the environment and working folder of this process that leaves signals to somebody else.
    pub fn quiet(layout: Layout, reader: Arc<dyn Reporter<Event>>) -> io::Result<Agent> {
        let (cwd, environment) = (std::env::current_dir()?, std::env::vars_os().collect());
        let (stop, halt, handover, access) = Default::default();
        let shim = Shim::this_program();
        Ok(Agent { layout, reader, now, environment, cwd, stop, halt, handover, access, shim })
    }

    /// The same with further variables for its scripts.
    pub fn telling(&self, variables: &[(String, String)]) -> Agent {
        let mut agent = self.clone();
        agent.environment.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        agent
    }

    /// The event stream of one deployment: to the reader, and appended to `events.jsonl` in the deployment's folder, which
    /// should exist.
    pub(super) fn events(&self, order: &Order) -> Fanout<Event> {
        let mut readers: Vec<Box<dyn Reporter<Event>>> = vec![Box::new(Arc::clone(&self.reader))];
        let path = self.layout.deployment(&order.group.id, &order.deployment).events();
        if let Ok(file) = OpenOptions::new().append(true).create(true).mode(0o600).open(path) {
            // Losing this reader loses no deployment; the journal is what counts.
            readers.push(Box::new(WithoutOutput(JsonLines::new(file))));
        }
        Fanout::new(readers, self.now).for_deployment(order.deployment.as_str())
    }
}

/// What scripts print stands in `scripts.log`, which has a limit; this file has none.
struct WithoutOutput<R>(R);

impl<R: Reporter<Event>> Reporter<Event> for WithoutOutput<R> {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        if !matches!(envelope.event, Event::HookOutput { .. }) {
            self.0.report(envelope);
        }
    }
}

/// The clock of journals and events.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.3}")
}

/// A deployment id that nobody has.
pub fn fresh_id() -> io::Result<DeploymentId> {
    let mut bytes = [0; 9];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(DeploymentId::from_random(bytes))
}
