//! `<log_dir>/codedeploy-local.log`, in the format of the AWS agent 1.8.1. Losing it loses no deployment.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::config::Config;

/// The log, when the configuration has a folder for it.
pub(super) struct Log {
    file: Option<Mutex<File>>,
    program: String,
    /// Why it cannot be written.
    pub(super) error: Option<String>,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What happened.
    Info,
    /// What will surprise.
    Warn,
    /// What failed.
    Error,
}

impl Log {
    /// Opens the log for appending; its folder is made when it is missing.
    pub(super) fn open(config: &Config) -> Log {
        let path: Option<PathBuf> = config.log_dir.as_ref().map(|dir| dir.join("codedeploy-local.log"));
        let opened = path.map(|path| {
            let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
            let file = folder.and_then(|()| File::options().append(true).create(true).open(&path));
            file.map_err(|error| format!("cannot write `{}`: {error}", path.display()))
        });
        let (file, error) = match opened {
            Some(Ok(file)) => (Some(Mutex::new(file)), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Log { file, program: config.program_name.clone(), error }
    }

    /// One line.
    pub(super) fn write(&self, level: Level, text: &str) {
        let Some(Ok(mut file)) = self.file.as_ref().map(Mutex::lock) else { return };
        let level = match level {
            Level::Info => "INFO ",
            Level::Warn => "WARN ",
            Level::Error => "ERROR",
        };
        let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z");
        let id = std::process::id();
        for line in text.lines() {
            // A full disk is the log's loss.
            let _ = file.write_all(format!("{now} {level} [{}({id})]: {line}\n", self.program).as_bytes());
        }
    }
}
