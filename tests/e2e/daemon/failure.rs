//! What a host says when a deployment fails.

use std::fs;
use std::time::Duration;

use e2e::command_service::{CommandService, Deployment, Operation, Pace, Revision, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::course::{GOOD, assert_good, starts};
use crate::host::{ARN, Host, eventually, told};
use crate::release::Release;

/// The diagnostics of the last command.
fn last_diagnostics(host: &Host, id: &str) -> Value {
    let ended = host.ended(id);
    assert_eq!(ended.status, Status::Failed);
    let lines = told(&ended);
    let last = lines.last().unwrap();
    let (_, json) = last.split_once(" Failed ").unwrap_or_else(|| panic!("{last}"));
    // The keys have the order of the AWS agent's.
    for (key, next) in [("error_code", "script_name"), ("script_name", "message"), ("message", "log")] {
        assert!(json.find(key) < json.find(next), "{json}");
    }
    serde_json::from_str(json).unwrap()
}

#[test]
fn each_way_to_fail_has_the_code_of_the_aws_agent_and_the_end_of_the_scripts_output() {
    for (code, event, release, message, log) in [
        // The agent refuses a release without a script that it names; this one loses it on the way.
        (
            1,
            "AfterInstall",
            Release::new("missing").with("BeforeInstall", "rm \"$LONGSHORE_ARCHIVE_DIR/AfterInstall.sh\""),
            "Script `AfterInstall.sh` is not in the bundle",
            "",
        ),
        (
            3,
            "AfterInstall",
            Release { timeout: 1, ..Release::new("slow").with("AfterInstall", "echo begun\nexec sleep 300\n") },
            "Script `AfterInstall.sh` had not ended after 1 seconds, and was ended",
            "[stdout]begun\n",
        ),
        (
            4,
            "ApplicationStart",
            Release::new("bad").with("ApplicationStart", "echo out\necho err >&2\nexit 3\n"),
            "Script `ApplicationStart.sh` failed with exit code 3",
            "[stdout]out\n[stderr]err\n",
        ),
    ] {
        let mut host = Host::new();
        host.start();
        host.begin("d-BAD", &release);
        let diagnostics = last_diagnostics(&host, "d-BAD");
        let found =
            (&diagnostics["error_code"], &diagnostics["script_name"], &diagnostics["message"], &diagnostics["log"]);
        let script = format!("{event}.sh");
        // Which of two streams was read first nobody knows.
        let logs = [Value::from(log), "[stderr]err\n[stdout]out\n".into()];
        assert!(logs.contains(found.3), "{diagnostics:#}");
        assert_eq!((found.0, found.1, found.2), (&code.into(), &script.into(), &message.into()), "{diagnostics:#}");
    }
}

#[test]
fn output_that_is_left_open_is_code_6_where_the_settings_make_it_a_failure() {
    let mut host = Host::new();
    host.own_settings = "[hooks]\nleftovers = \"fail\"\n".to_owned();
    host.start();
    host.begin("d-BAD", &Release::new("open").with("ApplicationStart", "sleep 300 &\n"));
    let diagnostics = last_diagnostics(&host, "d-BAD");
    assert_eq!((&diagnostics["error_code"], &diagnostics["script_name"]), (&6.into(), &"ApplicationStart.sh".into()));
    let message = diagnostics["message"].as_str().unwrap();
    assert!(message.starts_with("Script `ApplicationStart.sh` left its output open: sleep 300 (process "), "{message}");
}

#[test]
fn a_script_that_cannot_be_made_executable_is_code_2() {
    let mut host = Host::new();
    host.start();
    let release = Release::new("fixed").with(
        "BeforeInstall",
        "chmod a-x \"$LONGSHORE_ARCHIVE_DIR/AfterInstall.sh\"\nchattr +i \"$LONGSHORE_ARCHIVE_DIR/AfterInstall.sh\"\n",
    );
    host.begin("d-BAD", &release);
    let diagnostics = last_diagnostics(&host, "d-BAD");
    let script = host.deployment("d-BAD").join("deployment-archive/AfterInstall.sh");
    let freed = std::process::Command::new("chattr").arg("-i").arg(script).status().unwrap();
    assert!(freed.success());
    assert_eq!((&diagnostics["error_code"], &diagnostics["script_name"]), (&2.into(), &"AfterInstall.sh".into()));
    let message = "Script `AfterInstall.sh` could not be made executable: cannot make `AfterInstall.sh` \
                   executable: Operation not permitted (os error 1)";
    assert_eq!(diagnostics["message"], message);
}

#[test]
fn what_no_script_is_to_blame_for_is_code_5() {
    let mut host = Host::new();
    host.start();
    fs::create_dir(host.path().join("www")).unwrap();
    fs::write(host.path().join("www/version"), "of somebody else\n").unwrap();
    // A script that runs before might have taken it away.
    host.begin("d-BAD", &Release { events: vec!["AfterInstall"], ..Release::new("one") });
    let diagnostics = last_diagnostics(&host, "d-BAD");
    assert_eq!(host.ended("d-BAD").commands.last().unwrap().event, "DownloadBundle");
    assert_eq!(
        (&diagnostics["error_code"], &diagnostics["script_name"], &diagnostics["log"]),
        (&5.into(), &"".into(), &"".into())
    );
    let message = diagnostics["message"].as_str().unwrap();
    assert!(message.contains("www/version"), "{message}");
    assert_eq!(host.trace(), [""; 0]);
    assert_eq!(host.version().as_deref(), Some("of somebody else"));
}

#[test]
fn a_script_that_went_down_with_its_shim_is_code_7_and_never_runs_again() {
    let mut host = Host::new();
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-BAD", &Release::new("one"));
    host.wait_for_script("one", "AfterInstall");
    host.kill();
    let hooks = host.deployment("d-BAD").join("hooks");
    let running = eventually("the shim has written down what runs", || {
        let mut hooks = fs::read_dir(&hooks).unwrap().map(|hook| hook.unwrap().path().join("running.json"));
        hooks.find_map(|path| serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok())
    });
    for name in ["shim", "pid"] {
        kill(Pid::from_raw(running[name].as_i64().unwrap().try_into().unwrap()), Signal::SIGKILL).unwrap();
    }
    host.start();
    let diagnostics = last_diagnostics(&host, "d-BAD");
    assert_eq!((&diagnostics["error_code"], &diagnostics["script_name"]), (&7.into(), &"AfterInstall.sh".into()));
    assert_eq!(diagnostics["message"], "Script `AfterInstall.sh` was interrupted; how far it got is not known");
    assert_eq!(host.trace(), ["one BeforeInstall", "one AfterInstall"]);
}

#[test]
fn a_bad_bundle_fails_before_the_old_release_is_stopped() {
    let mut host = Host::new();
    host.start();
    host.deployed("d-ONE", &Release::new("one"));
    let zip = Release::new("two").zip(host.path());
    let mut bytes = fs::read(&zip).unwrap();
    let at = bytes.len() / 2;
    bytes.iter_mut().skip(at).take(40).for_each(|byte| *byte ^= 0xff);
    fs::write(&zip, bytes).unwrap();
    let gone = host.path().join("releases/none.zip");
    for (id, location) in [("d-BROKEN", zip), ("d-NONE", gone)] {
        let revision = Revision::LocalFile { location: location.display().to_string(), bundle_type: "zip" };
        host.service.deploy(ARN, &Deployment::of(id, revision));
        let diagnostics = last_diagnostics(&host, id);
        assert_eq!(
            (&diagnostics["error_code"], &diagnostics["script_name"]),
            (&5.into(), &"".into()),
            "{diagnostics:#}"
        );
        assert_eq!(host.ended(id).commands.len(), 1, "{id} fails with ApplicationStop, before anything ran");
        assert_eq!(host.trace(), [""; 0]);
        assert_eq!(host.version().as_deref(), Some("one"));
    }
}

#[test]
fn a_deployment_goes_on_after_an_ignored_failure_of_application_stop() {
    let mut host = Host::new();
    host.start();
    host.deployed("d-ONE", &Release::new("one").with("ApplicationStop", "exit 1"));
    let mut deployment = Deployment::of("d-TWO", Release::new("two").folder(host.path()));
    deployment.ignore_stop_failures = true;
    host.service.deploy(ARN, &deployment);
    let ended = host.ended("d-TWO");
    let lines = told(&ended);
    assert!(lines[0].starts_with("ApplicationStop Failed {\"error_code\":4,"), "{lines:#?}");
    assert_eq!(lines[1..], GOOD[1..]);
    let mut expected = vec!["one ApplicationStop".to_owned()];
    expected.extend(starts("two"));
    assert_eq!(host.trace(), expected);
    assert_eq!(host.version().as_deref(), Some("two"));
}

#[test]
fn a_release_with_a_script_for_an_event_that_the_service_does_not_know_is_refused() {
    let mut host = Host::new();
    host.start();
    host.begin("d-BAD", &Release { events: vec!["WarmUp", "BeforeInstall"], ..Release::new("odd") });
    let diagnostics = last_diagnostics(&host, "d-BAD");
    assert_eq!(diagnostics["error_code"], 5);
    let message = diagnostics["message"].as_str().unwrap();
    assert!(message.contains("WarmUp"), "{message}");
    assert_eq!(host.trace(), [""; 0]);
}

#[test]
fn a_ledger_that_cannot_be_written_keeps_no_result_from_the_service() {
    let mut host = Host::new();
    host.start();
    host.close_gate("AfterInstall");
    host.begin("d-ONE", &Release::new("one"));
    host.wait_for_script("one", "AfterInstall");
    let (ledger, aside) = (host.root().join("host-commands"), host.root().join("aside"));
    fs::rename(&ledger, &aside).unwrap();
    fs::write(&ledger, "").unwrap();
    host.open_gate("AfterInstall");
    host.service.wait_for_command("d-ONE", "AfterInstall", |command| !command.completions.is_empty());
    assert!(host.told().contains("cannot write"), "{}", host.told());
    fs::remove_file(&ledger).unwrap();
    fs::rename(&aside, &ledger).unwrap();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn a_ledger_that_cannot_be_opened_at_first_is_opened_later() {
    let mut host = Host::new();
    let ledger = host.root().join("host-commands");
    fs::create_dir(host.root()).unwrap();
    fs::write(&ledger, "").unwrap();
    host.begin("d-ONE", &Release::new("one"));
    host.start();
    eventually("the agent says what is wrong", || host.told().contains("host-commands").then_some(()));
    fs::remove_file(&ledger).unwrap();
    assert_good(&host, "d-ONE", "one");
}

#[test]
fn a_pause_holds_for_the_question_that_is_on_its_way() {
    let pace = Pace { poll: Duration::from_secs(600), ..Pace::default() };
    let mut host = Host::with(CommandService::with_pace(pace));
    host.socket = host.path().join("socket").display().to_string();
    host.start();
    host.service.wait_for_calls(Operation::Poll, 1);
    host.control("pause");
    host.control("resume");
    host.service.wait_for_calls(Operation::Poll, 2);
}
