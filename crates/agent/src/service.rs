//! The agent as a service of systemd: what has to be done on a host, decided from what stands there, and then done.

pub mod act;
pub mod host;
pub mod plan;
pub mod unit;

use std::path::PathBuf;

use serde::Serialize;

/// The name of our service.
pub const UNIT: &str = "longshore-agent.service";

/// The name of the service of AWS's agent.
pub const AWS_UNIT: &str = "codedeploy-agent.service";

/// One thing that is done to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Make a folder.
    MakeFolder {
        /// Where.
        path: PathBuf,
    },
    /// Write a file, wholly or not at all.
    Write {
        /// Where.
        path: PathBuf,
        /// What it holds.
        #[serde(skip)]
        text: String,
    },
    /// Remove a file or a link.
    Remove {
        /// Where.
        path: PathBuf,
    },
    /// Make a link.
    Link {
        /// Where.
        path: PathBuf,
        /// What it leads to.
        to: PathBuf,
    },
    /// Have systemd read its units again.
    Reload,
    /// Ask systemd something about a service.
    Service {
        /// What.
        order: Order,
        /// Which.
        unit: &'static str,
    },
}

/// What systemd is asked to do with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Start it with the host.
    Enable,
    /// Do not.
    Disable,
    /// Start it now.
    Start,
    /// Stop it now.
    Stop,
    /// Stop it and start it again.
    Restart,
}

impl Order {
    /// The word of `systemctl`.
    pub fn word(self) -> &'static str {
        match self {
            Order::Enable => "enable",
            Order::Disable => "disable",
            Order::Start => "start",
            Order::Stop => "stop",
            Order::Restart => "restart",
        }
    }
}
