//! Whole deployments on one host, by the real program: order, refusal, failure, and what is remembered.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod sandbox;

use std::fs;
use std::time::{Duration, Instant};

use sandbox::{Ran, Sandbox, wait_until};

/// What the traced events of a first deployment write.
const FIRST: &str = "one BeforeInstall\none AfterInstall\none ApplicationStart\none ValidateService\n\
                     one BeforeAllowTraffic\none AfterAllowTraffic\n";

#[test]
fn events_run_in_codedeploys_order_and_what_stops_comes_from_the_installed_revision() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("index.html", "1"), ("old", "x")]);
    let two = host.traced("two", &[("index.html", "2"), ("new", "y")]);

    host.deploy(&one, &[]).succeeds();
    assert_eq!(host.trace(), FIRST);
    host.deploy(&two, &[]).succeeds();
    assert_eq!(
        host.trace().strip_prefix(FIRST).unwrap(),
        "one BeforeBlockTraffic\none AfterBlockTraffic\none ApplicationStop\ntwo BeforeInstall\ntwo AfterInstall\n\
         two ApplicationStart\ntwo ValidateService\ntwo BeforeAllowTraffic\ntwo AfterAllowTraffic\n"
    );
    let names: Vec<_> = host.tree(&host.www()).into_iter().collect();
    assert_eq!(names, [("index.html".into(), "644 2".into()), ("new".into(), "644 y".into())]);
}

#[test]
fn what_a_deployment_tells_is_the_same_on_screen_in_json_and_in_the_file() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("index.html", "1")]);
    let ran = host.deploy(&one, &["--events", "DownloadBundle,BeforeInstall,Install,AfterAllowTraffic"]).succeeds();
    insta::assert_snapshot!(host.stable(&ran.told));

    let ran = host.deploy(&one, &["--output", "json"]).succeeds();
    let (id, _) = &host.history()[0];
    let kept = fs::read_to_string(host.deployment(id).join("events.jsonl")).unwrap();
    assert_eq!(ran.out, kept);
    let events: Vec<serde_json::Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["type"], "deployment_started");
    assert_eq!(events[0]["events"].as_array().unwrap().len(), 11);
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["outcome"]), (&"deployment_finished".into(), &"succeeded".into()));
    assert!(events.iter().all(|event| event["deployment"] == id.as_str() && event["v"] == 1));
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_plan_shows_everything_and_touches_nothing() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("index.html", "1"), ("old", "x")]);
    let two = host.traced("two", &[("index.html", "2"), ("new", "y")]);
    let before = host.tree(host.path());
    let first = host.plan(&one, &[]).succeeds();
    assert_eq!(host.tree(host.path()), before, "not even the root is made");
    insta::assert_snapshot!(host.stable(&first.out));

    host.deploy(&one, &[]).succeeds();
    let before = host.tree(host.path());
    let second = host.plan(&two, &[]).succeeds();
    assert_eq!(host.tree(host.path()), before);
    insta::assert_snapshot!(host.stable(&second.out));
    let json: serde_json::Value = serde_json::from_str(&host.plan(&two, &["--output", "json"]).succeeds().out).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 11);
    assert_eq!(json["blockers"], serde_json::json!([]));
}

#[test]
fn a_hook_that_fails_ends_the_deployment_and_is_explained() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: good.sh\n    - location: bad.sh\n    \
                   - location: good.sh\n  ApplicationStart:\n    - location: good.sh\n";
    let bad = host.revision(
        "bad",
        &[
            ("appspec.yml", appspec),
            ("good.sh", "#!/bin/sh\necho ran >> {trace}\n"),
            ("bad.sh", "#!/bin/sh\necho connecting\necho 'no such table: orders' >&2\nexit 3\n"),
        ],
    );
    let ran = host.deploy(&bad, &[]).exits(5);
    assert_eq!(host.trace(), "ran\n", "nothing runs after the failure");
    insta::assert_snapshot!(host.stable(&ran.told));
    assert_eq!(host.history()[0].1, "failed");
    let log = fs::read_to_string(host.deployment(&host.history()[0].0).join("logs/scripts.log")).unwrap();
    let lines: Vec<&str> = log.lines().map(|line| &line["2026-01-01 00:00:00 ".len()..]).collect();
    assert_eq!(
        lines,
        [
            "LifecycleEvent - AfterInstall",
            "Script - good.sh",
            "Script - bad.sh",
            "[stdout]connecting",
            "[stderr]no such table: orders",
            "Longshore - `bad.sh` exited with 3"
        ]
    );
}

#[test]
fn a_conflict_is_found_before_the_old_release_is_stopped() {
    let host = Sandbox::new();
    let stops = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  ApplicationStop:\n    \
                 - location: stop.sh\n";
    let stop = ("stop.sh", "#!/bin/sh\necho stopped >> {trace}\n");
    let one = host.revision("one", &[("appspec.yml", stops), stop, ("site/a", "1")]);
    let two =
        host.revision("two", &[("appspec.yml", stops), stop, ("site/a", "2"), ("site/mine", "2"), ("site/too", "2")]);
    host.deploy(&one, &[]).succeeds();
    fs::write(host.www().join("mine"), "the user's").unwrap();
    fs::write(host.www().join("too"), "the user's").unwrap();
    let before = host.tree(&host.www());

    let ran = host.deploy(&two, &[]).exits(6);
    assert_eq!(host.tree(&host.www()), before);
    assert_eq!(host.trace(), "", "the old release was not stopped");
    insta::assert_snapshot!(host.stable(&ran.told));
    host.plan(&two, &[]).exits(6).tells("2 reasons");
    assert_eq!(host.history()[0].1, "refused");

    // The old release is still the installed one, and OVERWRITE is the way on.
    host.deploy(&two, &["--file-exists-behavior", "OVERWRITE"]).succeeds();
    assert_eq!(host.trace(), "stopped\n");
    assert_eq!(fs::read_to_string(host.www().join("mine")).unwrap(), "2");
}

#[test]
fn a_before_install_script_may_move_files_out_of_the_way() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  BeforeInstall:\n    \
                   - location: before.sh\n";
    let clears =
        host.revision("clears", &[("appspec.yml", appspec), ("before.sh", "rm -f {www}/a\n"), ("site/a", "1")]);
    let forgets = host.revision("forgets", &[("appspec.yml", appspec), ("before.sh", "true\n"), ("site/b", "1")]);
    fs::create_dir(host.www()).unwrap();
    fs::write(host.www().join("a"), "the user's").unwrap();
    fs::write(host.www().join("b"), "the user's").unwrap();

    host.deploy(&clears, &[]).succeeds().tells("Install will fail unless a BeforeInstall script changes it");
    assert_eq!(fs::read_to_string(host.www().join("a")).unwrap(), "1");

    let before = host.tree(&host.www());
    host.deploy(&forgets, &[]).exits(6).tells("nothing was installed: 1 conflict in the way");
    assert_eq!(host.tree(&host.www()), before, "the old release is still whole");
}

#[test]
fn what_can_never_work_is_refused_before_anything_runs() {
    let host = Sandbox::new();
    let revision = |name: &str, hooks: &str| {
        let appspec = format!(
            "version: 0.0\nos: linux\nhooks:\n  BeforeBlockTraffic:\n    - location: ok.sh\n  AfterInstall:\n    \
             - location: ok.sh\n{hooks}"
        );
        host.revision(name, &[("appspec.yml", &appspec), ("ok.sh", "#!/bin/sh\necho ran >> {trace}\n")])
    };
    let missing = revision("missing", "  ApplicationStart:\n    - location: gone.sh\n");
    host.deploy(&missing, &[]).exits(3).tells("ApplicationStart: script `gone.sh` is not a file in the bundle");
    let stranger = revision("stranger", "  ApplicationStart:\n    - location: ok.sh\n      runas: nobody-at-all\n");
    host.deploy(&stranger, &[]).exits(5).tells("should run as `nobody-at-all`, and this host knows no such user");
    let windows = host.revision("windows", &[("appspec.yml", "version: 0.0\nos: windows\n")]);
    host.deploy(&windows, &[]).exits(3).tells("`os: windows`");
    let broken = host.revision("broken", &[("appspec.yml", "version: 0.0\nos: linus\nhooks:\n  AfterInstal: []\n")]);
    host.deploy(&broken, &[]).exits(3).tells("appspec.yml:2:5").tells("appspec.yml:4:3").tells("`longshore check`");
    let empty = host.revision("empty", &[("README", "")]);
    host.deploy(&empty, &[]).exits(3).tells("the bundle has no `appspec.yml` or `appspec.yaml` at its top");
    host.run(&["deploy", "/nowhere/at/all.zip", "--group", "dev", "--application", "shop"]).exits(7);
    fs::write(host.path().join("junk.zip"), "PK\x03\x04 not really").unwrap();
    host.deploy(&host.path().join("junk.zip"), &[]).exits(8);
    assert_eq!(host.trace(), "");
    assert!(host.history().iter().all(|(_, outcome)| outcome == "refused"));
}

#[test]
fn a_broken_stop_script_does_not_block_the_next_release() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n  ApplicationStart:\n    \
                   - location: start.sh\n";
    let start = ("start.sh", "#!/bin/sh\necho started >> {trace}\n");
    let typo = host.revision("typo", &[("appspec.yml", appspec), ("stop.sh", "#!/bin/sh\nexot 0\n"), start]);
    let fixed =
        host.revision("fixed", &[("appspec.yml", appspec), ("stop.sh", "#!/bin/sh\necho stopped >> {trace}\n"), start]);
    host.deploy(&typo, &[]).succeeds();
    host.deploy(&fixed, &[]).exits(5).tells("`--skip ApplicationStop`").tells("`--stop-from new`");
    host.deploy(&fixed, &["--stop-from", "new"]).succeeds();
    assert_eq!(host.trace(), "started\nstopped\nstarted\n");

    // An installed revision whose files are gone cannot be stopped by its scripts either: said before, with the same way out.
    let (id, _) = &host.history()[0];
    fs::remove_dir_all(host.deployment(id).join("deployment-archive")).unwrap();
    let events = "BeforeBlockTraffic,AfterBlockTraffic,ApplicationStop";
    host.deploy(&fixed, &[])
        .exits(3)
        .tells("the scripts of the installed revision cannot be read")
        .tells(&format!("`--skip {events}`"));
    host.deploy(&fixed, &["--skip", events]).succeeds();
}

#[test]
fn only_the_events_that_are_named_run_and_only_in_their_order() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: trace.sh\n  ValidateService:\n    \
                   - location: trace.sh\n  WarmCaches:\n    - location: trace.sh\n";
    let revision =
        host.revision("custom", &[("appspec.yml", appspec), ("trace.sh", "echo $LIFECYCLE_EVENT >> {trace}\n")]);
    host.deploy(&revision, &[]).succeeds().tells("WarmCaches");
    assert_eq!(host.trace(), "AfterInstall\nValidateService\n");
    host.deploy(&revision, &["--events", "ValidateService,WarmCaches"]).succeeds();
    assert_eq!(host.trace(), "AfterInstall\nValidateService\nValidateService\nWarmCaches\n");
    let refused = host.deploy(&revision, &["--events", "Install,ApplicationStop"]).exits(2);
    insta::assert_snapshot!(refused.told);
    host.deploy(&revision, &["--events", "install"]).exits(2).tells("PascalCase");
}

#[test]
fn hooks_get_the_documented_variables() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: env.sh\n";
    let script = "#!/bin/sh\nenv | grep -E '^(LIFECYCLE|DEPLOYMENT|APPLICATION|BUNDLE|LONGSHORE)' | sort >> {trace}\n";
    let revision = host.revision("env", &[("appspec.yml", appspec), ("env.sh", script)]);
    host.deploy(&revision, &["--deployment-id", "d-ONE"]).succeeds();
    host.deploy(&revision, &["--deployment-id", "d-TWO"]).succeeds();
    let sandbox = host.path().display();
    let digest = host.run(&["status", "--output", "json"]).succeeds().out;
    let status: serde_json::Value = serde_json::from_str(&digest).unwrap();
    let digest = status[0]["installed"]["content_digest"].as_str().unwrap();
    let expected = |id: &str, previous: &str| {
        format!(
            "APPLICATION_NAME=shop\nDEPLOYMENT_GROUP_ID=shop~dev\nDEPLOYMENT_GROUP_NAME=dev\nDEPLOYMENT_ID={id}\n\
             LIFECYCLE_EVENT=AfterInstall\nLONGSHORE_ARCHIVE_DIR={sandbox}/root/shop~dev/{id}/deployment-archive\n\
             LONGSHORE_DIGEST={digest}\n{previous}LONGSHORE_ROOT={sandbox}/root\n"
        )
    };
    assert_eq!(host.trace(), expected("d-ONE", "") + &expected("d-TWO", "LONGSHORE_PREVIOUS_DEPLOYMENT_ID=d-ONE\n"));
}

#[test]
fn one_deployment_of_a_group_at_a_time_and_another_group_is_free() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n      timeout: 60\n";
    let script = "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\n";
    let waits = host.revision("waits", &[("appspec.yml", appspec), ("wait.sh", script)]);
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    let mut first = host
        .agent(&["deploy", waits.to_str().unwrap(), "--group", "dev", "--application", "shop"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| host.trace() == "waiting\n");
    host.deploy(&plain, &[]).exits(9).tells(&format!("process {}", first.id()));
    host.run(&["deploy", plain.to_str().unwrap(), "--group", "stg", "--application", "shop"]).succeeds();
    fs::write(host.path().join("trace.go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    host.deploy(&plain, &[]).succeeds();
}

#[test]
fn an_agent_that_was_killed_leaves_a_deployment_that_the_next_one_closes() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n";
    let script =
        "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho done >> {trace}\n";
    let waits = host.revision("waits", &[("appspec.yml", appspec), ("wait.sh", script)]);
    let mut first =
        host.agent(&["deploy", waits.to_str().unwrap(), "--group", "dev", "--application", "shop"]).spawn().unwrap();
    wait_until(|| host.trace() == "waiting\n");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(host.history()[0].1, "unfinished");

    // The script outlives the agent; while it runs, nobody else may change the group.
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    host.deploy(&plain, &[]).exits(9).tells("`wait.sh` of the interrupted deployment");
    fs::write(host.path().join("trace.go"), "").unwrap();
    wait_until(|| host.trace() == "waiting\ndone\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    let ran = loop {
        let ran = host.deploy(&plain, &[]);
        if ran.code != Some(9) || Instant::now() > deadline {
            break ran;
        }
    };
    ran.succeeds().tells("which was interrupted in AfterInstall");
    let outcomes: Vec<String> = host.history().into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes.first().unwrap(), "succeeded");
    assert_eq!(outcomes.last().unwrap(), "interrupted");
}

#[test]
fn an_agent_that_was_killed_while_installing_leaves_the_old_release_or_the_new_one() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    let names: Vec<String> = (0..1500).map(|number| format!("site/{}/{number}", number % 7)).collect();
    let release = |name: &str| {
        let mut files = vec![("appspec.yml", appspec)];
        files.extend(names.iter().map(|path| (path.as_str(), name)));
        host.revision(name, &files)
    };
    let (one, two) = (release("one"), release("two"));
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    host.deploy(&one, &[]).succeeds();
    let old = host.tree(&host.www());
    let new: std::collections::BTreeMap<_, _> =
        old.iter().map(|(path, what)| (path.clone(), what.replace("one", "two"))).collect();

    for (number, wait) in [0, 20, 60, 100, 160, 240].into_iter().enumerate() {
        let id = format!("d-KILLED{number}");
        let mut agent = host
            .agent(&[
                "deploy",
                two.to_str().unwrap(),
                "--group",
                "dev",
                "--application",
                "shop",
                "--deployment-id",
                &id,
            ])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let written = host.deployment(&id).join("installation.json");
        wait_until(|| written.exists() || agent.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(wait));
        agent.kill().unwrap();
        agent.wait().unwrap();
        // An order without Install: closes what was left, and leaves the files as that made them.
        host.deploy(&plain, &["--events", "ValidateService"]).succeeds();
        let found = host.tree(&host.www());
        assert!(found == old || found == new, "killed {wait} ms after it began: a mix");
        host.deploy(&one, &[]).succeeds();
        assert_eq!(host.tree(&host.www()), old);
    }
}

#[test]
fn ctrl_c_ends_the_deployment_after_the_running_script_and_twice_ends_the_script() {
    for twice in [false, true] {
        let host = Sandbox::new();
        let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n  ApplicationStart:\n    \
                       - location: wait.sh\n";
        let script =
            "#!/bin/sh\necho waiting >> {trace}\nuntil [ -e {trace}.go ]; do sleep 0.05; done\necho done >> {trace}\n";
        let waits = host.revision("waits", &[("appspec.yml", appspec), ("wait.sh", script)]);
        let agent = host
            .agent(&["deploy", waits.to_str().unwrap(), "--group", "dev", "--application", "shop"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        wait_until(|| host.trace() == "waiting\n");
        let interrupt = || {
            let id = nix::unistd::Pid::from_raw(agent.id().try_into().unwrap());
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
        };
        interrupt();
        if twice {
            // A second signal before the first was taken would be the same one.
            wait_until(|| {
                fs::read_to_string(format!("/proc/{}/status", agent.id()))
                    .unwrap()
                    .contains("ShdPnd:\t0000000000000000")
            });
            std::thread::sleep(Duration::from_millis(200));
            interrupt();
        } else {
            fs::write(host.path().join("trace.go"), "").unwrap();
        }
        let ran = Ran::of(agent.wait_with_output().unwrap());
        if twice {
            ran.exits(5).tells("hook `wait.sh` was ended by signal 15");
            assert_eq!(host.trace(), "waiting\n");
        } else {
            ran.exits(1).tells("stopped before");
            assert_eq!(host.trace(), "waiting\ndone\n");
        }
        assert_eq!(host.history()[0].1, "failed");
    }
}

#[test]
fn old_deployments_go_away_and_the_good_one_stays() {
    let host = Sandbox::new();
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ValidateService:\n    - location: bad.sh\n";
    let bad = host.revision("bad", &[("appspec.yml", appspec), ("bad.sh", "#!/bin/sh\nexit 1\n")]);
    host.deploy(&plain, &["--deployment-id", "d-GOOD"]).succeeds();
    for number in 1..=4 {
        host.deploy(
            &bad,
            &["--deployment-id", &format!("d-BAD{number}"), "--max-revisions", "2", "--on-failure", "leave"],
        )
        .exits(5);
    }
    let kept: Vec<String> = host.history().into_iter().map(|(id, _)| id).collect();
    assert_eq!(kept, ["d-BAD4", "d-BAD3", "d-BAD2", "d-GOOD"]);
    let status = host.run(&["status"]).succeeds();
    insta::assert_snapshot!(
        status
            .out
            .lines()
            .map(|line| line.rsplit_once(" at ").map_or(line, |(head, _)| head))
            .collect::<Vec<_>>()
            .join("\n")
            .replace(&host.path().display().to_string(), "{sandbox}"),
    );
}

#[test]
fn an_object_that_does_not_exist_is_not_found_whatever_its_name_says() {
    let host = Sandbox::new();
    let url = format!("file://{}/web/none.zip", host.path().display());
    for command in ["deploy", "plan"] {
        host.run(&[command, &url, "--group", "dev"]).exits(7).tells("none.zip` does not exist");
    }
    fs::create_dir(host.path().join("web")).unwrap();
    fs::write(host.path().join("web/none.zip"), "").unwrap();
    host.run(&["deploy", &url, "--group", "dev"]).exits(2).tells("does not say which application it is");
}

#[track_caller]
#[test]
fn a_before_install_script_may_change_what_is_installed() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  BeforeInstall:\n    \
                   - location: build.sh\n";
    let script =
        "#!/bin/sh\ncd \"$LONGSHORE_ARCHIVE_DIR\"\necho 'built here, and longer' > site/page\necho more > site/added\n";
    let builds = host.revision("builds", &[("appspec.yml", appspec), ("build.sh", script), ("site/page", "draft")]);
    host.deploy(&builds, &[]).succeeds();
    assert_eq!(fs::read_to_string(host.www().join("page")).unwrap(), "built here, and longer\n");
    assert_eq!(fs::read_to_string(host.www().join("added")).unwrap(), "more\n");
}

#[test]
fn a_conflict_that_no_script_can_change_is_refused_also_before_a_before_install_script() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: a/page\n    destination: {www}\n  - source: b/page\n    \
                   destination: {www}\nhooks:\n  BeforeInstall:\n    - location: before.sh\n";
    let before = ("before.sh", "#!/bin/sh\necho ran >> {trace}\n");
    let twice = host.revision("twice", &[("appspec.yml", appspec), before, ("a/page", "a"), ("b/page", "b")]);
    host.deploy(&twice, &[]).exits(6).tells("`a/page` and `b/page` both go to");
    assert_eq!(host.trace(), "");
}

#[test]
fn refused_deployments_push_out_nothing_and_keep_no_archive() {
    let host = Sandbox::new();
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    let empty = host.revision("empty", &[("README", "")]);
    host.deploy(&plain, &["--deployment-id", "d-ONE"]).succeeds();
    host.deploy(&plain, &["--deployment-id", "d-TWO"]).succeeds();
    for _ in 0..3 {
        host.deploy(&empty, &["--max-revisions", "1"]).exits(3);
    }
    let ids: Vec<String> = host.history().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
    assert!(!host.deployment(&ids[0]).join("deployment-archive").exists());
    assert!(host.deployment("d-ONE").join("deployment-archive").exists());
}

#[test]
fn what_leaves_nothing_out_or_runs_nothing_is_refused() {
    let host = Sandbox::new();
    let plain = host.revision("plain", &[("appspec.yml", "version: 0.0\nos: linux\n")]);
    for event in ["Install", "ApplicatonStop"] {
        host.deploy(&plain, &["--skip", event]).exits(2).tells(&format!("`--skip {event}` leaves nothing out"));
    }
    host.deploy(&plain, &["--events", "ValidateSevice"]).exits(2).tells("`ValidateSevice` is no event of CodeDeploy's");
    let part = host.deploy(&plain, &["--events", "Install,ValidateService"]).succeeds();
    assert!(part.told.contains("Installed nothing"), "{}", part.told);
}

#[test]
fn only_a_release_whose_scripted_events_all_ran_is_good() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ValidateService:\n    - location: ok.sh\n";
    let revision = host.revision("r", &[("appspec.yml", appspec), ("ok.sh", "#!/bin/sh\n")]);
    let good = || {
        let status: serde_json::Value =
            serde_json::from_str(&host.run(&["status", "--output", "json"]).succeeds().out).unwrap();
        status[0]["good"]["deployment"].as_str().map(str::to_owned)
    };
    host.deploy(&revision, &["--events", "DownloadBundle,Install"]).succeeds();
    assert_eq!(good(), None);
    assert!(host.run(&["status"]).succeeds().out.lines().nth(1).unwrap().contains("  -  "), "installed, and not good");
    host.deploy(&revision, &["--skip", "ValidateService"]).succeeds();
    assert_eq!(good(), None);
    host.deploy(&revision, &["--deployment-id", "d-WHOLE"]).succeeds();
    assert_eq!(good(), Some("d-WHOLE".to_owned()));
}

#[test]
fn an_error_for_programs_carries_every_problem_and_survives_a_closed_pipe() {
    let host = Sandbox::new();
    let broken = host.revision("broken", &[("appspec.yml", "version: 0.0\nos: linus\nhooks:\n  AfterInstal: []\n")]);
    let ran = host.plan(&broken, &["--output", "json"]).exits(3);
    let error: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let lines: Vec<u64> = error["problems"].as_array().unwrap().iter().map(|p| p["line"].as_u64().unwrap()).collect();
    assert_eq!((lines, &error["error"]["exit_code"]), (vec![2, 4], &3.into()));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = host
        .agent(&["plan", broken.to_str().unwrap(), "--group", "dev", "--application", "shop"])
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_script_behind_a_linked_folder_of_the_bundle_runs() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: current/start.sh\n";
    let start = ("v1/start.sh", "#!/bin/sh\necho started >> {trace}\n");
    let linked = host.revision("linked", &[("appspec.yml", appspec), start]);
    std::os::unix::fs::symlink("v1", linked.join("current")).unwrap();
    host.deploy(&linked, &[]).succeeds();
    assert_eq!(host.trace(), "started\n");
}

#[test]
fn a_read_only_destination_is_found_before_the_old_release_is_stopped() {
    let host = Sandbox::new();
    fs::create_dir(host.www()).unwrap();
    let mount = |options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(host.www());
        assert!(mount.status().unwrap().success(), "this test needs root and the right to mount a tmpfs");
    };
    mount("size=1m");
    let stops = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}/app\nhooks:\n  \
                 ApplicationStop:\n    - location: stop.sh\n";
    let stop = ("stop.sh", "#!/bin/sh\necho stopped >> {trace}\n");
    let one = host.revision("one", &[("appspec.yml", stops), stop, ("site/a", "1")]);
    let two = host.revision("two", &[("appspec.yml", stops), stop, ("site/a", "2")]);
    host.deploy(&one, &[]).succeeds();
    mount("remount,ro");
    let (planned, deployed) = (host.plan(&two, &[]), host.deploy(&two, &[]));
    let unmounted = std::process::Command::new("umount").arg(host.www()).status().unwrap().success();
    for ran in [planned, deployed] {
        ran.exits(6).tells("is read-only").tells("mount it for writing");
    }
    assert_eq!(host.trace(), "");
    assert!(unmounted);
}
