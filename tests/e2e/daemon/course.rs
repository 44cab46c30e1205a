//! Deployments that nothing disturbs.

use std::fs;

use e2e::command_service::{Course, Deployment, Operation, REGION, Revision, Status};
use e2e::{SECRET_KEY, services};
use serde_json::json;

use crate::host::{ARN, GROUP, Host, keys, told};
use crate::release::Release;

/// What a host says of a deployment in place whose scripts all pass.
pub(crate) const GOOD: [&str; 7] = [
    "ApplicationStop Succeeded",
    "DownloadBundle Succeeded",
    "BeforeInstall Succeeded",
    "Install Succeeded",
    "AfterInstall Succeeded",
    "ApplicationStart Succeeded",
    "ValidateService Succeeded",
];

/// The same of the first deployment, which finds nothing to stop.
pub(crate) fn first_good() -> Vec<String> {
    let mut good = GOOD.map(str::to_owned).to_vec();
    good[0] = "ApplicationStop nothing to do".to_owned();
    good
}

/// The scripts of a release that run in a deployment in place, after those that stop the old one.
pub(crate) fn starts(release: &str) -> Vec<String> {
    let events = ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"];
    events.map(|event| format!("{release} {event}")).to_vec()
}

/// The first deployment of a host went as if nothing had happened.
#[track_caller]
pub(crate) fn assert_good(host: &Host, id: &str, release: &str) {
    let ended = host.ended(id);
    assert_eq!(told(&ended), first_good());
    assert_eq!(ended.status, Status::Succeeded);
    assert_eq!(host.trace(), starts(release));
    assert_eq!(host.version().as_deref(), Some(release));
}

#[test]
fn a_deployment_in_place_runs_every_script_once_in_order_with_the_variables_of_the_aws_agent() {
    let mut host = Host::new();
    let s3 = services().s3();
    let bucket = "daemon-course";
    s3.create_bucket(bucket);
    let release = Release::new("one").with(
        "AfterInstall",
        "env | grep -v -e ^LONGSHORE_ -e ^PWD= -e ^PATH= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort > $host/env\n",
    );
    let etag = s3.put(bucket, "releases/one.zip", &release.zip(host.path()));
    let revision = Revision::S3 {
        bucket: bucket.to_owned(),
        key: "releases/one.zip".to_owned(),
        bundle_type: "zip",
        version: None,
        etag: Some(etag.clone()),
    };
    // The S3 server knows one key alone; so the service knows it, too.
    host.service.register(
        ARN,
        &e2e::command_service::Keys { id: e2e::ACCESS_KEY.to_owned(), secret: SECRET_KEY.to_owned(), token: None },
    );
    host.on_premises = host.on_premises.replace(&keys().id, e2e::ACCESS_KEY).replace(&keys().secret, SECRET_KEY);
    host.aws_settings = format!(":s3_endpoint_override: {}\n", s3.url);
    host.environment.insert("AWS_ACCESS_KEY_ID", "not-this".to_owned());
    host.environment.insert("AWS_SECRET_ACCESS_KEY", "nor-this".to_owned());
    host.environment.insert("OF_THE_AGENT", "inherited".to_owned());
    host.start();
    let mut deployment = Deployment::of("d-ONE", revision);
    // The list of events may have those without scripts, too.
    let all = Course::InPlaceBalanced.events();
    deployment.more.insert("AllPossibleLifecycleEvents".to_owned(), all.into());
    host.service.deploy(ARN, &deployment);

    let ended = host.ended("d-ONE");
    assert_eq!(told(&ended), first_good());
    assert_eq!(ended.status, Status::Succeeded);
    assert_eq!(host.trace(), starts("one"));
    assert_eq!(host.version().as_deref(), Some("one"));
    let environment = fs::read_to_string(host.path().join("env")).unwrap();
    let expected = format!(
        "APPLICATION_NAME=shop\nAWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1\nAWS_HOST_IDENTIFIER={ARN}\n\
         AWS_REGION={REGION}\nBUNDLE_BUCKET={bucket}\nBUNDLE_ETAG={etag}\nBUNDLE_KEY=releases/one.zip\n\
         DEPLOYMENT_GROUP_ID={GROUP}\nDEPLOYMENT_GROUP_NAME=dev\nDEPLOYMENT_ID=d-ONE\nLIFECYCLE_EVENT=AfterInstall\n\
         OF_THE_AGENT=inherited\nTZ=UTC\n"
    );
    assert_eq!(environment, expected);

    // Each command is said and done once, and what is said has the form of the AWS agent.
    for command in &ended.commands {
        assert_eq!((command.deliveries, command.acknowledgements.len()), (1, 1), "{command:#?}");
    }
    let acknowledged = host.service.calls_of(Operation::Acknowledge);
    let first = &acknowledged[0];
    let noop = json!({"Format": "JSON", "Payload": "{\"IsCommandNoop\":true}"});
    assert_eq!(first.body["Diagnostics"], noop);
    assert!(first.headers.contains_key("x-amz-codedeploy-agent-version"), "{:?}", first.headers);
}

#[test]
fn of_the_second_release_the_old_ones_scripts_stop_and_the_new_ones_start() {
    let mut host = Host::new();
    host.start();
    host.deployed("d-ONE", &Release::new("one"));
    let mut deployment = Deployment::of("d-TWO", Release::new("two").folder(host.path()));
    deployment.course = Course::InPlaceBalanced;
    host.service.deploy(ARN, &deployment);
    let ended = host.ended("d-TWO");
    let all: Vec<String> = deployment.course.events().iter().map(|event| format!("{event} Succeeded")).collect();
    assert_eq!(told(&ended), all);
    let mut expected: Vec<String> =
        ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"].map(|event| format!("one {event}")).to_vec();
    expected.extend(starts("two"));
    expected.extend(["two BeforeAllowTraffic".to_owned(), "two AfterAllowTraffic".to_owned()]);
    assert_eq!(host.trace(), expected);
    assert_eq!(host.version().as_deref(), Some("two"));
}

#[test]
fn a_blue_green_rollback_takes_its_scripts_from_the_revisions_that_the_aws_agent_takes_them_from() {
    let mut host = Host::new();
    host.start();
    host.deployed("d-ONE", &Release::new("one"));
    // It is fetched, and fails before it is installed: fetched last is `two`, installed last is `one`.
    let failing = Release::new("two").with("BeforeInstall", "exit 1");
    let mut deployment = Deployment::of("d-TWO", failing.folder(host.path()));
    deployment.course = Course::Replacement;
    host.service.deploy(ARN, &deployment);
    assert_eq!(host.ended("d-TWO").status, Status::Failed);
    fs::remove_file(host.path().join("trace")).unwrap();

    for (id, course, expected) in [
        ("d-BLOCK", Course::RollbackReplacement, ["two BeforeBlockTraffic", "two AfterBlockTraffic"]),
        ("d-ALLOW", Course::RollbackOriginal, ["one BeforeAllowTraffic", "one AfterAllowTraffic"]),
    ] {
        let mut deployment = Deployment::of(id, Release::new("one").folder(host.path()));
        deployment.course = course;
        host.service.deploy(ARN, &deployment);
        let ended = host.ended(id);
        assert_eq!(ended.status, Status::Succeeded, "{:#?}", told(&ended));
        assert_eq!(host.trace(), expected, "{id}");
        fs::remove_file(host.path().join("trace")).unwrap();
        assert_eq!(host.version().as_deref(), Some("one"));
    }
}

#[test]
fn two_groups_are_deployed_at_the_same_time() {
    let mut host = Host::new();
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-DEV", &Release::new("dev"));
    host.wait_for_script("dev", "AfterInstall");
    let other = Release { events: vec!["BeforeInstall"], ..Release::new("other") };
    let folder = other.write(host.path());
    // Another place than that of the first group.
    let appspec = fs::read_to_string(folder.join("appspec.yml")).unwrap();
    fs::write(folder.join("appspec.yml"), appspec.replace("/www\n", "/other-www\n")).unwrap();
    let mut deployment = Deployment::of("d-PROD", Revision::LocalDirectory(folder.display().to_string()));
    (deployment.group, deployment.group_id) = ("prod".to_owned(), "another-group".to_owned());
    host.service.deploy(ARN, &deployment);
    assert_eq!(host.ended("d-PROD").status, Status::Succeeded);
    assert_eq!(fs::read_to_string(host.path().join("other-www/version")).unwrap(), "other\n");
    host.open_gate("AfterInstall");
    assert_eq!(told(&host.ended("d-DEV")), first_good());
}

#[test]
fn as_many_deployments_stay_as_the_aws_agents_setting_says() {
    let mut host = Host::new();
    host.aws_settings = ":max_revisions: 2\n".to_owned();
    host.start();
    for (id, name) in [("d-1", "one"), ("d-2", "two"), ("d-3", "three"), ("d-4", "four")] {
        host.deployed(id, &Release::new(name));
    }
    let mut kept: Vec<_> = fs::read_dir(host.root().join(GROUP)).unwrap().map(|e| e.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["d-3", "d-4"]);
}

#[test]
fn every_word_of_a_specification_counts() {
    let mut host = Host::new();
    host.start();
    fs::create_dir(host.path().join("www")).unwrap();
    fs::write(host.path().join("www/version"), "of somebody else\n").unwrap();
    let folder = Release::new("one").write(host.path());
    fs::rename(folder.join("appspec.yml"), folder.join("dev-appspec.yml")).unwrap();
    let mut deployment = Deployment::of("d-ONE", Revision::LocalDirectory(folder.display().to_string()));
    for (member, value) in [
        ("DeploymentId", json!("arn:aws:codedeploy:us-east-1:123456789012:deployment/d-ONE")),
        ("AppSpecFilename", json!("dev-appspec.yml")),
        ("AgentActionOverrides", json!({"AgentOverrides": {"FileExistsBehavior": "overwrite"}})),
        ("DeploymentCreator", json!(null)),
        ("DeploymentType", json!(null)),
        ("AllPossibleLifecycleEvents", json!([])),
        ("SomethingNew", json!({"Of": ["the service"]})),
    ] {
        deployment.more.insert(member.to_owned(), value);
    }
    host.service.deploy(ARN, &deployment);
    assert_good(&host, "d-ONE", "one");
    assert!(host.deployment("d-ONE").join("deployment-archive").is_dir());
}

#[test]
fn an_archive_that_is_kept_is_used_again_and_fetched_where_it_is_gone() {
    let mut host = Host::new();
    host.start();
    let zip = Release::new("one").zip(host.path());
    let revision = Revision::LocalFile { location: zip.display().to_string(), bundle_type: "zip" };
    host.service.deploy(ARN, &Deployment::of("d-ONE", revision.clone()));
    assert_good(&host, "d-ONE", "one");
    let again = |id: &str, of: &str| {
        let mut deployment = Deployment::of(id, revision.clone());
        deployment.more.insert("ReuseArchiveFromDeploymentId".to_owned(), of.into());
        host.service.deploy(ARN, &deployment);
        assert_eq!(told(&host.ended(id)), GOOD, "{id}");
    };
    again("d-FETCHED", "d-GONE");
    fs::remove_file(&zip).unwrap();
    again("d-AGAIN", "d-ONE");
    assert_eq!(host.version().as_deref(), Some("one"));
}

#[test]
fn a_host_that_is_about_to_end_is_stopped_without_a_bundle() {
    let mut host = Host::new();
    host.start();
    host.deployed("d-ONE", &Release::new("one"));
    let mut deployment = Deployment::of("d-END", Revision::LocalDirectory("/nothing/is/here".to_owned()));
    let events = ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"].map(str::to_owned).to_vec();
    deployment.more.insert("AllPossibleLifecycleEvents".to_owned(), events.clone().into());
    deployment.course = Course::Events(events.clone());
    host.service.deploy(ARN, &deployment);
    let ended = host.ended("d-END");
    assert_eq!(told(&ended), events.iter().map(|event| format!("{event} Succeeded")).collect::<Vec<_>>());
    assert_eq!(host.trace(), events.iter().map(|event| format!("one {event}")).collect::<Vec<_>>());
    assert_eq!(host.version().as_deref(), Some("one"));
}
