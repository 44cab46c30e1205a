//! The power goes at any moment of a deployment; what the disk holds then is rebuilt from the calls until there.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use e2e::disk::{Disk, Followed, Loss};
use e2e::tracer::{Follow, Tracer};

use crate::check;
use crate::host::{Host, Ran, Stage};
use crate::release::{Expected, INSTALLED, NEW, tree};

/// Scripts of either release, before and after Install.
const EVENTS: [&str; 4] = ["ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart"];

/// A power cut.
struct Cut {
    name: String,
    loss: Loss,
    disk: Disk,
}

/// All disks that differ, of one deployment that runs to its end.
fn cuts(stage: &Stage) -> Vec<Cut> {
    stage.on_host(|host| {
        host.load(INSTALLED);
        let mut followed = Followed::begin(host.path(), &host.trace());
        let (mut cuts, mut known) = (Vec::new(), HashSet::new());
        let tracer = Tracer { scope: host.path(), follow: Follow::Everything, fault: None };
        let mut number = 0;
        let (_, ran) = host.trace_and_see(&tracer, &mut host.deploy("new.tar", NEW), &mut |call| {
            followed.take(&call.change);
            number += 1;
            for loss in [Loss::Bytes, Loss::HalfOfTheBytes, Loss::Everything] {
                let disk = followed.after_power_cut(loss);
                if known.insert(disk.fingerprint()) {
                    let name = format!("{loss:?} lost after call {number}: {}", call.change);
                    cuts.push(Cut { name, loss, disk });
                }
            }
        });
        ran.succeeds();
        let real = tree(host.path());
        host.clear();
        followed.now().write(host.path()).unwrap();
        assert_eq!(tree(host.path()), real, "the calls tell all that was changed");
        cuts
    })
}

#[test]
fn after_a_power_cut_at_any_moment_a_restart_finishes_the_deployment_or_says_what_stands() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, false);
    let cuts = cuts(&stage);
    assert!(cuts.len() > 200, "{} disks", cuts.len());
    stage.each(
        &cuts,
        |cut| cut.name.clone(),
        |host, cut| {
            cut.disk.write(host.path()).unwrap();
            forget_identities(&host.deployment(NEW).join("installation.json"));
            if cut.loss == Loss::Everything && check::done(host, "Install") {
                delete_again(&host.www());
            }
            if cut.loss == Loss::Everything && check::journal(host, NEW).iter().any(|line| line["entry"] == "closed") {
                for hook in fs::read_dir(host.deployment(NEW).join("hooks")).unwrap() {
                    for name in ["command.json", "running.json"] {
                        let _ = fs::remove_file(hook.as_ref().unwrap().path().join(name));
                    }
                }
            }
            host.after_reboot(|| {
                let restart = Ran::of(&mut host.resume());
                settled(host, &expected, &restart);
                check::goes_on(host);
            });
        },
    );
}

/// The disk of a host that lost power has the inodes it had. This one is a copy with inodes of its own, so that what was
/// written down of them would make every file a stranger.
fn forget_identities(installation: &Path) {
    let Ok(text) = fs::read_to_string(installation) else { return };
    let Ok(mut written) = serde_json::from_str::<serde_json::Value>(&text) else { return };
    for list in ["trees", "files"] {
        for staged in written["transaction"][list].as_array_mut().unwrap() {
            staged.as_object_mut().unwrap().remove("identity");
        }
    }
    fs::write(installation, written.to_string()).unwrap();
}

/// Deletes what an installation had deleted before its end was written down (as above what hooks had). No file system with a journal keeps the later
/// one of the two and loses the earlier one; the model does.
fn delete_again(www: &Path) {
    for entry in fs::read_dir(www).unwrap() {
        let entry = entry.unwrap();
        let is_old = entry.file_name().to_string_lossy().starts_with(".longshore-old-");
        if entry.file_type().unwrap().is_dir() {
            delete_again(&entry.path());
            if is_old || entry.path().ends_with("gone") {
                // One in which something else stands stays.
                let _ = fs::remove_dir_all(entry.path());
            }
        } else if is_old {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// What must hold after the restart. A script that had begun may not run again: its deployment is interrupted.
fn settled(host: &Host<'_>, expected: &Expected, restart: &Ran) {
    let ended = check::ended(host);
    let told = format!("{ended:?} {restart:?}");
    let is_new = check::has_one_release(host, expected);
    let succeeded = ended.outcome.as_deref() == Some("succeeded");
    match ended.outcome.as_deref() {
        None => assert!(!is_new && restart.code == Some(0), "{told}"),
        Some("succeeded") => assert!(is_new && restart.code == Some(0), "{told}"),
        Some("interrupted") => {
            assert_eq!(restart.code, Some(5), "{told}");
            assert_eq!(is_new, check::done(host, "Install"), "{told}");
        }
        Some(_) => panic!("nothing stood in the way of the deployment: {told}"),
    }
    check::ran_once(host, NEW, &EVENTS, succeeded);
    check::is_tidy(host);
}
