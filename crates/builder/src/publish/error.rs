//! Why an artifact was not published.

use std::io;
use std::path::PathBuf;

use longshore_core::bundle::OpenError;
use longshore_core::digest::Sha256;
use longshore_core::store::StoreError;

use crate::beside::BesideError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The store failed.
    #[error("cannot publish to `{url}`")]
    Store {
        /// Where to.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// Other content stands under this commit.
    #[error("`{url}` holds other content for this commit, {theirs}, not {ours}:{differences}")]
    Conflict {
        /// The object.
        url: String,
        /// The content digest of what is there.
        theirs: Sha256,
        /// The content digest of what should be published.
        ours: Sha256,
        /// The files that differ, one line each, each after a line break.
        differences: String,
    },
    /// The archive cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Ctrl-C.
    #[error("interrupted; nothing was published to `{url}`")]
    Interrupted {
        /// Where to.
        url: String,
    },
    /// Ctrl-C, when something stood there.
    #[error("interrupted; published is {standing}, and nothing else of it")]
    InterruptedLate {
        /// The objects.
        standing: String,
    },
    /// Ctrl-C, and the store does not say what stands there.
    #[error("interrupted; whether anything was published to `{url}` is not known")]
    InterruptedBlind {
        /// Where to.
        url: String,
    },
    /// What stands there is no bundle that can be compared.
    #[error("something else stands at `{url}`")]
    Foreign {
        /// The object.
        url: String,
        /// Why it cannot be read.
        source: OpenError,
    },
    /// Signature or provenance are not those of the artifact, or cannot be stored.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// The published object could not be kept for comparing.
    #[error("cannot make a temporary folder")]
    Temporary(#[source] io::Error),
}

impl PublishError {
    /// Whether what stands there is certainly another archive.
    pub(super) fn tells_other_bytes(&self) -> bool {
        match self {
            PublishError::Conflict { .. } | PublishError::Foreign { .. } => true,
            PublishError::Beside(BesideError::OtherBytes(_)) => true,
            PublishError::Beside(_)
            | PublishError::Store { .. }
            | PublishError::Read { .. }
            | PublishError::Interrupted { .. }
            | PublishError::InterruptedLate { .. }
            | PublishError::InterruptedBlind { .. }
            | PublishError::Temporary(_) => false,
        }
    }
}
