//! Real scripts under a real shim. Needs root: scripts are run as other users.

#![expect(clippy::unwrap_used, reason = "what stands outside of test functions here is test code too")]

#[path = "hooks/fixture.rs"]
mod fixture;

#[path = "hooks/cgroups.rs"]
mod cgroups;
#[path = "hooks/ending.rs"]
mod ending;
#[path = "hooks/leftovers.rs"]
mod leftovers;
#[path = "hooks/output.rs"]
mod output;
#[path = "hooks/start.rs"]
mod start;
#[path = "hooks/survival.rs"]
mod survival;
#[path = "hooks/users.rs"]
mod users;
