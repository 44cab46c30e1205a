use e2e::codedeploy_service::{Course, Stage};
use serde_json::json;

use crate::job::Job;

const LINK: &str = "https://us-east-1.console.aws.amazon.com/codesuite/codedeploy/deployments";

#[test]
fn a_deployment_is_pinned_and_registered_and_every_step_of_it_is_told() {
    let job = Job::published("deploy-course");
    let stage = |status, event| {
        Stage::new("InProgress").target("i-1", status, &[("ApplicationStop", "Succeeded"), ("Install", event)])
    };
    job.service.will_go(Course::of([
        Stage::new("Created"),
        Stage::new("InProgress").target("i-1", "Pending", &[("ApplicationStop", "Pending"), ("Install", "Pending")]),
        stage("InProgress", "InProgress"),
        Stage::new("Succeeded").target(
            "i-1",
            "Succeeded",
            &[("ApplicationStop", "Succeeded"), ("Install", "Succeeded")],
        ),
    ]));
    let ran = job.deploy(&["--wait"]).exits(0);
    assert_eq!(
        ran.from("Created"),
        format!(
            "     Created deployment d-000000001 to `prod` of `shop`\n             {LINK}/d-000000001?region=us-east-1\n     \
             Waiting for d-000000001, at most 1h\n   Deploying d-000000001 is in progress\n    Finished i-1: ApplicationStop in \
             5s\n     Running i-1: Install\n    Finished i-1: Install in 5s\n    Deployed i-1\n   Succeeded d-000000001\n"
        )
    );
    assert_eq!(
        ran.stdout,
        format!(
            "deployment  d-000000001\n  revision  s3://deploy-course/releases/shop/[commit].zip?etag=[etag]\n      link  \
             {LINK}/d-000000001?region=us-east-1\n\nd-000000001: Succeeded, 1 of 1 instance done in 1m\nINSTANCE  STATUS     \
             EVENT\ni-1       Succeeded  Install\n"
        )
    );
    let asked = job.service.asked("CreateDeployment").remove(0);
    let location = &asked["revision"]["s3Location"];
    assert_eq!(
        asked,
        json!({
            "applicationName": "shop",
            "deploymentGroupName": "prod",
            "revision": {"revisionType": "S3", "s3Location": {
                "bucket": "deploy-course", "key": job.key(), "bundleType": "zip", "eTag": location["eTag"],
            }},
            "description": format!("Commit {}, deployed by ann, GitLab CI 7", job.commit),
        })
    );
    assert_eq!(job.service.asked("RegisterApplicationRevision")[0]["revision"], asked["revision"]);
}

#[test]
fn what_the_command_line_says_of_a_deployment_reaches_codedeploy() {
    let job = Job::published("deploy-options");
    let options = [
        "--deployment-config",
        "Ours.Half",
        "--file-exists",
        "retain",
        "--ignore-stop-failures",
        "--rollback-on",
        "failure,alarm",
        "--alarm",
        "cpu",
        "--alarm",
        "errors 5xx",
        "--description",
        "by hand",
        "--output",
        "json",
    ];
    let json = job.deploy(&options).exits(0).json();
    assert_eq!((&json["ended"], &json["deployment"]["id"]), (&json!("created"), &json!("d-000000001")));
    let asked = job.service.asked("CreateDeployment").remove(0);
    for (name, value) in [
        ("deploymentConfigName", json!("Ours.Half")),
        ("fileExistsBehavior", json!("RETAIN")),
        ("ignoreApplicationStopFailures", json!(true)),
        (
            "autoRollbackConfiguration",
            json!({"enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]}),
        ),
        (
            "overrideAlarmConfiguration",
            json!({"enabled": true, "ignorePollAlarmFailure": false, "alarms": [{"name": "cpu"}, {"name": "errors 5xx"}]}),
        ),
        ("description", json!("by hand")),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    job.service.will_go(Course::success(&["i-1"]));
    let off = ["--group", "dev", "--no-rollback", "--no-alarms"];
    job.run(&[&["deploy"], &off[..]].concat()).exits(0);
    let asked = job.service.asked("CreateDeployment").remove(1);
    let of = |name: &str| asked[name]["enabled"].clone();
    assert_eq!((of("autoRollbackConfiguration"), of("overrideAlarmConfiguration")), (json!(false), json!(false)));
}

fn failure() -> Stage {
    Stage::new("Failed")
        .target("i-1", "Failed", &[("ApplicationStop", "Succeeded"), ("AfterInstall", "Failed")])
        .diagnostics(
            "ScriptFailed",
            "start.sh",
            "Script at specified location failed",
            "[stdout]asking\n[stderr]gave \u{1b}[2Jup\n",
        )
        .error("HEALTH_CONSTRAINTS", "Too many individual instances failed deployment")
}

#[test]
fn a_failure_shows_the_script_its_code_and_its_last_lines() {
    let job = Job::published("deploy-failure");
    job.service.will_go(Course::of([Stage::new("Created"), failure()]));
    let ran = job.deploy(&["--wait"]).exits(11);
    assert_eq!(
        ran.from("Failed i-1 in"),
        "      Failed i-1 in AfterInstall in 5s: `start.sh`: ScriptFailed: Script at specified location failed\n               \
         [stdout]asking\n               [stderr]gave \\u{1b}[2Jup\n      Failed i-1\n      Failed d-000000001: HEALTH_CONSTRAINTS: \
         Too many individual instances failed deployment\nerror: deployment d-000000001 to `prod` failed: HEALTH_CONSTRAINTS: Too \
         many individual instances failed deployment\n\nhint: on an instance that failed: longshore-agent explain \
         d-000000001\nhint: longshore deployments --application shop --group prod d-000000001 shows it\n"
    );
    job.service.will_go(Course::of([failure()]));
    let json = job.deploy(&["--wait", "--output", "json"]).exits(11).json();
    let diagnostics = &json["deployment"]["targets"][0]["events"][1]["diagnostics"];
    assert_eq!((&diagnostics["script_name"], &diagnostics["error_code"]), (&json!("start.sh"), &json!("ScriptFailed")));
    assert_eq!((&json["ended"], &json["error"]["exit_code"]), (&json!("failed"), &json!(11)));
}

#[test]
fn a_rollback_is_followed_too_and_decides_on_the_exit_code() {
    let job = Job::published("deploy-rollback");
    job.service.will_go(Course::of([Stage::new("Succeeded")]));
    job.deploy(&["--wait"]).exits(0);
    job.service.will_go(Course::of([Stage::new("Created"), failure()]).and_rolls_back());
    job.service.will_go(Course::success(&["i-1"]));
    let ran = job.deploy(&["--wait"]).exits(13);
    let told = ran.from("Rolling back d-000000002");
    assert!(told.contains("Rolling back d-000000002: d-000000003 deploys the last good revision again\n"), "{told}");
    assert!(told.contains("   Succeeded d-000000003\nerror: deployment d-000000002 to `prod` failed and was rolled back by d-000000003"), "{told}");
    job.service.will_go(Course::of([failure()]).and_rolls_back());
    job.service.will_go(Course::of([failure()]));
    let ran = job.deploy(&["--wait", "--output", "json"]).exits(11);
    let json = ran.json();
    assert_eq!((&json["ended"], &json["rollback"]["id"]), (&json!("rollback_failed"), &json!("d-000000005")));
}

#[test]
fn where_nothing_can_be_rolled_back_the_failure_says_so() {
    let job = Job::published("deploy-norollback");
    job.service.will_go(Course::of([failure()]).and_rolls_back());
    let json = job.deploy(&["--wait", "--output", "json"]).exits(11).json();
    let message = "No previous deployment succeeded, so nothing is rolled back";
    assert_eq!((&json["ended"], &json["deployment"]["rollback"]["message"]), (&json!("failed"), &json!(message)));
}

#[test]
fn a_deployment_that_somebody_stops_ends_with_a_code_of_its_own() {
    let job = Job::published("deploy-stopped");
    job.service.will_go(Course::endless());
    let deploying = job.deploying(&[]);
    job.service.wait_for("BatchGetDeploymentTargets", 1);
    job.run(&["stop", "--group", "prod"]).exits(0);
    let ran = job.ended(deploying).exits(14);
    let error =
        "error: deployment d-000000001 to `prod` was stopped: MANUAL_STOP: The deployment was stopped by a user\n";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
}

#[test]
fn what_does_not_end_in_time_goes_on_and_the_ways_to_it_are_shown() {
    let job = Job::published("deploy-timeout");
    job.service.will_go(Course::endless());
    let ran = job.deploy(&["--wait", "--timeout", "3s"]).exits(12);
    assert_eq!(
        ran.from("error:"),
        "error: deployment d-000000001 to `prod` has not ended within 3s: InProgress, 0 of 1 instance done\n\nhint: longshore \
         deployments --application shop --group prod d-000000001 shows it\nhint: longshore stop --application shop --group prod \
         d-000000001 stops it\n"
    );
    assert!(job.service.asked("StopDeployment").is_empty());
}

#[test]
fn a_blue_green_deployment_says_what_it_waits_for() {
    let job = Job::published("deploy-bluegreen");
    let option = json!({"deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60},
        "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5}});
    let stage = |status| Stage::new(status).info("blueGreenDeploymentConfiguration", option.clone());
    job.service.will_go(Course::of([
        stage("Ready"),
        stage("InProgress").info("instanceTerminationWaitTimeStarted", json!(true)),
        stage("Succeeded"),
    ]));
    let ran = job.deploy(&["--wait"]).exits(0);
    let way = "go on at once: aws deploy continue-deployment --deployment-id d-000000001 --deployment-wait-type";
    assert_eq!(
        ran.from("Deploying"),
        format!(
            "   Deploying d-000000001: the replacement is ready and waits for somebody to let the traffic over; after 60 minutes it is \
             stopped\n             {way} READY_WAIT --region us-east-1\n   Deploying d-000000001: the traffic is over; the original \
             instances are kept for 5 minutes\n             {way} TERMINATION_WAIT --region us-east-1\n   Succeeded d-000000001\n"
        )
    );
}

#[test]
fn of_many_instances_every_one_is_asked_for_by_twenty_five_at_most() {
    let job = Job::published("deploy-many");
    let names: Vec<String> = (10..70).map(|number| format!("i-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    job.service.will_go(Course::success(&names));
    let json = job.deploy(&["--wait", "--output", "json"]).exits(0).json();
    assert_eq!(json["deployment"]["targets"].as_array().unwrap().len(), 60);
    let sizes: Vec<usize> = job
        .service
        .asked("BatchGetDeploymentTargets")
        .iter()
        .map(|body| body["targetIds"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [25, 25, 10]);
}
