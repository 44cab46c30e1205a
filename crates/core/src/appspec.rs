//! The appspec for EC2 and on-premises hosts, already valid: [`parse`] is the only way to get one.

pub mod check;
pub mod parse;

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::bundle::BundlePath;
use crate::lifecycle::LifecycleEvent;
use crate::problem::Span;

pub use parse::{Parsed, parse};

/// The names under which an appspec is looked for, in this order.
pub const NAMES: [&str; 2] = ["appspec.yml", "appspec.yaml"];

/// A script's time limit when the appspec names none (AWS agent 1.8.1).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// A valid appspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpec {
    /// The operating system it is written for.
    pub os: Os,
    /// What to copy where, in the order written.
    pub files: Vec<FileMapping>,
    /// What to do about files that are in the way; `None`: the deployment decides, `DISALLOW` in the end.
    pub file_exists: Option<FileExists>,
    /// Owner, mode, ACL and context of what is copied, in the order written.
    pub permissions: Vec<Permission>,
    /// The scripts of each event, in the order written. An event without scripts is absent.
    pub hooks: IndexMap<LifecycleEvent, Vec<Hook>>,
}

impl AppSpec {
    /// The scripts of an event; empty when there are none.
    pub fn hooks_of(&self, event: &LifecycleEvent) -> &[Hook] {
        self.hooks.get(event).map_or(&[], Vec::as_slice)
    }
}

/// The `os` of an appspec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Os {
    /// `linux`.
    Linux,
    /// `windows`: read, so that it can be checked anywhere, and refused where it would be deployed.
    Windows,
}

/// What to do about a destination file that exists and was not installed by this group before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileExists {
    /// Refuse the deployment.
    Disallow,
    /// Replace the file.
    Overwrite,
    /// Leave the file and do not install ours.
    Retain,
}

/// One entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// What is copied.
    pub source: Source,
    /// The folder it is copied into, as written.
    pub destination: String,
    /// Where the entry stands.
    pub span: Span,
}

/// The `source` of a file mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `/`, `.` or `./`: the whole bundle, appspec included.
    Whole,
    /// A file, or a folder whose contents are copied.
    Path(BundlePath),
}

/// One script of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The script in the bundle.
    pub script: BundlePath,
    /// The script as the appspec writes it, which is what logs and diagnostics show.
    pub location: String,
    /// How long it may run; at least one second.
    pub timeout: Duration,
    /// The user, by name or number, whom it runs as; `None`: whoever runs the agent.
    pub run_as: Option<String>,
    /// Whether it runs with `sudo`.
    pub sudo: bool,
    /// Where the entry stands; nowhere, when it was read from a plan.
    #[serde(skip)]
    pub span: Span,
}

/// One entry of `permissions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// A file that is installed, or a folder, as written.
    pub object: String,
    /// Which names below a folder are meant.
    pub pattern: Pattern,
    /// Which direct children of a folder are left out.
    pub except: Vec<Pattern>,
    /// Whether files are meant.
    pub files: bool,
    /// Whether folders are meant.
    pub directories: bool,
    /// The new owner.
    pub owner: Option<String>,
    /// The new group.
    pub group: Option<String>,
    /// The new mode, at most `0o7777`.
    pub mode: Option<u32>,
    /// ACL entries in canonical form; `Some(vec![])` still sets an ACL.
    pub acls: Option<Vec<Acl>>,
    /// The SELinux context.
    pub context: Option<Context>,
    /// Where the entry stands.
    pub span: Span,
}

/// A `pattern` or an item of `except`: `**`, or a name in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

/// One ACL entry, `[default:]type:name:rwx`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// Whether it is a default entry, which only folders can have.
    pub default: bool,
    /// Whom it is about.
    pub tag: AclTag,
    /// The user's or group's name; empty for the owner and the owning group, and for mask and other.
    pub name: String,
    /// Read, write, execute as a digit from 0 to 7.
    pub permissions: u8,
}

/// The canonical form, `[default:]type:name:rwx`, as `setfacl` takes it.
impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = match self.tag {
            AclTag::User => "user",
            AclTag::Group => "group",
            AclTag::Mask => "mask",
            AclTag::Other => "other",
        };
        let letter = |bit: u8, letter: char| if self.permissions & bit == 0 { '-' } else { letter };
        let default = if self.default { "default:" } else { "" };
        write!(f, "{default}{tag}:{}:{}{}{}", self.name, letter(4, 'r'), letter(2, 'w'), letter(1, 'x'))
    }
}

/// Whom an ACL entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AclTag {
    /// `user`.
    User,
    /// `group`.
    Group,
    /// `mask`.
    Mask,
    /// `other`.
    Other,
}

/// An SELinux context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The SELinux user (`name` in AWS's parser, `user` in its documentation; both are read).
    pub user: Option<String>,
    /// The SELinux type.
    pub kind: String,
    /// The range in normal form, for example `s0-s3:c0.c5`.
    pub range: Option<String>,
}
