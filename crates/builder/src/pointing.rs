//! Moves the pointer of a group by compare-and-swap, and reads what it is and was. What may follow what is decided in
//! `succession`.
//!
//! Before a pointer moves, what stood there is put into the history, byte for byte. Whoever races writes the same bytes under
//! the same key, so an entry is true however the race ends, and no generation before the present one is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use jiff::Timestamp;
use longshore_core::chance;
use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::ids::{ApplicationName, DeploymentId, GroupName};
use longshore_core::pointer::{self, Pointer, PointerError};
use longshore_core::store::{Store, StoreError};

use crate::ending::{self, Ending};
use crate::hosts::Hosts;
use crate::succession::{self, Candidate, Move, Older, Signature};

/// How often a pointer that others keep moving is tried. Each time somebody else has come through, with a commit that is no newer
/// than ours.
const ATTEMPTS: u32 = 100;

/// The pointer of a group as it stood when it was read.
#[derive(Debug, Clone)]
pub(crate) struct Stands {
    /// What it says.
    pub(crate) pointer: Pointer,
    /// Its bytes.
    contents: Vec<u8>,
    /// Its ETag.
    etag: String,
}

/// A pointer that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Where it stands now.
    pub(crate) pointer: Pointer,
    /// What it was before.
    pub(crate) before: Option<Pointer>,
    /// How it came there.
    pub(crate) how: How,
    /// How many hosts said something of themselves in the group.
    pub(crate) hosts: usize,
    /// Why it is not written down how the deployment before ended.
    pub(crate) unwritten: Option<String>,
}

/// What became of the wish to stop a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// The pointer says now that it is to be stopped.
    Asked(Box<Pointer>),
    /// It said so already.
    Already(Box<Pointer>),
    /// The group has moved on to another deployment.
    MovedOn(Box<Pointer>),
    /// There is no pointer any more.
    Gone,
}

/// How a pointer came to name our artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// By us.
    Ours(Move),
    /// Somebody else moved it to just this while we tried.
    Theirs,
}

/// Why a pointer was not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PointError {
    /// The store failed.
    #[error("cannot move group `{group}` of `{application}`")]
    Store {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
        /// Why.
        source: StoreError,
    },
    /// What stands there is no pointer that this program knows.
    #[error("group `{group}` of `{application}` stays as it is")]
    Unknown {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
        /// Why.
        source: PointerError,
    },
    /// A newer commit stands there.
    #[error("{}", older(.theirs, .ours, *.raced))]
    Older {
        /// What stands there.
        theirs: Box<Pointer>,
        /// What should.
        ours: Box<Candidate>,
        /// Whether it came there while we tried.
        raced: bool,
    },
    /// Others were faster every time.
    #[error("others keep moving group `{group}` of `{application}`")]
    Contested {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
    },
    /// Somebody else moved it, to something else than what was to be replaced.
    #[error(
        "{} moved group `{}` of `{}` meanwhile to {} (generation {}, {})",
        .0.by, .0.group, .0.application, commit(.0.commit.short(), .0.dirty, .0.commit_time), .0.generation, .0.deployment
    )]
    Overtaken(Box<Pointer>),
    /// Somebody wants this process to end.
    #[error("interrupted while group `{group}` of `{application}` was moved")]
    Interrupted {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
    },
    /// No random numbers.
    #[error("cannot make a deployment id")]
    Random(#[source] io::Error),
}

/// `commit 0123… of 2026-01-02T03:04:06Z`.
fn commit(short: &str, dirty: bool, time: i64) -> String {
    let dirty = if dirty { " (dirty)" } else { "" };
    match Timestamp::from_second(time) {
        Ok(at) if time != crate::commit::ZIP_EPOCH => format!("commit {short}{dirty} of {at}"),
        Ok(_) | Err(_) => format!("commit {short}{dirty}, whose time nobody knows"),
    }
}

fn older(theirs: &Pointer, ours: &Candidate, raced: bool) -> String {
    format!(
        "group `{}` of `{}` {} at a newer commit than {}: {}, moved there at {} by {} (generation {}, {})",
        theirs.group,
        theirs.application,
        if raced { "stands meanwhile" } else { "stands" },
        commit(ours.commit.short(), ours.dirty, ours.commit_time),
        commit(theirs.commit.short(), theirs.dirty, theirs.commit_time),
        theirs.at,
        theirs.by,
        theirs.generation,
        theirs.deployment,
    )
}

impl From<PointError> for Failure {
    fn from(error: PointError) -> Failure {
        let (exit, hint) = match &error {
            PointError::Store { source, .. } => (source.exit(), source.hint()),
            PointError::Unknown { source, .. } => match source {
                PointerError::Format { .. } => (Exit::Conflict, Some("use the version of longshore that wrote it".into())),
                PointerError::Parse { .. } | PointerError::Other { .. } | PointerError::Field { .. } => {
                    (Exit::Conflict, Some("look at the object, and remove it if it is not needed".into()))
                }
            },
            PointError::Older { raced: true, .. } => {
                (Exit::Conflict, Some("what is newer stays; nothing is left to do unless that one is wrong".into()))
            }
            PointError::Older { ours, .. } if !ours.has_time() => (
                Exit::Conflict,
                Some(
                    "build where git is, or with `SOURCE_DATE_EPOCH` set to the commit's time; `--allow-older` moves it all the same"
                        .into(),
                ),
            ),
            PointError::Older { .. } => (Exit::Conflict, Some("add `--allow-older` to go back on purpose".into())),
            PointError::Overtaken(_) => {
                (Exit::Conflict, Some("nothing was moved back; look at it, and run the command again if that is still wanted".into()))
            }
            PointError::Contested { .. } => (Exit::Conflict, Some("run the same command again".into())),
            PointError::Interrupted { .. } => {
                (Exit::Failed, Some("`longshore status` shows whether it has come to that".into()))
            }
            PointError::Random(_) => (Exit::Failed, None),
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A group in an opened store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The store.
    pub(crate) store: &'a Store,
    /// The application.
    pub(crate) application: &'a ApplicationName,
    /// The group.
    pub(crate) group: &'a GroupName,
}

impl Place<'_> {
    /// Its pointer; `None` when there is none.
    pub(crate) async fn read(&self) -> Result<Option<Stands>, PointError> {
        let key = pointer::key(self.application, self.group);
        let Some((contents, etag)) = self.store.read(&key).await.map_err(|source| self.failed(source))? else {
            return Ok(None);
        };
        Ok(Some(Stands { pointer: self.parse(&contents)?, contents, etag }))
    }

    /// Reads the bytes of its pointer.
    pub(crate) fn parse(&self, contents: &[u8]) -> Result<Pointer, PointError> {
        Pointer::parse(contents, self.application, self.group).map_err(|source| self.unknown(source))
    }

    /// Generations that the history holds, with their keys.
    pub(crate) async fn generations(&self) -> Result<BTreeMap<u64, String>, PointError> {
        let listed = self.store.list(&pointer::history(self.application, self.group)).await;
        let listed = listed.map_err(|source| self.failed(source))?;
        Ok(listed.into_iter().filter_map(|entry| Some((pointer::history_generation(&entry.key)?, entry.key))).collect())
    }

    /// What it was in a generation before the present one; `None` when that is not known.
    pub(crate) async fn in_generation(&self, generation: u64) -> Result<Option<Pointer>, PointError> {
        self.earlier(&pointer::history_key(self.application, self.group, generation)).await
    }

    async fn earlier(&self, key: &str) -> Result<Option<Pointer>, PointError> {
        let Some((contents, _)) = self.store.read(key).await.map_err(|source| self.failed(source))? else {
            return Ok(None);
        };
        self.parse(&contents).map(Some)
    }

    /// The artifact that it named before the present one.
    pub(crate) async fn previous(&self, current: &Pointer) -> Result<Option<Pointer>, PointError> {
        for key in self.generations().await?.values().rev() {
            let earlier = self.earlier(key).await?;
            if let Some(found) = succession::previous(current, &earlier) {
                return Ok(Some(found.clone()));
            }
        }
        Ok(None)
    }

    /// Moves it from where it stood to our artifact. When somebody was faster, ours must still be the newest: what was allowed of
    /// the one that was seen does not hold for one that nobody has seen. That somebody only had it stopped is no obstacle.
    pub(crate) async fn go(
        &self,
        mut stands: Option<Stands>,
        ours: &Candidate,
        asked: Older,
        by: &str,
    ) -> Result<Moved, PointError> {
        let seen_first = stands.as_ref().map(|stands| stands.pointer.deployment.clone());
        let key = pointer::key(self.application, self.group);
        let hosts = self.hosts().await?;
        let seen = highest_seen(&hosts);
        for attempt in 0..ATTEMPTS {
            let current = stands.as_ref().map(|stands| &stands.pointer);
            if let Some(current) = current.filter(|current| attempt > 0 && ours.is_done_by(current)) {
                return Ok(Moved {
                    pointer: current.clone(),
                    before: None,
                    how: How::Theirs,
                    hosts: hosts.known().count(),
                    unwritten: None,
                });
            }
            let is_as_seen = current.map(|current| &current.deployment) == seen_first.as_ref();
            let older = if is_as_seen { asked } else { Older::Refused };
            let how = succession::decide(current, ours, older);
            let (generation, etag, how) = match (&stands, how) {
                (Some(stands), None) => {
                    let theirs = Box::new(stands.pointer.clone());
                    return Err(PointError::Older { theirs, ours: Box::new(ours.clone()), raced: attempt > 0 });
                }
                (Some(stands), Some(_)) if asked == Older::Allowed && !is_as_seen => {
                    return Err(PointError::Overtaken(Box::new(stands.pointer.clone())));
                }
                (Some(stands), Some(how)) => {
                    self.keep(stands).await?;
                    (stands.pointer.generation, Some(stands.etag.as_str()), how)
                }
                (None, _) => (0, None, Move::First),
            };
            let generation = pointer::generation_after(self.highest(generation).await?.max(seen));
            let signature = Signature {
                deployment: new_deployment().map_err(PointError::Random)?,
                at: format!("{:.0}", Timestamp::now()),
                by: by.to_owned(),
            };
            let pointer = succession::pointer(self.group, generation, current, ours, how, signature);
            let replaced = self.store.replace_if(&key, &pointer.to_json(), etag).await;
            if replaced.map_err(|source| self.failed(source))?.is_some() {
                let before = stands.map(|stands| stands.pointer);
                let unwritten = match &before {
                    Some(before) => self.keep_ended(before, &hosts).await,
                    None => None,
                };
                return Ok(Moved { pointer, before, how: How::Ours(how), hosts: hosts.known().count(), unwritten });
            }
            pause(attempt).await;
            stands = self.read().await?;
        }
        Err(PointError::Contested { application: self.application.clone(), group: self.group.clone() })
    }

    /// Has the deployment stopped that the pointer names: a move to itself that says so.
    pub(crate) async fn stop(&self, deployment: &DeploymentId, by: &str) -> Result<Stopping, PointError> {
        let key = pointer::key(self.application, self.group);
        let hosts = self.hosts().await?;
        for attempt in 0..ATTEMPTS {
            let Some(stands) = self.read().await? else { return Ok(Stopping::Gone) };
            let current = &stands.pointer;
            if current.stop.as_ref() == Some(deployment) {
                return Ok(Stopping::Already(Box::new(stands.pointer)));
            }
            if current.deployment != *deployment {
                return Ok(Stopping::MovedOn(Box::new(stands.pointer)));
            }
            self.keep(&stands).await?;
            let highest = self.highest(current.generation).await?.max(highest_seen(&hosts));
            let (generation, at) = (pointer::generation_after(highest), format!("{:.0}", Timestamp::now()));
            let pointer = succession::stopped(current, generation, at, by.to_owned());
            let replaced = self.store.replace_if(&key, &pointer.to_json(), Some(&stands.etag)).await;
            if replaced.map_err(|source| self.failed(source))?.is_some() {
                // Hosts will say more of it.
                let _ = self.keep_ended(current, &hosts).await;
                return Ok(Stopping::Asked(Box::new(pointer)));
            }
            pause(attempt).await;
        }
        Err(PointError::Contested { application: self.application.clone(), group: self.group.clone() })
    }

    /// Puts what stands there into the history. That somebody else has done so is as good.
    async fn keep(&self, stands: &Stands) -> Result<(), PointError> {
        let key = pointer::history_key(self.application, self.group, stands.pointer.generation);
        let kept = self.store.replace_if(&key, &stands.contents, None).await;
        kept.map(drop).map_err(|source| self.failed(source))
    }

    /// Writes down how far the hosts were with a pointer when they were read last. Why not, if that fails: the pointer has moved, and
    /// whoever moved it has nothing to do again.
    async fn keep_ended(&self, before: &Pointer, hosts: &Hosts) -> Option<String> {
        let ending = hosts.ending(before, Timestamp::now());
        self.keep_ending(before.generation, ending).await.err().map(|error| chain(&error))
    }

    /// How the deployment of a generation is known to have ended.
    pub(crate) async fn ending(&self, pointer: &Pointer) -> Result<Ending, PointError> {
        let unknown = Ending::unknown(&pointer.deployment);
        let key = ending::key(self.application, self.group, pointer.generation);
        let kept = self.store.read(&key).await.map_err(|source| self.failed(source))?;
        Ok(match kept.and_then(|(contents, _)| Ending::parse(&contents)) {
            Some(kept) => unknown.and_later(kept),
            None => unknown,
        })
    }

    /// Writes down how the deployment of a generation ended, together with what was known before.
    pub(crate) async fn keep_ending(&self, generation: u64, ending: Ending) -> Result<(), PointError> {
        if ending.hosts.is_empty() {
            return Ok(());
        }
        let key = ending::key(self.application, self.group, generation);
        for attempt in 0..ATTEMPTS {
            let before = self.store.read(&key).await.map_err(|source| self.failed(source))?;
            let known = match &before {
                None => None,
                Some((contents, _)) => match Ending::parse(contents) {
                    Some(known) => Some(known),
                    // A later program knows more than can be said here.
                    None => return Ok(()),
                },
            };
            let both = match known.clone() {
                Some(known) => known.and_later(ending.clone()),
                None => ending.clone(),
            };
            if known.as_ref() == Some(&both) {
                return Ok(());
            }
            let etag = before.as_ref().map(|(_, etag)| etag.as_str());
            let replaced = self.store.replace_if(&key, &both.to_json(), etag).await;
            if replaced.map_err(|source| self.failed(source))?.is_some() {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(PointError::Contested { application: self.application.clone(), group: self.group.clone() })
    }

    /// The highest generation that the pointer ever had, as far as the store knows; `current`: the one that it stands at, 0
    /// when there is none. Somebody may have removed it or put an old one back, and hosts never follow one that is lower than
    /// what they have seen. The history ends one before the one that was lost so.
    async fn highest(&self, current: u64) -> Result<u64, PointError> {
        let kept = self.generations().await?.into_keys().next_back();
        let lost = kept.filter(|kept| *kept > current).map_or(0, pointer::generation_after);
        Ok(lost.max(current))
    }

    /// What its hosts say.
    pub(crate) async fn hosts(&self) -> Result<Hosts, PointError> {
        let mut hosts = Hosts::default();
        let refreshed = hosts.refresh(self.store, self.application, self.group, |_| false).await;
        refreshed.map_err(|source| self.failed(source)).map(|()| hosts)
    }

    pub(crate) fn failed(&self, source: StoreError) -> PointError {
        PointError::Store { application: self.application.clone(), group: self.group.clone(), source }
    }

    fn unknown(&self, source: PointerError) -> PointError {
        PointError::Unknown { application: self.application.clone(), group: self.group.clone(), source }
    }
}

/// The highest generation that hosts say they have seen.
fn highest_seen(hosts: &Hosts) -> u64 {
    let seen = hosts.known().filter_map(|(_, host)| Some(host.status()?.generation));
    seen.filter(|seen| *seen <= pointer::LAST_OF_HOSTS).max().unwrap_or(0)
}

fn new_deployment() -> io::Result<DeploymentId> {
    let mut bytes = [0; 9];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(DeploymentId::from_random(bytes))
}

/// Lets others through: up to 10 ms more each time, at most half a second.
async fn pause(attempt: u32) {
    let longest = Duration::from_millis(u64::from(attempt + 1) * 10).min(Duration::from_millis(500));
    tokio::time::sleep(chance::between(Duration::ZERO, longest)).await;
}

#[cfg(test)]
mod tests;
