//! Why a release cannot be installed as it is.

use std::path::PathBuf;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::Span;
use serde::Serialize;

use crate::lossless;

/// One thing that stops an installation before anything is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{kind}")]
pub struct Conflict {
    /// What is in the way.
    #[serde(flatten)]
    pub kind: ConflictKind,
    /// The entry of the appspec it belongs to; `None` when it belongs to none.
    #[serde(skip)]
    pub span: Option<Span>,
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum ConflictKind {
    /// The appspec is for another operating system.
    #[error("the appspec is for windows, this host runs linux")]
    WrongOs,
    /// The bundle does not hold what the appspec copies.
    #[error("`{file}` is not in the bundle{}", link_text(link.as_ref()))]
    MissingSource {
        /// The source as normalised.
        file: BundlePath,
        /// A link in the bundle on the way to it, which is not followed.
        link: Option<BundlePath>,
    },
    /// The destination is no path that means the same everywhere.
    #[error("destination `{destination}` {why}")]
    BadDestination {
        /// The destination as written.
        destination: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file or link stands at the destination and is not the previous release's.
    #[error("`{destination}` exists and was not installed by this group's previous deployment")]
    Exists {
        /// The destination.
        #[serde(with = "lossless::path")]
        destination: PathBuf,
        /// What should go there.
        file: BundlePath,
    },
    /// A folder stands where a file must go.
    #[error("a folder stands at `{destination}`, where a file must go{}", inside_text(inside.as_ref()))]
    FileBlocked {
        /// The destination.
        #[serde(with = "lossless::path")]
        destination: PathBuf,
        /// What should go there.
        file: BundlePath,
        /// What is in the folder and would be lost, when the folder itself is the previous release's.
        #[serde(with = "lossless::optional_path")]
        inside: Option<PathBuf>,
    },
    /// Something else stands where a folder must go.
    #[error("`{folder}` exists and is no folder, where a folder must go")]
    FolderBlocked {
        /// The folder.
        #[serde(with = "lossless::path")]
        folder: PathBuf,
    },
    /// Two files of the bundle go to one place.
    #[error("`{first}` and `{second}` both go to `{destination}`")]
    TwoSources {
        /// The place.
        #[serde(with = "lossless::path")]
        destination: PathBuf,
        /// The one named first.
        first: BundlePath,
        /// The other one.
        second: BundlePath,
    },
    /// One mapping puts a file where another needs a folder.
    #[error("`{file}` goes to `{path}`, where another entry of `files` needs a folder")]
    FolderAndFile {
        /// The place.
        #[serde(with = "lossless::path")]
        path: PathBuf,
        /// The file.
        file: BundlePath,
    },
    /// The record of what was installed has one line per path.
    #[error("`{}` has a line break in its name, which no record of installed files can hold", path.escape_debug())]
    LineBreak {
        /// The path.
        path: String,
    },
    /// Two entries of `permissions` meet.
    #[error("the permissions of `{path}` are set twice, for `{first}` and for `{second}`")]
    PermissionTwice {
        /// What both mean.
        #[serde(with = "lossless::path")]
        path: PathBuf,
        /// The object of the first.
        first: String,
        /// The object of the second.
        second: String,
    },
    /// A pattern on a file.
    #[error("permissions of the file `{object}` cannot have a `pattern` or `except`")]
    PatternOnFile {
        /// The file.
        object: String,
    },
    /// A default ACL entry on a file.
    #[error("permissions of `{object}` have a default ACL entry, which the file `{path}` cannot have")]
    DefaultAclOnFile {
        /// The object of the entry.
        object: String,
        /// The file.
        #[serde(with = "lossless::path")]
        path: PathBuf,
    },
    /// A user that this host does not know.
    #[error("user `{name}` does not exist (permissions of `{object}`)")]
    NoSuchUser {
        /// The user.
        name: String,
        /// The object of the entry.
        object: String,
    },
    /// A group that this host does not know.
    #[error("group `{name}` does not exist (permissions of `{object}`)")]
    NoSuchGroup {
        /// The group.
        name: String,
        /// The object of the entry.
        object: String,
    },
    /// A program that is needed for what the appspec asks.
    #[error("the program `{program}` is not installed (permissions of `{object}`)")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The object of the entry.
        object: String,
    },
    /// Only root gives files to others.
    #[error("only root can give files to `{name}` (permissions of `{object}`)")]
    NotRoot {
        /// The user or group.
        name: String,
        /// The object of the entry.
        object: String,
    },
    /// Something stands that the agent cannot change, or a folder in which it can make and remove nothing.
    #[error("`{path}` {obstacle}")]
    Barred {
        /// What stands.
        #[serde(with = "lossless::path")]
        path: PathBuf,
        /// What stops the agent.
        obstacle: Obstacle,
    },
    /// The destination is on a file system that nothing can be written to.
    #[error("the file system of `{folder}` is read-only")]
    ReadOnly {
        /// A folder on it.
        #[serde(with = "lossless::path")]
        folder: PathBuf,
    },
    /// The files do not fit beside the ones they replace.
    #[error(
        "not enough space around `{folder}`: {bytes_needed} bytes in {files_needed} files needed, {}",
        free_text(*bytes_free, *files_free)
    )]
    NoSpace {
        /// A folder on the file system.
        #[serde(with = "lossless::path")]
        folder: PathBuf,
        /// Bytes needed, whole blocks counted.
        bytes_needed: u64,
        /// Bytes free.
        bytes_free: u64,
        /// Files, folders and links needed.
        files_needed: u64,
        /// Files that can still be created, where there is a limit.
        files_free: Option<u64>,
    },
}

/// What stops the agent from changing a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Its user may not write there.
    #[error("cannot be written to by the agent's user")]
    NotWritable,
    /// Its user may not even know what is there.
    #[error("cannot be looked into by the agent's user")]
    NotSearchable,
    /// `chattr +i`, which binds root, too.
    #[error("is immutable")]
    Immutable,
    /// It is mounted for reading only, though its file system is not.
    #[error("is mounted read-only")]
    ReadOnly,
}

impl Conflict {
    pub(super) fn new(span: Option<Span>, kind: ConflictKind) -> Conflict {
        Conflict { kind, span }
    }

    /// Whether a script that runs before can make it go away: what stands on disk, who is known, what is installed.
    pub fn is_of_the_host(&self) -> bool {
        match &self.kind {
            ConflictKind::Exists { .. }
            | ConflictKind::FileBlocked { .. }
            | ConflictKind::FolderBlocked { .. }
            | ConflictKind::MissingSource { .. }
            | ConflictKind::NoSuchUser { .. }
            | ConflictKind::NoSuchGroup { .. }
            | ConflictKind::NoProgram { .. }
            | ConflictKind::NotRoot { .. }
            | ConflictKind::Barred { .. }
            | ConflictKind::NoSpace { .. }
            | ConflictKind::ReadOnly { .. } => true,
            ConflictKind::WrongOs
            | ConflictKind::BadDestination { .. }
            | ConflictKind::TwoSources { .. }
            | ConflictKind::FolderAndFile { .. }
            | ConflictKind::LineBreak { .. }
            | ConflictKind::PermissionTwice { .. }
            | ConflictKind::PatternOnFile { .. }
            | ConflictKind::DefaultAclOnFile { .. } => false,
        }
    }

    /// What to change, one sentence; `None` when the conflict says it all.
    pub fn fix(&self) -> Option<String> {
        match &self.kind {
            ConflictKind::Exists { .. } => Some(
                "set `file_exists_behavior: OVERWRITE` or `RETAIN` in the appspec, or move the file away".to_owned(),
            ),
            ConflictKind::FileBlocked { .. } | ConflictKind::FolderBlocked { .. } => {
                Some("move away what stands there, or change the destination".to_owned())
            }
            ConflictKind::MissingSource { .. } => {
                Some("check the spelling of `source`, which is a path in the bundle without wildcards".to_owned())
            }
            ConflictKind::BadDestination { .. } => Some("write the whole path, beginning with `/`".to_owned()),
            ConflictKind::PermissionTwice { .. } => Some("name each path in one entry of `permissions`".to_owned()),
            ConflictKind::DefaultAclOnFile { .. } => Some("add `type: [directory]` to the entry".to_owned()),
            ConflictKind::NoSuchUser { .. } | ConflictKind::NoSuchGroup { .. } => {
                Some("create it in a BeforeInstall hook of an earlier release, or on the host".to_owned())
            }
            ConflictKind::NoProgram { program, .. } => Some(
                match *program {
                    "setfacl" | "getfacl" => "install the package `acl`",
                    _ => "install the SELinux policy tools, `policycoreutils-python-utils` on most systems",
                }
                .to_owned(),
            ),
            ConflictKind::WrongOs
            | ConflictKind::TwoSources { .. }
            | ConflictKind::FolderAndFile { .. }
            | ConflictKind::LineBreak { .. }
            | ConflictKind::PatternOnFile { .. }
            | ConflictKind::NoSpace { .. } => None,
            ConflictKind::NotRoot { .. } => Some("run the agent as root, or leave `owner` and `group` out".to_owned()),
            ConflictKind::Barred { obstacle, .. } => Some(
                match obstacle {
                    Obstacle::NotWritable | Obstacle::NotSearchable => {
                        "run the agent as root, or give its user the right to write there"
                    }
                    Obstacle::Immutable => "take the mark away with `chattr -i`",
                    Obstacle::ReadOnly => "mount it for writing, or change the destination",
                }
                .to_owned(),
            ),
            ConflictKind::ReadOnly { .. } => Some("mount it for writing, or change the destination".to_owned()),
        }
    }
}

fn link_text(link: Option<&BundlePath>) -> String {
    link.map(|link| format!(": `{link}` is a link, and links are not followed")).unwrap_or_default()
}

fn inside_text(inside: Option<&PathBuf>) -> String {
    inside.map(|inside| format!("; `{}` in it was not installed", inside.display())).unwrap_or_default()
}

fn free_text(bytes: u64, files: Option<u64>) -> String {
    match files {
        Some(files) => format!("{bytes} bytes and {files} files free"),
        None => format!("{bytes} bytes free"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_in_the_way_is_shown_to_programs_even_if_its_name_is_not_utf8() {
        let kind = ConflictKind::FileBlocked {
            destination: "/a".into(),
            file: "x".parse().unwrap(),
            inside: Some(OsStr::from_bytes(b"/a/\xe9").into()),
        };
        assert_eq!(
            serde_json::to_string(&Conflict::new(None, kind)).unwrap(),
            r#"{"conflict":"file_blocked","destination":"/a","file":"x","inside":[47,97,47,233]}"#
        );
    }
}
