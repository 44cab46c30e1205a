//! A program in a terminal of its own, driven by what it shows.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

/// A program that believes somebody sits there.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    seen: String,
    /// What was looked at already.
    from: usize,
}

impl Terminal {
    /// Starts a command with its environment, its folder and nothing else.
    pub fn start(command: &Command) -> Terminal {
        let line: Vec<&str> =
            std::iter::once(command.get_program()).chain(command.get_args()).filter_map(OsStr::to_str).collect();
        // A terminal that shows nothing more would be waited for without end.
        let mut script = Command::new("timeout");
        script
            .args(["--foreground", "300", "script"])
            .args(["--quiet", "--return", "--command", &format!("exec {}", line.join(" ")), "/dev/null"])
            .env_clear();
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        script.current_dir(command.get_current_dir().expect("the command says where it runs"));
        let child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` can be started");
        Terminal { child, seen: String::new(), from: 0 }
    }

    /// The process of the program.
    pub fn program(&self) -> Pid {
        let child = |of: u32| -> u32 {
            let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("it lives");
            children.split_whitespace().next().expect("it has a child").parse().expect("a process id")
        };
        let program = child(child(self.child.id()));
        Pid::from_raw(program.try_into().expect("a process id"))
    }

    /// Types.
    pub fn types(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("it is a pipe");
        input.write_all(text.as_bytes()).expect("the terminal is there");
    }

    /// Waits until this is shown, after what was waited for before.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.seen[self.from..].find(text) {
                self.from += at + text.len();
                return;
            }
            let output = self.child.stdout.as_mut().expect("it is a pipe");
            let got = output.read(&mut buffer).expect("the terminal is there");
            assert!(got > 0, "the terminal ended without `{text}`: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..got]));
        }
    }

    /// The exit code, and everything that was shown.
    pub fn ends(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        self.child.stdout.as_mut().expect("it is a pipe").read_to_end(&mut rest).expect("the terminal is there");
        self.seen.push_str(&String::from_utf8_lossy(&rest));
        let status = self.child.wait().expect("it was started");
        (status.code().expect("ended by itself"), self.seen)
    }
}
