//! The Install event: decide first, then stage, swap, commit.
//!
//! [`listing`] says what a bundle holds, [`snapshot`] what stands on disk, [`plan`] what to do (pure). [`execute`] does it:
//! it lays the plan out as a [`transaction`] (pure), writes every new file beside its destination ([`stage`]), renames it
//! into place ([`swap`]) and writes the records ([`compat`]). Until the records are written all of it can be undone.

pub mod acl;
pub mod compat;
pub mod execute;
pub mod listing;
pub mod ownership;
pub mod permissions;
pub mod plan;
pub mod snapshot;
mod stage;
pub mod step;
mod swap;
pub mod transaction;
