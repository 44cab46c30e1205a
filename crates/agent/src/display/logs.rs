//! What `logs` says beside the log.

use std::io::Write as _;

use longshore_core::ids::DeploymentId;

/// There is no log.
pub fn nothing_printed(deployment: &DeploymentId) {
    // A closed standard error is the reader's loss.
    let _ = writeln!(std::io::stderr(), "no script of {deployment} has printed anything");
}
