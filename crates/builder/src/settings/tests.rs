use clap::CommandFactory as _;
use longshore_core::appspec::FileExists;
use longshore_core::problem::{Look, render};
use serde_json::json;

use super::*;
use crate::environment::Environment;

/// Every key once.
const WHOLE: &str = r#"application = "shop"
store = "s3://artifacts/releases"
region = "eu-west-1"

[build]
include = ["/config/", "*.conf"]
exclude = ["*.map"]
out = "artifacts"
allow_secrets = [".env.public"]
buildspec = "buildspec.yml"

[lint]
allow = ["LS320", "LS305:docker-compose.dev.yml"]

[sign]
key = "longshore.key"
public_keys = ["longshore.key.pub"]

[upload]
encryption = "aws:kms"
kms_key = "alias/artifacts"
storage_class = "STANDARD_IA"
tags = { team = "web", "cost centre" = "42" }
metadata = { pipeline = "main" }
part_size = 16
parallel_parts = 8

[groups.prod]
bucket = "prod-artifacts"
prefix = "shop"
region = "us-east-1"
with = "store"
compose = ["docker-compose.yml", "docker-compose.prod.yml"]
env_files = [".env.prod"]
profiles = ["web"]
copies = 2

[groups.prod.codedeploy]
application = "Shop"
deployment_group = "Production"
deployment_config = "CodeDeployDefault.OneAtATime"
file_exists = "OVERWRITE"
ignore_stop_failures = true
rollback = ["failure", "alarm"]
alarms = ["5xx"]

[groups.dev]
store = "file:///srv/store"
"#;

fn parse(text: &str) -> (Settings, Vec<Problem>) {
    Settings::parse(&SourceFile::new(SETTINGS_FILE, text))
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

#[test]
fn every_key_is_read() {
    let (settings, problems) = parse(WHOLE);
    assert_eq!(problems, []);
    assert_eq!(settings.application, Some("shop".parse().unwrap()));
    assert_eq!(settings.store, Some("s3://artifacts/releases".parse().unwrap()));
    assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
    assert_eq!(settings.out, Some("artifacts".parse().unwrap()));
    let patterns: Vec<&str> = settings.include.iter().map(|included| included.pattern.as_str()).collect();
    assert_eq!(patterns, ["/config/", "*.conf"]);
    assert!(!settings.exclude.is_empty());
    assert_eq!(settings.allow_secrets, [".env.public"]);
    assert_eq!(settings.buildspec, Some("buildspec.yml".parse().unwrap()));
    let allowed: Vec<_> =
        settings.allowed.iter().map(|allowed| (allowed.code.as_str(), allowed.file.as_deref())).collect();
    assert_eq!(allowed, [("LS320", None), ("LS305", Some("docker-compose.dev.yml"))]);
    assert_eq!(
        settings.sign,
        SignSettings {
            key: Some("longshore.key".into()),
            kms_key: None,
            public_keys: vec!["longshore.key.pub".into()]
        }
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        settings.upload,
        S3Upload {
            encryption: Some("aws:kms".into()),
            kms_key: Some("alias/artifacts".into()),
            storage_class: Some("STANDARD_IA".into()),
            tags: vec![pair("cost centre", "42"), pair("team", "web")],
            metadata: vec![pair("pipeline", "main")],
        }
    );
    assert_eq!(settings.parts, PartSettings { size: Some(16), parallel: Some(8) });
    let prod = GroupSettings {
        store: Some("s3://prod-artifacts/shop".parse().unwrap()),
        region: Some("us-east-1".into()),
        with: Some(With::Store),
        compose: vec!["docker-compose.yml".parse().unwrap(), "docker-compose.prod.yml".parse().unwrap()],
        env_files: vec![".env.prod".parse().unwrap()],
        profiles: vec!["web".into()],
        copies: Some(2),
        codedeploy: CodeDeploySettings {
            application: Some("Shop".into()),
            deployment_group: Some("Production".into()),
            deployment_config: Some("CodeDeployDefault.OneAtATime".into()),
            file_exists: Some(FileExists::Overwrite),
            ignore_stop_failures: Some(true),
            rollback: Some(vec![RollbackOn::Failure, RollbackOn::Alarm]),
            alarms: Some(vec!["5xx".into()]),
        },
    };
    assert_eq!(settings.groups[&group("prod")], prod);
    assert_eq!(settings.group(&group("prod")), prod);
    let dev = GroupSettings { store: Some("file:///srv/store".parse().unwrap()), ..GroupSettings::default() };
    assert_eq!(settings.groups[&group("dev")], dev);
}

#[test]
fn each_value_knows_its_line() {
    let (settings, _) = parse(WHOLE);
    for (key, line) in
        [("application", 1), ("build.out", 8), ("groups.prod.store", 29), ("groups.prod.codedeploy.alarms", 45)]
    {
        assert_eq!(settings.origins[key], Origin::Line(line), "{key}");
    }
    assert_eq!(settings.written["groups.prod.store"], json!("s3://prod-artifacts/shop"));
    assert_eq!(settings.written["upload.tags"], json!({"team": "web", "cost centre": "42"}));
    assert_eq!(settings.origins.keys().collect::<Vec<_>>(), settings.written.keys().collect::<Vec<_>>());
}

#[test]
fn what_a_group_leaves_out_holds_as_at_the_top() {
    let (settings, _) = parse(
        "store = \"s3://artifacts\"\nregion = \"eu-west-1\"\n[groups.dev]\nregion = \"eu-west-2\"\n[groups.stg]\n",
    );
    let held = |name| {
        let GroupSettings { store, region, .. } = settings.group(&group(name));
        (store.unwrap().to_string(), region.unwrap())
    };
    assert_eq!(held("dev"), ("s3://artifacts".into(), "eu-west-2".into()));
    assert_eq!(held("stg"), ("s3://artifacts".into(), "eu-west-1".into()));
    assert_eq!(held("nowhere"), ("s3://artifacts".into(), "eu-west-1".into()));
    assert_eq!(settings.groups.len(), 2);
}

#[test]
fn every_mistake_in_the_file_is_shown_at_once() {
    for (case, text) in [
        (
            "keys",
            "stor = \"s3://a-b\"\nalarms = []\ncolour = 1\n[build]\nouts = \"x\"\n[groups.prod]\nenv_file = []\nalarms = []\n\
             [groups.prod.codedeploy]\nrolback = []\n[groups.\"a b\"]\n[lint.x]\n",
        ),
        (
            "types",
            "store = 1\nbuild = 2\nupload = { tags = [\"a\"], metadata = { a = 1 } }\nlint = { allow = [1] }\n\
             [groups]\nstg = 3\n[groups.prod]\ncopies = \"2\"\nprofiles = \"web\"\n[groups.prod.codedeploy]\nignore_stop_failures = \"yes\"\n",
        ),
        (
            "values",
            "store = \"/srv/store\"\nregion = \"EU West\"\n[build]\nbuildspec = \"../x\"\nallow_secrets = [\"\"]\n[lint]\n\
             allow = [\"LS32\", \"LS320:\"]\n[upload]\nencryption = \"aes256\"\nstorage_class = \"DEEP_ARCHIVE\"\n\
             tags = { \"aws:x\" = \"1\", a = \"b#\" }\nmetadata = { \"a b\" = \"1\" }\n[groups.prod]\nwith = \"ecs\"\ncopies = 0\n\
             compose = [\"/etc/x.yml\"]\n[groups.prod.codedeploy]\nfile_exists = \"KEEP\"\nrollback = [\"failure\", \"always\"]\n\
             alarms = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\", \"10\", \"11\"]\napplication = \"\"\n",
        ),
        (
            "together",
            "store = \"s3://a-b\"\nbucket = \"b-c\"\n[sign]\nkey = \"x\"\nkms_key = \"y\"\n[upload]\nencryption = \"AES256\"\nkms_key = \"z\"\n\
             [groups.dev]\nprefix = \"x\"\n[groups.prod]\nbucket = \"a/b\"\n[groups.stg]\nbucket = \"s3://a\"\n",
        ),
    ] {
        let (_, problems) = parse(text);
        insta::with_settings!({ description => case }, {
            insta::assert_snapshot!(format!("wrong_{case}"), render(&problems, Look::Plain));
        });
    }
}

/// A value for the file, one for the variable, and one for `--set`, of every key that is no half of one.
const VALUES: [[&str; 4]; 33] = [
    ["application", "'a'", "b", "c"],
    ["store", "'s3://aaa'", "s3://bbb", "s3://ccc"],
    ["region", "'eu-a'", "eu-b", "eu-c"],
    ["build.include", "['/a/']", "/b/,/d/", "/c/"],
    ["build.exclude", "['/a/']", "/b/", "/c/"],
    ["build.out", "'a'", "b", "c"],
    ["build.allow_secrets", "['a']", "b", "c"],
    ["build.buildspec", "'a'", "b", "c"],
    ["lint.allow", "['LS320']", "LS321", "LS322:c"],
    ["sign.key", "'a'", "", "c"],
    ["sign.kms_key", "'a'", "b", "c"],
    ["sign.public_keys", "['a']", "b,d", "c"],
    ["upload.encryption", "'aws:kms'", "AES256", "aws:kms:dsse"],
    ["upload.kms_key", "'a'", "b", "c"],
    ["upload.storage_class", "'STANDARD_IA'", "GLACIER_IR", "ONEZONE_IA"],
    ["upload.tags", "{ a = '1' }", "b=1, d=2", "c=3"],
    ["upload.metadata", "{ a = '1' }", "b=1", "c=3"],
    ["upload.part_size", "6", "7", "9"],
    ["upload.parallel_parts", "2", "3", "5"],
    ["groups.*.store", "'s3://aaa'", "s3://bbb", "s3://ccc"],
    ["groups.*.region", "'eu-a'", "eu-b", "eu-c"],
    ["groups.*.with", "'store'", "codedeploy", "store"],
    ["groups.*.compose", "['a']", "b,d", "c"],
    ["groups.*.env_files", "['a']", "b", "c"],
    ["groups.*.profiles", "['a']", "b", "c"],
    ["groups.*.copies", "2", "3", "4"],
    ["groups.*.codedeploy.application", "'a'", "b", "c"],
    ["groups.*.codedeploy.deployment_group", "'a'", "b", "c"],
    ["groups.*.codedeploy.deployment_config", "'a'", "b", "c"],
    ["groups.*.codedeploy.file_exists", "'RETAIN'", "OVERWRITE", "DISALLOW"],
    ["groups.*.codedeploy.ignore_stop_failures", "true", "false", "true"],
    ["groups.*.codedeploy.rollback", "['failure']", "alarm", "stop"],
    ["groups.*.codedeploy.alarms", "['a']", "b", "c"],
];

/// What holds for group `prod`, wherever it was said; the second: what `config` says of a key.
fn held(text: &str, environment: &Environment, key: &key::Key) -> (String, Held) {
    let (mut settings, mut problems) = parse(text);
    problems.extend(settings.overlay(environment));
    assert_eq!(problems, [], "{text} {environment:?}");
    let Settings { application, store, region, out, include, exclude, allow_secrets, buildspec, .. } = &settings;
    let include: Vec<&str> = include.iter().map(|included| included.pattern.as_str()).collect();
    let excluded = ["a/x", "b/x", "c/x"].map(|path| format!("{:?}", exclude.about_or_parents(path, false)));
    let allowed: Vec<_> = settings.allowed.iter().map(|allowed| (&allowed.code, &allowed.file)).collect();
    let files = (out, include, excluded, allow_secrets, buildspec, allowed);
    let whole = (application, store, region, files, &settings.sign, &settings.upload, settings.parts.clone());
    let prod = group("prod");
    let name = key.name.replace('*', "prod");
    let rows = settings.held(false).into_iter().chain(settings.held_for(&prod));
    (format!("{whole:?} {:?}", settings.group(&prod)), rows.into_iter().find(|held| held.key == name).unwrap())
}

#[test]
fn a_variable_goes_before_the_file_and_a_flag_before_both_and_a_flag_takes_back_whatever_was_said() {
    let of = |variables: &[(&str, &str)], set: &[String]| set_on(Environment::of(variables), set);
    let names: Vec<&str> = VALUES.iter().map(|[name, ..]| *name).collect();
    let keys = || key::KEYS.iter().filter(|key| !matches!(key.slot, key::Slot::Half));
    assert_eq!(names, keys().map(|key| key.name).collect::<Vec<_>>());
    for (key, [name, in_file, in_variable, in_flag]) in keys().zip(VALUES) {
        let (text, file) = ("", format!("{} = {in_file}\n", name.replace('*', "prod")));
        let set = |value: &str| vec![format!("{}={value}", key.set_name())];
        let nothing = of(&[], &[]);
        let line = Says::Line(1);
        let (by_file, said) = held(&file, &nothing, key);
        let (by_default, usual) = held(text, &nothing, key);
        assert_eq!((said.says, matches!(usual.says, Says::Nobody(_))), (line, true), "{name}");
        assert_ne!(by_file, by_default, "{name}");
        let variables: Vec<(&str, &str)> = key.variable.map(|variable| (variable, in_variable)).into_iter().collect();
        if let Some(variable) = key.variable {
            let (by_variable, said) = held(&file, &of(&variables, &[]), key);
            assert_eq!(said.says, Says::Variable(variable.to_owned()), "{name}");
            assert!(by_variable != by_file && by_variable != by_default, "{name}: {by_variable}");
            // As if the file said nothing of it.
            assert_eq!(by_variable, held(text, &of(&variables, &[]), key).0, "{name}");
        }
        let (by_flag, said) = held(&file, &of(&variables, &set(in_flag)), key);
        assert_eq!(said.says, Says::Flag("--set"), "{name}");
        assert_eq!(by_flag, held(text, &of(&[], &set(in_flag)), key).0, "{name}");
        assert_ne!(by_flag, by_default, "{name}");
        assert_eq!(held(&file, &of(&variables, &set("")), key), (by_default, usual), "{name}");
        if matches!(key.shape, key::Shape::List | key::Shape::Pairs) {
            let (_, emptied) = held(&file, &of(&variables, &set("none")), key);
            assert_eq!(emptied.text(), "(none)", "{name}");
        }
    }
}

#[test]
fn every_flag_of_a_key_is_an_option_of_a_command() {
    let options: Vec<String> = crate::cli::Cli::command()
        .get_subcommands()
        .flat_map(|command| command.get_arguments().filter_map(|argument| argument.get_long()).collect::<Vec<_>>())
        .map(|long| format!("--{long}"))
        .collect();
    for key in key::KEYS.iter().filter(|key| !matches!(key.slot, key::Slot::Half)) {
        let flag = key.flag.unwrap();
        assert!(flag == format!("--set {}", key.set_name()) || options.iter().any(|option| option == flag), "{flag}");
    }
}

#[test]
fn a_key_that_is_named_on_the_command_line_is_the_only_one_that_signs_and_one_that_is_taken_back_leaves_the_other() {
    let variables = [("LONGSHORE_SIGN_KEY", "untrusted comment: x"), ("LONGSHORE_SIGN_KMS_KEY", "v")];
    let (key, kms) = ("[sign]\nkey = \"f\"\n", "[sign]\nkms_key = \"f\"\n");
    // What is said, in which file; which of the two variables stay; the two keys of the settings.
    for (set, text, stay, in_settings) in [
        ("copies=2", kms, [true, true], [None, Some("v")]),
        ("sign.key=b", key, [false, false], [Some("b"), None]),
        ("sign.key=b", kms, [false, false], [Some("b"), None]),
        ("sign.kms_key=b", key, [false, false], [None, Some("b")]),
        ("sign.kms_key=b", kms, [false, false], [None, Some("b")]),
        ("sign.key=", key, [false, true], [None, Some("v")]),
        ("sign.key=", kms, [false, true], [None, Some("v")]),
        ("sign.kms_key=", key, [true, false], [Some("f"), None]),
        ("sign.kms_key=", kms, [true, false], [None, None]),
    ] {
        let environment = set_on(Environment::of(&variables), &[set.to_owned()]);
        assert_eq!(variables.map(|(name, _)| environment.get(name).is_some()), stay, "{set} {text}");
        let (mut settings, _) = parse(text);
        assert_eq!(settings.overlay(&environment), [], "{set} {text}");
        let SignSettings { key, kms_key, .. } = settings.sign;
        assert_eq!([key.as_deref().and_then(|key| key.to_str()), kms_key.as_deref()], in_settings, "{set} {text}");
    }
}

#[test]
fn a_kms_key_goes_with_the_encryption_that_it_was_said_for() {
    let keyed = "[upload]\nencryption = \"aws:kms\"\nkms_key = \"f\"\n";
    let (encryption, key) = ("LONGSHORE_UPLOAD_ENCRYPTION", "LONGSHORE_UPLOAD_KMS_KEY");
    let (own, kms) = (Some("AES256"), Some("aws:kms"));
    for (text, variables, set, expected) in [
        (keyed, vec![], vec![], (kms, Some("f"))),
        (keyed, vec![(encryption, "AES256")], vec![], (own, None)),
        (keyed, vec![(encryption, "AES256"), (key, "v")], vec![], (own, None)),
        (keyed, vec![], vec!["upload.encryption=AES256"], (own, None)),
        (keyed, vec![], vec!["upload.encryption="], (None, None)),
        (keyed, vec![(encryption, "aws:kms"), (key, "v")], vec!["upload.encryption="], (None, None)),
        (
            keyed,
            vec![],
            vec!["upload.encryption=", "upload.encryption=aws:kms:dsse"],
            (Some("aws:kms:dsse"), Some("f")),
        ),
        (keyed, vec![], vec!["upload.kms_key="], (kms, None)),
        // A key for which nobody has said another encryption, and one that the command line itself names: not dropped in silence.
        ("", vec![(key, "v")], vec![], (None, Some("v"))),
        (keyed, vec![], vec!["upload.kms_key=s", "upload.encryption="], (None, Some("s"))),
        ("", vec![(encryption, "AES256")], vec!["upload.kms_key=s"], (own, Some("s"))),
    ] {
        let set: Vec<String> = set.into_iter().map(str::to_owned).collect();
        let (mut settings, problems) = parse(text);
        assert_eq!(problems, []);
        assert_eq!(settings.overlay(&set_on(Environment::of(&variables), &set)), []);
        let S3Upload { encryption, kms_key, .. } = &settings.upload;
        assert_eq!((encryption.as_deref(), kms_key.as_deref()), expected, "{text} {variables:?} {set:?}");
        assert_eq!(settings.origins.contains_key("upload.kms_key"), kms_key.is_some(), "{text} {variables:?} {set:?}");
    }
}

#[test]
fn parts_beyond_what_s3_takes_are_refused_where_they_are_said() {
    for (key, least, most) in [("part_size", 5, 5120), ("parallel_parts", 1, 64)] {
        let variable = format!("LONGSHORE_UPLOAD_{}", key.to_uppercase());
        for (value, fits) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            let message = format!("must be a whole number from {least} to {most}, found `{value}`");
            let expected = |place: &str| if fits { Vec::new() } else { vec![(place.to_owned(), message.clone())] };
            let told = |problems: Vec<Problem>| -> Vec<(String, String)> {
                problems.into_iter().map(|problem| (problem.source.name.clone(), problem.message)).collect()
            };
            let (_, problems) = parse(&format!("[upload]\n{key} = {value}\n"));
            assert_eq!(told(problems), expected(SETTINGS_FILE), "{key} = {value}");
            let text = value.to_string();
            let (_, problems) = overlaid("", &[(&variable, &text)]);
            assert_eq!(told(problems), expected(&format!("${variable}")), "{variable}={value}");
            let set = set_on(Environment::of(&[]), &[format!("upload.{key}={value}")]);
            assert_eq!(told(Settings::none().overlay(&set)), expected("--set"), "--set upload.{key}={value}");
        }
    }
}

#[test]
fn what_is_no_setting_is_refused_by_name() {
    let (mut settings, _) = parse(WHOLE);
    let texts = ["copies=0", "store=ftp://a", "copies", "colour=1", "compose=ok.yml,/x", "copeis=2", "bucket=a-b"];
    let problems = settings.overlay(&set_on(Environment::of(&[]), &texts.map(str::to_owned)));
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

fn overlaid(text: &str, variables: &[(&str, &str)]) -> (Settings, Vec<Problem>) {
    let (mut settings, mut problems) = parse(text);
    problems.extend(settings.overlay(&Environment::of(variables)));
    (settings, problems)
}

#[test]
fn a_variable_goes_before_the_file() {
    let (settings, problems) = overlaid(
        WHOLE,
        &[
            ("LONGSHORE_APPLICATION", "other"),
            ("LONGSHORE_STORE", "file:///tmp/store"),
            ("LONGSHORE_BUILD_INCLUDE", " /a/ , b"),
            ("LONGSHORE_UPLOAD_TAGS", "team=api, x=1=2"),
            ("LONGSHORE_SIGN_KMS_KEY", "alias/sign"),
            ("LONGSHORE_WITH", "codedeploy"),
            ("LONGSHORE_COPIES", "3"),
            ("LONGSHORE_PROFILES", "none"),
            ("LONGSHORE_CODEDEPLOY_ROLLBACK", "none"),
            ("LONGSHORE_CODEDEPLOY_IGNORE_STOP_FAILURES", "0"),
            ("LONGSHORE_CODEDEPLOY_ALARMS", ""),
        ],
    );
    assert_eq!(problems, []);
    assert_eq!(settings.application, Some("other".parse().unwrap()));
    let patterns: Vec<&str> = settings.include.iter().map(|included| included.pattern.as_str()).collect();
    assert_eq!(patterns, ["/a/", "b"]);
    assert_eq!(settings.upload.tags, [("team".into(), "api".into()), ("x".into(), "1=2".into())]);
    assert_eq!((settings.sign.key.clone(), settings.sign.kms_key.as_deref()), (None, Some("alias/sign")));
    let prod = settings.group(&group("prod"));
    assert_eq!(prod.store, Some("file:///tmp/store".parse().unwrap()));
    assert_eq!((prod.with, prod.copies), (Some(With::Codedeploy), Some(3)));
    assert_eq!(prod.profiles, Vec::<String>::new());
    assert_eq!(prod.codedeploy.rollback, Some(Vec::new()));
    assert_eq!(prod.codedeploy.ignore_stop_failures, Some(false));
    // What no variable says is said by the file, and one that is empty says nothing.
    assert_eq!(prod.codedeploy.alarms, Some(vec!["5xx".into()]));
    assert_eq!(prod.env_files, [".env.prod".parse().unwrap()]);
    assert_eq!(settings.origins["groups.*.with"], Origin::Variable("LONGSHORE_WITH".into()));
    assert_eq!(settings.origins["build.include"], Origin::Variable("LONGSHORE_BUILD_INCLUDE".into()));
}

#[test]
fn every_mistake_in_the_environment_names_its_variable() {
    let (_, problems) = overlaid(
        "",
        &[
            ("LONGSHORE_APPLICATION", "my shop"),
            ("LONGSHORE_STORE", "ftp://x"),
            ("LONGSHORE_BUILD_EXCLUDE", "ok, [z-a]"),
            ("LONGSHORE_BUILD_OUT", "/srv"),
            ("LONGSHORE_UPLOAD_TAGS", "team"),
            ("LONGSHORE_WITH", "ecs"),
            ("LONGSHORE_COPIES", "0"),
            ("LONGSHORE_LINT_ALLOW", "LS320, 321"),
            ("LONGSHORE_CODEDEPLOY_IGNORE_STOP_FAILURES", "yes"),
        ],
    );
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

const SCHEMA: &str = include_str!("../../../../docs/reference/longshore.schema.json");
const DOCUMENT: &str = include_str!("../../../../docs/reference/longshore-toml.md");
const STARTER: &str = include_str!("../starter/longshore.toml");

/// The keys of a schema: what has no further properties of its own.
fn keys_of(schema: &Value, path: &str, keys: &mut Vec<String>) {
    match (schema["properties"].as_object(), &schema["additionalProperties"]) {
        (Some(properties), closed) => {
            assert_eq!(closed, &json!(false), "`{path}` takes unknown keys");
            for (name, schema) in properties {
                keys_of(schema, &format!("{path}.{name}"), keys);
            }
        }
        (None, each) if each["properties"].is_object() => keys_of(each, &format!("{path}.*"), keys),
        (None, _) => {
            assert!(schema["description"].is_string(), "`{path}` has no description");
            keys.push(path.trim_start_matches('.').to_owned());
        }
    }
}

#[test]
fn the_schema_knows_exactly_the_keys_that_the_parser_knows() {
    let mut documented = Vec::new();
    keys_of(&serde_json::from_str(SCHEMA).unwrap(), "", &mut documented);
    assert_eq!(documented, key::KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
}

/// Where a value breaks a schema. Knows the keywords of ours and no other.
fn broken(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let length = |value: &Value| match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(items) => Some(items.len()),
        Value::Object(pairs) => Some(pairs.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    };
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match rule.as_str().unwrap() {
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("`{other}` is no type of ours"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "maximum" => value.as_i64() <= rule.as_i64(),
            "minLength" => length(value).is_none_or(|length| length >= rule.as_u64().unwrap() as usize),
            "maxLength" | "maxItems" | "maxProperties" => {
                length(value).is_none_or(|length| length <= rule.as_u64().unwrap() as usize)
            }
            "items" => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| broken(rule, item, &format!("{path}[{index}]"), found));
                true
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    value
                        .get(name)
                        .into_iter()
                        .for_each(|value| broken(schema, value, &format!("{path}.{name}"), found));
                }
                true
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    match rule {
                        _ if schema["properties"].get(name).is_some() => {}
                        Value::Bool(false) => found.push(format!("{path}.{name}: unknown")),
                        schema => broken(schema, value, &format!("{path}.{name}"), found),
                    }
                }
                true
            }
            other => panic!("`{other}` is not checked"),
        };
        if !holds {
            found.push(format!("{path}: {keyword}"));
        }
    }
}

#[test]
fn what_the_parser_takes_the_schema_takes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let blocks = DOCUMENT.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let starter = STARTER.replace("@APPLICATION@", "shop");
    for text in blocks.chain([WHOLE, &starter]) {
        assert_eq!(parse(text).1, [], "{text}");
        let mut found = Vec::new();
        broken(&schema, &toml::from_str(text).unwrap(), "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
    for (text, expected) in [
        ("colour = 1", ".colour: unknown"),
        ("application = 1", ".application: type"),
        ("[groups.prod]\ncopies = 0", ".groups.prod.copies: minimum"),
        ("[groups.prod]\nwith = \"ecs\"", ".groups.prod.with: enum"),
        ("[groups.prod.codedeploy]\nrollback = [\"always\"]", ".groups.prod.codedeploy.rollback[0]: enum"),
        ("[upload]\npart_size = 4", ".upload.part_size: minimum"),
        ("[upload]\npart_size = 5121", ".upload.part_size: maximum"),
        ("[upload]\nparallel_parts = 65", ".upload.parallel_parts: maximum"),
        ("[upload.tags]\na = 1", ".upload.tags.a: type"),
    ] {
        assert_ne!(parse(text).1, [], "{text}");
        let mut found = Vec::new();
        broken(&schema, &toml::from_str(text).unwrap(), "", &mut found);
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn the_document_has_every_key_with_its_flag_its_variable_and_its_default() {
    let mut table = String::from("| key | flag | variable | default |\n|---|---|---|---|\n");
    for key in &key::KEYS {
        let name = key.name.replace('*', "<group>");
        if matches!(key.slot, key::Slot::Half) {
            table.push_str(&format!("| `{name}` | as `store` | as `store` | |\n"));
            continue;
        }
        let code = |text: Option<&str>| text.map(|text| format!("`{text}`")).unwrap_or_default();
        let default = match key.default {
            key::Usual::Nothing => String::new(),
            key::Usual::Value(value) => format!("`{value}`"),
            key::Usual::Words(words) => words.replace('<', "&lt;"),
        };
        table.push_str(&format!("| `{name}` | {} | {} | {default} |\n", code(key.flag), code(key.variable)));
    }
    assert!(DOCUMENT.contains(&table), "write this into docs/reference/longshore-toml.md:\n{table}");
}
