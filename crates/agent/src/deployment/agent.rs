//! What a deployment works with: where, with whom, under which limits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use longshore_core::bundle::Limits;
use longshore_core::report::Fanout;

use crate::event::Event;
use crate::layout::Layout;

/// What a deployment works with.
pub struct Agent<'a> {
    /// Where everything stands.
    pub layout: &'a Layout,
    /// Who is told.
    pub events: &'a Fanout<Event>,
    /// The clock: RFC 3339.
    pub now: fn() -> String,
    /// The agent's own environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Where relative paths in scripts start: the agent's working folder, as for the AWS agent.
    pub cwd: &'a Path,
    /// How many times the user asked to stop: once ends the deployment after the running script, twice ends the script.
    pub stop: &'a AtomicUsize,
    /// How much an archive may ask for.
    pub limits: Limits,
    /// The time between TERM and KILL.
    pub grace: Duration,
    /// How many deployments of a group are kept.
    pub keep: usize,
}
