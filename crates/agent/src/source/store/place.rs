//! The store that is followed, opened when it is first needed.

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;

use longshore_core::failure::chain;
use longshore_core::store::{Changed, Store, StoreError, StoreUrl};
use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};

use crate::daemon::shared::{OpenStore, Shared};
use crate::fetch::access::Access;

/// A store.
#[derive(Clone)]
pub(super) struct Place {
    url: StoreUrl,
    access: Access,
    store: OpenStore,
}

/// Why a store is of no use at the moment.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// It is not known how to reach it.
    #[error("cannot find the settings for S3")]
    Settings(#[source] Box<dyn Error + Send + Sync>),
    /// Its folder is not there: not mounted, or renamed.
    #[error("folder `{0}` does not exist")]
    Gone(PathBuf),
    /// Nobody could look.
    #[error("cannot look into the store")]
    Thread(#[source] JoinError),
    /// It fails or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PlaceError {
    /// The error with its causes and its remedy, one line.
    pub(super) fn line(&self) -> String {
        let mut line = chain(self);
        let hint = match self {
            PlaceError::Store(error) => error.hint(),
            PlaceError::Gone(_) => Some("mount or make it, or mend `store` in agent.toml".into()),
            PlaceError::Settings(_) | PlaceError::Thread(_) => None,
        };
        if let Some(hint) = hint {
            line.push_str("; ");
            line.push_str(&hint);
        }
        super::mark::one_line(&line)
    }
}

impl Place {
    /// The store at a URL, with the same access as for bundles.
    pub(super) fn new(shared: &Shared, url: &StoreUrl) -> Place {
        Place { url: url.clone(), access: shared.agent.access.clone(), store: shared.store(url) }
    }

    /// The store. A folder that is not there is no empty store: whoever wrote to it would make a new one.
    async fn store(&self) -> Result<&Store, PlaceError> {
        if let StoreUrl::Dir(root) = &self.url
            && !root.is_dir()
        {
            return Err(PlaceError::Gone(root.clone()));
        }
        let open = async || {
            let options = (self.access.s3)().map_err(PlaceError::Settings)?;
            Ok(Store::open_with(&self.url, &options).await?)
        };
        self.store.get_or_try_init(open).await
    }

    /// See [`Store::read_if_changed`].
    pub(super) async fn read_if_changed(&self, key: &str, known: Option<&str>) -> Result<Changed, PlaceError> {
        let (place, key, known) = (self.clone(), key.to_owned(), known.map(str::to_owned));
        let asked = async move {
            let changed = place.store().await?.read_if_changed(&key, known.as_deref()).await?;
            if changed == Changed::Missing {
                // It may have gone since.
                place.store().await?;
            }
            Ok(changed)
        };
        self.apart(asked).await
    }

    /// See [`Store::read`].
    pub(super) async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, PlaceError> {
        let (place, key) = (self.clone(), key.to_owned());
        self.apart(async move { Ok(place.store().await?.read(&key).await?) }).await
    }

    /// See [`Store::replace_if`].
    pub(super) async fn replace_if(
        &self,
        key: &str,
        contents: &[u8],
        expected: Option<&str>,
    ) -> Result<Option<String>, PlaceError> {
        let (place, key, contents) = (self.clone(), key.to_owned(), contents.to_vec());
        let expected = expected.map(str::to_owned);
        let asked = async move { Ok(place.store().await?.replace_if(&key, &contents, expected.as_deref()).await?) };
        self.apart(asked).await
    }

    /// Fails when an object cannot be asked for at the moment. That it does not exist is no failure.
    pub(super) async fn can_reach(&self, key: &str, version: Option<&str>) -> Result<(), PlaceError> {
        let (place, key, version) = (self.clone(), key.to_owned(), version.map(str::to_owned));
        let asked = async move {
            match place.store().await?.head(&key, version.as_deref()).await {
                Err(error) if error.is_unavailable() => Err(error.into()),
                // Whoever fetches it says what is wrong.
                Ok(_) | Err(_) => Ok(()),
            }
        };
        self.apart(asked).await
    }

    /// Keeps a folder's work from everything else that the daemon does: it blocks, over a network perhaps for ever, and a
    /// bundle is read whole.
    async fn apart<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, PlaceError>> + Send + 'static,
    ) -> Result<T, PlaceError> {
        match &self.url {
            StoreUrl::S3 { .. } => asked.await,
            StoreUrl::Dir(_) => {
                let runtime = Handle::current();
                spawn_blocking(move || runtime.block_on(asked)).await.map_err(PlaceError::Thread)?
            }
        }
    }
}
