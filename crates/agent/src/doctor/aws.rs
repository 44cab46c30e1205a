//! The AWS agent beside us: its process, its configuration; and files of credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Environment, Finding};
use crate::layout::{DEFAULT_ROOT, Layout};

/// Where the AWS agent's package puts its configuration.
const CONFIG: &str = "/etc/codedeploy-agent/conf/codedeployagent.yml";
/// The credentials of a host that is registered on-premises.
const ON_PREMISES: &str = "/etc/codedeploy-agent/conf/codedeploy.onpremises.yml";

pub(super) fn check(layout: &Layout, environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match fs::read_to_string(CONFIG) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            findings.push(Finding::warning(
                "configuration",
                format!("{CONFIG} cannot be read: {error}"),
                "it may name another root than ours",
                "run the agent as root",
            ));
            None
        }
    };
    let root = config.as_deref().and_then(root_dir);
    findings.extend(other_root(root.as_deref(), layout.root()));
    findings.extend(beside_us(&command_lines(), root.as_deref().unwrap_or(Path::new(DEFAULT_ROOT)), layout.root()));
    let usual = environment.home.as_ref().map(|home| home.join(".aws/credentials"));
    let files = environment.credentials.clone().or(usual).into_iter().chain([PathBuf::from(ON_PREMISES)]);
    findings.extend(files.filter_map(|path| open_to_others(&path)));
    findings
}

/// `root_dir` of the configuration, whose keys are Ruby symbols or plain words; the last one counts.
fn root_dir(config: &str) -> Option<PathBuf> {
    let mut values = config.lines().filter_map(|line| {
        let (key, value) = line.trim_start_matches(':').split_once(':')?;
        (key == "root_dir").then(|| value.split(" #").next().unwrap_or(value).trim().trim_matches(['\'', '"']))
    });
    values.next_back().filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn other_root(theirs: Option<&Path>, ours: &Path) -> Option<Finding> {
    let theirs = theirs.filter(|theirs| *theirs != ours)?;
    Some(Finding::warning(
        "configuration",
        format!("{CONFIG} names the root {}, and this one is {}", theirs.display(), ours.display()),
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
    fn the_root_of_the_aws_agent_is_read_from_its_configuration() {
        for (config, root) in [
            ("---\n:root_dir: '/opt/codedeploy-agent/deployment-root'\n:verbose: false\n", Some(DEFAULT_ROOT)),
            ("root_dir: /srv/deploy # moved\n", Some("/srv/deploy")),
            (":root_dir: /a\n:root_dir: \"/b\"\n", Some("/b")),
            (":log_dir: /var/log\n", None),
            (":root_dir:\n", None),
        ] {
            assert_eq!(root_dir(config), root.map(PathBuf::from), "{config:?}");
        }
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
