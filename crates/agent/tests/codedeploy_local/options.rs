//! The command line, what is refused, and the configuration file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::fixture::{Host, Ran, finished, refused};

#[test]
fn what_cannot_be_done_is_refused_with_its_reason_and_1() {
    let host = Host::new();
    let one = host.traced("one", &[("a", "1")]);
    host.pack(&one);
    fs::create_dir(host.path().join("empty")).unwrap();
    let usage = "\n\nUsage: codedeploy-local [options]\n(`codedeploy-local --help` shows the options)";
    let before_download = "cannot come before DownloadBundle; only BeforeBlockTraffic, AfterBlockTraffic and \
                           ApplicationStop can, because their scripts are those of the installed revision";
    let before_install = "cannot come before Install; only BeforeBlockTraffic, AfterBlockTraffic, ApplicationStop, \
                          DownloadBundle and BeforeInstall can";
    for (options, message) in [
        (&["--nonsense"][..], format!("there is no option `--nonsense`{usage}")),
        (&["deploy"], format!("`deploy` belongs to no option{usage}")),
        (&["--type"], format!("`--type` needs a value{usage}")),
        (&["--deploy=x"], format!("`--deploy` may mean --deployment-group or --deployment-group-name{usage}")),
        (&["-g", "a", "-g", "b"], format!("`--deployment-group` is given twice{usage}")),
        (&["-t", "rar"], "type `rar` is none of tgz, tar, zip and directory".into()),
        (&["-t", "ZIP"], "type `ZIP` is none of tgz, tar, zip and directory".into()),
        (
            &["-l", "http://example.com/x.zip", "-t", "zip"],
            "location `http://example.com/x.zip` is http; only https addresses are fetched, because nobody can change what \
             they carry"
                .into(),
        ),
        (
            &["-l", "https://example.com/x.zip", "-t", "zip"],
            "location `https://example.com/x.zip` is neither an address on github.com nor one on api.github.com; S3 is \
             written `s3://bucket/key`"
                .into(),
        ),
        (
            &["-l", "https://github.com/owner", "-t", "zip"],
            "location `https://github.com/owner` names no repository; write `https://github.com/OWNER/REPOSITORY`".into(),
        ),
        (
            &["-l", "s3://bucket", "-t", "zip"],
            "location `s3://bucket` names a bucket but no object; write `s3://bucket/key`".into(),
        ),
        (
            &["-l", "nowhere"],
            "location `nowhere` does not exist: No such file or directory (os error 2)".into(),
        ),
        (
            &["-l", "file:///nowhere/at all"],
            "location `file:///nowhere/at all` does not exist: No such file or directory (os error 2)".into(),
        ),
        (&["-l", ""], "location `` does not exist: No such file or directory (os error 2)".into()),
        (
            &["-l", "flat.zip"],
            "location `flat.zip` is a file, and its type is directory; say `--type zip`, `tar` or `tgz`".into(),
        ),
        (&["-l", "revisions/one", "-t", "zip"], "location `revisions/one` is a directory, and its type is zip".into()),
        (
            &["-l", "empty"],
            "there is no `appspec.yml` or `appspec.yaml` in `empty`; go to the folder that has one, or give it with \
             `--bundle-location`"
                .into(),
        ),
        (
            &["-l", "revisions/one", "-A", "dev.yml"],
            "there is no `dev.yml` in `revisions/one`; go to the folder that has one, or give it with `--bundle-location`"
                .into(),
        ),
        (
            &["-l", "revisions/one", "-A", "../one/appspec.yml"],
            "appspec name path \"../one/appspec.yml\" leaves the bundle with `..`".into(),
        ),
        (&["-l", "revisions/one", "-e", "Install,DownloadBundle"], format!("`Install` {before_download}")),
        (&["-l", "revisions/one", "-e", "AfterInstall,Install"], format!("`AfterInstall` {before_install}")),
        (
            &["-l", "revisions/one", "-e", "ApplicationStart,ApplicationStart"],
            "event `ApplicationStart` is named twice, and no deployment runs an event twice".into(),
        ),
        (
            &["-l", "revisions/one", "-e", "Install, ApplicationStart"],
            "` ApplicationStart` is not the name of a lifecycle event; did you mean `ApplicationStart`?".into(),
        ),
        (
            &["-l", "revisions/one", "-g", "../../etc"],
            "deployment group id `../../etc` has the character '/', which has no place in a folder name".into(),
        ),
        (
            &["-l", "revisions/one", "-g", ""],
            "deployment group id `` must have 1 to 255 characters, has 0".into(),
        ),
        (
            &["-l", "revisions/one", "-g", "groups"],
            "deployment group id `groups` is the name of a folder of the agent itself".into(),
        ),
    ] {
        assert_eq!(host.deploy(options), refused(&message), "{options:?}");
    }
    assert!(!host.root().exists(), "nothing was begun");
}

#[test]
fn help_and_version_end_with_1_as_they_do_under_aws() {
    let host = Host::new();
    for option in ["--version", "-v", "--vers"] {
        let told = format!("longshore-agent {}, called codedeploy-local\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(host.run(&mut host.bare(&[option])), Ran { code: Some(1), out: "1.0\n".into(), told });
    }
    let help = host.run(&mut host.bare(&["-h"]));
    insta::assert_snapshot!(help.out);
    assert_eq!((help.code, help.told.as_str()), (Some(1), ""));
    for options in [&["--help"][..], &["--he", "-t", "rar"], &["--nonsense", "-h"]] {
        assert_eq!(host.run(&mut host.bare(options)), help, "{options:?}");
    }
}

#[test]
fn a_configuration_that_was_asked_for_has_to_be_there_and_the_usual_one_need_not() {
    let host = Host::new();
    assert_eq!(
        host.run(&mut host.bare(&["-c", "gone.yml"])),
        refused("cannot read the configuration file `gone.yml`: No such file or directory (os error 2)")
    );
    // The next mistake is told, so the missing file is none.
    assert!(!fs::exists("/etc/codedeploy-agent/conf/codedeployagent.yml").unwrap(), "this host has the AWS agent");
    assert_eq!(host.run(&mut host.bare(&["-t", "rar"])), refused("type `rar` is none of tgz, tar, zip and directory"));
}

#[test]
fn a_bad_max_revisions_is_an_error_and_never_a_signal_to_the_shell() {
    let host = Host::new();
    host.traced("one", &[("a", "1")]);
    for value in ["0", "-1", "many", "1.5", "[]"] {
        host.configure(&format!(":max_revisions: {value}\n"));
        let script = "trap 'echo hit' TERM; \"$0\" -c agent.yml -l revisions/one; echo \"ended with $?\"";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(host.path().join("codedeploy-local")).current_dir(host.path());
        let found = if value == "[]" { "a list".to_owned() } else { format!("`{value}`") };
        assert_eq!(
            host.run(&mut shell),
            Ran {
                code: Some(0),
                out: format!(
                    "ERROR: the configuration file has errors\n  agent.yml:3:17: max_revisions: must be a whole number, at \
                     least 1, found {found}\nended with 1\n"
                ),
                told: String::new()
            }
        );
    }
    assert!(!host.root().exists());
}

#[test]
fn as_many_deployments_are_kept_as_the_configuration_says() {
    let host = Host::new();
    host.configure(":max_revisions: 5\nmax_revisions: 2\n");
    host.traced("one", &[("a", "1")]);
    for _ in 0..4 {
        assert_eq!(host.deploy(&["-l", "revisions/one"]), finished(&host.group()));
    }
    assert_eq!(host.deployments().len(), 2);
}

#[test]
fn what_the_configuration_has_in_vain_is_said() {
    let host = Host::new();
    host.traced("one", &[("a", "1")]);
    host.configure(":verbose: true\n:colour: red\n:log_aws_wire: false\n");
    let ran = host.deploy(&["-l", "revisions/one"]);
    let told = "WARNING: {sandbox}/agent.yml:4:1: colour: is no key of the agent's\n".to_owned();
    assert_eq!(ran, Ran { told, ..finished(&host.group()) });
}

#[test]
fn the_agents_own_log_has_every_deployment_in_its_format() {
    let host = Host::new();
    host.configure(&host.filled(":log_dir: {sandbox}/log\n:program_name: our-agent\n"));
    let one = host.traced("one", &[("a", "1")]);
    fs::write(one.join("trace.sh"), "#!/bin/sh\n[ $LIFECYCLE_EVENT != ApplicationStart ]\n").unwrap();
    assert_eq!(host.deploy(&["-l", "revisions/one"]).code, Some(1));
    let log = fs::read_to_string(host.path().join("log/codedeploy-local.log")).unwrap();
    let mut levels = Vec::new();
    for line in log.lines() {
        // 2026-01-01T00:00:00+00:00 INFO  [our-agent(123)]: Running …
        let (stamp, rest) = line.split_at(26);
        assert!(stamp.ends_with("+00:00 ") || stamp.ends_with("+00:00"), "{line}");
        let (level, rest) = rest.trim_start().split_at(5);
        let (program, message) = rest.trim_start().split_once(")]: ").unwrap();
        assert!(program.strip_prefix("[our-agent(").unwrap().bytes().all(|byte| byte.is_ascii_digit()), "{line}");
        levels.push((level.trim().to_owned(), message.split(' ').next().unwrap().to_owned()));
    }
    let level = |word: &str| levels.iter().find(|(_, first)| first == word).map(|(level, _)| level.as_str());
    assert_eq!((level("Deploying"), level("Passed"), level("Failed")), (Some("INFO"), Some("INFO"), Some("ERROR")));
    // A log that cannot be written is said, and stops nothing.
    host.configure(":log_dir: /dev/null\n");
    fs::write(one.join("trace.sh"), "#!/bin/sh\n").unwrap();
    let told = "WARNING: cannot write `/dev/null/codedeploy-local.log`: File exists (os error 17)\n".to_owned();
    let ran = host.deploy(&["-l", "revisions/one", "-g", "other", "-b", "OVERWRITE"]);
    assert_eq!(ran, Ran { told, ..finished("other") });
}

#[test]
fn a_word_that_is_not_utf8_is_named() {
    let host = Host::new();
    let ran = host.run(host.bare(&["-l"]).arg(OsStr::from_bytes(b"app-\xff")));
    assert_eq!(ran, refused("the command line has a word that is not UTF-8: \"app-\\xFF\""));
}
