//! Every path below the agent's root, in one place. Decides names; touches nothing.
//!
//! The folders that hooks know are AWS's, to the letter; what is ours stands beside them:
//!
//! ```text
//! <root>/<group-id>/<deployment-id>/{bundle.tar,deployment-archive/,logs/scripts.log}     as the AWS agent
//! <root>/deployment-instructions/<group-id>…                                              as the AWS agent
//! <root>/deployment-logs/<program>-deployments.log                                        as the AWS agent
//! <root>/<group-id>/<deployment-id>/{journal.jsonl,events.jsonl,hooks/}                   ours
//! <root>/groups/<group-id>/{installed.json,good.json,lock}                                ours
//! ```

use std::path::{Path, PathBuf};

use longshore_core::figures::quoted;
use longshore_core::ids::{DeploymentId, GroupId};

/// Where the AWS agent's package puts its root; hooks in the field have it written into them.
pub const DEFAULT_ROOT: &str = "/opt/codedeploy-agent/deployment-root";

/// The AWS agent's `program_name`: log collectors look for files that begin with it.
pub const DEFAULT_PROGRAM: &str = "codedeploy-agent";

/// The agent's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, which should be absolute: hooks get paths below it.
    pub fn new(root: PathBuf) -> Layout {
        Layout { root }
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The option that names this root on a command line, with a space before it; nothing for the default root.
    pub fn option(&self) -> String {
        if self.root == Path::new(DEFAULT_ROOT) {
            return String::new();
        }
        format!(" --root {}", quoted(&self.root.display().to_string()))
    }

    /// The folder that holds all deployments of a group.
    pub fn deployments(&self, group: &GroupId) -> PathBuf {
        self.root.join(group.as_str())
    }

    /// The folder of one deployment.
    pub fn deployment(&self, group: &GroupId, deployment: &DeploymentId) -> DeploymentDir {
        DeploymentDir(self.deployments(group).join(deployment.as_str()))
    }

    /// The AWS agent's record files.
    pub fn instructions(&self) -> PathBuf {
        self.root.join("deployment-instructions")
    }

    /// The log of all deployments below this root (AWS agent 1.8.1). `program` is AWS's `program_name`.
    pub fn deployments_log(&self, program: &str) -> PathBuf {
        self.root.join(format!("deployment-logs/{program}-deployments.log"))
    }

    /// The mark that the daemon takes no new orders.
    pub fn paused(&self) -> PathBuf {
        self.root.join("paused.json")
    }

    /// The lock of the daemon.
    pub fn daemon_lock(&self) -> PathBuf {
        self.root.join("daemon.lock")
    }

    /// What the daemon knows of the commands of the CodeDeploy service: one file for each.
    pub fn host_commands(&self) -> PathBuf {
        self.root.join("host-commands")
    }

    /// The folder of all group states.
    pub fn groups(&self) -> PathBuf {
        self.root.join("groups")
    }

    /// What we know of one group.
    pub fn group(&self, group: &GroupId) -> GroupDir {
        GroupDir(self.groups().join(group.as_str()))
    }
}

/// The folder of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentDir(PathBuf);

impl DeploymentDir {
    /// One that was found on disk.
    pub fn at(path: &Path) -> DeploymentDir {
        DeploymentDir(path.to_owned())
    }

    /// The folder itself, AWS's "deployment root".
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The fetched archive. The name is AWS's, whatever the format.
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle.tar")
    }

    /// The unpacked revision.
    pub fn archive(&self) -> PathBuf {
        self.0.join("deployment-archive")
    }

    /// What the hooks printed.
    pub fn scripts_log(&self) -> PathBuf {
        self.0.join("logs/scripts.log")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    /// The event stream, as `--output json` prints it.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// What an installation under way touches; gone when it has ended.
    pub fn installation(&self) -> PathBuf {
        self.0.join("installation.json")
    }

    /// The folder of one hook run, the `number`th of the deployment.
    pub fn hook(&self, number: usize) -> PathBuf {
        self.0.join(format!("hooks/{number:03}"))
    }
}

/// The folder of what we know of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDir(PathBuf);

impl GroupDir {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The release whose files are on disk.
    pub fn installed(&self) -> PathBuf {
        self.0.join("installed.json")
    }

    /// The last release that went through its last event.
    pub fn good(&self) -> PathBuf {
        self.0.join("good.json")
    }

    /// What was last seen of the group's pointer in a store.
    pub fn pointer(&self) -> PathBuf {
        self.0.join("pointer.json")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
}
