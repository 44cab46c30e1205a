//! Installs real files into real folders. Runs as root, because owners are part of what is tested.

#![expect(clippy::unwrap_used, reason = "what stands outside of test functions here is test code too")]

#[path = "install/fixture.rs"]
mod fixture;

#[path = "install/crashes.rs"]
mod crashes;
#[path = "install/failures.rs"]
mod failures;
#[path = "install/permissions.rs"]
mod permissions;
#[path = "install/readers.rs"]
mod readers;
#[path = "install/records.rs"]
mod records;
#[path = "install/releases.rs"]
mod releases;
#[path = "install/renewals.rs"]
mod renewals;
#[path = "install/steps.rs"]
mod steps;
#[path = "install/unprivileged.rs"]
mod unprivileged;
