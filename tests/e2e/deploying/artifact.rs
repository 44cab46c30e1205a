use std::fs;
use std::process::Command;

use e2e::codedeploy_service::Course;
use e2e::services;
use serde_json::json;

use crate::job::Job;

#[test]
fn what_is_built_and_not_published_is_published_first() {
    let job = Job::built("deploy-built");
    let ran = job.deploy(&[]).exits(0);
    assert!(ran.stderr.contains("   Published `s3://deploy-built/releases/shop/[commit].zip`\n"), "{}", ran.stderr);
    assert!(job.s3_has_artifact());
    assert_eq!(job.service.asked("CreateDeployment")[0]["revision"]["s3Location"]["key"], json!(job.key()));
}

#[test]
fn each_way_to_name_an_artifact_leads_to_the_same_object() {
    let job = Job::built("deploy-named");
    let bundle = job.artifact();
    let url = format!("s3://deploy-named/{}", job.key());
    let seven = &job.commit[..7];
    for arguments in [["--bundle", bundle.to_str().unwrap()], ["--revision", &url], ["--commit", seven]] {
        job.deploy(&arguments).exits(0);
        job.run(&["deployments", "--group", "prod", "d-000000001"]).exits(0);
        end(&job);
    }
    let asked = job.service.asked("CreateDeployment");
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|body| body["revision"] == asked[0]["revision"]), "{asked:#?}");
}

/// Looks at the last deployment until it has ended.
fn end(job: &Job) {
    let list = job.run(&["deployments", "--group", "prod", "--output", "json"]).exits(0).json();
    let id = list["deployments"][0]["id"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        job.run(&["deployments", "--group", "prod", &id]).exits(0);
    }
}

#[test]
fn nothing_to_deploy_is_said_with_the_way_to_something() {
    let job = Job::built("deploy-nothing");
    fs::remove_dir_all(job.path().join("dist")).unwrap();
    let ran = job.deploy(&[]).exits(7);
    assert_eq!(
        ran.from("error:"),
        "error: there is no artifact of commit [commit]: neither `s3://deploy-nothing/releases/shop/[commit].zip` nor \
         `[dir]/shop/dist/shop-[commit].zip` exists\n\nhint: build it first: longshore build && longshore push --to \
         s3://deploy-nothing/releases\n"
    );
    let ran = job.deploy(&["--revision", "s3://deploy-nothing/none.zip"]).exits(7);
    assert_eq!(ran.from("error:"), "error: `s3://deploy-nothing/none.zip` does not exist\n");
    job.deploy(&["--commit", "0123456"]).exits(7);
    let ran = job.deploy(&["--revision", "s3://deploy-nothing/bundle"]).exits(2);
    let error = "error: `bundle` does not say how it is packed: CodeDeploy takes `.zip`, `.tar` and `.tgz`\n";
    assert_eq!(ran.stderr, error);
    let ran = job.deploy(&["--to", "file:///tmp/store"]).exits(2);
    assert_eq!(
        ran.stderr,
        "error: CodeDeploy deploys from S3 alone, and `file:///tmp/store` is a folder\n\nhint: name a bucket with `--to \
         s3://bucket/prefix`, or deploy with `--with store`\n"
    );
}

#[test]
fn an_object_that_is_not_the_pinned_one_is_refused() {
    let job = Job::published("deploy-pinned");
    let url = format!("s3://deploy-pinned/{}?etag=0123", job.key());
    let ran = job.deploy(&["--revision", &url]).exits(8);
    assert!(ran.from("error:").contains("caused by: `s3://deploy-pinned/releases/shop/[commit].zip"), "{}", ran.stderr);
    assert!(job.service.asked("CreateDeployment").is_empty());
}

#[test]
fn a_work_tree_that_differs_from_its_commit_is_deployed_only_when_that_is_wanted() {
    let job = Job::built("deploy-dirty");
    job.write("start.sh", "#!/bin/sh\nset -e\necho dirty\n");
    let built = job.run(&["build", "--allow-dirty", "--output", "json"]).exits(0).json();
    let path = built["artifact"].as_str().unwrap().replace("[dir]", job.path().parent().unwrap().to_str().unwrap());
    let path = path.replace("[commit]", &job.commit);
    let ran = job.deploy(&["--bundle", &path]).exits(1);
    assert!(ran.from("error:").contains("was built from a work tree that differs from its commit\n"), "{}", ran.stderr);
    assert!(!job.s3_has_artifact());
    job.deploy(&["--bundle", &path, "--allow-dirty"]).exits(0);
}

#[test]
fn an_older_commit_is_refused_unless_it_is_wanted_and_what_cannot_be_told_is_said() {
    let mut job = Job::published("deploy-older");
    let first = job.commit.clone();
    job.build("second", "2026-02-02T03:04:06Z");
    job.service.will_go(Course::success(&["i-1"]));
    job.deploy(&["--wait"]).exits(0);
    let ran = job.deploy(&["--commit", &first]).exits(4);
    let error = format!(
        "error: group `prod` was given commit [short] of 2026-02-02T03:04:06Z, which is newer than commit {} of \
         2026-01-02T03:04:06Z\n\nhint: add `--allow-older` if going back is what is wanted\n",
        &first[..12]
    );
    assert_eq!(ran.from("error:"), error);
    job.s3_remove(&format!("releases/shop/{first}.zip"));
    job.deploy(&["--bundle", &format!("dist/shop-{first}.zip")]).exits(4);
    // It was not published before it was refused.
    job.deploy(&["--commit", &first, "--allow-older"]).exits(7);
    job.deploy(&["--bundle", &format!("dist/shop-{first}.zip"), "--allow-older", "--wait"]).exits(0);
    let other = job.deploy(&["--application", "blog", "--bundle", &format!("dist/shop-{first}.zip")]).exits(2);
    assert!(other.stderr.contains("is an artifact of `shop`, not of `blog`"), "{}", other.stderr);
    // A checkout that has no history.
    fs::remove_dir_all(job.path().join(".git")).unwrap();
    let ran = job.deploy(&["--wait"]).exits(0);
    let told = "Unchecked whether the group stands at a newer commit: the repository here does not have the commit that the group was \
                given last\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

/// What the registry gives under a tag from now on; its digest. Another number makes other bytes.
fn tagged(job: &Job, image: &str, number: u32) -> String {
    let path = job.path().join("dist/index.json");
    let kind = "application/vnd.oci.image.index.v1+json";
    let index =
        json!({"schemaVersion": 2, "mediaType": kind, "manifests": [], "annotations": {"n": number.to_string()}});
    fs::write(&path, index.to_string()).unwrap();
    let (name, tag) = image.rsplit_once(':').unwrap();
    let url = format!("http://{}/v2/{name}/manifests/{tag}", services().registry());
    let mut put = Command::new("curl");
    put.args(["-fsS", "-X", "PUT", "-H", &format!("Content-Type: {kind}"), "--data-binary"]);
    let put = put.arg(format!("@{}", path.display())).arg(url).output().unwrap();
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    format!("sha256:{}", longshore_core::digest::Sha256::of(index.to_string().as_bytes()))
}

#[test]
fn a_tag_that_moved_since_the_build_is_said_whether_the_artifact_is_here_or_published() {
    let mut job = Job::built("deploy-moved");
    let image = format!("{}/deploy-moved:1", services().registry());
    let compose = format!("services:\n  web:\n    image: {image}\n    restart: always\n");
    job.write("docker-compose.yml", &compose);
    job.build("pinned", "2026-02-02T03:04:06Z");
    let recorded = tagged(&job, "deploy-moved:1", 1);
    job.run(&["build", "--pin-images"]).exits(0);
    let bundle = job.artifact();
    let same = job.deploy(&["--bundle", bundle.to_str().unwrap(), "--output", "json"]).exits(0).json();
    assert_eq!(same["moved_images"], json!([]));
    end(&job);

    let now = tagged(&job, "deploy-moved:1", 2);
    let moved = json!([{
        "services": ["web"], "image": image, "recorded": recorded, "now": now, "why_unknown": null, "locked": false,
    }]);
    let url = format!("s3://deploy-moved/{}", job.key());
    for arguments in [vec!["--bundle", bundle.to_str().unwrap()], vec!["--revision", &url], vec![]] {
        let ran = job.deploy(&[&arguments[..], &["--output", "json"]].concat()).exits(0);
        assert_eq!(ran.json()["moved_images"], moved, "{arguments:?}");
        let told =
            format!("warning: `{image}` (`web`) leads to {now} now, and led to {recorded} when the artifact was built");
        assert!(ran.stderr.contains(&told), "{arguments:?}: {}", ran.stderr);
        end(&job);
    }
    let ran = job.deploy(&["--no-image-check", "--output", "json"]).exits(0);
    assert_eq!((&ran.json()["moved_images"], ran.stderr.contains("leads to")), (&json!(null), false));
    end(&job);
    // What is no zip under the key of one keeps nothing from being deployed.
    job.s3.put("deploy-moved", "other.zip", &job.path().join("start.sh"));
    let ran = job.deploy(&["--revision", "s3://deploy-moved/other.zip", "--output", "json"]).exits(0);
    let note = "Note not looked whether images of `s3://deploy-moved/other.zip?etag=[etag]` moved since the build: ";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);
    assert_eq!(ran.json()["moved_images"], json!([]));
    assert_eq!(job.service.asked("CreateDeployment").len(), 6);
}

#[test]
fn later_steps_of_a_ci_job_learn_of_the_deployment() {
    let job = Job::published("deploy-outputs");
    let (github, dotenv) = (job.path().join("dist/github"), job.path().join("dist/job.env"));
    let link = |id: &str| {
        format!("https://us-east-1.console.aws.amazon.com/codesuite/codedeploy/deployments/{id}?region=us-east-1")
    };
    let mut written = String::new();
    for (id, wait, status) in [("d-000000001", false, "Created"), ("d-000000002", true, "Succeeded")] {
        job.service.will_go(Course::success(&["i-1"]));
        let mut deploy = job.longshore(&["deploy", "--group", "prod", "--dotenv", dotenv.to_str().unwrap()]);
        deploy.args(wait.then_some("--wait")).env("GITHUB_OUTPUT", &github);
        assert!(deploy.output().unwrap().status.success());
        written.push_str(&format!("deployment_id={id}\ndeployment_status={status}\ndeployment_url={}\n", link(id)));
        assert_eq!(fs::read_to_string(&github).unwrap(), written);
        let values = format!(
            "LONGSHORE_OUT_DEPLOYMENT_ID={id}\nLONGSHORE_OUT_DEPLOYMENT_STATUS={status}\nLONGSHORE_OUT_DEPLOYMENT_URL={}\n",
            link(id)
        );
        assert_eq!(fs::read_to_string(&dotenv).unwrap(), values);
        end(&job);
    }
}
