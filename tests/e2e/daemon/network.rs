//! Between the host and the service things go wrong.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use e2e::command_service::{Fault, Operation};

use crate::course::{assert_good, starts};
use crate::host::{Host, eventually};
use crate::release::Release;

#[test]
fn whatever_goes_wrong_with_a_request_the_deployment_goes_as_if_nothing_had_happened() {
    let faults = [
        Fault::ServerError,
        Fault::Throttled,
        Fault::Denied,
        Fault::LostRequest,
        Fault::LostReply,
        Fault::Malformed,
        Fault::Slow(Duration::from_millis(300)),
    ];
    thread::scope(|scope| {
        for operation in [Operation::Poll, Operation::Specification, Operation::Acknowledge, Operation::Complete] {
            scope.spawn(move || {
                let mut host = Host::new();
                host.start();
                host.begin("d-ONE", &Release::new("one"));
                for (number, fault) in faults.into_iter().enumerate() {
                    host.service.inject(operation, fault, 1);
                    host.service.wait_for_faults(operation, number + 1);
                    // The pause between polls begins anew after a good one.
                    if operation == Operation::Poll {
                        host.service.wait("a good poll", || {
                            host.service.calls_of(operation).pop().filter(|poll| poll.fault.is_none())
                        });
                    }
                }
                assert_good(&host, "d-ONE", "one");
            });
        }
    });
}

#[test]
fn a_result_whose_receipt_got_lost_is_told_again_and_counts_once() {
    let mut host = Host::new();
    host.service.inject(Operation::Complete, Fault::LostReply, 2);
    host.start();
    host.begin("d-ONE", &Release::new("one"));
    assert_good(&host, "d-ONE", "one");
    let commands = host.service.commands("d-ONE");
    let of = commands.iter().find(|command| command.event == "DownloadBundle").unwrap();
    assert!(of.completions.len() >= 2, "{of:#?}");
    assert_eq!(of.completions.iter().filter(|completion| completion.counts).count(), 1);
}

#[test]
fn a_command_that_comes_twice_is_carried_out_once() {
    let mut host = Host::new();
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "AfterInstall");
    // While it runs, and after it has ended.
    host.service.inject(Operation::Poll, Fault::Duplicate, 2);
    host.service.wait_for_faults(Operation::Poll, 2);
    host.service.wait_for_command("d-ONE", "AfterInstall", |command| command.deliveries >= 3);
    host.open_gate("AfterInstall");
    assert_good(&host, "d-ONE", "one");
    host.service.inject(Operation::Poll, Fault::Duplicate, 1);
    host.service.wait_for_command("d-ONE", "ValidateService", |command| command.deliveries == 2);
    let polls = host.service.calls_of(Operation::Poll).len();
    host.service.wait_for_calls(Operation::Poll, polls + 2);
    assert_eq!(host.trace(), starts("one"));
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn what_happened_while_the_service_was_away_is_told_when_it_is_back() {
    let mut host = Host::new();
    host.start();
    host.close_gate("BeforeInstall");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "BeforeInstall");
    host.service.down();
    host.open_gate("BeforeInstall");
    let ledger = host.root().join("host-commands");
    eventually("the result waits for the service", || {
        let mut records = fs::read_dir(&ledger).unwrap().map(|record| fs::read_to_string(record.unwrap().path()));
        records.any(|text| text.is_ok_and(|text| text.contains(r#""state":"ended""#))).then_some(())
    });
    host.service.up();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn a_service_that_asks_for_patience_is_not_pressed() {
    let mut host = Host::new();
    host.service.inject(Operation::Poll, Fault::Throttled, 3);
    let begun = Instant::now();
    host.start();
    let calls = host.service.wait_for_calls(Operation::Poll, 4);
    assert!(begun.elapsed() < Duration::from_secs(30));
    let pauses: Vec<Duration> = calls.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(30)), "{pauses:?}");
    assert!(pauses[2] > pauses[0], "pauses do not grow: {pauses:?}");
}

#[test]
fn a_command_for_another_host_does_no_harm() {
    let mut host = Host::new();
    host.service.inject(Operation::Poll, Fault::WrongHost, 2);
    host.start();
    host.service.wait_for_faults(Operation::Poll, 2);
    host.begin("d-ONE", &Release::new("one"));
    assert_good(&host, "d-ONE", "one");
    let others = |operation| {
        let calls = host.service.calls_of(operation);
        calls.iter().any(|call| call.body["HostCommandIdentifier"] == "another")
    };
    assert!(!others(Operation::Acknowledge) && !others(Operation::Complete));
}
