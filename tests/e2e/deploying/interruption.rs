use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use e2e::codedeploy_service::{Course, Fault};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::job::Job;

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
        let mut terminal = Terminal::of(&job, &["deploy", "--group", "prod", "--wait"]);
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
        assert_eq!(terminal.ends(), code, "{answers:?}: {}", terminal.seen);
        assert_eq!(job.service.asked("StopDeployment").len(), stops, "{answers:?}");
    }
}

/// `longshore` in a terminal.
struct Terminal {
    child: Child,
    seen: String,
    /// What was looked at already.
    from: usize,
}

impl Terminal {
    fn of(job: &Job, arguments: &[&str]) -> Terminal {
        let longshore = job.longshore(arguments);
        let line = std::iter::once(longshore.get_program()).chain(longshore.get_args());
        let line: Vec<&str> = line.map(|word| word.to_str().unwrap()).collect();
        // A terminal that shows nothing more would be waited for without end.
        let mut script = Command::new("timeout");
        script
            .args(["--foreground", "120", "script"])
            .args(["--quiet", "--return", "--command", &format!("exec {}", line.join(" ")), "/dev/null"])
            .env_clear();
        script.envs(longshore.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        script.current_dir(job.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        Terminal { child: script.spawn().unwrap(), seen: String::new(), from: 0 }
    }

    fn types(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this is shown.
    fn shows(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.seen[self.from..].find(text) {
                self.from += at + text.len();
                return;
            }
            let got = self.child.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
            assert!(got > 0, "the terminal ended without `{text}`: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..got]));
        }
    }

    fn ends(&mut self) -> i32 {
        let mut rest = Vec::new();
        self.child.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&rest));
        self.child.wait().unwrap().code().unwrap()
    }
}
