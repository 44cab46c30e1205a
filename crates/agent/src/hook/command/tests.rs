use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::Span;

use super::*;

fn hook(run_as: Option<&str>, sudo: bool) -> Hook {
    Hook {
        script: BundlePath::normalized("scripts/start.sh").unwrap(),
        location: "/scripts/start.sh".into(),
        timeout: Duration::from_secs(300),
        run_as: run_as.map(str::to_owned),
        sudo,
        span: Span::default(),
    }
}

fn user(uid: u32) -> HookUser {
    HookUser { name: "app".into(), uid, gid: 7, groups: vec![7, 8], home: "/home/app".into(), shell: "/bin/sh".into() }
}

fn context(agent_env: &[(&str, &str)]) -> HookContext {
    HookContext {
        agent_env: agent_env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        agent_uid: 0,
        deployment: "d-NEW".parse().unwrap(),
        application: "shop".parse().unwrap(),
        group: "dev".parse().unwrap(),
        group_id: "shop~dev".parse().unwrap(),
        event: LifecycleEvent::ApplicationStart,
        archive: "/root-dir/shop~dev/d-NEW/deployment-archive".into(),
        bundle: BundleSource::Local,
        commit: None,
        digest: None,
        previous_deployment: None,
        previous_commit: None,
        cwd: "/".into(),
        log: "/root-dir/shop~dev/d-NEW/logs/scripts.log".into(),
        policy: HookPolicy::default(),
    }
}

fn env(command: &HookCommand) -> Vec<(&str, &str)> {
    command.env.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect()
}

#[test]
fn a_local_bundle_gives_the_five_variables_and_the_archive_and_hides_inherited_ones() {
    let inherited = [
        ("PATH", "/bin"),
        ("BUNDLE_ETAG", "stale"),
        ("BUNDLE_COMMIT", "stale"),
        ("LONGSHORE_COMMIT", "stale"),
        ("LIFECYCLE_EVENT", "stale"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let command = HookCommand::new(&hook(None, false), 0, RunAs::Agent, &context(&inherited));
    let expected = [
        ("APPLICATION_NAME", "shop"),
        ("AWS_REGION", "eu-central-1"),
        ("DEPLOYMENT_GROUP_ID", "shop~dev"),
        ("DEPLOYMENT_GROUP_NAME", "dev"),
        ("DEPLOYMENT_ID", "d-NEW"),
        ("LIFECYCLE_EVENT", "ApplicationStart"),
        ("LONGSHORE_ARCHIVE_DIR", "/root-dir/shop~dev/d-NEW/deployment-archive"),
        ("PATH", "/bin"),
    ];
    assert_eq!(env(&command), expected);
}

#[test]
fn everything_that_is_known_of_the_bundle_and_its_predecessor_is_told() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let context = HookContext {
        bundle: BundleSource::S3 { bucket: "b".into(), key: "k".into(), version: None, etag: Some("e".into()) },
        commit: Some(commit.parse().unwrap()),
        digest: Some(Sha256::of(b"")),
        previous_deployment: Some("d-OLD".parse().unwrap()),
        previous_commit: Some(commit.parse().unwrap()),
        ..context(&[])
    };
    let command = HookCommand::new(&hook(None, false), 0, RunAs::Agent, &context);
    let expected = [
        ("APPLICATION_NAME", "shop"),
        ("BUNDLE_BUCKET", "b"),
        ("BUNDLE_ETAG", "e"),
        ("BUNDLE_KEY", "k"),
        ("DEPLOYMENT_GROUP_ID", "shop~dev"),
        ("DEPLOYMENT_GROUP_NAME", "dev"),
        ("DEPLOYMENT_ID", "d-NEW"),
        ("LIFECYCLE_EVENT", "ApplicationStart"),
        ("LONGSHORE_ARCHIVE_DIR", "/root-dir/shop~dev/d-NEW/deployment-archive"),
        ("LONGSHORE_COMMIT", commit),
        ("LONGSHORE_DIGEST", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("LONGSHORE_PREVIOUS_COMMIT", commit),
        ("LONGSHORE_PREVIOUS_DEPLOYMENT_ID", "d-OLD"),
    ];
    assert_eq!(env(&command), expected);
}

#[test]
fn no_credential_of_the_agent_reaches_a_hook() {
    assert!(AGENT_CREDENTIALS.contains(&"GITHUB_TOKEN"), "it opens private bundles");
    let secrets: Vec<(&str, &str)> = AGENT_CREDENTIALS.iter().map(|name| (*name, "secret")).collect();
    let command = HookCommand::new(&hook(None, false), 0, RunAs::Agent, &context(&secrets));
    assert!(!command.env.values().any(|value| value == "secret"), "{:?}", command.env);
}

#[test]
fn a_clean_environment_has_a_path_and_nothing_that_is_not_documented() {
    let inherited = ["EDITOR", "LC_ALL", "LD_PRELOAD", "TERM", "http_proxy"].into_iter().chain(CLEAN_VARIABLES);
    let inherited: Vec<(&str, &str)> = inherited.filter(|name| *name != "PATH").map(|name| (name, "set")).collect();
    let mut context = context(&inherited);
    context.policy.environment = HookEnvironment::Clean;
    let command = HookCommand::new(&hook(None, false), 0, RunAs::Agent, &context);
    let env = env(&command).into_iter().filter(|(name, _)| !DEPLOYMENT_VARIABLES.contains(name));
    let mut expected: Vec<(&str, &str)> = CLEAN_VARIABLES.into_iter().chain(["LC_ALL"]).map(|n| (n, "set")).collect();
    expected.retain(|(name, _)| *name != "PATH");
    expected.push(("PATH", DEFAULT_PATH));
    expected.sort_unstable();
    assert_eq!(env.collect::<Vec<_>>(), expected);
}

#[test]
fn a_named_user_gets_the_variables_that_su_sets() {
    let inherited = [("HOME", "/root"), ("SHELL", "/bin/bash"), ("USER", "root"), ("PATH", "/bin")];
    let command = HookCommand::new(&hook(Some("app"), false), 0, RunAs::User(user(1000)), &context(&inherited));
    let value = |name: &str| command.env.get(OsStr::new(name)).and_then(|value| value.to_str());
    let found = ["HOME", "SHELL", "USER", "LOGNAME", "PATH"].map(value);
    assert_eq!(found, ["/home/app", "/bin/sh", "app", "app", "/bin"].map(Some));
}

#[test]
fn sudo_is_needed_only_by_an_agent_that_is_neither_root_nor_the_user() {
    for (agent_uid, user, sudo, needed) in [
        (0, RunAs::Agent, true, false),
        (0, RunAs::User(user(1000)), true, false),
        (1000, RunAs::Agent, true, true),
        (1000, RunAs::Agent, false, false),
        (1000, RunAs::User(user(1000)), true, false),
        (1000, RunAs::User(user(2000)), true, true),
        (1000, RunAs::User(user(2000)), false, false),
    ] {
        let context = HookContext { agent_uid, ..context(&[]) };
        let command = HookCommand::new(&hook(None, sudo), 0, user.clone(), &context);
        assert_eq!(command.sudo, needed, "agent {agent_uid}, {user:?}, sudo {sudo}");
    }
}

#[test]
fn the_script_stands_in_the_archive_and_the_first_one_of_an_event_is_marked() {
    let first = HookCommand::new(&hook(None, false), 0, RunAs::Agent, &context(&[]));
    assert_eq!(first.script, PathBuf::from("/root-dir/shop~dev/d-NEW/deployment-archive/scripts/start.sh"));
    assert_eq!((first.location.as_str(), first.first_of_event), ("/scripts/start.sh", true));
    let second = HookCommand::new(&hook(None, false), 1, RunAs::Agent, &context(&[]));
    assert!(!second.first_of_event);
}

#[test]
fn bytes_that_are_not_utf8_survive_the_way_to_the_shim() {
    let odd = OsString::from_vec(b"\xff=x".to_vec());
    let mut context = context(&[("PLAIN", "ü \" \\ \n")]);
    context.agent_env.insert("ODD".into(), odd.clone());
    context.agent_env.insert(OsString::from_vec(b"N\xfe".to_vec()), "v".into());
    context.cwd = odd.into();
    let command = HookCommand::new(&hook(None, false), 0, RunAs::User(user(1)), &context);
    let json = serde_json::to_string(&command).unwrap();
    assert_eq!(serde_json::from_str::<HookCommand>(&json).unwrap(), command);
}
