//! Owners, modes, ACLs and contexts on real files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use longshore_agent::install::permissions::Programs;
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

#[test]
fn the_mask_of_one_object_does_not_reach_the_next() {
    let host = Host::new();
    let mut release = host.release("one", &[("narrow", "x"), ("wide", "x"), ("none", "x")], &[("/", "app")]);
    for (name, mode) in [("narrow", 0o640), ("wide", 0o664), ("none", 0o600)] {
        fs::set_permissions(release.archive.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let entries = vec![acl(false, AclTag::User, "daemon", 7)];
    release.appspec.permissions = vec![Permission { acls: Some(entries), ..permission(&host.disk("app")) }];
    host.install(&release);
    let found = ["narrow", "none", "wide"].map(|name| effective(&host.disk("app").join(name)));
    assert_eq!(
        found,
        [
            "user::rw-,user:1:rwx,group::r--,mask::r--,other::---",
            "user::rw-,user:1:rwx,group::---,mask::---,other::---",
            "user::rw-,user:1:rwx,group::rw-,mask::rw-,other::r--",
        ]
    );
}

/// The ACL without what `getfacl` says of the mask's effect.
fn effective(path: &Path) -> String {
    getfacl(path).split(',').map(|entry| entry.split('\t').next().unwrap()).collect::<Vec<_>>().join(",")
}

#[test]
fn a_folder_that_stays_keeps_its_groups_permissions_when_its_mask_is_wider() {
    let host = Host::new();
    let mut release = host.release("one", &[("d/a", "x")], &[("/", "app")]);
    let entries = vec![acl(false, AclTag::User, "daemon", 7), acl(false, AclTag::Mask, "", 7)];
    release.appspec.permissions =
        vec![Permission { files: false, acls: Some(entries), ..permission(&host.disk("app")) }];
    for round in 0..3 {
        host.install(&release);
        let found = effective(&host.disk("app/d"));
        assert_eq!(found, "user::rwx,user:1:rwx,group::r-x,mask::rwx,other::r-x", "{round}");
    }
    // With a mode, that says what the group may do.
    release.appspec.permissions[0].mode = Some(0o700);
    host.install(&release);
    assert_eq!(effective(&host.disk("app/d")), "user::rwx,user:1:rwx,group::---,mask::rwx,other::---");
}

#[test]
fn a_new_folder_below_one_with_default_acls_gets_its_groups_permissions_from_its_own_acl() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    let set = Command::new("setfacl").args(["-m", "d:u:daemon:rwx,d:g::r-x,d:m::rwx"]).arg(host.disk("app")).status();
    assert!(set.unwrap().success());
    let mut release = host.release("one", &[("d/a", "x")], &[("/", "app")]);
    let entries = vec![acl(false, AclTag::User, "nobody", 7)];
    release.appspec.permissions =
        vec![Permission { files: false, acls: Some(entries), ..permission(&host.disk("app")) }];
    host.install(&release);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    let access = format!("user::rwx,user:{nobody}:rwx,group::r-x,mask::r-x,other::r-x");
    assert!(effective(&host.disk("app/d")).starts_with(&access), "{}", effective(&host.disk("app/d")));
}

#[test]
fn setuid_survives_a_change_of_owner_and_no_link_leads_a_mode_or_owner_out_of_the_release() {
    let host = Host::new();
    let outside = host.disk("outside");
    fs::write(&outside, "x").unwrap();
    let link = format!("leak -> {}", outside.display());
    let mut release = host.release("one", &[("tool", "x"), (&link, "")], &[("/", "app")]);
    release.appspec.permissions = vec![Permission {
        owner: Some("nobody".into()),
        group: Some("daemon".into()),
        mode: Some(0o4755),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 7)]),
        ..permission(&host.disk("app"))
    }];
    host.install(&release);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    assert_eq!((mode(&host.disk("app/tool")), owner(&host.disk("app/tool")).0), (0o4755, nobody));
    assert_eq!(
        (mode(&outside), owner(&outside), getfacl(&outside)),
        (0o644, (0, 0), "user::rw-,group::r--,other::r--".to_owned())
    );
    assert_eq!(owner(&host.disk("app/leak")).0, nobody);
}

#[test]
fn a_context_is_set_after_owner_mode_and_acl() {
    let host = Host::new();
    let (programs, log) = selinux(&host, "for last; do :; done; stat -c '%U %a' \"$last\" >> \"${0%/*}/seen\"");
    let mut release = host.release("one", &[("a", "x"), ("b", "x")], &[("/", "app")]);
    let context = |user: Option<&str>, range: Option<&str>| {
        Some(Context { user: user.map(str::to_owned), kind: "t".into(), range: range.map(str::to_owned) })
    };
    release.appspec.permissions = vec![
        Permission {
            owner: Some("nobody".into()),
            mode: Some(0o4750),
            context: context(Some("u"), Some("s0-s1:c0.c2")),
            ..permission(&host.disk("app/a"))
        },
        Permission {
            mode: Some(0o640),
            acls: Some(vec![acl(false, AclTag::User, "daemon", 7), acl(false, AclTag::Mask, "", 7)]),
            context: context(None, None),
            ..permission(&host.disk("app/b"))
        },
    ];
    let plan = plan_with(&host, &release, &programs).unwrap();
    host.execute_with(&release, &plan, &programs, &|_| {}).unwrap();
    // The mask shows where the group's permissions would.
    let seen = fs::read_to_string(host.dir.path().join("seen")).unwrap();
    assert_eq!(seen, "nobody 4750\nnobody 4750\nroot 670\nroot 670\n");
    let (a, b) = (host.disk("app/a"), host.disk("app/b"));
    let (a, b) = (a.display(), b.display());
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        format!(
            "semanage fcontext -a -s u -t t -r s0-s1:c0.c2 {a}\nrestorecon -v {a}\n\
             semanage fcontext -a -t t {b}\nrestorecon -v {b}\n"
        )
    );
}

#[test]
fn a_program_or_account_that_is_missing_is_found_before_anything_changes() {
    let host = Host::new();
    host.install(&host.release("one", &[("a", "1")], &[("/", "app")]));
    let mut two = host.release("two", &[("a", "2")], &[("/", "app")]);
    two.appspec.permissions = vec![Permission {
        owner: Some("no-such-user".into()),
        group: Some("no-such-group".into()),
        acls: Some(vec![acl(false, AclTag::User, "no-such-user", 7)]),
        context: Some(Context { user: None, kind: "t".into(), range: None }),
        ..permission(&host.disk("app/a"))
    }];
    let before = host.tree();
    let none = Programs { setfacl: None, getfacl: None, semanage: None, restorecon: None };
    let conflicts = plan_with(&host, &two, &none).unwrap_err();
    let of = format!("(permissions of `{}`)", host.disk("app/a").display());
    let expected = [
        "user `no-such-user` does not exist",
        "user `no-such-user` does not exist",
        "group `no-such-group` does not exist",
        "the program `setfacl` is not installed",
        "the program `semanage` is not installed",
    ]
    .map(|text| format!("{text} {of}"));
    assert_eq!(conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!(host.tree(), before);
}
