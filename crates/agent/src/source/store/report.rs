//! Writes what this host says of a group into the group's store: on change, and as a heartbeat. Never holds up anything
//! else; what cannot be written is tried again, and then the newest is written.

use std::time::Duration;

use longshore_core::host_status::{self, HostStatus};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::place::{Place, PlaceError};
use crate::daemon::backoff::Backoff;
use crate::daemon::notice::Notice;
use crate::daemon::shared::Shared;

/// At most one status in this time: a deployment of many short events is told by its latest.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long the last status may take when the agent ends.
const LAST: Duration = Duration::from_secs(2);

/// Writes the status of one host for one group.
pub(super) struct Report<'a> {
    shared: &'a Shared,
    place: &'a Place,
    /// The source, as people know it.
    source: &'a str,
    key: String,
    /// The ETag of what stands there; the outer `None`: nobody looked.
    etag: Option<Option<String>>,
    /// What this agent wrote, or tried to, last and before that: its answer may have been lost.
    ours: [Vec<u8>; 2],
    /// Whether another writer was told of.
    told: bool,
}

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("{}", .0.line())]
    Place(#[from] PlaceError),
    #[error("others keep writing `{0}`")]
    Contested(String),
}

impl<'a> Report<'a> {
    /// For the host of this status.
    pub(super) fn new(shared: &'a Shared, place: &'a Place, source: &'a str, status: &HostStatus) -> Report<'a> {
        let key = host_status::key(&status.application, &status.group, &status.host);
        Report { shared, place, source, key, etag: None, ours: Default::default(), told: false }
    }

    /// Writes every change, until it is dropped.
    pub(super) async fn keep(&mut self, mut changes: watch::Receiver<HostStatus>, heartbeat: Duration) {
        let mut backoff = None;
        loop {
            let status = changes.borrow_and_update().clone();
            let begun = Instant::now();
            match self.write(&status).await {
                Ok(()) => {
                    backoff = None;
                    // An error means that nobody will change it again, which does not happen before this is dropped.
                    let _ = timeout(heartbeat, changes.changed()).await;
                    sleep_until(begun + SHORTEST).await;
                }
                Err(error) => {
                    if backoff.is_none() {
                        self.tell_lost(&error);
                    }
                    sleep(backoff.get_or_insert(Backoff::new(SHORTEST, super::LONGEST)).pause()).await;
                }
            }
        }
    }

    /// Tries once to write the last status of this agent.
    pub(super) async fn finish(&mut self, status: &HostStatus) {
        let _ = timeout(LAST, self.write(status)).await;
    }

    /// A store that is lost was told of already.
    fn tell_lost(&self, error: &ReportError) {
        let is_known = self.shared.sources().get(self.source).is_some_and(|state| state.lost.is_some());
        if !is_known {
            let message = format!("{}: cannot write this host's status: {error}", self.source);
            self.shared.listener.tell(&Notice::Warned { message });
        }
    }

    async fn write(&mut self, status: &HostStatus) -> Result<(), ReportError> {
        let status = HostStatus { at: (self.shared.agent.now)(), ..status.clone() };
        let contents = status.to_json();
        self.ours.rotate_right(1);
        self.ours[0].clone_from(&contents);
        let mut expected = match self.etag.take() {
            Some(etag) => etag,
            // An earlier agent of this host has written it.
            None => self.place.read(&self.key).await?.map(|(_, etag)| etag),
        };
        for _ in 0..3 {
            let written = self.place.replace_if(&self.key, &contents, expected.as_deref()).await?;
            if written.is_some() {
                self.etag = Some(written);
                return Ok(());
            }
            expected = match self.place.read(&self.key).await? {
                None => None,
                Some((found, etag)) if found == contents => {
                    self.etag = Some(Some(etag));
                    return Ok(());
                }
                Some((found, etag)) => {
                    self.tell_stranger(&found, &status.host);
                    Some(etag)
                }
            };
        }
        Err(ReportError::Contested(self.key.clone()))
    }

    /// Somebody else has written this host's status since.
    fn tell_stranger(&mut self, found: &[u8], host: &str) {
        if !self.told && !self.ours.iter().any(|ours| ours == found) {
            self.told = true;
            let message = format!(
                "{}: another agent reports as host `{host}`; give each host a name of its own (`host`)",
                self.source
            );
            self.shared.listener.tell(&Notice::Warned { message });
        }
    }
}
