//! `logs`, by the real program: what was printed, while it is printed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::Sandbox;
use serde_json::Value;

const TALKS: &str = "#!/bin/sh\necho one\necho two >&2\n";
/// Prints, waits for a file, prints again.
const WAITS: &str = "#!/bin/sh\necho before\nwhile [ ! -e {trace}.go ]; do sleep 0.02; done\necho after\n";

fn revision(host: &Sandbox, name: &str, script: &str) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n      timeout: 60\n";
    host.revision(name, &[("appspec.yml", appspec), ("run.sh", script)])
}

/// Lines without their time stamps.
fn bare(text: &str) -> Vec<String> {
    text.lines().map(|line| line["2026-01-01 00:00:00 ".len()..].to_owned()).collect()
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_background(host: &Sandbox, arguments: &[&str]) -> Running {
    let mut command = host.agent(arguments);
    Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().unwrap())
}

fn deploy_in_background(host: &Sandbox, revision: &Path) -> Running {
    in_background(host, &["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"])
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn log(host: &Sandbox) -> String {
    let deployments = fs::read_dir(host.root().join("shop~dev")).into_iter().flatten().flatten();
    let mut logs = deployments.filter_map(|folder| fs::read_to_string(folder.path().join("logs/scripts.log")).ok());
    logs.next().unwrap_or_default()
}

fn lines_of(child: &mut Running) -> std::io::Lines<BufReader<ChildStdout>> {
    BufReader::new(child.0.stdout.take().unwrap()).lines()
}

#[test]
fn the_output_of_the_latest_or_the_named_deployment_is_shown() {
    let host = Sandbox::new();
    host.deploy(&revision(&host, "talks", TALKS), &[]).succeeds();
    let expected = ["LifecycleEvent - AfterInstall", "Script - run.sh", "[stdout]one", "[stderr]two"];
    assert_eq!(bare(&host.run(&["logs"]).succeeds().out), expected);
    let first = host.history()[0].0.clone();

    host.deploy(&revision(&host, "other", "echo other\n"), &[]).succeeds();
    assert!(host.run(&["logs", "--group", "dev"]).succeeds().out.contains("[stdout]other"));
    assert_eq!(bare(&host.run(&["logs", &first]).succeeds().out), expected);
    // One that has ended is followed to its end, which is there.
    assert_eq!(bare(&host.run(&["logs", &first, "--follow"]).succeeds().out), expected);
}

#[test]
fn a_deployment_without_scripts_says_that_nothing_was_printed() {
    let host = Sandbox::new();
    let quiet = host.revision("quiet", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    host.deploy(&quiet, &[]).succeeds();
    let ran = host.run(&["logs"]).succeeds().tells("has printed anything");
    assert_eq!(ran.out, "");
    host.run(&["logs", "d-NOSUCHONE"]).exits(7).tells("there is no deployment d-NOSUCHONE");
}

#[test]
fn json_is_one_object_for_each_line() {
    let host = Sandbox::new();
    host.deploy(&revision(&host, "odd", "#!/bin/sh\nprintf 'a\\377b\\n'\nexit 3\n"), &[]).exits(5);
    let out = host.run(&["logs", "--output", "json"]).succeeds().out;
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["kind"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("event", "AfterInstall"),
            ("script", "run.sh"),
            ("stdout", "a\u{fffd}b"),
            ("agent", "`run.sh` exited with 3")
        ]
    );
    let id = host.history()[0].0.clone();
    assert!(lines.iter().all(|line| line["deployment"] == *id && line["at"].as_str().unwrap().len() == 19));
}

#[test]
fn bytes_that_are_no_utf8_are_shown_as_they_are() {
    let host = Sandbox::new();
    host.deploy(&revision(&host, "odd", "#!/bin/sh\nprintf 'a\\377b\\n'\n"), &[]).succeeds();
    let output = host.agent(&["logs"]).output().unwrap();
    assert!(output.stdout.windows(3).any(|part| part == b"a\xffb"));
}

#[test]
fn parts_that_were_rotated_away_come_first_the_oldest_before_all() {
    let host = Sandbox::new();
    host.deploy(&revision(&host, "talks", TALKS), &[]).succeeds();
    let logs = host.deployment(&host.history()[0].0).join("logs");
    fs::write(logs.join("scripts.log.1"), "2026-01-01 00:00:00 [stdout]newer\n").unwrap();
    fs::write(logs.join("scripts.log.2"), "2026-01-01 00:00:00 [stdout]older\n").unwrap();
    fs::write(logs.join("scripts.log.10"), "2026-01-01 00:00:00 [stdout]oldest\n").unwrap();
    fs::write(logs.join("scripts.log.gz"), "none of ours").unwrap();
    let shown = bare(&host.run(&["logs"]).succeeds().out);
    assert_eq!(shown[..4], ["[stdout]oldest", "[stdout]older", "[stdout]newer", "LifecycleEvent - AfterInstall"]);
    assert_eq!(shown.len(), 7);
}

#[test]
fn a_follower_sees_lines_as_they_come_also_across_a_rotation_and_ends_with_the_deployment() {
    let host = Sandbox::new();
    let mut agent = deploy_in_background(&host, &revision(&host, "waits", WAITS));
    wait_until("the first line", || log(&host).contains("before"));
    let mut follower = in_background(&host, &["logs", "--follow"]);
    let mut lines = lines_of(&mut follower);
    let mut next = || lines.next().map(|line| bare(&line.unwrap()).remove(0));
    for expected in ["LifecycleEvent - AfterInstall", "Script - run.sh", "[stdout]before"] {
        assert_eq!(next().as_deref(), Some(expected));
    }
    // The part being read is renamed, and still gets a line; so is the next one, before anybody has read it.
    let logs = host.deployment(&host.history()[0].0).join("logs");
    let stamp = "2026-01-01 00:00:00 ";
    fs::rename(logs.join("scripts.log"), logs.join("scripts.log.2")).unwrap();
    let mut old = fs::OpenOptions::new().append(true).open(logs.join("scripts.log.2")).unwrap();
    std::io::Write::write_all(&mut old, format!("{stamp}[stdout]late\n").as_bytes()).unwrap();
    fs::write(logs.join("scripts.log.1"), format!("{stamp}[stdout]between\n")).unwrap();
    fs::write(logs.join("scripts.log"), format!("{stamp}[stdout]newest\n")).unwrap();
    for expected in ["[stdout]late", "[stdout]between", "[stdout]newest"] {
        assert_eq!(next().as_deref(), Some(expected));
    }
    fs::write(host.path().join("trace.go"), "").unwrap();
    assert!(agent.0.wait().unwrap().success());
    // What the script prints after that is in the file that it had open, or in the new one: it is shown in any case.
    let rest: Vec<String> = std::iter::from_fn(next).collect();
    assert!(rest.is_empty() || rest == ["[stdout]after"], "{rest:?}");
    assert!(follower.0.wait().unwrap().success());
}

#[test]
fn a_follower_goes_on_after_the_agent_died_until_the_script_has_ended() {
    let host = Sandbox::new();
    let mut agent = deploy_in_background(&host, &revision(&host, "waits", WAITS));
    wait_until("the first line", || log(&host).contains("before"));
    agent.0.kill().unwrap();
    agent.0.wait().unwrap();
    let mut follower = in_background(&host, &["logs", "--follow"]);
    let mut lines = lines_of(&mut follower);
    let mut next = || lines.next().map(|line| bare(&line.unwrap()).remove(0));
    for expected in ["LifecycleEvent - AfterInstall", "Script - run.sh", "[stdout]before"] {
        assert_eq!(next().as_deref(), Some(expected));
    }
    fs::write(host.path().join("trace.go"), "").unwrap();
    assert_eq!(next().as_deref(), Some("[stdout]after"));
    assert_eq!(next(), None);
    assert!(follower.0.wait().unwrap().success());
    host.run(&["resume"]).succeeds();
}

#[test]
fn a_follower_is_ended_by_ctrl_c_without_a_failure() {
    let host = Sandbox::new();
    let mut agent = deploy_in_background(&host, &revision(&host, "waits", WAITS));
    wait_until("the first line", || log(&host).contains("before"));
    let mut follower = in_background(&host, &["logs", "-f"]);
    let mut lines = lines_of(&mut follower);
    lines.next().unwrap().unwrap();
    kill(Pid::from_raw(follower.0.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(follower.0.wait().unwrap().code(), Some(0));
    fs::write(host.path().join("trace.go"), "").unwrap();
    assert!(agent.0.wait().unwrap().success(), "the deployment does not notice");
}
