//! Old artifacts go, and nothing that anybody needs. The hosts' own words are written by hand here, as their agents write them.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::group::shop;
use crate::sandbox::Sandbox;

/// The artifact of this number, which a group may have been moved to; each is stored a minute after the one before.
fn store(sandbox: &Sandbox, numbers: std::ops::Range<i64>, moves: &[i64]) -> Vec<String> {
    let begun = SystemTime::now() - Duration::from_secs(86_400);
    numbers
        .map(|number| {
            sandbox.write("app/number.txt", &number.to_string());
            let commit = sandbox.build_at(1_800_000_000 + 10 * number);
            let group: &[&str] = if moves.contains(&number) { &["--group", "dev"] } else { &[] };
            sandbox.on_store(&[&["push"], group].concat()).ok();
            let key = format!("shop/{commit}.zip");
            let time = begun + Duration::from_secs(60 * u64::try_from(number).unwrap());
            let path = sandbox.outside("store").join(&key);
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
            key
        })
        .collect()
}

fn beside(sandbox: &Sandbox, key: &str) -> [String; 2] {
    let store = sandbox.outside("store");
    let time = store.join(key).metadata().unwrap().modified().unwrap();
    [".minisig", ".intoto.json"].map(|ending| {
        let name = format!("{key}{ending}");
        fs::write(store.join(&name), "{}").unwrap();
        File::options().append(true).open(store.join(&name)).unwrap().set_modified(time).unwrap();
        name
    })
}

/// All keys below a folder of the store, sorted.
fn keys(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    fn walk(folder: &Path, above: &str, keys: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), &format!("{above}{name}/"), keys),
                false if name.starts_with('.') => {}
                false => keys.push(format!("{above}{name}")),
            }
        }
    }
    let mut keys = Vec::new();
    walk(&sandbox.outside("store").join(folder), &format!("{folder}/"), &mut keys);
    keys.sort();
    keys
}

fn prune(sandbox: &Sandbox, more: &[&str]) -> Value {
    sandbox.on_store(&[&["prune", "--output", "json"], more].concat()).ok().json()
}

#[test]
fn what_is_old_and_needed_by_nobody_goes_with_what_belongs_to_it_once_somebody_says_yes() {
    let sandbox = shop();
    // The group came from 2 by 4 to 5.
    let artifacts = store(&sandbox, 0..10, &[2, 4, 5]);
    let [signature, provenance] = beside(&sandbox, &artifacts[0]);
    fs::write(sandbox.outside("store/shop/notes.txt"), "").unwrap();
    let before = keys(&sandbox, "shop");
    let args = ["--keep", "3", "--keep-rollbacks", "1"];
    let dry = prune(&sandbox, &args);
    let removable: Vec<Value> = dry["removable"].as_array().unwrap().iter().map(|it| it["keys"].clone()).collect();
    let expected = [
        json!([artifacts[0], provenance, signature]),
        json!([artifacts[1]]),
        json!([artifacts[3]]),
        json!([artifacts[6]]),
    ];
    // Nobody knows how any of them ended: the group could go back to either.
    let needed = {
        let mut needed = vec![&artifacts[4], &artifacts[5]];
        needed.sort();
        needed
    };
    let mut all = expected.to_vec();
    all.insert(2, json!([artifacts[2]]));
    assert_eq!((removable, &dry["needed"], &dry["foreign"]), (all.clone(), &json!(needed), &json!(1)));
    assert_eq!((&dry["dry_run"], keys(&sandbox, "shop")), (&json!(true), before));

    let done = prune(&sandbox, &[&args[..], &["--yes"]].concat());
    let gone: Vec<Value> = all.iter().flat_map(|keys| keys.as_array().unwrap().clone()).collect();
    assert_eq!(done["removed"], json!(gone));
    let mut left: Vec<String> = artifacts[4..6].iter().chain(&artifacts[7..]).cloned().collect();
    left.push("shop/notes.txt".to_owned());
    left.sort();
    assert_eq!(keys(&sandbox, "shop"), left);
    assert_eq!(prune(&sandbox, &[&args[..], &["--yes"]].concat())["removed"], json!([]));
    sandbox.on_store(&["rollback", "--with", "store", "--group", "dev"]).ok();
}

#[test]
fn what_a_group_could_go_back_to_stays_however_far_back_it_is() {
    let sandbox = shop();
    let mut artifacts = store(&sandbox, 0..1, &[0]);
    sandbox.host_at("web-1", "succeeded", &json!({}));
    for number in 1..5 {
        artifacts.extend(store(&sandbox, number..number + 1, &[number]));
        sandbox.host_at("web-1", "failed", &json!({"reason": "no"}));
    }
    let done = prune(&sandbox, &["--keep", "1", "--keep-rollbacks", "1", "--yes"]);
    assert_eq!(done["removed"], json!(artifacts[1..3]));
    sandbox.on_store(&["rollback", "--with", "store", "--group", "dev"]).ok();
    assert_eq!(sandbox.pointer("dev")["revision"]["key"], json!(artifacts[0]));
}

#[test]
fn what_a_host_says_it_runs_stays() {
    let sandbox = shop();
    let artifacts = store(&sandbox, 0..5, &[0, 1, 2, 3, 4]);
    let pointer = |generation: u64| -> Value {
        let path = sandbox.outside(&format!("store/history/shop/dev/{generation:010}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let commit = |key: &str| key[5..45].to_owned();
    let installed =
        json!({"deployment": "d-R", "commit": null, "content_digest": pointer(2)["revision"]["content_digest"]});
    sandbox.host("web-1", 0, &json!({"generation": 1, "state": "succeeded", "deployment": pointer(1)["deployment"]}));
    sandbox.host("web-2", 0, &json!({"generation": 4, "state": "failed", "installed": installed}));
    sandbox.host("web-3", 99_999, &json!({"commit": commit(&artifacts[3])}));
    let done = prune(&sandbox, &["--keep", "0", "--keep-rollbacks", "0", "--yes"]);
    // The last one that nobody knows anything bad of is a way back.
    assert_eq!((&done["removed"], keys(&sandbox, "shop").len()), (&json!([artifacts[2]]), 4), "{done}");
}

#[test]
fn nothing_goes_when_nobody_can_tell_what_is_needed() {
    let sandbox = shop();
    store(&sandbox, 0..3, &[0, 1]);
    let before = keys(&sandbox, "shop");
    let history = sandbox.outside("store/history/shop/dev/0000000001.json");
    let kept = fs::read(&history).unwrap();
    fs::write(&history, "{\"format\": 2}").unwrap();
    let args = ["prune", "--keep", "1", "--yes", "--output", "json"];
    let told = sandbox.on_store(&args).exits(4).json();
    let message = "nothing is removed, because nobody can tell what group `dev` of `shop` needs";
    assert_eq!((&told["error"]["message"], keys(&sandbox, "shop")), (&json!(message), before.clone()));
    fs::write(&history, kept).unwrap();
    let told = sandbox.on_store(&[&args[..], &["--codedeploy-group", "prod"]].concat()).exits(10).json();
    let message = "nothing is removed, because nobody can tell what group `prod` of CodeDeploy needs";
    assert_eq!((&told["error"]["message"], keys(&sandbox, "shop")), (&json!(message), before));
}

#[test]
fn nothing_goes_when_a_host_cannot_be_understood() {
    let sandbox = shop();
    store(&sandbox, 0..3, &[0]);
    let before = keys(&sandbox, "shop");
    sandbox.host("web-1", 0, &json!({}));
    fs::write(sandbox.outside("store/status/shop/dev/web-1.json"), "<html>").unwrap();
    let told = sandbox.on_store(&["prune", "--keep", "1", "--yes", "--output", "json"]).exits(4).json();
    let message = told["error"]["message"].as_str().unwrap();
    let expected = "nothing is removed, because what host `web-1` of group `dev` of `shop` says cannot be read: ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(keys(&sandbox, "shop"), before);
}

#[test]
fn the_application_of_the_settings_is_the_one_that_is_pruned() {
    let sandbox = shop();
    let artifacts = store(&sandbox, 0..3, &[]);
    sandbox.write("longshore.toml", "application = \"other\"\n");
    assert_eq!(prune(&sandbox, &["--keep", "1", "--yes"])["removed"], json!([]));
    assert_eq!(prune(&sandbox, &["--keep", "1", "--yes", "--all-applications"])["removed"], json!(artifacts[..2]));
}

#[test]
fn what_would_go_is_shown_and_other_applications_are_left_alone() {
    let sandbox = shop();
    let artifacts = store(&sandbox, 0..3, &[]);
    let text = sandbox.on_store(&["prune", "--keep", "1", "--application", "other"]).ok().stdout;
    assert_eq!(text, "would remove 0 artifacts (0 B)\n0 stay because they are new, 0 because groups need them\n");
    let text = sandbox.on_store(&["prune", "--keep", "1"]).ok().stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(&format!("  {}", artifacts[0])) && lines[1].ends_with(&artifacts[1]), "{text}");
    assert!(lines[2].starts_with("would remove 2 artifacts (") && lines[2].ends_with("; `--yes` removes"), "{text}");
    assert_eq!(lines[3], "1 stay because they are new, 0 because groups need them");
}
