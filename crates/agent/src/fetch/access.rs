//! With whose credentials, and over which ways, revisions are fetched.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use longshore_core::store::S3Options;

/// Finds the settings for S3 when they are needed: credentials may have been renewed since.
type FindS3 = dyn Fn() -> Result<S3Options, Box<dyn Error + Send + Sync>> + Send + Sync;

/// How revisions are fetched.
#[derive(Clone)]
pub struct Access {
    /// The settings for S3.
    pub s3: Arc<FindS3>,
    /// The token for GitHub, instead of that of the environment.
    pub github_token: Option<String>,
}

impl Default for Access {
    /// As the AWS CLI and the environment say.
    fn default() -> Access {
        Access { s3: Arc::new(|| Ok(S3Options::default())), github_token: None }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_struct("Access").finish_non_exhaustive()
    }
}
