//! The command line. Every word of `--help` stands here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use longshore_core::bundle::BundlePath;
use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;

use crate::deployment::order::{OnFailure, StopFrom};
use crate::history::Selection;
use crate::hook::policy::{HookEnvironment, Leftovers};
use crate::layout::DEFAULT_ROOT;
use crate::settings::DEFAULT_SOCKET;

/// Fetch a bundle and walk its lifecycle events on this host
///
/// Works with bundles of `longshore build` and with any zip, tar, tgz or folder that the AWS CodeDeploy agent takes.
#[derive(Debug, Parser)]
#[command(name = "longshore-agent", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 errors in a file, 4 conflict, 5 a script failed,\n\
    6 installing failed, 7 not found, 8 bad bundle, 9 busy, 10 store, service or agent unavailable."
)]
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
    /// The root, when the command line or the environment says it.
    #[arg(skip)]
    pub explicit_root: Option<PathBuf>,
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
    /// Takes the arguments of `deploy`, compares the bundle with what stands on disk, and touches nothing. Many changes
    /// are counted by folder. What comes after scripts have run is marked "expected": they may change what it finds.
    /// Exits as the deployment would if it were refused.
    #[command(after_help = "Example:\n  longshore-agent plan dist/shop-0f3c…9a.zip --group dev")]
    Plan(PlanArgs),
    /// Finish what an agent that was killed left unfinished
    ///
    /// A script that still runs is waited for, a result that is waiting is taken, and the deployment goes on where it
    /// stopped. No script runs a second time: one that a reboot interrupted fails its deployment.
    #[command(after_help = "Example:\n  longshore-agent resume --group dev")]
    Resume(ResumeArgs),
    /// Go back to a release that was good
    ///
    /// Deploys it again, with all of its events, from the archive that was kept; the network is needed only when there
    /// is none. A release is good when a deployment of it went through its last event.
    #[command(after_help = "Example:\n  longshore-agent rollback --group dev")]
    Rollback(RollbackArgs),
    /// Show what is installed in each group
    #[command(after_help = "Example:\n  longshore-agent status --output json")]
    Status(StatusArgs),
    /// Show what was deployed, and how it ended
    #[command(after_help = "Example:\n  longshore-agent history --group dev --limit 5")]
    History(HistoryArgs),
    /// Say why a deployment ended as it did, and what to type next
    ///
    /// What ran, from which revision, what failed, the likely causes in order, and the command to type. Without a
    /// deployment: the latest one.
    #[command(after_help = "Example:\n  longshore-agent explain d-4F7K2M9QX")]
    Explain(ExplainArgs),
    /// Show what the scripts of a deployment printed
    ///
    /// Without a deployment: the latest one.
    #[command(after_help = "Example:\n  longshore-agent logs --group dev --follow")]
    Logs(LogsArgs),
    /// Take orders and carry them out until it is stopped
    ///
    /// The long-lived agent. Orders come from the AWS CodeDeploy service, in place of AWS's own agent, or from group pointers
    /// in a store (S3 or a folder), or both. Reads `/etc/longshore/agent.toml` and AWS's `codedeployagent.yml`. Ends with 0
    /// on TERM: a script that runs goes on, and the next agent takes its result.
    #[command(after_help = "Example:\n  longshore-agent run --config /etc/longshore/agent.toml")]
    Run(RunArgs),
    /// Show the settings of `run`, and where each comes from
    #[command(after_help = "Example:\n  longshore-agent config show")]
    Config(ConfigArgs),
    /// Ask the agent that runs on this host, over its socket
    #[command(after_help = "Example:\n  longshore-agent control status")]
    Control(ControlArgs),
    /// Have systemd start the agent with the host
    ///
    /// Writes a unit for this program (unless a package brought one), the settings file where there is none, and the
    /// folders, and starts the service. Says each thing that it does; a second run does nothing. Root and paths are as given:
    /// the service starts with the same `--root` and `--config`.
    #[command(after_help = "Example:\n  longshore-agent install-service --replace-aws")]
    InstallService(InstallServiceArgs),
    /// Write the manual pages and shell completions of this program
    #[command(hide = true)]
    Generate(GenerateArgs),
    /// Look for what would make a deployment fail on this host
    ///
    /// Each finding comes with its fix. Changes nothing.
    #[command(after_help = "Example:\n  longshore-agent doctor s3://releases/bundles/shop/0f3c…9a.zip")]
    Doctor(DoctorArgs),
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
    /// Verify the signature of the revision with this public key of minisign, or the file that holds it; may be given more than
    /// once
    ///
    /// The signature stands beside the archive: `<archive>.minisig`. A wrong one is always refused.
    #[arg(long, env = "LONGSHORE_PUBLIC_KEY", value_name = "KEY")]
    pub public_key: Vec<String>,
    /// Refuse a revision that none of the public keys signed
    #[arg(long)]
    pub require_signature: bool,
    /// Name of the appspec in the bundle [default: appspec.yml or appspec.yaml]
    #[arg(long, value_name = "PATH")]
    pub appspec_filename: Option<BundlePath>,
    /// Take scripts from the revisions that the AWS agent takes them from when the service rolls back a blue/green
    /// deployment
    #[arg(long)]
    pub blue_green_rollback: bool,
    /// What to do when a script fails after the files were installed
    ///
    /// `restore` puts the last good release's files back and runs its ApplicationStart; `leave` is the AWS agent's way.
    #[arg(long, env = "LONGSHORE_ON_FAILURE", value_name = "WHAT", default_value = "restore")]
    pub on_failure: OnFailure,
    /// What to do about processes that a script leaves running when it exits with 0
    #[arg(long, env = "LONGSHORE_LEFTOVERS", value_name = "WHAT", default_value = "warn")]
    pub leftovers: Leftovers,
    /// Which variables scripts inherit: the agent's own less its credentials, or a documented minimum
    #[arg(long, env = "LONGSHORE_HOOK_ENV", value_name = "WHICH", default_value = "inherit")]
    pub hook_env: HookEnvironment,
    /// Seconds that a script has between TERM and KILL when its time is up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// How many deployments of the group are kept on disk
    #[arg(long, value_name = "COUNT", default_value_t = crate::deployment::order::DEFAULT_KEEP)]
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

/// What is shown of what would happen.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What would be deployed.
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// List every path, also those that stay the same and those that a long plan counts by folder
    #[arg(long)]
    pub all: bool,
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

/// One group of this host: by its name, and by its application or its id where that is not enough.
#[derive(Debug, Clone, Default, Args)]
pub struct GroupArgs {
    /// Only groups of this name
    #[arg(long, env = "LONGSHORE_GROUP", value_name = "NAME")]
    pub group: Option<GroupName>,
    /// Only this application
    #[arg(long, env = "LONGSHORE_APPLICATION", value_name = "NAME")]
    pub application: Option<ApplicationName>,
    /// Only the group with this id
    #[arg(long, value_name = "ID")]
    pub group_id: Option<GroupId>,
}

/// What is finished.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// Which groups; the default is all of them.
    #[command(flatten)]
    pub group: GroupArgs,
}

/// Where to go back to.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// Which group.
    #[command(flatten)]
    pub group: GroupArgs,
    /// The deployment whose release comes back [default: the last good one]
    #[arg(long, value_name = "DEPLOYMENT")]
    pub to: Option<DeploymentId>,
    /// Only list the releases that can come back
    #[arg(long, conflicts_with = "to")]
    pub list: bool,
    /// Leave out the scripts of this event; may be given more than once
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the release that is installed
    #[arg(long, value_name = "REVISION", default_value = "installed")]
    pub stop_from: StopFrom,
    /// What to do when a script fails after the files were installed
    #[arg(long, env = "LONGSHORE_ON_FAILURE", value_name = "WHAT", default_value = "restore")]
    pub on_failure: OnFailure,
}

/// What is explained.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The deployment [default: the latest]
    #[arg(value_name = "DEPLOYMENT")]
    pub deployment: Option<DeploymentId>,
    /// Which groups.
    #[command(flatten)]
    pub group: GroupArgs,
}

/// Whose output is shown.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The deployment [default: the latest]
    #[arg(value_name = "DEPLOYMENT")]
    pub deployment: Option<DeploymentId>,
    /// Which groups.
    #[command(flatten)]
    pub group: GroupArgs,
    /// Go on until the deployment ends
    #[arg(long, short)]
    pub follow: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// A revision that is to be deployed; the default is the one that is installed in each group
    #[arg(value_name = "REVISION")]
    pub revision: Option<String>,
    /// Which groups.
    #[command(flatten)]
    pub group: GroupArgs,
}

/// What the daemon is told.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The file of settings: ours (TOML), or AWS's `codedeployagent.yml` when the name ends in `.yml` or `.yaml`
    /// [default: /etc/longshore/agent.toml if it is there]
    #[arg(long, env = "LONGSHORE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What is done with the settings.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What is done with the settings.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show every value and where it comes from
    Show(RunArgs),
}

/// What the running agent is asked.
#[derive(Debug, Clone, Args)]
pub struct ControlArgs {
    /// The agent's socket
    #[arg(long, global = true, env = "LONGSHORE_SOCKET", value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// What.
    #[command(subcommand)]
    pub command: ControlCommand,
}

/// What the running agent is asked.
#[derive(Debug, Clone, Subcommand)]
pub enum ControlCommand {
    /// Show what it does, where its orders come from, and what is installed
    #[command(after_help = "Example:\n  longshore-agent control status --output json")]
    Status,
    /// Show what the scripts of a deployment printed
    ///
    /// Without a deployment: the latest one. Needs no right to read the files, only to use the socket.
    #[command(after_help = "Example:\n  longshore-agent control logs --follow")]
    Logs(LogsArgs),
    /// Leave new orders where they are, until `resume`
    ///
    /// What is under way goes on. Holds over a restart of the agent and of the host. Deployments that are ordered here, by
    /// `control deploy`, are carried out all the same.
    #[command(after_help = "Example:\n  longshore-agent control pause")]
    Pause,
    /// Take new orders again
    #[command(after_help = "Example:\n  longshore-agent control resume")]
    Resume,
    /// Deploy a bundle, and show how it goes
    ///
    /// The agent deploys, with its own settings, credentials and environment. It refuses (9) while the group is worked on.
    /// Ctrl-C ends the view, and not the deployment. Exits as `deploy` does.
    #[command(
        after_help = "Example:\n  longshore-agent control deploy s3://releases/bundles/shop/0f3c…9a.zip --group dev"
    )]
    Deploy(ControlDeployArgs),
}

/// What the running agent deploys.
#[derive(Debug, Clone, Args)]
pub struct ControlDeployArgs {
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
    #[arg(long, value_name = "ID")]
    pub group_id: Option<GroupId>,
    /// Deployment id, what hooks see as DEPLOYMENT_ID [default: a fresh one]
    #[arg(long, value_name = "ID")]
    pub deployment_id: Option<DeploymentId>,
    /// Leave out the scripts of this event; may be given more than once
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release
    #[arg(long, value_name = "REVISION", default_value = "installed")]
    pub stop_from: StopFrom,
    /// What to do about files in the way, unless the appspec says it
    #[arg(long, value_name = "BEHAVIOR", default_value = "DISALLOW", ignore_case = true)]
    pub file_exists_behavior: FileExistsBehavior,
    /// Refuse a bundle whose content digest is not this one
    #[arg(long, value_name = "SHA256")]
    pub digest: Option<Sha256>,
    /// What to do when a script fails after the files were installed [default: what the agent's settings say]
    #[arg(long, value_name = "WHAT")]
    pub on_failure: Option<OnFailure>,
}

/// How the service is installed.
#[derive(Debug, Clone, Args)]
pub struct InstallServiceArgs {
    /// Only print the unit
    #[arg(long)]
    pub print: bool,
    /// The settings that the service reads [default: /etc/longshore/agent.toml]
    #[arg(long, env = "LONGSHORE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Stop and disable AWS's agent, and take orders from the CodeDeploy service in its place
    ///
    /// Its files and its settings stay: this agent reads them. `codedeploy-local` becomes this program where no other one
    /// stands.
    #[arg(long)]
    pub replace_aws: bool,
    /// Start nothing now, only with the host
    #[arg(long)]
    pub no_start: bool,
    /// Take the service away again; settings and deployments stay
    #[arg(long, conflicts_with_all = ["print", "config", "replace_aws", "no_start"])]
    pub uninstall: bool,
    /// Do it to the host whose files are below this folder: nothing is started or stopped
    #[arg(long, value_name = "DIR", hide = true)]
    pub prefix: Option<PathBuf>,
}

/// Where the manual pages and completions go.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// The folder; `man` and `completions` are made in it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

impl GroupArgs {
    /// The groups that are meant.
    pub fn selection(&self) -> Selection<'_> {
        Selection { group: self.group.as_ref(), application: self.application.as_ref(), id: self.group_id.as_ref() }
    }
}
