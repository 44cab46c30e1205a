//! Owner, mode, ACL and SELinux context of one path. Never follows a link, never uses a shell.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longshore_core::appspec::Context;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Group, Uid, User, fchown};
use serde::{Deserialize, Serialize};

use super::ownership::{FolderState, Ownership};

/// The programs that do what no system call of ours does; `None`: not installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Programs {
    /// `setfacl`.
    pub setfacl: Option<PathBuf>,
    /// `getfacl`.
    pub getfacl: Option<PathBuf>,
    /// `semanage`.
    pub semanage: Option<PathBuf>,
    /// `restorecon`.
    pub restorecon: Option<PathBuf>,
}

impl Programs {
    /// Looks in the folders of `path`, the text of `PATH`, and then where administrators' programs stand.
    pub fn find(path: Option<&OsStr>) -> Programs {
        let folders: Vec<PathBuf> =
            path.iter().flat_map(env::split_paths).chain(["/usr/sbin", "/sbin"].map(PathBuf::from)).collect();
        let find = |name: &str| {
            let mut programs = folders.iter().map(|folder| folder.join(name));
            programs.find(|program| {
                program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
            })
        };
        Programs {
            setfacl: find("setfacl"),
            getfacl: find("getfacl"),
            semanage: find("semanage"),
            restorecon: find("restorecon"),
        }
    }

    /// The first program that is missing for ACLs.
    pub fn missing_for_acl(&self) -> Option<&'static str> {
        [("setfacl", &self.setfacl), ("getfacl", &self.getfacl)].into_iter().find_map(missing)
    }

    /// The first program that is missing for contexts.
    pub fn missing_for_context(&self) -> Option<&'static str> {
        [("semanage", &self.semanage), ("restorecon", &self.restorecon)].into_iter().find_map(missing)
    }

    /// Sets the ACL of several files or folders that have the same one. None of them may be a link.
    pub(super) fn set_acl(&self, acl: &str, paths: &[&Path]) -> io::Result<()> {
        let mut command = command(self.setfacl.as_ref(), "setfacl")?;
        run(command.arg("--set").arg(acl).arg("--").args(paths)).map(drop)
    }

    /// Takes the ACLs of several folders away, also those for what is made in them.
    pub(super) fn remove_acls(&self, paths: &[&Path]) -> io::Result<()> {
        let mut command = command(self.setfacl.as_ref(), "setfacl")?;
        run(command.args(["--remove-all", "--remove-default", "--"]).args(paths)).map(drop)
    }

    /// The ACLs of several files or folders, as `getfacl` writes them, in the same order.
    pub(super) fn acls(&self, paths: &[&Path]) -> io::Result<Vec<String>> {
        let mut command = command(self.getfacl.as_ref(), "getfacl")?;
        let text = run(command.args(["--omit-header", "--absolute-names", "--numeric", "--"]).args(paths))?;
        let acls: Vec<String> = text.split_terminator("\n\n").map(str::to_owned).collect();
        if acls.len() == paths.len() {
            return Ok(acls);
        }
        let text = format!("`getfacl` wrote {} ACLs of {} paths", acls.len(), paths.len());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Records the context of a path in the host's policy and applies it.
    pub(super) fn add_context(&self, context: &Context, path: &Path) -> io::Result<()> {
        let mut semanage = command(self.semanage.as_ref(), "semanage")?;
        run(semanage.args(context_arguments(context, path)))?;
        self.restore_context(path)
    }

    /// Takes a path out of the host's policy. Its result means nothing: the entry may be gone, as with the AWS agent.
    pub(super) fn forget_context(&self, path: &Path) {
        if let Ok(mut semanage) = command(self.semanage.as_ref(), "semanage") {
            let _ = run(semanage.args(["fcontext", "-d"]).arg(path));
        }
    }

    /// Gives a path the context that the host's policy says.
    pub(super) fn restore_context(&self, path: &Path) -> io::Result<()> {
        let mut restorecon = command(self.restorecon.as_ref(), "restorecon")?;
        run(restorecon.arg("-v").arg(path)).map(drop)
    }

    /// What [`Programs::restore_folder`] needs. `acl`: whether the ACL will be changed too.
    pub(super) fn folder_state(&self, path: &Path, acl: bool) -> io::Result<FolderState> {
        let metadata = open_folder(path)?.metadata()?;
        let acl = if acl { self.acls(&[path])?.pop() } else { None };
        Ok(FolderState { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777, acl })
    }

    /// Gives a folder back what it had.
    pub(super) fn restore_folder(&self, path: &Path, state: &FolderState) -> io::Result<()> {
        let folder = open_folder(path)?;
        fchown(&folder, Some(Uid::from_raw(state.uid)), Some(Gid::from_raw(state.gid)))?;
        if let Some(acl) = &state.acl {
            let mut setfacl = command(self.setfacl.as_ref(), "setfacl")?;
            // A text without default entries leaves those that are there.
            run_with_input(setfacl.args(["--remove-default", "--set-file=-"]).arg("--").arg(path), acl.as_bytes())?;
        }
        folder.set_permissions(fs::Permissions::from_mode(state.mode))
    }
}

/// The number of a user: a name that this host knows, or else a decimal number as it is.
pub fn user_id(name: &str) -> io::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()).or_else(|| number(name)))
}

/// The number of a group, by the rule of [`user_id`].
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()).or_else(|| number(name)))
}

/// Sets owner and group of an open file or folder; `None` leaves one as it is.
pub(super) fn set_owner(file: impl AsFd, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if owner.is_some() || group.is_some() {
        fchown(file, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    Ok(())
}

/// Sets owner, group and mode of a folder, in this order: the kernel clears setuid and setgid on a change of owner.
pub(super) fn set_folder(path: &Path, owner: Ownership, mode: Option<u32>) -> io::Result<()> {
    if owner == Ownership::default() && mode.is_none() {
        return Ok(());
    }
    let folder = open_folder(path)?;
    set_owner(&folder, owner.user, owner.group)?;
    mode.map_or(Ok(()), |mode| folder.set_permissions(fs::Permissions::from_mode(mode)))
}

/// Opens a folder that is no link.
pub(super) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

fn missing((name, program): (&'static str, &Option<PathBuf>)) -> Option<&'static str> {
    program.is_none().then_some(name)
}

fn number(name: &str) -> Option<u32> {
    // The highest number means "leave as it is" to the kernel.
    name.parse().ok().filter(|id| *id != u32::MAX && name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn context_arguments(context: &Context, path: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["fcontext".into(), "-a".into()];
    for (flag, value) in [("-s", context.user.as_ref()), ("-t", Some(&context.kind)), ("-r", context.range.as_ref())] {
        if let Some(value) = value {
            arguments.extend([flag.into(), value.into()]);
        }
    }
    arguments.push(path.into());
    arguments
}

fn command(program: Option<&PathBuf>, name: &str) -> io::Result<Command> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the program `{name}` is not installed"));
    program.map(Command::new).ok_or_else(missing)
}

/// Runs a program to its end; its output, or its status and what it said on standard error as an error.
fn run(command: &mut Command) -> io::Result<String> {
    run_with_input(command, b"")
}

fn run_with_input(command: &mut Command, input: &[u8]) -> io::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its messages are shown to people; its output is read by programs.
    command.env("LC_ALL", "C");
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input) {
            // It ended without reading: its status says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
    }
    let mut text = format!("`{}`: {}", command.get_program().display(), output.status);
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.trim().is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {}", said.trim());
    }
    Err(io::Error::other(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_without_user_and_range_is_a_command_line_without_them() {
        let context = Context { user: None, kind: "httpd_sys_content_t".into(), range: None };
        assert_eq!(
            context_arguments(&context, Path::new("/srv/a b")),
            ["fcontext", "-a", "-t", "httpd_sys_content_t", "/srv/a b"]
        );
    }

    #[test]
    fn an_account_is_a_name_of_this_host_or_a_number() {
        assert_eq!(user_id("root").unwrap(), Some(0));
        assert_eq!(user_id("4242").unwrap(), Some(4242));
        for unknown in ["no-such-user-here", "+1", "-1", "4294967295", "4294967296", ""] {
            assert_eq!(user_id(unknown).unwrap(), None, "{unknown:?}");
            assert_eq!(group_id(unknown).unwrap(), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_program_that_fails_says_what_it_said() {
        let programs = Programs::find(env::var_os("PATH").as_deref());
        let error = programs.set_acl("user::rwx,group::r-x,other::r-x", &[Path::new("/no/such/file")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("setfacl") && text.contains("/no/such/file"), "{text}");
        assert_eq!(Programs::default().missing_for_context(), Some("semanage"));
    }
}
