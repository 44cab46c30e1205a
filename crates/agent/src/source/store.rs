//! Orders from a group pointer in a store.

use crate::daemon::shared::Shared;
use crate::settings::Follow;

/// Follows a pointer until the daemon ends.
pub async fn follow(_shared: Shared, _follow: Follow) {}
