//! Who this host is for AWS, and with which credentials it speaks: an instance by the metadata service, another host by its
//! on-premises file.

use std::sync::Arc;

use longshore_core::store::Keys;

use crate::settings::{CodeDeploy, Network};

/// Who this host is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The ARN of an instance, an IAM user or a session: `HostIdentifier`.
    pub host: String,
    /// The region.
    pub region: String,
    /// The partition's domain, `amazonaws.com` and so on.
    pub domain: String,
    /// Finds credentials and renews them in time.
    pub credentials: Credentials,
    /// Variables that hooks of an on-premises host get, as from the AWS agent 1.8.1, less those that are secret.
    pub hook_variables: Vec<(String, String)>,
}

/// Finds credentials and renews them in time. Cheap to clone; all clones share what was found.
#[derive(Debug, Clone)]
pub struct Credentials(Arc<Option<Keys>>);

/// Why nobody knows who this host is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Placeholder.
    #[error("not yet")]
    NotYet,
}

impl Identity {
    /// Asks the on-premises file and the metadata service.
    pub async fn find(_settings: &CodeDeploy, _network: &Network) -> Result<Identity, IdentityError> {
        Err(IdentityError::NotYet)
    }
}

impl Credentials {
    /// Credentials that hold for some minutes still.
    pub async fn keys(&self) -> Result<Keys, IdentityError> {
        self.0.as_ref().clone().ok_or(IdentityError::NotYet)
    }

    /// These, which never change.
    pub fn fixed(keys: Keys) -> Credentials {
        Credentials(Arc::new(Some(keys)))
    }

    /// Forgets what was found: the service said that it does not hold any more.
    pub fn forget(&self) {}
}
