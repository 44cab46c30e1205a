//! Whom the host believes, and who it says it is.

use std::fs;
use std::process::{Command, Stdio};

use e2e::command_service::{Deployment, Fault, Keys, Operation, Revision, Status};

use crate::course::first_good;
use crate::host::{Host, told};
use crate::release::Release;

#[test]
fn a_specification_that_was_changed_or_signed_by_another_or_not_at_all_is_refused_and_nothing_runs() {
    for fault in [Fault::Tampered, Fault::WrongSigner, Fault::Unsigned] {
        let mut host = Host::new();
        host.service.inject(Operation::Specification, fault, usize::MAX);
        host.start();
        host.begin("d-BAD", &Release::new("one"));
        let ended = host.ended("d-BAD");
        let lines = told(&ended);
        assert_eq!((ended.status, lines.len()), (Status::Failed, 1), "{lines:#?}");
        assert!(
            lines[0].starts_with(r#"ApplicationStop Failed {"error_code":5,"script_name":"","message":""#),
            "{lines:#?}"
        );
        assert!(lines[0].contains("sign"), "{lines:#?}");
        assert_eq!(host.trace(), [""; 0], "{fault:?}");
        assert!(!host.deployment("d-BAD").exists());

        // The agent goes on.
        host.service.mend();
        host.begin("d-GOOD", &Release::new("one"));
        assert_eq!(told(&host.ended("d-GOOD")), first_good());
    }
}

#[test]
fn a_revision_without_the_signature_that_is_asked_for_fails_before_application_stop() {
    let mut host = Host::new();
    let minisign = |arguments: &[&str]| {
        let output = Command::new("minisign").args(arguments).current_dir(host.path()).stdin(Stdio::null()).output();
        assert!(output.expect("minisign is installed: dev/services/install").status.success());
    };
    minisign(&["-G", "-W", "-p", "ci.pub", "-s", "ci.key"]);
    let signed = |release: &Release| {
        let zip = release.zip(host.path()).display().to_string();
        minisign(&["-S", "-s", "ci.key", "-m", &zip]);
        Revision::LocalFile { location: zip, bundle_type: "zip" }
    };
    let (one, two) = (signed(&Release::new("one")), signed(&Release::new("two")));
    host.own_settings = format!("[signatures]\npublic_keys = [\"{}/ci.pub\"]\n", host.path().display());
    host.codedeploy.push_str("require_signature = true\n");
    host.start();
    let deploy = |host: &Host, id: &str, revision: Revision| {
        host.service.deploy(&host.arn, &Deployment::of(id, revision));
        host.ended(id)
    };
    assert_eq!(told(&deploy(&host, "d-ONE", one)), first_good());
    let trace = host.trace();
    let ended = deploy(&host, "d-FOLDER", Release::new("folder").folder(host.path()));
    let lines = told(&ended);
    assert_eq!((ended.status, lines.len()), (Status::Failed, 1), "{lines:#?}");
    assert!(
        lines[0].starts_with("ApplicationStop Failed ") && lines[0].contains("a folder has no signature"),
        "{lines:#?}"
    );
    assert_eq!((host.trace(), host.version().as_deref()), (trace, Some("one")));
    assert_eq!(deploy(&host, "d-TWO", two).status, Status::Succeeded);
    assert_eq!(host.version().as_deref(), Some("two"));
}

#[test]
fn names_of_a_specification_that_lead_elsewhere_are_refused() {
    let mut host = Host::new();
    host.start();
    for (number, member, value) in [
        (1, "DeploymentId", "../../outside"),
        (2, "DeploymentGroupId", "../outside"),
        (3, "AppSpecFilename", "../../appspec.yml"),
    ] {
        let id = format!("d-{number}");
        let mut deployment = Deployment::of(&id, Release::new("one").folder(host.path()));
        deployment.more.insert(member.to_owned(), value.into());
        host.service.deploy(&host.arn, &deployment);
        let ended = host.ended(&id);
        let lines = told(&ended);
        assert_eq!((ended.status, lines.len()), (Status::Failed, 1), "{member}: {lines:#?}");
        assert!(lines[0].contains(r#"{"error_code":5,"script_name":"""#), "{member}: {lines:#?}");
        assert_eq!(host.trace(), [""; 0], "{member}");
    }
    assert!(!host.path().join("outside").exists());
}

#[test]
fn credentials_that_expired_are_read_again_from_the_file_that_renews_them() {
    let session = "arn:aws:sts::123456789012:assumed-role/hosts/web-1";
    let mut host = Host::new();
    let write = |host: &Host, keys: &Keys| {
        let text = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            keys.id,
            keys.secret,
            keys.token.as_deref().unwrap()
        );
        fs::write(host.path().join("credentials.new"), text).unwrap();
        fs::rename(host.path().join("credentials.new"), host.path().join("credentials")).unwrap();
        host.service.register(session, keys);
    };
    let numbered = |number| Keys {
        id: format!("ASIA{number}"),
        secret: format!("secret-{number}"),
        token: Some(format!("token-{number}")),
    };
    host.arn = session.to_owned();
    host.on_premises = format!(
        "iam_session_arn: {session}\nregion: us-east-1\naws_credentials_file: {}/credentials\n",
        host.path().display()
    );
    write(&host, &numbered(1));
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "AfterInstall");
    host.service.expire(&numbered(1));
    host.open_gate("AfterInstall");
    host.service.wait("the service refuses the old key", || {
        let calls = host.service.calls_of(Operation::Complete);
        calls.into_iter().find(|call| call.answer.as_ref().is_some_and(|(status, _)| *status == 400))
    });
    write(&host, &numbered(2));
    let ended = host.ended("d-ONE");
    assert_eq!((told(&ended), ended.status), (first_good(), Status::Succeeded));
}

#[test]
fn the_endpoint_for_policies_is_spoken_to_by_its_own_names() {
    let mut host = Host::new();
    host.aws_settings = ":enable_auth_policy: true\n".to_owned();
    host.start();
    host.begin("d-ONE", &Release::new("one"));
    assert_eq!(told(&host.ended("d-ONE")), first_good());
    let calls = host.service.calls_of(Operation::Complete);
    assert_eq!(calls[0].headers["x-amz-target"], "CodeDeployCommandService.PutHostCommandComplete");
}
