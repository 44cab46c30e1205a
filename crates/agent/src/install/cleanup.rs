//! The AWS agent's record of what a deployment installed, as a value and as bytes. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::plan::{CopyAction, InstallPlan};

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
}
