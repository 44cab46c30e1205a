use e2e::codedeploy_service::{Course, Fault, Stage};
use serde_json::{Value, json};

use crate::job::Job;

/// Commits of a job, each deployed by a deployment that goes as the course says; a later one is newer.
fn deployed(job: &mut Job, minutes: std::ops::Range<u32>, course: &Course) -> Vec<String> {
    minutes
        .map(|minute| {
            job.build(&format!("version {minute}"), &format!("2026-02-02T03:{minute:02}:06Z"));
            job.service.will_go(course.clone());
            job.deploy(&["--wait"]);
            job.commit.clone()
        })
        .collect()
}

fn keys(commits: &[String]) -> Vec<Value> {
    let mut keys: Vec<String> = commits.iter().map(|commit| format!("shop/{commit}.zip")).collect();
    keys.sort();
    keys.into_iter().map(Value::from).collect()
}

/// What `prune` removes of a store, sorted.
fn removed(job: &Job, more: &[&str]) -> Vec<Value> {
    let output = job.longshore(&[&["prune", "--keep", "0", "--output", "json"], more].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut removed: Vec<Value> =
        json["removable"].as_array().unwrap().iter().map(|removal| removal["artifact"].clone()).collect();
    removed.sort_by_key(ToString::to_string);
    removed
}

#[test]
fn what_a_group_of_codedeploy_has_or_could_go_back_to_is_not_removed() {
    let mut job = Job::built("prune-codedeploy");
    let good = deployed(&mut job, 1..6, &Course::success(&["i-1"]));
    let bad = deployed(&mut job, 6..8, &Course::of([Stage::new("Failed")]));

    // Nobody speaks of CodeDeploy.
    assert_eq!(removed(&job, &[]), keys(&[&good[..], &bad[..]].concat()));
    // What is there now and one before, and what was tried last.
    let old = [&good[..3], &bad[..1]].concat();
    assert_eq!(removed(&job, &["--codedeploy-group", "prod", "--keep-rollbacks", "1"]), keys(&old));
    // The group stands in the settings, under its own names.
    job.write(
        "longshore.toml",
        "application = \"shop\"\n[groups.live]\nwith = \"codedeploy\"\ncodedeploy = {deployment_group = \"prod\"}\n",
    );
    assert_eq!(removed(&job, &["--keep-rollbacks", "1", "--yes"]), keys(&old));
    assert_eq!(removed(&job, &["--keep-rollbacks", "0"]), keys(&good[3..4]));
    job.run(&["rollback", "--group", "live", "--wait"]).exits(0);
    let revision = job.service.asked("CreateDeployment").last().unwrap()["revision"]["s3Location"]["key"].clone();
    assert_eq!(revision, json!(format!("releases/shop/{}.zip", good[4])));
}

#[test]
fn what_codedeploy_is_told_to_deploy_while_artifacts_go_stays() {
    let mut job = Job::built("prune-meanwhile");
    let good = deployed(&mut job, 1..4, &Course::success(&["i-1"]));
    let old = job.service.asked("CreateDeployment").swap_remove(0)["revision"].clone();
    // After the last question of the plan.
    job.service.deploys_after("BatchGetDeployments", 2, old);
    let args =
        ["prune", "--keep", "0", "--keep-rollbacks", "0", "--codedeploy-group", "prod", "--yes", "--output", "json"];
    let output = job.longshore(&args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["stayed"], &json["removed"]), (&json!(keys(&good[..1])), &json!(keys(&good[1..2]))), "{told}");
    let warning = format!("warning: `shop/{}.zip` stays: a group was moved to it meanwhile\n", good[0]);
    assert!(told.contains(&warning), "{told}");
}

#[test]
fn where_all_applications_are_pruned_all_groups_of_codedeploy_are_asked() {
    let mut job = Job::built("prune-all");
    let good = deployed(&mut job, 1..4, &Course::success(&["i-1"]));
    // A project that knows nothing of the other one's groups.
    job.write("longshore.toml", "application = \"blog\"\n");
    assert_eq!(removed(&job, &["--all-applications", "--keep-rollbacks", "1"]), keys(&good[..1]));
    assert_eq!(removed(&job, &["--all-applications", "--no-codedeploy"]), keys(&good));
    job.service.inject("ListApplications", Fault::Denied, 1);
    let ran = job.run(&["prune", "--keep", "0", "--all-applications", "--yes"]).exits(10);
    let error = "error: nothing is removed, because nobody can tell what the groups of CodeDeploy need\n  caused by: not allowed to call \
                 `codedeploy:ListApplications`\n";
    assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
    assert!(
        ran.from("error:").contains("hint: `--no-codedeploy` if no group of CodeDeploy deploys from"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_removed_of_a_bucket_that_keeps_versions_can_be_had_by_its_version_and_published_anew() {
    let mut job = Job::built("prune-versions");
    job.s3.keep_versions("prune-versions");
    let mut versions = Vec::new();
    for minute in 1..3 {
        job.build(&format!("version {minute}"), &format!("2026-02-02T03:{minute:02}:06Z"));
        job.run(&["deploy", "--with", "store", "--group", "dev"]).exits(0);
        versions.push((job.key(), job.s3_version(&job.key()).expect("the bucket keeps versions")));
    }
    job.write("longshore.toml", "application = \"shop\"\n");
    job.build("unused", "2026-02-02T02:00:06Z");
    job.run(&["push"]).exits(0);
    let (key, version) = (job.key(), job.s3_version(&job.key()).unwrap());
    let ran = job.run(&["prune", "--keep", "0", "--keep-rollbacks", "1", "--yes"]).exits(0);
    let told = "the bucket keeps versions: theirs stay below delete markers until a lifecycle rule removes them\n";
    assert!(ran.stdout.starts_with("removed 1 artifact (") && ran.stdout.contains(told), "{}", ran.stdout);
    assert!(!job.s3_has(&key) && job.s3_has(&format!("{key}?versionId={version}")));
    // What a pointer names is there, also as what it is now.
    for (key, version) in &versions {
        assert!(job.s3_has(key) && job.s3_has(&format!("{key}?versionId={version}")), "{key}");
    }
    job.run(&["rollback", "--with", "store", "--group", "dev"]).exits(0);
    job.run(&["push"]).exits(0);
    assert!(job.s3_version(&key).is_some_and(|now| now != version));
}

#[test]
fn nothing_is_removed_while_codedeploy_cannot_be_asked() {
    let job = Job::published("prune-unknown");
    job.service.inject("GetDeploymentGroup", Fault::Denied, 1);
    let args = ["prune", "--keep", "0", "--yes", "--codedeploy-group", "prod"];
    let ran = job.run(&args).exits(10);
    let error =
        "error: nothing is removed, because nobody can tell what group `prod` of CodeDeploy needs\n  caused by: ";
    assert!(ran.from("error:").starts_with(error), "{}", ran.stderr);
    job.service.set_down(true);
    let ran = job.run(&args).exits(10);
    assert!(ran.from("error:").starts_with(&format!("{error}cannot reach `http://127.0.0.1:")), "{}", ran.stderr);
    job.service.set_down(false);
    let ran = job.run(&[&args[..5], &["live"]].concat()).exits(7);
    assert!(ran.from("error:").contains("application `shop` has no deployment group `live`"), "{}", ran.stderr);
    assert!(job.s3_has_artifact());
    job.run(&args).exits(0);
    assert!(!job.s3_has_artifact());
}
