//! From an artifact to running hosts, by CodeDeploy or by the pointer of a store, and what became of earlier ones.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use longshore_core::appspec::FileExists;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupName};
use longshore_core::store::ObjectUrl;

use super::{IdentityArgs, SourceArgs, StoreArgs, commit_prefix, time};
use crate::settings::{RollbackOn, With};

/// To whom a command speaks.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArgs {
    /// The deployment group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: GroupName,
    /// Who deploys [env: LONGSHORE_WITH] [default: `with` of the group in longshore.toml, else codedeploy]
    #[arg(long, value_enum, value_name = "WHO")]
    pub(crate) with: Option<With>,
    /// The region of CodeDeploy and of the store [env: LONGSHORE_REGION] [default: `region` of longshore.toml, else as the AWS CLI finds it]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The application's name in CodeDeploy, where it is another one [env: LONGSHORE_CODEDEPLOY_APPLICATION]
    #[arg(long, value_name = "NAME")]
    pub(crate) codedeploy_application: Option<String>,
    /// The group's name in CodeDeploy, where it is another one [env: LONGSHORE_CODEDEPLOY_DEPLOYMENT_GROUP]
    #[arg(long, value_name = "NAME")]
    pub(crate) codedeploy_group: Option<String>,
}

/// How long is waited, and what an interruption means.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeployWaitArgs {
    /// Follow the deployment to its end
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most: a number and `s`, `m` or `h`
    #[arg(long, value_name = "TIME", default_value = "60m", value_parser = time, requires = "wait")]
    pub(crate) timeout: Duration,
    /// With a store: how many hosts must have made it at least
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "wait")]
    pub(crate) wait_hosts: usize,
    /// What Ctrl-C does to the deployment [default: ask on a terminal, else leave]
    #[arg(long, value_enum, value_name = "WHAT", requires = "wait")]
    pub(crate) on_interrupt: Option<OnInterrupt>,
}

/// What an interruption means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnInterrupt {
    /// Ask
    Ask,
    /// The deployment goes on
    Leave,
    /// The deployment is stopped
    Stop,
}

/// How CodeDeploy deploys. Without effect with a store.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of CodeDeploy")]
pub(crate) struct CodeDeployArgs {
    /// The deployment configuration [env: LONGSHORE_CODEDEPLOY_DEPLOYMENT_CONFIG] [default: that of the group]
    #[arg(long, value_name = "NAME")]
    pub(crate) deployment_config: Option<String>,
    /// What becomes of files that no deployment installed: DISALLOW, OVERWRITE or RETAIN; an appspec that says it itself wins
    /// [env: LONGSHORE_CODEDEPLOY_FILE_EXISTS]
    #[arg(long, value_name = "WHAT", value_parser = file_exists)]
    pub(crate) file_exists: Option<FileExists>,
    /// Go on when ApplicationStop, BeforeBlockTraffic or AfterBlockTraffic fails; `=false`: do not
    /// [env: LONGSHORE_CODEDEPLOY_IGNORE_STOP_FAILURES]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) ignore_stop_failures: Option<bool>,
    /// When CodeDeploy rolls back by itself, instead of what the group says; may be given several times
    #[arg(long, value_enum, value_name = "WHEN", value_delimiter = ',', conflicts_with = "no_rollback")]
    pub(crate) rollback_on: Vec<RollbackOn>,
    /// CodeDeploy never rolls back by itself
    #[arg(long)]
    pub(crate) no_rollback: bool,
    /// Alarms of CloudWatch that stop the deployment, instead of those of the group; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "no_alarms")]
    pub(crate) alarm: Vec<String>,
    /// No alarm stops the deployment
    #[arg(long)]
    pub(crate) no_alarms: bool,
    /// A text for people, 256 characters at most [default: the commit and who deploys it]
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// `DISALLOW`, `OVERWRITE`, `RETAIN`, in any case.
fn file_exists(text: &str) -> Result<FileExists, String> {
    match text.to_ascii_uppercase().as_str() {
        "DISALLOW" => Ok(FileExists::Disallow),
        "OVERWRITE" => Ok(FileExists::Overwrite),
        "RETAIN" => Ok(FileExists::Retain),
        _ => Err("write DISALLOW, OVERWRITE or RETAIN".to_owned()),
    }
}

/// Deploy an artifact to a group
///
/// Publishes the artifact if the store does not have it yet, then creates a deployment of that very object: its ETag and, where the
/// bucket keeps versions, its version are pinned. With `--with codedeploy` AWS CodeDeploy carries it out; with `--with store`
/// the group's pointer moves, and the hosts that follow it deploy.
///
/// Without `--wait` it ends as soon as the deployment exists. With it, every host and every lifecycle event is shown as it happens, and
/// the exit code tells how it ended: 11 failed, 12 not in time, 13 rolled back, 14 stopped.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what"))]
#[command(after_help = "Example:\n  longshore deploy --application shop --group prod --wait")]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// An artifact on this machine [default: that of the current commit, in the store or in the folder for artifacts]
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) bundle: Option<PathBuf>,
    /// An object that is already stored: `s3://bucket/key`, `?versionId=…` and `&etag=…` to pin it
    #[arg(long, value_name = "URL", group = "what")]
    pub(crate) revision: Option<ObjectUrl>,
    /// The published artifact of this commit, or of the only one that begins so
    #[arg(long, value_name = "HASH", group = "what", value_parser = commit_prefix)]
    pub(crate) commit: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// Deploy although the group stands at a newer commit
    #[arg(long)]
    pub(crate) allow_older: bool,
    /// Deploy an artifact of a work tree that differed from its commit
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Do not look whether the tags of images have moved since the artifact was built
    #[arg(long)]
    pub(crate) no_image_check: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) waiting: DeployWaitArgs,
    #[command(flatten)]
    pub(crate) codedeploy: CodeDeployArgs,
}

impl DeployArgs {
    /// Whose artifact the default is.
    pub(crate) fn identity(&self) -> IdentityArgs {
        IdentityArgs { application: self.application.clone(), commit: None }
    }
}

/// List the deployments of a group, the latest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore deployments --group prod --limit 5")]
pub(crate) struct DeploymentsArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// Show this one with its hosts and events
    #[arg(value_name = "DEPLOYMENT")]
    pub(crate) deployment: Option<DeploymentId>,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) limit: usize,
}

/// Deploy the last good revision of a group again
///
/// A new deployment of the latest revision that succeeded and is not the one the group has now. Shows what it will deploy first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore rollback --group prod --wait")]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// Say what would be deployed, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: DeployWaitArgs,
    #[command(flatten)]
    pub(crate) codedeploy: CodeDeployArgs,
}

/// Stop the deployment of a group that is under way
///
/// Events that run on a host come to their end; no further one begins, and hosts stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore stop --group prod")]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// This one [default: the one under way]
    #[arg(value_name = "DEPLOYMENT")]
    pub(crate) deployment: Option<DeploymentId>,
    /// The last good revision is deployed again
    #[arg(long)]
    pub(crate) rollback: bool,
}
