//! A group pointer in a folder, moved by hand, and hosts that follow it with real scripts.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "follow/host.rs"]
mod host;
#[expect(dead_code, reason = "each test program uses its own part of it")]
mod sandbox;

use std::fs;
use std::process::Stdio;

use host::{COMMIT, Host};
use longshore_agent::daemon::notice::Notice;
use sandbox::wait_until;
use serde_json::json;

/// The lines of a release that went through all of its events, the first on a host.
fn whole(name: &str) -> String {
    let events = [
        "BeforeInstall",
        "AfterInstall",
        "ApplicationStart",
        "ValidateService",
        "BeforeAllowTraffic",
        "AfterAllowTraffic",
    ];
    events.map(|event| format!("{name} {event}\n")).concat()
}

#[test]
fn a_fresh_machine_is_brought_to_the_revision_of_its_group_and_says_so() {
    let host = Host::new();
    let one = host.release("one");
    host.point(4, "d-FIRST", &one);
    let agent = host.start();
    host.says("succeeded", "d-FIRST");
    assert_eq!((host.site(), host.sandbox.trace()), ("one".to_owned(), whole("one")));
    let mut expected = json!({
        "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": 4, "deployment": "d-FIRST",
        "commit": COMMIT, "state": "succeeded", "event": "AfterAllowTraffic", "reason": null,
        "installed": {"deployment": "d-FIRST", "commit": null, "content_digest": one.content_digest},
        "agent": "{version}", "at": "{now}", "heartbeat_s": 60,
    });
    assert_eq!(host.status(), expected);
    agent.stop();
    expected["state"] = json!("stopped");
    assert_eq!(host.status(), expected);

    let agent = host.start();
    host.says("succeeded", "d-FIRST");
    agent.looks_again();
    assert_eq!(host.sandbox.trace(), whole("one"), "the same generation is deployed once");
    assert_eq!(agent.notices.all(), []);
}

#[test]
fn a_pointer_that_moves_is_deployed_also_to_the_same_bundle() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    let _agent = host.start();
    host.point(1, "d-1", &one);
    host.says("succeeded", "d-1");
    host.point(2, "d-2", &two);
    host.says("succeeded", "d-2");
    assert_eq!(host.site(), "two");
    // How one restarts an application, and how one points back.
    host.point(3, "d-3", &two);
    host.says("succeeded", "d-3");
    host.point(4, "d-4", &one);
    host.says("succeeded", "d-4");
    assert_eq!(host.site(), "one");
    let history: Vec<String> = host.sandbox.history().into_iter().map(|(id, outcome)| id + " " + &outcome).collect();
    assert_eq!(history, ["d-4 succeeded", "d-3 succeeded", "d-2 succeeded", "d-1 succeeded"]);
}

#[test]
fn a_generation_that_failed_is_not_tried_again_until_the_pointer_moves() {
    let host = Host::new();
    let good = host.scripted("good", "#!/bin/sh\necho good >> {trace}\n");
    let bad = host.scripted("bad", "#!/bin/sh\necho bad >> {trace}\necho no answer from :8080 >&2\nexit 3\n");
    host.point(1, "d-GOOD", &good);
    let agent = host.start();
    host.says("succeeded", "d-GOOD");
    host.point(2, "d-BAD", &bad);
    host.says("failed", "d-BAD");
    let status = host.status();
    let restored = status["installed"]["deployment"].clone();
    assert_eq!(
        status,
        json!({
            "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": 2, "deployment": "d-BAD",
            "commit": COMMIT, "state": "failed", "event": "ValidateService",
            "reason": "hook `check.sh` exited with 3 (ValidateService, 1 of 1)",
            "failed_script": {"script": "check.sh", "code": 4, "last_lines": ["[stderr]no answer from :8080"]},
            "restored": true, "installed": {"deployment": restored, "commit": null, "content_digest": good.content_digest},
            "agent": "{version}", "at": "{now}", "heartbeat_s": 60,
        })
    );
    assert_eq!(host.site(), "good", "the last good release is back");
    agent.looks_again();
    agent.stop();
    assert_eq!(host.status()["failed_script"]["script"], "check.sh", "why it failed is still told");
    let agent = host.start();
    agent.looks_again();
    host.says("failed", "d-BAD");
    assert_eq!(host.sandbox.trace().matches("bad").count(), 1);
    host.point(3, "d-AGAIN", &good);
    host.says("succeeded", "d-AGAIN");
}

#[test]
fn a_pointer_that_went_backwards_or_was_changed_is_refused_until_somebody_moves_it_on() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(7, "d-7", &one);
    let agent = host.start();
    host.says("succeeded", "d-7");
    let way_out = format!("; if the store was replaced, remove `{}` on this host", host.mark().display());
    for (generation, deployment, why) in [
        (3, "d-3", "the pointer has generation 3, and this host has seen 7"),
        (7, "d-X", "generation 7 of the pointer is not what it was: it named deployment d-7, and now names d-X"),
        (8, "d-7", "the pointer names deployment d-7, which this host made before it was moved"),
    ] {
        host.point(generation, deployment, &two);
        host.says("refused", deployment);
        let status = host.status();
        assert_eq!((&status["reason"], &status["generation"]), (&json!(format!("{why}{way_out}")), &json!(7)));
        agent.warns(why);
    }
    agent.looks_again();
    assert_eq!(host.site(), "one");
    host.point(9, "d-9", &two);
    host.says("succeeded", "d-9");
    assert_eq!(host.site(), "two");

    // The store was replaced, and somebody says so.
    host.point(1, "d-NEW", &one);
    host.says("refused", "d-NEW");
    fs::remove_file(host.mark()).unwrap();
    host.says("succeeded", "d-NEW");
    assert_eq!(host.site(), "one");
}

#[test]
fn a_store_that_is_gone_changes_nothing_and_is_followed_again_when_it_is_back() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    host.says("succeeded", "d-1");
    let elsewhere = host.sandbox.path().join("elsewhere");
    fs::rename(host.store(), &elsewhere).unwrap();
    wait_until(|| agent.shared.sources().values().any(|state| state.lost.is_some()));
    assert_eq!(host.site(), "one");
    fs::rename(&elsewhere, host.store()).unwrap();
    host.point(2, "d-2", &two);
    host.says("succeeded", "d-2");
    let source = format!("shop/dev in file://{}", host.store().display());
    let reason =
        format!("folder `{}` does not exist; mount or make it, or mend `store` in agent.toml", host.store().display());
    // A status may have been on its way in that moment.
    let mut notices = agent.notices.all();
    notices
        .retain(|notice| !matches!(notice, Notice::Warned { message } if message.contains("cannot write this host's")));
    let lost = Notice::SourceLost { source: source.clone(), reason, retry_s: 1 };
    assert_eq!(notices, [lost, Notice::SourceBack { source }]);
    // A fresh agent finds no store, and stays.
    agent.stop();
    fs::rename(host.store(), &elsewhere).unwrap();
    let agent = host.start();
    wait_until(|| agent.shared.sources().values().any(|state| state.lost.is_some()));
    fs::rename(&elsewhere, host.store()).unwrap();
    agent.looks_again();
    host.says("succeeded", "d-2");
}

#[test]
fn a_pointer_that_is_missing_or_cannot_be_read_leaves_what_is_installed() {
    let host = Host::new();
    let one = host.release("one");
    let agent = host.start();
    let missing = "there is no pointer `groups/shop/dev.json` in the store";
    wait_until(|| host.status()["reason"] == missing);
    assert_eq!((&host.status()["state"], &host.status()["deployment"]), (&json!("idle"), &json!(null)));
    host.point(1, "d-1", &one);
    host.says("succeeded", "d-1");
    for (contents, why) in [
        ("{\"format\": 2}", "`groups/shop/dev.json` has format 2; this program knows format 1; update the agent"),
        ("<html>", "`groups/shop/dev.json` cannot be read as a pointer: expected value at line 1 column 1"),
    ] {
        host.put_pointer(contents.as_bytes());
        wait_until(|| host.status()["reason"] == why);
        agent.warns(why);
        wait_until(|| agent.trouble().as_deref() == Some(why));
        host.says("succeeded", "d-1");
    }
    fs::remove_file(host.pointer()).unwrap();
    wait_until(|| host.status()["reason"] == missing);
    assert_eq!((host.site(), host.sandbox.trace()), ("one".to_owned(), whole("one")));
    host.point(2, "d-2", &one);
    host.says("succeeded", "d-2");
    assert_eq!(host.status()["reason"], json!(null));
    wait_until(|| agent.trouble().is_none());
}

/// Writes `waiting`, waits until somebody writes `trace.go`, and writes `done`.
const WAITS: &str =
    "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho done >> {trace}\n";

fn go(host: &Host) {
    fs::write(host.sandbox.path().join("trace.go"), "").unwrap();
}

#[test]
fn what_an_earlier_agent_left_unfinished_is_gone_on_with() {
    let host = Host::new();
    let one = host.scripted("one", WAITS);
    let url = format!("file://{}", host.store().join(&one.key).display());
    let arguments = ["deploy", &url, "--group", "dev", "--application", "shop", "--deployment-id", "d-1"];
    let mut killed = host.sandbox.agent(&arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| host.sandbox.trace() == "waiting\n");
    killed.kill().unwrap();
    killed.wait().unwrap();
    // What it had seen of the pointer is lost; the journal knows better.
    host.point(5, "d-1", &one);
    let _agent = host.start();
    go(&host);
    host.says("succeeded", "d-1");
    assert_eq!((host.sandbox.trace().as_str(), host.site().as_str()), ("waiting\ndone\n", "one"));
    assert_eq!(host.status()["generation"], 5);
}

#[test]
fn a_deployment_that_is_handed_over_is_gone_on_with_by_the_next_agent() {
    let host = Host::new();
    host.point(1, "d-1", &host.scripted("one", WAITS));
    let agent = host.start();
    wait_until(|| host.status()["event"] == "ValidateService");
    agent.stop();
    assert_eq!((&host.status()["state"], &host.status()["event"]), (&json!("stopped"), &json!("ValidateService")));
    let _agent = host.start();
    wait_until(|| host.status()["state"] == "deploying" && host.status()["event"] == "ValidateService");
    go(&host);
    host.says("succeeded", "d-1");
    assert_eq!((host.sandbox.trace().as_str(), host.site().as_str()), ("waiting\ndone\n", "one"));
    assert_eq!(host.sandbox.history(), [("d-1".to_owned(), "succeeded".to_owned())]);
}

#[test]
fn a_deployment_that_is_stopped_ends_its_event_begins_no_further_one_and_leaves_the_host_as_it_is() {
    let host = Host::new();
    host.point(1, "d-GOOD", &host.scripted("good", "#!/bin/sh\n"));
    let agent = host.start();
    host.says("succeeded", "d-GOOD");
    let new = host.waiting("new", WAITS);
    host.point(2, "d-NEW", &new);
    wait_until(|| host.sandbox.trace() == "waiting\n");
    host.point_and_stop(3, "d-NEW", &new, Some("d-NEW"));
    wait_until(|| host.status()["generation"] == 3);
    assert_eq!((&host.status()["state"], &host.status()["event"]), (&json!("deploying"), &json!("AfterInstall")));
    go(&host);
    host.says("failed", "d-NEW");
    assert_eq!(
        host.status(),
        json!({
            "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": 3, "deployment": "d-NEW",
            "commit": COMMIT, "state": "failed", "event": "AfterInstall", "stopped": true,
            "reason": "stopped before ApplicationStart, because somebody stopped the deployment",
            "installed": {"deployment": "d-NEW", "commit": null, "content_digest": new.content_digest},
            "agent": "{version}", "at": "{now}", "heartbeat_s": 60,
        })
    );
    assert_eq!((host.sandbox.trace().as_str(), host.site().as_str()), ("waiting\ndone\nsecond\n", "new"));
    agent.looks_again();
    agent.stop();
    let agent = host.start();
    host.says("failed", "d-NEW");
    agent.looks_again();
    host.point(4, "d-4", &host.release("four"));
    host.says("succeeded", "d-4");
    assert_eq!(host.status()["stopped"], json!(null));
    assert_eq!(agent.notices.all(), []);
}

#[test]
fn a_deployment_that_is_stopped_before_a_host_has_seen_it_is_not_begun() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    host.says("succeeded", "d-1");
    host.point_and_stop(3, "d-2", &two, Some("d-2"));
    host.says("refused", "d-2");
    let status = host.status();
    let told = (&status["stopped"], &status["reason"], &status["generation"]);
    assert_eq!(told, (&json!(true), &json!("stopped before this host began it"), &json!(3)));
    agent.looks_again();
    assert_eq!((host.site().as_str(), host.sandbox.deployment("d-2").exists()), ("one", false));
    // One that has ended stays as it ended.
    host.point(4, "d-4", &two);
    host.says("succeeded", "d-4");
    host.point_and_stop(5, "d-4", &two, Some("d-4"));
    wait_until(|| host.status()["generation"] == 5);
    host.says("succeeded", "d-4");
    assert_eq!(host.status()["stopped"], json!(null));
}

#[test]
fn a_deployment_that_is_stopped_ends_its_event_also_when_another_agent_goes_on_with_it() {
    let host = Host::new();
    let one = host.waiting("one", WAITS);
    host.point(1, "d-1", &one);
    let agent = host.start();
    wait_until(|| host.sandbox.trace() == "waiting\n");
    host.point_and_stop(2, "d-1", &one, Some("d-1"));
    wait_until(|| host.status()["generation"] == 2);
    agent.stop();
    let _agent = host.start();
    wait_until(|| host.status()["state"] == "deploying");
    go(&host);
    host.says("failed", "d-1");
    assert_eq!((&host.status()["stopped"], host.sandbox.trace().as_str()), (&json!(true), "waiting\ndone\nsecond\n"));
    assert_eq!(host.sandbox.history(), [("d-1".to_owned(), "failed".to_owned())]);
}

#[test]
fn a_stop_holds_for_a_host_that_is_still_at_an_earlier_deployment() {
    let host = Host::new();
    let (one, two) = (host.waiting("one", WAITS), host.release("two"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    wait_until(|| host.sandbox.trace() == "waiting\n");
    host.point(2, "d-2", &two);
    agent.looks_again();
    host.point_and_stop(3, "d-2", &two, Some("d-2"));
    agent.looks_again();
    wait_until(|| {
        (host.status()["state"].clone(), host.status()["deployment"].clone()) == (json!("deploying"), json!("d-1"))
    });
    go(&host);
    host.says("refused", "d-2");
    let status = host.status();
    assert_eq!((&status["stopped"], &status["generation"]), (&json!(true), &json!(3)));
    agent.looks_again();
    // Both scripts of the event ran, and no further event.
    assert_eq!(host.sandbox.trace(), "waiting\ndone\nsecond\n");
    assert_eq!(host.sandbox.history(), [("d-1".to_owned(), "failed".to_owned())]);
    // What comes next is deployed.
    host.point_and_stop(4, "d-3", &two, Some("d-2"));
    host.says("succeeded", "d-3");
}

#[test]
fn a_deployment_that_is_stopped_makes_way_for_the_one_that_goes_back() {
    let host = Host::new();
    let (good, bad) = (host.scripted("good", "#!/bin/sh\n"), host.waiting("bad", WAITS));
    host.point(1, "d-1", &good);
    let agent = host.start();
    host.says("succeeded", "d-1");
    host.point(2, "d-2", &bad);
    wait_until(|| host.sandbox.trace() == "waiting\n");
    host.point_and_stop(3, "d-3", &good, Some("d-2"));
    agent.looks_again();
    go(&host);
    host.says("succeeded", "d-3");
    assert_eq!((host.site().as_str(), host.sandbox.trace().as_str()), ("good", "waiting\ndone\nsecond\n"));
    let history = [("d-3", "succeeded"), ("d-2", "failed"), ("d-1", "succeeded")];
    assert_eq!(host.sandbox.history(), history.map(|(id, outcome)| (id.to_owned(), outcome.to_owned())));
}

#[test]
fn a_paused_host_takes_nothing_new() {
    let host = Host::new();
    let one = host.release("one");
    host.point(1, "d-1", &one);
    let agent = host.start_paused(true);
    wait_until(|| host.status()["state"] == "paused");
    agent.looks_again();
    assert_eq!((host.sandbox.trace().as_str(), &host.status()["generation"]), ("", &json!(0)));
    agent.shared.paused.send_replace(false);
    host.says("succeeded", "d-1");
    agent.shared.paused.send_replace(true);
    host.says("paused", "d-1");
}

#[test]
fn a_deployment_by_hand_is_waited_for_and_not_undone() {
    let host = Host::new();
    let (one, two) = (host.scripted("one", WAITS), host.release("two"));
    let arguments = ["deploy", "store/shop/one.tar", "--group", "dev", "--application", "shop"];
    let mut by_hand = host.sandbox.agent(&arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| host.sandbox.trace() == "waiting\n");
    host.point(1, "d-1", &two);
    let agent = host.start();
    host.says("deploying", "d-1");
    agent.looks_again();
    assert!(!host.sandbox.deployment("d-1").exists());
    go(&host);
    assert!(by_hand.wait().unwrap().success());
    host.says("succeeded", "d-1");
    assert_eq!(host.site(), "two");

    host.sandbox.run(&["rollback", "--group", "dev"]).succeeds();
    agent.looks_again();
    assert_eq!(host.site(), "one");
    wait_until(|| host.status()["installed"]["content_digest"] == one.content_digest.as_str());
    assert_eq!((&host.status()["deployment"], &host.status()["state"]), (&json!("d-1"), &json!("succeeded")));
}

#[test]
fn of_the_generations_that_come_during_a_deployment_only_the_newest_is_deployed() {
    let host = Host::new();
    let (one, two, three) = (host.scripted("one", WAITS), host.release("two"), host.release("three"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    wait_until(|| host.sandbox.trace() == "waiting\n");
    wait_until(|| host.status()["event"] == "ValidateService");
    host.says("deploying", "d-1");
    host.point(2, "d-2", &two);
    agent.looks_again();
    host.point(3, "d-3", &three);
    agent.looks_again();
    go(&host);
    host.says("succeeded", "d-3");
    assert_eq!(host.sandbox.history().iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["d-3", "d-1"]);
    assert_eq!(host.status()["generation"], 3);
}

#[test]
fn two_agents_that_report_as_one_host_are_told_so() {
    let (host, other) = (Host::new(), Host::new());
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    host.says("succeeded", "d-1");
    fs::remove_dir(other.store()).unwrap();
    std::os::unix::fs::symlink(host.store(), other.store()).unwrap();
    let second = other.start();
    other.says("succeeded", "d-1");
    host.point(2, "d-2", &two);
    let told = "another agent reports as host `web-1`; give each host a name of its own (`host`)";
    wait_until(|| {
        let mut notices = agent.notices.all();
        notices.extend(second.notices.all());
        notices.iter().any(|notice| matches!(notice, Notice::Warned { message } if message.ends_with(told)))
    });
}

#[test]
fn a_status_that_cannot_be_written_holds_up_nothing_and_is_written_later() {
    let host = Host::new();
    host.point(1, "d-1", &host.release("one"));
    fs::write(host.store().join("status"), "in the way").unwrap();
    let agent = host.start();
    wait_until(|| host.site() == "one");
    agent.warns("cannot write this host's status: cannot write `");
    host.point(2, "d-2", &host.release("two"));
    wait_until(|| host.site() == "two");
    fs::remove_file(host.store().join("status")).unwrap();
    host.says("succeeded", "d-2");
}

#[test]
fn what_cannot_be_read_of_the_past_is_not_guessed() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(1, "d-1", &one);
    let agent = host.start();
    host.says("succeeded", "d-1");
    fs::write(host.mark(), "{").unwrap();
    host.point(2, "d-2", &two);
    let told = format!("`{}` is damaged; remove it, and the pointer is followed as it stands", host.mark().display());
    agent.warns(&told);
    agent.looks_again();
    assert_eq!(host.site(), "one");
    fs::remove_file(host.mark()).unwrap();
    host.says("succeeded", "d-2");
}

#[test]
fn a_bundle_that_is_not_the_one_that_was_pointed_at_is_refused() {
    let host = Host::new();
    let (one, two) = (host.release("one"), host.release("two"));
    host.point(1, "d-1", &one);
    let _agent = host.start();
    host.says("succeeded", "d-1");
    let swapped = host::Stored { content_digest: two.content_digest.clone(), ..host.release("one") };
    host.point(2, "d-2", &swapped);
    host.says("refused", "d-2");
    let url = format!("file://{}?etag={}", host.store().join(&swapped.key).display(), swapped.etag);
    let reason =
        format!("bundle `{url}` has content digest {}, and {} was asked for", one.content_digest, two.content_digest);
    assert_eq!((host.status()["reason"].as_str(), host.site().as_str()), (Some(reason.as_str()), "one"));
}

#[test]
fn a_folder_that_hangs_holds_up_its_own_question_and_nothing_else() {
    let host = Host::new();
    let one = host.release("one");
    // As another host would that hangs while it writes its status, on a file system of the network.
    let folder = host.store().join("status/shop/dev");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join(".longshore.lock")).unwrap();
    lock.lock().unwrap();
    let agent = host.start();
    agent.looks_again();
    host.point(4, "d-ONE", &one);
    wait_until(|| host.site() == "one");
    assert_eq!(host.status(), json!(null), "the status waits");
    drop(lock);
    host.says("succeeded", "d-ONE");
    agent.stop();
}
