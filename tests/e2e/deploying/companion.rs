use e2e::codedeploy_service::{Course, Stage};
use serde_json::json;

use crate::job::Job;

/// Two commits, deployed one after the other.
fn twice(bucket: &str) -> (Job, String) {
    let mut job = Job::published(bucket);
    let first = job.commit.clone();
    job.deploy(&["--wait"]).exits(0);
    job.build("second", "2026-02-02T03:04:06Z");
    job.deploy(&["--wait"]).exits(0);
    (job, first)
}

#[test]
fn the_deployments_of_a_group_are_listed_the_latest_first() {
    let (job, first) = twice("deployments-list");
    let ran = job.run(&["deployments", "--group", "prod"]).exits(0);
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["DEPLOYMENT", "STATUS", "REVISION", "CREATED", "TOOK", "BY", "DESCRIPTION"]);
    assert_eq!(lines[1][..3], ["d-000000002", "Succeeded", "[short]"]);
    assert_eq!(lines[2][..3], ["d-000000001", "Succeeded", &first[..12]]);
    let json = job.run(&["deployments", "--group", "prod", "--limit", "1", "--output", "json"]).exits(0).json();
    let listed = json["deployments"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["took_s"], &listed[0]["final"]),
        (&json!("d-000000002"), &json!(95), &json!(true))
    );
    let none = job.run(&["deployments", "--group", "dev"]).exits(0);
    assert_eq!(none.stdout, "no deployment yet\n");
}

#[test]
fn one_deployment_is_shown_with_its_instances_their_events_and_why_a_script_failed() {
    let job = Job::published("deployments-one");
    let failed = Stage::new("Failed")
        .target(
            "i-1",
            "Failed",
            &[("ApplicationStop", "Succeeded"), ("AfterInstall", "Failed"), ("ApplicationStart", "Skipped")],
        )
        .diagnostics("ScriptTimedOut", "start.sh", "Script exceeded its timeout", "[stdout]still at it\n")
        .error("HEALTH_CONSTRAINTS", "Too many failed");
    job.service.will_go(Course::of([Stage::new("Created"), failed]));
    job.deploy(&["--wait"]).exits(11);
    let ran = job.run(&["deployments", "--group", "prod", "d-000000001"]).exits(0);
    let (head, rest) = ran.stdout.split_once("   created").unwrap();
    assert_eq!(
        head,
        "deployment  d-000000001\n        to  prod of shop\n    status  Failed, 1 of 1 instance done, 1 failed\n     error  \
         HEALTH_CONSTRAINTS: Too many failed\n  revision  s3://deployments-one/releases/shop/[commit].zip?etag=[etag]\n    config  \
         CodeDeployDefault.OneAtATime\n        by  user\n      text  Commit [commit], deployed by ann, GitLab CI 7\n"
    );
    let (_, rest) = rest.split_once('\n').unwrap();
    assert_eq!(
        rest,
        "      took  1m\n      link  https://us-east-1.console.aws.amazon.com/codesuite/codedeploy/deployments/d-000000001?region=us-east-1\n\
         \ni-1: Failed\n  ApplicationStop   Succeeded  5s\n  AfterInstall      Failed     5s\n  ApplicationStart  Skipped\n  AfterInstall: \
         `start.sh`: ScriptTimedOut: Script exceeded its timeout\n    [stdout]still at it\n"
    );
}

#[test]
fn a_rollback_deploys_the_last_good_revision_that_is_not_the_present_one() {
    let (job, first) = twice("rollback-good");
    let asked = job.service.asked("CreateDeployment");
    let dry = job.run(&["rollback", "--group", "prod", "--dry-run"]).exits(0);
    assert_eq!(dry.stdout, format!("would deploy s3://rollback-good/releases/shop/{first}.zip, as d-000000001 did\n"));
    assert_eq!(job.service.asked("CreateDeployment").len(), 2);
    // A failed one is what somebody wants to get away from.
    job.service.will_go(Course::of([Stage::new("Failed")]));
    job.deploy(&["--wait"]).exits(11);
    let ran = job.run(&["rollback", "--group", "prod", "--wait"]).exits(0);
    let told = ran.from("Going back");
    assert!(
        told.starts_with(&format!("  Going back to s3://rollback-good/releases/shop/{first}.zip, which d-000000001")),
        "{told}"
    );
    let back = job.service.asked("CreateDeployment").remove(3);
    assert_eq!(back["revision"], asked[0]["revision"]);
    assert_eq!(back["description"], json!(format!("Commit {first}, rolled back by ann, GitLab CI 7")));
}

#[test]
fn without_another_good_revision_there_is_no_rollback() {
    let job = Job::published("rollback-none");
    job.deploy(&["--wait"]).exits(0);
    let ran = job.run(&["rollback", "--group", "prod"]).exits(7);
    let error = "error: group `prod` of `shop` has no other revision that succeeded\n\nhint: what it ran: longshore deployments \
                 --application shop --group prod\n";
    assert_eq!(ran.stderr, error);
}

#[test]
fn a_rollback_to_an_object_that_is_gone_or_replaced_is_refused() {
    let (job, first) = twice("rollback-gone");
    let key = format!("releases/shop/{first}.zip");
    job.s3.put("rollback-gone", &key, &job.path().join("start.sh"));
    let ran = job.run(&["rollback", "--group", "prod"]).exits(4);
    assert!(
        ran.stderr.contains(&format!("{first}.zip`, of d-000000001, was replaced since: its ETag was `")),
        "{}",
        ran.stderr
    );
    job.s3_remove(&key);
    let ran = job.run(&["rollback", "--group", "prod"]).exits(7);
    let error =
        format!("error: the last good revision `s3://rollback-gone/{key}`, of d-000000001, does not exist any more\n");
    assert!(ran.stderr.starts_with(&error), "{}", ran.stderr);
    assert_eq!(job.service.asked("CreateDeployment").len(), 2);
}

#[test]
fn a_deployment_of_another_group_is_neither_shown_nor_stopped() {
    let job = Job::published("stop-others");
    job.service.will_go(Course::endless());
    job.deploy(&[]).exits(0);
    for command in ["stop", "deployments"] {
        let ran = job.run(&[command, "--group", "dev", "d-000000001"]).exits(2);
        let error = "error: deployment d-000000001 is to `prod` of `shop`, not to `dev` of `shop`\n";
        assert!(ran.stderr.starts_with(error), "{}", ran.stderr);
    }
    assert!(job.service.asked("StopDeployment").is_empty());
}

#[test]
fn after_a_rollback_of_codedeploy_itself_nothing_goes_further_back() {
    let (mut job, _) = twice("rollback-already");
    job.build("third", "2026-03-02T03:04:06Z");
    job.service.will_go(Course::of([Stage::new("Failed")]).and_rolls_back());
    job.deploy(&["--wait"]).exits(13);
    let ran = job.run(&["rollback", "--group", "prod"]).exits(0);
    assert!(ran.stdout.starts_with("nothing done: CodeDeploy rolled the group back itself"), "{}", ran.stdout);
    assert_eq!(job.service.asked("CreateDeployment").len(), 3);
}

#[test]
fn how_a_deployment_ended_is_told_also_when_outputs_cannot_be_written() {
    let job = Job::published("deploy-outputs");
    job.service.will_go(Course::of([Stage::new("Failed")]));
    let mut deploy = job.longshore(&["deploy", "--group", "prod", "--wait"]);
    let output = deploy.env("GITHUB_OUTPUT", "/nowhere/output").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(11), "{told}");
    assert!(told.contains("warning: cannot write the outputs to `/nowhere/output`"), "{told}");
    assert!(!told.contains("again when"), "{told}");
}

#[test]
fn stop_ends_what_is_under_way_and_says_when_there_is_nothing() {
    let job = Job::published("stop-one");
    let ran = job.run(&["stop", "--group", "prod"]).exits(7);
    let error = "error: no deployment to `prod` of `shop` is under way\n\nhint: the last ones: longshore deployments --application shop \
                 --group prod\n";
    assert_eq!(ran.stderr, error);
    job.service.will_go(Course::endless());
    job.deploy(&[]).exits(0);
    let ran = job.run(&["stop", "--group", "prod"]).exits(0);
    assert!(ran.stdout.starts_with("d-000000001 is stopping; events under way come to their end\n"), "{}", ran.stdout);
    job.run(&["deployments", "--group", "prod", "d-000000001"]).exits(0);
    job.run(&["deployments", "--group", "prod", "d-000000001"]).exits(0);
    let ran = job.run(&["stop", "--group", "prod", "d-000000001"]).exits(7);
    assert!(
        ran.stderr.starts_with("error: deployment d-000000001 has ended already (Stopped); there is nothing to stop\n"),
        "{}",
        ran.stderr
    );
    job.service.will_go(Course::endless());
    job.deploy(&[]).exits(0);
    let json = job.run(&["stop", "--group", "prod", "--rollback", "--output", "json"]).exits(0).json();
    assert_eq!(
        (&json["deployment"]["id"], &json["stop"], &json["rollback"]),
        (&json!("d-000000002"), &json!("stopping"), &json!(true))
    );
    assert_eq!(job.service.asked("StopDeployment")[1]["autoRollbackEnabled"], json!(true));
    assert_eq!(job.service.asked("StopDeployment")[0].get("autoRollbackEnabled"), None);
}
