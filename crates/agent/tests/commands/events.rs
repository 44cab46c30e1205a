//! What runs, what is answered, and how a deployment stands between two events.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use longshore_agent::deployment::order::Order;
use longshore_agent::event::Event;
use longshore_agent::lock::Lock;
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::report::Reporter;

use crate::fixture::{IN_PLACE, Told, agent, agent_at, all, ask, journal, noops, order, standing};
use crate::sandbox::Sandbox;

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
    assert!(host.run(&["status"]).succeeds().out.contains("d-ONE waits for its next event since "));
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
