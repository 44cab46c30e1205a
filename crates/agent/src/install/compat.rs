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

use super::cleanup::Cleanup;
use super::instruction::Instruction;

/// The record files of one deployment group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The folder they stand in, `deployment-instructions`.
    pub dir: PathBuf,
    /// The group.
    pub group: GroupId,
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

fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::InstructionContext;
    use super::*;

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
        records.write_cleanup(&Cleanup { paths: vec!["/new".into()], contexts: vec![] }).unwrap();
        records.write_last_successful_install(Path::new("/x")).unwrap();
        records.restore(&before).unwrap();
        assert_eq!(records.before().unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
