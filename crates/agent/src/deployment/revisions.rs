//! Reads the revisions that a deployment concerns: the one in the bundle and the one that is installed. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_core::appspec::{self, AppSpec};
use longshore_core::bundle::{Bundle, BundlePath, EntryKind, OpenError};
use longshore_core::problem::{Problem, SourceFile};

use super::plan::{Revision, Script};
use crate::hook::fault::{self, HEAD};
use crate::release::Release;

/// An appspec larger than this is none.
const APPSPEC_LIMIT: u64 = 1 << 20;

/// A script of a bundle that is larger is not looked at.
const SCRIPT_LIMIT: u64 = 1 << 20;

/// Why the revision in a bundle cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// No appspec.
    #[error("the bundle has no {} at its top", match name {
        Some(name) => format!("`{name}`"),
        None => "`appspec.yml` or `appspec.yaml`".to_owned(),
    })]
    NoAppspec {
        /// The name it should have, when the order gives one.
        name: Option<BundlePath>,
    },
    /// The appspec could not be read from the bundle.
    #[error("cannot read the appspec of the bundle")]
    Read(#[source] OpenError),
    /// The appspec has errors.
    #[error("`{name}` has errors")]
    Invalid {
        /// The appspec's name.
        name: String,
        /// All of them, warnings included.
        problems: Vec<Problem>,
    },
}

/// The revision in a bundle, and the warnings about its appspec. `release.archive` is where it will stand unpacked.
pub fn of_bundle(
    bundle: &Bundle,
    release: Release,
    appspec_name: Option<&BundlePath>,
) -> Result<(Revision, Vec<Problem>), RevisionError> {
    let no_appspec = || RevisionError::NoAppspec { name: appspec_name.cloned() };
    let path = bundle.appspec(appspec_name.map(BundlePath::as_str)).ok_or_else(no_appspec)?;
    let bytes = bundle.read(&path, APPSPEC_LIMIT).map_err(RevisionError::Read)?.ok_or_else(no_appspec)?;
    let source = SourceFile::new(path.as_str(), String::from_utf8_lossy(&bytes));
    let parsed = appspec::parse(&source);
    let Some(appspec) = parsed.appspec else {
        return Err(RevisionError::Invalid { name: path.to_string(), problems: parsed.problems });
    };
    let mut scripts = BTreeMap::new();
    for hook in appspec.hooks.values().flatten() {
        let entry = bundle.entries.iter().find(|entry| entry.path == hook.script);
        let script = match entry.map(|entry| (&entry.kind, entry.mode)) {
            Some((EntryKind::File(_), mode)) => Script::File(mode),
            // What a link leads to is known when it is unpacked; a dangling one is found then.
            Some((EntryKind::Link(_), _)) => Script::File(0o777),
            Some((EntryKind::Directory, _)) => Script::Directory,
            None if is_behind_link(bundle, &hook.script) => Script::File(0o777),
            None => Script::Missing,
        };
        scripts.insert(hook.script.under(&release.archive), script);
    }
    Ok((Revision { release, appspec: Ok(appspec), scripts, faults: BTreeMap::new() }, parsed.problems))
}

/// Whether a folder above a path is a link of the bundle.
fn is_behind_link(bundle: &Bundle, path: &BundlePath) -> bool {
    let folders = std::iter::successors(path.parent(), BundlePath::parent);
    let links = |folder: &BundlePath| {
        bundle.entries.iter().any(|entry| entry.path == *folder && matches!(entry.kind, EntryKind::Link(_)))
    };
    folders.into_iter().any(|folder| links(&folder))
}

/// The revision that is installed. What cannot be read is for the plan to judge: nothing may need it.
///
/// Its appspec has the name under which it was installed. Where that is not known, `appspec_name` of the order counts, also
/// for this revision (as the AWS agent 1.8.1), and then the usual names.
pub fn of_installed(release: Release, appspec_name: Option<&BundlePath>) -> Revision {
    let appspec = read_appspec(&release.archive, release.appspec_name.as_ref().or(appspec_name));
    let mut scripts = BTreeMap::new();
    for hook in appspec.iter().flat_map(|appspec| appspec.hooks.values().flatten()) {
        let path = hook.script.under(&release.archive);
        let script = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Script::Directory,
            Ok(metadata) => Script::File(metadata.permissions().mode() & 0o7777),
            Err(_) => Script::Missing,
        };
        scripts.insert(path, script);
    }
    let mut revision = Revision { release, appspec, scripts, faults: BTreeMap::new() };
    find_faults_on_disk(&mut revision);
    revision
}

/// Looks for what is wrong with the scripts of a revision that stands unpacked.
pub fn find_faults_on_disk(revision: &mut Revision) {
    let archive = revision.release.archive.clone();
    find_faults(revision, &|script| {
        let mut head = Vec::new();
        let file = fs::File::open(script.under(&archive)).ok()?;
        file.take(HEAD as u64).read_to_end(&mut head).ok()?;
        Some(head)
    });
}

/// Looks for what is wrong with the scripts of a revision that is not unpacked. One that is too large to be text is not
/// looked at.
pub fn find_faults_in_bundle(revision: &mut Revision, bundle: &Bundle) {
    find_faults(revision, &|script| bundle.read(script, SCRIPT_LIMIT).ok().flatten());
}

fn find_faults(revision: &mut Revision, read: &dyn Fn(&BundlePath) -> Option<Vec<u8>>) {
    let path: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    for hook in revision.appspec.iter().flat_map(|appspec| appspec.hooks.values().flatten()) {
        let script = hook.script.under(&revision.release.archive);
        if revision.faults.contains_key(&script) {
            continue;
        }
        // What cannot be read is told when it is run.
        let Some(bytes) = read(&hook.script) else { continue };
        let head = &bytes[..bytes.len().min(HEAD)];
        if let Some(fault) = fault::find(&hook.location, head, &path, &Path::exists) {
            revision.faults.insert(script, fault);
        }
    }
}

/// Everybody whom these revisions name in `runas`.
pub fn users<'a>(revisions: impl IntoIterator<Item = &'a Revision>) -> BTreeSet<String> {
    revisions
        .into_iter()
        .flat_map(|revision| revision.appspec.iter())
        .flat_map(|appspec| appspec.hooks.values().flatten())
        .filter_map(|hook| hook.run_as.clone())
        .collect()
}

fn read_appspec(archive: &Path, name: Option<&BundlePath>) -> Result<AppSpec, String> {
    for name in name.map(BundlePath::as_str).into_iter().chain(appspec::NAMES) {
        let path: PathBuf = archive.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let source: Arc<SourceFile> = SourceFile::new(path.display().to_string(), String::from_utf8_lossy(&text));
        let parsed = appspec::parse(&source);
        return parsed.appspec.ok_or_else(|| {
            let first = parsed.problems.iter().find(|problem| problem.is_error());
            first.map_or_else(|| format!("{} has errors", path.display()), ToString::to_string)
        });
    }
    Err(format!("there is no appspec in {}", archive.display()))
}
