//! Reads what the hosts of a group say of themselves. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use longshore_core::host_status::{self, HostStatus, StatusError};
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::pointer::Pointer;
use longshore_core::store::{Changed, Store, StoreError};

use crate::ending::Ending;

/// The hosts of a group, by their names.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    known: BTreeMap<String, Host>,
}

/// What is known of a host.
#[derive(Debug)]
pub(crate) struct Host {
    /// When it wrote last, by the store's clock.
    pub(crate) modified: Timestamp,
    /// What it says; or why that cannot be read.
    pub(crate) said: Result<HostStatus, StatusError>,
    etag: String,
}

impl Host {
    /// What it says, if it can be read.
    pub(crate) fn status(&self) -> Option<&HostStatus> {
        self.said.as_ref().ok()
    }

    /// Seconds since it wrote last.
    pub(crate) fn age_s(&self, now: Timestamp) -> u64 {
        now.duration_since(self.modified).as_secs().try_into().unwrap_or(0)
    }
}

impl Hosts {
    /// All of them, by name.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, &Host)> {
        self.known.iter().map(|(name, host)| (name.as_str(), host))
    }

    /// How far they are with the deployment of a pointer.
    pub(crate) fn ending(&self, pointer: &Pointer, now: Timestamp) -> Ending {
        Ending::of(pointer, self.known().map(|(name, host)| (name, host.status(), host.age_s(now))))
    }

    /// Looks which hosts there are, and reads what has changed. Of hosts that are `settled` nothing new is wanted.
    pub(crate) async fn refresh(
        &mut self,
        store: &Store,
        application: &ApplicationName,
        group: &GroupName,
        settled: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        let folder = host_status::folder(application, group);
        // Whoever gives up in the middle keeps what is known so far.
        let mut there = BTreeSet::new();
        for listed in store.list(&folder).await? {
            let Some(name) = listed.key.strip_prefix(&folder).and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            if name.contains('/') {
                continue;
            }
            let modified = listed.modified;
            let earlier = self.known.get_mut(name);
            let changed = match &earlier {
                Some(_) if settled(name) => Changed::Same,
                // Each host may write its own; none of them may keep people from seeing the others.
                _ if listed.size > host_status::LIMIT => {
                    let said = Err(StatusError::TooLarge(listed.size));
                    self.known.insert(name.to_owned(), Host { modified, said, etag: String::new() });
                    there.insert(name.to_owned());
                    continue;
                }
                earlier => {
                    let etag = earlier.as_ref().map(|host| host.etag.as_str());
                    store.read_if_changed(&listed.key, etag).await?
                }
            };
            match (changed, earlier) {
                (Changed::New { contents, etag }, _) => {
                    let host = Host { modified, said: HostStatus::parse(&contents), etag };
                    self.known.insert(name.to_owned(), host);
                }
                (Changed::Same, Some(earlier)) => earlier.modified = modified,
                // Somebody has removed it since.
                (Changed::Missing, _) | (Changed::Same, None) => continue,
            }
            there.insert(name.to_owned());
        }
        self.known.retain(|name, _| there.contains(name));
        Ok(())
    }
}
