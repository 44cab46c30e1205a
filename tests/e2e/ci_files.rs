//! The files that `longshore init` writes for CI systems, run as those systems run them, from the checkout to the deployment: with
//! the shell, the variables and the files of each, a real registry, a real S3 server, the AWS CLI, and CodeDeploy's emulator.
//! A key that a system does not know where it stands fails the test.
//!
//! Needs Docker, a registry and an S3 server: run through `dev/test`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "ci_files/codebuild.rs"]
mod codebuild;
#[path = "ci_files/github.rs"]
mod github;
#[path = "ci_files/gitlab.rs"]
mod gitlab;
#[path = "ci_files/project.rs"]
mod project;
#[path = "ci_files/reading.rs"]
mod reading;

use e2e::codedeploy_service::{Course, Stage};
use serde_json::json;

use self::project::{Ended, Project};

/// A CI system: its name for `--ci`, its file, what somebody adds to see what later steps learn, and how it runs the file.
struct System {
    name: &'static str,
    file: &'static str,
    later: &'static str,
    run: fn(&Project) -> Ended,
}

const SYSTEMS: [System; 3] = [
    System { name: "codebuild", file: "buildspec.yml", later: "", run: codebuild::run },
    System {
        name: "github",
        file: ".github/workflows/longshore.yml",
        later: "      - name: Later\n        run: >-\n          echo ${{ steps.build.outputs.commit }} ${{ steps.publish.outputs.url }}\n          \
                ${{ steps.publish.outputs.etag }} ${{ steps.deploy.outputs.deployment_id }} > \"$LATER\"\n",
        run: github::run,
    },
    System {
        name: "gitlab",
        file: ".gitlab-ci.yml",
        later: "\nlater:\n  stage: .post\n  script:\n    - echo $LONGSHORE_OUT_COMMIT $LONGSHORE_OUT_URL $LONGSHORE_OUT_ETAG \
                $LONGSHORE_OUT_DEPLOYMENT_ID > \"$LATER\"\n",
        run: gitlab::run,
    },
];

#[test]
fn the_file_of_each_ci_system_leads_from_a_commit_to_a_deployment_and_later_steps_learn_of_it() {
    for system in SYSTEMS {
        let project = Project::new(&system, "deploys");
        let ended = (system.run)(&project);
        assert_eq!(ended.code, 0, "{}: at `{}`:\n{}", system.name, ended.at, ended.told);
        assert!(project.is_logged_in(), "{}: {}", system.name, ended.told);
        assert!(project.has_pushed_image(), "{}: {}", system.name, ended.told);
        let asked = project.service.asked("CreateDeployment");
        assert_eq!(asked.len(), 1, "{}", system.name);
        let location = &asked[0]["revision"]["s3Location"];
        let of = (&asked[0]["applicationName"], &asked[0]["deploymentGroupName"], &location["key"]);
        assert_eq!(of, (&json!("shop"), &json!("dev"), &json!(project.key())), "{}", system.name);
        let etag = project.etag().unwrap();
        assert_eq!(location["eTag"], json!(etag), "{}", system.name);
        let learned = format!("{} s3://{}/{} {etag} d-000000001\n", project.commit, project.bucket, project.key());
        assert_eq!(ended.later, learned, "{}", system.name);
    }
}

#[test]
fn a_deployment_that_fails_ends_the_job_of_each_ci_system_with_its_exit_code() {
    for system in SYSTEMS {
        let project = Project::new(&system, "fails");
        let stage = Stage::new("Failed").target("i-1", "Failed", &[("AfterInstall", "Failed")]);
        let stage = stage.diagnostics("ScriptFailed", "start.sh", "exit code 3", "it broke");
        let stage = stage.error("HEALTH_CONSTRAINTS", "The overall deployment failed");
        project.service.will_go(Course::of([Stage::new("Created"), stage]));
        let ended = (system.run)(&project);
        assert_eq!(ended.code, 11, "{}: at `{}`:\n{}", system.name, ended.at, ended.told);
        let told = ended.told.to_lowercase();
        assert!(ended.at.to_lowercase().contains("deploy") && told.contains("it broke"), "{}: {told}", system.name);
        assert_eq!(ended.later, "", "{}", system.name);
    }
}

#[test]
fn a_build_whose_images_fail_publishes_and_deploys_nothing() {
    for system in SYSTEMS {
        let mut project = Project::new(&system, "broken");
        project.change("Dockerfile", "FROM scratch", "FROM scratch\nCOPY missing /");
        let ended = (system.run)(&project);
        assert_ne!(ended.code, 0, "{}: {}", system.name, ended.told);
        assert!(ended.told.contains("missing"), "{}: at `{}`:\n{}", system.name, ended.at, ended.told);
        assert_eq!((project.etag(), project.service.calls().len()), (None, 0), "{}: {}", system.name, ended.told);
        assert!(!project.has_pushed_image(), "{}", system.name);
    }
}
