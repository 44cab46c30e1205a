//! Groups in a folder store: pointers that move, hosts that are waited for, and the table of a fleet. The hosts' own words are
//! written by hand here, as their agents write them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::sandbox::{Ran, Sandbox};

/// A repository with one commit that is built, and a store.
pub(crate) fn shop() -> Sandbox {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    sandbox
}

impl Sandbox {
    pub(crate) fn store(&self) -> String {
        format!("file://{}", self.outside("store").display())
    }

    /// Runs a command on the store.
    pub(crate) fn on_store(&self, arguments: &[&str]) -> Ran {
        let store = self.store();
        self.run(&[arguments, &["--to", &store]].concat())
    }

    /// The next commit, at a time of its own, built.
    pub(crate) fn build_at(&self, epoch: i64) -> String {
        let _ = fs::remove_dir_all(self.path("dist"));
        self.commit_at(epoch);
        self.run(&["build"]).ok();
        self.head()
    }

    pub(crate) fn pointer(&self, group: &str) -> Value {
        let path = self.outside("store").join(format!("groups/shop/{group}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// What a host says: `fields` over a host that has done nothing yet. `age` seconds ago.
    pub(crate) fn host(&self, host: &str, age: u64, fields: &Value) {
        let mut status = json!({
            "format": 1, "host": host, "application": "shop", "group": "dev", "generation": 0, "deployment": null,
            "commit": null, "state": "idle", "event": null, "reason": null, "installed": null, "agent": "0.1.0",
            "at": "2026-01-02T03:04:06Z", "heartbeat_s": 60,
        });
        for (name, value) in fields.as_object().unwrap() {
            status[name] = value.clone();
        }
        let folder = self.outside("store/status/shop/dev");
        fs::create_dir_all(&folder).unwrap();
        let (path, temporary) = (folder.join(format!("{host}.json")), self.outside(&format!("{host}.new")));
        fs::write(&temporary, status.to_string()).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(&temporary).unwrap().set_modified(modified).unwrap();
        fs::rename(temporary, path).unwrap();
    }

    /// A host that is at the group's present deployment.
    pub(crate) fn host_at(&self, host: &str, state: &str, fields: &Value) {
        let pointer = self.pointer("dev");
        let mut all = json!({
            "generation": pointer["generation"], "deployment": pointer["deployment"], "commit": pointer["commit"],
            "state": state,
        });
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.host(host, 0, &all);
    }

    /// `push --group dev --wait` in the background, once its pointer has moved.
    pub(crate) fn pushing(&self, more: &[&str]) -> Pushing {
        self.moving(&[&["push", "--group", "dev", "--wait"], more].concat())
    }

    /// A command in the background, once the pointer of `dev` has moved.
    pub(crate) fn moving(&self, arguments: &[&str]) -> Pushing {
        let mut longshore = Command::new(env!("CARGO_BIN_EXE_longshore"));
        longshore.args(arguments).args(["--output", "json", "--to", &self.store()]);
        let before = fs::read(self.outside("store/groups/shop/dev.json")).ok();
        let longshore = longshore.current_dir(self.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = longshore.spawn().unwrap();
        let told = Arc::new(Mutex::new(String::new()));
        let (stderr, write) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&told));
        let reader = thread::spawn(move || {
            for line in stderr.lines() {
                write.lock().unwrap().push_str(&format!("{}\n", line.unwrap()));
            }
        });
        until("the pointer moves", || fs::read(self.outside("store/groups/shop/dev.json")).ok() != before);
        Pushing { child, told, reader }
    }
}

#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A `longshore` that waits for hosts.
pub(crate) struct Pushing {
    pub(crate) child: Child,
    told: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Pushing {
    /// Until it has told this.
    #[track_caller]
    pub(crate) fn tells(&self, text: &str) {
        until(text, || self.told.lock().unwrap().contains(text));
    }

    /// Its exit code, its result, and everything that it told.
    pub(crate) fn ended(self) -> (i32, Value, String) {
        let output = self.child.wait_with_output().unwrap();
        self.reader.join().unwrap();
        let told = self.told.lock().unwrap().clone();
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap(), told)
    }
}

/// Every host of a document with its standing.
fn standings(json: &Value) -> Vec<(String, String)> {
    let hosts = json["groups"][0]["waited"]["hosts"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    hosts.iter().map(|host| (text(&host["host"]), text(&host["standing"]))).collect()
}

#[test]
fn a_pushed_artifact_is_what_its_groups_should_run() {
    let sandbox = shop().env("GITHUB_ACTIONS", "true").env("GITHUB_ACTOR", "octo").env("GITHUB_RUN_ID", "42");
    let sandbox = sandbox.env("LONGSHORE_COMMIT", &shop().head());
    let json = sandbox.on_store(&["push", "--group", "dev", "--group", "stg", "--output", "json"]).ok().json();
    for (number, group) in ["dev", "stg"].iter().enumerate() {
        let pointer = sandbox.pointer(group);
        let expected = json!({
            "format": 1,
            "application": "shop",
            "group": group,
            "generation": 1,
            "deployment": pointer["deployment"],
            "revision": {
                "key": format!("shop/{}.zip", sandbox.head()),
                "etag": json["revision"]["eTag"],
                "size": json["size"],
                "content_digest": json["content_digest"],
            },
            "commit": sandbox.head(),
            "dirty": false,
            "commit_time": 1_767_323_046,
            "older": false,
            "at": pointer["at"],
            "by": "octo, GitHub Actions 42",
        });
        assert_eq!(pointer, expected);
        assert_eq!(json["groups"][number]["pointer"], pointer);
        assert_eq!(json["groups"][number]["moved"], "first");
    }
    assert_ne!(sandbox.pointer("dev")["deployment"], sandbox.pointer("stg")["deployment"]);
}

#[test]
fn the_newest_commit_wins_and_an_older_one_is_refused_with_who_and_when() {
    let sandbox = shop();
    let first = sandbox.head();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let second = sandbox.build_at(1_800_000_000);
    let told = sandbox.on_store(&["push", "--group", "dev"]).ok().stderr;
    let moved = format!("to commit {} as d-", &second[..12]);
    assert!(told.contains(&moved) && told.contains(&format!("which was at commit {}", &first[..12])), "{told}");

    let before = sandbox.pointer("dev");
    let told = sandbox.on_store(&["point", "--group", "dev", "--commit", &first[..8]]).exits(4).stderr;
    let error = format!(
        "error: group `dev` of `shop` stands at a newer commit than commit {} of 2026-01-02T03:04:06Z: commit {} of \
         2027-01-15T08:00:00Z, moved there at {} by {} (generation 2, {})\n\n\
         hint: add `--allow-older` to go back on purpose\n",
        &first[..12],
        &second[..12],
        before["at"].as_str().unwrap(),
        before["by"].as_str().unwrap(),
        before["deployment"].as_str().unwrap()
    );
    assert_eq!(told, error);
    assert_eq!(sandbox.pointer("dev"), before);

    sandbox.on_store(&["point", "--group", "dev", "--commit", &first, "--allow-older"]).ok();
    let now = sandbox.pointer("dev");
    assert_eq!((&now["commit"], &now["generation"], &now["older"]), (&json!(first), &json!(3), &json!(true)));
}

#[test]
fn a_fleet_gets_out_of_a_broken_stop_script_with_one_move() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev", "--skip", "ApplicationStop,AfterBlockTraffic"]).ok();
    let pointer = sandbox.pointer("dev");
    assert_eq!((&pointer["skip"], pointer.get("stop_from")), (&json!(["ApplicationStop", "AfterBlockTraffic"]), None));
    sandbox.on_store(&["point", "--group", "dev", "--generation", "1", "--stop-from", "new"]).ok();
    let pointer = sandbox.pointer("dev");
    assert_eq!((pointer.get("skip"), &pointer["stop_from"]), (None, &json!("new")));
    // It is said of one move alone.
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let pointer = sandbox.pointer("dev");
    assert_eq!((pointer.get("skip"), pointer.get("stop_from")), (None, None));
    for refused in
        [&["--skip", "Install", "--group", "dev"][..], &["--skip", "Warm", "--group", "dev"], &["--stop-from", "new"]]
    {
        sandbox.on_store(&[&["push"], refused].concat()).exits(2);
    }
}

#[test]
fn the_same_commit_again_is_deployed_again() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let before = sandbox.pointer("dev");
    let json = sandbox.on_store(&["push", "--group", "dev", "--output", "json"]).ok().json();
    assert_eq!((&json["already_published"], &json["groups"][0]["moved"]), (&json!(true), &json!("again")));
    let after = sandbox.pointer("dev");
    assert_eq!((&after["generation"], &after["commit"]), (&json!(2), &before["commit"]));
    assert_ne!(after["deployment"], before["deployment"]);
    let kept = fs::read(sandbox.outside("store/history/shop/dev/0000000001.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), before);
}

#[test]
fn a_group_goes_back_to_what_it_ran_before_and_to_any_generation() {
    let sandbox = shop();
    let first = sandbox.head();
    sandbox.on_store(&["point", "--group", "dev", "--previous"]).exits(7);
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let told = sandbox.on_store(&["point", "--group", "dev", "--previous"]).exits(7).stderr;
    assert_eq!(told, "error: group `dev` of `shop` has run no other artifact before\n");
    let second = sandbox.build_at(1_800_000_000);
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    // Once more: the one before is another artifact, not the same one of an earlier generation.
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    for (arguments, generation, commit) in [
        (&["--previous"][..], 4, &first),
        (&["--previous"], 5, &second),
        (&["--generation", "1"], 6, &first),
        (&["--generation", "6"], 7, &first),
    ] {
        sandbox.on_store(&[&["point", "--group", "dev"], arguments].concat()).ok();
        let pointer = sandbox.pointer("dev");
        assert_eq!((&pointer["generation"], &pointer["commit"]), (&json!(generation), &json!(commit)), "{arguments:?}");
    }
    let told = sandbox.on_store(&["point", "--group", "dev", "--generation", "9"]).exits(7).stderr;
    assert_eq!(
        told,
        "error: group `dev` of `shop` has no generation 9 in its history; it is at 7\n\nhint: its history holds generations from 1 to 6\n"
    );
    fs::remove_file(sandbox.outside(&format!("store/shop/{second}.zip"))).unwrap();
    let told = sandbox.on_store(&["point", "--group", "dev", "--previous"]).exits(7).stderr;
    assert!(told.ends_with(&format!("caused by: `file://[dir]/store/shop/{second}.zip` does not exist\n")), "{told}");
    assert_eq!(sandbox.pointer("dev")["generation"], 7);
}

#[test]
fn a_pointer_needs_an_artifact_that_is_there_and_good() {
    let sandbox = shop();
    sandbox.on_store(&["push"]).ok();
    let told = sandbox.on_store(&["point", "--group", "dev", "--commit", "abcdef0"]).exits(7).stderr;
    let error = "error: no artifact of `shop` is published in `file://[dir]/store` for commit abcdef0\n\n\
                 hint: publish it first: longshore build && longshore push --to file://[dir]/store\n";
    assert_eq!(told, error);
    let told = sandbox.on_store(&["point", "--group", "dev", "--key", "shop/no.zip"]).exits(7).stderr;
    let hint =
        "hint: a key is relative to the store, like `shop/<commit>.zip`; `--commit` finds the artifact of a commit\n";
    assert!(told.ends_with(hint), "{told}");
    fs::write(sandbox.outside("store/shop/bad.zip"), "no zip").unwrap();
    sandbox.on_store(&["point", "--group", "dev", "--key", "shop/bad.zip"]).exits(8);
    let key = format!("shop/{}.zip", sandbox.head());
    let told = sandbox.on_store(&["point", "--group", "dev", "--key", &key, "--application", "other"]).exits(2).stderr;
    assert_eq!(told, format!("error: `file://[dir]/store/{key}` is an artifact of `shop`, not of `other`\n"));
    assert!(!sandbox.outside("store/groups").exists());
    sandbox.on_store(&["point", "--group", "dev", "--key", &key]).ok();
    assert_eq!(sandbox.pointer("dev")["revision"]["key"], json!(key));
}

#[test]
fn a_dirty_artifact_is_what_no_group_runs_unless_it_is_wanted() {
    let sandbox = Sandbox::shop();
    sandbox.write("app/index.html", "changed\n");
    sandbox.run(&["build", "--allow-dirty"]).ok();
    let artifact = sandbox.artifact().display().to_string();
    let told = sandbox.on_store(&["push", &artifact, "--group", "dev"]).exits(1).stderr;
    assert!(
        told.ends_with(
            "was built from a work tree that differs from its commit, and no group is moved to it\n\n\
             hint: commit and build again, or add `--allow-dirty`\n"
        ),
        "{told}"
    );
    assert!(!sandbox.outside("store").exists(), "nothing is published either");
    sandbox.on_store(&["push", &artifact, "--group", "dev", "--allow-dirty"]).ok();
    assert_eq!(sandbox.pointer("dev")["dirty"], true);
    let told = sandbox.on_store(&["point", "--group", "stg", "--commit", &sandbox.head()]).exits(7).stderr;
    let key = sandbox.pointer("dev")["revision"]["key"].as_str().unwrap().to_owned();
    let way = format!("hint: only a dirty build is there: `point --key {key} --allow-dirty`, or `deploy --revision ");
    assert!(told.contains(&way) && told.ends_with(&format!("{key} --allow-dirty`\n")), "{told}");
    sandbox.on_store(&["point", "--group", "stg", "--key", &key]).exits(1);
    sandbox.on_store(&["point", "--group", "stg", "--key", &key, "--allow-dirty"]).ok();
}

#[test]
fn a_pointer_of_an_unknown_format_is_left_alone() {
    let sandbox = shop();
    fs::create_dir_all(sandbox.outside("store/groups/shop")).unwrap();
    let path = sandbox.outside("store/groups/shop/dev.json");
    for (contents, cause) in [
        (r#"{"format": 2, "generations": []}"#, "`groups/shop/dev.json` has format 2; this program knows format 1"),
        ("nothing", "`groups/shop/dev.json` cannot be read as a pointer"),
    ] {
        fs::write(&path, contents).unwrap();
        let told = sandbox.on_store(&["push", "--group", "dev"]).exits(4).stderr;
        let error = format!("error: group `dev` of `shop` stays as it is\n  caused by: {cause}\n");
        assert!(told.contains(&error), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        // The other groups are shown all the same.
        let ran = sandbox.on_store(&["status"]).exits(4);
        assert_eq!(ran.stdout, "shop dev: the pointer cannot be read\nno host follows it\n");
    }
}

#[test]
fn no_group_moves_when_one_of_them_may_not() {
    let sandbox = shop();
    let first = sandbox.head();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    sandbox.build_at(1_800_000_000);
    sandbox.on_store(&["push", "--group", "stg"]).ok();
    let before = sandbox.pointer("dev");
    sandbox.on_store(&["point", "--group", "dev", "--group", "stg", "--commit", &first]).exits(4);
    assert_eq!(sandbox.pointer("dev"), before);
}

#[test]
fn a_pointer_that_was_removed_begins_above_what_hosts_have_seen() {
    let sandbox = shop();
    for _ in 0..3 {
        sandbox.on_store(&["push", "--group", "dev"]).ok();
    }
    fs::remove_file(sandbox.outside("store/groups/shop/dev.json")).unwrap();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    assert_eq!(sandbox.pointer("dev")["generation"], 4);
    fs::remove_dir_all(sandbox.outside("store/history")).unwrap();
    fs::remove_file(sandbox.outside("store/groups/shop/dev.json")).unwrap();
    sandbox.host("web-1", 0, &json!({"generation": 7}));
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    assert_eq!(sandbox.pointer("dev")["generation"], 8);
}

#[test]
fn a_pointer_that_went_back_moves_on_above_its_history_and_above_what_hosts_have_seen() {
    let sandbox = shop();
    let path = sandbox.outside("store/groups/shop/dev.json");
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let old = fs::read(&path).unwrap();
    for _ in 0..3 {
        sandbox.on_store(&["push", "--group", "dev"]).ok();
    }
    fs::write(&path, &old).unwrap();
    // The history knows of three; the fourth is lost, and a host may have seen it.
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    assert_eq!(sandbox.pointer("dev")["generation"], 5);
    fs::write(&path, &old).unwrap();
    sandbox.host("web-1", 0, &json!({"generation": 21}));
    // A host that lies cannot take the generations away from those who move pointers.
    sandbox.host("web-2", 0, &json!({"generation": 9_999_999_999_u64}));
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    assert_eq!(sandbox.pointer("dev")["generation"], 22);
}

#[test]
fn a_host_that_refused_the_pointer_itself_has_no_deployment_to_explain() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    let pushing = sandbox.pushing(&[]);
    sandbox.host("web-1", 0, &json!({"generation": 1, "state": "refused", "reason": "its bundle is another one"}));
    let (code, json, told) = pushing.ended();
    assert_eq!(code, 11, "{told}");
    let store = sandbox.store();
    let hint = format!("`longshore status --to {store} --group dev --application shop` shows how it goes on");
    assert_eq!(json["error"]["hints"], json!([hint]));
}

#[test]
fn a_group_whose_only_host_is_paused_is_not_waited_for() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({"state": "paused"}));
    let ran = sandbox.on_store(&["push", "--group", "dev", "--wait", "--timeout", "2h"]).exits(12);
    let deployment = sandbox.pointer("dev")["deployment"].as_str().unwrap().to_owned();
    let error = format!(
        "     Warning web-1 is not waited for: it is paused\n\
         error: deployment {deployment} to `dev` waits for hosts that are paused: web-1\n\n\
         hint: on the host: longshore-agent control resume\n\
         hint: `longshore status --to file://[dir]/store --group dev --application shop` shows how it goes on\n"
    );
    assert!(ran.stderr.ends_with(&error), "{}", ran.stderr);
}

#[test]
fn of_several_groups_each_one_that_fails_is_named() {
    let sandbox = shop();
    let told = sandbox.on_store(&["push", "--group", "dev", "--group", "stg", "--wait", "--timeout", "0s"]);
    let told = told.exits(12).stderr;
    let of = |group: &str| {
        let deployment = sandbox.pointer(group)["deployment"].as_str().unwrap().to_owned();
        format!("deployment {deployment} to `{group}` has not ended within 0s: no host follows the group")
    };
    assert!(told.contains(&format!("error: {}; {}\n", of("dev"), of("stg"))), "{told}");
    for group in ["dev", "stg"] {
        assert!(told.contains(&format!("--group {group} --application shop` shows how it goes on\n")), "{told}");
        let alone = format!("warning: no host follows group `{group}` of `shop` yet\n");
        assert!(told.contains(&alone), "{told}");
    }
}

#[test]
fn why_a_host_failed_is_told_once() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let failed = json!({"reason": "`scripts/check.sh` exited with 3"});
    sandbox.host("web-1", 0, &json!({}));
    let ran = thread::scope(|scope| {
        let push = scope.spawn(|| sandbox.on_store(&["push", "--group", "dev", "--wait"]));
        until("the pointer moves", || sandbox.pointer("dev")["generation"] == 2);
        sandbox.host_at("web-1", "failed", &failed);
        push.join().unwrap().exits(11)
    });
    let told = format!("{}{}", ran.stderr, ran.stdout);
    assert_eq!(told.matches("`scripts/check.sh` exited with 3").count(), 1, "{told}");
}

#[test]
fn of_racing_pushes_each_generation_is_one_and_the_newest_commit_stands_at_the_end() {
    const PUSHES: i64 = 8;
    let repositories: Vec<Sandbox> = (0..PUSHES)
        .map(|number| {
            let sandbox = shop();
            sandbox.write("app/index.html", &format!("{number}\n"));
            // A bundle tells times that are two seconds apart.
            sandbox.build_at(1_800_000_000 + 2 * number);
            sandbox
        })
        .collect();
    let store = repositories[0].store();
    let ran: Vec<Ran> = thread::scope(|scope| {
        // The newest ones first, so that there is something to lose.
        let running: Vec<_> = repositories
            .iter()
            .rev()
            .map(|sandbox| {
                let store = &store;
                scope.spawn(move || sandbox.run(&["push", "--to", store, "--group", "dev", "--output", "json"]))
            })
            .collect();
        running.into_iter().map(|ran| ran.join().unwrap()).collect()
    });
    let moved = ran.iter().filter(|ran| ran.code == 0).count();
    for lost in ran.iter().filter(|ran| ran.code != 0) {
        assert_eq!(lost.code, 4, "{}", lost.stderr);
        let error = &lost.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("group `dev` of `shop` stands") && message.contains(" by "), "{message}");
        assert!(!error["hints"].as_array().unwrap().is_empty(), "{error}");
    }
    let pointer = repositories[0].pointer("dev");
    assert_eq!(pointer["generation"], json!(moved));
    let told: String = ran.iter().map(|ran| ran.stderr.as_str()).collect();
    assert_eq!(pointer["commit"], json!(repositories.last().unwrap().head()), "{told}");
    // Every generation before is in the history, each newer than the one before it.
    let times: Vec<i64> = (1..moved)
        .map(|generation| {
            let path = repositories[0].outside("store").join(format!("history/shop/dev/{generation:010}.json"));
            let kept: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            assert_eq!(kept["generation"], json!(generation));
            kept["commit_time"].as_i64().unwrap()
        })
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn two_jobs_with_the_same_commit_end_well_whoever_is_first() {
    let (one, other) = (shop(), shop());
    let store = one.store();
    let push = |sandbox: &Sandbox| sandbox.run(&["push", "--to", &store, "--group", "dev"]).ok();
    thread::scope(|scope| {
        scope.spawn(|| push(&one));
        scope.spawn(|| push(&other));
    });
    assert_eq!(one.pointer("dev")["commit"], json!(one.head()));
}

#[test]
fn waiting_ends_well_when_every_host_that_lives_has_made_it() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    sandbox.host("web-2", 0, &json!({}));
    sandbox.host("web-3", 181, &json!({}));
    sandbox.host("web-4", 0, &json!({"state": "stopped"}));
    let pushing = sandbox.pushing(&["--timeout", "1m"]);
    sandbox.host_at("web-1", "succeeded", &json!({}));
    sandbox.host_at("web-2", "deploying", &json!({"event": "Install"}));
    pushing.tells("   Deploying web-2: Install\n");
    // A host that comes while others are waited for.
    sandbox.host_at("web-5", "deploying", &json!({"event": "Install"}));
    pushing.tells("   Deploying web-5: Install\n");
    sandbox.host_at("web-2", "succeeded", &json!({}));
    pushing.tells("    Deployed web-2\n");
    sandbox.host_at("web-5", "succeeded", &json!({}));
    let (code, json, told) = pushing.ended();
    assert_eq!((code, &json["groups"][0]["waited"]["ended"]), (0, &json!("succeeded")), "{told}");
    let expected = [
        ("web-1", "succeeded"),
        ("web-2", "succeeded"),
        ("web-3", "silent"),
        ("web-4", "stopped"),
        ("web-5", "succeeded"),
    ];
    assert_eq!(standings(&json), expected.map(|(host, standing)| (host.to_owned(), standing.to_owned())));
    assert!(told.contains("    Deployed web-1\n"), "{told}");
    assert!(told.contains("     Warning web-3 is not waited for: has not written for 3m\n"), "{told}");
    assert!(told.contains("     Warning web-4 is not waited for: its agent is stopped\n"), "{told}");
}

#[test]
fn a_host_that_fails_is_told_with_its_last_lines_when_all_others_are_done() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    sandbox.host("web-2", 0, &json!({}));
    let pushing = sandbox.pushing(&["--timeout", "1m"]);
    sandbox.host_at(
        "web-2",
        "failed",
        &json!({
            "event": "ValidateService",
            "reason": "`scripts/check.sh` exited with 3",
            "failed_script": {"script": "scripts/check.sh", "code": 4, "last_lines": ["asking", "gave up"]},
        }),
    );
    sandbox.host_at("web-1", "succeeded", &json!({}));
    let (code, json, told) = pushing.ended();
    let deployment = sandbox.pointer("dev")["deployment"].as_str().unwrap().to_owned();
    assert_eq!(code, 11, "{told}");
    assert_eq!(standings(&json), [("web-1".into(), "succeeded".into()), ("web-2".into(), "failed".into())]);
    assert_eq!(json["groups"][0]["waited"]["ended"], "failed");
    assert_eq!(json["commit"], json!(sandbox.head()));
    let failed = "      Failed web-2 in ValidateService: `scripts/check.sh` exited with 3\n    asking\n    gave up\n";
    assert!(told.contains(failed), "{told}");
    let error = json!({
        "message": format!("deployment {deployment} to `dev` failed on 1 of 2 hosts: web-2"),
        "causes": [],
        "hints": [format!("on the host: longshore-agent explain {deployment}")],
        "exit_code": 11,
    });
    assert_eq!(json["error"], error);
    assert!(!told.contains("error:"), "{told}");
}

#[test]
fn who_does_not_end_in_time_is_named() {
    let sandbox = shop();
    for (hosts, why) in [
        (&[][..], "no host follows the group"),
        (&[("web-1", 181)], "too few hosts made it; left out: web-1"),
        (&[("web-1", 181), ("web-2", 0)], "still under way: web-2"),
    ] {
        for (host, age) in hosts {
            sandbox.host(host, *age, &json!({}));
        }
        let ran = sandbox.on_store(&["push", "--group", "dev", "--wait", "--timeout", "1s"]).exits(12);
        let deployment = sandbox.pointer("dev")["deployment"].as_str().unwrap().to_owned();
        let error = format!(
            "error: deployment {deployment} to `dev` has not ended within 1s: {why}\n\n\
             hint: `longshore status --to file://[dir]/store --group dev --application shop` shows how it goes on\n"
        );
        assert!(ran.stderr.ends_with(&error), "{}", ran.stderr);
    }
}

#[test]
fn a_group_that_no_host_follows_is_a_success_only_when_asked_for() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev", "--wait", "--timeout", "0s"]).exits(12);
    sandbox.on_store(&["push", "--group", "dev", "--wait", "--wait-hosts", "0"]).ok();
    sandbox.on_store(&["push", "--wait"]).exits(2);
    sandbox.on_store(&["push", "--group", "dev", "--timeout", "1s"]).exits(2);
}

#[test]
fn a_deployment_that_is_overtaken_is_not_waited_for() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    let pushing = sandbox.pushing(&[]);
    let before = sandbox.pointer("dev");
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    let (code, json, told) = pushing.ended();
    let after = sandbox.pointer("dev");
    assert_eq!((code, &json["groups"][0]["waited"]["ended"]), (4, &json!("superseded")), "{told}");
    let overtaken = format!(
        "deployment {} to `dev` was overtaken: {} moved the group to commit {} at {} (generation 2, {})",
        before["deployment"].as_str().unwrap(),
        after["by"].as_str().unwrap(),
        &sandbox.head()[..12],
        after["at"].as_str().unwrap(),
        after["deployment"].as_str().unwrap()
    );
    assert_eq!(json["error"]["message"], overtaken);
}

#[test]
fn who_stops_waiting_stops_no_deployment() {
    let sandbox = shop();
    sandbox.host("web-1", 0, &json!({}));
    for signal in ["-INT", "-TERM"] {
        let pushing = sandbox.pushing(&[]);
        sandbox.host_at("web-1", "deploying", &json!({"event": "Install"}));
        pushing.tells("   Deploying web-1: Install\n");
        let id = pushing.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let (code, json, told) = pushing.ended();
        let pointer = sandbox.pointer("dev");
        assert_eq!((code, &json["groups"][0]["waited"]["ended"]), (1, &json!("interrupted")), "{told}");
        let goes_on = format!("interrupted; deployment {} to `dev` goes on", pointer["deployment"].as_str().unwrap());
        assert_eq!(json["error"]["message"], goes_on);
    }
}

#[test]
fn the_status_of_a_group_is_a_table_of_its_hosts() {
    let sandbox = shop();
    let told = sandbox.on_store(&["status"]).exits(7).stderr;
    let error = "error: there is no store `file://[dir]/store`: the folder does not exist\n\n\
                 hint: the first `longshore push` makes it\n";
    assert_eq!(told, error);
    fs::create_dir(sandbox.outside("store")).unwrap();
    assert_eq!(sandbox.on_store(&["status"]).ok().stdout, "no group in file://[dir]/store\n");
    sandbox.on_store(&["status", "--group", "dev"]).exits(7);
    sandbox.host("web-1", 0, &json!({}));
    let told = sandbox.on_store(&["status", "--group", "dev"]).ok().stdout;
    assert!(told.starts_with("shop dev: nobody has moved it to an artifact yet\nHOST   STATE  "), "{told}");
    sandbox.on_store(&["push", "--group", "dev", "--group", "stg"]).ok();
    sandbox.host_at("web-2", "succeeded", &json!({}));
    sandbox.host("web-3", 200, &json!({"generation": 1}));
    let json = sandbox.on_store(&["status", "--group", "dev", "--output", "json"]).ok().json();
    let groups = json["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["pointer"]), (1, &sandbox.pointer("dev")));
    let hosts: Vec<_> = groups[0]["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| {
            (host["host"].as_str().unwrap(), host["standing"].as_str().unwrap(), &host["silent"], &host["behind"])
        })
        .collect();
    let (yes, no) = (&json!(true), &json!(false));
    let expected = [("web-1", "unaware", no, yes), ("web-2", "succeeded", no, no), ("web-3", "silent", yes, no)];
    assert_eq!(hosts, expected);
    // Without a group all of them, and the store may be named by its variable.
    let store = sandbox.store();
    let json = sandbox.env("LONGSHORE_STORE", &store).run(&["status", "--output", "json"]).ok().json();
    let groups: Vec<_> = json["groups"].as_array().unwrap().iter().map(|group| &group["group"]).collect();
    assert_eq!(groups, ["dev", "stg"]);
}

#[test]
fn a_host_that_says_too_much_is_unreadable_and_the_others_are_seen() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    sandbox.host_at("web-1", "succeeded", &json!({}));
    sandbox.host_at("web-2", "failed", &json!({"reason": "x".repeat(64 << 10)}));
    let json = sandbox.on_store(&["status", "--group", "dev", "--output", "json"]).ok().json();
    let hosts = json["groups"][0]["hosts"].as_array().unwrap();
    let standings: Vec<_> = hosts.iter().map(|host| (&host["host"], &host["standing"])).collect();
    assert_eq!(standings, [(&json!("web-1"), &json!("succeeded")), (&json!("web-2"), &json!("unreadable"))]);
}

#[test]
fn a_host_that_is_gone_for_good_is_forgotten() {
    let sandbox = shop();
    sandbox.on_store(&["push", "--group", "dev"]).ok();
    sandbox.host("web-1", 200, &json!({}));
    sandbox.host("web-2", 0, &json!({}));
    let told = sandbox.on_store(&["status", "--group", "dev", "--forget", "web-1"]).ok().stderr;
    assert_eq!(told, "      Forgot `web-1`\n");
    let told = sandbox.on_store(&["status", "--group", "dev", "--forget", "web-1"]).exits(7).stderr;
    assert_eq!(told, "error: no host `web-1` of group `dev` says anything in `file://[dir]/store`\n");
    let told = sandbox.on_store(&["status", "--group", "dev", "--forget", "web-2"]).ok().stderr;
    assert!(told.ends_with(" ago: it will be back as soon as its agent writes again\n"), "{told}");
    let json = sandbox.on_store(&["status", "--output", "json"]).ok().json();
    assert_eq!(json["groups"][0]["hosts"], json!([]));
    sandbox.on_store(&["status", "--forget", "web-1"]).exits(2);
}
