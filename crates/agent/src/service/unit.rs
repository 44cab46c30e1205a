//! The text of the unit. The package's file is the pattern; here it gets the path of a program and its options.

use std::path::{Path, PathBuf};

use crate::layout::DEFAULT_ROOT;
use crate::settings;

/// The unit of the packages.
pub const PACKAGED: &str = include_str!("../../packaging/longshore-agent.service");

/// The program of the packages.
pub const PROGRAM: &str = "/usr/bin/longshore-agent";

/// What the service starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The agent.
    pub program: PathBuf,
    /// Where everything stands.
    pub root: PathBuf,
    /// The settings.
    pub config: PathBuf,
}

impl Start {
    /// Whether it is what the unit of the packages starts.
    pub fn is_packaged(&self) -> bool {
        self.program == Path::new(PROGRAM) && self.options().is_empty()
    }

    /// The unit.
    pub fn unit(&self) -> String {
        let mut words = format!("{} run", quoted(&self.program));
        for (option, value) in self.options() {
            words.push_str(&format!(" {option} {}", quoted(value)));
        }
        PACKAGED.replace(&format!("{PROGRAM} run"), &words)
    }

    fn options(&self) -> Vec<(&'static str, &Path)> {
        let all = [("--root", &self.root, DEFAULT_ROOT), ("--config", &self.config, settings::DEFAULT_PATH)];
        let other = all.into_iter().filter(|(_, value, default)| *value != Path::new(default));
        other.map(|(option, value, _)| (option, value.as_path())).collect()
    }
}

/// A word of a command line as systemd reads it: `%` and `$` mean something, and so do spaces, quotes and backslashes.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%").replace('$', "$$");
    let is_plain = text.chars().all(|letter| !letter.is_whitespace() && !r#""'\;"#.contains(letter));
    let escaped = || text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").replace('\r', r"\r");
    if is_plain { text } else { format!("\"{}\"", escaped()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_this_program_with_the_options_that_are_not_the_defaults() {
        let line = |program: &str, root: &str, config: &str| {
            let start = Start { program: program.into(), root: root.into(), config: config.into() };
            let unit = start.unit();
            let command = unit.lines().find_map(|line| line.split_once("' bash ")).unwrap().1.to_owned();
            (command, unit == PACKAGED)
        };
        let toml = settings::DEFAULT_PATH;
        for (found, expected) in [
            (line(PROGRAM, DEFAULT_ROOT, toml), ("/usr/bin/longshore-agent run", true)),
            (line("/opt/x/agent", DEFAULT_ROOT, toml), ("/opt/x/agent run", false)),
            (line(PROGRAM, "/srv/a b", toml), ("/usr/bin/longshore-agent run --root \"/srv/a b\"", false)),
            (line("/a\nUser=b", DEFAULT_ROOT, toml), (r#""/a\nUser=b" run"#, false)),
            (line("/a$b", "/100%", r#"/a"\b"#), (r#"/a$$b run --root /100%% --config "/a\"\\b""#, false)),
        ] {
            assert_eq!((found.0.as_str(), found.1), expected);
        }
    }
}
