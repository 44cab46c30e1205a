//! What stands on the host: read once, decides nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{AWS_UNIT, UNIT};
use crate::layout::DEFAULT_ROOT;

/// The unit that is written here wins over a package's.
pub const OWN_UNIT: &str = "/etc/systemd/system/longshore-agent.service";

/// Where packages put theirs.
const PACKAGED_UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/longshore-agent.service", "/lib/systemd/system/longshore-agent.service"];

/// Where people and scripts look for `codedeploy-local`. What AWS's package has put there stays.
pub const LOCAL_TOOLS: [&str; 2] = ["/usr/local/bin/codedeploy-local", "/opt/codedeploy-agent/bin/codedeploy-local"];

/// A mark of AWS's agent that is older was left by one that is gone (AWS agent 1.8.1).
const STALE: Duration = Duration::from_secs(24 * 3600);

/// Where the files of a host are: its own, or those below a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(pub Option<PathBuf>);

impl Prefix {
    /// Where a path of the host is.
    pub fn path(&self, path: &Path) -> PathBuf {
        match &self.0 {
            None => path.to_owned(),
            Some(prefix) => prefix.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// `systemctl` for this host.
    pub fn systemctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new("systemctl");
        if let Some(prefix) = &self.0 {
            command.arg(format!("--root={}", prefix.display()));
        }
        command.args(words);
        command
    }
}

/// How a service stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Service {
    /// It starts with the host.
    pub is_enabled: bool,
    /// It runs, or is about to.
    pub is_active: bool,
}

/// What stands where `codedeploy-local` could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing, in a folder that is there or that we may make.
    Free,
    /// A link to this target.
    Link(PathBuf),
    /// A file, or something else.
    Taken,
}

/// What stands on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The text of the unit that was written here.
    pub unit: Option<String>,
    /// Whether a package brought a unit.
    pub has_packaged_unit: bool,
    /// The text of the settings file.
    pub config: Option<String>,
    /// Whether the root is there.
    pub has_root: bool,
    /// The places of `codedeploy-local`.
    pub tools: Vec<(PathBuf, Place)>,
    /// Our service.
    pub agent: Service,
    /// AWS's.
    pub aws: Service,
    /// Whether AWS's agent marks a deployment that is under way.
    pub aws_deploys: bool,
}

impl Host {
    /// Looks.
    ///
    /// # Errors
    /// The path that cannot be read, and why.
    pub fn read(prefix: &Prefix, root: &Path, config: &Path) -> Result<Host, (PathBuf, io::Error)> {
        let text = |path: &Path| match fs::read_to_string(prefix.path(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err((path.to_owned(), error)),
        };
        Ok(Host {
            unit: text(Path::new(OWN_UNIT))?,
            has_packaged_unit: PACKAGED_UNITS.iter().any(|path| prefix.path(Path::new(path)).exists()),
            config: text(config)?,
            has_root: prefix.path(root).is_dir(),
            tools: LOCAL_TOOLS.iter().map(|path| (PathBuf::from(path), place(&prefix.path(Path::new(path))))).collect(),
            agent: service(prefix, UNIT),
            aws: service(prefix, AWS_UNIT),
            aws_deploys: has_fresh_mark(&prefix.path(Path::new(DEFAULT_ROOT)).join("ongoing-deployment")),
        })
    }
}

fn place(path: &Path) -> Place {
    match (fs::read_link(path), path.symlink_metadata()) {
        (Ok(target), _) => Place::Link(target),
        (Err(_), Ok(_)) => Place::Taken,
        (Err(_), Err(_)) => Place::Free,
    }
}

fn service(prefix: &Prefix, unit: &str) -> Service {
    let says = |words: &[&str]| prefix.systemctl(words).output().is_ok_and(|output| output.status.success());
    Service {
        is_enabled: says(&["--quiet", "is-enabled", unit]),
        is_active: prefix.0.is_none() && says(&["--quiet", "is-active", unit]),
    }
}

fn has_fresh_mark(dir: &Path) -> bool {
    let marks = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut times = marks.filter_map(|mark| mark.metadata().ok()?.modified().ok());
    times.any(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < STALE))
}
