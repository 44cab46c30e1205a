//! The command line. Every word of `--help` stands here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;

use crate::deployment::order::StopFrom;
use crate::layout::DEFAULT_ROOT;

/// Fetch a bundle and walk its lifecycle events on this host
///
/// Works with bundles of `longshore build` and with any zip, tar, tgz or folder that the AWS CodeDeploy agent takes.
#[derive(Debug, Parser)]
#[command(name = "longshore-agent", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Folder of deployments and records; the default is the AWS agent's, because hooks know it
    #[arg(long, env = "LONGSHORE_ROOT", value_name = "DIR", default_value = DEFAULT_ROOT, global = true)]
    pub root: PathBuf,
    /// How results are written: text for people, or JSON on standard output
    #[arg(long, env = "LONGSHORE_OUTPUT", value_name = "FORMAT", default_value = "text", global = true)]
    pub output: Output,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy a bundle to a group of this host
    ///
    /// Fetches, verifies and unpacks the bundle, finds every conflict, and only then runs the lifecycle events in
    /// CodeDeploy's order. ApplicationStop takes its scripts from the revision that is installed. The first script
    /// that fails ends the deployment.
    #[command(after_help = "Example:\n  longshore-agent deploy s3://releases/bundles/shop/0f3c…9a.zip --group dev")]
    Deploy(DeployArgs),
    /// Show what a deployment would do, without doing it
    ///
    /// Takes the arguments of `deploy`, reads the bundle and the disk, and touches nothing. What comes after scripts
    /// have run is marked "expected": they may change what it finds.
    #[command(after_help = "Example:\n  longshore-agent plan dist/shop-0f3c…9a.zip --group dev")]
    Plan(DeployArgs),
    /// Show what is installed in each group
    #[command(after_help = "Example:\n  longshore-agent status --output json")]
    Status(StatusArgs),
    /// Show what was deployed, and how it ended
    #[command(after_help = "Example:\n  longshore-agent history --group dev --limit 5")]
    History(HistoryArgs),
}

/// What is deployed where.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    /// Archive or folder on this host, `s3://bucket/key[?versionId=…&etag=…]`, or `file:///path`
    #[arg(value_name = "REVISION")]
    pub revision: String,
    /// Deployment group, what hooks see as DEPLOYMENT_GROUP_NAME
    #[arg(long, env = "LONGSHORE_GROUP", value_name = "NAME")]
    pub group: GroupName,
    /// Application; the default is what the bundle's manifest says
    #[arg(long, env = "LONGSHORE_APPLICATION", value_name = "NAME")]
    pub application: Option<ApplicationName>,
    /// Group id, the folder below the root [default: APPLICATION~GROUP]
    ///
    /// Give the id that the CodeDeploy service uses to carry on with a group of the AWS agent.
    #[arg(long, value_name = "ID")]
    pub group_id: Option<GroupId>,
    /// Deployment id, what hooks see as DEPLOYMENT_ID [default: a fresh one]
    #[arg(long, value_name = "ID")]
    pub deployment_id: Option<DeploymentId>,
    /// Run only these events, in this order, separated by commas [default: all]
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub events: Vec<LifecycleEvent>,
    /// Leave out the scripts of this event; may be given more than once
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release
    ///
    /// `new` is the way out when the stop script of the installed revision is broken.
    #[arg(long, value_name = "REVISION", default_value = "installed")]
    pub stop_from: StopFrom,
    /// What to do about files in the way, unless the appspec says it
    #[arg(long, value_name = "BEHAVIOR", default_value = "DISALLOW", ignore_case = true)]
    pub file_exists_behavior: FileExistsBehavior,
    /// Refuse a bundle whose content digest is not this one
    #[arg(long, value_name = "SHA256")]
    pub digest: Option<Sha256>,
    /// Seconds that a script has between TERM and KILL when its time is up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// How many deployments of the group are kept on disk
    #[arg(long, value_name = "COUNT", default_value_t = crate::retention::DEFAULT_KEEP)]
    pub max_revisions: usize,
    /// Refuse an archive that unpacks to more bytes
    #[arg(long, value_name = "BYTES", default_value_t = longshore_core::bundle::Limits::default().total)]
    pub max_unpacked_size: u64,
    /// Refuse an archive with more entries
    #[arg(long, value_name = "COUNT", default_value_t = longshore_core::bundle::Limits::default().entries)]
    pub max_entries: u64,
    /// Refuse an archive that unpacks to more than this many times its size
    #[arg(long, value_name = "RATIO", default_value_t = longshore_core::bundle::Limits::default().ratio)]
    pub max_ratio: u64,
}

/// `file_exists_behavior` on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum FileExistsBehavior {
    /// Refuse the deployment.
    Disallow,
    /// Replace the files.
    Overwrite,
    /// Leave the files.
    Retain,
}

/// Which groups.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Only groups of this name
    #[arg(long, env = "LONGSHORE_GROUP", value_name = "NAME")]
    pub group: Option<GroupName>,
}

/// Which deployments.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// Only groups of this name
    #[arg(long, env = "LONGSHORE_GROUP", value_name = "NAME")]
    pub group: Option<GroupName>,
    /// Only this application
    #[arg(long, env = "LONGSHORE_APPLICATION", value_name = "NAME")]
    pub application: Option<ApplicationName>,
    /// At most this many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: usize,
}
