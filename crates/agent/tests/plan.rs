//! What `plan` shows: whole texts, and that nothing is touched.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "the harness serves other tests too")]
mod sandbox;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use longshore_core::bundle::manifest::Tool;
use longshore_core::bundle::{FileKind, Manifest, ManifestFile, content_digest};
use longshore_core::digest::Sha256;
use sandbox::Sandbox;

const COMMITS: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];

/// Writes the manifest that `longshore build` would.
fn sign(revision: &Path, commit: &str) {
    let mut files = Vec::new();
    let mut folders = vec![revision.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = || path.strip_prefix(revision).unwrap().to_str().unwrap().parse().unwrap();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                files.push(ManifestFile::link(name(), fs::read_link(&path).unwrap().to_str().unwrap()));
            } else {
                let (bytes, executable) = (fs::read(&path).unwrap(), metadata.permissions().mode() & 0o111 != 0);
                files.push(ManifestFile::file(name(), executable, bytes.len() as u64, Sha256::of(&bytes)));
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.iter().all(|file| matches!(file.kind, FileKind::File | FileKind::Link)));
    let manifest = Manifest {
        format: 1,
        tool: Tool { name: "longshore".into(), version: "0.1.0".into(), compressor: "none".into() },
        application: "shop".parse().unwrap(),
        commit: commit.parse().unwrap(),
        dirty: false,
        time: 0,
        content_digest: content_digest(&files),
        images: Vec::new(),
        files,
    };
    fs::create_dir(revision.join(".longshore")).unwrap();
    fs::write(revision.join(".longshore/manifest.json"), manifest.to_json()).unwrap();
}

const APPSPEC: &str = "\
version: 0.0
os: linux
files:
  - source: site
    destination: {www}
permissions:
  - object: {www}
    pattern: '*.conf'
    owner: daemon
    group: daemon
    mode: 640
    type: [file]
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
      timeout: 30
  AfterInstall:
    - location: scripts/migrate.sh
      timeout: 5400
      runas: nobody
    - location: scripts/warm.sh
      timeout: 90
  ValidateService:
    - location: scripts/check.sh
";

/// Two releases with every kind of change between them.
fn releases(host: &Sandbox) -> [std::path::PathBuf; 2] {
    let script = "#!/bin/sh\n";
    let one = host.revision(
        "one",
        &[
            ("appspec.yml", APPSPEC),
            ("scripts/stop.sh", script),
            ("scripts/migrate.sh", "#!/bin/sh\n# 41 tables\n"),
            ("scripts/warm.sh", script),
            ("scripts/check.sh", script),
            ("site/index.html", "version 1"),
            ("site/same.html", "the same"),
            ("site/same.conf", "the same"),
            ("site/app.conf", "a = 1"),
            ("site/old/gone.html", "gone"),
            ("site/tool", "tool"),
        ],
    );
    symlink("index.html", one.join("site/default")).unwrap();
    sign(&one, COMMITS[0]);
    let two = host.revision(
        "two",
        &[
            ("appspec.yml", APPSPEC),
            ("scripts/stop.sh", script),
            ("scripts/migrate.sh", "#!/bin/sh\n# 42 tables\n"),
            ("scripts/warm.sh", script),
            ("scripts/check.sh", script),
            ("site/index.html", "version 2"),
            ("site/same.html", "the same"),
            ("site/same.conf", "the same"),
            ("site/app.conf", "a = 1\nb = 2"),
            ("site/new/page.html", "new"),
            ("site/tool", "tool"),
        ],
    );
    symlink("new/page.html", two.join("site/default")).unwrap();
    fs::set_permissions(two.join("site/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    sign(&two, COMMITS[1]);
    [one, two]
}

#[test]
fn a_first_deployment_is_shown_whole() {
    let host = Sandbox::new();
    let [one, _] = releases(&host);
    let before = host.tree(host.path());
    insta::assert_snapshot!(host.stable(&host.plan(&one, &[]).succeeds().out));
    assert_eq!(host.tree(host.path()), before, "not even the root is made");
}

#[test]
fn an_update_is_shown_as_the_difference_to_what_stands_on_disk() {
    let host = Sandbox::new();
    let [one, two] = releases(&host);
    host.deploy(&one, &[]).succeeds();
    // Somebody was here since.
    chown(host.www().join("same.html"), Some(1), None).unwrap();
    let before = host.tree(host.path());
    insta::assert_snapshot!("update", host.stable(&host.plan(&two, &[]).succeeds().out));
    insta::assert_snapshot!("update_all", host.stable(&host.plan(&two, &["--all"]).succeeds().out));
    assert_eq!(host.tree(host.path()), before);

    // The plan came true: after it, the same revision changes nothing.
    host.deploy(&two, &[]).succeeds();
    let again = host.stable(&host.plan(&two, &[]).succeeds().out);
    assert!(again.contains("which is installed already"), "{again}");
    assert!(again.contains("\nInstall             7 unchanged (expected)\nAfterInstall "), "{again}");
}

#[test]
fn programs_get_every_path_with_what_stands_there_and_what_will() {
    let host = Sandbox::new();
    let [one, two] = releases(&host);
    host.deploy(&one, &[]).succeeds();
    let json: serde_json::Value = serde_json::from_str(&host.plan(&two, &["--output", "json"]).succeeds().out).unwrap();
    assert_eq!(
        json["sum"],
        serde_json::json!({"created": 1, "changed": 4, "same": 2, "kept": 0, "deleted": 1,
            "bytes": 9 + 8 + 8 + 11 + 3 + 4, "hooks": 4, "limit_s": 30 + 5400 + 90 + 3600})
    );
    let www = host.www();
    let change = |name: &str| {
        let path = www.join(name);
        let mut changes = json["changes"].as_array().unwrap().iter();
        changes.find(|change| change["path"] == path.to_str().unwrap()).unwrap().clone()
    };
    let conf = change("app.conf");
    assert_eq!(
        conf,
        serde_json::json!({
            "path": www.join("app.conf"), "change": "change", "acl": null,
            "before": {"kind": "file", "size": 5, "sha256": null, "mode": 0o640, "owner": "daemon", "group": "daemon"},
            "after": {"kind": "file", "size": 11, "sha256": Sha256::of(b"a = 1\nb = 2").to_string(), "mode": 0o640,
                "owner": "daemon", "group": "daemon"},
        })
    );
    assert_eq!(change("same.conf")["change"], "same");
    assert_eq!(
        (&change("old/gone.html")["change"], &change("old/gone.html")["after"]),
        (&"delete".into(), &serde_json::Value::Null)
    );
    assert_eq!(json["scripts"][1], serde_json::json!({"script": "scripts/migrate.sh", "change": "change"}));
    assert_eq!(json["too_long"], serde_json::json!([{"event": "AfterInstall", "limit_s": 5490}]));
    assert_eq!(json["underway"], serde_json::json!([]));
}

#[test]
fn thousands_of_files_are_counted_by_folder() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    let many = |name: &str, changed: usize| {
        let revision = host.revision(name, &[("appspec.yml", appspec)]);
        for number in 0..3000 {
            let folder = revision.join(format!("site/assets/{:02}/{}", number % 30, number % 2));
            fs::create_dir_all(&folder).unwrap();
            let version = if number < changed { name } else { "stays" };
            fs::write(folder.join(format!("{number}.js")), version).unwrap();
        }
        fs::write(revision.join("site/index.html"), name).unwrap();
        revision
    };
    let (one, two) = (many("one", 100), many("two", 100));
    fs::remove_file(two.join("site/assets/07/1/7.js")).unwrap();
    insta::assert_snapshot!("many_new", host.stable(&host.plan(&one, &[]).succeeds().out));
    host.deploy(&one, &[]).succeeds();
    insta::assert_snapshot!("many_changed", host.stable(&host.plan(&two, &[]).succeeds().out));
    assert_eq!(
        host.plan(&two, &["--all"]).succeeds().out.matches("\n    same     ").count(),
        2900 + 62,
        "files and folders"
    );
}

#[test]
fn files_in_the_way_are_all_told_and_the_plan_ends_as_the_deployment_would() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    let revision = host.revision("r", &[("appspec.yml", appspec), ("site/a", "1"), ("site/b", "2"), ("site/c", "3")]);
    fs::create_dir_all(host.www().join("c")).unwrap();
    for name in ["a", "b"] {
        fs::write(host.www().join(name), "the user's").unwrap();
    }
    let planned = host.plan(&revision, &[]).exits(6);
    insta::assert_snapshot!(host.stable(&format!("{}\n{}", planned.out, planned.told)));
    let deployed = host.deploy(&revision, &[]).exits(6);
    assert!(deployed.told.ends_with(&planned.told), "{}", deployed.told);

    fs::remove_dir(host.www().join("c")).unwrap();
    let kept = host.plan(&revision, &["--file-exists-behavior", "RETAIN"]).succeeds();
    insta::assert_snapshot!("retained", host.stable(&kept.out));
}

#[test]
fn scripts_that_cannot_be_started_are_refused_before_anything_runs() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  BeforeInstall:\n    - location: windows.sh\n    - location: zsh.sh\n  \
                   AfterInstall:\n    - location: missing.sh\n    - location: env.sh\n";
    let revision = host.revision(
        "broken",
        &[
            ("appspec.yml", appspec),
            ("windows.sh", "#!/bin/sh\r\necho ran >> {trace}\r\n"),
            ("zsh.sh", "#!/usr/bin/no-such-shell\n"),
            ("env.sh", "#!/usr/bin/env no-such-program\n"),
        ],
    );
    let planned = host.plan(&revision, &[]).exits(5);
    insta::assert_snapshot!(host.stable(&format!("{}\n{}", planned.out, planned.told)));
    let deployed = host.deploy(&revision, &[]).exits(5);
    let without_ids = |text: &str| {
        let parts = text.split("shop~dev/").map(|part| part.split_once('/').map_or(part, |(_, rest)| rest));
        parts.collect::<Vec<_>>().join("…/")
    };
    assert!(without_ids(&deployed.told).ends_with(&without_ids(&planned.told)), "{}\n{}", deployed.told, planned.told);
    assert_eq!((host.trace(), host.history()[0].1.as_str()), (String::new(), "refused"));
}

#[test]
fn an_interpreter_that_the_release_brings_is_no_reason_to_refuse() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: bin\n    destination: {www}/bin\nhooks:\n  AfterInstall:\n    \
                   - location: own.sh\n";
    let own = ("own.sh", "#!{www}/bin/shell\necho ran >> {trace}\n");
    let revision = host.revision("own", &[("appspec.yml", appspec), own]);
    fs::create_dir(revision.join("bin")).unwrap();
    fs::copy("/bin/sh", revision.join("bin/shell")).unwrap();
    let planned = host.plan(&revision, &[]).succeeds();
    let warning = "Warning: AfterInstall: the interpreter `{sandbox}/www/bin/shell` of `own.sh` does not exist";
    assert!(host.stable(&planned.out).contains(warning), "{}", planned.out);
    host.deploy(&revision, &[]).succeeds();
    assert_eq!(host.trace(), "ran\n");
}

#[test]
fn what_is_under_way_in_the_group_is_told_first_without_being_disturbed() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n      timeout: 60\n";
    let wait = "#!/bin/sh\necho waiting >> {trace}\nwhile [ ! -e {trace}.go ]; do sleep 0.02; done\n";
    let revision = host.revision("wait", &[("appspec.yml", appspec), ("wait.sh", wait)]);
    let arguments = ["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"];
    let mut agent = host.agent(&arguments).args(["--deployment-id", "d-FIRST"]).spawn().unwrap();
    let wait_for = |condition: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "it did not happen in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(&|| host.trace() == "waiting\n");
    let top = |text: &str| {
        let text = text.replace(&agent_id(&host), "{process}");
        text.lines().nth(3).unwrap_or_default().replace(&host.path().display().to_string(), "{sandbox}")
    };
    // What the running script still writes itself is no work of the plan.
    let written = || {
        let mut tree = host.tree(&host.root());
        let own = ["logs", "hooks", "events.jsonl"];
        tree.retain(|path, _| !path.components().any(|part| own.iter().any(|name| part.as_os_str() == *name)));
        tree
    };
    let before = written();
    let during = host.plan(&revision, &[]).exits(9).tells("another deployment of the group is under way");
    assert_eq!(
        top(&during.out),
        "Under way: another deployment of this group (process {process}, deployment d-FIRST); until it ends, this one \
         would be refused"
    );
    assert_eq!(written(), before, "nothing is touched");

    agent.kill().unwrap();
    agent.wait().unwrap();
    let orphan = host.plan(&revision, &[]).exits(9).tells("script `wait.sh` of the interrupted deployment d-FIRST");
    assert_eq!(
        top(&orphan.out),
        "Under way: script `wait.sh` of d-FIRST, whose agent is gone; until it ends, this deployment would be refused; it \
         writes to {sandbox}/root/shop~dev/d-FIRST/logs/scripts.log"
    );

    fs::write(host.path().join("trace.go"), "").unwrap();
    wait_for(&|| host.plan(&revision, &[]).code == Some(0));
    let unfinished = host.plan(&revision, &[]).succeeds();
    assert_eq!(top(&unfinished.out), "Unfinished: d-FIRST, which stopped in AfterInstall");
}

/// The process in the lock file of group `dev`.
fn agent_id(host: &Sandbox) -> String {
    let lock = fs::read_to_string(host.root().join("groups/shop~dev/lock")).unwrap();
    lock.trim_start_matches("process ").split(',').next().unwrap().to_owned()
}

#[test]
fn a_file_system_without_room_is_told_and_the_plan_ends_as_the_deployment_would() {
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\n";
    // The archive does not fit; the files do not fit; both fit alone, but not together.
    for (place, room, code) in [("root", "64k", 1), ("www", "64k", 6), (".", "300k", 6)] {
        let host = Sandbox::new();
        let big = "x".repeat(100_000);
        let revision = host.revision("big", &[("appspec.yml", appspec), ("site/big", &big), ("site/more", &big)]);
        let small = host.path().join("small");
        fs::create_dir(&small).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={room}"), "tmpfs"]).arg(&small);
        assert!(mount.status().unwrap().success(), "this test needs root and the right to mount a tmpfs");
        for name in ["root", "www"] {
            if place == "." || place == name {
                let there = small.join(name);
                fs::create_dir(&there).unwrap();
                symlink(there, host.path().join(name)).unwrap();
            }
        }
        let (planned, deployed) = (host.plan(&revision, &[]), host.deploy(&revision, &[]));
        assert!(std::process::Command::new("umount").arg(&small).status().unwrap().success());
        let planned = planned.exits(code).tells("not enough space");
        assert!(planned.out.contains("\nWarning: there is not enough space") || place == "www", "{}", planned.out);
        deployed.exits(code);
    }
}
