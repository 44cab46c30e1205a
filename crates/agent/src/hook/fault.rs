//! Why a script could not be started, told before it is: from its first bytes and from what the host has.

use std::path::{Path, PathBuf};

use super::shim::{interpreter_words, windows_line_end};

/// How many bytes of a script matter: as many as the kernel looks at for an interpreter.
pub const HEAD: usize = 256;

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its first line ends with a carriage return, which the kernel takes for a part of the interpreter's name.
    WindowsLineEnd {
        /// What to say of it.
        reason: String,
    },
    /// Its interpreter is not on this host.
    NoInterpreter {
        /// The interpreter.
        interpreter: PathBuf,
    },
    /// `env` will not find its interpreter in the agent's own PATH.
    NotInPath {
        /// The interpreter.
        program: String,
    },
}

/// What is wrong with a script that begins with `head`, if anything is. `exists` is asked for whole paths.
pub fn find(location: &str, head: &[u8], path: &[PathBuf], exists: &dyn Fn(&Path) -> bool) -> Option<Fault> {
    if let Some(reason) = windows_line_end(location, head) {
        return Some(Fault::WindowsLineEnd { reason });
    }
    let words: Vec<&str> = interpreter_words(head)?.filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let interpreter = Path::new(words.first()?);
    // Another one depends on the folder in which the script is started.
    if interpreter.is_absolute() && !exists(interpreter) {
        return Some(Fault::NoInterpreter { interpreter: interpreter.to_owned() });
    }
    match words.as_slice() {
        [env, program] if env.ends_with("/env") && !program.contains(['/', '=']) && !program.starts_with('-') => {
            let is_there = path.iter().any(|folder| exists(&folder.join(program)));
            (!is_there).then(|| Fault::NotInPath { program: (*program).to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_is_known_from_the_first_line() {
        let there = ["/bin/sh", "/usr/bin/env", "/usr/bin/python3"];
        let exists = |path: &Path| there.iter().any(|known| path == Path::new(known));
        let path = [PathBuf::from("/bin"), PathBuf::from("/usr/bin")];
        let missing = |interpreter: &str| Some(Fault::NoInterpreter { interpreter: interpreter.into() });
        let not_in_path = |program: &str| Some(Fault::NotInPath { program: program.to_owned() });
        for (head, fault) in [
            ("#!/bin/sh\n", None),
            ("#! /bin/sh -e\n", None),
            ("#!/bin/zsh\n", missing("/bin/zsh")),
            ("#!/usr/bin/env python3\n", None),
            ("#!/usr/bin/env node\n", not_in_path("node")),
            ("#!/usr/bin/env -S node --x\n", None),
            ("#!/usr/bin/env A=b\n", None),
            ("#!python\n", None),
            ("echo no interpreter: /bin/sh runs it\n", None),
            ("\u{7f}ELF", None),
            ("", None),
        ] {
            assert_eq!(find("x.sh", head.as_bytes(), &path, &exists), fault, "{head}");
        }
        let windows = find("x.sh", b"#!/bin/sh\r\n", &path, &exists);
        assert!(matches!(windows, Some(Fault::WindowsLineEnd { reason }) if reason.contains("Windows line end")));
    }
}
