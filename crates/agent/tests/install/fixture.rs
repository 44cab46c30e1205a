//! A host in a temporary folder, releases for it, and what stands on it as text.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use longshore_agent::install::cleanup::Cleanup;
use longshore_agent::install::compat::Records;
use longshore_agent::install::conflict::Conflict;
use longshore_agent::install::execute::{InstallError, Installation, Installed, execute};
use longshore_agent::install::listing::Listing;
use longshore_agent::install::permissions::Programs;
use longshore_agent::install::plan::InstallPlan;
use longshore_agent::install::planner::plan;
use longshore_agent::install::request::Request;
use longshore_agent::install::snapshot::Snapshot;
use longshore_agent::install::step::Progress;
use longshore_core::appspec::{Acl, AclTag, AppSpec, FileExists, FileMapping, Os, Pattern, Permission, Source};
use longshore_core::bundle::BundlePath;
use tempfile::TempDir;

/// A host: destinations below `disk`, the agent's records, one archive for each release.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    pub(crate) records: Records,
}

/// A release on its way to the host.
pub(crate) struct Release {
    pub(crate) archive: PathBuf,
    pub(crate) appspec: AppSpec,
    pub(crate) file_exists: FileExists,
}

impl Host {
    pub(crate) fn new() -> Host {
        assert!(nix::unistd::geteuid().is_root(), "these tests set owners and mount file systems: run them as root");
        let dir = tempfile::tempdir().unwrap();
        for folder in ["disk", "deployment-instructions"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let records = Records { dir: dir.path().join("deployment-instructions"), group: "shop".parse().unwrap() };
        Host { dir, records }
    }

    pub(crate) fn disk(&self, path: &str) -> PathBuf {
        self.dir.path().join("disk").join(path)
    }

    /// A release whose archive has these files; `a -> b` is a link, `a/` a folder, and each mapping goes below `disk`.
    pub(crate) fn release(&self, name: &str, archive: &[(&str, &str)], files: &[(&str, &str)]) -> Release {
        let root = self.dir.path().join(name).join("deployment-archive");
        fs::create_dir_all(&root).unwrap();
        for (path, text) in archive {
            if let Some((path, target)) = path.split_once(" -> ") {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                symlink(target, root.join(path)).unwrap();
            } else if path.ends_with('/') {
                fs::create_dir_all(root.join(path)).unwrap();
            } else {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                fs::write(root.join(path), text).unwrap();
            }
        }
        let files = files.iter().map(|(source, destination)| FileMapping {
            source: BundlePath::normalized(source).map_or(Source::Whole, Source::Path),
            destination: self.disk(destination).to_str().unwrap().to_owned(),
            span: 0..0,
        });
        let appspec = AppSpec {
            os: Os::Linux,
            files: files.collect(),
            file_exists: None,
            permissions: Vec::new(),
            hooks: indexmap::IndexMap::new(),
        };
        Release { archive: root, appspec, file_exists: FileExists::Disallow }
    }

    pub(crate) fn plan(&self, release: &Release) -> Result<InstallPlan, Vec<Conflict>> {
        let listing = Listing::read(&release.archive).unwrap();
        let previous = self.records.cleanup().unwrap();
        let request = Request {
            appspec: &release.appspec,
            listing: &listing,
            previous: &previous,
            file_exists: release.file_exists,
        };
        plan(&request, &Snapshot::take(&request).unwrap())
    }

    pub(crate) fn execute(&self, release: &Release, plan: &InstallPlan) -> Result<Installed, InstallError> {
        self.execute_with(release, plan, &programs(), &|_| {})
    }

    pub(crate) fn execute_with(
        &self,
        release: &Release,
        plan: &InstallPlan,
        programs: &Programs,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Installed, InstallError> {
        execute(&self.installation(release, plan, programs), &|_| Ok(()), progress)
    }

    pub(crate) fn installation<'a>(
        &'a self,
        release: &'a Release,
        plan: &'a InstallPlan,
        programs: &'a Programs,
    ) -> Installation<'a> {
        Installation {
            plan,
            archive: &release.archive,
            deployment_root: release.archive.parent().unwrap(),
            records: &self.records,
            programs,
        }
    }

    pub(crate) fn install(&self, release: &Release) -> Installed {
        let plan = self.plan(release).unwrap();
        let installed = self.execute(release, &plan).unwrap();
        assert!(installed.left.is_empty(), "{installed:?}");
        installed
    }

    /// Everything below `disk` and the records: of each path its mode, owner, kind, number of names, time and contents, and
    /// the ACLs of all. Folders and records have no time: a failed attempt shows there, and nowhere else.
    pub(crate) fn tree(&self) -> String {
        let mut lines = Vec::new();
        for folder in ["disk", "deployment-instructions"] {
            dump(self.dir.path(), &self.dir.path().join(folder), &mut lines);
        }
        lines.sort();
        let mut getfacl = Command::new("getfacl");
        getfacl.args(["-R", "-P", "-n", "disk", "deployment-instructions"]).current_dir(self.dir.path());
        let output = getfacl.output().expect("these tests need `acl`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut acls: Vec<String> =
            String::from_utf8(output.stdout).unwrap().split("\n\n").map(|acl| acl.replace('\n', ",")).collect();
        acls.sort();
        lines.extend(acls);
        lines.join("\n")
    }

    /// Paths below `disk`, folders with a slash, links with their target, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.disk(""), "", &mut names);
        names.sort();
        names
    }

    pub(crate) fn cleanup(&self) -> Vec<String> {
        let paths = self.records.cleanup().unwrap().paths;
        let disk = self.disk("");
        paths.iter().map(|path| path.strip_prefix(&disk).unwrap().to_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn programs() -> Programs {
    let programs = Programs::find(std::env::var_os("PATH").as_deref());
    assert_eq!(programs.missing_for_acl(), None, "these tests need the package `acl`");
    programs
}

fn dump(root: &Path, path: &Path, lines: &mut Vec<String>) {
    let metadata = path.symlink_metadata().unwrap();
    let time = || format!("time {}.{:09} links {}", metadata.mtime(), metadata.mtime_nsec(), metadata.nlink());
    let is_record = path.parent().is_some_and(|folder| folder.ends_with("deployment-instructions"));
    let what = if metadata.is_symlink() {
        format!("-> {:?} {}", fs::read_link(path).unwrap(), time())
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            dump(root, &entry.unwrap().path(), lines);
        }
        "folder".to_owned()
    } else if metadata.file_type().is_fifo() {
        "pipe".to_owned()
    } else {
        let bytes = fs::read(path).unwrap();
        let time = if is_record { String::new() } else { time() };
        format!("{time} {:?}", std::ffi::OsStr::from_bytes(&bytes))
    };
    let name = path.strip_prefix(root).unwrap();
    lines.push(format!("{name:?} {:o} {}:{} {what}", metadata.mode(), metadata.uid(), metadata.gid()));
}

fn list(folder: &Path, below: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_symlink() {
            names.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
        } else if metadata.is_dir() {
            list(&path, &format!("{name}/"), names);
            names.push(name + "/");
        } else {
            names.push(name);
        }
    }
}

pub(crate) fn getfacl(path: &Path) -> String {
    let output = Command::new("getfacl").args(["-cpn", "--"]).arg(path).output().expect("these tests need `acl`");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().replace('\n', ",")
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

pub(crate) fn owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().unwrap();
    (metadata.uid(), metadata.gid())
}

pub(crate) fn permission(object: &Path) -> Permission {
    Permission {
        object: object.to_str().unwrap().to_owned(),
        pattern: Pattern("**".to_owned()),
        except: Vec::new(),
        files: true,
        directories: true,
        owner: None,
        group: None,
        mode: None,
        acls: None,
        context: None,
        span: 0..0,
    }
}

pub(crate) fn acl(default: bool, tag: AclTag, name: &str, permissions: u8) -> Acl {
    Acl { default, tag, name: name.into(), permissions }
}

/// The error and its causes, as a person sees them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

/// Stand-ins for the SELinux tools, which no test machine can be expected to have: they write down how they were called.
pub(crate) fn selinux(host: &Host, end: &str) -> (Programs, PathBuf) {
    let log = host.dir.path().join("selinux.log");
    let program = |name: &str| {
        let path = host.dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{end}\n", log.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Some(path)
    };
    (Programs { semanage: program("semanage"), restorecon: program("restorecon"), ..programs() }, log)
}

pub(crate) fn plan_with(host: &Host, release: &Release, programs: &Programs) -> Result<InstallPlan, Vec<Conflict>> {
    let listing = Listing::read(&release.archive).unwrap();
    let previous: Cleanup = host.records.cleanup().unwrap();
    let file_exists = release.file_exists;
    let request = Request { appspec: &release.appspec, listing: &listing, previous: &previous, file_exists };
    let snapshot = Snapshot { programs: programs.clone(), ..Snapshot::take(&request).unwrap() };
    plan(&request, &snapshot)
}

/// Two releases that differ in every way a path can, for failures in the middle of the change from one to the other.
pub(crate) fn two_releases(host: &Host) -> (Release, Release) {
    let one: &[(&str, &str)] = &[
        ("same", "1"),
        ("gone", "1"),
        ("old/x", "1"),
        ("becomes-folder", "1"),
        ("becomes-file/x", "1"),
        ("link -> same", ""),
        ("kept/x", "1"),
    ];
    let two: &[(&str, &str)] = &[
        ("same", "2"),
        ("new", "2"),
        ("fresh/deep/x", "2"),
        ("becomes-folder/x", "2"),
        ("becomes-file", "2"),
        ("link -> new", ""),
        ("kept/x", "2"),
        ("kept/y", "2"),
    ];
    (host.release("one", one, &[("/", "app")]), host.release("two", two, &[("/", "app")]))
}

/// A small file system below `disk`, gone with the value.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(path: PathBuf, options: &str) -> Mount {
        fs::create_dir_all(&path).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status().unwrap();
        assert!(status.success(), "these tests mount a tmpfs: run them with the right to do so");
        Mount(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status().unwrap();
        assert!(status.success() || thread::panicking());
    }
}

/// A file or folder that nobody can change, until the value goes.
pub(crate) struct Immutable(PathBuf);

impl Immutable {
    pub(crate) fn new(path: &Path) -> Immutable {
        let status = Command::new("chattr").arg("+i").arg(path).status().unwrap();
        assert!(
            status.success(),
            "these tests make files immutable: the temporary folder must be on ext4, xfs or btrfs"
        );
        Immutable(path.to_owned())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let status = Command::new("chattr").arg("-i").arg(&self.0).status().unwrap();
        assert!(status.success() || thread::panicking());
    }
}

/// A stand-in for a program that does what it does, but fails when it is called for the `nth` time.
pub(crate) fn failing_at(host: &Host, program: &Path, nth: usize) -> PathBuf {
    let name = program.file_name().unwrap().to_str().unwrap();
    let count = host.dir.path().join(format!("{name}.count"));
    fs::write(&count, "0").unwrap();
    let path = host.dir.path().join(format!("failing-{name}"));
    let text = format!(
        "#!/bin/sh\nn=$(($(cat {count}) + 1))\necho $n > {count}\n\
         [ $n != {nth} ] || {{ echo no >&2; exit 1; }}\nexec {program} \"$@\"\n",
        count = count.display(),
        program = program.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// How often a program of [`failing_at`] was called.
pub(crate) fn calls(host: &Host, name: &str) -> usize {
    fs::read_to_string(host.dir.path().join(format!("{name}.count"))).unwrap().trim().parse().unwrap()
}
