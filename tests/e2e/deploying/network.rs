use e2e::codedeploy_service::{Course, Fault};

use crate::job::Job;

#[test]
fn throttling_slows_the_looks_down_and_ends_nothing() {
    let job = Job::published("deploy-throttled");
    job.service.inject("GetDeployment", Fault::Throttled, 2);
    job.service.inject("CreateDeployment", Fault::Throttled, 1);
    job.service.will_go(Course::success(&["i-1"]));
    let ran = job.deploy(&["--wait"]).exits(0);
    let told = "CodeDeploy is asked too often, and is asked less often from now on\n";
    assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
    let looks: Vec<_> = job.service.calls().into_iter().filter(|call| call.operation == "GetDeployment").collect();
    let pauses: Vec<f64> = looks.windows(2).map(|two| (two[1].at - two[0].at).as_secs_f64()).collect();
    // 2 s doubled, and doubled again, each a quarter less at the least.
    assert!(pauses[0] >= 2.9 && pauses[1] >= 5.9, "{pauses:?}");
    assert_eq!(job.service.asked("CreateDeployment").len(), 1);
}

#[test]
fn a_network_that_is_lost_for_a_while_is_said_once_and_the_wait_goes_on() {
    let job = Job::published("deploy-lost");
    job.service.will_go(Course::success(&["i-1"]));
    job.service.inject("GetDeployment", Fault::LostRequest, 2);
    job.service.inject("GetDeployment", Fault::ServerError, 1);
    let ran = job.deploy(&["--wait"]).exits(0);
    let lost = "Warning CodeDeploy does not answer, and is asked again: cannot reach";
    assert_eq!((ran.stderr.matches(lost).count(), ran.stderr.matches("Found CodeDeploy again").count()), (1, 1));
}

#[test]
fn who_cannot_see_the_end_says_that_the_deployment_goes_on() {
    let job = Job::published("deploy-away");
    job.service.will_go(Course::endless());
    let deploying = job.deploying(&["--timeout", "8s"]);
    job.service.wait_for("GetDeployment", 1);
    job.service.set_down(true);
    let ran = job.ended(deploying).exits(10);
    let told = ran.from("error:");
    let error =
        "error: cannot see how deployment d-000000001 to `prod` goes on\n  caused by: cannot reach `http://127.0.0.1:";
    assert!(told.starts_with(error), "{told}");
}

#[test]
fn a_deployment_whose_creation_was_answered_to_nobody_is_found_and_not_made_twice() {
    let job = Job::published("deploy-reply");
    job.service.inject("CreateDeployment", Fault::LostReply, 1);
    job.service.will_go(Course::endless());
    let ran = job.deploy(&[]).exits(0);
    assert!(ran.stdout.starts_with("deployment  d-000000001\n"), "{}", ran.stdout);
    let made = job.service.calls().into_iter().filter(|call| call.operation == "CreateDeployment").count();
    assert_eq!(made, 1);
}

#[test]
fn a_deployment_that_was_seen_to_end_ends_so_whatever_is_not_known_of_its_instances() {
    let job = Job::published("deploy-throttled-end");
    job.service.will_go(Course::success(&["i-1"]));
    job.service.inject("BatchGetDeploymentTargets", Fault::Throttled, 100);
    let ran = job.deploy(&["--wait", "--timeout", "5s"]).exits(0);
    assert!(ran.stderr.contains("warning: not all of what happened on the instances is shown: "), "{}", ran.stderr);
}

#[test]
fn a_deployment_whose_creation_was_answered_to_nobody_is_not_made_blindly_again() {
    for denied in ["GetDeploymentGroup", "ListDeployments"] {
        let job = Job::published(&format!("deploy-reply-{}", denied.to_lowercase()));
        job.service.inject(denied, Fault::Denied, 100);
        job.service.inject("CreateDeployment", Fault::LostReply, 1);
        let ran = job.deploy(&[]).exits(10);
        let told = ran.from("error:");
        assert!(told.starts_with("error: it is not known whether the deployment was created\n"), "{told}");
        assert_eq!(job.service.calls().iter().filter(|call| call.operation == "CreateDeployment").count(), 1);
    }
}

#[test]
fn authorities_that_are_none_are_refused_before_anything_is_asked() {
    let job = Job::published("deploy-authorities");
    let mut deploy = job.longshore(&["deploy", "--group", "prod"]);
    let output = deploy.env("AWS_CA_BUNDLE", "/nonexistent/ca.pem").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("caused by: cannot read the certificate authorities in `/nonexistent/ca.pem`\n"), "{told}");
    assert!(job.service.calls().is_empty());
}
