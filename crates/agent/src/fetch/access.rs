//! With whose credentials, and over which ways, revisions are fetched.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use longshore_core::store::S3Options;

use crate::network::{self, Network};

/// Finds the settings for S3 when they are needed: credentials may have been renewed since.
type FindS3 = dyn Fn() -> Result<S3Options, Box<dyn Error + Send + Sync>> + Send + Sync;

/// How revisions are fetched.
#[derive(Clone)]
pub struct Access {
    /// The settings for S3.
    pub s3: Arc<FindS3>,
    /// The token for GitHub, instead of that of the environment.
    pub github_token: Option<String>,
    /// The way to GitHub.
    pub network: Network,
}

impl Default for Access {
    /// As the AWS CLI and the environment say.
    fn default() -> Access {
        Access { s3: Arc::new(|| Ok(S3Options::default())), github_token: None, network: Network::default() }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// As [`Access::default`], over the ways that the settings name: credentials are those of the environment. `endpoint` is the
/// URL of S3, when it is not the region's.
pub fn environment_access(network: &Network, endpoint: Option<String>, fips: bool) -> Access {
    let way = network.clone();
    let s3 = move || Ok(S3Options { endpoint: endpoint.clone(), fips, ..network::s3_options(&way)? });
    Access { s3: Arc::new(s3), github_token: None, network: network.clone() }
}
