//! Agents that end, or are killed, in the middle of an event: what the next one does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use longshore_agent::deployment::answer::Answer;
use longshore_agent::deployment::drive;
use longshore_agent::deployment::order::{Order, Pace, Revision};
use longshore_agent::layout::Layout;
use longshore_agent::lock::Lock;
use longshore_core::failure::Exit;

use crate::fixture::{IN_PLACE, Told, agent, agent_at, all, ask, journal, order, standing};
use crate::sandbox::{Sandbox, wait_until};

/// A release whose AfterInstall waits until somebody writes `trace.go`.
fn waiting(host: &Sandbox) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n    - location: after.sh\n  \
                   ApplicationStart:\n    - location: after.sh\n";
    let wait = "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho said at the end\necho done >> {trace}\n";
    let after = "#!/bin/sh\necho $LIFECYCLE_EVENT$TOLD >> {trace}\n";
    host.revision("waiting", &[("appspec.yml", appspec), ("wait.sh", wait), ("after.sh", after)])
}

const UNTIL_AFTER_INSTALL: [&str; 4] = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install"];

/// The variable in which a process of its own is told what to do, instead of being a test.
const ALONE: &str = "LONGSHORE_TEST_ALONE";

/// Asks for AfterInstall of deployment `d-ONE` in a process of its own.
fn after_install_alone(host: &Sandbox, revision: &Path, test: &str) -> Child {
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", &format!("interrupted::{test}")]).stdout(Stdio::null()).stderr(Stdio::null());
    alone.env(ALONE, format!("{}\n{}", host.root().display(), revision.display())).spawn().unwrap()
}

#[test]
fn an_agent_killed_in_the_middle_of_a_hook_answers_after_its_restart_and_the_hook_ran_once() {
    if let Ok(alone) = std::env::var(ALONE) {
        let (root, revision) = alone.split_once('\n').unwrap();
        let agent = agent_at(root.into(), Arc::new(Told::default()));
        ask(&agent, &order("d-ONE", revision.as_ref()), "AfterInstall");
        return;
    }
    let host = Sandbox::new();
    let revision = waiting(&host);
    let one = order("d-ONE", &revision);
    all(&agent(&host), &one, &UNTIL_AFTER_INSTALL);
    let kill_in_the_middle = || {
        let test = "an_agent_killed_in_the_middle_of_a_hook_answers_after_its_restart_and_the_hook_ran_once";
        let mut alone = after_install_alone(&host, &revision, test);
        wait_until(|| host.trace() == "waiting\n");
        wait_until(|| Lock::holder(&Layout::new(host.root()), &one.group.id).is_some());
        alone.kill().unwrap();
        alone.wait().unwrap();
    };
    kill_in_the_middle();
    assert_eq!(standing(&host).0, "unfinished");
    kill_in_the_middle();
    let agent = agent(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, &one, "AfterInstall"));
        fs::write(host.path().join("trace.go"), "").unwrap();
        assert_eq!(asked.join().unwrap(), "Succeeded");
    });
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\n");
    all(&agent, &one, &["ApplicationStart", "ValidateService"]);
    assert_eq!(standing(&host).1, "succeeded");
}

/// Begins AfterInstall and hands it over while its first script runs.
fn hand_over(host: &Sandbox, one: &Order) {
    let agent = agent(host);
    all(&agent, one, &UNTIL_AFTER_INSTALL);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, one, "AfterInstall"));
        wait_until(|| host.trace() == "waiting\n");
        let since = Instant::now();
        agent.handover.store(true, Ordering::Relaxed);
        assert_eq!(asked.join().unwrap(), "handed over");
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    });
    assert_eq!(ask(&agent, one, "AfterInstall"), "handed over", "nothing begins any more");
    assert_eq!(ask(&agent, one, "Install"), "handed over");
    assert_eq!(journal(host, "d-ONE").last().unwrap(), "started AfterInstall");
}

#[test]
fn an_agent_that_ends_leaves_a_running_hook_to_the_next_one() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    fs::write(host.path().join("trace.go"), "").unwrap();
    all(&agent(&host), &one, &["AfterInstall", "ApplicationStart", "ValidateService"]);
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
    let log = fs::read_to_string(host.deployment("d-ONE").join("logs/scripts.log")).unwrap();
    assert_eq!(log.matches("[stdout]said at the end\n").count(), 1, "{log}");
}

#[test]
fn resume_finishes_the_event_that_was_begun_and_no_other() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    fs::write(host.path().join("trace.go"), "").unwrap();
    host.run(&["resume"]).succeeds();
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\n");
    assert_eq!(standing(&host).0, "waits for its next event");
    host.run(&["resume"]).succeeds().tells("nothing was left unfinished");
    all(&agent(&host), &one, &["AfterInstall", "ApplicationStart", "ValidateService"]);
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
}

#[test]
fn an_event_that_is_gone_on_with_tells_its_scripts_what_it_would_have_told_them() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    fs::write(host.path().join("trace.go"), "").unwrap();
    let told = [("TOLD".to_owned(), " as before".to_owned())];
    assert!(drive::resume_telling(&agent(&host), &one.group.id, &told).unwrap());
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall as before\n");
}

#[test]
fn a_deployment_that_comes_while_an_earlier_ones_script_runs_can_be_asked_for_again() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    let agent = agent(&host);
    let two = order("d-TWO", &host.traced("two", &[("index.html", "two")]));
    let event = "ApplicationStop".parse().unwrap();
    match drive::command(&agent, &two, &event) {
        Answer::Failed { failure, .. } => assert_eq!(failure.exit, Exit::Busy, "{failure:?}"),
        Answer::Succeeded | Answer::HandedOver => panic!("it began beside a script"),
    }
    assert!(!host.deployment("d-TWO").exists(), "nothing was begun, so nothing has failed");
    fs::write(host.path().join("trace.go"), "").unwrap();
    wait_until(|| host.trace() == "waiting\ndone\n");
    wait_until(
        || !matches!(drive::command(&agent, &two, &event), Answer::Failed { failure, .. } if failure.exit == Exit::Busy),
    );
    assert_eq!(ask(&agent, &two, "ApplicationStop"), "Succeeded");
}

#[test]
fn an_event_that_was_left_in_the_middle_ends_before_another_one_begins() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    let agent = agent(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, &one, "ApplicationStart"));
        wait_until(|| journal(&host, "d-ONE").last().unwrap() == "resumed");
        fs::write(host.path().join("trace.go"), "").unwrap();
        assert_eq!(asked.join().unwrap(), "Succeeded");
    });
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
}

#[test]
fn a_deployment_that_is_handed_over_before_its_bundle_is_here_is_fetched_by_the_next_agent() {
    let host = Sandbox::new();
    let one = order("d-ONE", &host.traced("one", &[("a", "1")]));
    let first = agent(&host);
    first.handover.store(true, Ordering::Relaxed);
    assert_eq!(ask(&first, &one, "ApplicationStop"), "handed over");
    assert!(!host.deployment("d-ONE").exists());
    all(&agent(&host), &one, &IN_PLACE);
}

#[test]
fn a_download_ends_at_once_when_it_is_handed_over() {
    const ENDPOINT: &str = "AWS_ENDPOINT_URL";
    let asked_alone = |root: &Path| {
        let agent = agent_at(root.to_owned(), Arc::new(Told::default()));
        let order = Order { revision: Revision::Object("s3://releases/shop.zip".to_owned()), ..order("d-ONE", root) };
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&agent, &order, "ApplicationStop"));
            wait_until(|| root.join("../go").exists());
            let since = Instant::now();
            agent.handover.store(true, Ordering::Relaxed);
            fs::write(root.join("../answer"), asked.join().unwrap()).unwrap();
            assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
        });
    };
    if let Ok(root) = std::env::var(ALONE) {
        return asked_alone(root.as_ref());
    }
    let host = Sandbox::new();
    // A store that takes a request and never answers.
    let store = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "interrupted::a_download_ends_at_once_when_it_is_handed_over"]).stdout(Stdio::null());
    alone.env(ALONE, host.root()).env(ENDPOINT, format!("http://{}", store.local_addr().unwrap()));
    for (name, value) in [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-central-1")] {
        alone.env(name, value);
    }
    let mut alone = alone.spawn().unwrap();
    store.set_nonblocking(true).unwrap();
    let mut held = None;
    wait_until(|| {
        held = store.accept().ok();
        held.is_some()
    });
    fs::write(host.path().join("go"), "").unwrap();
    assert!(alone.wait().unwrap().success());
    assert_eq!(fs::read_to_string(host.path().join("answer")).unwrap(), "handed over");
    assert_eq!(journal(&host, "d-ONE"), ["opened", "asked ApplicationStop"], "and is open");
    drop(held);
}

#[test]
fn an_order_that_an_earlier_version_wrote_down_is_gone_on_with() {
    let host = Sandbox::new();
    let revision = host.traced("one", &[("a", "1")]);
    let line = r#"{"at":"2026-01-02T03:04:05.678Z","entry":"opened","order":{"deployment":"d-OLD","number":1,"application":"shop","group":{"id":"shop~dev","name":"dev"},"revision":{"local":"REVISION"},"events":["DownloadBundle","BeforeInstall","Install"],"skip":[],"stop_from":"installed","file_exists":"DISALLOW","cause":{"cause":"asked"},"scripts_map":"in_place","content_digest":null,"appspec_name":null,"policy":{"on_failure":"restore","hooks":{"grace":{"secs":10,"nanos":0},"leftovers":"warn","environment":"inherit","deployments_log":null},"limits":{"total":1048576,"entries":100,"ratio":100},"keep":5}},"agent":"0.1.0"}"#;
    let folder = host.deployment("d-OLD");
    for folder in [&folder, &host.root().join("deployment-instructions"), &host.root().join("groups/shop~dev")] {
        fs::create_dir_all(folder).unwrap();
    }
    let line = line.replace("REVISION", revision.to_str().unwrap()) + "\n";
    fs::write(folder.join("journal.jsonl"), line).unwrap();
    host.run(&["resume"]).succeeds();
    assert_eq!(host.trace(), "one BeforeInstall\n");
    assert_eq!(standing(&host).1, "succeeded");
}

#[test]
fn an_order_of_a_store_goes_on_where_it_was_handed_over_and_says_again_how_it_ended() {
    let host = Sandbox::new();
    let one = Order { pace: Pace::AtOnce, ..order("d-ONE", &waiting(&host)) };
    let first = agent(&host);
    std::thread::scope(|scope| {
        let deployed = scope.spawn(|| drive::deploy_or_resume(&first, &one));
        wait_until(|| host.trace() == "waiting\n");
        first.handover.store(true, Ordering::Relaxed);
        assert!(drive::is_handover(&deployed.join().unwrap().unwrap_err()));
    });
    assert_eq!(standing(&host).0, "unfinished");
    fs::write(host.path().join("trace.go"), "").unwrap();
    let second = agent(&host);
    for _ in 0..2 {
        drive::deploy_or_resume(&second, &one).unwrap();
    }
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");

    let failing = host.revision(
        "failing",
        &[
            ("appspec.yml", "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: f.sh\n"),
            ("f.sh", "#!/bin/sh\nexit 1\n"),
        ],
    );
    let two = Order { pace: Pace::AtOnce, ..order("d-TWO", &failing) };
    for _ in 0..2 {
        let failure = drive::deploy_or_resume(&second, &two).unwrap_err();
        assert!(!drive::is_handover(&failure));
        assert_eq!(failure.error.to_string(), "hook `f.sh` exited with 1 (AfterInstall, 1 of 1)");
    }
}
