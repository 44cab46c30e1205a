//! Makes sure that a script can be run, and says in words why it cannot.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};

use crate::hook::HookOutcome;
use crate::hook::command::{HookCommand, RunAs};

/// How much of a script the kernel looks at for an interpreter.
const HEAD: usize = 256;

/// A script that is there, is a file, and is executable as far as the agent can tell.
#[derive(Debug)]
pub(super) struct Script {
    head: Vec<u8>,
    is_readable: bool,
    /// The mode it had before it was made executable.
    pub(super) old_mode: Option<u32>,
}

/// Looks at the script and makes it executable when it is not, all three bits, as the AWS agent 1.8.1 does.
pub(super) fn prepare(command: &HookCommand) -> Result<Script, HookOutcome> {
    let metadata = match fs::metadata(&command.script) {
        Ok(metadata) => metadata,
        Err(error) => return Err(not_found(command, &error)),
    };
    let location = &command.location;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a folder" } else { "not a file" };
        return Err(not_started(format!("`{location}` is {kind}; `location` must name a script")));
    }
    // A script that the agent may run but not read is legal: the kernel will tell.
    let (head, is_readable) = read_head(&command.script).map_or((Vec::new(), false), |head| (head, true));
    if let Some(reason) = windows_line_end(location, &head) {
        return Err(not_started(reason));
    }
    let is_executable = eaccess(&command.script, AccessFlags::X_OK).is_ok() || metadata.mode() & 0o111 == 0o111;
    if !is_executable {
        make_executable(command, &metadata).map_err(|reason| HookOutcome::NotExecutable { reason })?;
    }
    Ok(Script { head, is_readable, old_mode: (!is_executable).then_some(metadata.mode() & 0o7777) })
}

pub(super) fn not_started(reason: String) -> HookOutcome {
    HookOutcome::NotStarted { reason }
}

fn not_found(command: &HookCommand, error: &io::Error) -> HookOutcome {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => HookOutcome::Missing,
        _ => not_started(format!("cannot look at `{}`: {error}", command.location)),
    }
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Never outside the archive: a link in a bundle must not be a way to change a file of the host.
fn make_executable(command: &HookCommand, metadata: &Metadata) -> Result<(), String> {
    let location = &command.location;
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("cannot find `{location}`: {error}"));
    let (script, archive) = (real(&command.script)?, real(&command.archive)?);
    if !script.starts_with(&archive) {
        let script = script.display();
        return Err(format!("`{location}` is a link to `{script}`, which is outside the bundle and not executable"));
    }
    fs::set_permissions(&script, fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o111))
        .map_err(|error| format!("cannot make `{location}` executable: {error}"))
}

impl Script {
    /// Whether `/bin/sh` can read it: anything without a NUL character, which every binary has near its start.
    pub(super) fn is_text(&self) -> bool {
        self.is_readable && !self.head.contains(&0)
    }

    /// What to know of a script that `/bin/sh` runs because the kernel found no interpreter line.
    pub(super) fn why_sh(&self, location: &str) -> String {
        if self.head.starts_with(b"\xef\xbb\xbf") {
            format!("`{location}` starts with a byte order mark, so its `#!` line does not count: run with /bin/sh")
        } else {
            format!("`{location}` does not start with `#!`: run with /bin/sh")
        }
    }

    /// Why the kernel did not run it, and what to change.
    pub(super) fn why_not(&self, errno: Errno, command: &HookCommand) -> String {
        let location = &command.location;
        let interpreter = interpreter(&self.head);
        match (errno, &interpreter) {
            (Errno::ENOENT | Errno::ENOTDIR, Some(interpreter)) => {
                let interpreter = interpreter.display();
                format!(
                    "the interpreter `{interpreter}` of `{location}` does not exist; install it, or change the `#!` line"
                )
            }
            (Errno::ENOENT | Errno::ENOTDIR, None) => format!(
                "the loader of `{location}` does not exist: it was built for another system (libc or processor)"
            ),
            (Errno::ENOEXEC, _) => {
                format!("`{location}` is a program for another processor or system; build it for this host")
            }
            (Errno::EACCES, _) => why_denied(command, interpreter.as_deref()),
            (Errno::E2BIG, _) => format!("the environment of `{location}` is too large for the kernel"),
            (Errno::ETXTBSY, _) => format!("`{location}` is open for writing"),
            (errno, _) => format!("cannot run `{location}`: {}", errno.desc()),
        }
    }
}

/// The program after `#!`.
fn interpreter(head: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let first = interpreter_words(head)?.next()?;
    Some(std::ffi::OsStr::from_bytes(first).into())
}

/// The words after `#!`, as the kernel splits them off: by spaces and tabs alone.
pub(in crate::hook) fn interpreter_words(head: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()))
}

/// A carriage return that becomes part of the interpreter's name, directly or through `env`. As part of another argument
/// it may be harmless, and the interpreter tells if it is not.
pub(in crate::hook) fn windows_line_end(location: &str, head: &[u8]) -> Option<String> {
    let words: Vec<&[u8]> = interpreter_words(head)?.collect();
    let name = match words.as_slice() {
        [name] => name,
        [env, name] if env.ends_with(b"/env") && !name.starts_with(b"-") => name,
        _ => return None,
    };
    let name = String::from_utf8_lossy(name.strip_suffix(b"\r")?);
    Some(format!(
        "the first line of `{location}` ends with a Windows line end, so its interpreter would be `{name}\\r`; \
         save it with LF line ends (`sed -i 's/\\r$//'`, and `*.sh text eol=lf` in .gitattributes)"
    ))
}

/// Which part of the path keeps the user out, by modes alone. Decides nothing: the kernel has already said no.
fn why_denied(command: &HookCommand, interpreter: Option<&Path>) -> String {
    let (name, uid, groups) = match &command.user {
        RunAs::User(user) => (format!("user `{}`", user.name), user.uid, user.groups.clone()),
        RunAs::Agent | RunAs::Unknown(_) => {
            let groups = nix::unistd::getgroups().unwrap_or_default();
            let own = std::iter::once(nix::unistd::getegid()).chain(groups).map(nix::unistd::Gid::as_raw).collect();
            ("the agent".to_owned(), nix::unistd::geteuid().as_raw(), own)
        }
    };
    let may = |metadata: &Metadata, wanted: u32| {
        let mode = metadata.mode();
        let bits = if metadata.uid() == uid {
            mode >> 6
        } else if groups.contains(&metadata.gid()) {
            mode >> 3
        } else {
            mode
        };
        uid == 0 || bits & wanted == wanted
    };
    let folders = command.script.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev().map(|f| (f, 1, "enter"));
    let program = interpreter.into_iter().map(|path| (path, 1, "run"));
    let read = if interpreter.is_some() { 5 } else { 1 };
    for (path, wanted, verb) in folders.chain([(command.script.as_path(), read, "read and run")]).chain(program) {
        if let Ok(metadata) = fs::metadata(path)
            && !may(&metadata, wanted)
        {
            let (path, mode) = (path.display(), metadata.mode() & 0o7777);
            let (owner, group) = (metadata.uid(), metadata.gid());
            return format!("{name} may not {verb} `{path}` (mode {mode:04o}, owner {owner}, group {group})");
        }
    }
    format!(
        "{name} may not run `{}`, though its mode allows it: its file system may be mounted `noexec`, or an ACL or \
         a security module forbids it",
        command.script.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_what_the_kernel_takes_it_for() {
        for (head, found) in [
            (&b"#!/bin/sh\necho"[..], Some("/bin/sh")),
            (b"#! \t/bin/sh -e\n", Some("/bin/sh")),
            (b"#!/usr/bin/env bash", Some("/usr/bin/env")),
            (b"# !/bin/sh\n", None),
            (b"\xef\xbb\xbf#!/bin/sh\n", None),
            (b"", None),
        ] {
            assert_eq!(interpreter(head), found.map(PathBuf::from), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_windows_line_end_is_refused_only_where_it_cannot_work() {
        for (head, refused) in [
            (&b"#!/bin/bash\r\necho"[..], true),
            (b"#!/usr/bin/env bash\r\n", true),
            (b"#!/usr/bin/env -S bash -e\r\n", false),
            (b"#!/usr/bin/perl -w\r\n", false),
            (b"#!/bin/bash\necho\r\n", false),
            (b"echo\r\n", false),
        ] {
            assert_eq!(windows_line_end("x.sh", head).is_some(), refused, "{}", head.escape_ascii());
        }
    }
}
