//! Local control: a Unix socket on which the running agent is asked.

use std::io;

use crate::daemon::shared::Shared;

/// Where the socket stands.
pub const DEFAULT_SOCKET: &str = "/run/longshore/agent.sock";

/// Answers questions until the daemon ends.
pub async fn serve(_shared: Shared) -> io::Result<()> {
    Ok(())
}

/// Since when, and for whom, new orders are left where they are.
pub fn read_paused(_layout: &crate::layout::Layout) -> Option<()> {
    None
}
