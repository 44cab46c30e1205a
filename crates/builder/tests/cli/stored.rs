//! Deploying, going back and stopping by the pointer of a folder store. The hosts' own words are written by hand here, as their agents
//! write them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::group::{shop, until};
use crate::sandbox::{Ran, Sandbox};

const DEPLOY: [&str; 5] = ["deploy", "--with", "store", "--group", "dev"];

fn verb<'a>(sandbox: &Sandbox, verb: &'a str, more: &[&'a str]) -> Ran {
    sandbox.on_store(&[&[verb, "--with", "store", "--group", "dev", "--output", "json"], more].concat())
}

/// A commit of its own, deployed, and the only host's word on it.
fn deployed(sandbox: &Sandbox, epoch: i64, state: Option<&str>) -> Value {
    sandbox.build_at(epoch);
    verb(sandbox, "deploy", &[]).ok();
    if let Some(state) = state {
        sandbox.host_at(
            "web-1",
            state,
            &json!({"restored": state == "failed", "reason": (state == "failed").then_some("no")}),
        );
    }
    sandbox.pointer("dev")
}

#[test]
fn what_is_deployed_is_the_published_artifact_of_the_commit_and_else_the_built_one() {
    let sandbox = shop();
    let json = verb(&sandbox, "deploy", &[]).ok().json();
    let pointer = sandbox.pointer("dev");
    let (key, etag) = (pointer["revision"]["key"].as_str().unwrap(), pointer["revision"]["etag"].as_str().unwrap());
    assert_eq!(
        json,
        json!({
            "with": "store",
            "store": "file://[dir]/store",
            "revision": format!("file://[dir]/store/{key}?etag={etag}"),
            "published": true,
            "moved_images": [],
            "groups": [{
                "application": "shop", "group": "dev", "moved": "first", "pointer": pointer, "before": null, "waited": null,
            }],
        })
    );
    fs::remove_dir_all(sandbox.path("dist")).unwrap();
    let ran = verb(&sandbox, "deploy", &[]).ok();
    let again = ran.json();
    assert_eq!((&again["published"], &again["groups"][0]["moved"]), (&json!(false), &json!("again")));
    assert_eq!(again["groups"][0]["pointer"]["revision"], pointer["revision"]);
    assert!(ran.stderr.contains(&format!("`file://[dir]/store/{key}`: already published")), "{}", ran.stderr);
    sandbox.commit_at(1_800_000_000);
    let told = verb(&sandbox, "deploy", &[]).exits(7).json();
    assert_eq!(told["error"]["hints"], json!(["build it first: longshore build"]));
}

#[test]
fn an_artifact_can_be_named_and_belongs_to_the_store_that_the_hosts_follow() {
    let sandbox = shop();
    let first = sandbox.head();
    sandbox.on_store(&["push"]).ok();
    let url = format!("{}/shop/{first}.zip", sandbox.store());
    let bundle = sandbox.artifact().display().to_string();
    for (number, named) in [["--commit", &first[..8]], ["--revision", &url], ["--bundle", &bundle]].iter().enumerate() {
        let json = verb(&sandbox, "deploy", named).ok().json();
        let pointer = &json["groups"][0]["pointer"];
        assert_eq!((&pointer["generation"], &pointer["commit"]), (&json!(number + 1), &json!(first)), "{named:?}");
    }
    let pinned = format!("{url}?etag={}", "0".repeat(64));
    let elsewhere = format!("file://{}", sandbox.outside("else/1.zip").display());
    for (url, code, message) in [
        (
            &pinned,
            8,
            format!("cannot look for the artifact in `file://[dir]/store/shop/{first}.zip?etag={}`", "0".repeat(64)),
        ),
        (
            &elsewhere,
            2,
            "`file://[dir]/else/1.zip` is not in the store `file://[dir]/store`, which the hosts of the group follow"
                .to_owned(),
        ),
    ] {
        let told = verb(&sandbox, "deploy", &["--revision", url]).exits(code).json();
        assert_eq!(told["error"]["message"], message);
    }
    assert_eq!(sandbox.pointer("dev")["generation"], 3);
}

#[test]
fn a_project_says_who_deploys_and_where_to_and_a_job_learns_what_came_of_it() {
    let sandbox = shop();
    let settings =
        format!("application = \"shop\"\n\n[groups.dev]\nwith = \"store\"\nstore = \"{}\"\n", sandbox.store());
    sandbox.write("longshore.toml", &settings);
    sandbox.build_at(1_800_000_000);
    let (outputs, dotenv) = (sandbox.outside("outputs"), sandbox.outside("job.env"));
    let (path, commit) = (outputs.display().to_string(), sandbox.head());
    let sandbox = sandbox.env("GITHUB_OUTPUT", &path).env("LONGSHORE_DOTENV", dotenv.to_str().unwrap());
    sandbox.run(&["deploy", "--group", "dev"]).ok();
    let id = sandbox.pointer("dev")["deployment"].as_str().unwrap().to_owned();
    let url = format!("{}/shop/{commit}.zip", sandbox.store());
    let written = format!("deployment_id={id}\ndeployment_status=created\ncommit={commit}\nurl={url}\n");
    assert_eq!(fs::read_to_string(&outputs).unwrap(), written);
    let written = format!(
        "LONGSHORE_OUT_DEPLOYMENT_ID={id}\nLONGSHORE_OUT_DEPLOYMENT_STATUS=created\nLONGSHORE_OUT_COMMIT={commit}\n\
         LONGSHORE_OUT_URL={url}\n"
    );
    assert_eq!(fs::read_to_string(&dotenv).unwrap(), written);
    for verb in ["deployments", "stop"] {
        let ran = sandbox.run(&[verb, "--group", "dev"]).ok();
        assert!(ran.stdout.contains(&id), "{}", ran.stdout);
    }
}

#[test]
fn what_only_codedeploy_understands_is_refused_by_name() {
    let sandbox = shop();
    let options = ["--deployment-config", "X", "--no-alarms", "--ignore-stop-failures=false"];
    let told = verb(&sandbox, "deploy", &options).exits(2).json();
    let message = "`--deployment-config`, `--ignore-stop-failures`, `--no-alarms` are about CodeDeploy, and hosts that follow a store deploy to `dev`";
    assert_eq!(told["error"]["message"], message);
    let told = verb(&sandbox, "stop", &["--codedeploy-group", "x"]).exits(2).json();
    let message = "`--codedeploy-group` is about CodeDeploy, and hosts that follow a store deploy to `dev`";
    assert_eq!(told["error"]["message"], message);
    assert!(!sandbox.outside("store").exists());
}

#[test]
fn the_exit_code_tells_how_a_deployment_ended() {
    let sandbox = shop();
    for (state, fields, code, ended) in [
        ("succeeded", json!({}), 0, "succeeded"),
        ("failed", json!({}), 11, "failed"),
        ("failed", json!({"restored": true}), 13, "rolled_back"),
        ("failed", json!({"stopped": true}), 14, "stopped"),
        ("refused", json!({"stopped": true}), 14, "stopped"),
    ] {
        sandbox.host("web-1", 0, &json!({}));
        let deploying = sandbox.moving(&[&DEPLOY[..], &["--wait"]].concat());
        sandbox.host_at("web-1", state, &fields);
        let (found, json, told) = deploying.ended();
        assert_eq!((found, &json["groups"][0]["waited"]["ended"]), (code, &json!(ended)), "{state} {fields}: {told}");
    }
}

#[test]
fn an_interruption_stops_the_deployment_where_that_is_what_it_means() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    let deploying = sandbox.moving(&[&DEPLOY[..], &["--wait", "--on-interrupt", "stop"]].concat());
    sandbox.host_at("web-1", "deploying", &json!({"event": "Install"}));
    deploying.tells("   Deploying web-1: Install\n");
    let begun = sandbox.pointer("dev");
    assert!(Command::new("kill").arg(deploying.child.id().to_string()).status().unwrap().success());
    until("the pointer says so", || sandbox.pointer("dev")["generation"] == 2);
    let pointer = sandbox.pointer("dev");
    assert_eq!((&pointer["stop"], &pointer["deployment"]), (&begun["deployment"], &begun["deployment"]));
    sandbox.host_at("web-1", "failed", &json!({"event": "Install", "stopped": true}));
    let (code, json, told) = deploying.ended();
    assert_eq!(code, 14, "{told}");
    let message = format!(
        "deployment {} to `dev` was stopped by {} at {}; halted: web-1",
        begun["deployment"].as_str().unwrap(),
        pointer["by"].as_str().unwrap(),
        pointer["at"].as_str().unwrap()
    );
    assert_eq!(json["error"]["message"], message);
}

#[test]
fn a_deployment_that_is_stopped_ends_the_waiting_of_whoever_began_it() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    let deploying = sandbox.moving(&[&DEPLOY[..], &["--wait"]].concat());
    sandbox.host_at("web-1", "deploying", &json!({"event": "Install"}));
    deploying.tells("   Deploying web-1: Install\n");
    let begun = sandbox.pointer("dev");
    let id = begun["deployment"].as_str().unwrap();
    let told = verb(&sandbox, "stop", &["d-OTHER"]).exits(4).json();
    let other = format!(
        "deployment d-OTHER to `dev` is not under way: the group is at {id} since {}",
        begun["at"].as_str().unwrap()
    );
    assert_eq!(told["error"]["message"], other);
    let stopped = verb(&sandbox, "stop", &[]).ok().json();
    assert_eq!((&stopped["stopped"], &stopped["already"]), (&json!(id), &json!(false)));
    let pointer = sandbox.pointer("dev");
    let mut expected = begun.clone();
    expected["generation"] = json!(2);
    for (name, value) in [("stop", json!(id)), ("at", pointer["at"].clone()), ("by", pointer["by"].clone())] {
        expected[name] = value;
    }
    assert_eq!(pointer, expected);
    deploying.tells(&format!("    Stopping {id} on the hosts of `dev`, as "));
    let again = verb(&sandbox, "stop", &[id]).ok().json();
    assert_eq!((&again["already"], &sandbox.pointer("dev")), (&json!(true), &pointer));
    sandbox.host_at("web-1", "failed", &json!({"event": "Install", "stopped": true}));
    let (code, _, told) = deploying.ended();
    assert_eq!(code, 14, "{told}");
    assert!(told.contains("     Stopped web-1: halted after Install\n"), "{told}");
    let status = sandbox.on_store(&["status", "--group", "dev"]).ok().stdout;
    assert!(status.contains(", stopped ") && status.contains("  halted  Install "), "{status}");
}

#[test]
fn a_deployment_that_has_ended_everywhere_is_not_stopped() {
    let sandbox = shop();
    let begun = deployed(&sandbox, 1_800_000_000, Some("succeeded"));
    let told = verb(&sandbox, "stop", &[]).exits(4).json();
    let message = format!("deployment {} to `dev` has ended on all its hosts", begun["deployment"].as_str().unwrap());
    assert_eq!(told["error"]["message"], message);
    assert_eq!(sandbox.pointer("dev"), begun);
    let told = sandbox.on_store(&["stop", "--with", "store", "--group", "stg"]).exits(7).stderr;
    assert!(
        told.starts_with("error: nothing was ever deployed to group `stg` of `shop` in `file://[dir]/store`\n"),
        "{told}"
    );
}

#[test]
fn stopping_can_go_back_to_the_last_good_revision_at_once() {
    let sandbox = shop();
    let good = deployed(&sandbox, 1_800_000_000, Some("succeeded"));
    sandbox.build_at(1_800_000_010);
    let deploying = sandbox.moving(&[&DEPLOY[..], &["--wait"]].concat());
    sandbox.host_at("web-1", "deploying", &json!({"event": "Install"}));
    deploying.tells("   Deploying web-1: Install\n");
    let bad = sandbox.pointer("dev");
    verb(&sandbox, "stop", &["--rollback"]).ok();
    let now = sandbox.pointer("dev");
    assert_eq!((&now["revision"], &now["stop"]), (&good["revision"], &bad["deployment"]));
    assert!(now["deployment"] != bad["deployment"] && now["deployment"] != good["deployment"]);
    let (code, json, told) = deploying.ended();
    assert_eq!((code, &json["groups"][0]["waited"]["ended"]), (14, &json!("stopped")), "{told}");
}

#[test]
fn going_back_means_the_last_deployment_that_succeeded_with_another_artifact() {
    let sandbox = shop();
    let good = deployed(&sandbox, 1_800_000_000, Some("succeeded"));
    deployed(&sandbox, 1_800_000_010, Some("failed"));
    let present = deployed(&sandbox, 1_800_000_020, Some("failed"));
    let dry = verb(&sandbox, "rollback", &["--dry-run"]).ok().json();
    let expected = json!({
        "with": "store", "store": "file://[dir]/store", "application": "shop", "group": "dev", "dry_run": true,
        "to": {"pointer": good, "ended": "succeeded"},
    });
    assert_eq!((dry, sandbox.pointer("dev")), (expected, present));
    let ran = verb(&sandbox, "rollback", &[]).ok();
    assert!(ran.stderr.contains("(generation 1), which succeeded on its hosts\n"), "{}", ran.stderr);
    let now = sandbox.pointer("dev");
    assert_eq!((&now["generation"], &now["older"], &now["revision"]), (&json!(4), &json!(true), &good["revision"]));
}

#[test]
fn going_back_without_knowing_what_was_good_is_said() {
    let sandbox = shop();
    let first = deployed(&sandbox, 1_800_000_000, None);
    let told = verb(&sandbox, "rollback", &[]).exits(7).json();
    assert_eq!(told["error"]["message"], "group `dev` of `shop` has run no other artifact before that did not fail");
    deployed(&sandbox, 1_800_000_010, None);
    let ran = verb(&sandbox, "rollback", &[]).ok();
    let warning = "warning: no earlier deployment is known to have succeeded with another artifact; this is the last one of which \
                   nothing bad is known\n";
    assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
    assert_eq!(sandbox.pointer("dev")["revision"], first["revision"]);
}

#[test]
fn deployments_are_listed_with_how_they_ended() {
    let sandbox = shop().env("GITHUB_ACTIONS", "true").env("GITHUB_ACTOR", "octo").env("GITHUB_RUN_ID", "42");
    let pointers = [
        deployed(&sandbox, 1_800_000_000, Some("succeeded")),
        deployed(&sandbox, 1_800_000_010, Some("failed")),
        deployed(&sandbox, 1_800_000_020, Some("deploying")),
    ];
    verb(&sandbox, "stop", &[]).ok();
    let stop = sandbox.pointer("dev");
    let said = json!({
        "generation": 4, "deployment": stop["deployment"], "commit": stop["commit"], "state": "failed", "stopped": true,
        "event": "Install", "heartbeat_s": 86_400,
    });
    sandbox.host("web-1", 7200, &said);
    let listed = verb(&sandbox, "deployments", &[]).ok().json();
    let shown: Vec<Value> = listed["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["generation"], it["deployment"], it["ended"], it["stopped"]]))
        .collect();
    let id = |number: usize| &pointers[number]["deployment"];
    let stopped = json!({"at": stop["at"], "by": stop["by"]});
    assert_eq!(
        shown,
        [
            json!([3, id(2), "stopped", stopped]),
            json!([2, id(1), "rolled_back", null]),
            json!([1, id(0), "succeeded", null])
        ]
    );
    let text = |arguments: &[&str]| {
        let mut text = sandbox
            .on_store(&[&["deployments", "--with", "store", "--group", "dev"], arguments].concat())
            .ok()
            .stdout
            .replace(stop["at"].as_str().unwrap(), "2026-01-02T03:04:06Z");
        for (number, pointer) in pointers.iter().enumerate() {
            let (id, commit) = (pointer["deployment"].as_str().unwrap(), pointer["commit"].as_str().unwrap());
            text = text.replace(id, &format!("d-{}", number.to_string().repeat(9)));
            text = text.replace(pointer["at"].as_str().unwrap(), "2026-01-02T03:04:06Z");
            text = text
                .replace(commit, &number.to_string().repeat(40))
                .replace(&commit[..12], &number.to_string().repeat(12));
        }
        text
    };
    insta::assert_snapshot!(text(&["--limit", "2"]));
    insta::assert_snapshot!(text(&[id(1).as_str().unwrap()]));
    insta::assert_snapshot!(text(&[id(2).as_str().unwrap()]));
    let told = verb(&sandbox, "deployments", &["d-NONE"]).exits(7).json();
    assert_eq!(told["error"]["message"], "group `dev` has no deployment d-NONE in its history");
}

#[test]
fn a_deployment_that_was_overtaken_on_a_host_is_told_as_such() {
    let sandbox = shop();
    let old = deployed(&sandbox, 1_800_000_000, Some("deploying"));
    deployed(&sandbox, 1_800_000_010, Some("deploying"));
    let listed = verb(&sandbox, "deployments", &[]).ok().json();
    let shown = |number: usize| {
        let it = &listed["deployments"][number];
        json!([it["ended"], it["hosts"]["web-1"]["how"]])
    };
    assert_eq!([shown(0), shown(1)], [json!(["unfinished", "unfinished"]), json!(["superseded", "superseded"])]);
    let text = |more: &[&str]| {
        sandbox.on_store(&[&["deployments", "--with", "store", "--group", "dev"], more].concat()).ok().stdout
    };
    let list = text(&[]);
    let words: Vec<bool> = ["unfinished on 1 of 1 host", "overtaken on 1 of 1 host"]
        .iter()
        .zip(list.lines().skip(1))
        .map(|(words, line)| line.contains(words))
        .collect();
    assert_eq!(words, [true, true], "{list}");
    let one = text(&[old["deployment"].as_str().unwrap()]);
    assert!(one.ends_with("\nHOST   ENDED\nweb-1  superseded\n"), "{one}");
    // Nothing bad is known of it.
    let back = verb(&sandbox, "rollback", &["--dry-run"]).ok().json();
    assert_eq!(back["to"]["ended"], "superseded");
}

#[test]
fn a_stop_of_ours_that_hosts_do_not_follow_in_time_was_a_stop_nevertheless() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    let options = ["--wait", "--on-interrupt", "stop", "--timeout", "20s"];
    let deploying = sandbox.moving(&[&DEPLOY[..], &options].concat());
    sandbox.host_at("web-1", "deploying", &json!({"event": "Install"}));
    assert!(Command::new("kill").arg(deploying.child.id().to_string()).status().unwrap().success());
    let (code, json, told) = deploying.ended();
    assert_eq!((code, &json["groups"][0]["waited"]["ended"]), (14, &json!("stopped")), "{told}");
    let pointer = sandbox.pointer("dev");
    assert_eq!(pointer["stop"], pointer["deployment"]);
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains(" was stopped by ") && message.ends_with("; still in an event: web-1"), "{message}");
}

/// A registry that has every image, with the digest of the moment.
fn registry(digest: &Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let digest = Arc::clone(digest);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            head.for_each(drop);
            let digest = digest.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
        }
    });
    host
}

#[test]
fn a_tag_that_moved_since_the_build_is_said_and_is_in_the_way_of_nothing() {
    let of = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
    let (old, new) = (of('a'), of('b'));
    let digest = Arc::new(Mutex::new(old.clone()));
    let image = format!("{}/shop:1", registry(&digest));
    let sandbox = shop().env("DOCKER_HOST", "unix:///nowhere");
    let compose = format!("services:\n  web:\n    image: {image}\n    restart: always\n");
    sandbox.write("docker-compose.dev.yml", &compose);
    sandbox.commit_at(1_800_000_000);
    sandbox.run(&["build", "--pin-images"]).ok();
    let same = verb(&sandbox, "deploy", &[]).ok();
    assert_eq!((&same.json()["moved_images"], same.stderr.contains("leads to")), (&json!([]), false));
    *digest.lock().unwrap() = new.clone();
    let moved = verb(&sandbox, "deploy", &[]).ok();
    let expected = json!({
        "services": ["web"], "image": image, "recorded": old, "now": new, "why_unknown": null, "locked": false,
    });
    assert_eq!(moved.json()["moved_images"], json!([expected]));
    let told = format!(
        "warning: `{image}` (`web`) leads to {new} now, and led to {old} when the artifact was built; hosts that pull it run what \
         it leads to now\n"
    );
    assert!(moved.stderr.contains(&told), "{}", moved.stderr);
    let silent = verb(&sandbox, "deploy", &["--no-image-check"]).ok();
    assert_eq!((&silent.json()["moved_images"], silent.stderr.contains("leads to")), (&json!(null), false));
}

#[test]
fn commands_to_type_next_name_the_region_that_was_named() {
    let sandbox = shop();
    let deploy = [&DEPLOY[3..], &["--wait", "--timeout", "1s", "--output", "json"]].concat();
    for (command, more) in [("deploy", &["--with", "store"][..]), ("push", &[])] {
        let named = [&[command, "--region", "eu-west-1"], more, &deploy].concat();
        let hints = sandbox.on_store(&named).exits(12).json()["error"]["hints"].clone();
        let status = "`longshore status --to file://[dir]/store --region eu-west-1 --group dev --application shop` shows how it goes on";
        assert_eq!(hints, json!([status]), "{command}");
    }
    let hints = verb(&sandbox, "stop", &["d-OTHER", "--region", "eu-west-1"]).exits(4).json()["error"]["hints"].clone();
    let options = "--application shop --group dev --with store --to file://[dir]/store --region eu-west-1";
    let expected = json!([
        format!("how it ended: longshore deployments {options} d-OTHER"),
        format!("to stop whatever hosts of the group are at: longshore stop {options}"),
    ]);
    assert_eq!(hints, expected);
}
