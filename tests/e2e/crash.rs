//! The agent is killed, its disk fills, its host loses power: at every step of a deployment, one after the other.
//!
//! Needs root: each host is a file system of its own. `docs/decisions/0007-crash-tests.md` says what is tested and what
//! the disk is believed to keep.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "crash/check.rs"]
mod check;
#[path = "crash/fault.rs"]
mod fault;
#[path = "crash/hook.rs"]
mod hook;
#[path = "crash/host.rs"]
mod host;
#[path = "crash/kill.rs"]
mod kill;
#[path = "crash/order.rs"]
mod order;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/release.rs"]
mod release;
