//! The same against moto, a second opinion on requests and answers. It lacks `RegisterApplicationRevision`, and its deployments never
//! move.

use std::process::Command;

use e2e::services;
use serde_json::{Value, json};

use crate::job::Job;

/// Asks moto for something, past `longshore`.
fn ask(url: &str, operation: &str, body: &Value) -> Value {
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--silent",
        "--show-error",
        "--user",
        "test:test",
        "--aws-sigv4",
        "aws:amz:us-east-1:codedeploy",
    ]);
    curl.args(["--header", "content-type: application/x-amz-json-1.1"]);
    curl.args([
        "--header",
        &format!("x-amz-target: CodeDeploy_20141006.{operation}"),
        "--data",
        &body.to_string(),
        url,
    ]);
    let output = curl.output().unwrap();
    assert!(output.status.success(), "{operation}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn deployments_that_moto_knows_are_listed_and_what_it_lacks_is_named() {
    let moto = services().moto();
    let job = Job::published("deploy-moto");
    ask(&moto, "CreateApplication", &json!({"applicationName": "shop", "computePlatform": "Server"}));
    let role = "arn:aws:iam::123456789012:role/codedeploy";
    let group = json!({"applicationName": "shop", "deploymentGroupName": "prod", "serviceRoleArn": role});
    ask(&moto, "CreateDeploymentGroup", &group);
    let location = json!({"bucket": "deploy-moto", "key": job.key(), "bundleType": "zip", "eTag": "0123"});
    let revision = json!({"revisionType": "S3", "s3Location": location});
    let deployment = json!({"applicationName": "shop", "deploymentGroupName": "prod", "revision": revision, "description": "by hand"});
    let id = ask(&moto, "CreateDeployment", &deployment)["deploymentId"].as_str().unwrap().to_owned();

    let longshore = |arguments: &[&str]| {
        let output = job.longshore(arguments).env("AWS_ENDPOINT_URL_CODEDEPLOY", &moto).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stdout, stderr) = longshore(&["deployments", "--group", "prod", "--output", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let listed = &json["deployments"][0];
    assert_eq!((&listed["id"], &listed["revision"]["commit"]), (&json!(id), &json!(job.commit)), "{json:#}");

    let (code, _, stderr) = longshore(&["deploy", "--codedeploy-application", "shpo", "--group", "prod"]);
    assert_eq!(code, 7, "{stderr}");
    assert!(
        stderr.contains(
            "error: CodeDeploy has no application `shpo` in region us-east-1\n\nhint: did you mean `shop`?\n"
        ),
        "{stderr}"
    );

    let (code, _, stderr) = longshore(&["deploy", "--group", "prod"]);
    assert_eq!(code, 10, "{stderr}");
    assert!(stderr.contains("codedeploy:RegisterApplicationRevision"), "{stderr}");
}
