//! The Install event: decide first, then stage, swap, commit.
//!
//! A [`request`] is an appspec, the [`listing`] of its bundle and the previous release's record ([`cleanup`]). `mapping`
//! says where its files go, [`snapshot`] what stands there ([`maker`]: what a new folder gets), [`planner`] makes a [`plan`] of both, or every [`conflict`].
//!
//! [`execute`] carries the plan out: it lays it out as a [`transaction`] (pure), writes every new file beside its
//! destination (`stage`), renames it into place (`swap`, which knows what is ours by its [`identity`]) and writes the records ([`compat`], with the plan as
//! [`instruction`]s in them). Until the first record is renamed into place all of it is undone. What can fail on the way is a
//! [`step`]; [`permissions`] does what the system is asked about owners ([`ownership`]), modes, ACLs ([`acl`]) and contexts.
//!
//! No two files here use each other: values stand below those that make them, and those below [`execute`].

pub mod acl;
pub mod cleanup;
pub mod compat;
pub mod conflict;
pub mod execute;
pub mod identity;
pub mod instruction;
pub mod listing;
pub mod maker;
mod mapping;
pub mod ownership;
pub mod permissions;
pub mod plan;
pub mod planner;
pub mod request;
pub mod snapshot;
mod stage;
pub mod step;
mod swap;
pub mod transaction;
