//! Credentials that are found once, renewed in time, and shared.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use longshore_core::chance;
use longshore_core::failure::chain;
use longshore_core::store::Keys;
use tokio::sync::Mutex as Gate;

use super::error::IdentityError;
use super::imds::{Found, Imds};
use super::on_premises::{self, Means, Stamp};
use super::shared_file;

/// How long before they expire credentials are renewed.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// How much earlier at the most, by chance, so that a fleet does not do it at once.
const EARLIER: Duration = Duration::from_secs(60);
/// The pause after a renewal that failed, or brought nothing new.
const AGAIN: Duration = Duration::from_secs(30);
/// After how long a file is read again that did not change.
const REREAD: Duration = Duration::from_secs(30 * 60);

/// Finds credentials and renews them in time. Cheap to clone; all clones share what was found.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    source: Source,
    held: Mutex<Option<Held>>,
    /// Who has it renews; the others wait, or go on with what there is.
    renewing: Gate<()>,
}

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The metadata service.
    Instance(Imds),
    /// The on-premises file with the keys of an IAM user; who that is must not change.
    User {
        /// The file.
        file: PathBuf,
        /// Who it is.
        host: String,
    },
    /// A credentials file, which somebody else renews.
    Session(PathBuf),
    /// Given once.
    Fixed(Keys),
}

#[derive(Clone)]
struct Held {
    keys: Keys,
    /// Until then nobody is asked.
    renew: SystemTime,
    /// `None`: nobody knows.
    expires: Option<SystemTime>,
    /// Of the file that they came from.
    stamp: Option<Stamp>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the keys that are held; those of a source hide their secrets.
        f.debug_tuple("Credentials").field(&self.0.source).finish()
    }
}

impl Credentials {
    pub(super) fn of(source: Source) -> Credentials {
        Credentials(Arc::new(Shared { source, held: Mutex::default(), renewing: Gate::default() }))
    }

    /// Credentials that never change.
    pub fn fixed(keys: Keys) -> Credentials {
        Credentials::of(Source::Fixed(keys))
    }

    /// Credentials that hold for some minutes still. Whoever asks while they are renewed gets the old ones while these
    /// hold; a renewal that fails is no error until then.
    pub async fn keys(&self) -> Result<Keys, IdentityError> {
        let shared = &*self.0;
        if let Source::Fixed(keys) = &shared.source {
            return Ok(keys.clone());
        }
        let before = match shared.look() {
            Look::Fresh(keys) => return Ok(keys),
            Look::Old(held) => Some(held),
            Look::Nothing => None,
        };
        let _renewing = match (shared.renewing.try_lock(), &before) {
            (Ok(gate), _) => gate,
            (Err(_), Some(held)) => return Ok(held.keys.clone()),
            (Err(_), None) => shared.renewing.lock().await,
        };
        // Somebody may have been faster.
        if let Look::Fresh(keys) = shared.look() {
            return Ok(keys);
        }
        match shared.renew(before.as_ref()).await {
            Ok(held) => {
                let keys = held.keys.clone();
                shared.hold(held);
                Ok(keys)
            }
            Err(error) => match before {
                Some(held) => {
                    tracing::warn!("the credentials could not be renewed, and hold still: {}", chain(&error));
                    let keys = held.keys.clone();
                    shared.hold(Held { renew: SystemTime::now() + AGAIN, ..held });
                    Ok(keys)
                }
                None => Err(error),
            },
        }
    }

    /// Forgets what was found: the service said that it does not hold any more.
    pub fn forget(&self) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

enum Look {
    /// Nobody needs to be asked.
    Fresh(Keys),
    /// They hold, and should be renewed.
    Old(Held),
    Nothing,
}

impl Shared {
    fn look(&self) -> Look {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (now, Some(held)) = (SystemTime::now(), held) else { return Look::Nothing };
        let changed = held.stamp.as_ref().is_some_and(|stamp| self.file().map(Stamp::of).as_ref() != Some(stamp));
        match held.expires {
            _ if now < held.renew && !changed => Look::Fresh(held.keys),
            Some(expires) if now >= expires => Look::Nothing,
            Some(_) | None => Look::Old(held),
        }
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// The file whose change means new credentials.
    fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::User { file, .. } | Source::Session(file) => Some(file),
            Source::Instance(_) | Source::Fixed(_) => None,
        }
    }

    async fn renew(&self, before: Option<&Held>) -> Result<Held, IdentityError> {
        // Before it is read: a change in between is seen the next time.
        let stamp = self.file().map(Stamp::of);
        let Found { keys, expires } = match &self.source {
            Source::Instance(imds) => imds.credentials().await?,
            Source::User { file, host } => Found { keys: user_keys(file, host)?, expires: None },
            Source::Session(file) => Found { keys: session_keys(file)?, expires: None },
            Source::Fixed(keys) => Found { keys: keys.clone(), expires: None },
        };
        let now = SystemTime::now();
        let expires = expires.map(SystemTime::from);
        let news = before.is_none_or(|before| before.keys.access_key_id != keys.access_key_id);
        let renew = match expires {
            None => now + REREAD,
            Some(expires) => {
                let wanted = expires.checked_sub(AHEAD + chance::between(Duration::ZERO, EARLIER)).unwrap_or(now);
                // The same ones again: the service renews them in its own time.
                if news { wanted } else { wanted.max(now + AGAIN) }
            }
        };
        Ok(Held { keys, renew, expires, stamp })
    }
}

fn user_keys(file: &Path, host: &str) -> Result<Keys, IdentityError> {
    let other = || IdentityError::OtherHost { file: file.to_owned() };
    let registered = on_premises::read(file)?.ok_or_else(other)?;
    match registered.means {
        Means::User(keys) if registered.host == host => Ok(keys),
        Means::User(_) | Means::Session(_) => Err(other()),
    }
}

fn session_keys(file: &Path) -> Result<Keys, IdentityError> {
    let text =
        on_premises::read_secret(file).map_err(|source| IdentityError::Read { file: file.to_owned(), source })?;
    shared_file::parse(&text).map_err(|why| IdentityError::SharedFile { file: file.to_owned(), why })
}
