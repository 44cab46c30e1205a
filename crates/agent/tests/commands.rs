//! Events that are asked for one at a time, as the CodeDeploy service does: what runs, what is answered, what a crash and a
//! handover leave.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its own part of it")]
mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use longshore_agent::deployment::agent::{self, Agent};
use longshore_agent::deployment::answer::Answer;
use longshore_agent::deployment::order::{Cause, Group, OnFailure, Order, Pace, Policy, Revision, StopFrom};
use longshore_agent::deployment::{drive, noop};
use longshore_agent::event::Event;
use longshore_agent::fetch::access::Access;
use longshore_agent::hook::watch::Shim;
use longshore_agent::layout::Layout;
use longshore_agent::lock::Lock;
use longshore_core::appspec::FileExists;
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::report::{Envelope, Reporter};
use sandbox::{Sandbox, wait_until};

/// In place, without a load balancer.
const IN_PLACE: [&str; 7] = [
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
];

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Reporter<Event> for Told {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        self.0.lock().unwrap().push(envelope.event.clone());
    }
}

impl Told {
    fn warnings(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let warning = |event: &Event| match event {
            Event::Warning { message } => Some(message.clone()),
            _ => None,
        };
        told.iter().filter_map(warning).collect()
    }
}

fn agent_at(root: PathBuf, reader: Arc<dyn Reporter<Event>>) -> Agent {
    Agent {
        layout: Layout::new(root),
        reader,
        now: agent::now,
        environment: BTreeMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]),
        cwd: "/".into(),
        stop: Arc::default(),
        handover: Arc::default(),
        access: Access::default(),
        shim: Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() },
    }
}

fn agent(host: &Sandbox) -> Agent {
    agent_at(host.root(), Arc::new(Told::default()))
}

/// As the service gives it.
fn order(id: &str, revision: &Path) -> Order {
    let (application, name) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    Order {
        deployment: id.parse().unwrap(),
        number: 0,
        group: Group { id: GroupId::of(&application, &name), name },
        application,
        revision: Revision::Local(revision.to_owned()),
        events: LifecycleEvent::ALL.to_vec(),
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists: FileExists::Disallow,
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: None,
        appspec_name: None,
        policy: Policy { on_failure: OnFailure::Leave, ..Policy::default() },
        pace: Pace::OnCommand,
        reuse: None,
        possible_events: None,
        blue_green: false,
    }
}

fn ask(agent: &Agent, order: &Order, event: &str) -> String {
    text(drive::command(agent, order, &event.parse().unwrap()))
}

/// An answer as the service gets it.
fn text(answer: Answer) -> String {
    match answer {
        Answer::Succeeded => "Succeeded".to_owned(),
        Answer::Failed { diagnostics, .. } => diagnostics.to_json(),
        Answer::HandedOver => "handed over".to_owned(),
    }
}

fn all(agent: &Agent, order: &Order, events: &[&str]) {
    for event in events {
        assert_eq!(ask(agent, order, event), "Succeeded", "{event}");
    }
}

fn noops(agent: &Agent, order: &Order, events: &[&str]) -> Vec<bool> {
    events.iter().map(|event| noop::is_noop(&agent.layout, order, &event.parse().unwrap()).unwrap()).collect()
}

fn journal(host: &Sandbox, id: &str) -> Vec<String> {
    let lines = fs::read_to_string(host.deployment(id).join("journal.jsonl")).unwrap();
    let entry = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| line[key].as_str().map(|text| format!(" {text}")).unwrap_or_default();
        format!("{}{}{}", line["entry"].as_str().unwrap(), part("event"), part("outcome"))
    };
    lines.lines().map(entry).collect()
}

/// What `status` and `history` say of the latest deployment.
fn standing(host: &Sandbox) -> (String, serde_json::Value, serde_json::Value) {
    let table = host.run(&["history"]).succeeds().out;
    let records: serde_json::Value =
        serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let row = table.lines().nth(1).unwrap();
    let columns: Vec<&str> = row.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    (columns.last().unwrap().to_string(), records[0]["outcome"].clone(), records[0]["waiting"].clone())
}

#[test]
fn the_events_of_a_deployment_run_as_they_are_asked_for_and_between_them_it_waits() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let one = order("d-ONE", &host.traced("one", &[("index.html", "1")]));
    assert_eq!(noops(&agent, &one, &IN_PLACE), [true, false, false, false, false, false, false]);
    all(&agent, &one, &IN_PLACE[..1]);
    assert_eq!(noops(&agent, &one, &IN_PLACE), [true, false, false, false, false, false, false]);
    assert_eq!(
        standing(&host),
        ("waits for its next event".to_owned(), serde_json::Value::Null, serde_json::Value::Bool(true))
    );
    assert!(host.run(&["status"]).succeeds().out.contains("d-ONE waits for its next event at "));
    let explained = host.run(&["explain"]).succeeds().out;
    assert!(explained.contains("d-ONE waits for its next event: all that it was asked for is done"), "{explained}");
    host.run(&["resume"]).succeeds().tells("nothing was left unfinished");
    host.run(&["doctor", "--group", "dev"]).succeeds();
    assert!(Lock::acquire(&agent.layout, &one.group.id, "a look").is_ok(), "nobody holds the group meanwhile");

    all(&agent, &one, &IN_PLACE[1..]);
    let ran = "BeforeInstall AfterInstall ApplicationStart ValidateService";
    let trace = |name: &str, ran: &str| ran.split(' ').map(|event| format!("{name} {event}\n")).collect::<String>();
    assert_eq!(host.trace(), trace("one", ran));
    assert_eq!(standing(&host), ("succeeded".to_owned(), "succeeded".into(), serde_json::Value::Null));
    assert_eq!(
        journal(&host, "d-ONE"),
        [
            "opened",
            "asked ApplicationStop",
            "prepared",
            "asked DownloadBundle",
            "planned DownloadBundle",
            "started DownloadBundle",
            "finished DownloadBundle",
            "asked BeforeInstall",
            "planned BeforeInstall",
            "started BeforeInstall",
            "finished BeforeInstall",
            "asked Install",
            "planned Install",
            "started Install",
            "installing",
            "installing",
            "installing",
            "installing",
            "finished Install",
            "asked AfterInstall",
            "planned AfterInstall",
            "started AfterInstall",
            "finished AfterInstall",
            "asked ApplicationStart",
            "planned ApplicationStart",
            "started ApplicationStart",
            "finished ApplicationStart",
            "asked ValidateService",
            "planned ValidateService",
            "started ValidateService",
            "finished ValidateService",
            "closed succeeded"
        ]
    );

    let two = order("d-TWO", &host.traced("two", &[("index.html", "2")]));
    assert_eq!(noops(&agent, &two, &IN_PLACE), [false; 7]);
    all(&agent, &two, &IN_PLACE);
    assert_eq!(host.trace(), trace("one", &format!("{ran} ApplicationStop")) + &trace("two", ran));
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "2");
    let records: serde_json::Value =
        serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    assert_eq!([&records[0]["good"], &records[1]["good"]], [true, true], "no traffic was asked for");
}

#[test]
fn with_a_load_balancer_a_deployment_ends_after_its_traffic_is_back() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let one = order("d-ONE", &host.traced("one", &[("a", "1")]));
    let events: Vec<&str> = LifecycleEvent::ALL.iter().map(LifecycleEvent::name).collect();
    all(&agent, &one, &events[..10]);
    assert_eq!(standing(&host).0, "waits for its next event");
    all(&agent, &one, &events[10..]);
    assert_eq!(standing(&host).0, "succeeded");
    let good = fs::read_to_string(host.root().join("groups/shop~dev/good.json")).unwrap();
    assert!(good.contains("d-ONE"));
}

#[test]
fn an_event_that_is_done_is_not_done_again_and_one_that_failed_answers_the_same() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let appspec = "version: 0.0\nos: linux\nhooks:\n  BeforeInstall:\n    - location: before.sh\n  AfterInstall:\n    \
                   - location: after.sh\n      runas: root\n";
    let one = order(
        "d-ONE",
        &host.revision(
            "one",
            &[
                ("appspec.yml", appspec),
                ("before.sh", "#!/bin/sh\necho before >> {trace}\n"),
                ("after.sh", "#!/bin/sh\necho after >> {trace}\necho no such table >&2\nexit 3\n"),
            ],
        ),
    );
    all(&agent, &one, &["ApplicationStop", "DownloadBundle", "BeforeInstall"]);
    all(&agent, &one, &["BeforeInstall", "DownloadBundle"]);
    all(&agent, &one, &["Install"]);
    let failed = ask(&agent, &one, "AfterInstall");
    assert_eq!(
        failed,
        r#"{"error_code":4,"script_name":"after.sh","message":"Script `after.sh` run as user root failed with exit code 3","log":"[stderr]no such table\n"}"#
    );
    let lines = journal(&host, "d-ONE");
    assert_eq!(lines.last().unwrap(), "closed failed");
    for event in ["AfterInstall", "AfterInstall"] {
        assert_eq!(ask(&agent, &one, event), failed);
    }
    all(&agent, &one, &["BeforeInstall", "Install"]);
    assert_eq!(host.trace(), "before\nafter\n");
    assert_eq!(journal(&host, "d-ONE"), lines, "an answer that is known writes nothing");
}

#[test]
fn after_an_application_stop_whose_failure_the_service_ignores_the_deployment_goes_on_and_succeeds() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let stops = "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n";
    let old = host.revision("old", &[("appspec.yml", stops), ("stop.sh", "#!/bin/sh\nexit 1\n")]);
    all(&agent, &order("d-OLD", &old), &IN_PLACE);
    let new = order("d-NEW", &host.traced("new", &[("a", "1")]));
    let failed = ask(&agent, &new, "ApplicationStop");
    assert!(failed.starts_with(r#"{"error_code":4,"script_name":"stop.sh""#), "{failed}");
    assert_eq!(standing(&host).1, "failed");
    all(&agent, &new, &IN_PLACE[1..]);
    assert_eq!(standing(&host).1, "succeeded");
    assert_eq!(ask(&agent, &new, "ApplicationStop"), failed, "told as it was");
    let explained = host.run(&["explain", "d-NEW"]).succeeds().out;
    assert!(explained.contains("d-NEW succeeded, and its release is good"), "{explained}");
}

#[test]
fn a_bundle_that_is_refused_is_refused_before_application_stop_and_the_old_release_serves_on() {
    let host = Sandbox::new();
    let agent = agent(&host);
    all(&agent, &order("d-OLD", &host.traced("old", &[("index.html", "old")])), &IN_PLACE);
    let before = (host.trace(), host.tree(&host.www()));
    let broken = host.path().join("broken.zip");
    fs::write(&broken, "this is no archive").unwrap();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    let conflict = host.revision("new", &[("appspec.yml", appspec), ("site/index.html", "new"), ("site/mine", "new")]);
    fs::write(host.www().join("mine"), "the user's").unwrap();
    for (id, revision, why) in [("d-BROKEN", &broken, "cannot use bundle"), ("d-CONFLICT", &conflict, "mine")] {
        let new = order(id, revision);
        let refused = ask(&agent, &new, "ApplicationStop");
        assert!(refused.starts_with(r#"{"error_code":5,"script_name":"""#) && refused.contains(why), "{refused}");
        assert_eq!(ask(&agent, &new, "ApplicationStop"), refused);
        assert_eq!(journal(&host, id), ["opened", "asked ApplicationStop", "closed refused"]);
        assert_eq!(host.trace(), before.0, "nothing was stopped");
        assert!(!host.deployment(id).join("deployment-archive").exists());
    }
    fs::remove_file(host.www().join("mine")).unwrap();
    assert_eq!(host.tree(&host.www()), before.1);
    // What was in the way is gone, and the service goes on all the same.
    all(&agent, &order("d-CONFLICT", &conflict), &IN_PLACE[1..]);
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "new");
}

#[test]
fn a_later_deployment_closes_the_one_that_waits_as_succeeded_and_good_if_it_was() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ValidateService:\n    - location: validate.sh\n";
    let revision = host.revision("plain", &[("appspec.yml", appspec), ("validate.sh", "#!/bin/sh\n")]);
    // The first ones wait: of one everything was asked for but the traffic, of the other not even its scripts.
    all(&agent, &order("d-ONE", &revision), &["BeforeBlockTraffic", "Install", "ValidateService"]);
    all(&agent, &order("d-TWO", &revision), &["ApplicationStop", "DownloadBundle", "Install"]);
    all(&agent, &order("d-THREE", &revision), &["ApplicationStop"]);
    let records: serde_json::Value =
        serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let known: Vec<_> = records.as_array().unwrap().iter().map(|it| (&it["outcome"], &it["good"])).collect();
    let (null, ended) = (serde_json::Value::Null, "succeeded".into());
    let (yes, no) = (true.into(), false.into());
    assert_eq!(known, [(&null, &no), (&ended, &no), (&ended, &yes)]);
    let good = fs::read_to_string(host.root().join("groups/shop~dev/good.json")).unwrap();
    assert!(good.contains("d-ONE"), "{good}");
}

#[test]
fn traffic_of_a_blue_green_deployment_needs_no_bundle_and_takes_the_scripts_of_the_map() {
    let nowhere = Path::new("/nowhere/bundle.zip");
    for (map, block, allow) in
        [(ScriptsMap::InPlace, Some("good"), None), (ScriptsMap::BlueGreenRollback, Some("fetched"), Some("good"))]
    {
        let host = Sandbox::new();
        let agent = agent(&host);
        all(&agent, &order("d-GOOD", &host.traced("good", &[("a", "1")])), &IN_PLACE);
        all(&agent, &order("d-FETCHED", &host.traced("fetched", &[("a", "2")])), &["DownloadBundle"]);
        let before = host.trace();
        let order = Order { blue_green: true, scripts_map: map, ..order("d-NEW", nowhere) };
        for (event, from) in [
            ("BeforeBlockTraffic", block),
            ("AfterBlockTraffic", block),
            ("BeforeAllowTraffic", allow),
            ("AfterAllowTraffic", allow),
        ] {
            assert_eq!(noops(&agent, &order, &[event]), [false], "{event}");
            let (answer, expected) = (ask(&agent, &order, event), from.map(|from| format!("{from} {event}\n")));
            let ran = host.trace();
            match &expected {
                Some(expected) => assert!(ran.ends_with(expected) && answer == "Succeeded", "{event}: {answer} {ran}"),
                None => assert!(
                    answer.starts_with(r#"{"error_code":5"#) && answer.contains("is not on this host"),
                    "{event}: {answer}"
                ),
            }
            assert_eq!(ask(&agent, &order, event), answer);
            assert_eq!(host.trace(), ran, "{event} runs once");
        }
        let ran = [block, block, allow, allow].into_iter().flatten().count();
        assert_eq!(host.trace()[before.len()..].lines().count(), ran);
        assert!(!host.deployment("d-NEW").join("deployment-archive").exists());
    }
}

#[test]
fn a_blue_green_host_that_was_installed_to_takes_the_scripts_of_its_new_revision() {
    let host = Sandbox::new();
    let agent = agent(&host);
    all(&agent, &order("d-OLD", &host.traced("old", &[("a", "1")])), &IN_PLACE);
    let before = host.trace().len();
    let new = Order { blue_green: true, ..order("d-NEW", &host.traced("new", &[("a", "2")])) };
    all(&agent, &new, &IN_PLACE);
    all(&agent, &new, &["BeforeAllowTraffic", "AfterAllowTraffic"]);
    assert_eq!(standing(&host).1, "succeeded");
    // As a rollback of the traffic alone would do.
    all(&agent, &new, &["BeforeBlockTraffic", "AfterBlockTraffic"]);
    assert_eq!(
        &host.trace()[before..],
        "old ApplicationStop\nnew BeforeInstall\nnew AfterInstall\nnew ApplicationStart\nnew ValidateService\n\
         new BeforeAllowTraffic\nnew AfterAllowTraffic\nnew BeforeBlockTraffic\nnew AfterBlockTraffic\n"
    );
    assert!(host.deployment("d-NEW").join("deployment-archive/appspec.yml").exists());
}

#[test]
fn the_first_deployment_of_a_blue_green_host_has_no_scripts_for_its_traffic() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let order = Order { blue_green: true, ..order("d-NEW", Path::new("/nowhere")) };
    let events = ["BeforeBlockTraffic", "AfterBlockTraffic"];
    assert_eq!(noops(&agent, &order, &events), [true, true]);
    all(&agent, &order, &events);
    assert_eq!(standing(&host).1, "succeeded");
}

#[test]
fn a_release_with_scripts_for_events_that_are_never_asked_for_is_refused() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let appspec =
        "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a.sh\n  WarmUp:\n    - location: a.sh\n";
    let revision = host.revision("one", &[("appspec.yml", appspec), ("a.sh", "#!/bin/sh\n")]);
    let possible = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (id, possible_events, why) in [
        (
            "d-1",
            possible(&["Install", "ApplicationStop"]),
            "the appspec has scripts for events that are not asked for: AfterInstall, WarmUp",
        ),
        (
            "d-2",
            possible(&["Install", "ApplicationStop", "AfterInstall", "WarmUp", "BlockTraffic", "CoolDown", "Rest"]),
            "the appspec has no scripts for events that are asked for: CoolDown, Rest",
        ),
    ] {
        let order = Order { possible_events, ..order(id, &revision) };
        let answer = ask(&agent, &order, "ApplicationStop");
        assert!(answer.contains(r#""error_code":5"#) && answer.contains(why), "{answer}");
    }
    let possible_events = possible(&["Install", "ApplicationStop", "AfterInstall", "WarmUp", "BlockTraffic"]);
    all(&agent, &Order { possible_events, ..order("d-3", &revision) }, &["ApplicationStop"]);
}

#[test]
fn the_archive_of_another_deployment_is_used_again_and_without_it_the_revision_is_fetched() {
    let host = Sandbox::new();
    let told = Arc::new(Told::default());
    let agent = agent_at(host.root(), Arc::clone(&told) as Arc<dyn Reporter<Event>>);
    let revision = host.traced("one", &[("index.html", "1")]);
    all(&agent, &order("d-ONE", &revision), &IN_PLACE);
    fs::remove_dir_all(&revision).unwrap();
    let again = |id: &str, reuse: &str| Order { reuse: Some(reuse.parse().unwrap()), ..order(id, &revision) };
    all(&agent, &again("d-TWO", "d-ONE"), &IN_PLACE);
    assert_eq!(told.warnings(), [""; 0]);

    host.traced("one", &[("index.html", "fetched")]);
    all(&agent, &again("d-THREE", "d-GONE"), &IN_PLACE);
    fs::write(host.deployment("d-TWO").join("bundle.tar"), "half an arch").unwrap();
    all(&agent, &again("d-FOUR", "d-TWO"), &IN_PLACE);
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "fetched");
    let warnings = told.warnings();
    let begins = |id: &str| format!("the archive of deployment {id} is not used again, the revision is fetched: ");
    assert_eq!(warnings.len(), 2);
    assert_eq!(warnings[0], begins("d-GONE") + "it is no longer kept");
    assert!(warnings[1].starts_with(&begins("d-TWO")), "{}", warnings[1]);
}

#[test]
fn a_command_waits_for_somebody_who_works_on_the_group() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let one = order("d-ONE", &host.traced("one", &[("a", "1")]));
    let lock = Lock::acquire(&agent.layout, &one.group.id, "somebody").unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, &one, "ApplicationStop"));
        std::thread::park_timeout(Duration::from_millis(300));
        assert!(!asked.is_finished() && !host.deployment("d-ONE").exists());
        drop(lock);
        assert_eq!(asked.join().unwrap(), "Succeeded");
    });
}

/// A release whose AfterInstall waits until somebody writes `trace.go`.
fn waiting(host: &Sandbox) -> PathBuf {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n    - location: after.sh\n  \
                   ApplicationStart:\n    - location: after.sh\n";
    let wait =
        "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho done >> {trace}\n";
    let after = "#!/bin/sh\necho $LIFECYCLE_EVENT >> {trace}\n";
    host.revision("waiting", &[("appspec.yml", appspec), ("wait.sh", wait), ("after.sh", after)])
}

const UNTIL_AFTER_INSTALL: [&str; 4] = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install"];

/// The variable in which a process of its own is told what to do, instead of being a test.
const ALONE: &str = "LONGSHORE_TEST_ALONE";

/// Asks for AfterInstall of deployment `d-ONE` in a process of its own.
fn after_install_alone(host: &Sandbox, revision: &Path, test: &str) -> Child {
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", test, "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
    alone.env(ALONE, format!("{}\n{}", host.root().display(), revision.display())).spawn().unwrap()
}

#[test]
fn an_agent_killed_in_the_middle_of_a_hook_answers_after_its_restart_and_the_hook_ran_once() {
    if let Ok(alone) = std::env::var(ALONE) {
        let (root, revision) = alone.split_once('\n').unwrap();
        let agent = agent_at(root.into(), Arc::new(Told::default()));
        ask(&agent, &order("d-ONE", revision.as_ref()), "AfterInstall");
        return;
    }
    let host = Sandbox::new();
    let revision = waiting(&host);
    let one = order("d-ONE", &revision);
    all(&agent(&host), &one, &UNTIL_AFTER_INSTALL);
    let kill_in_the_middle = || {
        let test = "an_agent_killed_in_the_middle_of_a_hook_answers_after_its_restart_and_the_hook_ran_once";
        let mut alone = after_install_alone(&host, &revision, test);
        wait_until(|| host.trace() == "waiting\n");
        wait_until(|| Lock::holder(&Layout::new(host.root()), &one.group.id).is_some());
        alone.kill().unwrap();
        alone.wait().unwrap();
    };
    kill_in_the_middle();
    assert_eq!(standing(&host).0, "unfinished");
    kill_in_the_middle();
    let agent = agent(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, &one, "AfterInstall"));
        fs::write(host.path().join("trace.go"), "").unwrap();
        assert_eq!(asked.join().unwrap(), "Succeeded");
    });
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\n");
    all(&agent, &one, &["ApplicationStart", "ValidateService"]);
    assert_eq!(standing(&host).1, "succeeded");
}

/// Begins AfterInstall and hands it over while its first script runs.
fn hand_over(host: &Sandbox, one: &Order) {
    let agent = agent(host);
    all(&agent, one, &UNTIL_AFTER_INSTALL);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, one, "AfterInstall"));
        wait_until(|| host.trace() == "waiting\n");
        let since = Instant::now();
        agent.handover.store(true, Ordering::Relaxed);
        assert_eq!(asked.join().unwrap(), "handed over");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    });
    assert_eq!(ask(&agent, one, "AfterInstall"), "handed over", "nothing begins any more");
    assert_eq!(ask(&agent, one, "Install"), "handed over");
    assert_eq!(journal(host, "d-ONE").last().unwrap(), "started AfterInstall");
}

#[test]
fn an_agent_that_ends_leaves_a_running_hook_to_the_next_one() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    fs::write(host.path().join("trace.go"), "").unwrap();
    all(&agent(&host), &one, &["AfterInstall", "ApplicationStart", "ValidateService"]);
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
}

#[test]
fn resume_finishes_the_event_that_was_begun_and_no_other() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    fs::write(host.path().join("trace.go"), "").unwrap();
    host.run(&["resume"]).succeeds();
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\n");
    assert_eq!(standing(&host).0, "waits for its next event");
    host.run(&["resume"]).succeeds().tells("nothing was left unfinished");
    all(&agent(&host), &one, &["AfterInstall", "ApplicationStart", "ValidateService"]);
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
}

#[test]
fn an_event_that_was_left_in_the_middle_ends_before_another_one_begins() {
    let host = Sandbox::new();
    let one = order("d-ONE", &waiting(&host));
    hand_over(&host, &one);
    let agent = agent(&host);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&agent, &one, "ApplicationStart"));
        wait_until(|| journal(&host, "d-ONE").last().unwrap() == "resumed");
        fs::write(host.path().join("trace.go"), "").unwrap();
        assert_eq!(asked.join().unwrap(), "Succeeded");
    });
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");
}

#[test]
fn a_deployment_that_is_handed_over_before_its_bundle_is_here_is_fetched_by_the_next_agent() {
    let host = Sandbox::new();
    let one = order("d-ONE", &host.traced("one", &[("a", "1")]));
    let first = agent(&host);
    first.handover.store(true, Ordering::Relaxed);
    assert_eq!(ask(&first, &one, "ApplicationStop"), "handed over");
    assert!(!host.deployment("d-ONE").exists());
    all(&agent(&host), &one, &IN_PLACE);
}

#[test]
fn an_order_that_an_earlier_version_wrote_down_is_gone_on_with() {
    let host = Sandbox::new();
    let revision = host.traced("one", &[("a", "1")]);
    let line = format!(
        r#"{{"at":"2026-01-01T00:00:00.000Z","entry":"opened","order":{{"deployment":"d-OLD","number":1,"application":"shop","group":{{"id":"shop~dev","name":"dev"}},"revision":{{"local":"{}"}},"events":["DownloadBundle","BeforeInstall","Install"],"skip":[],"stop_from":"installed","file_exists":"DISALLOW","cause":{{"cause":"asked"}},"scripts_map":"in_place","content_digest":null,"appspec_name":null,"policy":POLICY}},"agent":"0.1.0"}}"#,
        revision.display()
    );
    let policy = serde_json::to_string(&Policy::default()).unwrap();
    let folder = host.deployment("d-OLD");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(host.root().join("deployment-instructions")).unwrap();
    fs::write(folder.join("journal.jsonl"), line.replace("POLICY", &policy) + "\n").unwrap();
    host.run(&["resume"]).succeeds();
    assert_eq!(host.trace(), "one BeforeInstall\n");
    assert_eq!(standing(&host).1, "succeeded");
}

#[test]
fn an_order_of_a_store_goes_on_where_it_was_handed_over_and_says_again_how_it_ended() {
    let host = Sandbox::new();
    let one = Order { pace: Pace::AtOnce, ..order("d-ONE", &waiting(&host)) };
    let first = agent(&host);
    std::thread::scope(|scope| {
        let deployed = scope.spawn(|| drive::deploy_or_resume(&first, &one));
        wait_until(|| host.trace() == "waiting\n");
        first.handover.store(true, Ordering::Relaxed);
        assert!(drive::is_handover(&deployed.join().unwrap().unwrap_err()));
    });
    assert_eq!(standing(&host).0, "unfinished");
    fs::write(host.path().join("trace.go"), "").unwrap();
    let second = agent(&host);
    for _ in 0..2 {
        drive::deploy_or_resume(&second, &one).unwrap();
    }
    assert_eq!(host.trace(), "waiting\ndone\nAfterInstall\nApplicationStart\n");

    let failing = host.revision(
        "failing",
        &[
            ("appspec.yml", "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: f.sh\n"),
            ("f.sh", "#!/bin/sh\nexit 1\n"),
        ],
    );
    let two = Order { pace: Pace::AtOnce, ..order("d-TWO", &failing) };
    for _ in 0..2 {
        let failure = drive::deploy_or_resume(&second, &two).unwrap_err();
        assert!(!drive::is_handover(&failure));
        assert_eq!(failure.error.to_string(), "hook `f.sh` exited with 1 (AfterInstall, 1 of 1)");
    }
}
