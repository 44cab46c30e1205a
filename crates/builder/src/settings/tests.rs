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
        [("application", 1), ("build.out", 8), ("groups.prod.store", 27), ("groups.prod.codedeploy.alarms", 43)]
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
