//! Failures before the commit: the host is as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use longshore_agent::install::execute::InstallError;
use longshore_core::appspec::{AclTag, Context, Pattern, Permission};

use super::fixture::{Host, Mount, acl, chain, permission, plan_with, programs, selinux, two_releases};

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
    // The application makes anew what the release removes, before the installation fails.
    let foreign = host.disk("app/gone");
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
    assert_eq!(kept.len(), 1, "{names:?}");
    assert!(text.contains(kept[0].as_str()), "{kept:?} {text}");
    assert_eq!(fs::read_to_string(host.disk(kept[0])).unwrap(), "1");
    assert_eq!(fs::read_to_string(foreign).unwrap(), "data\n");
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
