//! The power goes at any moment of a deployment; what the disk holds then is rebuilt from the calls until there.

use std::collections::HashSet;

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
            host.after_reboot(|| {
                let restart = Ran::of(&mut host.resume());
                settled(host, &expected, &restart, cut.loss);
                check::goes_on(host);
            });
        },
    );
}

/// What must hold after the restart. A script that had begun may not run again: its deployment is interrupted.
fn settled(host: &Host<'_>, expected: &Expected, restart: &Ran, loss: Loss) {
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
    let _ = loss;
    check::is_tidy(host);
}
