//! What a group will run: the same for `longshore` as for the composes that hosts have, docker-compose 1.29 and compose 2.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::bin;
use serde_json::Value;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const FILES: [(&str, &str); 8] = [
    (
        "appspec.yml",
        "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: scripts/a.sh\n      timeout: 60\n",
    ),
    ("scripts/a.sh", "#!/bin/sh\nset -eu\n"),
    ("longshore.toml", "[build]\ninclude = [\"/.env\", \"/base/\"]\nallow_secrets = [\".env\"]\n"),
    (".env", "REGISTRY=registry.example\nEMPTY=\nTAG='$REGISTRY' # not filled in\nexport QUOTED=\"1.2\"\n"),
    (
        "docker-compose.yml",
        "x-app: &app\n  image: ${REGISTRY:-other}/shop:${COMMIT_HASH:?}\n  restart: always\nservices:\n  web: {<<: *app}\n  worker:\n    \
         <<: *app\n    image: worker:${EMPTY:-2}\n  cache: {image: 'redis:${QUOTED-7}'}\n",
    ),
    (
        "docker-compose.stg.yml",
        "services:\n  web:\n    extends: {file: base/common.yml, service: app}\n  db:\n    image: $REGISTRY/db:${NONE:-17}${EMPTY-x}\n",
    ),
    ("docker-compose.dev.yml", "services:\n  web:\n    image: '${NONE-r.example:5000}/shop@sha256:${COMMIT_HASH}'\n"),
    ("base/common.yml", "services:\n  app:\n    image: ${REGISTRY}/app:${QUOTED}\n"),
];

/// Service → image, as `docker-compose config` says.
fn of_docker_compose(folder: &Path, file: &str) -> BTreeMap<String, String> {
    let output = Command::new("docker-compose")
        .current_dir(folder)
        .env("COMMIT_HASH", COMMIT)
        .args(["--file", file, "config"])
        .output()
        .expect("docker-compose is installed by dev/services/install");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut images = BTreeMap::new();
    let mut service = "";
    // It writes one key in each line, services with two blanks before them.
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(key) if !key.starts_with(' ') => service = key.trim_end_matches(':'),
            Some(key) => {
                if let Some(image) = key.trim().strip_prefix("image: ") {
                    images.insert(service.to_owned(), image.trim_matches('\'').to_owned());
                }
            }
            None => {}
        }
    }
    images
}

/// The folder with these files and a small appspec.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in FILES[..2].iter().chain(files) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file of the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// What `longshore check` says, as JSON.
fn check(folder: &Path) -> Value {
    let output = Command::new(bin("longshore"))
        .current_dir(folder)
        .env("LONGSHORE_COMMIT", COMMIT)
        .env("LONGSHORE_APPLICATION", "shop")
        .args(["check", "--no-shellcheck", "--output", "json"])
        .output()
        .expect("longshore runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Group → service → image, as `longshore check` says.
fn images(said: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in said["images"].as_array().unwrap_or_else(|| panic!("{said:#}")) {
        let text = |key: &str| image[key].as_str().expect("a text").to_owned();
        found.entry(text("group")).or_default().insert(text("service"), text("image"));
    }
    found
}

/// The compose 2 that `dev/services/install` fetches.
fn compose_2() -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    let found =
        test.ancestors().map(|folder| folder.join("services/compose/docker-compose")).find(|path| path.is_file());
    found.expect("compose 2 is installed by dev/services/install")
}

fn run_compose_2(folder: &Path, files: &[&str], profiles: &[&str]) -> Output {
    let mut command = Command::new(compose_2());
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    command.env("COMMIT_HASH", COMMIT).env("DEPLOYMENT_GROUP_NAME", "prod");
    command.args(files.iter().flat_map(|file| ["--file", file]));
    command.args(profiles.iter().flat_map(|profile| ["--profile", profile]));
    command.args(["config", "--format", "json"]).output().expect("compose 2 runs")
}

/// Service → image, as compose 2 says.
fn of_compose_2(folder: &Path, files: &[&str], profiles: &[&str]) -> BTreeMap<String, String> {
    let output = run_compose_2(folder, files, profiles);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let services = json["services"].as_object().expect("services").iter();
    // It writes a dollar so that it can be read again.
    let image = |service: &Value| service["image"].as_str().map(|image| image.replace("$$", "$"));
    services.filter_map(|(name, service)| Some((name.clone(), image(service)?))).collect()
}

#[test]
fn the_images_of_every_group_are_those_that_docker_compose_would_run() {
    let folder = folder(&FILES[2..]);
    let found = images(&check(folder.path()));
    let groups = [("dev", "docker-compose.dev.yml"), ("prod", "docker-compose.yml"), ("stg", "docker-compose.stg.yml")];
    let expected = groups.map(|(group, file)| (group.to_owned(), of_docker_compose(folder.path(), file)));
    assert_eq!(found, BTreeMap::from(expected));
    let expected = groups.map(|(group, file)| (group.to_owned(), of_compose_2(folder.path(), &[file], &[])));
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(found["prod"]["web"], format!("registry.example/shop:{COMMIT}"));
    assert_eq!(found.values().map(BTreeMap::len).sum::<usize>(), 6);
}

/// A project of one group.
struct Project {
    what: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Its compose files; none: `docker-compose.yml`.
    compose: &'static [&'static str],
    profiles: &'static [&'static str],
}

const SERVICES_WITH_PROFILES: &[(&str, &str)] = &[(
    "docker-compose.yml",
    "services:\n  a: {image: a}\n  b: {image: b, profiles: [x]}\n  c: {image: c, profiles: [x, y]}\n",
)];

const INCLUDING: &str = "include:\n  - db/compose.yml\n  - path: [q/one.yml, q/two.yml]\n    env_file: q/q.env\nservices:\n  \
                         web: {image: 'web:${VERSION:-none}'}\n";

/// What compose 2 alone knows, and where it reads files as 1.29 does not.
const PROJECTS: &[Project] = &[
    Project {
        what: "extends",
        files: &[
            (
                "docker-compose.yml",
                "services:\n  web:\n    extends: {file: base/common.yml, service: app}\n  worker:\n    extends: web\n    image: w\n  \
                 last:\n    extends: {service: worker}\n",
            ),
            (
                "base/common.yml",
                "services:\n  app:\n    extends: root\n    restart: always\n  root:\n    extends: {file: deep/c.yml, service: s}\n",
            ),
            ("base/deep/c.yml", "services:\n  s: {image: 's:${TAG:-1}'}\n"),
        ],
        compose: &[],
        profiles: &[],
    },
    Project {
        what: "include",
        files: &[
            ("docker-compose.yml", INCLUDING),
            ("db/compose.yml", "include: [more/c.yml]\nservices:\n  db: {image: 'postgres:${VERSION}'}\n"),
            ("db/.env", "VERSION=17\n"),
            ("db/more/c.yml", "services:\n  more: {image: 'more:${VERSION:-none}'}\n"),
            ("q/one.yml", "services:\n  q: {image: 'q:${VERSION}'}\n"),
            ("q/two.yml", "services:\n  q: {restart: always}\n  q2: {image: 'q2:${OTHER:-x}'}\n"),
            ("q/q.env", "VERSION=3\n"),
            (".env", "OTHER=o\n"),
        ],
        compose: &[],
        profiles: &[],
    },
    Project {
        what: "include below variables of its own",
        files: &[
            ("docker-compose.yml", INCLUDING),
            ("db/compose.yml", "services:\n  db: {image: 'postgres:${VERSION}'}\n"),
            ("db/.env", "VERSION=17\n"),
            ("q/one.yml", "services:\n  q: {image: 'q:${VERSION}'}\n"),
            ("q/two.yml", "services:\n  q: {restart: always}\n"),
            ("q/q.env", "VERSION=3\n"),
            (".env", "VERSION=top\n"),
        ],
        compose: &[],
        profiles: &[],
    },
    Project { what: "no profile", files: SERVICES_WITH_PROFILES, compose: &[], profiles: &[] },
    Project { what: "a profile", files: SERVICES_WITH_PROFILES, compose: &[], profiles: &["y"] },
    Project { what: "two profiles", files: SERVICES_WITH_PROFILES, compose: &[], profiles: &["x", "y"] },
    Project { what: "every profile", files: SERVICES_WITH_PROFILES, compose: &[], profiles: &["*"] },
    Project {
        what: "profiles of the env file",
        files: &[
            (
                "docker-compose.yml",
                "services:\n  a: {image: a}\n  b: {image: b, profiles: [x]}\n  c: {image: c, profiles: [y]}\n",
            ),
            (".env", "COMPOSE_PROFILES=x\n"),
        ],
        compose: &[],
        profiles: &[],
    },
    Project {
        what: "several files, what is taken away, and what says nothing",
        files: &[
            (
                "a.yml",
                "services:\n  a: {image: a, ports: ['1:1']}\n  b: {image: b}\n  n: {image: n}\n  p: {image: p, profiles: [x]}\n",
            ),
            (
                "b.yml",
                "services:\n  a: {image: !override a2, ports: !reset []}\n  b: {image: !reset null, build: .}\n  c: {image: c}\n  \
                 n: {image: , restart: always}\n  p: {profiles: !reset []}\n",
            ),
            ("Dockerfile", "FROM scratch\n"),
        ],
        compose: &["a.yml", "b.yml"],
        profiles: &[],
    },
    Project {
        what: "the env file is that of the first file's folder",
        files: &[
            ("x/a.yml", "services:\n  a: {image: 'a:${V:-none}'}\n"),
            ("y/b.yml", "services:\n  b: {image: 'b:${V:-none}'}\n"),
            ("x/.env", "V=x\n"),
            (".env", "V=top\n"),
        ],
        compose: &["x/a.yml", "y/b.yml"],
        profiles: &[],
    },
    Project {
        what: "merges of YAML",
        files: &[(
            "docker-compose.yml",
            "x-a: &a {image: a}\nx-b: &b {image: b, restart: always}\nx-i: &i 'i:${V:-1}'\nservices:\n  one: {<<: [*a, *b]}\n  \
             two: {<<: *b, image: two}\n  three:\n    image: three\n    <<: *a\n  four: {image: *i}\n  five: {image: !!str 12}\n",
        )],
        compose: &[],
        profiles: &[],
    },
    Project {
        what: "variables",
        files: &[
            (
                "docker-compose.yml",
                "services:\n  a: {image: 'a:${A:-${B:-${C:-x}}}'}\n  b: {image: 'b:${A:-x$$y}'}\n  c: {image: 'c:${A-$B}x'}\n  \
                 d: {image: 'd:${B:+yes}${A:+no}${E+set}${E:+no}'}\n  e: {image: 'e:$1'}\n  f: {image: 'f$'}\n  g: {image: 'g:$-'}\n  \
                 h: {image: 'h:${B:?why}${COMMIT_HASH}'}\n  i: {image: 'i:${DEPLOYMENT_GROUP_NAME}'}\n",
            ),
            (".env", "B=b\nE=\nDEPLOYMENT_GROUP_NAME=other\n"),
        ],
        compose: &[],
        profiles: &[],
    },
];

#[test]
fn a_group_of_several_files_includes_and_profiles_runs_what_compose_2_would_run() {
    for Project { what, files, compose, profiles } in PROJECTS {
        let compose = if compose.is_empty() { &["docker-compose.yml"] } else { *compose };
        let toml = format!(
            "[build]\ninclude = [\"/*\", \"/.env\"]\nallow_secrets = [\".env\", \"db/.env\", \"x/.env\"]\n\
             [groups.prod]\ncompose = {compose:?}\nprofiles = {profiles:?}\n"
        );
        let folder = folder(&[files, &[("longshore.toml", toml.as_str())][..]].concat());
        let expected = of_compose_2(folder.path(), compose, profiles);
        assert_eq!(images(&check(folder.path())).remove("prod"), Some(expected), "{what}");
    }
}

/// Lines of env files, whose values are shown in `[…]`, or for which both refuse the file.
#[test]
fn an_env_file_means_what_it_means_to_compose_2() {
    for lines in [
        "A: 1",
        "A = 1",
        "  A=1  ",
        "A =1",
        "export  A = 4",
        "A=#x",
        "A= #x",
        "A=a #x",
        "A=a# x",
        "A='a #x'",
        "A=\"a #x\" #y",
        "A='it\\'s'",
        "A=\"say \\\"x\\\"\"",
        "A=a\"b\"c",
        "A=\"a'b\"",
        "A=\"a\\nb\\tc\"",
        "A=\"\\a\\b\\f\\v\"",
        "A=\"\\q\\'\\/\"",
        "A='a\\nb'",
        "A=a\\nb",
        "A=\"\\$B\"",
        "A=\"a\\\\b\"",
        "A=a\\$b",
        "A=\"one\ntwo\"",
        "A='one\ntwo'",
        "A=1\r\nB=2\r",
        "\u{feff}A=1",
        "B\nA=2",
        "A=1\nA=${A}2",
        "B=1\nA=$B$B",
        "A=${B}x\nB=1",
        "A=${B:-d}",
        "A=\"${B:-d e}\"",
        "A='${B:-d}'",
        "A=$$x",
        "A=${B:+y}n",
        "A={\"x\": 1}",
        "A=http://x/y?z=1#f",
        "COMMIT_HASH=z\nA=${COMMIT_HASH}",
        "A=\" x \"",
        "A=\"x\"y",
        "A==b",
        "A=\"x",
        "TWO WORDS\nA=1",
    ] {
        let compose = ("docker-compose.yml", "services:\n  a: {image: '[${A}]'}\n");
        let toml = "[build]\nallow_secrets = [\".env\"]\ninclude = [\"/.env\"]\n";
        let folder = folder(&[compose, (".env", &format!("{lines}\n")), ("longshore.toml", toml)]);
        let theirs = run_compose_2(folder.path(), &["docker-compose.yml"], &[]);
        let said = check(folder.path());
        if theirs.status.success() {
            let expected = of_compose_2(folder.path(), &["docker-compose.yml"], &[]);
            assert_eq!(images(&said).remove("prod"), Some(expected), "{lines:?}");
        } else {
            assert_eq!(codes(&said), ["LS309"], "{lines:?}: {}", String::from_utf8_lossy(&theirs.stderr));
        }
    }
}

/// The codes of errors.
fn codes(said: &Value) -> Vec<&str> {
    let problems = said["problems"].as_array().unwrap_or_else(|| panic!("{said:#}"));
    let errors = problems.iter().filter(|problem| problem["severity"] == "error");
    errors.map(|problem| problem["code"].as_str().expect("a code")).collect()
}

#[test]
fn what_compose_2_refuses_as_unknown_is_an_error_and_nothing_else_is() {
    let web = |text: &str| format!("services:\n  web: {text}\n  c: {{image: x, restart: always}}\n");
    for (text, expected) in [
        (web("{image: b, imagee: a}"), Some("LS336")),
        (web("{image: b, x-foo: 1, labels: {imagee: a}}"), None),
        (web("{image: b, cap-add: [A]}"), Some("LS336")),
        (web("{image: b, healthcheck: {tests: [a]}}"), Some("LS336")),
        (web("{image: b, deploy: {replica: 3}}"), Some("LS336")),
        (web("{image: b, deploy: {resources: {limit: {}}}}"), Some("LS336")),
        (web("{image: b, deploy: {restart_policy: {conditions: any}}}"), Some("LS336")),
        (web("{image: b, build: {context: ., arg: {A: 1}}}"), Some("LS336")),
        (web("{image: b, logging: {drive: a}}"), Some("LS336")),
        (web("{image: b, depends_on: {c: {conditions: service_started}}}"), Some("LS336")),
        (web("{image: b, volumes: [{type: bind, sorce: /a, target: /b}]}"), Some("LS336")),
        (web("{image: b, ports: [{targets: 80, target: 80}]}"), Some("LS336")),
        (web("{image: b, networks: {default: {alias: [a]}}}"), Some("LS336")),
        (web("{image: b}").replace("services:", "volumes: {a: {drivr: x}}\nservices:"), Some("LS336")),
        (web("{image: b}").replace("services:", "x-y: {imagee: x}\nservices:"), None),
        (web("{image: b}").replace("services:", "volume: {}\nservices:"), Some("LS310")),
        ("services:\n  x-web: {image: b}\n".to_owned(), None),
        ("services:\n  x-web: {imagee: b, image: b}\n".to_owned(), Some("LS336")),
        (web("{image: b, gpus: all, attach: false, healthcheck: {test: a, start_interval: 1s}}"), None),
    ] {
        let folder = folder(&[("docker-compose.yml", &text)]);
        let theirs = run_compose_2(folder.path(), &["docker-compose.yml"], &[]);
        let why = String::from_utf8_lossy(&theirs.stderr);
        assert_eq!(theirs.status.success(), expected.is_none(), "{text}{why}");
        assert_eq!(codes(&check(folder.path())), Vec::from_iter(expected), "{text}");
    }
}
