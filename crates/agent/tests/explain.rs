//! `explain`, by the real program, after real deployments of real scripts.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Ran, Sandbox};
use serde_json::Value;

/// A text without what differs from run to run: times, ids, digests, process ids.
fn stable(host: &Sandbox, text: &str) -> String {
    let mut out = String::new();
    for line in host.stable(text).lines() {
        let words: Vec<String> =
            line.split(' ').map(|word| if is_time(word) { "{at}".into() } else { word.to_owned() }).collect();
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

fn is_time(word: &str) -> bool {
    word.len() > 20 && word.as_bytes()[4] == b'-' && word.trim_end_matches(',').ends_with('Z') && word.contains('T')
}

fn explain(host: &Sandbox, more: &[&str]) -> Ran {
    host.run(&[&["explain"], more].concat())
}

fn json(host: &Sandbox, more: &[&str]) -> Value {
    serde_json::from_str(&explain(host, &[more, &["--output", "json"]].concat()).succeeds().out).unwrap()
}

fn with_hook(host: &Sandbox, name: &str, event: &str, script: &str) -> PathBuf {
    let appspec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {{www}}\nhooks:\n  {event}:\n    - location: run.sh\n      timeout: 2\n"
    );
    host.revision(name, &[("appspec.yml", &appspec), ("run.sh", script), ("site/index.html", name)])
}

#[test]
fn a_failed_script_is_explained_with_its_last_lines_its_cause_and_the_way_back() {
    let host = Sandbox::new();
    let good = with_hook(&host, "good", "ApplicationStart", "#!/bin/sh\necho started\n");
    let bad = with_hook(&host, "bad", "ApplicationStart", "#!/bin/sh\necho starting\ncd dist\nfrobnicate-the-shop\n");
    host.deploy(&good, &[]).succeeds();
    host.deploy(&bad, &["--on-failure", "leave"]).exits(5);
    insta::assert_snapshot!(stable(&host, &explain(&host, &[]).succeeds().out));

    let told = json(&host, &[]);
    assert_eq!(told["failed"]["diagnostics"]["error_code"], 4);
    assert_eq!(told["failed"]["diagnostics"]["script_name"], "run.sh");
    assert_eq!(told["failed"]["script"]["from"], "current");
    let names: Vec<&Value> = told["causes"].as_array().unwrap().iter().map(|cause| &cause["cause"]).collect();
    assert_eq!(names, ["command-not-found", "no-such-file"]);
}

#[test]
fn a_restore_that_followed_a_failure_is_told_with_it() {
    let host = Sandbox::new();
    let good = with_hook(&host, "good", "ApplicationStart", "#!/bin/sh\necho started\n");
    let bad = with_hook(&host, "bad", "ApplicationStart", "#!/bin/sh\nexit 126\n");
    host.deploy(&good, &[]).succeeds();
    host.deploy(&bad, &[]).exits(5);
    let history: Vec<Value> = serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let failed = history.iter().find(|record| record["outcome"] == "failed").unwrap();
    let id = failed["order"]["deployment"].as_str().unwrap();
    let restore = history.iter().find(|record| record["order"]["cause"]["cause"] == "restore").unwrap();
    assert_eq!(failed["restored_by"], restore["order"]["deployment"]);
    assert_eq!(failed["hooks"][0]["outcome"], "exited");
    assert_eq!(failed["hooks"][0]["status"], 126);
    insta::assert_snapshot!(stable(&host, &explain(&host, &[id]).succeeds().out));
    let restore = failed["restored_by"].as_str().unwrap();
    insta::assert_snapshot!("the_restore_itself", stable(&host, &explain(&host, &[restore]).succeeds().out));
    // Without an id it is the failure that is told, by each command.
    assert_eq!(json(&host, &[])["deployment"], id);
    assert_eq!(host.run(&["logs"]).succeeds().out, host.run(&["logs", id]).succeeds().out);
    let status = host.run(&["status"]).succeeds().out;
    assert!(status.contains(&format!("{id} failed at ")), "{status}");
    assert!(status.contains(&format!("; {restore} restored the last good release")), "{status}");
}

#[test]
fn the_fix_of_a_bundle_from_a_store_is_another_bundle_and_of_a_followed_group_another_push_unless_it_moved_on() {
    let host = Sandbox::new();
    let bad = with_hook(&host, "bad", "ApplicationStart", "#!/bin/sh\nexit 1\n");
    let zip = host.path().join("bad.zip");
    let zipped = Command::new("zip").args(["-qr", zip.to_str().unwrap(), "."]).current_dir(&bad).status().unwrap();
    assert!(zipped.success());
    let url = format!("file://{}", zip.display());
    host.run(&["deploy", &url, "--group", "dev", "--application", "shop"]).exits(5);
    let next = || {
        let told = json(&host, &[]);
        let all = told["next"].as_array().unwrap().iter();
        all.map(|next| (next["purpose"].as_str().unwrap().to_owned(), next["command"].as_str().unwrap().to_owned()))
            .filter(|(purpose, _)| purpose != "doctor")
            .collect::<Vec<_>>()
    };
    let deploy = |what: &str| {
        let root = host.root();
        format!("longshore-agent deploy {what} --group dev --application shop --root {}", root.display())
    };
    assert_eq!(next(), [("other".to_owned(), deploy("BUNDLE")), ("same".to_owned(), deploy(&url))]);

    // As an agent leaves it that follows the group.
    let installed = json(&host, &[])["group_id"].as_str().unwrap().to_owned();
    fs::write(host.root().join("groups").join(installed).join("pointer.json"), "{}").unwrap();
    assert_eq!(
        next(),
        [
            ("push".to_owned(), "longshore push --group dev".to_owned()),
            ("previous".to_owned(), "longshore point --group dev --application shop --previous".to_owned())
        ]
    );

    // The group has moved on: from where it is now, another way leads back.
    let old = json(&host, &[])["deployment"].as_str().unwrap().to_owned();
    host.run(&["deploy", &url, "--group", "dev", "--application", "shop"]).exits(5);
    let latest = json(&host, &[])["deployment"].as_str().unwrap().to_owned();
    let told = json(&host, &[&old]);
    let root = host.root();
    let explain = serde_json::json!({"purpose": "latest", "command": format!("longshore-agent explain {latest} --root {}", root.display())});
    assert_eq!((told["next"][0].clone(), told["next"].as_array().unwrap().len()), (explain, 2), "{told:#}");
}

#[test]
fn a_refusal_is_explained_with_all_of_its_reasons() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n  - source: dist\n    destination: \
                   {www}\nhooks:\n  AfterInstall:\n    - location: run.sh\n      runas: no-such-user-here\n    - location: gone.sh\n";
    let bad = host.revision("bad", &[("appspec.yml", appspec), ("run.sh", "true\n"), ("site/a", "1")]);
    host.deploy(&bad, &[]);
    assert_eq!(host.history()[0].1, "refused");
    insta::assert_snapshot!(stable(&host, &explain(&host, &[]).succeeds().out));
}

#[test]
fn a_success_is_told_briefly() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("index.html", "1")]);
    host.deploy(&one, &[]).succeeds();
    host.deploy(&one, &["--skip", "ApplicationStart"]).succeeds();
    insta::assert_snapshot!(stable(&host, &explain(&host, &["--group", "dev"]).succeeds().out));
}

#[test]
fn the_stop_script_of_the_installed_revision_is_named_as_what_a_fix_does_not_reach() {
    let host = Sandbox::new();
    let one = with_hook(&host, "one", "ApplicationStop", "#!/bin/sh\necho 'shop is not running' >&2\nexit 1\n");
    host.deploy(&one, &[]).succeeds();
    host.deploy(&one, &[]).exits(5);
    let told = json(&host, &[]);
    assert_eq!(told["causes"][0]["cause"], "old-stop-script");
    let command = told["causes"][0]["commands"][0].as_str().unwrap().to_owned();
    // The command does what it promises.
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    host.run(&words).succeeds();
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn deploy_in_background(host: &Sandbox, revision: &std::path::Path) -> Child {
    let arguments = ["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"];
    let mut command = host.agent(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

#[test]
fn a_deployment_under_way_is_told_from_one_whose_agent_died_and_from_one_that_was_interrupted() {
    let host = Sandbox::new();
    let slow = host.revision(
        "slow",
        &[
            ("appspec.yml", "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n"),
            ("run.sh", "#!/bin/sh\necho half way\necho x >> {trace}\nwhile [ ! -e {trace}.go ]; do sleep 0.05; done\n"),
        ],
    );
    let mut agent = deploy_in_background(&host, &slow);
    wait_until("the script", || !host.trace().is_empty());
    let told = json(&host, &[]);
    assert_eq!((&told["standing"]["standing"], &told["ended"]), (&"running".into(), &Value::Null));
    let all = |command: &str| -> Value {
        serde_json::from_str(&host.run(&[command, "--output", "json"]).succeeds().out).unwrap()
    };
    for record in [&all("status")[0]["last"], &all("history")[0]] {
        assert_eq!((&record["ended"], record["updated"].is_string()), (&Value::Null, true), "{record:#}");
    }
    let id = told["deployment"].as_str().unwrap().to_owned();
    let text = explain(&host, &[]).succeeds().out;
    assert_eq!(text.lines().next().unwrap(), format!("{id} is under way (process {})", agent.id()));
    assert!(text.lines().any(|line| line.starts_with("When ") && line.ends_with("s so far")), "{text}");
    let status = host.run(&["status"]).succeeds().out;
    assert!(status.contains(&format!("{id} under way in AfterInstall, begun at ")), "{status}");
    assert_eq!(told["causes"], serde_json::json!([]));
    explain(&host, &[]).succeeds();

    agent.kill().unwrap();
    agent.wait().unwrap();
    let status = host.run(&["status"]).succeeds().out;
    assert!(status.contains(&format!("{id} unfinished in AfterInstall, begun at ")), "{status}");
    insta::assert_snapshot!("the_agent_died", stable(&host, &explain(&host, &[&id]).succeeds().out));

    // Where an agent took orders below this root, its start is enough.
    let lock = host.root().join("daemon.lock");
    fs::write(&lock, "").unwrap();
    explain(&host, &[&id]).succeeds();
    assert_eq!(json(&host, &[&id])["next"][0]["command"], "systemctl start longshore-agent");
    fs::remove_file(&lock).unwrap();

    // Its shim dies too, as in a reboot.
    let running = fs::read_to_string(host.deployment(&id).join("hooks/001/running.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    let end = |pid: &Value| {
        let pid = nix::unistd::Pid::from_raw(pid.as_i64().unwrap().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    end(&running["shim"]);
    fs::write(host.path().join("trace.go"), "").unwrap();
    // Nobody waits for the script any more but init: gone, or a zombie that init has not come to yet.
    let script = format!("/proc/{}/stat", running["pid"]);
    wait_until("the end of the script", || fs::read_to_string(&script).map_or(true, |stat| stat.contains(") Z ")));
    let mut resumed = None;
    wait_until("the end of the shim", || {
        let told = json(&host, &[&id]);
        told["standing"]["script"].is_null() && {
            resumed = host.run(&["resume"]).code;
            true
        }
    });
    assert_eq!(resumed, Some(5));
    insta::assert_snapshot!("interrupted", stable(&host, &explain(&host, &[&id]).succeeds().out));
}

#[test]
fn what_real_shells_print_leads_to_its_cause() {
    let host = Sandbox::new();
    for (name, script, cause) in [
        ("missing", "#!/bin/sh\nfrobnicate-the-shop\n", "command-not-found"),
        ("mode", "#!/bin/sh\ntouch f && chmod 600 f && ./f\n", "permission-denied"),
        ("crlf", "#!/bin/bash\r\ntrue\r\n", "windows-line-ends"),
        ("crlf-body", "#!/bin/bash\nset -e\r\nfalse\r\n", "windows-line-ends"),
        ("interpreter", "#!/no/such/interpreter\n", "interpreter-missing"),
        ("unset", "#!/bin/bash\nset -u\necho $NO_SUCH_THING\n", "variable-unset"),
        ("bashism", "set -e\n[[ 1 == 1 ]]\n", "bash-in-sh"),
        ("syntax", "#!/bin/bash\nif true; then\necho\n", "syntax"),
        ("killed", "#!/bin/sh\nkill -9 $$\n", "memory"),
        ("crashed", "#!/bin/sh\nkill -SEGV $$\n", "crashed"),
        ("exists", "#!/bin/sh\nmkdir /tmp\n", "file-exists"),
        ("full", "#!/bin/bash\nset -e\necho x > /dev/full\n", "disk-full"),
        ("path", "#!/bin/sh\ncat conf/app.yml\n", "no-such-file"),
        ("user", "#!/bin/sh\nchown no-such-user-here .\n", "unknown-user"),
        ("waits", "#!/bin/sh\nprintf 'Go on? [y/N] \\n'\nsleep 60\n", "timeout-input"),
        ("slow", "#!/bin/sh\necho step 1\nsleep 60\n", "timeout"),
        ("docker", "#!/bin/sh\nDOCKER_HOST=unix:///no/such.sock docker ps\n", "docker-daemon"),
        ("dns", "#!/bin/sh\ncurl --silent --show-error http://no-such-host.invalid/\n", "dns"),
        ("refused", "#!/bin/sh\ncurl --silent --show-error http://127.0.0.1:1/\n", "http-check"),
    ] {
        let revision = with_hook(&host, name, "BeforeInstall", script);
        host.deploy(&revision, &["--grace", "1"]).exits(5);
        let told = json(&host, &[]);
        assert_eq!(told["causes"][0]["cause"], cause, "{name}: {:#}", told["failed"]);
    }
}

#[test]
fn what_nobody_knows_is_not_guessed() {
    let host = Sandbox::new();
    let odd = with_hook(&host, "odd", "BeforeInstall", "#!/bin/sh\necho the widget is sad\nexit 42\n");
    host.deploy(&odd, &[]).exits(5);
    let told = explain(&host, &[]).succeeds().out;
    assert!(told.contains("The cause is none of those that are known here."), "{told}");
    assert_eq!(json(&host, &[])["causes"], serde_json::json!([]));
}

#[test]
fn a_damaged_journal_hides_its_own_deployment_and_no_other() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("a", "1")]);
    host.deploy(&one, &[]).succeeds();
    host.deploy(&one, &[]).succeeds();
    let ids = host.history();
    let journal = host.deployment(&ids[0].0).join("journal.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = lines.lines().collect();
    lines[3] = "{\"at\":\"nonsense\"}";
    fs::write(&journal, lines.join("\n") + "\n").unwrap();

    for command in ["status", "history", "explain"] {
        insta::assert_snapshot!(format!("damaged_{command}"), stable(&host, &host.run(&[command]).succeeds().out));
    }
    assert_eq!(json(&host, &[&ids[1].0])["standing"]["outcome"], "succeeded");
    host.deploy(&one, &[]).exits(1).tells("is damaged in line 4");

    // Not even its first line can be read: there is nothing to explain, and the others are listed all the same.
    lines[0] = "{}";
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    explain(&host, &[&ids[0].0]).exits(1).tells("does not say what was asked for");
    host.run(&["status"]).succeeds();
    let history: Vec<Value> = serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let damaged: Vec<&Value> = history.iter().filter(|past| past["damage"].is_string()).collect();
    assert_eq!((history.len(), damaged.len(), &damaged[0]["deployment"]), (2, 1, &ids[0].0.clone().into()));
}

#[test]
fn what_does_not_exist_is_said_with_what_does() {
    let host = Sandbox::new();
    explain(&host, &[]).exits(7).tells("nothing was deployed below");
    let one = host.traced("one", &[("a", "1")]);
    host.deploy(&one, &[]).succeeds();
    explain(&host, &["--group", "prod"])
        .exits(7)
        .tells("no deployment of group `prod`")
        .tells("there are deployments of `dev`");
    explain(&host, &["d-NOSUCHONE"]).exits(7).tells("there is no deployment d-NOSUCHONE below");
    let none = host.run(&["history", "--group", "prod"]).succeeds();
    assert_eq!(
        none.out,
        format!("no deployment of group `prod` below {}; there are deployments of `dev`\n", host.root().display())
    );
}

#[test]
fn a_group_that_does_not_exist_is_not_found_by_every_command() {
    let host = Sandbox::new();
    host.deploy(&host.traced("one", &[("a", "1")]), &[]).succeeds();
    for command in ["status", "resume", "explain", "logs", "rollback"] {
        host.run(&[command, "--group", "nope"]).exits(7);
    }
    host.run(&["status", "--group", "nope"]).exits(7).tells("no group has the name `nope`");
    host.run(&["resume", "--group", "nope"]).exits(7).tells("there are deployments of `dev`");
    host.run(&["resume"]).succeeds();
}

#[test]
fn a_group_of_the_aws_agent_has_its_status_too() {
    let host = Sandbox::new();
    let folder = host.root().join("2c8b0a64-0001/d-AWSAGENT1");
    fs::create_dir_all(folder.join("deployment-archive")).unwrap();
    let records = host.root().join("deployment-instructions");
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join("2c8b0a64-0001_last_successful_install"), folder.to_str().unwrap()).unwrap();
    insta::assert_snapshot!(stable(&host, &host.run(&["status"]).succeeds().out));
    explain(&host, &["d-AWSAGENT1"]).exits(7).tells("a deployment of the AWS agent, which keeps no journal");
}

#[test]
fn a_result_that_does_not_reach_a_full_disk_is_a_failure_and_a_closed_pipe_is_none() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("a", "1")]);
    host.deploy(&one, &[]).succeeds();
    for command in ["explain", "doctor", "logs", "history", "status"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = host.agent(&[command]).stdout(full).output().unwrap();
        Ran::of(output).exits(1).tells("cannot write the result to standard output").tells("No space left on device");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = host.agent(&[command]).stdout(writer).output().unwrap();
        let ran = Ran::of(output).succeeds();
        assert_eq!(ran.told, "", "{command}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_json_when_json_is_asked_for() {
    let host = Sandbox::new();
    let told = |ran: Ran| -> Value { serde_json::from_str(&ran.exits(2).out).unwrap() };
    let error = told(host.run(&["explain", "--gruop", "dev", "--output", "json"]));
    assert_eq!(error["error"]["message"], "unexpected argument '--gruop' found");
    assert_eq!(error["error"]["exit_code"], 2);
    let error = told(Ran::of(host.agent(&["explode"]).env("LONGSHORE_OUTPUT", "json").output().unwrap()));
    assert_eq!(error["error"]["message"], "unrecognized subcommand 'explode'");
    let text = host.run(&["explode"]).exits(2).tells("unrecognized subcommand");
    assert_eq!(text.out, "");
    assert!(host.run(&["--help", "--output=json"]).succeeds().out.contains("Usage:"));
}

#[test]
fn files_that_only_root_may_read_are_named_with_what_to_do() {
    let host = Sandbox::new();
    host.deploy(&host.traced("one", &[("a", "1")]), &[]).succeeds();
    let (id, _) = host.history().remove(0);
    let journal = host.deployment(&id).join("journal.jsonl");
    let groups = host.root();
    for (closed, told) in [
        (None, format!("cannot read the journal `{}`", journal.display())),
        (Some(&groups), "cannot list `".to_owned()),
    ] {
        let mode = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(host.root().parent().unwrap(), 0o755);
        if let Some(folder) = closed {
            mode(folder, 0o700);
        }
        for command in ["explain", "status", "history"] {
            let output = host.agent(&[command]).current_dir("/").uid(65534).gid(65534).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{command}: {text}");
            assert!(text.starts_with(&format!("error: {told}")), "{command}: {text}");
            let end = "\n  caused by: Permission denied (os error 13)\n\nhint: run it as root\n";
            assert!(text.ends_with(end), "{command}: {text}");
        }
    }
}
