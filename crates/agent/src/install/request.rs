//! What an installation is asked for. Says nothing of the host.

use longshore_core::appspec::{AppSpec, FileExists};

use super::cleanup::Cleanup;
use super::listing::Listing;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The appspec of the new release.
    pub appspec: &'a AppSpec,
    /// What its archive holds.
    pub listing: &'a Listing,
    /// What the previous deployment of the group installed.
    pub previous: &'a Cleanup,
    /// What to do about files that are in the way: the appspec's word, or else the deployment's, or else `DISALLOW`.
    pub file_exists: FileExists,
}
