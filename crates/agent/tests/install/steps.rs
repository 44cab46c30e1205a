//! A real failure at each kind of step: the host is as it was, to the last ACL, and the same plan goes through afterwards.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use longshore_agent::install::execute::{InstallError, execute};
use longshore_agent::install::permissions::Programs;
use longshore_agent::install::transaction::{Phase, Transaction};
use longshore_core::appspec::{AclTag, Context, Pattern, Permission};

use super::fixture::{
    Host, Immutable, Mount, Release, acl, calls, chain, failing_at, permission, plan_with, programs, selinux,
    two_releases,
};

/// Plans `two`, lets something go wrong, and sees that nothing has changed; then that it goes through.
/// Returns the error.
fn undone(host: &Host, two: &Release, expected: &str, go_wrong: impl FnOnce() -> Box<dyn std::any::Any>) -> String {
    let plan = host.plan(two).unwrap();
    let before = host.tree();
    let trouble = go_wrong();
    let during = host.tree();
    let error = host.execute(two, &plan).unwrap_err();
    let text = chain(&error);
    assert!(matches!(&error, InstallError::Undone { .. }), "{text}");
    assert!(text.contains(expected), "{expected}: {text}");
    assert_eq!(host.tree(), during);
    drop(trouble);
    assert_eq!(host.tree(), before);
    host.execute(two, &plan).unwrap();
    text
}

#[test]
fn a_file_system_that_runs_out_of_files_leaves_the_host_as_it_was() {
    // One more each time: it ends in the staging of folders, of files, and then among the second names of old ones.
    let mut ended = BTreeSet::new();
    for room in 0..14 {
        let host = Host::new();
        let mount = Mount::new(host.disk("app"), "size=1m,nr_inodes=60,mode=755");
        let (one, two) = two_releases(&host);
        host.install(&one);
        let text = undone(&host, &two, "os error 28", || {
            let fillers = mount.0.join("fillers");
            fs::create_dir(&fillers).unwrap();
            let mut made = 0;
            while fs::write(fillers.join(made.to_string()), "").is_ok() {
                made += 1;
            }
            for number in 0..room {
                fs::remove_file(fillers.join(number.to_string())).unwrap();
            }
            Box::new(Remove(fillers))
        });
        let what = ["make the folder", "write `", "move aside"].into_iter().find(|what| text.contains(what));
        ended.insert(what.unwrap_or_else(|| panic!("{text}")));
    }
    assert_eq!(ended, BTreeSet::from(["make the folder", "write `", "move aside"]));
}

#[test]
fn a_disk_that_gets_full_at_any_file_leaves_the_host_as_it_was() {
    const PAGE: u64 = 4096;
    let mut room = 0;
    loop {
        let host = Host::new();
        let mount = Mount::new(host.disk("app"), "size=1m,mode=755");
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let filler = mount.0.join("filler");
        fs::write(&filler, vec![0; 2 << 20]).unwrap_err();
        let full = filler.metadata().unwrap().len();
        OpenOptions::new().write(true).open(&filler).unwrap().set_len(full - room * PAGE).unwrap();
        let before = host.tree();
        match host.execute(&two, &plan) {
            Ok(_) => break,
            Err(error) => {
                let text = chain(&error);
                assert!(matches!(&error, InstallError::Undone { .. }) && text.contains("os error 28"), "{text}");
                assert_eq!(host.tree(), before, "{room}");
            }
        }
        room += 1;
    }
    // Each of the seven new files takes a page, and nothing else takes any.
    assert_eq!(room, 7);
}

struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn an_immutable_file_or_folder_leaves_the_host_as_it_was() {
    // What is replaced, what only the old release had, and the folder of both.
    for name in ["app/same", "app/gone", "app/old/x", "app"] {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        undone(&host, &two, "os error 1)", || Box::new(Immutable::new(&host.disk(name))));
    }
}

#[test]
fn an_immutable_file_or_folder_that_is_there_in_time_is_a_conflict() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let _marks = ["app/same", "app/gone", "app/kept"].map(|name| Immutable::new(&host.disk(name)));
    let conflicts: Vec<String> = host.plan(&two).unwrap_err().iter().map(ToString::to_string).collect();
    let expected =
        ["app/kept", "app/same", "app/gone"].map(|name| format!("`{}` is immutable", host.disk(name).display()));
    assert_eq!(conflicts, expected);
}

/// Something mounted on a path, gone with the value.
struct Bind(PathBuf);

impl Bind {
    fn new(source: &Path, path: &Path) -> Bind {
        let status = Command::new("mount").arg("--bind").args([source, path]).status().unwrap();
        assert!(status.success());
        Bind(path.to_owned())
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_destination_that_becomes_a_mount_point_leaves_the_host_as_it_was() {
    for name in ["app/same", "app/gone", "app/becomes-file"] {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let other = host.dir.path().join("other");
        if host.disk(name).is_dir() {
            fs::create_dir(&other).unwrap();
        } else {
            fs::write(&other, "x").unwrap();
        }
        undone(&host, &two, "os error 16)", || Box::new(Bind::new(&other, &host.disk(name))));
    }
}

#[test]
fn a_folder_that_cannot_be_renamed_across_devices_leaves_the_host_as_it_was() {
    // An overlay refuses to rename a folder of its lower layer, as in a container.
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let side = Mount::new(host.dir.path().join("side"), "size=4m,mode=755");
    let folder = |name: &str| side.0.join(name).to_str().unwrap().to_owned();
    let copied = Command::new("cp").arg("-a").arg(host.disk("app")).arg(folder("lower")).status().unwrap();
    assert!(copied.success());
    for name in ["upper", "work"] {
        fs::create_dir(folder(name)).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=off",
        folder("lower"),
        folder("upper"),
        folder("work")
    );
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "-o", &options, "overlay"]).arg(host.disk("app"));
    assert!(mount.status().unwrap().success(), "these tests mount an overlay");
    let overlay = Overlay(host.disk("app"));
    let plan = host.plan(&two).unwrap();
    let before = host.tree();
    let error = host.execute(&two, &plan).unwrap_err();
    let text = chain(&error);
    assert!(matches!(&error, InstallError::Undone { .. }) && text.contains("os error 18)"), "{text}");
    assert_eq!(host.tree(), before);
    drop(overlay);
}

struct Overlay(PathBuf);

impl Drop for Overlay {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_release_on_several_file_systems_is_installed_and_undone_on_all_of_them() {
    let host = Host::new();
    let _mount = Mount::new(host.disk("app/kept"), "size=1m,mode=755");
    let (one, mut two) = two_releases(&host);
    host.install(&one);
    two.appspec.permissions = everything(&host);
    let (mut programs, _) = selinux(&host, "exit 0");
    let plan = plan_with(&host, &two, &programs).unwrap();
    let before = host.tree();
    let restorecon = programs.restorecon.replace("/bin/false".into());
    let error = host.execute_with(&two, &plan, &programs, &|_| {}).unwrap_err();
    assert!(matches!(&error, InstallError::Undone { .. }), "{}", chain(&error));
    assert_eq!(host.tree(), before);
    programs.restorecon = restorecon;
    host.execute_with(&two, &plan, &programs, &|_| {}).unwrap();
    assert_eq!(fs::read_to_string(host.disk("app/kept/y")).unwrap(), "2");
}

/// Permissions for new files, new folders and a folder that stays, so that every program is called more than once.
fn everything(host: &Host) -> Vec<Permission> {
    let context = |kind: &str| Some(Context { user: None, kind: kind.into(), range: None });
    let app = permission(&host.disk("app"));
    vec![
        Permission { acls: Some(vec![acl(false, AclTag::User, "daemon", 6)]), ..permission(&host.disk("app/same")) },
        Permission {
            acls: Some(vec![acl(false, AclTag::Group, "daemon", 4)]),
            context: context("t1"),
            ..permission(&host.disk("app/new"))
        },
        Permission {
            pattern: Pattern("fresh".into()),
            acls: Some(vec![acl(true, AclTag::User, "daemon", 7)]),
            context: context("t2"),
            ..app.clone()
        },
        Permission {
            pattern: Pattern("kept".into()),
            owner: Some("nobody".into()),
            mode: Some(0o2750),
            acls: Some(vec![acl(false, AclTag::User, "nobody", 7)]),
            context: context("t3"),
            ..app
        },
    ]
}

#[test]
fn a_program_that_fails_at_any_of_its_calls_leaves_the_host_as_it_was() {
    type Place = fn(&mut Programs) -> &mut Option<PathBuf>;
    let cases: [(&str, usize, Place); 4] = [
        ("setfacl", 4, |programs| &mut programs.setfacl),
        ("getfacl", 2, |programs| &mut programs.getfacl),
        ("semanage", 3, |programs| &mut programs.semanage),
        ("restorecon", 3, |programs| &mut programs.restorecon),
    ];
    for (name, needed, place) in cases {
        for nth in 1..=needed + 1 {
            let host = Host::new();
            let (one, mut two) = two_releases(&host);
            host.install(&one);
            let status = Command::new("setfacl").args(["-m", "u:daemon:rwx"]).arg(host.disk("app/kept")).status();
            assert!(status.unwrap().success());
            two.appspec.permissions = everything(&host);
            let (mut programs, _) = selinux(&host, "exit 0");
            let plan = plan_with(&host, &two, &programs).unwrap();
            let real = place(&mut programs).clone().unwrap();
            *place(&mut programs) = Some(failing_at(&host, &real, nth));
            let before = host.tree();
            let result = host.execute_with(&two, &plan, &programs, &|_| {});
            if nth > needed {
                result.unwrap();
                assert_eq!(calls(&host, name), needed, "{name}");
                continue;
            }
            let error = result.unwrap_err();
            let text = chain(&error);
            assert!(text.contains("nothing ") && text.ends_with("exit status: 1: no"), "{name} {nth}: {text}");
            assert_eq!(host.tree(), before, "{name} {nth}");
        }
    }
}

#[test]
fn records_that_find_no_space_leave_the_host_as_it_was() {
    let host = Host::new();
    let mount = Mount::new(host.records.dir.clone(), "size=64k,mode=755");
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    let before = host.tree();
    let programs = programs();
    for at in [Phase::Swapping, Phase::Adjusting] {
        let journal = |transaction: &Transaction| {
            if transaction.phase == at {
                fs::write(mount.0.join("filler"), vec![0; 1 << 20]).unwrap_err();
            }
            Ok(())
        };
        let error = execute(&host.installation(&two, &plan, &programs), &journal, &|_| {}).unwrap_err();
        let text = chain(&error);
        assert!(matches!(&error, InstallError::Undone { .. }), "{text}");
        assert!(text.contains("cannot write the records in `") && text.ends_with("(os error 28)"), "{text}");
        fs::remove_file(mount.0.join("filler")).unwrap();
        assert_eq!(host.tree(), before);
    }
    host.execute(&two, &plan).unwrap();
}

#[test]
fn what_somebody_else_writes_in_place_of_a_file_meanwhile_stays_when_the_installation_is_undone() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    let theirs = Mutex::new(false);
    let programs = programs();
    let journal = |transaction: &Transaction| {
        if transaction.phase == Phase::Swapping {
            // One that cannot be replaced stops the swap; another is replaced by its application before that.
            fs::write(host.disk("app/new"), "late").unwrap();
            fs::write(host.disk("app/theirs"), "theirs").unwrap();
            fs::rename(host.disk("app/theirs"), host.disk("app/same")).unwrap();
            *theirs.lock().unwrap() = true;
        }
        Ok(())
    };
    let error = execute(&host.installation(&two, &plan, &programs), &journal, &|_| {}).unwrap_err();
    assert!(matches!(&error, InstallError::Undone { .. }), "{}", chain(&error));
    assert_eq!(fs::read_to_string(host.disk("app/same")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(host.disk("app/new")).unwrap(), "late");
    assert!(!host.tree().contains("longshore-"));
}
