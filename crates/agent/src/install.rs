//! The Install event: decide first, then stage, swap, commit.
//!
//! [`listing`] says what a bundle holds, [`snapshot`] what stands on disk, [`plan`] what to do (pure); [`execute`] does it.

pub mod compat;
pub mod execute;
pub mod listing;
pub mod permissions;
pub mod plan;
pub mod snapshot;
