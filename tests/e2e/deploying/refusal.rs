use e2e::codedeploy_service::{Course, Fault};

use crate::job::Job;

#[test]
fn what_the_api_would_refuse_is_said_all_at_once_before_the_first_call() {
    let job = Job::published("deploy-limits");
    let ran = job.deploy(&[
        "--codedeploy-application",
        "sh op",
        "--deployment-config",
        "CodeDeployDefault.OneAtATme",
        "--description",
        &"x".repeat(257),
        "--alarm",
        "a",
        "--alarm",
        "a",
    ]);
    assert_eq!(
        ran.exits(2).stderr,
        "error: CodeDeploy would refuse this:\n    the application's name has the character ' '; allowed are letters, digits and \
         `. _ + = , @ -`\n    `CodeDeployDefault.OneAtATme` is no deployment configuration of AWS; did you mean \
         `CodeDeployDefault.OneAtATime`?\n    the description has 257 characters; 256 are allowed\n    the alarm `a` is named twice\n"
    );
    assert!(job.service.calls().is_empty());
}

#[test]
fn another_deployment_under_way_is_named_with_the_ways_to_it() {
    let job = Job::published("deploy-busy");
    job.service.will_go(Course::endless());
    job.deploy(&[]).exits(0);
    let ran = job.deploy(&[]).exits(9);
    assert_eq!(
        ran.from("error:"),
        "error: another deployment to group `prod` of `shop` is under way: d-000000001\n\nhint: how far it is: longshore deployments \
         --application shop --group prod d-000000001\nhint: to end it: longshore stop --application shop --group prod d-000000001\n"
    );
}

#[test]
fn what_does_not_exist_is_named_with_what_was_meant_and_the_command_that_creates_it() {
    let job = Job::built("deploy-missing");
    for (arguments, error, near, create) in [
        (
            &["--codedeploy-application", "shpo"][..],
            "CodeDeploy has no application `shpo` in region us-east-1",
            "did you mean `shop`?",
            "aws deploy create-application --application-name shpo --compute-platform Server --region us-east-1",
        ),
        (
            &["--codedeploy-group", "production"],
            "application `shop` has no deployment group `production` in region us-east-1",
            "there are the groups `dev`, `prod`",
            "aws deploy create-deployment-group --application-name shop --deployment-group-name production --service-role-arn ROLE \
             --ec2-tag-filters Key=Group,Value=production,Type=KEY_AND_VALUE --region us-east-1",
        ),
    ] {
        let ran = job.deploy(arguments).exits(7);
        assert_eq!(ran.from("error:"), format!("error: {error}\n\nhint: {near}\nhint: create it: {create}\n"));
    }
    // Before anything was published.
    assert!(!job.s3_has_artifact());
    let ran = job.deploy(&["--deployment-config", "Ours.Hlaf"]).exits(7);
    let told = ran.from("error:");
    let error = "error: CodeDeploy has no deployment configuration `Ours.Hlaf` in region us-east-1\n\nhint: did you mean `Ours.Half`?\n";
    assert!(told.starts_with(error), "{told}");
    let ran = job.run(&["deployments", "--group", "prod", "d-nope"]).exits(7);
    let error = "error: CodeDeploy has no deployment `d-nope` in region us-east-1\n\nhint: those that there are: longshore deployments \
                 --application shop --group prod\n";
    assert_eq!(ran.stderr, error);
}

#[test]
fn a_right_that_is_missing_is_named() {
    let job = Job::published("deploy-denied");
    job.service.inject("CreateDeployment", Fault::Denied, 1);
    let ran = job.deploy(&[]).exits(10);
    assert_eq!(
        ran.from("error:"),
        "error: not allowed to call `codedeploy:CreateDeployment`\n  caused by: AccessDeniedException: User: \
         arn:aws:iam::123456789012:user/ci is not authorized to perform: codedeploy:CreateDeployment\n\nhint: allow \
         `codedeploy:CreateDeployment` in the policy of these credentials; docs/guide/codedeploy.md has all of it\n"
    );
}

#[test]
fn who_may_not_look_at_instances_or_the_group_deploys_all_the_same() {
    let job = Job::published("deploy-blind");
    job.service.inject("GetDeploymentGroup", Fault::Denied, 1);
    job.service.inject("ListDeploymentTargets", Fault::Denied, 1);
    job.service.will_go(Course::success(&["i-1"]));
    let ran = job.deploy(&["--wait"]).exits(0);
    let unchecked =
        "Unchecked whether the group stands at a newer commit: `codedeploy:GetDeploymentGroup` is not allowed\n";
    let hidden =
        "warning: what happens on the instances is not shown: not allowed to call `codedeploy:ListDeploymentTargets`\n";
    assert!(ran.stderr.contains(unchecked) && ran.stderr.contains(hidden), "{}", ran.stderr);
}

#[test]
fn credentials_that_are_not_accepted_are_told_from_a_missing_right() {
    let job = Job::published("deploy-keys");
    let output =
        job.longshore(&["deployments", "--group", "prod"]).env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(
        told.starts_with("error: the AWS credentials are not accepted\n  caused by: InvalidSignatureException"),
        "{told}"
    );
}
