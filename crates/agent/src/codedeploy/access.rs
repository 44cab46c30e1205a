//! With whose credentials, and over which ways, a host of CodeDeploy fetches bundles.

use std::sync::Arc;

use longshore_core::store::S3Options;
use tokio::runtime::Handle;

use crate::fetch::access::Access;
use crate::identity::Identity;
use crate::network::{self, Network};
use crate::settings::CodeDeploy;

/// How a host of CodeDeploy fetches: with its own credentials, which are asked for on `runtime` each time. To be used by the
/// threads of deployments, never within a runtime: it would wait for itself.
pub fn host_access(identity: &Identity, settings: &CodeDeploy, network: &Network, runtime: Handle) -> Access {
    let (credentials, region) = (identity.credentials.clone(), identity.region.clone());
    let (endpoint, fips, way) = (settings.s3_endpoint.clone(), settings.fips, network.clone());
    let s3 = move || {
        if Handle::try_current().is_ok() {
            return Err("the credentials of the host were asked for within a runtime".into());
        }
        let keys = runtime.block_on(credentials.keys())?;
        let options = network::s3_options(&way)?;
        Ok(S3Options { endpoint: endpoint.clone(), region: Some(region.clone()), fips, keys: Some(keys), ..options })
    };
    Access { s3: Arc::new(s3), github_token: None, network: network.clone() }
}
