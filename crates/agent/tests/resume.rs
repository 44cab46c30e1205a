//! Agents that were killed: what they left is finished by the next one.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its own part of it")]
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use sandbox::{Sandbox, wait_until};

/// A release whose AfterInstall waits until somebody writes `trace.go`, and whose other scripts trace themselves.
fn waiting(host: &Sandbox) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  BeforeInstall:\n    \
                   - location: before.sh\n  AfterInstall:\n    - location: wait.sh\n    - location: after.sh\n  \
                   ApplicationStart:\n    - location: start.sh\n";
    let traced = |name: &str| format!("#!/bin/sh\necho {name} >> {{trace}}\n");
    let wait = "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho said at the end\necho done >> {trace}\n";
    host.revision(
        "waiting",
        &[
            ("appspec.yml", appspec),
            ("before.sh", &traced("before")),
            ("wait.sh", wait),
            ("after.sh", &traced("after")),
            ("start.sh", &traced("start")),
            ("site/index.html", "new"),
        ],
    )
}

fn start(host: &Sandbox, revision: &Path) -> Child {
    let mut agent = host.agent(&["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"]);
    agent.stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut agent: Child) {
    agent.kill().unwrap();
    agent.wait().unwrap();
}

fn go(host: &Sandbox) {
    fs::write(host.path().join("trace.go"), "").unwrap();
}

/// The lines of a deployment's journal that close it.
fn closes(host: &Sandbox, id: &str) -> usize {
    let journal = fs::read_to_string(host.deployment(id).join("journal.jsonl")).unwrap();
    journal.lines().filter(|line| line.contains("\"entry\":\"closed\"")).count()
}

#[test]
fn an_agent_killed_in_the_middle_of_a_hook_picks_it_up_and_finishes_the_deployment() {
    let host = Sandbox::new();
    let revision = waiting(&host);
    let agent = start(&host, &revision);
    wait_until(|| host.trace() == "before\nwaiting\n");
    kill(agent);
    assert_eq!(host.history()[0].1, "unfinished");

    let again = host.agent(&["resume"]).stderr(Stdio::piped()).spawn().unwrap();
    let id = host.history()[0].0.clone();
    let resumed = || fs::read_to_string(host.deployment(&id).join("events.jsonl")).unwrap().contains("\"hook_found\"");
    wait_until(resumed);
    host.run(&["resume"]).exits(9);
    go(&host);
    let ran = sandbox::Ran::of(again.wait_with_output().unwrap()).succeeds();
    assert_eq!(host.trace(), "before\nwaiting\ndone\nafter\nstart\n", "each script ran once");
    insta::assert_snapshot!(host.stable(&ran.told));
    assert_eq!((host.history()[0].1.as_str(), closes(&host, &id)), ("succeeded", 1));
    host.run(&["resume"]).succeeds().tells("nothing was left unfinished");
    assert_eq!(closes(&host, &id), 1);
}

#[test]
fn a_hook_that_ended_while_no_agent_was_there_is_not_run_again() {
    let host = Sandbox::new();
    let revision = waiting(&host);
    let agent = start(&host, &revision);
    wait_until(|| host.trace() == "before\nwaiting\n");
    kill(agent);
    go(&host);
    let id = host.history()[0].0.clone();
    wait_until(|| host.deployment(&id).join("hooks/002/result.json").exists());
    host.run(&["resume", "--group", "dev"]).succeeds().tells("has ended since");
    assert_eq!(host.trace(), "before\nwaiting\ndone\nafter\nstart\n");
    assert_eq!(host.history()[0].1, "succeeded");
}

#[test]
fn a_hook_that_a_reboot_interrupted_fails_its_deployment_and_never_runs_again() {
    for is_folder_lost in [false, true] {
        let host = Sandbox::new();
        host.deploy(&host.traced("old", &[("index.html", "old")]), &["--deployment-id", "d-OLD"]).succeeds();
        let before = host.trace();
        let agent = start(&host, &waiting(&host));
        wait_until(|| host.trace().ends_with("before\nwaiting\n"));
        kill(agent);
        let id = host.history()[0].0.clone();
        // The power goes: everything that runs ends at once, and what was not synced may be lost.
        let hook = host.deployment(&id).join("hooks/005");
        let running: serde_json::Value = serde_json::from_slice(&fs::read(hook.join("running.json")).unwrap()).unwrap();
        for process in ["shim", "pid"] {
            let pid = Pid::from_raw(i32::try_from(running[process].as_i64().unwrap()).unwrap());
            signal::kill(pid, Signal::SIGKILL).unwrap();
            wait_until(|| has_ended(pid));
        }
        if is_folder_lost {
            fs::remove_dir_all(&hook).unwrap();
        }
        let journal = host.deployment(&id).join("journal.jsonl");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let lines = fs::read_to_string(&journal).unwrap().replace(boot.trim(), "the-boot-before");
        fs::write(&journal, lines).unwrap();

        let ran = host.run(&["resume"]).exits(5);
        assert_eq!(
            host.trace().strip_prefix(&before).unwrap(),
            "old BeforeBlockTraffic\nold AfterBlockTraffic\nold ApplicationStop\nbefore\nwaiting\n"
        );
        if is_folder_lost {
            insta::assert_snapshot!(host.stable(&ran.told));
        }
        assert_eq!((host.history()[0].1.as_str(), closes(&host, &id)), ("interrupted", 1));
        assert_eq!(
            fs::read_to_string(host.www().join("index.html")).unwrap(),
            "new",
            "its files are installed, as told"
        );
        // Nobody restored anything by itself; the way that was told works.
        host.run(&["rollback", "--group", "dev", "--skip", "ApplicationStop"]).succeeds();
        assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "old");
    }
}

fn has_ended(pid: Pid) -> bool {
    // A zombie has ended; whoever adopted it may be slow to reap it.
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_script_whose_watcher_died_too_is_ended_before_a_new_deployment_begins() {
    let host = Sandbox::new();
    let agent = start(&host, &waiting(&host));
    wait_until(|| host.trace() == "before\nwaiting\n");
    kill(agent);
    let id = host.history()[0].0.clone();
    let running = host.deployment(&id).join("hooks/002/running.json");
    let running: serde_json::Value = serde_json::from_slice(&fs::read(running).unwrap()).unwrap();
    let pid = |key: &str| Pid::from_raw(i32::try_from(running[key].as_i64().unwrap()).unwrap());
    signal::kill(pid("shim"), Signal::SIGKILL).unwrap();
    wait_until(|| has_ended(pid("shim")));
    assert!(!has_ended(pid("pid")));
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    host.deploy(&plain, &[]).succeeds().tells("of the interrupted deployment");
    assert!(has_ended(pid("pid")));
}

#[test]
fn a_restore_that_failed_before_a_crash_is_told_as_failed() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: start.sh\n";
    let one = host.revision("one", &[("appspec.yml", appspec), ("start.sh", "#!/bin/sh\ntest ! -e {trace}\n")]);
    let two = host.revision("two", &[("appspec.yml", appspec), ("start.sh", "#!/bin/sh\ntouch {trace}\nexit 1\n")]);
    host.deploy(&one, &[]).succeeds();
    host.deploy(&two, &["--deployment-id", "d-TWO"]).exits(5).tells("did not come back");
    // As if the agent had died before it could close the deployment that failed first.
    let journal = host.deployment("d-TWO").join("journal.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    let (open, closed) = lines.trim_end().rsplit_once('\n').unwrap();
    assert!(closed.contains("\"closed\""));
    fs::write(&journal, format!("{open}\n")).unwrap();
    host.run(&["resume"]).exits(5).tells("the last good release did not come back: hook `start.sh` exited with 1");
}

#[test]
fn a_restore_that_was_interrupted_is_finished_before_its_deployment_is_closed() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  ApplicationStart:\n    \
                   - location: start.sh\n";
    // Waits when it runs a second time.
    let start_one = "#!/bin/sh\necho one start >> {trace}\n[ -e {trace}.second ] || exit 0\nuntil [ -e {trace}.go ]; do sleep 0.05; done\n";
    let one = host.revision("one", &[("appspec.yml", appspec), ("start.sh", start_one), ("site/a", "1")]);
    let two = host.revision(
        "two",
        &[("appspec.yml", appspec), ("start.sh", "#!/bin/sh\necho two start >> {trace}\nexit 1\n"), ("site/a", "2")],
    );
    host.deploy(&one, &[]).succeeds();
    fs::write(host.path().join("trace.second"), "").unwrap();
    let agent = start(&host, &two);
    wait_until(|| host.trace() == "one start\ntwo start\none start\n");
    kill(agent);
    let outcomes = |host: &Sandbox| -> Vec<String> { host.history().into_iter().map(|(_, outcome)| outcome).collect() };
    assert_eq!(outcomes(&host), ["unfinished", "unfinished", "succeeded"]);
    go(&host);
    host.run(&["resume"]).exits(5).tells("the last good release is back");
    assert_eq!(outcomes(&host), ["succeeded", "failed", "succeeded"]);
    assert_eq!(host.trace(), "one start\ntwo start\none start\n");
    assert_eq!(fs::read_to_string(host.www().join("a")).unwrap(), "1");
}
