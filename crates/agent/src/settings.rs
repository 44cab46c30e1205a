//! What the daemon is told to do: the AWS agent's `codedeployagent.yml` as it is on the host, our own `agent.toml` beside
//! it, and where each value comes from.

use std::path::PathBuf;
use std::time::Duration;

use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::problem::Problem;
use longshore_core::store::StoreUrl;
use serde::Serialize;

use crate::deployment::order::Policy;
use crate::layout::Layout;
use crate::network::Network;

mod file;
mod load;
mod merge;
mod sources;
mod word;

pub use load::load;

/// Where our own file stands.
pub const DEFAULT_PATH: &str = "/etc/longshore/agent.toml";

/// Where the control socket stands.
pub const DEFAULT_SOCKET: &str = "/run/longshore/agent.sock";

/// Everything the daemon is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where everything stands.
    pub layout: Layout,
    /// The first part of the names of logs (AWS: `program_name`).
    pub program_name: String,
    /// The folder of the agent's own log; `None`: it goes to standard error alone.
    pub log_dir: Option<PathBuf>,
    /// Whether the agent's own log has every detail.
    pub verbose: bool,
    /// The way to the services.
    pub network: Network,
    /// The command service of CodeDeploy, when orders are taken from it.
    pub codedeploy: Option<CodeDeploy>,
    /// The group pointers that are followed.
    pub follow: Vec<Follow>,
    /// Local control.
    pub control: Control,
    /// How deployments are carried out that no source orders, but somebody on the host.
    pub policy: Policy,
}

/// What came out of the files and the environment.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// Each value, and where it comes from.
    pub origins: Vec<Shown>,
    /// What will surprise; what is wrong has become a failure.
    pub problems: Vec<Problem>,
}

/// One value for people and programs, secrets masked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its key in `agent.toml`, for example `follow[0].poll_s`.
    pub key: String,
    /// The value; null where there is none.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file.
    File {
        /// Its path.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// An option of the command line.
    Option {
        /// Its name.
        name: String,
    },
}

/// How orders are taken from the CodeDeploy service.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeDeploy {
    /// The service's URL, when it is not the region's (`deploy_control_endpoint`).
    pub endpoint: Option<String>,
    /// The URL of S3, when it is not the region's (`s3_endpoint_override`).
    pub s3_endpoint: Option<String>,
    /// Whether AWS is reached by its FIPS endpoints (`use_fips_mode`).
    pub fips: bool,
    /// Whether the service is reached by its endpoint for policies (`enable_auth_policy`).
    pub auth_policy: bool,
    /// Whether the metadata service may be asked by its first protocol too (not `disable_imds_v1`).
    pub imds_v1: bool,
    /// Who this host is, where it is no instance (`on_premises_config_file`).
    pub on_premises_file: PathBuf,
    /// The folder below the root that names running commands (`ongoing_deployment_tracking`).
    pub tracking: String,
    /// The pause between two questions (`wait_between_runs`).
    pub pause: Duration,
    /// How long an answer may take; a question waits for orders that long (`http_read_timeout`).
    pub read_timeout: Duration,
    /// The pause after the service asked for one (`wait_after_throttle_error`).
    pub throttle_pause: Duration,
    /// What is demanded of the signature of a deployment specification.
    pub signature: SignatureCheck,
    /// How its deployments are carried out.
    pub policy: Policy,
}

/// What is demanded of the signature of a deployment specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureCheck {
    /// It is a right signature over the content, by a certificate that is valid now and leads to one of the authorities in
    /// this file (`spec_signer_ca_file`; `None`: those of the host).
    Chain(Option<PathBuf>),
    /// It is a right signature over the content; whose is not asked. That the service sent it is shown by TLS.
    Content,
    /// None (as the AWS agent 1.8.1). The daemon says so at each start.
    Unchecked,
}

/// A group pointer in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    /// The store.
    pub store: StoreUrl,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: GroupName,
    /// The pause between two looks while nothing moves.
    pub poll: Duration,
    /// The pause while something moves.
    pub fast_poll: Duration,
    /// After how long this host says again that it is there.
    pub heartbeat: Duration,
    /// The name under which this host reports; the default is the host's.
    pub host: String,
    /// How its deployments are carried out.
    pub policy: Policy,
}

/// Local control by a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The socket; `None`: there is none.
    pub socket: Option<PathBuf>,
    /// The group of the host whose members may use it beside root.
    pub group: Option<String>,
}
