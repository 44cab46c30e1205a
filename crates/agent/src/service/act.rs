//! Does the steps. Decides nothing.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_core::fsx;
use nix::unistd::geteuid;

use super::host::Prefix;
use super::{Order, Step};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Not root.
    #[error("only root may install a service")]
    NotRoot,
    /// Another service manager.
    #[error("systemd does not run this host")]
    NoSystemd,
    /// A folder.
    #[error("cannot make the folder `{path}`")]
    MakeFolder {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file.
    #[error("cannot write `{path}`")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or link.
    #[error("cannot remove `{path}`")]
    Remove {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link.
    #[error("cannot link `{path}`")]
    Link {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `systemctl`.
    #[error("`systemctl {words}` failed{said}")]
    Systemctl {
        /// Its words.
        words: String,
        /// What it said, after `: `.
        said: String,
    },
}

/// Whether a service can be installed on this host at all.
///
/// # Errors
/// Why not.
pub fn possible(prefix: &Prefix) -> Result<(), ActError> {
    if prefix.0.is_some() {
        return Ok(());
    }
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(ActError::NoSystemd);
    }
    if geteuid().is_root() { Ok(()) } else { Err(ActError::NotRoot) }
}

/// Does one step. A file's folder is made with it.
///
/// # Errors
/// Why it failed.
pub fn act(prefix: &Prefix, step: &Step) -> Result<(), ActError> {
    match step {
        Step::MakeFolder { path } => {
            fs::create_dir_all(prefix.path(path)).map_err(|source| ActError::MakeFolder { path: path.clone(), source })
        }
        Step::Write { path, text } => {
            write(&prefix.path(path), text).map_err(|source| ActError::Write { path: path.clone(), source })
        }
        Step::Remove { path } => {
            fs::remove_file(prefix.path(path)).map_err(|source| ActError::Remove { path: path.clone(), source })
        }
        Step::Link { path, to } => {
            link(&prefix.path(path), to).map_err(|source| ActError::Link { path: path.clone(), source })
        }
        // A host that is a folder reads its units when it starts.
        Step::Reload if prefix.0.is_some() => Ok(()),
        Step::Reload => systemctl(prefix, &["daemon-reload"]),
        Step::Service { order: order @ (Order::Enable | Order::Disable), unit } => {
            systemctl(prefix, &["--quiet", order.word(), unit])
        }
        Step::Service { order, unit } => systemctl(prefix, &[order.word(), unit]),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fsx::write_atomic(path, text.as_bytes())?;
    // Whatever the umask: units and settings are for everybody to read.
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn link(path: &Path, to: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    symlink(to, path)
}

fn systemctl(prefix: &Prefix, words: &[&str]) -> Result<(), ActError> {
    let mut command: Command = prefix.systemctl(words);
    let said = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Err(ActError::Systemctl { words: words.join(" "), said })
}
