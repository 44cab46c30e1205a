//! Folders that stay while the next release says nothing of their permissions: they end as new ones would be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use longshore_core::appspec::{AclTag, Context, Pattern, Permission};

use super::fixture::{Host, Release, acl, chain, getfacl, mode, owner, permission, plan_with, selinux};

const PLAIN: &str = "user::rwx,group::r-x,other::r-x";

/// A release that gives everything away that its folders have.
fn one(host: &Host) -> Release {
    let mut one = host.release("one", &[("d/e/x", "1"), ("d/y", "1")], &[("/", "app")]);
    one.appspec.permissions = vec![Permission {
        files: false,
        owner: Some("nobody".into()),
        group: Some("daemon".into()),
        mode: Some(0o700),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 7), acl(true, AclTag::User, "daemon", 7)]),
        ..permission(&host.disk("app"))
    }];
    one
}

fn two(host: &Host) -> Release {
    host.release("two", &[("d/e/x", "2"), ("d/y", "2")], &[("/", "app")])
}

/// Mode, owner and ACL of each folder.
fn folders(host: &Host) -> [(u32, (u32, u32), String); 3] {
    ["app", "app/d", "app/d/e"].map(|name| {
        let path = host.disk(name);
        (mode(&path), owner(&path), getfacl(&path))
    })
}

#[test]
fn a_folder_that_stays_loses_what_only_the_old_release_gave_it() {
    let host = Host::new();
    host.install(&one(&host));
    let given = folders(&host);
    assert_eq!((given[1].0, owner(&host.disk("app/d")).1), (0o700, 1));
    assert!(given[1].2.contains("default:user:1:rwx"), "{given:?}");
    host.install(&two(&host));
    let fresh = || (0o755, (0, 0), PLAIN.to_owned());
    assert_eq!(folders(&host), [fresh(), fresh(), fresh()]);
    // And once it is so, there is nothing to do.
    assert_eq!(host.plan(&two(&host)).unwrap().renewals, []);
}

#[test]
fn what_the_new_release_says_of_a_folder_stands_and_the_rest_is_renewed() {
    let host = Host::new();
    host.install(&one(&host));
    let mut two = two(&host);
    two.appspec.permissions = vec![
        Permission { pattern: Pattern("d".into()), files: false, mode: Some(0o750), ..permission(&host.disk("app")) },
        Permission {
            files: false,
            group: Some("games".into()),
            acls: Some(vec![acl(false, AclTag::User, "games", 5)]),
            ..permission(&host.disk("app/d"))
        },
    ];
    host.install(&two);
    let games = nix::unistd::Group::from_name("games").unwrap().unwrap().gid.as_raw();
    let user = nix::unistd::User::from_name("games").unwrap().unwrap().uid;
    assert_eq!(
        folders(&host)[1..],
        [
            (0o750, (0, 0), "user::rwx,group::r-x,other::---".to_owned()),
            (0o755, (0, games), format!("user::rwx,user:{user}:r-x,group::r-x,mask::r-x,other::r-x")),
        ]
    );
}

#[test]
fn a_folder_with_something_foreign_in_it_stays_as_it_is_and_one_beside_it_does_not() {
    let host = Host::new();
    let one = one(&host);
    fs::create_dir(one.archive.join("f")).unwrap();
    fs::write(one.archive.join("f/z"), "1").unwrap();
    host.install(&one);
    let two = host.release("two", &[("d/e/x", "2"), ("f/z", "2")], &[("/", "app")]);
    fs::write(host.disk("app/d/e/upload"), "theirs").unwrap();
    let before = folders(&host);
    host.install(&two);
    assert_eq!(folders(&host), before);
    let f = host.disk("app/f");
    assert_eq!((mode(&f), owner(&f), getfacl(&f)), (0o755, (0, 0), PLAIN.to_owned()));
}

#[test]
fn a_failure_after_the_swap_gives_renewed_folders_back_what_they_had() {
    let host = Host::new();
    host.install(&one(&host));
    let (programs, _) = selinux(&host, "exit 3");
    let mut two = two(&host);
    let context = Some(Context { user: None, kind: "t".into(), range: None });
    two.appspec.permissions = vec![Permission { context, ..permission(&host.disk("app/d/y")) }];
    let plan = plan_with(&host, &two, &programs).unwrap();
    assert_eq!(plan.renewals.len(), 2, "{:?}", plan.renewals);
    let before = host.tree();
    let error = host.execute_with(&two, &plan, &programs, &|_| {}).unwrap_err();
    assert!(chain(&error).contains("everything was put back"), "{}", chain(&error));
    assert_eq!(host.tree(), before);
}

#[test]
fn a_folder_gets_the_group_that_a_setgid_parent_gives_and_below_a_default_acl_keeps_mode_and_acl() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    chown(host.disk("app"), Some(0), Some(4321)).unwrap();
    fs::set_permissions(host.disk("app"), fs::Permissions::from_mode(0o2755)).unwrap();
    host.install(&one(&host));
    host.install(&two(&host));
    let fresh = || (0o2755, (0, 4321), PLAIN.to_owned());
    assert_eq!(folders(&host)[1..], [fresh(), fresh()]);

    host.install(&one(&host));
    let before = folders(&host);
    let set = Command::new("setfacl").args(["-m", "d:u:games:rwx"]).arg(host.disk("app")).status();
    assert!(set.unwrap().success());
    host.install(&two(&host));
    for (found, before) in folders(&host)[1..].iter().zip(&before[1..]) {
        assert_eq!(*found, (before.0, (0, 4321), before.2.clone()));
    }
}

/// What nobody's agent says, when it has deployed a folder.
fn deploy(host: &Host, command: &str, revision: &Path) -> String {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_longshore-agent"));
    agent.arg(command).arg(revision).args(["--group", "dev", "--application", "shop"]).current_dir("/").env_clear();
    agent.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LONGSHORE_ROOT", host.dir.path().join("root"));
    let output = agent.uid(65534).gid(65534).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text.replace(host.dir.path().to_str().unwrap(), "…")
}

#[test]
fn an_agent_that_is_not_root_renews_its_own_folders_and_says_of_others_that_it_cannot() {
    let host = Host::new();
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let revision = host.dir.path().join("revision");
    for folder in ["own", "theirs"] {
        fs::create_dir_all(revision.join("site").join(folder)).unwrap();
        fs::write(revision.join("site").join(folder).join("x"), "x").unwrap();
    }
    let app = host.disk("app");
    let appspec = format!("version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {}\n", app.display());
    let permissions = format!(
        "permissions:\n  - object: {}\n    type: [directory]\n    mode: 777\n    acls: [\"user:daemon:rwx\"]\n",
        app.display()
    );
    fs::write(revision.join("appspec.yml"), appspec.clone() + &permissions).unwrap();
    for folder in [host.disk(""), host.dir.path().join("root")] {
        fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(65534), Some(65534)).unwrap();
    }
    deploy(&host, "deploy", &revision);
    let theirs = host.disk("app/theirs");
    chown(&theirs, Some(1), Some(1)).unwrap();
    let before = getfacl(&theirs);
    fs::write(revision.join("appspec.yml"), appspec).unwrap();
    let plan = deploy(&host, "plan", &revision);
    let lines: Vec<&str> = plan.lines().filter(|line| line.contains("change ") || line.contains("note ")).collect();
    assert_eq!(
        lines,
        [
            "    change   …/disk/app/own/  0777 -> 0755, without an ACL",
            "    note     `…/disk/app/theirs` keeps owner, mode or ACL of the previous release: the agent cannot change them",
        ]
    );
    deploy(&host, "deploy", &revision);
    let own = host.disk("app/own");
    assert_eq!((mode(&own), owner(&own), getfacl(&own)), (0o755, (65534, 65534), PLAIN.to_owned()));
    assert_eq!((mode(&theirs), owner(&theirs), getfacl(&theirs)), (0o777, (1, 1), before));
}
