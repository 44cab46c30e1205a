//! The record files of the AWS agent 1.8.1, read and written in its format, so that a host can change to Longshore and
//! back between two deployments. Does not decide what stands in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
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

    /// Writes the records of an installation beside the old ones and makes them durable, so that nothing of
    /// [`Records::commit`] needs space.
    pub fn stage(&self, deployment_root: &Path, instructions: Vec<Instruction>, cleanup: &Cleanup) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let json = serde_json::to_vec(&InstallFile { instructions }).map_err(io::Error::other)?;
        let bytes = [deployment_root.as_os_str().as_bytes(), &json, &cleanup.to_bytes()];
        for (record, bytes) in self.written_by_install().iter().zip(bytes) {
            let mut file = File::create(staged(record))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        fsx::sync_dir(&self.dir)
    }

    /// Puts what [`Records::stage`] wrote in the place of the old records. The first rename is the commit: who finds a
    /// deployment's folder in the record of the last successful installation knows that there is no way back.
    pub fn commit(&self) -> io::Result<()> {
        for record in self.written_by_install() {
            fs::rename(staged(&record), &record)?;
            fsx::sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Removes what [`Records::stage`] wrote and nobody committed.
    pub fn discard(&self) -> Result<(), (PathBuf, io::Error)> {
        for record in self.written_by_install().map(|record| staged(&record)) {
            match fs::remove_file(&record) {
                Err(error) if record.symlink_metadata().is_ok() => return Err((record, error)),
                // A read-only file system refuses also to remove what is not there.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
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
        let read = self.written_by_install().map(|path| read_optional(&path).map(|bytes| (path, bytes)));
        read.into_iter().collect::<io::Result<_>>().map(RecordsBefore)
    }

    /// Puts the files back that [`Records::before`] saw, the one that commits last. After an error the others stay as they
    /// are, so that the commit stands.
    pub fn restore(&self, before: &RecordsBefore) -> Result<(), (PathBuf, io::Error)> {
        for (path, bytes) in before.0.iter().rev() {
            let restored = match (read_optional(path), bytes) {
                (Ok(now), before) if now == *before => Ok(()),
                (Ok(_) | Err(_), Some(bytes)) => fsx::write_atomic(path, bytes),
                (Ok(_) | Err(_), None) => fs::remove_file(path).and_then(|()| fsx::sync_dir(&self.dir)),
            };
            restored.map_err(|error| (path.clone(), error))?;
        }
        Ok(())
    }

    /// What an installation writes; the first one is the commit.
    fn written_by_install(&self) -> [PathBuf; 3] {
        [self.path("_last_successful_install"), self.install_path(), self.cleanup_path()]
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

/// Where a record waits for the commit: one deployment of a group at a time, so one name is enough.
fn staged(record: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(record.file_name().unwrap_or_default());
    name.push(".longshore-new");
    record.with_file_name(name)
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
        let instructions = vec![
            Instruction::Mkdir { directory: "/d".into() },
            Instruction::Copy { source: "/a".into(), destination: file() },
            Instruction::Chown { owner: Some("o".into()), group: None, file: file() },
            Instruction::Chmod { mode: "755".into(), file: file() },
            Instruction::Setfacl { acl: vec!["user:x:r--".into()], file: file() },
            Instruction::Semanage { context, file: file() },
        ];
        records.stage(Path::new("/root/g/d-1"), instructions, &Cleanup::default()).unwrap();
        records.commit().unwrap();
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
        records.stage(Path::new("/root/g/d-1"), Vec::new(), &Cleanup::default()).unwrap();
        records.commit().unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("g_last_successful_install")).unwrap(), "/root/g/d-1");
        fs::write(dir.path().join("g_most_recent_install"), "/root/g/d-2\n").unwrap();
        assert_eq!(records.most_recent_install().unwrap(), Some("/root/g/d-2".into()));
        fs::write(dir.path().join("g_most_recent_install"), "").unwrap();
        assert_eq!(records.most_recent_install().unwrap(), None);
    }

    #[test]
    fn records_go_back_to_what_they_were_and_leave_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        fs::write(dir.path().join("g-cleanup"), "/old\n").unwrap();
        let before = records.before().unwrap();
        records.stage(Path::new("/x"), Vec::new(), &Cleanup { paths: vec!["/new".into()], contexts: vec![] }).unwrap();
        assert_eq!(records.before().unwrap(), before);
        records.discard().unwrap();
        records.discard().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        records.stage(Path::new("/x"), Vec::new(), &Cleanup { paths: vec!["/new".into()], contexts: vec![] }).unwrap();
        records.commit().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        records.restore(&before).unwrap();
        assert_eq!(records.before().unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_record_that_commits_is_put_back_last() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        let before = records.before().unwrap();
        records.stage(Path::new("/x"), Vec::new(), &Cleanup::default()).unwrap();
        records.commit().unwrap();
        // Something that cannot be removed as a file.
        fs::remove_file(dir.path().join("g-install.json")).unwrap();
        fs::create_dir(dir.path().join("g-install.json")).unwrap();
        let (path, _) = records.restore(&before).unwrap_err();
        assert!(path.ends_with("g-install.json"), "{}", path.display());
        assert_eq!(records.last_successful_install().unwrap(), Some("/x".into()));
    }

    #[test]
    fn a_path_that_is_not_utf8_stands_in_the_list_of_instructions_as_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records { dir: dir.path().to_owned(), group: "g".parse().unwrap() };
        let file = PathBuf::from(OsString::from_vec(b"/\xe9".to_vec()));
        let context = InstructionContext { user: None, role: None, kind: "t".into(), range: None };
        let instructions = vec![Instruction::Semanage { context, file: file.clone() }];
        records.stage(Path::new("/x"), instructions, &Cleanup::default()).unwrap();
        records.commit().unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join("g-install.json")).unwrap(),
            r#"{"instructions":[{"type":"semanage","context":{"user":null,"role":null,"type":"t","range":null},"file":[47,233]}]}"#
        );
        let context = Context { user: None, kind: "t".into(), range: None };
        assert_eq!(records.contexts().unwrap(), BTreeMap::from([(file, context)]));
    }
}
