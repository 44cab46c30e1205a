//! Installs real files into real folders. Runs as root, because owners are part of what is tested.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use longshore_agent::install::cleanup::Cleanup;
use longshore_agent::install::compat::Records;
use longshore_agent::install::conflict::Conflict;
use longshore_agent::install::execute::{InstallError, Installation, Installed, Recovered, execute, recover};
use longshore_agent::install::listing::Listing;
use longshore_agent::install::permissions::Programs;
use longshore_agent::install::plan::InstallPlan;
use longshore_agent::install::planner::plan;
use longshore_agent::install::request::Request;
use longshore_agent::install::snapshot::Snapshot;
use longshore_agent::install::step::Progress;
use longshore_agent::install::transaction::{Phase, Transaction};
use longshore_core::appspec::{
    Acl, AclTag, AppSpec, Context, FileExists, FileMapping, Os, Pattern, Permission, Source,
};
use longshore_core::bundle::BundlePath;
use tempfile::TempDir;

/// A host: destinations below `disk`, the agent's records, one archive for each release.
struct Host {
    dir: TempDir,
    records: Records,
}

/// A release on its way to the host.
struct Release {
    archive: PathBuf,
    appspec: AppSpec,
    file_exists: FileExists,
}

impl Host {
    fn new() -> Host {
        assert!(nix::unistd::geteuid().is_root(), "these tests set owners and mount file systems: run them as root");
        let dir = tempfile::tempdir().unwrap();
        for folder in ["disk", "deployment-instructions"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let records = Records { dir: dir.path().join("deployment-instructions"), group: "shop".parse().unwrap() };
        Host { dir, records }
    }

    fn disk(&self, path: &str) -> PathBuf {
        self.dir.path().join("disk").join(path)
    }

    /// A release whose archive has these files; `a -> b` is a link, `a/` a folder, and each mapping goes below `disk`.
    fn release(&self, name: &str, archive: &[(&str, &str)], files: &[(&str, &str)]) -> Release {
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

    fn plan(&self, release: &Release) -> Result<InstallPlan, Vec<Conflict>> {
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

    fn execute(&self, release: &Release, plan: &InstallPlan) -> Result<Installed, InstallError> {
        self.execute_with(release, plan, &programs(), &|_| {})
    }

    fn execute_with(
        &self,
        release: &Release,
        plan: &InstallPlan,
        programs: &Programs,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Installed, InstallError> {
        execute(&self.installation(release, plan, programs), &|_| Ok(()), progress)
    }

    fn installation<'a>(
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

    fn install(&self, release: &Release) -> Installed {
        let plan = self.plan(release).unwrap();
        let installed = self.execute(release, &plan).unwrap();
        assert!(installed.left.is_empty(), "{installed:?}");
        installed
    }

    /// Everything below `disk` and the records, one line each: kind, mode, owner, ACL, time, contents.
    fn tree(&self) -> String {
        let mut lines = Vec::new();
        for folder in ["disk", "deployment-instructions"] {
            dump(self.dir.path(), &self.dir.path().join(folder), &mut lines);
        }
        lines.sort();
        lines.join("\n")
    }

    /// Paths below `disk`, folders with a slash, links with their target, sorted.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.disk(""), "", &mut names);
        names.sort();
        names
    }

    fn cleanup(&self) -> Vec<String> {
        let paths = self.records.cleanup().unwrap().paths;
        let disk = self.disk("");
        paths.iter().map(|path| path.strip_prefix(&disk).unwrap().to_str().unwrap().to_owned()).collect()
    }
}

fn programs() -> Programs {
    let programs = Programs::find(std::env::var_os("PATH").as_deref());
    assert_eq!(programs.missing_for_acl(), None, "these tests need the package `acl`");
    programs
}

fn dump(root: &Path, path: &Path, lines: &mut Vec<String>) {
    let metadata = path.symlink_metadata().unwrap();
    let what = if metadata.is_symlink() {
        format!("-> {}", fs::read_link(path).unwrap().display())
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            dump(root, &entry.unwrap().path(), lines);
        }
        "folder".to_owned()
    } else if metadata.file_type().is_fifo() {
        "pipe".to_owned()
    } else {
        format!("{:?} links {} time {}", fs::read_to_string(path).unwrap(), metadata.nlink(), metadata.mtime())
    };
    let acl = if metadata.is_symlink() { String::new() } else { getfacl(path) };
    let name = path.strip_prefix(root).unwrap().display();
    lines.push(format!("{name} {:o} {}:{} {what} {acl}", metadata.mode(), metadata.uid(), metadata.gid()));
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

fn getfacl(path: &Path) -> String {
    let output = Command::new("getfacl").args(["-cpn", "--"]).arg(path).output().expect("these tests need `acl`");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().replace('\n', ",")
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().unwrap();
    (metadata.uid(), metadata.gid())
}

fn permission(object: &Path) -> Permission {
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

fn acl(default: bool, tag: AclTag, name: &str, permissions: u8) -> Acl {
    Acl { default, tag, name: name.into(), permissions }
}

/// The error and its causes, as a person sees them.
fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

#[test]
fn a_second_release_replaces_adds_and_removes() {
    let host = Host::new();
    let one = host.release(
        "one",
        &[("a", "one"), ("gone", "x"), ("old/deep/file", "x"), ("empty/", ""), ("link -> a", ""), (".env", "x")],
        &[("/", "app")],
    );
    let installed = host.install(&one);
    assert_eq!((installed.files, installed.bytes, installed.removed), (5, 6, 0));
    let names = [
        "app/",
        "app/.env",
        "app/a",
        "app/empty/",
        "app/gone",
        "app/link -> a",
        "app/old/",
        "app/old/deep/",
        "app/old/deep/file",
    ];
    assert_eq!(host.names(), names);
    assert_eq!(
        host.cleanup(),
        [
            "app",
            "app/empty",
            "app/old",
            "app/old/deep",
            "app/.env",
            "app/a",
            "app/gone",
            "app/link",
            "app/old/deep/file"
        ]
    );
    assert_eq!(mode(&host.disk("app")), 0o755);

    fs::write(host.disk("app/users-own"), "kept").unwrap();
    let two = host.release("two", &[("a", "two"), ("link -> b", ""), ("b", "new"), (".env", "x")], &[("/", "app")]);
    let installed = host.install(&two);
    assert_eq!((installed.files, installed.removed), (4, 5));
    assert_eq!(host.names(), ["app/", "app/.env", "app/a", "app/b", "app/link -> b", "app/users-own"]);
    assert_eq!(fs::read_to_string(host.disk("app/a")).unwrap(), "two");
    assert_eq!(host.cleanup(), ["app", "app/.env", "app/a", "app/b", "app/link"]);
    let root = two.archive.parent().unwrap().to_path_buf();
    assert_eq!(host.records.last_successful_install().unwrap(), Some(root));
}

#[test]
fn installing_the_same_release_again_changes_nothing_that_shows() {
    let host = Host::new();
    let release = host.release("one", &[("a", "one"), ("b/c", "x"), ("l -> a", "")], &[("/", "app")]);
    host.install(&release);
    // The list of instructions has no folders to make the second time; the rest is the same to the last byte.
    let install = host.records.dir.join("shop-install.json");
    fs::remove_file(&install).unwrap();
    let before = host.tree();
    host.install(&release);
    fs::remove_file(&install).unwrap();
    assert_eq!(host.tree(), before);
}

#[test]
fn mode_time_and_owner_come_from_the_archive_and_setuid_survives_a_change_of_owner() {
    let host = Host::new();
    let mut release = host.release("one", &[("bin/tool", "x"), ("theirs", "x"), ("l -> theirs", "")], &[("/", "app")]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (name, mode) in [("bin/tool", 0o4755), ("theirs", 0o640)] {
        let path = release.archive.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }
    std::os::unix::fs::chown(release.archive.join("theirs"), Some(1234), Some(4321)).unwrap();
    release.appspec.permissions = vec![
        Permission {
            owner: Some("nobody".into()),
            group: Some("daemon".into()),
            mode: Some(0o6755),
            ..permission(&host.disk("app/bin"))
        },
        Permission { owner: Some("4242".into()), mode: Some(0o777), ..permission(&host.disk("app/l")) },
    ];
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    host.install(&release);
    assert_eq!((mode(&host.disk("app/bin/tool")), owner(&host.disk("app/bin/tool"))), (0o6755, (nobody, daemon)));
    assert_eq!((mode(&host.disk("app/theirs")), owner(&host.disk("app/theirs"))), (0o640, (1234, 4321)));
    assert_eq!(owner(&host.disk("app/l")).0, 4242);
    assert_eq!(host.disk("app/theirs").metadata().unwrap().modified().unwrap(), time);
}

#[test]
fn a_conflict_names_every_file_and_leaves_the_host_as_it_was() {
    let host = Host::new();
    host.install(&host.release("one", &[("mine", "one"), ("old", "x")], &[("/", "app")]));
    for name in ["app/x", "app/y"] {
        fs::write(host.disk(name), "foreign").unwrap();
    }
    symlink("/nowhere", host.disk("app/z")).unwrap();
    let before = host.tree();
    let two = host.release("two", &[("mine", "two"), ("x", ""), ("y", ""), ("z", ""), ("new", "")], &[("/", "app")]);
    let conflicts: Vec<String> = host.plan(&two).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = ["app/x", "app/y", "app/z"].map(|name| {
        let path = host.disk(name);
        format!("`{}` exists and was not installed by this group's previous deployment", path.display())
    });
    assert_eq!(conflicts, expected);
    assert_eq!(host.tree(), before);
}

#[test]
fn overwrite_replaces_files_and_links_and_touches_nothing_behind_a_link() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    fs::write(host.disk("file"), "foreign").unwrap();
    fs::write(host.disk("app/a"), "foreign").unwrap();
    symlink(host.disk("file"), host.disk("app/b")).unwrap();
    symlink(host.disk("file"), host.disk("app/c")).unwrap();
    let mut release = host.release("one", &[("a", "new"), ("b", "new"), ("c -> a", "")], &[("/", "app")]);
    release.file_exists = FileExists::Overwrite;
    release.appspec.permissions =
        vec![Permission { mode: Some(0o600), owner: Some("nobody".into()), ..permission(&host.disk("app")) }];
    host.install(&release);
    assert_eq!(host.names(), ["app/", "app/a", "app/b", "app/c -> a", "file"]);
    assert_eq!(fs::read_to_string(host.disk("app/b")).unwrap(), "new");
    assert_eq!((fs::read_to_string(host.disk("file")).unwrap(), mode(&host.disk("file"))), ("foreign".into(), 0o644));
    assert_eq!(owner(&host.disk("file")), (0, 0));
    // As the AWS agent's record: the file is ours from now on, and goes with the next release.
    assert_eq!(host.cleanup(), ["app/a", "app/b", "app/c"]);
    host.install(&host.release("two", &[("other", "")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/other", "file"]);
}

#[test]
fn retain_leaves_the_file_and_never_counts_it_as_ours() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    fs::write(host.disk("app/config"), "users").unwrap();
    let mut release = host.release("one", &[("config", "ours"), ("a", "x")], &[("/", "app")]);
    release.file_exists = FileExists::Retain;
    release.appspec.permissions = vec![Permission { mode: Some(0o600), ..permission(&host.disk("app")) }];
    host.install(&release);
    host.install(&host.release("two", &[("b", "x")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/b", "app/config"]);
    assert_eq!(fs::read_to_string(host.disk("app/config")).unwrap(), "users");
    assert_eq!(mode(&host.disk("app/config")), 0o644);
}

#[test]
fn kinds_can_change_from_one_release_to_the_next() {
    let host = Host::new();
    let target = host.disk("data");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("x"), "not ours").unwrap();
    let link = format!("link -> {}", target.display());
    let one: &[(&str, &str)] = &[("file", "1"), ("folder/x", "1"), ("folder/sub/y", "1"), (&link, "")];
    let two: &[(&str, &str)] = &[("file/a/b", "2"), ("folder", "2"), ("link/x", "2")];
    host.install(&host.release("one", one, &[("/", "app")]));
    host.install(&host.release("two", two, &[("/", "app")]));
    let names = [
        "app/",
        "app/file/",
        "app/file/a/",
        "app/file/a/b",
        "app/folder",
        "app/link/",
        "app/link/x",
        "data/",
        "data/x",
    ];
    assert_eq!(host.names(), names);
    assert_eq!(fs::read_to_string(target.join("x")).unwrap(), "not ours");
    host.install(&host.release("three", one, &[("/", "app")]));
    let link = format!("app/link -> {}", target.display());
    let names = [
        "app/",
        "app/file",
        "app/folder/",
        "app/folder/sub/",
        "app/folder/sub/y",
        "app/folder/x",
        &link,
        "data/",
        "data/x",
    ];
    assert_eq!(host.names(), names);
}

#[test]
fn a_folder_that_users_put_something_in_stays_and_goes_once_it_is_empty() {
    let host = Host::new();
    host.install(&host.release("one", &[("logs/readme", "x"), ("a", "x")], &[("/", "app")]));
    fs::write(host.disk("app/logs/today.log"), "x").unwrap();
    let installed = host.install(&host.release("two", &[("a", "x")], &[("/", "app")]));
    assert_eq!(installed.remembered, [host.disk("app/logs")]);
    assert_eq!(host.names(), ["app/", "app/a", "app/logs/", "app/logs/today.log"]);
    fs::remove_file(host.disk("app/logs/today.log")).unwrap();
    host.install(&host.release("three", &[("a", "x")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/a"]);
    assert_eq!(host.cleanup(), ["app", "app/a"]);
}

#[test]
fn files_go_through_a_link_to_a_folder_and_are_removed_through_it() {
    let host = Host::new();
    fs::create_dir(host.disk("real")).unwrap();
    symlink("real", host.disk("www")).unwrap();
    host.install(&host.release("one", &[("a", "1"), ("b", "1")], &[("/", "www/html")]));
    assert_eq!(host.names(), ["real/", "real/html/", "real/html/a", "real/html/b", "www -> real"]);
    // The same files by their other name are still the same files.
    host.install(&host.release("two", &[("a", "2")], &[("/", "real/html")]));
    assert_eq!(host.names(), ["real/", "real/html/", "real/html/a", "www -> real"]);
    assert_eq!(fs::read_to_string(host.disk("real/html/a")).unwrap(), "2");
}

#[test]
fn a_record_of_the_aws_agent_is_obeyed_and_ours_is_one_that_it_obeys() {
    let host = Host::new();
    fs::create_dir_all(host.disk("app/sub")).unwrap();
    for name in ["app/a", "app/sub/old", "app/torn"] {
        fs::write(host.disk(name), "aws").unwrap();
    }
    let record = ["app", "app/sub", "app/sub/old", "app/a"].map(|name| format!("{}\n", host.disk(name).display()));
    let record = record.concat() + host.disk("app/torn").to_str().unwrap();
    fs::write(host.records.dir.join("shop-cleanup"), record).unwrap();
    fs::write(host.records.dir.join("shop-install.json"), "").unwrap();
    let mut release = host.release("one", &[("a", "ours"), ("b", "ours")], &[("/", "app")]);
    release.appspec.permissions = vec![Permission {
        owner: Some("nobody".into()),
        mode: Some(0o640),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 4)]),
        ..permission(&host.disk("app/b"))
    }];
    host.install(&release);
    assert_eq!(host.names(), ["app/", "app/a", "app/b", "app/torn"]);

    let text = |name: &str| fs::read_to_string(host.records.dir.join(name)).unwrap();
    let (app, archive) = (host.disk("app"), release.archive.clone());
    let (app, archive) = (app.display(), archive.display());
    assert_eq!(text("shop-cleanup"), format!("{app}\n{app}/a\n{app}/b\n"));
    assert_eq!(text("shop_last_successful_install"), format!("{}", release.archive.parent().unwrap().display()));
    assert_eq!(
        text("shop-install.json"),
        format!(
            "{{\"instructions\":[\
             {{\"type\":\"copy\",\"source\":\"{archive}/a\",\"destination\":\"{app}/a\"}},\
             {{\"type\":\"copy\",\"source\":\"{archive}/b\",\"destination\":\"{app}/b\"}},\
             {{\"type\":\"chown\",\"owner\":\"nobody\",\"group\":null,\"file\":\"{app}/b\"}},\
             {{\"type\":\"chmod\",\"mode\":\"640\",\"file\":\"{app}/b\"}},\
             {{\"type\":\"setfacl\",\"acl\":[\"user:daemon:r--\"],\"file\":\"{app}/b\"}}]}}"
        )
    );
    // What AWS's agent does with the record: from the last line to the first, unlink or rmdir.
    for line in text("shop-cleanup").lines().rev() {
        let path = Path::new(line);
        if path.is_dir() { drop(fs::remove_dir(path)) } else { fs::remove_file(path).unwrap() }
    }
    assert_eq!(host.names(), ["app/", "app/torn"]);
}

#[test]
fn acls_are_set_on_new_files_new_folders_and_folders_that_stay() {
    let host = Host::new();
    let files: &[(&str, &str)] = &[("a", "x"), ("d/b", "x"), ("d/c", "x")];
    let mut release = host.release("one", files, &[("/", "app")]);
    let entries = vec![acl(false, AclTag::User, "daemon", 6)];
    release.appspec.permissions = vec![
        Permission {
            directories: false,
            mode: Some(0o640),
            acls: Some(entries.clone()),
            ..permission(&host.disk("app"))
        },
        Permission {
            files: false,
            acls: Some([entries, vec![acl(true, AclTag::Group, "daemon", 5)]].concat()),
            ..permission(&host.disk("app"))
        },
    ];
    let folder = "user::rwx,user:1:rw-,group::r-x,mask::r-x,other::r-x,default:user::rwx,default:group::r-x,\
                  default:group:1:r-x,default:mask::r-x,default:other::r-x";
    // setfacl widens nothing: the mask is the group's, as the AWS agent sets it.
    for round in ["new", "kept"] {
        host.install(&release);
        for file in ["app/a", "app/d/b", "app/d/c"] {
            let found = getfacl(&host.disk(file)).replace("\t#effective:r--", "");
            assert_eq!(found, "user::rw-,user:1:rw-,group::r--,mask::r--,other::---", "{round} {file}");
        }
        assert_eq!(getfacl(&host.disk("app/d")).replace("\t#effective:r--", ""), folder, "{round}");
    }
}

#[test]
fn contexts_are_recorded_changed_and_forgotten() {
    let host = Host::new();
    let (programs, log) = selinux(&host, "exit 0");
    let context = |kind: &str| Some(Context { user: Some("u".into()), kind: kind.into(), range: None });
    let mut one = host.release("one", &[("a", "x")], &[("/", "app")]);
    one.appspec.permissions = vec![Permission { context: context("t1"), ..permission(&host.disk("app")) }];
    let install = |release: &Release| {
        let plan = plan_with(&host, release, &programs).unwrap();
        host.execute_with(release, &plan, &programs, &|_| {})
    };
    install(&one).unwrap();
    let app = host.disk("app");
    let app = app.display();
    let added = format!("semanage fcontext -a -s u -t t1 {app}/a\nrestorecon -v {app}/a\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), added);
    assert_eq!(host.records.cleanup().unwrap().contexts, [host.disk("app/a")]);

    // The second release fails at its own context: the policy gets back what the first one put there.
    let before = host.tree();
    fs::write(&log, "").unwrap();
    let (failing, _) = selinux(&host, "case $* in *t2*) echo no such type >&2; exit 1;; esac");
    let mut two = host.release("two", &[("a", "y")], &[("/", "app")]);
    two.appspec.permissions = vec![Permission { context: context("t2"), ..permission(&host.disk("app")) }];
    let plan = plan_with(&host, &two, &failing).unwrap();
    let error = host.execute_with(&two, &plan, &failing, &|_| {}).unwrap_err();
    let text = chain(&error);
    assert!(text.contains("nothing is changed") && text.ends_with("exit status: 1: no such type"), "{text}");
    assert_eq!(host.tree(), before);
    let expected = format!(
        "semanage fcontext -d {app}/a\nsemanage fcontext -a -s u -t t2 {app}/a\nsemanage fcontext -d {app}/a\n{added}"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), expected);

    fs::write(&log, "").unwrap();
    two.appspec.permissions.clear();
    install(&two).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("semanage fcontext -d {app}/a\n"));
    assert_eq!(host.records.cleanup().unwrap().contexts, [] as [PathBuf; 0]);
}

/// Stand-ins for the SELinux tools, which no test machine can be expected to have: they write down how they were called.
fn selinux(host: &Host, end: &str) -> (Programs, PathBuf) {
    let log = host.dir.path().join("selinux.log");
    let program = |name: &str| {
        let path = host.dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{end}\n", log.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Some(path)
    };
    (Programs { semanage: program("semanage"), restorecon: program("restorecon"), ..programs() }, log)
}

fn plan_with(host: &Host, release: &Release, programs: &Programs) -> Result<InstallPlan, Vec<Conflict>> {
    let listing = Listing::read(&release.archive).unwrap();
    let previous: Cleanup = host.records.cleanup().unwrap();
    let file_exists = release.file_exists;
    let request = Request { appspec: &release.appspec, listing: &listing, previous: &previous, file_exists };
    let snapshot = Snapshot { programs: programs.clone(), ..Snapshot::take(&request).unwrap() };
    plan(&request, &snapshot)
}

/// A small file system below `disk`, gone with the value.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, options: &str) -> Mount {
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

#[test]
fn files_that_do_not_fit_are_refused_before_anything_happens() {
    let host = Host::new();
    let _mount = Mount::new(host.disk("small"), "size=64k,mode=755");
    let release = host.release("one", &[("big", &"x".repeat(100_000))], &[("/", "small")]);
    let before = host.tree();
    let conflicts = host.plan(&release).unwrap_err();
    let small = host.disk("small");
    let expected =
        format!("not enough space around `{}`: 102400 bytes in 1 files needed, 65536 bytes and ", small.display());
    assert!(conflicts.len() == 1 && conflicts[0].to_string().starts_with(&expected), "{conflicts:?}");
    assert_eq!(host.tree(), before);
}

#[test]
fn a_disk_that_gets_full_while_staging_leaves_the_host_as_it_was() {
    let host = Host::new();
    let _mount = Mount::new(host.disk("small"), "size=256k,mode=755");
    let filler = "x".repeat(20_000);
    let old: Vec<(String, &str)> = (0..4).map(|n| (format!("f{n}"), "old")).collect();
    let old: Vec<(&str, &str)> = old.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    host.install(&host.release("one", &[&old[..], &[("gone", "x")]].concat(), &[("/", "small/app")]));
    let new: Vec<(String, &str)> = (0..8).map(|n| (format!("f{n}"), filler.as_str())).collect();
    let new: Vec<(&str, &str)> = new.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let two = host.release("two", &[&new[..], &[("fresh/x", "x")]].concat(), &[("/", "small/app")]);
    let plan = host.plan(&two).unwrap();
    fs::write(host.disk("small/filler"), vec![b'x'; 120_000]).unwrap();
    let before = host.tree();
    let error = host.execute(&two, &plan).unwrap_err();
    assert!(
        matches!(&error, InstallError::Undone { source } if source.source.kind() == std::io::ErrorKind::StorageFull)
    );
    let text = chain(&error);
    let expected = "cannot install the files; everything was put back and nothing is changed: cannot write `";
    assert!(text.starts_with(expected) && text.contains("small/app/f"), "{text}");
    assert_eq!(host.tree(), before);
}

/// Two releases that differ in every way a path can, for failures in the middle of the change from one to the other.
fn two_releases(host: &Host) -> (Release, Release) {
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

#[test]
fn records_that_cannot_be_read_stop_it_before_the_first_change() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    let pointer = host.records.dir.join("shop_last_successful_install");
    fs::remove_file(&pointer).unwrap();
    fs::create_dir(&pointer).unwrap();
    let before = host.tree();
    let error = host.execute(&two, &plan).unwrap_err();
    assert!(matches!(error, InstallError::Begin { .. }), "{error:?}");
    assert_eq!(host.tree(), before);
}

#[test]
fn a_failure_at_the_very_end_puts_back_files_modes_owners_acls_and_records() {
    let host = Host::new();
    let (one, mut two) = two_releases(&host);
    host.install(&one);
    let status = Command::new("setfacl").args(["-m", "u:daemon:rwx"]).arg(host.disk("app/kept")).status().unwrap();
    assert!(status.success());
    std::os::unix::fs::chown(host.disk("app/kept"), Some(77), Some(78)).unwrap();
    let (programs, _) = selinux(&host, "exit 3");
    two.appspec.permissions = vec![
        Permission {
            files: false,
            pattern: Pattern("kept".into()),
            owner: Some("nobody".into()),
            mode: Some(0o2770),
            acls: Some(vec![acl(true, AclTag::User, "nobody", 7)]),
            ..permission(&host.disk("app"))
        },
        Permission {
            context: Some(Context { user: None, kind: "t".into(), range: None }),
            ..permission(&host.disk("app/new"))
        },
    ];
    let plan = plan_with(&host, &two, &programs).unwrap();
    let before = host.tree();
    let error = host.execute_with(&two, &plan, &programs, &|_| {}).unwrap_err();
    assert!(matches!(error, InstallError::Undone { .. }), "{}", chain(&error));
    assert_eq!(host.tree(), before);
    // And the same plan goes through once nothing is in the way.
    let (programs, _) = selinux(&host, "exit 0");
    host.execute_with(&two, &plan, &programs, &|_| {}).unwrap();
    let names = [
        "app/",
        "app/becomes-file",
        "app/becomes-folder/",
        "app/becomes-folder/x",
        "app/fresh/",
        "app/fresh/deep/",
        "app/fresh/deep/x",
        "app/kept/",
        "app/kept/x",
        "app/kept/y",
        "app/link -> new",
        "app/new",
        "app/same",
    ];
    assert_eq!(host.names(), names);
}

#[test]
fn what_cannot_be_put_back_is_named_and_not_deleted() {
    let host = Host::new();
    let (one, mut two) = two_releases(&host);
    host.install(&one);
    two.appspec.permissions = vec![Permission {
        context: Some(Context { user: None, kind: "t".into(), range: None }),
        ..permission(&host.disk("app/new"))
    }];
    // The application writes into a new folder before the installation fails.
    let foreign = host.disk("app/fresh/foreign");
    let (programs, _) = selinux(&host, &format!("echo data > {}; exit 3", foreign.display()));
    let plan = plan_with(&host, &two, &programs).unwrap();
    let error = host.execute_with(&two, &plan, &programs, &|_| {}).unwrap_err();
    let text = chain(&error);
    assert!(
        text.starts_with("cannot install the files, and not everything could be put back: cannot put back `"),
        "{text}"
    );
    let names = host.names();
    let kept: Vec<&String> = names.iter().filter(|name| name.contains("longshore")).collect();
    assert_eq!(kept.len(), 2, "{names:?}");
    assert!(kept[1].ends_with("/foreign") && text.contains(kept[0].trim_end_matches('/')), "{kept:?} {text}");
}

#[test]
fn a_journal_that_fails_stops_the_installation_wherever_it_is() {
    for fail_at in [Phase::Staging, Phase::Swapping, Phase::Adjusting, Phase::Committing] {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let before = host.tree();
        let journal = |transaction: &Transaction| {
            if transaction.phase == fail_at { Err(std::io::Error::other("full")) } else { Ok(()) }
        };
        let programs = programs();
        let error = execute(&host.installation(&two, &plan, &programs), &journal, &|_| {}).unwrap_err();
        assert!(chain(&error).contains("nothing "), "{}", chain(&error));
        assert_eq!(host.tree(), before, "{fail_at:?}");
    }
}

#[test]
fn a_crash_at_any_phase_is_undone_or_completed_from_what_was_written_down() {
    for crash_at in [Phase::Staging, Phase::Swapping, Phase::Adjusting, Phase::Committing] {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let before = host.tree();
        let written = Mutex::new(String::new());
        let journal = |transaction: &Transaction| {
            *written.lock().unwrap() = serde_json::to_string(transaction).unwrap();
            if transaction.phase == crash_at {
                // Nothing of the installation runs after this, as after a crash.
                std::panic::resume_unwind(Box::new("crash"));
            }
            Ok(())
        };
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let run = std::panic::AssertUnwindSafe(|| execute(&installation, &journal, &|_| {}));
        assert!(std::panic::catch_unwind(run).is_err());
        let transaction: Transaction =
            serde_json::from_str(&written.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).unwrap();
        let recovered = recover(&installation, &transaction).unwrap();
        match recovered {
            Recovered::Undone => assert_eq!(host.tree(), before, "{crash_at:?}"),
            Recovered::Completed(installed) => {
                assert_eq!((crash_at, installed.files), (Phase::Committing, 8));
                let after = host.tree();
                assert!(!after.contains(".longshore-"), "{after}");
                // And once more, if it was interrupted itself.
                recover(&installation, &transaction).unwrap();
                assert_eq!(host.tree().lines().count(), after.lines().count());
            }
        }
    }
}

#[test]
fn a_file_that_comes_in_between_is_never_overwritten() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    // While the files are staged, somebody makes `new`.
    let late = host.disk("app/new");
    let made = Mutex::new(None);
    let before = host.tree();
    let error = host
        .execute_with(&two, &plan, &programs(), &|_| {
            made.lock().unwrap().get_or_insert_with(|| fs::write(&late, "late").unwrap());
        })
        .unwrap_err();
    let text = chain(&error);
    assert!(text.contains("cannot move into place `") && text.contains("app/new"), "{text}");
    assert_eq!(fs::read_to_string(&late).unwrap(), "late");
    fs::remove_file(&late).unwrap();
    assert_eq!(host.tree(), before);
    // And one that is there before the start stops it at once.
    fs::write(&late, "early").unwrap();
    let before = host.tree();
    let error = host.execute(&two, &plan).unwrap_err();
    assert!(matches!(&error, InstallError::Changed { path, what: "was created" } if path.ends_with("app/new")));
    assert_eq!(host.tree(), before);
}

#[test]
fn an_archive_that_is_not_what_was_planned_changes_nothing() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    let before = host.tree();
    for spoil in [
        |path: &Path| fs::write(path, "longer than planned").unwrap(),
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| symlink("/etc/passwd", path).unwrap(),
    ] {
        spoil(&two.archive.join("same"));
        let text = chain(&host.execute(&two, &plan).unwrap_err());
        assert!(text.contains("nothing is changed: cannot write `") && text.contains("app/same"), "{text}");
        assert_eq!(host.tree(), before);
    }
}

#[test]
fn who_reads_meanwhile_sees_a_whole_file_at_every_moment() {
    let host = Host::new();
    let text = |round: usize| format!("{round:060000}");
    let path = host.disk("app/file");
    host.install(&host.release("0", &[("file", &text(0))], &[("/", "app")]));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                let mut contents = String::new();
                File::open(&path).expect("the file is there").read_to_string(&mut contents).unwrap();
                *seen.entry(contents).or_default() += 1;
            }
            seen
        });
        for round in 1..20 {
            host.install(&host.release(&round.to_string(), &[("file", &text(round))], &[("/", "app")]));
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(!seen.is_empty());
        for contents in seen.keys() {
            assert_eq!(contents.len(), 60_000);
        }
    });
}

#[test]
fn progress_ends_at_everything() {
    let host = Host::new();
    let release = host.release("one", &[("a", "12"), ("b", "345"), ("c/d", "6"), ("l -> a", "")], &[("/", "app")]);
    let plan = host.plan(&release).unwrap();
    let seen = Mutex::new(Vec::new());
    host.execute_with(&release, &plan, &programs(), &|progress| seen.lock().unwrap().push(progress)).unwrap();
    let seen = seen.into_inner().unwrap();
    let most = seen.iter().max_by_key(|progress| progress.files_done).unwrap();
    assert_eq!((seen.len(), most.files_done, most.files_total, most.bytes_total), (4, 4, 4, 6));
    assert_eq!(seen.iter().map(|progress| progress.bytes_done).max(), Some(6));
}
