//! Hook + context → program, environment, folder, user. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use longshore_core::appspec::Hook;
use longshore_core::digest::Sha256;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use serde::{Deserialize, Serialize};

use super::policy::{HookEnvironment, HookPolicy, Leftovers, ToldNames};
use crate::lossless;

/// Every variable that we may set for a hook. An inherited value of one of them never reaches a hook.
///
/// The names up to `BUNDLE_COMMIT` are those of the AWS agent 1.8.1.
pub const DEPLOYMENT_VARIABLES: [&str; 15] = [
    "LIFECYCLE_EVENT",
    "DEPLOYMENT_ID",
    "APPLICATION_NAME",
    "DEPLOYMENT_GROUP_NAME",
    "DEPLOYMENT_GROUP_ID",
    "BUNDLE_BUCKET",
    "BUNDLE_KEY",
    "BUNDLE_VERSION",
    "BUNDLE_ETAG",
    "BUNDLE_COMMIT",
    "LONGSHORE_COMMIT",
    "LONGSHORE_DIGEST",
    "LONGSHORE_ARCHIVE_DIR",
    "LONGSHORE_PREVIOUS_DEPLOYMENT_ID",
    "LONGSHORE_PREVIOUS_COMMIT",
];

/// Variables that carry or lead to the agent's own credentials. No hook inherits them; the AWS agent 1.8.1 hands all of
/// them on. A host's role stays reachable for hooks, because the metadata service needs no variable.
pub const AGENT_CREDENTIALS: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_CREDENTIALS_FILE",
    "AWS_CREDENTIAL_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GITHUB_TOKEN",
];

/// What a hook inherits of the agent's environment with [`HookEnvironment::Clean`], besides everything that begins with
/// `LC_`. Where the language comes from, what time it is, and which AWS region this host is in: nothing of it is secret,
/// and scripts behave oddly without.
pub const CLEAN_VARIABLES: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "AWS_REGION", "AWS_DEFAULT_REGION"];

/// The `PATH` of a clean environment when the agent has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything a shim needs to run one script. Written to disk as JSON, so that a shim outlives the agent that wrote it.
///
/// Paths, and names and values of variables, stand in the JSON as a string, or as a list of bytes when they are not
/// UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCommand {
    /// The event.
    pub event: LifecycleEvent,
    /// The script as the appspec writes it.
    pub location: String,
    /// The script on disk; absolute.
    #[serde(with = "lossless::path")]
    pub script: PathBuf,
    /// The unpacked bundle that the script belongs to; absolute. What lies outside is not made executable.
    #[serde(with = "lossless::path")]
    pub archive: PathBuf,
    /// The whole environment, agent's own included.
    #[serde(with = "lossless::variables")]
    pub env: BTreeMap<OsString, OsString>,
    /// The working folder; absolute.
    #[serde(with = "lossless::path")]
    pub cwd: PathBuf,
    /// Whom it runs as.
    pub user: RunAs,
    /// Whether it needs the `sudo` program: the appspec asked for `sudo`, and the agent is neither root nor the user
    /// asked for.
    pub sudo: bool,
    /// How long it may run.
    pub timeout: Duration,
    /// How long the process tree has between TERM and KILL.
    pub grace: Duration,
    /// What happens to what the script leaves running.
    pub leftovers: Leftovers,
    /// What `env` was made of.
    pub environment: HookEnvironment,
    /// `scripts.log` of the deployment; absolute.
    #[serde(with = "lossless::path")]
    pub log: PathBuf,
    /// The log of all deployments.
    pub deployments_log: Option<DeploymentsLog>,
    /// Whether this is the first script of its event, which writes the event's line to the log.
    pub first_of_event: bool,
}

/// The log of all deployments of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentsLog {
    /// Its path; absolute.
    #[serde(with = "lossless::path")]
    pub path: PathBuf,
    /// The deployment that its lines name.
    pub deployment: String,
}

/// Whom a script runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunAs {
    /// Whoever runs the agent.
    Agent,
    /// The user that the appspec names.
    User(HookUser),
    /// The appspec names a user that the host does not have: the script is not run.
    Unknown(String),
}

/// A user, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookUser {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All group ids, the primary included.
    pub groups: Vec<u32>,
    /// Home folder.
    #[serde(with = "lossless::path")]
    pub home: PathBuf,
    /// Login shell.
    #[serde(with = "lossless::path")]
    pub shell: PathBuf,
}

/// What all scripts of one event have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookContext {
    /// The agent's own environment.
    pub agent_env: BTreeMap<OsString, OsString>,
    /// The agent's effective user id.
    pub agent_uid: u32,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The application.
    pub application: ApplicationName,
    /// The deployment group.
    pub group: GroupName,
    /// The deployment group's id.
    pub group_id: GroupId,
    /// The event.
    pub event: LifecycleEvent,
    /// The unpacked bundle that the scripts come from; absolute. For ApplicationStop that is the installed revision's.
    pub archive: PathBuf,
    /// Where the bundle came from.
    pub bundle: BundleSource,
    /// The commit being deployed.
    pub commit: Option<CommitHash>,
    /// The digest of the contents being deployed.
    pub digest: Option<Sha256>,
    /// The deployment that is installed.
    pub previous_deployment: Option<DeploymentId>,
    /// The commit that is installed.
    pub previous_commit: Option<CommitHash>,
    /// The working folder; absolute.
    pub cwd: PathBuf,
    /// `scripts.log` of the deployment; absolute.
    pub log: PathBuf,
    /// What the user chose about how scripts run.
    pub policy: HookPolicy,
}

/// Where a bundle came from, as far as hooks are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleSource {
    /// From a folder of this host: no variables (AWS agent 1.8.1).
    Local,
    /// From GitHub.
    #[serde(rename = "github")]
    GitHub {
        /// `BUNDLE_COMMIT`.
        commit: String,
    },
    /// From S3.
    S3 {
        /// `BUNDLE_BUCKET`.
        bucket: String,
        /// `BUNDLE_KEY`.
        key: String,
        /// `BUNDLE_VERSION`.
        version: Option<String>,
        /// `BUNDLE_ETAG`.
        etag: Option<String>,
    },
}

impl HookCommand {
    /// What to run for the script at place `index` (from 0) of its event.
    pub fn new(hook: &Hook, index: usize, user: RunAs, context: &HookContext) -> HookCommand {
        let mut env = match context.policy.environment {
            HookEnvironment::Inherit => without_credentials(&context.agent_env),
            HookEnvironment::Clean => minimum(&context.agent_env),
        };
        env.retain(|name, _| !DEPLOYMENT_VARIABLES.iter().any(|ours| name == ours));
        let ours = deployment_variables(context);
        env.extend(ours.into_iter().map(|(name, value)| (OsString::from(name), value)));
        let is_agent = match &user {
            RunAs::Agent => false,
            RunAs::User(user) => {
                env.extend(login_variables(user));
                user.uid == context.agent_uid
            }
            RunAs::Unknown(_) => false,
        };
        HookCommand {
            event: context.event.clone(),
            location: hook.location.clone(),
            script: hook.script.under(&context.archive),
            archive: context.archive.clone(),
            env,
            cwd: context.cwd.clone(),
            user,
            sudo: hook.sudo && context.agent_uid != 0 && !is_agent,
            timeout: hook.timeout,
            grace: context.policy.grace,
            leftovers: context.policy.leftovers,
            environment: context.policy.environment,
            log: context.log.clone(),
            deployments_log: context
                .policy
                .deployments_log
                .as_ref()
                .map(|path| DeploymentsLog { path: path.clone(), deployment: context.deployment.to_string() }),
            first_of_event: index == 0,
        }
    }

    /// Sets what a login of this user would set. For a user that the appspec names that is done already.
    pub fn log_in(&mut self, user: &HookUser) {
        self.env.extend(login_variables(user));
    }
}

/// An environment without [`AGENT_CREDENTIALS`].
pub fn without_credentials(env: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let kept = env.iter().filter(|(name, _)| !AGENT_CREDENTIALS.iter().any(|secret| name == secret));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The little that [`HookEnvironment::Clean`] keeps.
fn minimum(env: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let is_kept = |name: &OsString| {
        CLEAN_VARIABLES.iter().any(|kept| name == kept) || name.as_encoded_bytes().starts_with(b"LC_")
    };
    let kept = env.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone()));
    let mut kept: BTreeMap<OsString, OsString> = kept.collect();
    kept.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    kept
}

fn deployment_variables(context: &HookContext) -> Vec<(&'static str, OsString)> {
    let (application, group) = match &context.policy.told_names {
        Some(ToldNames { application, group }) => (application.as_str(), group.as_str()),
        None => (context.application.as_str(), context.group.as_str()),
    };
    let mut variables: Vec<(&'static str, OsString)> = vec![
        ("LIFECYCLE_EVENT", context.event.name().into()),
        ("DEPLOYMENT_ID", context.deployment.as_str().into()),
        ("APPLICATION_NAME", application.into()),
        ("DEPLOYMENT_GROUP_NAME", group.into()),
        ("DEPLOYMENT_GROUP_ID", context.group_id.as_str().into()),
        ("LONGSHORE_ARCHIVE_DIR", context.archive.clone().into()),
    ];
    let mut known = |name, value: Option<String>| variables.extend(value.map(|value| (name, value.into())));
    match &context.bundle {
        BundleSource::Local => {}
        BundleSource::GitHub { commit } => known("BUNDLE_COMMIT", Some(commit.clone())),
        BundleSource::S3 { bucket, key, version, etag } => {
            known("BUNDLE_BUCKET", Some(bucket.clone()));
            known("BUNDLE_KEY", Some(key.clone()));
            known("BUNDLE_VERSION", version.clone());
            known("BUNDLE_ETAG", etag.clone());
        }
    }
    known("LONGSHORE_COMMIT", context.commit.as_ref().map(ToString::to_string));
    known("LONGSHORE_DIGEST", context.digest.as_ref().map(ToString::to_string));
    known("LONGSHORE_PREVIOUS_DEPLOYMENT_ID", context.previous_deployment.as_ref().map(ToString::to_string));
    known("LONGSHORE_PREVIOUS_COMMIT", context.previous_commit.as_ref().map(ToString::to_string));
    variables
}

/// What `su` without `-` sets, for every user. (`su` itself leaves USER and LOGNAME alone for root, which is of no use to
/// anybody under a service manager that sets neither.)
fn login_variables(user: &HookUser) -> [(OsString, OsString); 4] {
    [
        ("HOME".into(), user.home.clone().into()),
        ("SHELL".into(), user.shell.clone().into()),
        ("USER".into(), user.name.clone().into()),
        ("LOGNAME".into(), user.name.clone().into()),
    ]
}
