//! How an event that was asked for ended, for whoever asked.

use longshore_core::failure::Failure;

use crate::hook::diagnostics::Diagnostics;

/// How an event that was asked for ended.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Succeeded,
    /// It failed, now or when it was asked for before.
    Failed {
        /// What the service is told.
        diagnostics: Diagnostics,
        /// What the log is told.
        failure: Failure,
    },
    /// This process is about to end; the next one goes on with it when it is asked again.
    HandedOver,
}
