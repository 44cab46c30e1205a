//! Events that are asked for one at a time, as the CodeDeploy service does.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "commands/events.rs"]
mod events;
#[path = "commands/fixture.rs"]
mod fixture;
#[path = "commands/interrupted.rs"]
mod interrupted;
#[expect(dead_code, reason = "each test program uses its own part of it")]
mod sandbox;
#[path = "commands/traffic.rs"]
mod traffic;
