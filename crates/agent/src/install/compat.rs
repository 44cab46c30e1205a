//! The record files of the AWS agent 1.8.1, read and written in its format, so that a host can change to Longshore and
//! back between two deployments. Does not decide what stands in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_core::appspec::Context;
use longshore_core::fsx;
use longshore_core::ids::GroupId;
use serde::{Deserialize, Serialize};

use super::acl::entry_text;
use super::plan::{CopyAction, DirectoryAction, InstallPlan};

/// The record files of one deployment group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The folder they stand in, `deployment-instructions`.
    pub dir: PathBuf,
    /// The group.
    pub group: GroupId,
}

/// `<group>-cleanup`: what the previous deployment of the group installed, in the order in which it did.
///
/// One absolute path per line, a context as `semanage`, NUL, path. AWS's agent strips white space from each line, so that
/// it forgets a file whose name ends in a space and would delete another in its place; we take a line as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cleanup {
    /// Files, links and folders; a folder stands before what is in it.
    pub paths: Vec<PathBuf>,
    /// Paths for which an SELinux context was recorded in the host's policy.
    pub contexts: Vec<PathBuf>,
}

/// One item of `<group>-install.json`. AWS's agent writes the file and never reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Instruction {
    /// A folder was made.
    Mkdir {
        /// The folder.
        directory: PathBuf,
    },
    /// A file or link was copied.
    Copy {
        /// The file in the unpacked archive.
        source: PathBuf,
        /// Where it went.
        destination: PathBuf,
    },
    /// Owner and group were set; `null` where one was left.
    Chown {
        /// The owner's name.
        owner: Option<String>,
        /// The group's name.
        group: Option<String>,
        /// What it was set on.
        file: PathBuf,
    },
    /// The mode was set.
    Chmod {
        /// Octal digits, at least three.
        mode: String,
        /// What it was set on.
        file: PathBuf,
    },
    /// An ACL was set.
    Setfacl {
        /// The entries of the appspec, in canonical form.
        acl: Vec<String>,
        /// What it was set on.
        file: PathBuf,
    },
    /// An SELinux context was recorded.
    Semanage {
        /// The context.
        context: InstructionContext,
        /// What it was set on.
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

#[derive(Serialize, Deserialize)]
struct InstallFile {
    instructions: Vec<Instruction>,
}

/// The bytes of the files that an installation replaces; `None` where there was no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsBefore(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Records {
    /// `<group>-cleanup`. A deployment that was never here gives an empty one.
    pub fn cleanup(&self) -> io::Result<Cleanup> {
        Ok(read_optional(&self.cleanup_path())?.map(|bytes| Cleanup::parse(&bytes)).unwrap_or_default())
    }

    /// Writes `<group>-cleanup`.
    pub fn write_cleanup(&self, cleanup: &Cleanup) -> io::Result<()> {
        fsx::write_atomic(&self.cleanup_path(), &cleanup.to_bytes())
    }

    /// Writes `<group>-install.json`.
    pub fn write_install(&self, instructions: Vec<Instruction>) -> io::Result<()> {
        let json = serde_json::to_vec(&InstallFile { instructions }).map_err(io::Error::other)?;
        fsx::write_atomic(&self.install_path(), &json)
    }

    /// The SELinux contexts that the previous deployment set, by path. A file that is missing or makes no sense gives
    /// none: AWS's agent leaves an empty one behind when it fails.
    pub fn contexts(&self) -> io::Result<BTreeMap<PathBuf, Context>> {
        let Some(bytes) = read_optional(&self.install_path())? else { return Ok(BTreeMap::new()) };
        let Ok(file) = serde_json::from_slice::<InstallFile>(&bytes) else { return Ok(BTreeMap::new()) };
        let contexts = file.instructions.into_iter().filter_map(|instruction| match instruction {
            Instruction::Semanage { context, file } => {
                Some((file, Context { user: context.user, kind: context.kind, range: context.range }))
            }
            Instruction::Mkdir { .. }
            | Instruction::Copy { .. }
            | Instruction::Chown { .. }
            | Instruction::Chmod { .. }
            | Instruction::Setfacl { .. } => None,
        });
        Ok(contexts.collect())
    }

    /// The folder of the deployment whose Install went well last; `None` when there is none or the file is empty.
    pub fn last_successful_install(&self) -> io::Result<Option<PathBuf>> {
        self.pointer("_last_successful_install")
    }

    /// Says whose Install went well last. `deployment_root` is the folder of that deployment.
    pub fn write_last_successful_install(&self, deployment_root: &Path) -> io::Result<()> {
        self.write_pointer("_last_successful_install", deployment_root)
    }

    /// The folder of the deployment that was unpacked last.
    pub fn most_recent_install(&self) -> io::Result<Option<PathBuf>> {
        self.pointer("_most_recent_install")
    }

    /// Says whose bundle was unpacked last.
    pub fn write_most_recent_install(&self, deployment_root: &Path) -> io::Result<()> {
        self.write_pointer("_most_recent_install", deployment_root)
    }

    /// Keeps what [`Records::restore`] needs.
    pub fn before(&self) -> io::Result<RecordsBefore> {
        let paths = [self.install_path(), self.cleanup_path(), self.path("_last_successful_install")];
        let read = paths.into_iter().map(|path| read_optional(&path).map(|bytes| (path, bytes)));
        read.collect::<io::Result<_>>().map(RecordsBefore)
    }

    /// Puts the files back that [`Records::before`] saw. Goes on after an error and returns the first.
    pub fn restore(&self, before: &RecordsBefore) -> Result<(), (PathBuf, io::Error)> {
        let mut result = Ok(());
        for (path, bytes) in &before.0 {
            let restored = match (read_optional(path), bytes) {
                (Ok(now), before) if now == *before => Ok(()),
                (Ok(_) | Err(_), Some(bytes)) => fsx::write_atomic(path, bytes),
                (Ok(_) | Err(_), None) => fs::remove_file(path),
            };
            if let (Err(error), true) = (restored, result.is_ok()) {
                result = Err((path.clone(), error));
            }
        }
        result
    }

    fn cleanup_path(&self) -> PathBuf {
        self.path("-cleanup")
    }

    fn install_path(&self) -> PathBuf {
        self.path("-install.json")
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}{suffix}", self.group))
    }

    fn pointer(&self, suffix: &str) -> io::Result<Option<PathBuf>> {
        let Some(mut bytes) = read_optional(&self.path(suffix))? else { return Ok(None) };
        while bytes.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
            bytes.pop();
        }
        // A crash of AWS's agent can leave an empty file, which names no folder.
        Ok((!bytes.is_empty()).then(|| PathBuf::from(OsString::from_vec(bytes))))
    }

    fn write_pointer(&self, suffix: &str, deployment_root: &Path) -> io::Result<()> {
        fsx::write_atomic(&self.path(suffix), deployment_root.as_os_str().as_bytes())
    }
}

impl Cleanup {
    /// Reads the file's bytes. An unterminated last line is the rest of a write that was cut off and is dropped, as are
    /// lines that name no absolute path, and `/`.
    pub fn parse(bytes: &[u8]) -> Cleanup {
        let mut cleanup = Cleanup::default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
        for line in whole.split(|byte| *byte == b'\n') {
            let (list, path) = match line.strip_prefix(b"semanage\0") {
                Some(path) => (&mut cleanup.contexts, path),
                None => (&mut cleanup.paths, line),
            };
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            if path.is_absolute() && path.parent().is_some() {
                list.push(path);
            }
        }
        cleanup
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for path in &self.paths {
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(b'\n');
        }
        for path in &self.contexts {
            bytes.extend_from_slice(b"semanage\0");
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// The record of a plan that was carried out. `remembered` are folders of earlier releases that still stand.
    pub fn of_plan(plan: &InstallPlan, remembered: &[PathBuf]) -> Cleanup {
        let directories = plan.directories.iter().map(|directory| directory.path.clone());
        let copies = plan.copies.iter().filter(|copy| copy.action != CopyAction::Retain);
        let contexts = plan.permissions.iter().filter(|change| change.context.is_some());
        Cleanup {
            paths: remembered.iter().cloned().chain(directories).chain(copies.map(|c| c.destination.clone())).collect(),
            contexts: contexts.map(|change| change.place.clone()).collect(),
        }
    }
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
            let name = |account: &Option<super::plan::Account>| account.as_ref().map(|account| account.name.clone());
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

fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<PathBuf> {
        texts.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_cleanup_file_of_the_aws_agent_is_read_and_written_back_as_it_was() {
        let bytes = b"/srv/app\n/srv/app/a b\n/srv/app/x \nsemanage\0/srv/app/x \n";
        let cleanup = Cleanup::parse(bytes);
        let expected =
            Cleanup { paths: paths(&["/srv/app", "/srv/app/a b", "/srv/app/x "]), contexts: paths(&["/srv/app/x "]) };
        assert_eq!(cleanup, expected);
        assert_eq!(cleanup.to_bytes(), bytes);
    }

    #[test]
    fn a_torn_line_and_lines_that_name_nothing_are_dropped() {
        for (bytes, expected) in [
            (&b""[..], &[][..]),
            (b"/srv/ap", &[]),
            (b"/srv/app\n/srv/app/hal", &["/srv/app"]),
            (b"\n\n/a\n", &["/a"]),
            (b"/\nrelative/path\n../x\n/a\n", &["/a"]),
        ] {
            let cleanup = Cleanup::parse(bytes);
            assert_eq!(cleanup, Cleanup { paths: paths(expected), contexts: vec![] }, "{bytes:?}");
        }
    }

    #[test]
    fn names_that_are_not_utf8_survive_the_cleanup_file() {
        let bytes = b"/srv/caf\xe9\n";
        assert_eq!(Cleanup::parse(bytes).to_bytes(), bytes);
    }

    #[test]
    fn instructions_have_the_shape_that_the_aws_agent_writes() {
        let file = || PathBuf::from("/b");
        let context =
            InstructionContext { user: Some("u".into()), role: None, kind: "t".into(), range: Some("s0".into()) };
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        records
            .write_install(vec![
                Instruction::Mkdir { directory: "/d".into() },
                Instruction::Copy { source: "/a".into(), destination: file() },
                Instruction::Chown { owner: Some("o".into()), group: None, file: file() },
                Instruction::Chmod { mode: "755".into(), file: file() },
                Instruction::Setfacl { acl: vec!["user:x:r--".into()], file: file() },
                Instruction::Semanage { context, file: file() },
            ])
            .unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join("g-install.json")).unwrap(),
            concat!(
                r#"{"instructions":[{"type":"mkdir","directory":"/d"},{"type":"copy","source":"/a","destination":"/b"},"#,
                r#"{"type":"chown","owner":"o","group":null,"file":"/b"},{"type":"chmod","mode":"755","file":"/b"},"#,
                r#"{"type":"setfacl","acl":["user:x:r--"],"file":"/b"},"#,
                r#"{"type":"semanage","context":{"user":"u","role":null,"type":"t","range":"s0"},"file":"/b"}]}"#
            )
        );
        let context = Context { user: Some("u".into()), kind: "t".into(), range: Some("s0".into()) };
        assert_eq!(records.contexts().unwrap(), BTreeMap::from([(file(), context)]));
    }

    #[test]
    fn a_pointer_has_no_newline_and_an_empty_one_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        assert_eq!(records.last_successful_install().unwrap(), None);
        records.write_last_successful_install(Path::new("/root/g/d-1")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("g_last_successful_install")).unwrap(), "/root/g/d-1");
        fs::write(dir.path().join("g_most_recent_install"), "/root/g/d-2\n").unwrap();
        assert_eq!(records.most_recent_install().unwrap(), Some("/root/g/d-2".into()));
        fs::write(dir.path().join("g_most_recent_install"), "").unwrap();
        assert_eq!(records.most_recent_install().unwrap(), None);
    }

    #[test]
    fn records_go_back_to_what_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        fs::write(dir.path().join("g-cleanup"), "/old\n").unwrap();
        let before = records.before().unwrap();
        records.write_cleanup(&Cleanup { paths: paths(&["/new"]), contexts: vec![] }).unwrap();
        records.write_last_successful_install(Path::new("/x")).unwrap();
        records.restore(&before).unwrap();
        assert_eq!(records.before().unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
