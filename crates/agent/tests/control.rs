//! The control socket, by a daemon's server in this process and the real client.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use longshore_agent::control::{self, read_paused};
use longshore_agent::daemon::notice::{Listener, Notice};
use longshore_agent::daemon::shared::Shared;
use longshore_agent::deployment::agent::Agent;
use longshore_agent::deployment::order::{OnFailure, Policy};
use longshore_agent::event::Event;
use longshore_agent::hook::watch::Shim;
use longshore_agent::layout::Layout;
use longshore_agent::network::Network;
use longshore_agent::settings::{Control, Follow, Settings};
use longshore_core::report::{Envelope, Reporter};
use sandbox::{Ran, Sandbox, wait_until};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Who hears what the daemon says.
#[derive(Default)]
struct Heard(Mutex<Vec<Notice>>);

impl Listener for Heard {
    fn tell(&self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

struct Nobody;

impl Reporter<Event> for Nobody {
    fn report(&self, _: &Envelope<'_, Event>) {}
}

/// The part of a daemon that listens.
struct Daemon {
    shared: Shared,
    heard: Arc<Heard>,
    socket: PathBuf,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Daemon {
    fn start(host: &Sandbox) -> Daemon {
        Daemon::start_for(host, None)
    }

    fn start_for(host: &Sandbox, group: Option<&str>) -> Daemon {
        let daemon = Daemon::prepare(host, group);
        wait_until(|| UnixStream::connect(&daemon.socket).is_ok());
        // It answers only when it has said what there was to say about its socket.
        raw(&daemon.socket, b"{\"request\":\"version\"}\n");
        daemon
    }

    fn prepare(host: &Sandbox, group: Option<&str>) -> Daemon {
        Daemon::with(host, group, Vec::new())
    }

    fn with(host: &Sandbox, group: Option<&str>, follow: Vec<Follow>) -> Daemon {
        let socket = host.path().join("run/agent.sock");
        let layout = Layout::new(host.root());
        let settings = Settings {
            layout: layout.clone(),
            program_name: "codedeploy-agent".to_owned(),
            log_dir: None,
            verbose: false,
            network: Network::default(),
            codedeploy: None,
            follow,
            control: Control { socket: Some(socket.clone()), group: group.map(str::to_owned) },
            policy: Policy { on_failure: OnFailure::Leave, keep: 7, ..Policy::default() },
        };
        let agent = Agent {
            cwd: host.path().to_owned(),
            // This program is no shim.
            shim: Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() },
            ..Agent::quiet(layout.clone(), Arc::new(Nobody)).unwrap()
        };
        let (end, ending) = watch::channel(false);
        let heard = Arc::new(Heard::default());
        let is_paused = read_paused(&layout).is_some();
        let shared = Shared::new(settings, agent, Arc::clone(&heard) as Arc<dyn Listener>, ending, is_paused);
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(control::serve(serving))
        });
        Daemon { shared, heard, socket, end, thread: Some(thread) }
    }

    fn stop(&mut self) -> std::io::Result<()> {
        self.end.send_replace(true);
        self.thread.take().unwrap().join().unwrap()
    }

    /// Why it ended by itself.
    fn stop_without_asking(&mut self) -> String {
        self.thread.take().unwrap().join().unwrap().unwrap_err().to_string()
    }

    fn command(&self, host: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = host.agent(&["control", "--socket", self.socket.to_str().unwrap()]);
        command.args(arguments);
        command
    }

    fn asked(&self, host: &Sandbox, arguments: &[&str]) -> Ran {
        Ran::of(self.command(host, arguments).output().unwrap())
    }

    fn heard(&self) -> Vec<Notice> {
        self.heard.0.lock().unwrap().clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.stop();
        }
    }
}

fn site(host: &Sandbox, name: &str) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    host.revision(name, &[("appspec.yml", appspec), ("site/index.html", name)])
}

/// One line asks, all lines that answer.
fn raw(socket: &Path, question: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(question).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn status_tells_sources_groups_and_what_is_worked_on_in_text_and_json() {
    let host = Sandbox::new();
    host.deploy(&site(&host, "one"), &[]).succeeds();
    let daemon = Daemon::start(&host);
    daemon.shared.source_answered("CodeDeploy");
    daemon.shared.source_lost("group `dev` in s3://releases", "no route to host", Duration::from_secs(30));
    daemon.shared.source_answered("shop/dev in file:///store");
    daemon.shared.source_trouble("shop/dev in file:///store", Some("there is no pointer".to_owned()));
    let (let_go, wait) = mpsc::channel::<()>();
    daemon.shared.desk.submit("shop~dev".parse().unwrap(), Box::new(move || wait.recv().unwrap()));
    let text = daemon.asked(&host, &["status"]).succeeds().out;
    let status: Value =
        serde_json::from_str(&daemon.asked(&host, &["status", "--output", "json"]).succeeds().out).unwrap();
    let_go.send(()).unwrap();
    let followed = daemon.shared.sources()["shop/dev in file:///store"].answered.clone().unwrap();
    let text = text.replace(&followed, "{answered}");
    let answered = daemon.shared.sources()["CodeDeploy"].answered.clone().unwrap();
    let at = status["groups"][0]["last"]["ended"].as_str().unwrap();
    let text = text
        .replace(&std::process::id().to_string(), "{pid}")
        // With the word before it: the source may have answered in the same moment.
        .replace(&format!("since {}", status["since"].as_str().unwrap()), "since {since}")
        .replace(&answered, "{answered}")
        .replace(at, "{at}");
    insta::assert_snapshot!("status", host.stable(&text));
    assert_eq!(status["busy"], json!(["shop~dev"]));
    assert_eq!(status["sources"]["CodeDeploy"], json!({"answered": answered, "lost": null, "trouble": null}));
    assert_eq!(status["paused"], Value::Null);
    assert_eq!(status["groups"][0]["group_id"], "shop~dev");
    assert_eq!(status["groups_text"], Value::Null);
}

#[test]
fn a_source_that_has_not_answered_is_shown_and_so_is_that_there_is_none() {
    let host = Sandbox::new();
    let none = Daemon::start(&host);
    let text = none.asked(&host, &["status"]).succeeds().out;
    assert_eq!(
        text.lines().nth(2),
        Some("no source of orders is configured: only `longshore-agent control deploy` has it deploy")
    );
    drop(none);
    let follow = Follow {
        store: "file:///store".parse().unwrap(),
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        poll: Duration::from_secs(30),
        fast_poll: Duration::from_secs(2),
        heartbeat: Duration::from_secs(900),
        host: "web-1".to_owned(),
        policy: Policy::default(),
    };
    let one = Daemon::with(&host, None, vec![follow]);
    wait_until(|| UnixStream::connect(&one.socket).is_ok());
    let text = one.asked(&host, &["status"]).succeeds().out;
    assert_eq!(
        text.lines().skip(2).take(2).collect::<Vec<_>>(),
        [
            "SOURCE                     LAST ANSWER  STATE",
            "shop/dev in file:///store  never        asked for the first time"
        ]
    );
}

#[test]
fn a_pause_holds_over_a_restart_and_says_who_asked_for_it() {
    let host = Sandbox::new();
    let mut daemon = Daemon::start(&host);
    let layout = daemon.shared.settings.layout.clone();
    let ran = daemon.asked(&host, &["pause"]).succeeds();
    assert_eq!(ran.out, "paused: new orders are left where they are until `longshore-agent control resume`\n");
    assert!(daemon.shared.is_paused());
    let paused = read_paused(&layout).unwrap();
    assert_eq!(paused.by, "root (uid 0)");
    daemon.stop().unwrap();
    drop(daemon);

    let daemon = Daemon::start(&host);
    assert!(daemon.shared.is_paused());
    let ran = daemon.asked(&host, &["pause"]).succeeds();
    assert_eq!(ran.out, format!("paused already, by root (uid 0) since {}\n", paused.at));
    assert!(
        daemon
            .asked(&host, &["status"])
            .succeeds()
            .out
            .contains(&format!("paused by root (uid 0) since {}:", paused.at))
    );
    let ran = daemon.asked(&host, &["resume", "--output", "json"]).succeeds();
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), json!({"answer": "resumed", "already": false}));
    assert!(!daemon.shared.is_paused() && read_paused(&layout).is_none());
    assert_eq!(daemon.asked(&host, &["resume"]).succeeds().out, "was not paused: new orders are taken\n");
    assert_eq!(daemon.heard(), [Notice::Unpaused { by: "root (uid 0)".to_owned() }], "what was so before is no news");
}

#[test]
fn a_pause_that_cannot_be_read_is_one() {
    let host = Sandbox::new();
    fs::create_dir_all(host.root()).unwrap();
    fs::write(host.root().join("paused.json"), "{").unwrap();
    let daemon = Daemon::start(&host);
    assert!(daemon.shared.is_paused());
    daemon.asked(&host, &["resume"]).succeeds();
    assert!(read_paused(&daemon.shared.settings.layout).is_none());
}

#[test]
fn a_deployment_is_ordered_shown_and_carried_out_with_the_daemons_settings() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let one = site(&host, "one");
    let one = one.to_str().unwrap();
    let ran = daemon.asked(&host, &["deploy", one, "--group", "dev", "--application", "shop"]).succeeds();
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "one");
    insta::assert_snapshot!("deploy", host.stable(&ran.told));
    assert_eq!(ran.out, "");
    let records: Value = serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let policy = &records[0]["order"]["policy"];
    assert_eq!([&policy["on_failure"], &policy["keep"]], [&json!("leave"), &json!(7)]);
    let id = records[0]["order"]["deployment"].as_str().unwrap().to_owned();
    let ordered = Notice::Ordered { by: "root (uid 0)".to_owned(), deployment: id, revision: one.to_owned() };
    assert_eq!(daemon.heard(), [ordered]);

    let two = site(&host, "two");
    let arguments = ["deploy", two.to_str().unwrap(), "--group", "dev", "--application", "shop", "--output", "json"];
    let ran = daemon.asked(&host, &arguments).succeeds();
    let types: Vec<String> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types.first().map(String::as_str), Some("deployment_started"), "{types:?}");
    assert_eq!(types.last().map(String::as_str), Some("deployment_finished"), "{types:?}");
}

#[test]
fn what_the_agent_refuses_ends_as_deploy_itself_would() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let bad = host.revision("bad", &[("appspec.yml", "version: 0.0\nos: linux\nfles: []\nhooks: 3\n")]);
    let plain = site(&host, "plain");
    for (arguments, code) in [
        (vec!["deploy", bad.to_str().unwrap(), "--group", "dev", "--application", "shop"], 3),
        (vec!["deploy", "/nowhere.zip", "--group", "dev", "--application", "shop"], 7),
        (vec!["deploy", plain.to_str().unwrap(), "--group", "dev"], 2),
        (vec!["deploy", plain.to_str().unwrap(), "--group", "dev", "--application", "shop", "--skip", "Install"], 2),
        (vec!["logs", "d-NOWHERE0"], 7),
    ] {
        let ran = daemon.asked(&host, &arguments).exits(code);
        let direct = host.run(&arguments).exits(code);
        let error = |ran: &Ran| ran.told.lines().find(|line| line.starts_with("error: ")).map(str::to_owned);
        assert_eq!(error(&ran), error(&direct), "{arguments:?}");
        assert!(error(&ran).is_some());
    }
    let ran = daemon.asked(&host, &["deploy", bad.to_str().unwrap(), "--group", "dev", "--application", "shop"]);
    assert!(ran.told.contains("appspec.yml:4:8"), "the places of the problems are shown: {}", ran.told);
}

/// A release whose script waits for `trace.go`.
fn waiting(host: &Sandbox, name: &str) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n      timeout: 60\n";
    let script = "#!/bin/sh\necho {name} >> {trace}\nwhile [ ! -e {trace}.go ]; do sleep 0.02; done\n";
    host.revision(name, &[("appspec.yml", appspec), ("run.sh", script)])
}

#[test]
fn the_end_of_the_client_does_not_end_the_deployment_and_another_of_its_group_is_refused_meanwhile() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let revision = waiting(&host, "one");
    let question = json!({"request": "deploy", "revision": {"local": revision}, "group": "dev", "application": "shop"});
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    writeln!(&stream, "{question}").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let accepted: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(accepted, json!({"answer": "accepted", "deployment": accepted["deployment"]}));
    drop(stream);
    wait_until(|| !host.trace().is_empty());
    let two = site(&host, "two");
    let second = ["deploy", two.to_str().unwrap(), "--group", "dev", "--application", "shop"];
    let refused = daemon.asked(&host, &second).exits(9);
    assert_eq!(
        refused.told,
        "error: the agent works on group `shop~dev` already\n\nhint: try again when its deployment has ended; \
         `longshore-agent control logs --follow` shows how it goes\n"
    );
    assert_eq!(daemon.heard().len(), 1, "what was refused was not ordered");
    fs::write(host.path().join("trace.go"), "").unwrap();
    wait_until(|| daemon.shared.desk.busy().is_empty());
    assert_eq!(host.history(), [(accepted["deployment"].as_str().unwrap().to_owned(), "succeeded".to_owned())]);
    daemon.asked(&host, &second).succeeds();
}

#[test]
fn a_log_is_followed_to_the_end_of_its_deployment() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let script =
        "#!/bin/sh\necho before\nwhile [ ! -e {trace}.go ]; do sleep 0.02; done\necho after\nprintf '\\377 end'\n";
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n      timeout: 60\n";
    let revision = host.revision("one", &[("appspec.yml", appspec), ("run.sh", script)]);
    let mut deploying = host
        .agent(&["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| {
        fs::read_dir(host.root().join("shop~dev")).is_ok_and(|mut all| {
            all.any(|entry| {
                fs::read_to_string(entry.unwrap().path().join("logs/scripts.log"))
                    .is_ok_and(|log| log.contains("before"))
            })
        })
    });
    let mut following = daemon.command(&host, &["logs", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    let bare = |line: String| line["2026-01-01 00:00:00 ".len()..].to_owned();
    let first: Vec<String> = lines.by_ref().take(3).map(bare).collect();
    assert_eq!(first, ["LifecycleEvent - AfterInstall", "Script - run.sh", "[stdout]before"]);
    fs::write(host.path().join("trace.go"), "").unwrap();
    assert_eq!(lines.map(bare).collect::<Vec<_>>(), ["[stdout]after", "[stdout]\u{fffd} end"]);
    assert!(following.wait().unwrap().success());
    assert!(deploying.wait().unwrap().success());
    let ran = daemon.asked(&host, &["logs", "--output", "json"]).succeeds();
    let last: Value = serde_json::from_str(ran.out.lines().nth(2).unwrap()).unwrap();
    assert_eq!([&last["kind"], &last["text"]], [&json!("stdout"), &json!("before")]);
}

#[test]
fn an_agent_that_ends_tells_who_waits_that_the_next_one_goes_on_and_removes_its_socket() {
    let host = Sandbox::new();
    let mut daemon = Daemon::start(&host);
    let revision = waiting(&host, "one");
    let id = "d-000000001";
    let arguments =
        ["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop", "--deployment-id", id];
    let client = daemon.command(&host, &arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until(|| !host.trace().is_empty());
    // As the daemon does it at TERM: what runs is handed over first, and then nobody answers any more.
    daemon.shared.agent.handover.store(true, Ordering::Relaxed);
    daemon.shared.desk.close();
    daemon.stop().unwrap();
    let ran = Ran::of(client.wait_with_output().unwrap()).exits(10);
    let end = "error: the agent is ending; the next one goes on with d-000000001\n\nhint: longshore-agent control logs \
               --follow d-000000001\n";
    assert!(ran.told.ends_with(end), "{}", ran.told);
    assert!(!daemon.socket.exists());
    fs::write(host.path().join("trace.go"), "").unwrap();
    host.run(&["resume"]).succeeds();
    assert_eq!(host.history(), [(id.to_owned(), "succeeded".to_owned())]);
}

#[test]
fn an_order_that_comes_when_the_agent_ends_is_said_to_be_none() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    daemon.shared.agent.handover.store(true, Ordering::Relaxed);
    let one = site(&host, "one");
    let ran = daemon.asked(&host, &["deploy", one.to_str().unwrap(), "--group", "dev", "--application", "shop"]);
    assert_eq!(
        ran.exits(10).told,
        "error: the agent is ending, and takes no orders\n\nhint: order it again when the next agent runs\n"
    );
    assert_eq!((host.history(), daemon.heard()), (Vec::new(), Vec::new()));
}

#[test]
fn who_finds_no_agent_is_told_what_to_type() {
    let host = Sandbox::new();
    let path = host.path().join("agent.sock");
    let ask = || host.run(&["control", "status", "--socket", path.to_str().unwrap()]).exits(10);
    let text = |why: &str| {
        format!(
            "error: no agent listens on `{}`\n  caused by: {why}\n\nhint: `systemctl status longshore-agent` tells whether it \
             runs, `longshore-agent config show` where it listens\n",
            path.display()
        )
    };
    assert_eq!(ask().told, text("No such file or directory (os error 2)"));
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(ask().told, text("Connection refused (os error 111)"));
    let silent = UnixListener::bind(host.path().join("silent.sock")).unwrap();
    let closes = std::thread::spawn(move || drop(silent.accept().unwrap()));
    let socket = host.path().join("silent.sock");
    let ran = host.run(&["control", "--socket", socket.to_str().unwrap(), "status"]).exits(10);
    closes.join().unwrap();
    ran.tells("error: cannot talk with the agent on");
}

/// A command as another user, with its groups.
fn as_user(command: &Command, user: &str, group: &str, groups: &[&str]) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", user, "--regid", group]);
    match groups {
        [] => other.arg("--clear-groups"),
        groups => other.args(["--groups", &groups.join(",")]),
    };
    other.arg("--").arg(command.get_program()).args(command.get_args()).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.current_dir("/");
    other
}

/// The same command by a copy of the agent that everybody may run: where cargo puts it is for root alone in some places.
fn public(host: &Sandbox, command: &Command) -> Command {
    let program = host.path().join("longshore-agent");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_longshore-agent"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut other = Command::new(program);
    other.args(command.get_args()).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

#[test]
fn the_socket_is_for_root_and_the_members_of_one_group() {
    let host = Sandbox::new();
    let daemon = Daemon::start_for(&host, Some("games"));
    let games = nix::unistd::Group::from_name("games").unwrap().unwrap().gid.as_raw();
    let socket = fs::metadata(&daemon.socket).unwrap();
    assert_eq!((socket.mode() & 0o7777, socket.uid(), socket.gid()), (0o660, 0, games));
    let folder = fs::metadata(daemon.socket.parent().unwrap()).unwrap();
    assert_eq!((folder.mode() & 0o7777, folder.uid()), (0o755, 0));

    let pause = public(&host, &daemon.command(&host, &["pause"]));
    let refused = Ran::of(as_user(&pause, "nobody", "nogroup", &[]).output().unwrap()).exits(10);
    assert_eq!(
        refused.told,
        format!(
            "error: you may not use `{}`\n  caused by: Permission denied (os error 13)\n\nhint: it is for root and the members \
             of the group `games`\n",
            daemon.socket.display()
        )
    );
    assert!(!daemon.shared.is_paused());
    Ran::of(as_user(&pause, "nobody", "nogroup", &["games"]).output().unwrap()).succeeds();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    assert_eq!(daemon.heard(), [Notice::Paused { by: format!("nobody (uid {nobody})") }]);
}

#[test]
fn without_a_group_the_socket_is_for_root_alone() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let socket = fs::metadata(&daemon.socket).unwrap();
    assert_eq!((socket.mode() & 0o7777, socket.uid(), socket.gid()), (0o600, 0, 0));
    let status = public(&host, &daemon.command(&host, &["status"]));
    let refused = Ran::of(as_user(&status, "nobody", "nogroup", &[]).output().unwrap()).exits(10);
    refused
        .tells("hint: it is for root; `[control] group` in agent.toml names a group whose members may use it, too\n");
}

#[test]
fn a_group_that_is_not_there_is_a_warning_and_the_socket_is_for_root_alone() {
    let host = Sandbox::new();
    let daemon = Daemon::start_for(&host, Some("no-such-group"));
    assert_eq!(fs::metadata(&daemon.socket).unwrap().gid(), 0);
    let message = "there is no group `no-such-group` on this host: the socket is for root alone".to_owned();
    assert_eq!(daemon.heard(), [Notice::Warned { message }]);
}

#[test]
fn a_socket_is_taken_over_only_from_an_agent_that_is_gone() {
    let host = Sandbox::new();
    let folder = host.path().join("run");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("agent.sock");
    drop(UnixListener::bind(&path).unwrap());
    let stale = fs::metadata(&path).unwrap().ino();
    let daemon = Daemon::start(&host);
    assert_ne!(fs::metadata(&path).unwrap().ino(), stale);

    let mut second = Daemon::prepare(&host, None);
    let error = second.stop_without_asking();
    assert_eq!(error, format!("`{}` is the socket of another agent, which runs", path.display()));
    daemon.asked(&host, &["status"]).succeeds();
    drop(daemon);

    fs::write(&path, "a file").unwrap();
    let mut third = Daemon::prepare(&host, None);
    assert_eq!(third.stop_without_asking(), format!("`{}` is there and is no socket", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    assert!(!fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_question_that_makes_no_sense_gets_an_answer_and_hurts_nobody() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let long = [vec![b'x'; 70_000], b"\n".to_vec()].concat();
    for (question, code, message) in [
        (&b"hello\n"[..], 2, "does not know what is asked"),
        (b"{\"request\":\"explode\"}\n", 2, "unknown variant `explode`"),
        (
            b"{\"request\":\"deploy\",\"revision\":{\"local\":\"/x\"},\"group\":\"dev\",\"colour\":1}\n",
            2,
            "unknown field `colour`",
        ),
        (
            b"{\"request\":\"deploy\",\"revision\":{\"local\":\"x\"},\"group\":\"dev\",\"application\":\"a\"}\n",
            2,
            "is no absolute path",
        ),
        (b"\xff\n", 2, "does not know what is asked"),
    ] {
        let answers = raw(&daemon.socket, question);
        assert_eq!((answers.len(), &answers[0]["exit_code"]), (1, &json!(code)), "{answers:?}");
        assert!(answers[0]["message"].as_str().unwrap().contains(message), "{answers:?}");
    }
    // It is cut off before it has said all: whether it still hears the answer depends on how quick it is.
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    let _ = (&stream).write_all(&long);
    let mut text = String::new();
    if (&stream).read_to_string(&mut text).is_ok() && !text.is_empty() {
        assert!(text.contains("a question has at most 65536 bytes"), "{text}");
    }
    let answers = raw(&daemon.socket, b"{\"request\":\"version\"}\n");
    assert_eq!(answers, [json!({"answer": "version", "version": env!("CARGO_PKG_VERSION")})]);
}

#[test]
fn who_comes_when_too_many_are_there_is_turned_away_and_the_others_are_served() {
    let host = Sandbox::new();
    let daemon = Daemon::start(&host);
    let mut idle: Vec<UnixStream> = Vec::new();
    wait_until(|| {
        // One that was turned away itself, because an earlier client was still there, is replaced.
        idle.retain(|stream| {
            stream.set_nonblocking(true).unwrap();
            (&mut &*stream).read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        });
        idle.resize_with(32, || UnixStream::connect(&daemon.socket).unwrap());
        let ran = daemon.asked(&host, &["status"]);
        ran.code == Some(9) && ran.told == "error: the agent talks with 32 others already\n"
    });
    idle[7].set_nonblocking(false).unwrap();
    writeln!(&idle[7], "{{\"request\":\"version\"}}").unwrap();
    let mut text = String::new();
    (&idle[7]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("{\"answer\":\"version\""), "{text}");
    drop(idle);
    wait_until(|| daemon.asked(&host, &["status"]).code == Some(0));
}
