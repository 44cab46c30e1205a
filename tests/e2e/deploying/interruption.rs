use std::process::Child;

use e2e::codedeploy_service::{Course, Fault};
use e2e::terminal::Terminal;
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
