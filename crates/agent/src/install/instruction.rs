//! A plan as the instructions that the AWS agent 1.8.1 would have written down. Pure.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::acl::entry_text;
use super::plan::{Account, CopyAction, DirectoryAction, InstallPlan};
use crate::lossless;

/// One item of `<group>-install.json`. AWS's agent writes the file and never reads it. A path that is not UTF-8, which that
/// agent could not write, is a list of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Instruction {
    /// A folder was made.
    Mkdir {
        /// The folder.
        #[serde(with = "lossless::path")]
        directory: PathBuf,
    },
    /// A file or link was copied.
    Copy {
        /// The file in the unpacked archive.
        #[serde(with = "lossless::path")]
        source: PathBuf,
        /// Where it went.
        #[serde(with = "lossless::path")]
        destination: PathBuf,
    },
    /// Owner and group were set; `null` where one was left.
    Chown {
        /// The owner's name.
        owner: Option<String>,
        /// The group's name.
        group: Option<String>,
        /// What it was set on.
        #[serde(with = "lossless::path")]
        file: PathBuf,
    },
    /// The mode was set.
    Chmod {
        /// Octal digits, at least three.
        mode: String,
        /// What it was set on.
        #[serde(with = "lossless::path")]
        file: PathBuf,
    },
    /// An ACL was set.
    Setfacl {
        /// The entries of the appspec, in canonical form.
        acl: Vec<String>,
        /// What it was set on.
        #[serde(with = "lossless::path")]
        file: PathBuf,
    },
    /// An SELinux context was recorded.
    Semanage {
        /// The context.
        context: InstructionContext,
        /// What it was set on.
        #[serde(with = "lossless::path")]
        file: PathBuf,
    },
}

/// The context of an [`Instruction::Semanage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionContext {
    /// The SELinux user.
    pub user: Option<String>,
    /// Always `null`.
    pub role: Option<String>,
    /// The SELinux type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The range.
    pub range: Option<String>,
}

/// What AWS's agent would have written down of a plan. `archive` is the unpacked archive.
pub fn instructions(plan: &InstallPlan, archive: &Path) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    for directory in &plan.directories {
        match directory.action {
            DirectoryAction::Create | DirectoryAction::Replace => {
                instructions.push(Instruction::Mkdir { directory: directory.path.clone() });
            }
            DirectoryAction::Keep => {}
        }
    }
    for copy in plan.copies.iter().filter(|copy| copy.action != CopyAction::Retain) {
        let source = copy.source.under(archive);
        instructions.push(Instruction::Copy { source, destination: copy.destination.clone() });
    }
    for change in &plan.permissions {
        let file = &change.path;
        if change.owner.is_some() || change.group.is_some() {
            let name = |account: &Option<Account>| account.as_ref().map(|account| account.name.clone());
            instructions.push(Instruction::Chown {
                owner: name(&change.owner),
                group: name(&change.group),
                file: file.clone(),
            });
        }
        if let Some(mode) = change.mode {
            instructions.push(Instruction::Chmod { mode: format!("{mode:03o}"), file: file.clone() });
        }
        if let Some(acl) = &change.acl {
            let acl = acl.iter().map(entry_text).collect();
            instructions.push(Instruction::Setfacl { acl, file: file.clone() });
        }
        if let Some(context) = &change.context {
            let context = InstructionContext {
                user: context.user.clone(),
                role: None,
                kind: context.kind.clone(),
                range: context.range.clone(),
            };
            // The name in the policy, so that the next deployment finds it under the same one.
            instructions.push(Instruction::Semanage { context, file: change.place.clone() });
        }
    }
    instructions
}
