//! The long-lived agent on a host, with the command service of CodeDeploy as its source of orders: real processes, real
//! scripts, a service that is as unreliable as it may be.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "daemon/course.rs"]
mod course;
#[path = "daemon/failure.rs"]
mod failure;
#[path = "daemon/host.rs"]
mod host;
#[path = "daemon/instance.rs"]
mod instance;
#[path = "daemon/network.rs"]
mod network;
#[path = "daemon/release.rs"]
mod release;
#[path = "daemon/restart.rs"]
mod restart;
#[path = "daemon/takeover.rs"]
mod takeover;
#[path = "daemon/trust.rs"]
mod trust;
