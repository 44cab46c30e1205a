//! The AWS agent beside us: its process, its configuration; and files of credentials.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use longshore_core::problem::{Problem, SourceFile};

use super::{Environment, Finding};
use crate::config::{self, Config, DEFAULT_PATH, Parsed};
use crate::layout::{DEFAULT_ROOT, Layout};

const CHECK: &str = "configuration";

pub(super) fn check(layout: &Layout, environment: &Environment) -> Vec<Finding> {
    let (config, mut findings) = match fs::read_to_string(DEFAULT_PATH) {
        Ok(text) => configuration(text),
        Err(error) if error.kind() == ErrorKind::NotFound => (Config::default(), Vec::new()),
        Err(error) => {
            let what = format!("{DEFAULT_PATH} cannot be read: {error}");
            let finding = Finding::warning(CHECK, what, "it may name another root than ours", "run the agent as root");
            (Config::default(), vec![finding])
        }
    };
    findings.extend(other_root(config.root_dir.as_deref(), layout.root()));
    let theirs = config.root_dir.as_deref().unwrap_or(Path::new(DEFAULT_ROOT));
    findings.extend(beside_us(&command_lines(), theirs, layout.root()));
    let usual = environment.home.as_ref().map(|home| home.join(".aws/credentials"));
    let files = environment.credentials.clone().or(usual).into_iter().chain([config.on_premises_config_file]);
    findings.extend(files.filter_map(|path| open_to_others(&path)));
    findings
}

/// The AWS agent's configuration, and what is wrong with it.
fn configuration(text: String) -> (Config, Vec<Finding>) {
    let Parsed { config, problems, .. } = config::parse(&SourceFile::new(DEFAULT_PATH, text));
    let finding = |problem: &Problem| {
        let why = "`codedeploy-local` and the AWS agent read it";
        Finding::warning(CHECK, problem.to_string(), why, "correct it in the file")
    };
    (config.unwrap_or_default(), problems.iter().map(finding).collect())
}

fn other_root(theirs: Option<&Path>, ours: &Path) -> Option<Finding> {
    let theirs = theirs.filter(|theirs| *theirs != ours)?;
    Some(Finding::warning(
        CHECK,
        format!("{DEFAULT_PATH} names the root {}, and this one is {}", theirs.display(), ours.display()),
        "the two agents do not see each other's deployments: the first deployment here runs no ApplicationStop",
        format!("give the same root: `--root {}`, or LONGSHORE_ROOT", theirs.display()),
    ))
}

/// The AWS agent at work on our root.
fn beside_us(command_lines: &[String], theirs: &Path, ours: &Path) -> Option<Finding> {
    let runs = command_lines.iter().any(|line| line.starts_with("codedeploy-agent: master"));
    (runs && theirs == ours).then(|| {
        Finding::warning(
            "aws agent",
            format!("the AWS agent runs, with the same root {}", ours.display()),
            "it takes no lock: its deployments and ours may change the same files at once",
            "stop it while this one deploys: systemctl stop codedeploy-agent",
        )
    })
}

fn command_lines() -> Vec<String> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folders.filter(|folder| folder.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    // One that has ended in the meantime is none.
    let lines = processes.filter_map(|folder| fs::read(folder.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

fn open_to_others(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        Finding::warning(
            "credentials",
            format!("{} is open to other users (mode {mode:04o})", path.display()),
            "scripts that run as other users can read the credentials",
            format!("chmod 600 {}", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_root_and_a_mistake_in_the_configuration_of_the_aws_agent_are_found() {
        let (config, findings) = configuration("---\n:root_dir: '/srv/deploy'\n:max_revisions: many\n".to_owned());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].what.contains("max_revisions"), "{findings:?}");
        // A file with a mistake says nothing that counts.
        assert_eq!(config.root_dir, None);
        let (config, findings) = configuration("root_dir: /srv/deploy\n".to_owned());
        assert_eq!((config.root_dir.as_deref(), findings.len()), (Some(Path::new("/srv/deploy")), 0));
        assert!(other_root(Some(Path::new("/a")), Path::new("/b")).is_some());
        assert_eq!(other_root(Some(Path::new("/a")), Path::new("/a")), None);
        assert_eq!(other_root(None, Path::new("/a")), None);
    }

    #[test]
    fn the_aws_agent_counts_only_on_the_same_root() {
        let lines = ["/sbin/init".to_owned(), "codedeploy-agent: master 812".to_owned()];
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        assert!(beside_us(&lines, a, a).is_some());
        assert_eq!(beside_us(&lines, b, a), None);
        assert_eq!(beside_us(&lines[..1], a, a), None);
    }
}
