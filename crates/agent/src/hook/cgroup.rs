//! A cgroup of a hook's own: made, looked into, ended, removed. Touches no cgroup that we did not make.
//!
//! It stands below the shim's own cgroup, in the unified hierarchy (v2) where that can be had, else in v1's `freezer` or
//! `pids`, which no service manager claims. It has no limits and needs no controller; it is only there to know who belongs
//! to a hook when parents, sessions and even the shim are gone.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::entry::entry;

/// How the names of our cgroups begin; the shim's process id and its start in the kernel's ticks follow.
const PREFIX: &str = "longshore-hook-";

/// One hook's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Makes one for the hook of this process, empty. Removes those of earlier hooks in which nothing runs any more.
    ///
    /// # Errors
    /// Why there is none: the host has no cgroups, or we may not make one.
    pub(super) fn create() -> io::Result<Cgroup> {
        let read = |path: &str| Ok::<_, io::Error>(String::from_utf8_lossy(&fs::read(path)?).into_owned());
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "no cgroup hierarchy is mounted");
        let own = std::process::id().cast_signed();
        let ticks = entry(own).map_or(0, |entry| entry.ticks);
        for parent in parents(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?) {
            sweep(&parent);
            let dir = parent.join(format!("{PREFIX}{own}-{ticks}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Cgroup { dir }),
                Err(error) => {
                    failed = io::Error::new(error.kind(), format!("cannot make `{}`: {error}", dir.display()));
                }
            }
        }
        Err(failed)
    }

    /// One that an earlier process made.
    pub(super) fn at(dir: PathBuf) -> Cgroup {
        Cgroup { dir }
    }

    /// Where it stands.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// For a process that is to be born in it.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        Ok(File::open(&self.dir)?.into())
    }

    /// Moves this process into it.
    pub(super) fn add(&self, pid: i32) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// The processes in it and in the cgroups that the hook made below it.
    pub(super) fn members(&self) -> Vec<i32> {
        let mut members = Vec::new();
        collect(&self.dir, &mut members);
        members
    }

    /// Kills everything in it. At once where the kernel offers that; else frozen first where that is possible, so that
    /// nothing is forked meanwhile.
    pub(super) fn kill(&self) {
        let set =
            |file: &str, value: &str| self.dir.join(file).exists() && fs::write(self.dir.join(file), value).is_ok();
        if set("cgroup.kill", "1") {
            return;
        }
        // v2 before Linux 5.14, v1.
        let is_frozen = set("cgroup.freeze", "1") || set("freezer.state", "FROZEN");
        for pid in self.members() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if is_frozen && !set("cgroup.freeze", "0") {
            set("freezer.state", "THAWED");
        }
    }

    /// Removes it. Fails as long as something runs in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove(&self.dir)
    }
}

fn collect(dir: &Path, members: &mut Vec<i32>) {
    // 0 is a process of another PID namespace, which we cannot name.
    let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    members.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for child in children(dir) {
        collect(&child, members);
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    for child in children(dir) {
        remove(&child)?;
    }
    fs::remove_dir(dir)
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Removes what hooks of dead shims left, where nothing runs any more. What a hook left running keeps its cgroup.
fn sweep(parent: &Path) {
    for dir in children(parent) {
        let is_dead = || {
            let (pid, ticks) = dir.file_name()?.to_str()?.strip_prefix(PREFIX)?.split_once('-')?;
            let (pid, ticks): (i32, u64) = (pid.parse().ok()?, ticks.parse().ok()?);
            // The shim of a hook that is about to start has made its cgroup and not filled it yet.
            Some(entry(pid).is_none_or(|entry| entry.ticks != ticks))
        };
        if is_dead() == Some(true) {
            let _ = remove(&dir);
        }
    }
}

/// The folders of a process's own cgroups, the preferred hierarchy first. `cgroups` and `mounts` are the contents of
/// `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn parents(cgroups: &str, mounts: &str) -> Vec<PathBuf> {
    [None, Some("freezer"), Some("pids")].into_iter().filter_map(|wanted| parent(wanted, cgroups, mounts)).collect()
}

fn parent(controller: Option<&str>, cgroups: &str, mounts: &str) -> Option<PathBuf> {
    let own = cgroups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_wanted = match controller {
            None => number == "0" && controllers.is_empty(),
            Some(wanted) => controllers.split(',').any(|name| name == wanted),
        };
        is_wanted.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let (kind, options) = (file_system.next()?, file_system.nth(1)?);
        let is_wanted = match controller {
            None => kind == "cgroup2",
            Some(wanted) => kind == "cgroup" && options.split(',').any(|name| name == wanted),
        };
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next().filter(|_| is_wanted)?, fields.next()?);
        // What lies outside of what is mounted here is out of reach.
        let below = Path::new(own).strip_prefix(root).ok()?;
        (!own.contains("/..") && !point.contains('\\')).then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_comes_first_and_paths_are_those_below_the_mount() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      31 23 0:27 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n\
                      32 23 0:28 / /sys/fs/cgroup/cpu,pids rw - cgroup cgroup rw,cpu,pids";
        let container = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw";
        let elsewhere = "30 23 0:26 /../other /sys/fs/cgroup ro - cgroup2 cgroup rw";
        for (cgroups, mounts, expected) in [
            ("0::/system.slice/a.service\n", v2, vec!["/sys/fs/cgroup/system.slice/a.service"]),
            (
                "4:cpu,pids:/x\n3:freezer:/\n1:name=systemd:/s\n0::/u\n",
                hybrid,
                vec!["/sys/fs/cgroup/unified/u", "/sys/fs/cgroup/freezer/", "/sys/fs/cgroup/cpu,pids/x"],
            ),
            ("0::/docker/1/in\n", container, vec!["/sys/fs/cgroup/in"]),
            ("0::/docker/2\n", container, vec![]),
            ("0::/\n", elsewhere, vec![]),
            ("0::/../x\n", v2, vec![]),
            ("1:name=systemd:/\n", hybrid, vec![]),
            ("", "", vec![]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(parents(cgroups, mounts), expected, "{cgroups}");
        }
    }
}
