//! What every part of the daemon works with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_core::report::Reporter;
use longshore_core::store::{Store, StoreUrl};
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, watch};

use super::desk::Desk;
use super::notice::{Listener, Notice};
use crate::deployment::agent::Agent;
use crate::event::Event;
use crate::fetch::access::Access;
use crate::settings::Settings;

/// What every part of the daemon works with. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// What it is told to do.
    pub settings: Arc<Settings>,
    /// The agent that carries out its deployments; see [`Shared::agent`].
    pub agent: Agent,
    /// Who is told of what happens to the daemon itself.
    pub listener: Arc<dyn Listener>,
    /// Who works on which group.
    pub desk: Desk,
    /// Turns true once, when the daemon is asked to end.
    pub ending: watch::Receiver<bool>,
    /// Whether new orders are left where they are.
    pub paused: Arc<watch::Sender<bool>>,
    /// The stores that are open, by their URLs.
    stores: Arc<Mutex<BTreeMap<String, OpenStore>>>,
    /// How each source of orders is.
    sources: Arc<Mutex<BTreeMap<String, SourceState>>>,
}

/// A place for a store, opened by whoever needs it first: its client is too large for each of them to have its own.
pub type OpenStore = Arc<OnceCell<Store>>;

/// How a source of orders is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// When it answered last, RFC 3339.
    pub answered: Option<String>,
    /// Why it cannot be reached or refuses, if that is so.
    pub lost: Option<String>,
    /// Why what it says is not followed, if that is so.
    #[serde(default)]
    pub trouble: Option<String>,
}

impl Shared {
    /// The parts together. `agent.reader` is the daemon's own log.
    pub fn new(
        settings: Settings,
        agent: Agent,
        listener: Arc<dyn Listener>,
        ending: watch::Receiver<bool>,
        paused: bool,
    ) -> Shared {
        let (paused, _) = watch::channel(paused);
        Shared {
            settings: Arc::new(settings),
            agent,
            listener,
            desk: Desk::default(),
            ending,
            paused: Arc::new(paused),
            stores: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// An agent for one deployment: it fetches by `access` and tells `reader` what happens, beside the daemon's log.
    pub fn agent(&self, access: Access, reader: Option<Arc<dyn Reporter<Event>>>) -> Agent {
        let reader = match reader {
            Some(reader) => Arc::new(Both(Arc::clone(&self.agent.reader), reader)) as Arc<dyn Reporter<Event>>,
            None => Arc::clone(&self.agent.reader),
        };
        Agent { access, reader, ..self.agent.clone() }
    }

    /// The place for the store at a URL.
    pub fn store(&self, url: &StoreUrl) -> OpenStore {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(stores.entry(url.to_string()).or_default())
    }

    /// A source answered.
    pub fn source_answered(&self, source: &str) {
        let mut sources = self.lock();
        let state = sources.entry(source.to_owned()).or_default();
        state.answered = Some((self.agent.now)());
        if state.lost.take().is_some() {
            drop(sources);
            self.listener.tell(&Notice::SourceBack { source: source.to_owned() });
        }
    }

    /// What a source says is not followed, for a reason; or it is.
    pub fn source_trouble(&self, source: &str, trouble: Option<String>) {
        self.lock().entry(source.to_owned()).or_default().trouble = trouble;
    }

    /// A source could not be reached or refused. `reason` with its causes, one line.
    pub fn source_lost(&self, source: &str, reason: &str, retry: Duration) {
        let mut sources = self.lock();
        let state = sources.entry(source.to_owned()).or_default();
        if state.lost.as_deref() != Some(reason) {
            state.lost = Some(reason.to_owned());
            drop(sources);
            let retry_s = retry.as_secs() + u64::from(retry.subsec_nanos() > 0);
            self.listener.tell(&Notice::SourceLost { source: source.to_owned(), reason: reason.to_owned(), retry_s });
        }
    }

    /// How each source is, by its name.
    pub fn sources(&self) -> BTreeMap<String, SourceState> {
        self.lock().clone()
    }

    /// Whether new orders are left where they are.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SourceState>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two readers of one stream.
struct Both(Arc<dyn Reporter<Event>>, Arc<dyn Reporter<Event>>);

impl Reporter<Event> for Both {
    fn report(&self, envelope: &longshore_core::report::Envelope<'_, Event>) {
        self.0.report(envelope);
        self.1.report(envelope);
    }
}
