//! What `longshore.toml` and the environment say, before the command line has its word. Parses; does not look at the tree.

mod effective;
mod environment;
mod given;
mod key;
mod parse;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::problem::{Problem, SourceFile, Span};
use longshore_core::store::{S3Upload, StoreUrl};
use serde_json::Value;

use crate::rules::Rules;

pub(crate) use effective::{Held, Says};
pub(crate) use environment::{is_of_kms, set_on};

/// The name of the settings file.
pub(crate) const SETTINGS_FILE: &str = "longshore.toml";

/// What holds: the file, and above it the environment.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `application`.
    pub(crate) application: Option<ApplicationName>,
    /// `store`.
    pub(crate) store: Option<StoreUrl>,
    /// `region`.
    pub(crate) region: Option<String>,
    /// `build.out`, below the source folder.
    pub(crate) out: Option<BundlePath>,
    /// `build.include`, each pattern with its place.
    pub(crate) include: Vec<Included>,
    /// `build.exclude`.
    pub(crate) exclude: Rules,
    /// `build.allow_secrets`: files that look like secrets and are packed all the same.
    pub(crate) allow_secrets: Vec<String>,
    /// `build.buildspec`: its `artifacts` section is the file list.
    pub(crate) buildspec: Option<BundlePath>,
    /// `lint.allow`: what is not reported.
    pub(crate) allowed: Vec<Allowed>,
    /// `sign`.
    pub(crate) sign: SignSettings,
    /// `upload`: how S3 keeps what is stored.
    pub(crate) upload: S3Upload,
    /// `upload`: in which parts it is sent.
    pub(crate) parts: PartSettings,
    /// `groups.…`, by name.
    pub(crate) groups: BTreeMap<GroupName, GroupSettings>,
    /// What the environment says about whichever group a command is about.
    pub(crate) every_group: GroupSettings,
    /// Where each value comes from, by its key as written above; `*` is the name of every group. A value without an entry is a
    /// default.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// Each value that has an origin, as written.
    pub(crate) written: BTreeMap<String, Value>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(String),
    /// `--set`.
    Set,
}

/// One item of `build.include`.
#[derive(Debug, Clone)]
pub(crate) struct Included {
    /// The pattern as written.
    pub(crate) pattern: String,
    /// Where it stands.
    pub(crate) span: Span,
    /// The pattern alone.
    pub(crate) rules: Rules,
    /// The file it stands in.
    pub(crate) source: Arc<SourceFile>,
}

/// One item of `lint.allow`: `"LS320"`, or `"LS320:docker-compose.dev.yml"` for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The code.
    pub(crate) code: String,
    /// The file it is about; `None`: all.
    pub(crate) file: Option<String>,
    /// Where it stands.
    pub(crate) span: Span,
    /// The file it stands in, or the variable.
    pub(crate) source: Arc<SourceFile>,
}

/// `sign`: the key that artifacts are signed with. At most one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SignSettings {
    /// `sign.key`: a file with a secret key of minisign.
    pub(crate) key: Option<PathBuf>,
    /// `sign.kms_key`: the id, ARN or alias of an Ed25519 key of KMS.
    pub(crate) kms_key: Option<String>,
    /// `sign.public_keys`: what `verify` accepts; each the text of a public key, or the path of a file that holds it.
    pub(crate) public_keys: Vec<String>,
}

/// `upload`: in which parts large artifacts are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartSettings {
    /// `upload.part_size`, in MiB.
    pub(crate) size: Option<u32>,
    /// `upload.parallel_parts`.
    pub(crate) parallel: Option<u32>,
}

/// `groups.<name>`. What it leaves out holds as without a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupSettings {
    /// `store`.
    pub(crate) store: Option<StoreUrl>,
    /// `region`.
    pub(crate) region: Option<String>,
    /// `with`: who deploys.
    pub(crate) with: Option<With>,
    /// `compose`: the compose files, read on top of each other, below the source folder.
    pub(crate) compose: Vec<BundlePath>,
    /// `env_files`: what the hosts of the group have as `.env`, below the source folder, later ones on top.
    pub(crate) env_files: Vec<BundlePath>,
    /// `profiles`: the active profiles of compose.
    pub(crate) profiles: Vec<String>,
    /// `copies`: how many copies of a service run on one host at most while a deployment goes on; more than one makes
    /// fixed names and ports an error of the lints.
    pub(crate) copies: Option<u32>,
    /// `codedeploy`.
    pub(crate) codedeploy: CodeDeploySettings,
}

/// Who deploys to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum With {
    /// AWS CodeDeploy
    Codedeploy,
    /// Hosts that follow the group's pointer in the store
    Store,
}

/// `groups.<name>.codedeploy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CodeDeploySettings {
    /// `application`: its name there, where it is another one.
    pub(crate) application: Option<String>,
    /// `deployment_group`: its name there, where it is another one.
    pub(crate) deployment_group: Option<String>,
    /// `deployment_config`, for example `CodeDeployDefault.OneAtATime`.
    pub(crate) deployment_config: Option<String>,
    /// `file_exists`: `DISALLOW`, `OVERWRITE` or `RETAIN`.
    pub(crate) file_exists: Option<longshore_core::appspec::FileExists>,
    /// `ignore_stop_failures`.
    pub(crate) ignore_stop_failures: Option<bool>,
    /// `rollback`: on which events CodeDeploy rolls back by itself; an empty list turns it off; `None`: as the group says.
    pub(crate) rollback: Option<Vec<RollbackOn>>,
    /// `alarms`: names of CloudWatch alarms; an empty list turns them off; `None`: as the group says.
    pub(crate) alarms: Option<Vec<String>>,
}

/// What makes CodeDeploy roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RollbackOn {
    /// The deployment failed
    Failure,
    /// An alarm went off
    Alarm,
    /// Somebody stopped the deployment
    Stop,
}

/// Whether a problem is about a variable of the environment or about `--set`.
pub(crate) fn is_of_variable(problem: &Problem) -> bool {
    problem.source.name.starts_with('$') || problem.source.name == environment::SET
}

impl Settings {
    /// What holds for a group: the environment's values, its own, and those of the top.
    pub(crate) fn group(&self, name: &GroupName) -> GroupSettings {
        let over = self.every_group.clone();
        let own = self.groups.get(name).cloned().unwrap_or_default();
        // A variable can also say that there is none.
        let says = |name: &str| self.origins.contains_key(&format!("groups.*.{name}"));
        GroupSettings {
            store: over.store.or(own.store).or_else(|| self.store.clone()),
            region: over.region.or(own.region).or_else(|| self.region.clone()),
            with: over.with.or(own.with),
            compose: if says("compose") { over.compose } else { own.compose },
            env_files: if says("env_files") { over.env_files } else { own.env_files },
            profiles: if says("profiles") { over.profiles } else { own.profiles },
            copies: over.copies.or(own.copies),
            codedeploy: CodeDeploySettings {
                application: over.codedeploy.application.or(own.codedeploy.application),
                deployment_group: over.codedeploy.deployment_group.or(own.codedeploy.deployment_group),
                deployment_config: over.codedeploy.deployment_config.or(own.codedeploy.deployment_config),
                file_exists: over.codedeploy.file_exists.or(own.codedeploy.file_exists),
                ignore_stop_failures: over.codedeploy.ignore_stop_failures.or(own.codedeploy.ignore_stop_failures),
                rollback: over.codedeploy.rollback.or(own.codedeploy.rollback),
                alarms: over.codedeploy.alarms.or(own.codedeploy.alarms),
            },
        }
    }

    /// Remembers where a value comes from.
    fn note(&mut self, key: String, origin: Origin, written: Value) {
        self.origins.insert(key.clone(), origin);
        self.written.insert(key, written);
    }

    /// What holds without a file.
    pub(crate) fn none() -> Settings {
        Settings {
            application: None,
            store: None,
            region: None,
            out: None,
            include: Vec::new(),
            exclude: Rules::none(),
            allow_secrets: Vec::new(),
            buildspec: None,
            allowed: Vec::new(),
            sign: SignSettings::default(),
            upload: S3Upload::default(),
            parts: PartSettings::default(),
            groups: BTreeMap::new(),
            every_group: GroupSettings::default(),
            origins: BTreeMap::new(),
            written: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests;
