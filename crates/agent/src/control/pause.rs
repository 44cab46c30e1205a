//! The mark that new orders are left where they are. It holds over a restart.

use std::fs;
use std::io;

use longshore_core::fsx;
use serde::{Deserialize, Serialize};

use crate::layout::Layout;

/// That new orders are left where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who asked for it.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Whether somebody paused the agent of this root. A mark that cannot be read is one: orders that wait can be taken later.
pub fn read_paused(layout: &Layout) -> Option<Paused> {
    let unknown = |why: String| Paused { by: format!("somebody (the mark cannot be read: {why})"), at: String::new() };
    match fs::read(layout.paused()) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| unknown(error.to_string()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(unknown(error.to_string())),
    }
}

pub(super) fn write_paused(layout: &Layout, paused: &Paused) -> io::Result<()> {
    fs::create_dir_all(layout.root())?;
    fsx::write_atomic(&layout.paused(), &serde_json::to_vec(paused)?)
}

pub(super) fn remove_paused(layout: &Layout) -> io::Result<()> {
    match fs::remove_file(layout.paused()) {
        Ok(()) => fsx::sync_dir(layout.root()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
