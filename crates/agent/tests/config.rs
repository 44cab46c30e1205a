//! The settings of the daemon: what holds of two files, the environment and the command line, and what is wrong with them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_agent::deployment::order::OnFailure;
use longshore_agent::settings::{self, Loaded, SignatureCheck};
use longshore_core::failure::Failure;
use sandbox::Sandbox;
use serde_json::Value;

const FOLLOW: &str = "[[follow]]\nstore = \"file:///srv/store\"\napplication = \"shop\"\ngroup = \"dev\"\n";

fn write(host: &Sandbox, name: &str, text: &str) -> PathBuf {
    let path = host.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn load(path: &Path) -> Result<Loaded, Failure> {
    settings::load(Some(path), None, &BTreeMap::new())
}

/// The settings of a text in our file.
fn ours(text: &str) -> Result<Loaded, Failure> {
    let host = Sandbox::new();
    load(&write(&host, "agent.toml", text))
}

fn messages(text: &str) -> Vec<String> {
    let problems = match ours(text) {
        Ok(loaded) => loaded.problems,
        Err(failure) => failure.problems,
    };
    problems.iter().map(|problem| problem.to_string().rsplit_once("agent.toml").unwrap().1.to_owned()).collect()
}

#[test]
fn every_value_is_shown_with_the_place_that_it_comes_from() {
    let host = Sandbox::new();
    let aws = write(
        &host,
        "codedeployagent.yml",
        ":root_dir: /srv/aws\n:program_name: codedeploy-agent\n:log_dir: /var/log/aws/codedeploy-agent/\n:verbose: true\n\
         :wait_between_runs: 1\n:max_revisions: 3\n:proxy_uri: http://anna:secret@old:3128\n:enable_deployments_log: false\n",
    );
    let text = format!(
        "log_dir = \"/var/log/longshore\"\n\n[network]\nproxy = \"http://anna:secret@proxy:3128\"\n\n[hooks]\n\
         leftovers = \"fail\"\ngrace_s = 2.5\n\n[limits]\nmax_entries = 5_000\n\n[codedeploy]\nenabled = true\n\
         config_file = \"{}\"\nuse_fips_mode = true\nspec_signer_ca_file = \"system\"\n\n{FOLLOW}on_failure = \"leave\"\n\
         poll_s = 5\nhost = \"web-1\"\n\n[control]\nsocket = \"\"\ngroup = \"deployers\"\n",
        aws.display()
    );
    let file = write(&host, "agent.toml", &text);
    let shown = |arguments: &[&str]| {
        let mut command = host.agent(arguments);
        command
            .env("LONGSHORE_HOOK_ENV", "clean")
            .env("AWS_CA_BUNDLE", "/etc/ssl/own.pem")
            .env("LONGSHORE_CONFIG", &file);
        sandbox::Ran::of(command.output().unwrap()).succeeds()
    };
    let ran = shown(&["config", "show"]);
    assert_eq!(ran.told, "");
    // How wide a column is depends on where the sandbox stands.
    let narrow = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("  ");
    insta::assert_snapshot!("every_value", host.stable(&ran.out).lines().map(narrow).collect::<Vec<_>>().join("\n"));
    let ran = shown(&["config", "show", "--output", "json", "--root", "/elsewhere"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        report["settings"][0],
        serde_json::json!({"key": "root", "value": "/elsewhere", "origin": {"from": "option", "name": "--root"}})
    );
    assert_eq!(
        report["settings"][4],
        serde_json::json!({"key": "max_revisions", "value": 3,
                           "origin": {"from": "file", "file": aws.to_str().unwrap(), "line": 6}})
    );
    assert!(!ran.out.contains("secret"), "{}", ran.out);
}

#[test]
fn without_any_file_the_defaults_hold_and_codedeploy_is_asked() {
    let host = Sandbox::new();
    // Nothing stands at the usual places of the hosts where tests run.
    assert!(!Path::new(settings::DEFAULT_PATH).exists() && !Path::new(longshore_agent::config::DEFAULT_PATH).exists());
    let mut command = host.agent(&["config", "show"]);
    let ran = sandbox::Ran::of(command.env_remove("LONGSHORE_ROOT").output().unwrap()).succeeds();
    insta::assert_snapshot!("defaults", ran.out);
}

#[test]
fn every_mistake_in_the_settings_is_shown_at_once_with_its_place() {
    let host = Sandbox::new();
    let text = "root = \"relative\"\nlog_dr = \"/x\"\nverbose = \"yes\"\nmax_revisions = 0\n[network]\nproxy = \"proxy:1\"\n\
                [hooks]\non_failure = \"retry\"\ngrace_s = 86400\n[limits]\nmax_ratio = -1\n[codedeploy]\nenabled = 1\n\
                spec_signature = \"maybe\"\nconfig_file = \"/missing.yml\"\nwait_between_runs = 0\n[[follow]]\n\
                store = \"https://x\"\napplication = \"a b\"\npoll_s = 3\nfast_poll_s = 4\nhost = \"a/b\"\n[control]\n\
                socket = \"s\"\ncolour = 1\n";
    let file = write(&host, "agent.toml", text);
    let ran = host.run(&["config", "show", "--config", file.to_str().unwrap()]).exits(3);
    insta::assert_snapshot!("every_mistake", host.stable(&ran.told));
    let file = write(&host, "agent.toml", "root = /srv\n[codedeploy\n");
    let ran = host.run(&["config", "show", "--config", file.to_str().unwrap()]).exits(3);
    insta::assert_snapshot!("no_toml", host.stable(&ran.told));
}

#[test]
fn what_cannot_be_read_is_not_said_to_be_missing_too() {
    assert_eq!(messages("[[follow]\n"), [":1:10: unclosed array table, expected `]`"]);
    assert_eq!(messages("[[follow]]\n").len(), 3, "of a whole table it is said what is missing");
}

#[test]
fn a_fast_pause_is_not_longer_than_the_usual_one_even_when_the_file_does_not_say_that() {
    assert_eq!(messages(&format!("{FOLLOW}fast_poll_s = 30\n")), [""; 0]);
    assert_eq!(
        messages(&format!("{FOLLOW}fast_poll_s = 60\n")),
        [
            ":5:15: follow[0].fast_poll_s: must not be longer than `poll_s`, the pause while nothing moves (30 without it)"
        ]
    );
    assert_eq!(messages(&format!("{FOLLOW}fast_poll_s = 60\npoll_s = \"x\"\n")).len(), 1, "one mistake, one message");
}

#[test]
fn every_value_of_a_source_is_shown_with_its_place_also_what_comes_from_the_environment_and_what_is_off() {
    let host = Sandbox::new();
    let file = write(&host, "agent.toml", FOLLOW);
    let variable = BTreeMap::from([("LONGSHORE_ON_FAILURE".into(), "leave".into())]);
    let loaded = settings::load(Some(&file), None, &variable).unwrap();
    let origin = |key: &str| {
        let shown = loaded.origins.iter().find(|shown| shown.key == key).unwrap();
        format!("{} {:?}", shown.value, shown.origin)
    };
    let said = "\"leave\" Variable { name: \"LONGSHORE_ON_FAILURE\" }";
    for key in ["hooks.on_failure", "follow[0].on_failure", "codedeploy.on_failure"] {
        assert_eq!(origin(key), said, "{key}");
    }
    assert_eq!((loaded.settings.codedeploy, origin("codedeploy.enabled")), (None, "false Default".to_owned()));
    assert_eq!(origin("codedeploy.wait_between_runs"), "30 Default");
}

#[test]
fn an_unknown_key_is_a_warning_and_the_daemon_starts() {
    let host = Sandbox::new();
    let file = write(&host, "agent.toml", "[control]\ngruop = \"ops\"\n");
    let ran = host.run(&["config", "show", "--config", file.to_str().unwrap()]).succeeds();
    assert_eq!(
        host.stable(&ran.told),
        "warning[LS511]: control.gruop: unknown key, without effect\n --> {sandbox}/agent.toml:2:1\n  |\n2 | gruop = \"ops\"\n  \
         | ^^^^^\n  |\n  = help: did you mean `group`?\n"
    );
}

#[test]
fn a_file_that_was_asked_for_has_to_be_there() {
    let host = Sandbox::new();
    for name in ["agent.toml", "codedeployagent.yml"] {
        let path = host.path().join(name);
        let failure = load(&path).unwrap_err();
        let text = format!(
            "error: cannot read the settings in `{}`\n  caused by: No such file or directory (os error 2)\n\nhint: name another \
             file with `--config`; without it (and without `LONGSHORE_CONFIG`) `/etc/longshore/agent.toml` is read\n",
            path.display()
        );
        assert_eq!((failure.exit as u8, failure.to_text()), (7, text));
    }
}

#[test]
fn the_file_of_the_aws_agent_is_enough_and_is_known_by_its_ending() {
    let host = Sandbox::new();
    let text = ":root_dir: /srv/aws\n:log_dir: /var/log/aws\n:proxy_uri: http://proxy:1\n:wait_between_runs: 0\n\
                :disable_imds_v1: true\n:http_read_timeout: 999999\n";
    for name in ["c.yml", "c.yaml"] {
        let loaded = load(&write(&host, name, text)).unwrap();
        let codedeploy = loaded.settings.codedeploy.unwrap();
        assert_eq!(loaded.settings.layout.root(), Path::new("/srv/aws"));
        assert_eq!(loaded.settings.log_dir, Some("/var/log/aws".into()));
        assert_eq!(loaded.settings.network.proxy.as_deref(), Some("http://proxy:1"));
        // The AWS agent knows no bounds.
        assert_eq!(codedeploy.pause, Duration::from_millis(100));
        assert_eq!(codedeploy.read_timeout, Duration::from_secs(86_400));
        assert!(!codedeploy.imds_v1);
        let problems: Vec<String> = loaded.problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert_eq!(
            problems,
            ["wait_between_runs: is taken as 0.1 seconds", "http_read_timeout: is taken as 86400 seconds"]
        );
    }
}

#[test]
fn the_root_is_that_of_the_command_line_then_of_our_file_then_of_aws_file() {
    let host = Sandbox::new();
    let aws = write(&host, "aws.yml", "root_dir: /of/aws\n");
    let both = format!("root = \"/of/ours\"\n[codedeploy]\nconfig_file = \"{}\"\n", aws.display());
    let both = write(&host, "both.toml", &both);
    let one = write(&host, "one.toml", &format!("[codedeploy]\nconfig_file = \"{}\"\n", aws.display()));
    let none = write(&host, "none.toml", "");
    let variable = BTreeMap::from([("LONGSHORE_ROOT".into(), "/of/variable".into())]);
    for (file, given, root, from) in [
        (&both, Some("/of/option"), "/of/option", "--root"),
        (&both, Some("/of/variable"), "/of/variable", "LONGSHORE_ROOT"),
        (&both, None, "/of/ours", "both.toml"),
        (&one, None, "/of/aws", "aws.yml"),
        (&none, None, "/opt/codedeploy-agent/deployment-root", "Default"),
    ] {
        let loaded = settings::load(Some(file), given.map(Path::new), &variable).unwrap();
        assert_eq!(loaded.settings.layout.root(), Path::new(root));
        let origin = format!("{:?}", loaded.origins[0].origin);
        assert!(origin.contains(from), "{origin} is not from {from}");
    }
}

#[test]
fn who_follows_groups_asks_codedeploy_only_when_he_says_so() {
    for (text, is_on) in [
        ("", true),
        (FOLLOW, false),
        (&*format!("[codedeploy]\nenabled = true\n{FOLLOW}"), true),
        ("[codedeploy]\nenabled = false\n", false),
    ] {
        assert_eq!(ours(text).unwrap().settings.codedeploy.is_some(), is_on, "{text}");
    }
    assert_eq!(
        messages("[codedeploy]\nenabled = false\n"),
        [": takes orders from nobody but `longshore-agent control deploy`: CodeDeploy is off and no group is followed"]
    );
    assert!(ours("[codedeploy]\nenabled = false\n[control]\nsocket = \"\"\n").is_err(), "it would do nothing at all");
}

#[test]
fn a_signature_is_checked_up_to_the_authorities_that_are_named() {
    let file = SignatureCheck::Chain(Some("/ca.pem".into()));
    for (text, expected) in [
        ("", SignatureCheck::Content),
        ("spec_signer_ca_file = \"/ca.pem\"", file.clone()),
        ("spec_signer_ca_file = \"/ca.pem\"\nspec_signature = \"chain\"", file),
        ("spec_signer_ca_file = \"system\"", SignatureCheck::Chain(None)),
        ("spec_signature = \"chain\"", SignatureCheck::Chain(None)),
        ("spec_signature = \"content\"", SignatureCheck::Content),
        ("spec_signature = \"none\"", SignatureCheck::Unchecked),
    ] {
        let loaded = ours(&format!("[codedeploy]\n{text}\n")).unwrap();
        assert_eq!(loaded.settings.codedeploy.unwrap().signature, expected, "{text}");
        assert_eq!(loaded.problems, []);
    }
    assert_eq!(
        messages("[codedeploy]\nspec_signer_ca_file = \"system\"\nspec_signature = \"none\"\n"),
        [":3:18: codedeploy.spec_signature: leaves `spec_signer_ca_file` without effect"]
    );
    let host = Sandbox::new();
    let codedeploy = load(&write(&host, "a.yml", ":spec_signer_ca_file: /ca.pem\n")).unwrap().settings.codedeploy;
    assert_eq!(codedeploy.unwrap().signature, SignatureCheck::Chain(Some("/ca.pem".into())));
    assert!(load(&write(&host, "a.yml", ":spec_signer_ca_file: ca.pem\n")).is_err());
}

#[test]
fn codedeploy_leaves_a_failed_release_where_nobody_says_otherwise_and_a_followed_group_restores() {
    use OnFailure::{Leave, Restore};
    let policies = |head: &str, codedeploy: &str, follow: &str| {
        let text = format!("{head}\n[codedeploy]\nenabled = true\n{codedeploy}\n{FOLLOW}{follow}\n");
        let settings = ours(&text).unwrap().settings;
        [
            settings.codedeploy.unwrap().policy.on_failure,
            settings.follow[0].policy.on_failure,
            settings.policy.on_failure,
        ]
    };
    let (leave, restore) = ("on_failure = \"leave\"", "on_failure = \"restore\"");
    assert_eq!(policies("", "", ""), [Leave, Restore, Restore]);
    assert_eq!(policies(&format!("[hooks]\n{leave}"), "", ""), [Leave, Leave, Leave]);
    assert_eq!(policies(&format!("[hooks]\n{restore}"), "", ""), [Restore, Restore, Restore]);
    assert_eq!(policies(&format!("[hooks]\n{leave}"), restore, restore), [Restore, Restore, Leave]);
}

#[test]
fn a_group_of_an_application_is_followed_once() {
    let other = FOLLOW.replace("shop", "blog");
    assert!(ours(&format!("{FOLLOW}{other}")).is_ok());
    assert_eq!(
        messages(&format!("{FOLLOW}{other}{FOLLOW}")),
        [":12:9: follow[2]: this group of this application is followed twice"]
    );
}

#[test]
fn pauses_have_floors_and_ceilings() {
    for (line, is_right) in [
        ("poll_s = 1", true),
        ("poll_s = 0.9", false),
        ("poll_s = 86400", true),
        ("poll_s = 86401", false),
        ("poll_s = inf", false),
        ("poll_s = nan", false),
        ("fast_poll_s = 0.2", true),
        ("fast_poll_s = 0.1", false),
        ("heartbeat_s = 0", false),
        ("heartbeat_s = -1", false),
        ("heartbeat_s = 99999999999999999999", false),
        ("poll_s = 5\nfast_poll_s = 6", false),
    ] {
        assert_eq!(ours(&format!("{FOLLOW}{line}\n")).is_ok(), is_right, "{line}");
    }
    let follow = ours(FOLLOW).unwrap().settings.follow.remove(0);
    assert_eq!([follow.poll, follow.fast_poll, follow.heartbeat].map(|pause| pause.as_secs()), [30, 2, 900]);
    let follow = ours(&format!("{FOLLOW}poll_s = 1\n")).unwrap().settings.follow.remove(0);
    assert_eq!(follow.fast_poll, Duration::from_secs(1), "the default is not slower than what was asked for");
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    let environment = BTreeMap::from([("LONGSHORE_LEFTOVERS".into(), "keep".into())]);
    let host = Sandbox::new();
    let failure = settings::load(Some(&write(&host, "agent.toml", "")), None, &environment).unwrap_err();
    let problems: Vec<String> = failure.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["LONGSHORE_LEFTOVERS:1:1: must be one of `warn`, `fail`, `kill`, found `keep`"]);
}

#[test]
fn settings_that_anybody_may_write_are_a_warning() {
    let host = Sandbox::new();
    let file = write(&host, "agent.toml", "");
    for (mode, problems) in [(0o644, 0), (0o664, 0), (0o666, 1)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&file).unwrap().problems.len(), problems, "{mode:o}");
    }
}

#[test]
fn the_example_in_the_reference_is_right_and_every_key_that_is_shown_is_described() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/agent-toml.md")).unwrap();
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let both = format!("{example}\n[codedeploy]\nenabled = true\n");
    assert_eq!(ours(example).unwrap().problems, []);
    for shown in ours(&both).unwrap().origins {
        let key = shown.key.replace("[0]", "");
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let row = if matches!(table, "hooks" | "limits") { format!("| `{key}` |") } else { format!("`{name}`") };
        assert!(text.lines().any(|line| line.starts_with("| `") && line.contains(&row)), "{key} is not described");
    }
}

/// The public key of a pair that nobody has.
const PUBLIC_KEY: &str = "RWQrX7qGrYgReFpneOScTazVzH7rft3BGfJ1c9JHkfd6jyODdD//eZFM";

#[test]
fn signatures_are_asked_for_by_the_word_that_stands_nearest() {
    let host = Sandbox::new();
    let file = write(&host, "shop.pub", &format!("untrusted comment: minisign public key\n{PUBLIC_KEY}\n"));
    let other = FOLLOW.replace("\"dev\"", "\"prod\"");
    let text = format!(
        "[signatures]\npublic_keys = [\"{PUBLIC_KEY}\", \"{}\"]\nrequire = true\n\n[codedeploy]\nenabled = true\n\n\
         {FOLLOW}require_signature = false\n{other}",
        file.display()
    );
    let settings = load(&write(&host, "agent.toml", &text)).unwrap().settings;
    let follow = |index: usize| &settings.follow[index].policy.signatures;
    let codedeploy = &settings.codedeploy.as_ref().unwrap().policy.signatures;
    let required = [follow(0), follow(1), codedeploy, &settings.policy.signatures].map(|policy| policy.require);
    assert_eq!(required, [false, true, true, true]);
    let keys: Vec<String> = follow(0).public_keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, [PUBLIC_KEY, PUBLIC_KEY]);
}

#[test]
fn signatures_that_nobody_could_have_made_are_not_asked_for() {
    for (text, expected) in [
        ("[signatures]\nrequire = true\n", "names no key that may have made them"),
        ("[signatures]\npublic_keys = []\nrequire = true\n", "names no key that may have made them"),
        ("[codedeploy]\nrequire_signature = true\n", "names no key that may have made them"),
        ("[signatures]\npublic_keys = [\"RWx\"]\n", "must be a public key of minisign, which begins with `RW`"),
        ("[signatures]\npublic_keys = [\"/nowhere.pub\"]\n", "`/nowhere.pub` cannot be read: No such file"),
        ("[signatures]\npublic_keys = [\"/etc/passwd\"]\n", "`/etc/passwd` is no public key of minisign"),
        ("[signatures]\npublic_keys = \"RWx\"\n", "must be a list of texts"),
    ] {
        let found = messages(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        assert!(ours(text).is_err(), "{text}");
    }
}
