//! Finds and reads the files of the settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::host_status;
use longshore_core::problem::{Problem, SourceFile, Span, has_errors};
use longshore_core::signature::InvalidKey;

use super::file::{self, BAD_VALUE, Ours};
use super::merge::{self, Inputs};
use super::word::Key;
use super::{DEFAULT_PATH, Loaded};
use crate::config::{self, Config};

/// Anybody may write the file.
const WRITABLE: &str = "LS515";

/// The settings are wrong.
#[derive(Debug, thiserror::Error)]
#[error("the settings of the agent have errors")]
struct Wrong;

/// A file is there and cannot be read, or was asked for and is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the settings in `{path}`")]
struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

/// Reads the settings. `explicit` is the file that was asked for: ours, or AWS's when it ends in `.yml` or `.yaml`; without one
/// both are read where they usually stand, if they are there. `root` is the root that was asked for.
pub fn load(
    explicit: Option<&Path>,
    root: Option<&Path>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Loaded, Failure> {
    let is_aws = explicit.is_some_and(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml"));
    let mut problems = Vec::new();
    let ours = match (explicit, is_aws) {
        (Some(_), true) => None,
        (Some(path), false) => Some(asked_for(path)?),
        (None, _) => usual(Path::new(DEFAULT_PATH))?,
    };
    let ours = ours.unwrap_or_else(|| SourceFile::new(DEFAULT_PATH, ""));
    let (mut said, found) = file::parse(&ours);
    warn_if_writable(&ours, &mut problems);
    problems.extend(found);
    read_keys(&ours, &mut said, &mut problems);
    let aws = match (explicit, is_aws) {
        (Some(path), true) => Some(asked_for(path)?),
        (Some(_) | None, _) => aws(&ours, &said, &mut problems)?,
    };
    let (config, places) = match &aws {
        Some(source) => parse_aws(source, &mut problems),
        None => (Config::default(), BTreeMap::new()),
    };
    let aws = (aws.unwrap_or_else(|| SourceFile::new(config::DEFAULT_PATH, "")), config, places);
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host_status::host_name(&host.to_string_lossy());
    let root = match root {
        Some(root) => Some(std::path::absolute(root).map_err(|error| Failure::new(Exit::Usage, error))?),
        None => None,
    };
    let inputs = Inputs {
        root: root.as_deref(),
        environment,
        ours: (ours, said),
        aws,
        aws_asked: explicit.filter(|_| is_aws),
        host,
    };
    let (settings, origins, found) = merge::merge(&inputs);
    problems.extend(found);
    if has_errors(&problems) {
        return Err(Failure::new(Exit::Invalid, Wrong).with_problems(problems));
    }
    Ok(Loaded { settings, origins, problems })
}

/// AWS's file, where ours says that it stands or where its package puts it.
fn aws(ours: &Arc<SourceFile>, said: &Ours, problems: &mut Vec<Problem>) -> Result<Option<Arc<SourceFile>>, Failure> {
    let Some(given) = &said.codedeploy.config_file else {
        return usual(Path::new(config::DEFAULT_PATH));
    };
    match read(&given.value) {
        Ok(source) => Ok(Some(source)),
        Err(error) => {
            let message = format!("`{}` cannot be read: {error}", given.value.display());
            let problem = Problem::error(BAD_VALUE, ours, Some(given.span.clone()), message);
            problems.push(problem.at_path("codedeploy.config_file"));
            Ok(None)
        }
    }
}

/// Puts the key in the place of each file that holds one. Read once, so that nobody who exchanges the file later is believed
/// before the agent starts again.
fn read_keys(ours: &Arc<SourceFile>, said: &mut Ours, problems: &mut Vec<Problem>) {
    let Some(keys) = &mut said.signatures.public_keys else { return };
    for (index, key) in keys.value.iter_mut().enumerate() {
        let Key::File(path) = &key.value else { continue };
        let wrong = match fs::read_to_string(path).map(|text| text.parse()) {
            Ok(Ok(public)) => {
                key.value = Key::Text(public);
                continue;
            }
            Ok(Err(invalid)) => format!("`{}` {}", path.display(), InvalidKey::to_string(&invalid)),
            Err(error) => format!("`{}` cannot be read: {error}", path.display()),
        };
        let problem = Problem::error(BAD_VALUE, ours, Some(key.span.clone()), wrong);
        problems.push(problem.at_path(format!("signatures.public_keys[{index}]")));
    }
}

fn parse_aws(source: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> (Config, BTreeMap<String, Span>) {
    warn_if_writable(source, problems);
    let parsed = config::parse(source);
    problems.extend(parsed.problems);
    (parsed.config.unwrap_or_default(), parsed.places)
}

fn asked_for(path: &Path) -> Result<Arc<SourceFile>, Failure> {
    read(path).map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let failure = unreadable(path, error);
        if is_missing {
            failure.hint(format!(
                "name another file with `--config`; without it (and without `LONGSHORE_CONFIG`) `{DEFAULT_PATH}` is read"
            ))
        } else {
            failure
        }
    })
}

/// A file that need not be there.
fn usual(path: &Path) -> Result<Option<Arc<SourceFile>>, Failure> {
    match read(path) {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn read(path: &Path) -> io::Result<Arc<SourceFile>> {
    let bytes = fs::read(path)?;
    Ok(SourceFile::new(path.display().to_string(), String::from_utf8_lossy(&bytes)))
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    let exit = if source.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    let is_refused = source.kind() == io::ErrorKind::PermissionDenied;
    let failure = Failure::new(exit, Unreadable { path: path.to_owned(), source });
    if is_refused { failure.hint("the file is for root: type the command with `sudo`") } else { failure }
}

/// Who writes the settings of an agent that is root is root.
fn warn_if_writable(source: &Arc<SourceFile>, problems: &mut Vec<Problem>) {
    const OTHERS: u32 = 0o002;
    if fs::metadata(&source.name).is_ok_and(|metadata| metadata.mode() & OTHERS != 0) {
        let problem = Problem::warning(WRITABLE, source, None, "anybody on this host may write this file");
        problems.push(problem.with_fix(format!("chmod o-w {}", quoted(&source.name))));
    }
}
