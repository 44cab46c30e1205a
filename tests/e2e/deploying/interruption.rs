use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use e2e::codedeploy_service::{Course, Fault};
use e2e::gate::{Gate, Rule};
use e2e::terminal::Terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::job::{Job, Ran};

const ON_STORE: [&str; 5] = ["deploy", "--with", "store", "--group", "dev"];

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A `longshore` under way, and what it tells.
struct UnderWay {
    child: Child,
    stderr: BufReader<ChildStderr>,
    told: String,
}

impl UnderWay {
    fn start(longshore: &mut Command) -> UnderWay {
        let mut child = longshore.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        UnderWay { child, stderr, told: String::new() }
    }

    /// Once it has told this.
    #[track_caller]
    fn tells(&mut self, words: &str) {
        while !self.told.contains(words) {
            assert_ne!(self.stderr.read_line(&mut self.told).unwrap(), 0, "no `{words}` in {}", self.told);
        }
    }

    fn ends(mut self) -> Ran {
        self.stderr.read_to_string(&mut self.told).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Ran { code: output.status.code().expect("ended by itself"), stdout, stderr: self.told }
    }
}

/// `deploy` in the group of a store, which is asked through a gate.
fn on_store(job: &Job, gate: &Gate, options: &[&str]) -> UnderWay {
    let mut longshore = job.longshore(&[&ON_STORE[..], &["--wait"], options].concat());
    UnderWay::start(longshore.env("AWS_ENDPOINT_URL_S3", &gate.url).env("AWS_ENDPOINT_URL", &gate.url))
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn ctrl_c_without_a_terminal_leaves_the_deployment_alone() {
    for (name, sent) in [("deploy-int", Signal::SIGINT), ("deploy-term", Signal::SIGTERM)] {
        let job = Job::published(name);
        job.service.will_go(Course::endless());
        let deploying = job.deploying(&[]);
        job.service.wait_for("BatchGetDeploymentTargets", 1);
        signal(&deploying, sent);
        let ran = job.ended(deploying).exits(1);
        let error = "error: interrupted; deployment d-000000001 to `prod` goes on\n\nhint: longshore deployments";
        assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
        assert!(job.service.asked("StopDeployment").is_empty());
    }
}

#[test]
fn ctrl_c_stops_the_deployment_where_that_is_wanted_and_waits_for_its_end() {
    let job = Job::published("deploy-intstop");
    job.service.will_go(Course::endless());
    let deploying = job.deploying(&["--on-interrupt", "stop"]);
    job.service.wait_for("BatchGetDeploymentTargets", 1);
    signal(&deploying, Signal::SIGINT);
    let ran = job.ended(deploying).exits(14);
    let told = "    Stopping d-000000001: events under way come to their end (Ctrl-C leaves it alone)\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(job.service.asked("StopDeployment").len(), 1);
}

#[test]
fn who_is_to_be_asked_and_is_not_there_leaves() {
    let job = Job::published("deploy-asknobody");
    job.service.will_go(Course::endless());
    let deploying = job.deploying(&["--on-interrupt", "ask"]);
    job.service.wait_for("BatchGetDeploymentTargets", 1);
    signal(&deploying, Signal::SIGINT);
    job.ended(deploying).exits(1);
}

#[test]
fn who_may_not_stop_a_deployment_follows_it_on() {
    let job = Job::published("deploy-nostop");
    job.service.will_go(Course::endless());
    job.service.inject("StopDeployment", Fault::Denied, 1);
    let deploying = job.deploying(&["--on-interrupt", "stop", "--timeout", "9s"]);
    job.service.wait_for("BatchGetDeploymentTargets", 1);
    signal(&deploying, Signal::SIGINT);
    let ran = job.ended(deploying).exits(12);
    assert!(ran.stderr.contains("warning: d-000000001 is not stopped, and followed on: "), "{}", ran.stderr);
}

#[test]
fn who_sits_at_a_terminal_is_asked() {
    // What is typed after the question, how it ends, and how often the service is told to stop.
    for (bucket, answers, code, stops) in [
        ("deploy-asks-s", &["s\n"][..], 14, 1),
        ("deploy-asks-l", &["l\n"], 1, 0),
        ("deploy-asks-c", &["c\n", "\u{3}"], 1, 0),
        ("deploy-asks-i", &["\u{3}"], 1, 0),
    ] {
        let job = Job::published(bucket);
        job.service.will_go(Course::endless());
        let mut terminal = Terminal::start(&job.longshore(&["deploy", "--group", "prod", "--wait"]));
        job.service.wait_for("BatchGetDeploymentTargets", 1);
        terminal.types("\u{3}");
        for (number, answer) in answers.iter().enumerate() {
            terminal.shows("or [l]eave it alone (again Ctrl-C)?");
            terminal.types(answer);
            // Who waits on is asked again.
            if *answer == "c\n" && number + 1 < answers.len() {
                let looks = job.service.asked("GetDeployment").len();
                job.service.wait_for("GetDeployment", looks + 1);
                terminal.types("\u{3}");
            }
        }
        let (ended, seen) = terminal.ends();
        assert_eq!(ended, code, "{answers:?}: {seen}");
        assert_eq!(job.service.asked("StopDeployment").len(), stops, "{answers:?}");
    }
}

#[test]
fn who_sits_at_a_terminal_is_asked_about_a_deployment_by_a_store_too() {
    let deploy = ["deploy", "--with", "store", "--group", "dev", "--wait", "--on-interrupt", "ask"];
    for (bucket, answers, code, stopped) in [
        ("store-asks-s", &["s\n"][..], 14, true),
        ("store-asks-l", &["l\n"], 1, false),
        ("store-asks-c", &["c\n", "s\n"], 14, true),
        ("store-asks-i", &["\u{3}"], 1, false),
    ] {
        let job = Job::published(bucket);
        let mut terminal = Terminal::start(&job.longshore(&deploy));
        for answer in answers {
            // Who waits on is asked again.
            terminal.shows("0 of 0 done");
            terminal.types("\u{3}");
            terminal.shows("or [l]eave it alone (again Ctrl-C)?");
            terminal.types(answer);
        }
        let (ended, seen) = terminal.ends();
        assert_eq!(ended, code, "{answers:?}: {seen}");
        let listed = job.run(&["deployments", "--with", "store", "--group", "dev", "--output", "json"]).exits(0).json();
        assert_eq!(listed["deployments"][0]["stopped"].is_object(), stopped, "{answers:?}: {listed:#}");
    }
}

#[test]
fn what_was_typed_before_the_question_is_no_answer() {
    for (bucket, options) in
        [("deploy-ahead", &["--group", "prod"][..]), ("store-ahead", &["--with", "store", "--group", "dev"])]
    {
        let job = Job::published(bucket);
        job.service.will_go(Course::endless());
        let mut terminal = Terminal::start(&job.longshore(&[&["deploy", "--wait"], options].concat()));
        terminal.shows("Waiting");
        terminal.types("stop\n");
        terminal.shows("stop\r\n");
        // The terminal itself forgets what was typed when somebody presses Ctrl-C, not so on a signal.
        kill(terminal.program(), Signal::SIGINT).unwrap();
        terminal.shows("or [l]eave it alone (again Ctrl-C)?");
        terminal.types("l\n");
        let (ended, seen) = terminal.ends();
        assert_eq!(ended, 1, "{options:?}: {seen}");
        assert!(seen.contains(" goes on"), "{options:?}: {seen}");
        assert!(job.service.asked("StopDeployment").is_empty());
    }
}

#[test]
fn a_stop_that_takes_longer_than_anybody_waits_was_a_stop_nevertheless() {
    let job = Job::published("deploy-slowstop");
    job.service.will_go(Course::endless().and_never_stops());
    let deploying = job.deploying(&["--on-interrupt", "stop", "--timeout", "20s"]);
    job.service.wait_for("BatchGetDeploymentTargets", 1);
    signal(&deploying, Signal::SIGINT);
    let ran = job.ended(deploying).exits(14);
    let error = "error: deployment d-000000001 to `prod` is being stopped, and was not seen to end: InProgress";
    assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
}

#[test]
fn a_stop_that_was_sent_is_waited_for_and_never_called_a_deployment_that_goes_on() {
    for (bucket, is_answered, code) in [("store-slowput", true, 14), ("store-deafput", false, 1)] {
        let job = Job::published(bucket);
        let moves = AtomicUsize::new(0);
        // The first move is the deployment itself.
        let gate = Gate::start(&job.s3.url, Rule::Unanswered, move |line| {
            let is_move = line.starts_with("PUT ") && line.contains("/groups/shop/dev.json");
            is_move && moves.fetch_add(1, Ordering::Relaxed) > 0
        });
        let mut deploying = on_store(&job, &gate, &["--on-interrupt", "stop"]);
        deploying.tells("Waiting");
        signal(&deploying.child, Signal::SIGINT);
        gate.until(1);
        signal(&deploying.child, Signal::SIGINT);
        if is_answered {
            gate.open();
        }
        let ran = deploying.ends().exits(code);
        let words = if is_answered {
            " to `dev` was stopped by "
        } else {
            " to `dev` is perhaps stopped: the store has not said so\n\nhint: `longshore status --to "
        };
        assert!(ran.from("error:").contains(words), "{}", ran.stderr);
        let listed = job.run(&["deployments", "--with", "store", "--group", "dev", "--output", "json"]).exits(0).json();
        assert!(listed["deployments"][0]["stopped"].is_object(), "{listed:#}");
    }
}

#[test]
fn who_wants_to_leave_is_not_held_up_by_a_store_that_does_not_answer() {
    for (bucket, again, why) in
        [("store-deaf", false, "the store has not answered for 10 s"), ("store-deaf-twice", true, "interrupted")]
    {
        let job = Job::published(bucket);
        let host = serde_json::json!({
            "format": 1, "host": "web-1", "application": "shop", "group": "dev", "generation": 0, "deployment": null,
            "commit": null, "state": "idle", "event": null, "reason": null, "installed": null, "agent": "0.1.0",
            "at": "2026-01-02T03:04:06Z", "heartbeat_s": 60,
        });
        job.write("host.json", &host.to_string());
        let file = job.path().join("host.json");
        let put = job.s3_request(&["--upload-file", file.to_str().unwrap()], "releases/status/shop/dev/web-1.json");
        assert!(put.is_some());
        let (lines, is_away) = (Arc::new(Mutex::new(Vec::<String>::new())), Arc::new(AtomicBool::new(false)));
        let (noted, away) = (Arc::clone(&lines), Arc::clone(&is_away));
        let gate = Gate::start(&job.s3.url, Rule::Held, move |line| {
            noted.lock().unwrap().push(line.to_owned());
            away.load(Ordering::Relaxed)
        });
        let mut deploying = on_store(&job, &gate, &[]);
        deploying.tells("Waiting");
        // Who moves the group reads the host, and who waits for it does so again before it asks for anything else.
        until("the host is known", || {
            let lines = lines.lock().unwrap();
            let is_host = |line: &&String| line.starts_with("GET ") && line.contains("/status/shop/dev/web-1.json");
            let mut rest = lines.iter().skip_while(|line| !is_host(line)).skip(1).skip_while(|line| !is_host(line));
            rest.nth(1).is_some()
        });
        is_away.store(true, Ordering::Relaxed);
        signal(&deploying.child, Signal::SIGINT);
        until("how it ended is written down", || {
            lines.lock().unwrap().iter().any(|line| line.contains("0000000001.hosts.json"))
        });
        if again {
            signal(&deploying.child, Signal::SIGTERM);
        }
        let ran = deploying.ends().exits(1);
        let told = format!("warning: how it ended is not written down: {why}\n");
        assert!(ran.stderr.contains(&told) && ran.from("error:").contains(" to `dev` goes on\n"), "{}", ran.stderr);
    }
}

#[test]
fn a_stop_that_codedeploy_has_taken_is_never_called_a_deployment_that_goes_on() {
    for (bucket, is_answered, code) in [("deploy-slowanswer", true, 14), ("deploy-noanswer", false, 1)] {
        let job = Job::published(bucket);
        job.service.will_go(Course::endless().and_never_stops());
        job.service.inject("StopDeployment", Fault::HeldReply, 100);
        let deploying = job.deploying(&["--on-interrupt", "stop"]);
        job.service.wait_for("BatchGetDeploymentTargets", 1);
        signal(&deploying, Signal::SIGINT);
        job.service.wait_for("StopDeployment", 1);
        signal(&deploying, Signal::SIGINT);
        if is_answered {
            job.service.mend();
        }
        let ran = job.ended(deploying).exits(code);
        let words = if is_answered {
            "error: deployment d-000000001 to `prod` is being stopped, and was not seen to end: InProgress"
        } else {
            "error: interrupted; deployment d-000000001 to `prod` is perhaps being stopped: CodeDeploy has not said so\n"
        };
        assert!(ran.from("error:").starts_with(words), "{}", ran.stderr);
    }
}

#[test]
fn what_was_stopped_from_here_ends_as_stopped_unless_the_rollback_after_it_ends() {
    let stopped =
        "error: deployment d-000000002 to `prod` was stopped, and its rollback d-000000003 was not seen to end: ";
    for (bucket, rollback, timeout, code, error) in [
        (
            "deploy-stopback",
            Course::success(&["i-1"]),
            "5m",
            13,
            "error: deployment d-000000002 to `prod` failed and was rolled back by d-000000003",
        ),
        ("deploy-stopback-late", Course::endless(), "20s", 14, stopped),
        ("deploy-stopback-left", Course::endless(), "5m", 14, stopped),
    ] {
        let job = Job::published(bucket);
        job.service.will_go(Course::success(&["i-1"]));
        job.deploy(&["--wait"]).exits(0);
        job.service.will_go(Course::endless().and_rolls_back());
        job.service.will_go(rollback);
        let mut longshore = job.longshore(&["deploy", "--group", "prod", "--wait"]);
        let mut deploying = UnderWay::start(longshore.args(["--on-interrupt", "stop", "--timeout", timeout]));
        deploying.tells("i-1: AfterInstall");
        signal(&deploying.child, Signal::SIGINT);
        if bucket.ends_with("-left") {
            deploying.tells("d-000000003 is in progress");
            signal(&deploying.child, Signal::SIGINT);
        }
        let ran = deploying.ends().exits(code);
        assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
    }
}

#[test]
fn what_was_stopped_from_here_ends_as_stopped_when_codedeploy_is_lost_afterwards() {
    let job = Job::published("deploy-stoplost");
    job.service.will_go(Course::endless().and_never_stops());
    let mut longshore = job.longshore(&["deploy", "--group", "prod", "--wait"]);
    let mut deploying = UnderWay::start(longshore.args(["--on-interrupt", "stop", "--timeout", "20s"]));
    deploying.tells("i-1: AfterInstall");
    signal(&deploying.child, Signal::SIGINT);
    deploying.tells("    Stopping d-000000001");
    job.service.set_down(true);
    let ran = deploying.ends().exits(14);
    assert!(ran.stderr.contains("warning: how it ends is not seen: cannot reach "), "{}", ran.stderr);
    let error = "error: deployment d-000000001 to `prod` is being stopped, and was not seen to end: InProgress";
    assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
}

#[test]
fn ctrl_c_after_publishing_is_heard_and_nothing_is_deployed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = listener.local_addr().unwrap().to_string();
    let is_slow = Arc::new(Mutex::new(()));
    let slow = Arc::clone(&is_slow);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            head.for_each(drop);
            drop(slow.lock().unwrap());
            let digest = format!("sha256:{}", "a".repeat(64));
            let head = format!(
                "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
        }
    });
    let mut job = Job::built("deploy-betweenint");
    let compose = format!("services:\n  web:\n    image: {registry}/shop:1\n    restart: always\n");
    job.write("docker-compose.prod.yml", &compose);
    job.build("second", "2026-02-01T03:04:06Z");
    std::fs::remove_dir_all(job.path().join("dist")).unwrap();
    let built = job.longshore(&["build", "--pin-images"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let slow = is_slow.lock().unwrap();
    let mut deploying = UnderWay::start(&mut job.longshore(&["deploy", "--group", "prod", "--wait"]));
    deploying.tells("Published");
    signal(&deploying.child, Signal::SIGINT);
    let ran = deploying.ends().exits(1);
    drop(slow);
    assert_eq!(ran.from("error:"), "error: interrupted before anything was deployed\n");
    assert!(job.s3_has_artifact() && job.service.asked("CreateDeployment").is_empty());
}

#[test]
fn ctrl_c_after_publishing_is_heard_and_the_group_stays() {
    for (bucket, command) in [("push-betweenint", &["push", "--group", "dev"][..]), ("store-betweenint", &ON_STORE)] {
        let job = Job::built(bucket);
        // The group is read once the artifact is published.
        let gate = Gate::start(&job.s3.url, Rule::Held, |line| {
            line.starts_with("GET ") && line.contains("/groups/shop/dev.json")
        });
        let mut longshore = job.longshore(command);
        longshore.env("AWS_ENDPOINT_URL_S3", &gate.url).env("AWS_ENDPOINT_URL", &gate.url);
        let deploying = UnderWay::start(&mut longshore);
        gate.until(1);
        signal(&deploying.child, Signal::SIGINT);
        let ran = deploying.ends().exits(1);
        assert_eq!(ran.from("error:"), "error: interrupted before anything was deployed\n");
        assert!(job.s3_has_artifact() && !job.s3_has("releases/groups/shop/dev.json"));
    }
}
