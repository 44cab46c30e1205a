//! The host had the AWS agent before.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use e2e::command_service::Status;

use crate::course::{GOOD, starts};
use crate::host::{ARN, GROUP, Host, told};
use crate::release::Release;

/// What the AWS agent leaves of a deployment that went well.
fn installed_by_aws(host: &Host, id: &str, release: &Release) {
    let archive = host.deployment(id).join("deployment-archive");
    let folder = release.write(host.path());
    fs::create_dir_all(archive.parent().unwrap()).unwrap();
    fs::rename(&folder, &archive).unwrap();
    let www = host.path().join("www");
    fs::create_dir(&www).unwrap();
    fs::copy(archive.join("www/version"), www.join("version")).unwrap();
    let records = host.root().join("deployment-instructions");
    fs::create_dir_all(&records).unwrap();
    let record = |name: String, text: String| fs::write(records.join(name), text).unwrap();
    record(format!("{GROUP}-cleanup"), format!("{0}\n{0}/version\n", www.display()));
    record(format!("{GROUP}-install.json"), "{\"instructions\":[]}".to_owned());
    for name in ["last_successful_install", "most_recent_install"] {
        record(format!("{GROUP}_{name}"), host.deployment(id).display().to_string());
    }
}

#[test]
fn a_release_that_the_aws_agent_installed_is_stopped_by_its_own_scripts_and_replaced() {
    let mut host = Host::new();
    installed_by_aws(&host, "d-AWS", &Release::new("theirs"));
    host.start();
    host.begin("d-ONE", &Release::new("one"));
    let ended = host.ended("d-ONE");
    assert_eq!(told(&ended), GOOD);
    let mut expected = vec!["theirs ApplicationStop".to_owned()];
    expected.extend(starts("one"));
    assert_eq!(host.trace(), expected);
    assert_eq!(host.version().as_deref(), Some("one"));
}

#[test]
fn each_command_that_the_aws_agent_left_running_is_told_as_failed_with_code_7_and_its_mark_goes() {
    let mut host = Host::new();
    let marks = host.root().join("ongoing-deployment");
    fs::create_dir_all(&marks).unwrap();
    for (id, hours) in [("d-A", 1), ("d-B", 23), ("d-OLD", 25)] {
        host.begin(id, &Release::new("never"));
        let command = host.service.hand_out(ARN);
        fs::write(marks.join(id), &command.id).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        File::options().write(true).open(marks.join(id)).unwrap().set_modified(then).unwrap();
    }
    host.start();
    for id in ["d-A", "d-B"] {
        let ended = host.ended(id);
        let lines = told(&ended);
        assert_eq!(ended.status, Status::Failed);
        assert!(
            lines[0].starts_with(r#"ApplicationStop Failed {"error_code":7,"script_name":"","message":"Failed: "#),
            "{lines:#?}"
        );
    }
    host.begin("d-ONE", &Release::new("one"));
    assert_eq!(host.ended("d-ONE").status, Status::Succeeded);
    assert!(host.service.commands("d-OLD")[0].completions.is_empty(), "of what is older than a day nothing is told");
    let left: Vec<_> = fs::read_dir(&marks).map(Iterator::collect).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(host.trace(), starts("one"));
}
