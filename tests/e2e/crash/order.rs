//! Deployments side by side, and clocks that jump.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::check;
use crate::host::{Host, Ran, Stage, eventually};
use crate::release::{self, NEXT, OLD, tree};

const EVENTS: [&str; 2] = ["BeforeInstall", "AfterInstall"];

fn installed(host: &Host<'_>) {
    release::write(host, &EVENTS, false);
    Ran::of(&mut host.deploy("old", OLD)).succeeds();
}

#[test]
fn of_two_agents_started_at_once_on_one_group_one_deploys_and_the_other_is_told_so() {
    Stage::new().on_host(|host| {
        installed(host);
        mkfifo(&host.gate("BeforeInstall"), Mode::S_IRWXU).unwrap();
        let start = |id: &str| {
            let mut agent = host.deploy("new.tar", id);
            agent.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let (mut one, mut two) = (start("d-ONE"), start("d-TWO"));
        let (first, busy) =
            eventually("one of them ends", || match (one.try_wait().unwrap(), two.try_wait().unwrap()) {
                (None, None) => None,
                (Some(status), None) => Some(("d-TWO", status.code())),
                (None, Some(status)) => Some(("d-ONE", status.code())),
                (Some(one), Some(two)) => panic!("one waits for its script: {one:?} {two:?}"),
            });
        assert_eq!(busy, Some(9));
        eventually("the other one runs its script", || {
            fs::read_to_string(host.trace()).unwrap().ends_with(&format!("{first} BeforeInstall\n")).then_some(())
        });
        fs::write(host.gate("BeforeInstall"), "go\n").unwrap();
        fs::remove_file(host.gate("BeforeInstall")).unwrap();
        let (one, two) = (one.wait_with_output().unwrap(), two.wait_with_output().unwrap());
        let (ran, refused) = if first == "d-ONE" { (one, two) } else { (two, one) };
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains("another deployment of group `shop~dev` is under way"), "{told}");
        assert!(!host.deployment(if first == "d-ONE" { "d-TWO" } else { "d-ONE" }).exists());
        check::is_tidy(host);
    });
}

#[test]
fn agents_of_two_groups_deploy_side_by_side() {
    Stage::new().on_host(|host| {
        installed(host);
        mkfifo(&host.gate("BeforeInstall"), Mode::S_IRWXU).unwrap();
        let mut first = host.deploy("new.tar", "d-ONE").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the first one runs its script", || {
            fs::read_to_string(host.trace()).unwrap().ends_with("d-ONE BeforeInstall\n").then_some(())
        });
        let mut other =
            host.agent(&["deploy", "--group", "stg", "--application", "shop", "--events", "DownloadBundle"]);
        Ran::of(other.arg(host.path().join("revisions/next"))).succeeds();
        assert!(first.try_wait().unwrap().is_none(), "the first one still waits");
        fs::write(host.gate("BeforeInstall"), "go\n").unwrap();
        assert!(first.wait().unwrap().success());
    });
}

#[test]
fn a_lock_file_of_a_process_that_is_dead_locks_nobody_out() {
    Stage::new().on_host(|host| {
        installed(host);
        fs::write(host.root().join("groups/shop~dev/lock"), "process 1, deployment d-GONE\n").unwrap();
        check::goes_on(host);
    });
}

/// Every time in the journals, marks and events of a host, a thousand years later.
fn stamps_from_the_future(host: &Host<'_>) {
    let later = |text: &str| {
        ["at", "started", "ended"].iter().fold(text.to_owned(), |text, key| {
            let text = text.replace(&format!("\"{key}\":\"20"), &format!("\"{key}\":\"30"));
            text.replace(&format!("\"{key}\": \"20"), &format!("\"{key}\": \"30"))
        })
    };
    let mut folders = vec![host.root().join("shop~dev"), host.root().join("groups")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("deployment-archive") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "json" || kind == "jsonl") {
                fs::write(&path, later(&fs::read_to_string(&path).unwrap())).unwrap();
            }
        }
    }
}

#[test]
fn order_retention_status_and_rollback_do_not_depend_on_the_clock() {
    Stage::new().on_host(|host| {
        installed(host);
        Ran::of(&mut host.deploy("new.tar", "d-B")).succeeds();
        stamps_from_the_future(host);
        let keep = |revision, id| {
            let mut agent = host.deploy(revision, id);
            Ran::of(agent.args(["--max-revisions", "3"])).succeeds()
        };
        // The clock was set right: what comes now is younger than what its stamps say.
        keep("old", "d-C");
        keep("next", NEXT);
        let history = Ran::of(&mut host.agent(&["history", "--output", "json"])).succeeds().out;
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let ids = |list: &serde_json::Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|record| record["order"]["deployment"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&history), [NEXT, "d-C", "d-B"], "newest first, and the oldest is gone");
        let status = Ran::of(&mut host.agent(&["status", "--output", "json"])).succeeds().out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        for mark in ["installed", "good"] {
            assert_eq!(status[0][mark]["deployment"], NEXT, "{mark}");
        }
        assert_eq!(status[0]["last"]["order"]["deployment"], NEXT);
        let list =
            Ran::of(&mut host.agent(&["rollback", "--group", "dev", "--list", "--output", "json"])).succeeds().out;
        assert!(list.find("d-C").unwrap() < list.find("d-B").unwrap(), "{list}");
        Ran::of(&mut host.agent(&["rollback", "--group", "dev"])).succeeds();
        assert!(
            tree(&host.www()).contains_key(&PathBuf::from("folder-then-file/inside/file")),
            "the release of d-C is back"
        );
    });
}
