//! The policies of the guide against what `longshore` really asks of CodeDeploy, S3 and KMS.

use std::collections::BTreeSet;
use std::fs;

use e2e::codedeploy_service::Course;
use e2e::recorder::Recorder;
use e2e::{S3Server, workspace_root};
use serde_json::{Value, json};

use crate::job::Job;

/// What a policy grants although it is not seen here, and why.
const UNSEEN: [(&str, &str); 3] = [
    ("codedeploy:GetApplicationRevision", "CodeDeploy asks for it when a deployment is created"),
    ("codedeploy:GetDeploymentConfig", "CodeDeploy asks for it when a deployment is created"),
    ("s3:AbortMultipartUpload", "an upload in parts that fails is ended by it"),
];

/// The actions of each policy in the guide, in their order: deploying, what `upload` may ask for, pruning.
fn granted() -> Vec<BTreeSet<String>> {
    let guide = fs::read_to_string(workspace_root().join("docs/guide/codedeploy.md")).unwrap();
    let blocks = guide.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            let policy: Value = serde_json::from_str(block).unwrap();
            let statements = policy["Statement"].as_array().unwrap();
            let actions = statements.iter().flat_map(|statement| match &statement["Action"] {
                Value::Array(actions) => actions.clone(),
                action => vec![action.clone()],
            });
            actions.map(|action| action.as_str().unwrap().to_owned()).collect()
        })
        .collect()
}

/// What was asked since the last time.
fn asked(job: &Job, s3: &Recorder, from: &mut usize) -> BTreeSet<String> {
    let calls = job.service.calls();
    let mut asked = s3.rights();
    asked.extend(calls[*from..].iter().map(|call| format!("codedeploy:{}", call.operation)));
    *from = calls.len();
    asked
}

#[test]
fn the_policies_of_the_guide_grant_what_is_asked_and_nothing_else() {
    let mut job = Job::built("policy");
    job.s3.keep_versions("policy");
    let s3 = Recorder::start(&job.s3.url);
    job.s3 = S3Server { url: s3.url.clone() };
    let mut from = 0;

    job.deploy(&["--wait"]).exits(0);
    // More than one part.
    fs::write(job.path().join("large"), noise(20 << 20)).unwrap();
    let files = "files:\n  - source: large\n    destination: /srv/shop\n";
    job.write(
        "appspec.yml",
        &format!("version: 0.0\nos: linux\n{files}hooks:\n  AfterInstall:\n    - location: start.sh\n"),
    );
    job.build("second", "2026-02-02T03:04:06Z");
    job.deploy(&["--wait"]).exits(0);
    let commit = job.commit[..12].to_owned();
    job.deploy(&["--commit", &commit, "--wait"]).exits(0);
    job.run(&["deployments", "--group", "prod"]).exits(0);
    job.run(&["deployments", "--group", "prod", "d-000000001"]).exits(0);
    job.run(&["rollback", "--group", "prod", "--wait"]).exits(0);
    job.service.will_go(Course::endless());
    job.deploy(&[]).exits(0);
    job.run(&["stop", "--group", "prod"]).exits(0);
    // What is not there.
    job.deploy(&["--codedeploy-application", "shpo"]).exits(7);
    job.deploy(&["--codedeploy-group", "live"]).exits(7);
    job.deploy(&["--deployment-config", "Ours.Haf", "--allow-older"]).exits(7);
    let deploying = asked(&job, &s3, &mut from);

    // The server has no keys, and would be asked again and again.
    job.build("third", "2026-03-02T03:04:06Z");
    let mut deploy = job.longshore(&["deploy", "--group", "dev"]);
    deploy.envs([("LONGSHORE_UPLOAD_ENCRYPTION", "aws:kms"), ("LONGSHORE_UPLOAD_TAGS", "team=shop")]);
    let mut deploy = deploy.spawn().unwrap();
    s3.wait_for("kms:GenerateDataKey");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let keeping = &asked(&job, &s3, &mut from) - &deploying;

    // A group that follows the store, and something that nobody needs.
    job.run(&["deploy", "--with", "store", "--group", "live"]).exits(0);
    job.build("fourth", "2026-04-02T03:04:06Z");
    job.run(&["push"]).exits(0);
    asked(&job, &s3, &mut from);
    job.run(&["prune", "--all-applications", "--keep", "0", "--yes"]).exits(0);
    let pruning = asked(&job, &s3, &mut from);

    let unseen: BTreeSet<String> = UNSEEN.iter().map(|(action, _)| (*action).to_owned()).collect();
    let policies = granted();
    assert_eq!(policies.len(), 3, "{policies:#?}");
    assert_eq!(json!(&deploying | &unseen), json!(policies[0]), "deploy, deployments, rollback, stop");
    assert_eq!(json!(keeping), json!(policies[1]), "`upload` of longshore.toml");
    assert_eq!(json!(pruning), json!(policies[2]), "prune");
}

/// Bytes that no compression makes fewer.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
