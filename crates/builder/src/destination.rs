//! Where an artifact is published, and what stands beside it.

use std::path::Path;

use longshore_core::figures::quoted;
use longshore_core::store::{ObjectInfo, Store, StoreError, StoreUrl};

/// A key in a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The store.
    pub(crate) to: &'a StoreUrl,
    /// The same, opened.
    pub(crate) store: &'a Store,
    /// The key of the artifact.
    pub(crate) key: &'a str,
}

impl Destination<'_> {
    /// The artifact.
    pub(crate) fn url(&self) -> String {
        self.url_beside("")
    }

    /// What stands beside it with this ending.
    pub(crate) fn url_beside(&self, suffix: &str) -> String {
        self.to.object(&format!("{}{suffix}", self.key)).to_string()
    }

    /// The command that removes what stands beside it.
    pub(crate) fn removal(&self, suffix: &str) -> String {
        match self.to {
            StoreUrl::S3 { .. } => format!("aws s3 rm {}", quoted(&self.url_beside(suffix))),
            StoreUrl::Dir(folder) => {
                let path = folder.join(format!("{}{suffix}", self.key));
                format!("rm {}", quoted(&path.display().to_string()))
            }
        }
    }

    /// Fetches the artifact.
    pub(crate) async fn fetch(&self, to: &Path) -> Result<ObjectInfo, StoreError> {
        self.store.get(&self.to.object(self.key), to, None, &|_| {}).await
    }
}
