//! What a group will run: the same for `longshore` as for the compose that hosts have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

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

#[test]
fn the_images_of_every_group_are_those_that_docker_compose_would_run() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = Command::new(bin("longshore"))
        .current_dir(&folder)
        .env("LONGSHORE_COMMIT", COMMIT)
        .env("LONGSHORE_APPLICATION", "shop")
        .args(["check", "--output", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for image in json["images"].as_array().unwrap() {
        let text = |key: &str| image[key].as_str().unwrap();
        found.entry(text("group")).or_default().insert(text("service").to_owned(), text("image").to_owned());
    }
    let groups = [("dev", "docker-compose.dev.yml"), ("prod", "docker-compose.yml"), ("stg", "docker-compose.stg.yml")];
    let expected = groups.map(|(group, file)| (group, of_docker_compose(folder.path(), file)));
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(found["prod"]["web"], format!("registry.example/shop:{COMMIT}"));
    assert_eq!(found.values().map(BTreeMap::len).sum::<usize>(), 6);
}
