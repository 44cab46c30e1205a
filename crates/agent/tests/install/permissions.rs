//! Owners, modes, ACLs and contexts on real files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use longshore_core::appspec::{AclTag, Context, Permission};

use super::fixture::{Host, Release, acl, chain, getfacl, mode, owner, permission, plan_with, selinux};

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
