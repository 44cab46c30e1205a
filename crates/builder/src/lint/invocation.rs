//! Which program a command runs in the end, behind `sudo`, `nohup` and their like. Pure.

use super::shell::{Command, Word};

/// A program and what it is given.
#[derive(Debug, Clone)]
pub(crate) struct Invocation<'a> {
    /// The program's name, without its folder.
    pub(crate) name: &'a str,
    /// The word that names it.
    pub(crate) program: &'a Word,
    /// What follows.
    pub(crate) arguments: &'a [Word],
    /// The programs that run it, outermost first.
    pub(crate) through: Vec<&'a Word>,
}

/// A program that runs another one, and its options that take a value.
const WRAPPERS: [(&str, &[&str]); 12] = [
    ("sudo", &["-u", "--user", "-g", "--group", "-h", "-p", "-C", "-T", "-D"]),
    ("env", &["-u", "--unset", "-C", "--chdir"]),
    ("nohup", &[]),
    ("exec", &["-a"]),
    ("command", &[]),
    ("builtin", &[]),
    ("nice", &["-n", "--adjustment"]),
    ("ionice", &["-c", "-n"]),
    ("setsid", &[]),
    ("stdbuf", &["-o", "-e", "-i"]),
    ("timeout", &["-k", "--kill-after", "-s", "--signal"]),
    ("xargs", &["-I", "-n", "-P", "-L", "-d", "-a", "-s", "-E"]),
];

impl Command {
    /// What is run in the end; `None` for assignments alone.
    pub(crate) fn invocation(&self) -> Option<Invocation<'_>> {
        let (mut words, mut through) = (self.words.as_slice(), Vec::new());
        loop {
            let (program, arguments) = words.split_first()?;
            let name = program.text.rsplit('/').next().unwrap_or_default();
            let wrapper = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name);
            let inner = wrapper.and_then(|(_, valued)| inner(name, arguments, valued));
            let Some(inner) = inner else { return Some(Invocation { name, program, arguments, through }) };
            through.push(program);
            words = inner;
        }
    }
}

/// The words that a wrapper runs; `None` when it runs nothing.
fn inner<'a>(wrapper: &str, mut words: &'a [Word], valued: &[&str]) -> Option<&'a [Word]> {
    while let Some((word, rest)) = words.split_first() {
        let text = word.text.as_str();
        words = if valued.contains(&text) {
            rest.get(1..).unwrap_or_default()
        } else if text.starts_with('-') || (matches!(wrapper, "env" | "sudo") && text.contains('=')) {
            rest
        } else {
            break;
        };
    }
    if wrapper == "timeout" {
        words = words.get(1..).unwrap_or_default();
    }
    (!words.is_empty()).then_some(words)
}

impl<'a> Invocation<'a> {
    /// Whether an argument is one of these.
    pub(crate) fn has(&self, options: &[&str]) -> bool {
        self.arguments.iter().any(|word| options.contains(&word.text.as_str()))
    }

    /// Whether an option of one letter is given, alone or among others as in `-qy`.
    pub(crate) fn has_letter(&self, letter: char) -> bool {
        self.arguments.iter().any(|word| {
            let text = word.text.as_str();
            text.starts_with('-') && !text.starts_with("--") && text.contains(letter)
        })
    }

    /// The first argument that is no option, and what follows; `valued`: options that take a value.
    fn subcommand(&self, valued: &[&str]) -> Option<Invocation<'a>> {
        let mut words = self.arguments;
        while let Some((word, rest)) = words.split_first() {
            let text = word.text.as_str();
            words = if valued.contains(&text) {
                rest.get(1..).unwrap_or_default()
            } else if text.starts_with('-') {
                rest
            } else {
                return Some(Invocation { name: text, program: word, arguments: rest, through: self.through.clone() });
            };
        }
        None
    }

    /// The subcommand of `docker` or `podman`; of `docker container ls` and its like, `ls` with `container` before it.
    pub(crate) fn docker(&self) -> Option<(Option<&'a str>, Invocation<'a>)> {
        if !matches!(self.name, "docker" | "podman") {
            return None;
        }
        let found = self.subcommand(&["--context", "-c", "-H", "--host", "-l", "--log-level", "--config"])?;
        match found.name {
            "container" | "image" | "system" | "volume" | "network" | "builder" | "pod" => {
                Some((Some(found.name), found.subcommand(&[])?))
            }
            _ => Some((None, found)),
        }
    }

    /// The subcommand of compose.
    pub(crate) fn compose(&self) -> Option<Invocation<'a>> {
        let compose = match self.name {
            "docker-compose" | "podman-compose" => self.clone(),
            _ => self.docker().filter(|(group, found)| group.is_none() && found.name == "compose")?.1,
        };
        compose.subcommand(&[
            "-f",
            "--file",
            "-p",
            "--project-name",
            "--env-file",
            "--profile",
            "--project-directory",
            "--context",
            "-c",
            "-H",
            "--host",
            "--parallel",
            "--progress",
            "--ansi",
        ])
    }
}
