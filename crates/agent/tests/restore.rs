//! What follows a failure: the last good release comes back, or somebody goes back to one.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its own part of it")]
mod sandbox;

use std::fs;
use std::path::PathBuf;

use sandbox::Sandbox;

const APPSPEC: &str = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  ApplicationStop:\n    \
                       - location: stop.sh\n  BeforeInstall:\n    - location: before.sh\n  AfterInstall:\n    \
                       - location: after.sh\n  ApplicationStart:\n    - location: start.sh\n  ValidateService:\n    \
                       - location: validate.sh\n";

/// A release whose scripts trace what they are; the one named `fails` fails.
fn release(host: &Sandbox, name: &str, fails: &str, site: &[(&str, &str)]) -> PathBuf {
    let script = |script: &str| {
        let end = if script == fails { "echo 'no such table' >&2\nexit 3\n" } else { "" };
        (format!("{script}.sh"), format!("#!/bin/sh\necho {name} {script} $DEPLOYMENT_ID >> {{trace}}\n{end}"))
    };
    let mut files = vec![("appspec.yml".to_owned(), APPSPEC.to_owned())];
    files.extend(["stop", "before", "after", "start", "validate"].map(script));
    files.extend(site.iter().map(|(path, text)| (format!("site/{path}"), (*text).to_owned())));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    host.revision(name, &files)
}

/// What the scripts traced since `before`, without the ids of the deployments.
fn since(host: &Sandbox, before: &str) -> Vec<String> {
    let trace = host.trace();
    let lines = trace.strip_prefix(before).unwrap().lines();
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn a_hook_that_fails_after_install_brings_the_last_good_release_back() {
    let host = Sandbox::new();
    let one = release(&host, "one", "", &[("index.html", "1"), ("only-one", "1")]);
    let two = release(&host, "two", "validate", &[("index.html", "2"), ("only-two", "2")]);
    host.deploy(&one, &["--deployment-id", "d-ONE"]).succeeds();
    let (good, before) = (host.tree(&host.www()), host.trace());

    let ran = host.deploy(&two, &["--deployment-id", "d-TWO"]).exits(5);
    assert_eq!(
        since(&host, &before),
        ["one stop", "two before", "two after", "two start", "two validate", "one start"]
    );
    assert_eq!(host.tree(&host.www()), good);
    let history = host.history();
    let restore = &history[0].0;
    insta::assert_snapshot!(host.stable(&ran.told.replace(restore, "{restore}")));
    assert_eq!(
        history,
        [
            (restore.clone(), "succeeded".to_owned()),
            ("d-TWO".into(), "failed".into()),
            ("d-ONE".into(), "succeeded".into())
        ]
    );
    // What runs now is known to be good, and is stopped by its own script.
    let status: serde_json::Value =
        serde_json::from_str(&host.run(&["status", "--output", "json"]).succeeds().out).unwrap();
    assert_eq!(
        (&status[0]["installed"]["deployment"], &status[0]["good"]["deployment"]),
        (&restore.as_str().into(), &restore.as_str().into())
    );
    let before = host.trace();
    host.deploy(&release(&host, "three", "", &[("index.html", "3")]), &[]).succeeds();
    assert_eq!(since(&host, &before)[0], "one stop");
}

#[test]
fn what_a_failed_release_left_in_the_places_of_the_good_one_is_replaced() {
    let host = Sandbox::new();
    let one = release(&host, "one", "", &[("index.html", "1"), ("config", "of one")]);
    host.deploy(&one, &[]).succeeds();
    let good = host.tree(&host.www());
    let two = release(&host, "two", "start", &[("index.html", "2")]);
    fs::write(two.join("after.sh"), format!("#!/bin/sh\necho of two > {}/config\n", host.www().display())).unwrap();
    host.deploy(&two, &[]).exits(5);
    assert_eq!(host.tree(&host.www()), good);
}

#[test]
fn the_aws_agents_way_leaves_the_failed_release_and_names_the_way_back() {
    let host = Sandbox::new();
    let one = release(&host, "one", "", &[("index.html", "1")]);
    let two = release(&host, "two", "start", &[("index.html", "2")]);
    host.deploy(&one, &[]).succeeds();
    let before = host.trace();
    let ran = host.deploy(&two, &["--on-failure", "leave"]).exits(5);
    assert_eq!(since(&host, &before), ["one stop", "two before", "two after", "two start"]);
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "2");
    let root = host.root();
    let command = format!("longshore-agent rollback --group dev --application shop --root {}", root.display());
    ran.tells(&command);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    host.run(&words).succeeds();
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "1");
}

#[test]
fn a_failure_between_stop_and_install_starts_the_good_release_again_and_one_before_touches_nothing() {
    let host = Sandbox::new();
    host.deploy(&release(&host, "one", "", &[("index.html", "1")]), &["--deployment-id", "d-ONE"]).succeeds();
    let before = host.trace();
    host.deploy(&release(&host, "two", "before", &[("index.html", "2")]), &[])
        .exits(5)
        .tells("the last good release is back");
    assert_eq!(since(&host, &before), ["one stop", "two before", "one start"]);
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "1");

    // A stop script that fails has stopped nothing that could be started again for certain.
    let host = Sandbox::new();
    host.deploy(&release(&host, "one", "stop", &[("index.html", "1")]), &[]).succeeds();
    let before = host.trace();
    host.deploy(&release(&host, "two", "", &[]), &[]).exits(5).tells("the files on disk are those of before");
    assert_eq!(since(&host, &before), ["one stop"]);
    assert_eq!(host.history().len(), 2, "no deployment restores");
}

#[test]
fn what_the_first_stop_script_stopped_is_started_again_when_the_second_fails() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n    - location: bad.sh\n  \
                   ApplicationStart:\n    - location: start.sh\n";
    let traced = |what: &str, end: &str| format!("#!/bin/sh\necho one {what} $DEPLOYMENT_ID >> {{trace}}\n{end}");
    let (stop, bad, start) = (traced("stop", ""), traced("bad", "exit 1\n"), traced("start", ""));
    let files = [("appspec.yml", appspec), ("stop.sh", &stop), ("bad.sh", &bad), ("start.sh", &start)];
    host.deploy(&host.revision("one", &files), &[]).succeeds();
    let before = host.trace();
    host.deploy(&release(&host, "two", "", &[("a", "2")]), &[]).exits(5).tells("the last good release is back");
    assert_eq!(since(&host, &before), ["one stop", "one bad", "one start"]);
}

#[test]
fn a_first_deployment_that_fails_has_nothing_to_come_back() {
    let host = Sandbox::new();
    host.deploy(&release(&host, "one", "start", &[("index.html", "1")]), &[])
        .exits(5)
        .tells("no earlier release of this group was good");
    assert_eq!(host.history().len(), 1);
}

#[test]
fn failures_and_their_restores_push_out_no_good_release_and_the_last_three_failed_can_be_explained() {
    let host = Sandbox::new();
    for name in ["one", "two", "four"] {
        let id = format!("d-{}", name.to_uppercase());
        host.deploy(&release(&host, name, "", &[("index.html", name)]), &["--deployment-id", &id]).succeeds();
    }
    for number in 1..=4 {
        let name = format!("bad{number}");
        let id = format!("d-BAD{number}");
        host.deploy(&release(&host, &name, "validate", &[("index.html", &name)]), &["--deployment-id", &id]).exits(5);
    }
    let list: serde_json::Value =
        serde_json::from_str(&host.run(&["rollback", "--list", "--output", "json"]).succeeds().out).unwrap();
    let list: Vec<&serde_json::Value> = list.as_array().unwrap().iter().map(|one| &one["deployment"]).collect();
    let kept: Vec<String> = host.history().into_iter().map(|(id, _)| id).collect();
    // The restore that is installed stands for what it restored.
    assert_eq!(list, [&kept[0], "d-TWO", "d-ONE"]);
    assert_eq!(kept[1..], ["d-BAD4", "d-BAD3", "d-BAD2", "d-FOUR", "d-TWO", "d-ONE"]);
    host.run(&["explain", "d-BAD2"]).succeeds();
    host.run(&["rollback", "--to", "d-FOUR"]).succeeds();
    host.run(&["rollback", "--to", "d-ONE"]).succeeds();
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "one");
}

#[test]
fn a_restore_that_fails_too_is_told_with_the_first_failure() {
    let host = Sandbox::new();
    let one = release(&host, "one", "", &[("index.html", "1")]);
    fs::write(one.join("start.sh"), format!("#!/bin/sh\ntest ! -e {}/broken\n", host.path().display())).unwrap();
    host.deploy(&one, &[]).succeeds();
    fs::write(host.path().join("broken"), "").unwrap();
    let two = release(&host, "two", "validate", &[("index.html", "2")]);
    let ran = host.deploy(&two, &[]).exits(5);
    let restore = host.history()[0].0.clone();
    let ran = ran
        .tells("hook `validate.sh` exited with 3")
        .tells("the last good release did not come back: hook `start.sh` exited with 1");
    ran.tells(&format!("longshore-agent explain {restore}"));
    assert_eq!(host.history()[0].1, "failed");
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "1", "its files are back all the same");
}

#[test]
fn rollback_goes_to_the_last_good_release_and_only_to_good_ones() {
    let host = Sandbox::new();
    host.run(&["rollback", "--group", "dev"]).exits(7).tells("there is no such group");
    let archives = host.path().join("archives");
    fs::create_dir(&archives).unwrap();
    for (name, fails, id, code) in
        [("one", "", "d-ONE", 0), ("two", "", "d-TWO", 0), ("bad", "start", "d-BAD", 5), ("three", "", "d-THREE", 0)]
    {
        let folder = release(&host, name, fails, &[("index.html", name)]);
        let to = archives.join(name);
        fs::rename(folder, &to).unwrap();
        host.deploy(&to, &["--deployment-id", id, "--on-failure", "leave"]).exits(code);
        if id == "d-ONE" {
            host.run(&["rollback", "--group", "dev"]).exits(7).tells("no good release but the one that is installed");
        }
    }
    // Everything comes from what was kept.
    fs::remove_dir_all(&archives).unwrap();
    let list = host.run(&["rollback", "--list", "--group", "dev"]).succeeds();
    let rows: Vec<&str> = list.out.lines().skip(1).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(rows, ["d-THREE", "d-TWO", "d-ONE"]);
    host.run(&["rollback", "--to", "d-BAD"]).exits(4).tells("the release of d-BAD was never good (failed)");
    host.run(&["rollback", "--to", "d-NONE"]).exits(7).tells("no deployment d-NONE");

    let index = || fs::read_to_string(host.www().join("index.html")).unwrap();
    let before = host.trace();
    host.run(&["rollback", "--group", "dev"]).succeeds().tells("back to the release of d-TWO");
    assert_eq!(index(), "two");
    assert_eq!(since(&host, &before), ["three stop", "two before", "two after", "two start", "two validate"]);
    host.run(&["rollback", "--to", "d-ONE"]).succeeds();
    assert_eq!(index(), "one");
}

#[test]
fn a_blue_green_rollback_takes_scripts_from_where_the_aws_agent_takes_them() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("a", "1")]);
    let two = host.traced("two", &[("a", "2")]);
    host.deploy(&one, &["--deployment-id", "d-ONE"]).succeeds();
    // Fetched, and not installed.
    host.deploy(&two, &["--deployment-id", "d-TWO", "--events", "DownloadBundle"]).succeeds();
    let before = host.trace();
    let three = host.traced("three", &[("a", "3")]);
    let events = "BeforeBlockTraffic,AfterBlockTraffic,ApplicationStop,BeforeAllowTraffic,AfterAllowTraffic";
    host.deploy(&three, &["--blue-green-rollback", "--events", events]).succeeds();
    assert_eq!(
        host.trace().strip_prefix(&before).unwrap(),
        "two BeforeBlockTraffic\ntwo AfterBlockTraffic\none ApplicationStop\none BeforeAllowTraffic\none AfterAllowTraffic\n"
    );
    // Once the new revision is on disk it is used for everything.
    let before = host.trace();
    host.deploy(&three, &["--blue-green-rollback", "--events", "DownloadBundle,BeforeAllowTraffic"]).succeeds();
    assert_eq!(host.trace().strip_prefix(&before).unwrap(), "three BeforeAllowTraffic\n");
}

#[test]
fn a_rollback_to_a_restored_release_walks_all_events_of_its_first_deployment() {
    let host = Sandbox::new();
    let one = release(&host, "one", "", &[("index.html", "1")]);
    host.deploy(&one, &["--deployment-id", "d-ONE"]).succeeds();
    host.deploy(&release(&host, "two", "validate", &[("index.html", "2")]), &[]).exits(5);
    host.deploy(&release(&host, "three", "", &[("index.html", "3")]), &[]).succeeds();
    let before = host.trace();
    host.run(&["rollback", "--group", "dev"]).succeeds();
    assert_eq!(since(&host, &before), ["three stop", "one before", "one after", "one start", "one validate"]);
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "1");
}

#[test]
fn each_release_keeps_the_name_of_its_appspec() {
    let host = Sandbox::new();
    host.deploy(&release(&host, "one", "", &[("index.html", "1")]), &[]).succeeds();
    let two = release(&host, "two", "validate", &[("index.html", "2")]);
    fs::rename(two.join("appspec.yml"), two.join("my.yml")).unwrap();
    host.deploy(&two, &["--appspec-filename", "my.yml"]).exits(5).tells("the last good release is back");
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "1");

    let three = release(&host, "three", "", &[("index.html", "3")]);
    fs::rename(three.join("appspec.yml"), three.join("my.yml")).unwrap();
    host.deploy(&three, &["--appspec-filename", "my.yml"]).succeeds();
    let before = host.trace();
    host.deploy(&release(&host, "four", "", &[("index.html", "4")]), &[]).succeeds();
    assert_eq!(since(&host, &before)[0], "three stop");
    host.run(&["rollback", "--group", "dev"]).succeeds();
    assert_eq!(fs::read_to_string(host.www().join("index.html")).unwrap(), "3");
}
