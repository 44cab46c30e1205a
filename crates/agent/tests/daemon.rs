//! The whole daemon, as a process.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::Sandbox;
use serde_json::{Value, json};

/// The daemon of a host that takes orders from its socket alone.
fn daemon(host: &Sandbox) -> Command {
    let file = host.path().join("agent.toml");
    let socket = host.path().join("agent.sock");
    let text = format!("[codedeploy]\nenabled = false\n[control]\nsocket = {socket:?}\n");
    fs::write(&file, text).unwrap();
    let mut command = host.agent(&["run", "--output", "json", "--config", file.to_str().unwrap()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends it: the rest of what it said, as JSON, and what stands on standard error.
fn end(daemon: Child) -> (Vec<Value>, String) {
    kill(Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = daemon.wait_with_output().unwrap();
    assert!(ended.status.success());
    let lines = String::from_utf8(ended.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_warning_of_any_part_stands_in_the_daemons_log_unless_tracing_was_asked_for() {
    let host = Sandbox::new();
    let lost = "systemd cannot be told of this process";
    for (asked, is_in_log) in [(None, true), (Some("warn"), false)] {
        let mut command = daemon(&host);
        command.env("NOTIFY_SOCKET", "/nowhere").envs(asked.map(|level| ("LONGSHORE_LOG", level)));
        let mut child = command.spawn().unwrap();
        // It says when it has begun.
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut told = Vec::new();
        loop {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended early");
            told.push(serde_json::from_str::<Value>(&line).unwrap());
            if told.last().unwrap()["type"] == "started" {
                break;
            }
        }
        let (_, errors) = end(child);
        let warned = told.iter().filter(|line| line["type"] == "warned");
        let warned: Vec<&str> = warned.map(|line| line["message"].as_str().unwrap()).collect();
        let text = format!("{lost} (address \"/nowhere\", error No such file or directory (os error 2))");
        assert_eq!(warned.contains(&text.as_str()), is_in_log, "{warned:?}");
        assert_eq!(errors.contains(lost), !is_in_log, "{errors}");
    }
}

#[test]
fn whoever_waits_until_the_daemon_is_ready_can_ask_it_at_once() {
    let host = Sandbox::new();
    let path = host.path().join("notify.sock");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let child = daemon(&host).env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut bytes = [0; 4096];
    let length = systemd.recv(&mut bytes).unwrap();
    let connected = UnixStream::connect(host.path().join("agent.sock"));
    let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["READY=1", "STATUS=takes orders from its socket alone; no source is configured"]
    );
    drop(connected.unwrap());
    let (told, _) = end(child);
    assert_eq!(told.last().unwrap()["type"], json!("stopped"));
}
