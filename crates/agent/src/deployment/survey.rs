//! Reads what `plan` shows beside its plan: what stands where files will go, who else works on the group, how much room
//! there is. Reads only, and takes no lock.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_core::bundle::{Bundle, BundlePath, Format};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{DeploymentId, GroupId};
use nix::unistd::{Gid, Group, Uid, User};

use super::journal::{self, Line, Step};
use super::order::Order;
use super::plan::{Action, Plan};
use super::preview::{FileSystem, Host, Standing, Underway, What};
use crate::history;
use crate::hook::watch;
use crate::install::plan::{CopyAction, InstallPlan};
use crate::install::snapshot::FreeSpace;
use crate::layout::Layout;
use crate::lock::Lock;

/// Looks at everything that a plan touches.
pub fn survey(layout: &Layout, order: &Order, plan: &Plan, bundle: &Bundle) -> Result<Host, Failure> {
    let mut look = Look::default();
    let mut host = Host { underway: underway(layout, &order.group.id)?, ..Host::default() };
    let mut needs = Needs::default();
    for planned in &plan.events {
        match &planned.action {
            Action::Install { plan: Some(install) } => {
                look.at_install(install, &mut host.standing).map_err(failed)?;
                for copy in install.copies.iter().filter(|copy| copy.action != CopyAction::Retain) {
                    needs
                        .file(copy.place.parent().unwrap_or(&copy.place), copy.size, Purpose::Install)
                        .map_err(failed)?;
                }
            }
            Action::Hooks { hooks, .. } => {
                for hook in hooks {
                    let installed = plan.installed.as_ref().and_then(|release| digest(&release.archive, &hook.path));
                    host.scripts.extend(installed.map(|digest| (hook.path.clone(), digest)));
                }
            }
            Action::Install { plan: None } | Action::Nothing { .. } | Action::Download { .. } => {}
        }
    }
    // The archive and what it unpacks to, both kept below the root.
    if bundle.format != Format::Directory {
        let size = fs::metadata(&bundle.path).map_err(|source| failed(cannot_look(&bundle.path, source)))?.len();
        needs.file(layout.root(), size, Purpose::Unpack).map_err(failed)?;
    }
    for entry in &bundle.entries {
        needs.file(layout.root(), entry.size, Purpose::Unpack).map_err(failed)?;
    }
    host.file_systems = needs.systems.into_values().collect();
    Ok(host)
}

fn digest(archive: &Path, script: &BundlePath) -> Option<Sha256> {
    // One that is not there is new in the other revision.
    Sha256::of_reader(File::open(script.under(archive)).ok()?).ok().map(|(digest, _)| digest)
}

/// Deployments of the group that are not over.
fn underway(layout: &Layout, group: &GroupId) -> Result<Vec<Underway>, Failure> {
    let mut found = Vec::new();
    let holder = Lock::holder(layout, group);
    for (id, path) in history::journals(layout, group).map_err(failed)? {
        let lines = journal::read(&path).map_err(failed)?;
        let is_held = holder.as_ref().is_some_and(|holder| holder.ends_with(&format!("deployment {id}")));
        if !is_held && !lines.is_empty() && journal::outcome(&lines).is_none() {
            found.push(left_behind(layout, group, id, &lines)?);
        }
    }
    found.splice(0..0, holder.map(|holder| Underway::Deployment { holder }));
    Ok(found)
}

/// What is left of a deployment whose agent is gone.
fn left_behind(
    layout: &Layout,
    group: &GroupId,
    deployment: DeploymentId,
    lines: &[Line],
) -> Result<Underway, Failure> {
    let folder = layout.deployment(group, &deployment);
    let mut during = None;
    for line in lines {
        match &line.entry {
            journal::Entry::Planned { event, steps } => {
                during = Some(event.clone());
                for step in steps {
                    let Step::RunHook { location, number, .. } = step else { continue };
                    if watch::is_running(&folder.hook(*number)).map_err(failed)? {
                        let (script, log) = (location.clone(), folder.scripts_log());
                        return Ok(Underway::Script { deployment, script, log });
                    }
                }
            }
            journal::Entry::Started { event, .. }
            | journal::Entry::Finished { event, .. }
            | journal::Entry::Failed { event, .. } => {
                during = Some(event.clone());
            }
            journal::Entry::Opened { .. }
            | journal::Entry::Resumed { .. }
            | journal::Entry::Asked { .. }
            | journal::Entry::Prepared { .. }
            | journal::Entry::Installing { .. }
            | journal::Entry::Restoring { .. }
            | journal::Entry::Closed { .. } => {}
        }
    }
    Ok(Underway::Unfinished { deployment, during })
}

/// What could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at `{path}`")]
struct CannotLook {
    path: PathBuf,
    source: io::Error,
}

fn cannot_look(path: &Path, source: io::Error) -> CannotLook {
    CannotLook { path: path.to_owned(), source }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// Looks at places, and remembers the names of owners: thousands of files share a few.
#[derive(Default)]
struct Look {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Look {
    fn at_install(&mut self, install: &InstallPlan, found: &mut BTreeMap<PathBuf, Standing>) -> Result<(), CannotLook> {
        for copy in &install.copies {
            // What is left as it is need not be compared.
            let compared = (copy.action != CopyAction::Retain).then_some(copy.size);
            found.extend(self.at(&copy.place, compared)?.map(|standing| (copy.place.clone(), standing)));
        }
        let folders = install.directories.iter().map(|directory| &directory.place);
        for place in folders.chain(install.removals.iter().map(|removal| &removal.place)) {
            found.extend(self.at(place, None)?.map(|standing| (place.clone(), standing)));
        }
        Ok(())
    }

    /// What stands at a place; a file of the size `compared` is read.
    fn at(&mut self, place: &Path, compared: Option<u64>) -> Result<Option<Standing>, CannotLook> {
        let failed = |source| cannot_look(place, source);
        let metadata = match fs::symlink_metadata(place) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(failed(source)),
        };
        let what = if metadata.is_dir() {
            What::Directory
        } else if metadata.is_symlink() {
            What::Link { target: fs::read_link(place).map_err(failed)?.to_string_lossy().into_owned() }
        } else if metadata.is_file() {
            let sha256 = match compared {
                Some(size) if size == metadata.len() => {
                    let file = File::open(place).map_err(failed)?;
                    Some(Sha256::of_reader(file).map_err(failed)?.0)
                }
                Some(_) | None => None,
            };
            What::File { size: metadata.len(), sha256 }
        } else {
            What::Special
        };
        let (owner, group) = self.names(&metadata);
        Ok(Some(Standing { what, mode: metadata.mode() & 0o7777, owner, group }))
    }

    fn names(&mut self, metadata: &Metadata) -> (String, String) {
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let user = self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map_or_else(|| uid.to_string(), |user| user.name)
        });
        let group = self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map_or_else(|| gid.to_string(), |group| group.name)
        });
        (user.clone(), group.clone())
    }
}

/// What a file is written for.
#[derive(Clone, Copy)]
enum Purpose {
    /// It is kept below the root.
    Unpack,
    /// It is installed.
    Install,
}

/// What is written to which file system.
#[derive(Default)]
struct Needs {
    devices: HashMap<PathBuf, u64>,
    systems: BTreeMap<u64, FileSystem>,
}

impl Needs {
    /// Adds a file in a folder that may not be there yet.
    fn file(&mut self, folder: &Path, size: u64, purpose: Purpose) -> Result<(), CannotLook> {
        let device = match self.devices.get(folder) {
            Some(device) => *device,
            None => {
                let device = self.device(folder)?;
                self.devices.insert(folder.to_owned(), device);
                device
            }
        };
        if let Some(system) = self.systems.get_mut(&device) {
            let needed = match purpose {
                Purpose::Unpack => &mut system.unpacked,
                Purpose::Install => &mut system.installed,
            };
            let block = system.free.block;
            *needed = needed.saturating_add(size.div_ceil(block).saturating_mul(block));
        }
        Ok(())
    }

    fn device(&mut self, folder: &Path) -> Result<u64, CannotLook> {
        let standing = folder.ancestors().find_map(|folder| Some((folder, fs::metadata(folder).ok()?)));
        let (nearest, metadata) = standing.ok_or_else(|| cannot_look(folder, io::ErrorKind::NotFound.into()))?;
        let device = metadata.dev();
        if let Entry::Vacant(entry) = self.systems.entry(device) {
            let free = FreeSpace::around(nearest).map_err(|source| cannot_look(nearest, source))?;
            let is_on_it = |folder: &&Path| fs::metadata(folder).is_ok_and(|metadata| metadata.dev() == device);
            let top = nearest.ancestors().take_while(is_on_it).last().unwrap_or(nearest);
            entry.insert(FileSystem { folder: top.to_owned(), free, unpacked: 0, installed: 0 });
        }
        Ok(device)
    }
}
