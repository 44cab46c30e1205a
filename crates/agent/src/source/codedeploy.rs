//! Orders from the command service of CodeDeploy.

use crate::codedeploy::client::Client;
use crate::daemon::shared::Shared;

/// Takes commands until the daemon ends.
pub async fn take(_shared: Shared, _client: Client) {}
