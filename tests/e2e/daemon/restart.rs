//! The agent goes away and comes back.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use e2e::command_service::{Deployment, Fault, Keys, Operation, Revision};
use e2e::{ACCESS_KEY, SECRET_KEY, bin, services};

use crate::course::assert_good;
use crate::host::{ARN, Host, eventually, keys};
use crate::release::Release;

#[test]
fn an_agent_killed_while_it_speaks_with_the_service_loses_nothing_and_repeats_nothing() {
    thread::scope(|scope| {
        for operation in [Operation::Poll, Operation::Specification, Operation::Acknowledge, Operation::Complete] {
            for fault in [Fault::Held, Fault::HeldReply] {
                scope.spawn(move || {
                    let mut host = Host::new();
                    host.start();
                    host.service.wait_for_calls(Operation::Poll, 1);
                    host.service.inject(operation, fault, 1);
                    host.begin("d-ONE", &Release::new("one"));
                    host.service.wait_for_faults(operation, 1);
                    host.kill();
                    host.start();
                    assert_good(&host, "d-ONE", "one");
                });
            }
        }
    });
}

#[test]
fn an_agent_killed_during_a_script_finds_it_again_and_tells_its_end_once() {
    for ends_alone in [false, true] {
        let mut host = Host::new();
        host.start();
        host.close_gate("AfterInstall");
        host.begin("d-ONE", &Release::new("one"));
        host.wait_for_script("one", "AfterInstall");
        host.kill();
        if ends_alone {
            host.open_gate("AfterInstall");
            host.start();
        } else {
            host.start();
            let polls = host.service.calls_of(Operation::Poll).len();
            host.service.wait_for_calls(Operation::Poll, polls + 1);
            host.open_gate("AfterInstall");
        }
        assert_good(&host, "d-ONE", "one");
    }
}

#[test]
fn an_agent_killed_during_an_installation_finishes_it() {
    let mut host = Host::new();
    host.start();
    host.begin("d-ONE", &Release { files: 500, ..Release::new("one") });
    let installation = host.deployment("d-ONE").join("installation.json");
    eventually("an installation is under way", || installation.exists().then_some(()));
    host.kill();
    host.start();
    assert_good(&host, "d-ONE", "one");
    assert_eq!(fs::read_dir(host.path().join("www")).unwrap().count(), 501);
}

#[test]
fn an_agent_killed_while_it_fetches_begins_again() {
    let mut host = Host::new();
    let s3 = services().s3();
    s3.create_bucket("daemon-restart");
    s3.put("daemon-restart", "one.zip", &Release::new("one").zip(host.path()));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    host.aws_settings = format!(":s3_endpoint_override: http://{}\n", silent.local_addr().unwrap());
    host.service.register(ARN, &Keys { id: ACCESS_KEY.to_owned(), secret: SECRET_KEY.to_owned(), token: None });
    host.on_premises = host.on_premises.replace(&keys().id, ACCESS_KEY).replace(&keys().secret, SECRET_KEY);
    host.start();
    let revision = Revision::S3 {
        bucket: "daemon-restart".to_owned(),
        key: "one.zip".to_owned(),
        bundle_type: "zip",
        version: None,
        etag: None,
    };
    host.service.deploy(ARN, &Deployment::of("d-ONE", revision));
    let (connection, _) = silent.accept().unwrap();
    host.kill();
    drop((connection, silent));
    host.aws_settings = format!(":s3_endpoint_override: {}\n", s3.url);
    host.start();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn an_agent_killed_again_and_again_finishes_its_deployment() {
    let mut host = Host::new();
    for event in ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"] {
        host.close_gate(event);
    }
    host.begin("d-ONE", &Release::new("one"));
    for event in ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"] {
        host.start();
        host.wait_for_script("one", event);
        host.kill();
        host.open_gate(event);
    }
    host.start();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_a_script_alone_and_the_next_one_takes_its_result() {
    let mut host = Host::new();
    host.start();
    host.close_gate("ApplicationStart");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "ApplicationStart");
    let (status, time) = host.stop();
    assert_eq!(status.code(), Some(0), "{}", host.told());
    assert!(time < Duration::from_secs(10), "{time:?}");
    let completed = |event: &str| {
        let commands = host.service.commands("d-ONE");
        commands.iter().find(|command| command.event == event).map(|command| command.completions.len())
    };
    assert_eq!(completed("ApplicationStart"), Some(0), "nothing is told of a script that still runs");
    host.open_gate("ApplicationStart");
    host.start();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn an_idle_agent_ends_at_once() {
    let mut host = Host::new();
    host.start();
    host.service.wait_for_calls(Operation::Poll, 2);
    let (status, time) = host.stop();
    assert_eq!(status.code(), Some(0), "{}", host.told());
    assert!(time < Duration::from_secs(5), "{time:?}");
}

#[test]
fn the_agents_program_may_be_replaced_in_the_middle_of_a_deployment() {
    let mut host = Host::new();
    let program: PathBuf = host.path().join("longshore-agent");
    fs::copy(bin("longshore-agent"), &program).unwrap();
    host.program.clone_from(&program);
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "AfterInstall");
    // As a package manager does it: the new file takes the place of the old one, which still runs.
    let new = host.path().join("longshore-agent.new");
    fs::copy(bin("longshore-agent"), &new).unwrap();
    fs::rename(new, &program).unwrap();
    let (status, _) = host.stop();
    assert_eq!(status.code(), Some(0), "{}", host.told());
    host.start();
    host.open_gate("AfterInstall");
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn a_command_that_comes_while_the_agent_ends_is_not_lost() {
    let mut host = Host::new();
    host.start();
    host.service.inject(Operation::Poll, Fault::HeldReply, 1);
    host.begin("d-ONE", &Release::new("one"));
    host.service.wait_for_faults(Operation::Poll, 1);
    let (status, _) = host.stop();
    assert_eq!(status.code(), Some(0), "{}", host.told());
    host.start();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn settings_with_an_error_and_a_second_agent_are_refused_and_the_one_that_runs_stays() {
    let mut host = Host::new();
    host.start();
    host.service.wait_for_calls(Operation::Poll, 1);
    let second = host.run_once();
    assert_eq!(second.status.code(), Some(9), "{second:?}");
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("another agent runs on"), "{told}");
    host.aws_settings = ":max_revisions: none\n".to_owned();
    let wrong = host.run_once();
    assert_ne!(wrong.status.code(), Some(0), "{wrong:?}");
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert!(told.contains("max_revisions"), "{told}");
    host.begin("d-ONE", &Release::new("one"));
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn what_is_over_for_long_is_forgotten_at_the_start_too() {
    let mut host = Host::new();
    let torn = host.root().join("host-commands/.torn.longshore-1");
    fs::create_dir_all(torn.parent().unwrap()).unwrap();
    let file = fs::File::create(&torn).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 3600)).unwrap();
    host.start();
    eventually("it is forgotten", || (!torn.exists()).then_some(()));
}
