//! What the user may choose about how scripts run. Values only.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the scripts of one deployment run. Part of the order, so that it holds after a restart of the agent too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPolicy {
    /// The time between TERM and KILL.
    pub grace: Duration,
    /// What happens to processes that a script leaves behind.
    pub leftovers: Leftovers,
    /// Which variables a script inherits.
    pub environment: HookEnvironment,
    /// The log of all deployments, absolute (AWS: `enable_deployments_log`); `None`: none is written.
    pub deployments_log: Option<PathBuf>,
    /// What scripts are told as names instead of the order's; `None`: the order's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_names: Option<ToldNames>,
}

/// APPLICATION_NAME and DEPLOYMENT_GROUP_NAME as texts of any kind, such as a path: `codedeploy-local` takes them. Nothing
/// but a script's environment gets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldNames {
    /// APPLICATION_NAME.
    pub application: String,
    /// DEPLOYMENT_GROUP_NAME.
    pub group: String,
}

/// What happens to processes that a script leaves running when it exits with 0. They are named in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They go on running, and the script has passed.
    #[default]
    Warn,
    /// They go on running, and the script has failed: code 6 when one holds its output (as the AWS agent after the whole
    /// timeout), else 4.
    Fail,
    /// They are ended, TERM first, and the script has passed. They are ended after a script that fails too.
    Kill,
}

/// Which variables a script inherits, beside those of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HookEnvironment {
    /// The agent's own, less its credentials (AWS agent 1.8.1: all of it).
    #[default]
    Inherit,
    /// `PATH`, the user's `HOME`, `USER`, `LOGNAME` and `SHELL`, language, time zone and AWS region, and nothing else.
    Clean,
}

impl Default for HookPolicy {
    fn default() -> HookPolicy {
        HookPolicy {
            grace: Duration::from_secs(10),
            leftovers: Leftovers::default(),
            environment: HookEnvironment::default(),
            deployments_log: None,
            told_names: None,
        }
    }
}
