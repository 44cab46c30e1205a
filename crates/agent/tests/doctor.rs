//! `doctor`, by the real program, on healthy and on broken hosts.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::{Ran, Sandbox};
use serde_json::Value;

fn doctor(host: &Sandbox, more: &[&str]) -> Ran {
    let mut command = host.agent(&[&["doctor"], more].concat());
    command.env("HOME", host.path()).env("DOCKER_HOST", "unix:///no/such.sock");
    // What a test puts there hides what this host has.
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", host.path().join("bin").display()));
    Ran::of(command.output().unwrap())
}

/// The findings that are not ok: severity and what.
fn bad(host: &Sandbox, more: &[&str]) -> Vec<(String, String)> {
    let ran = doctor(host, &[more, &["--output", "json"]].concat());
    // After the findings comes the error, when there is one.
    let mut documents = serde_json::Deserializer::from_str(&ran.out).into_iter::<Value>();
    let findings = documents.next().unwrap().unwrap();
    let findings = findings.as_array().unwrap().iter().filter(|finding| finding["severity"] != "ok");
    let text = |value: &Value| value.as_str().unwrap().replace(&host.path().display().to_string(), "{sandbox}");
    findings.map(|finding| (text(&finding["severity"]), text(&finding["what"]))).collect()
}

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_healthy_host_has_nothing_but_good_findings_and_is_left_as_it_is() {
    let host = Sandbox::new();
    assert_eq!(bad(&host, &[]), []);
    assert!(!host.root().exists(), "not even the root is made");
    let one = host.traced("one", &[("index.html", "1")]);
    host.deploy(&one, &[]).succeeds();
    let before = host.tree(host.path());
    let ran = doctor(&host, &[]).succeeds();
    let of_revision = doctor(&host, &[one.to_str().unwrap(), "--group", "new"]).succeeds();
    assert_eq!(host.tree(host.path()), before);
    insta::assert_snapshot!(host.stable(&ran.out));
    insta::assert_snapshot!("a_healthy_revision", host.stable(&of_revision.out));
}

#[test]
fn a_broken_host_has_each_finding_with_its_reason_and_its_fix() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  ApplicationStart:\n    - \
                   location: run.sh\n    - location: other.sh\n";
    let one = host.revision(
        "one",
        &[("appspec.yml", appspec), ("run.sh", "#!/bin/sh\ntrue\n"), ("other.sh", "true\n"), ("site/a", "1")],
    );
    host.deploy(&one, &[]).succeeds();
    host.deploy(&one, &[]).succeeds();
    let ids = host.history();
    let installed = host.deployment(&ids[0].0).join("deployment-archive");
    // The installed revision decays.
    let decayed = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\npermissions:\n  - object: {www}\n    owner: \
         no-such-owner-here\n    group: no-such-group-here\nhooks:\n  ApplicationStart:\n    - location: run.sh\n      runas: \
         no-such-user-here\n    - location: other.sh\n",
        www = host.www().display()
    );
    fs::write(installed.join("appspec.yml"), decayed).unwrap();
    fs::write(installed.join("run.sh"), "#!/no/such/interpreter\ndocker compose up\n").unwrap();
    fs::write(installed.join("other.sh"), "#!/bin/bash\r\ntrue\r\n").unwrap();
    // It has the other compose than its scripts call.
    for program in ["docker", "docker-compose"] {
        let path = host.path().join("bin").join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
        chmod(&path, 0o755);
    }
    // Others may write, credentials are open, litter is left, a record is damaged, the clock went backwards.
    chmod(&host.root().join("groups"), 0o777);
    fs::create_dir(host.path().join(".aws")).unwrap();
    fs::write(host.path().join(".aws/credentials"), "[default]\n").unwrap();
    chmod(&host.path().join(".aws/credentials"), 0o644);
    fs::write(host.www().join(".longshore-old-1"), "x").unwrap();
    fs::write(host.root().join("groups/shop~dev/good.json"), "{").unwrap();
    let journal = host.deployment(&ids[1].0).join("journal.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    let year = &lines[7..11];
    fs::write(&journal, lines.replace(&format!("\"at\":\"{year}-"), "\"at\":\"2999-")).unwrap();

    let before = host.tree(host.path());
    let ran = doctor(&host, &[]).exits(1).tells("that will make a deployment fail");
    assert_eq!(host.tree(host.path()), before);
    let text = host.stable(&ran.out);
    let is_time = |word: &str| word.trim_end_matches(',').len() == 20 && word.trim_end_matches(',').ends_with('Z');
    let words = |line: &str| {
        line.split(' ').map(|word| if is_time(word) { "{at}" } else { word }).collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(text.lines().map(words).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_revision_is_looked_at_before_it_is_deployed() {
    let host = Sandbox::new();
    let appspec =
        "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n      runas: no-such-user-here\n";
    let bad_user = host.revision("user", &[("appspec.yml", appspec), ("run.sh", "#!/usr/bin/env no-such-program\n")]);
    assert_eq!(
        bad(&host, &[bad_user.to_str().unwrap()]),
        [
            ("error".into(), "there is no user `no-such-user-here` (runas of `run.sh`)".into()),
            (
                "error".into(),
                "the interpreter `no-such-program` of `run.sh` (AfterInstall, {sandbox}/revisions/user) is not on this host".into()
            )
        ]
    );
    let broken = host.revision("broken", &[("appspec.yml", "version: 0.0\nos: lunix\n")]);
    assert_eq!(bad(&host, &[broken.to_str().unwrap()]).len(), 1);
    assert_eq!(
        bad(&host, &[host.path().join("none.zip").to_str().unwrap()])[0].1,
        "there is no bundle at `{sandbox}/none.zip`: No such file or directory (os error 2)"
    );
    let unreachable = bad(&host, &[&format!("file://{}/none/b.zip", host.path().display())]);
    assert_eq!(unreachable.len(), 1, "{unreachable:?}");
    assert!(unreachable[0].1.starts_with("cannot fetch `file://"), "{unreachable:?}");
    doctor(&host, &["ftp://x/y"]).exits(2);
}

#[test]
fn what_was_left_unfinished_or_damaged_is_found() {
    let host = Sandbox::new();
    let one = host.traced("one", &[("a", "1")]);
    host.deploy(&one, &[]).succeeds();
    host.deploy(&one, &[]).succeeds();
    let ids = host.history();
    // The journals end in the middle, as when the agent was killed, and make no sense.
    let cut = |id: &str, change: &dyn Fn(Vec<&str>) -> String| {
        let path = host.deployment(id).join("journal.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text.lines().collect())).unwrap();
    };
    cut(&ids[0].0, &|lines| lines[..4].join("\n") + "\n");
    cut(&ids[1].0, &|lines| format!("{}\nnonsense\n", lines[0]));
    let found = bad(&host, &[]);
    let damaged = format!(
        "journal `{{sandbox}}/root/shop~dev/{}/journal.jsonl` is damaged in line 2: expected ident at line 1 column 2",
        ids[1].0
    );
    assert_eq!(
        found,
        [
            ("error".into(), damaged),
            ("warning".into(), format!("deployment {} of `shop~dev` was left unfinished", ids[0].0))
        ]
    );
    fs::create_dir(host.root().join("groups/no group")).unwrap();
    assert_eq!(bad(&host, &[])[0].1, "{sandbox}/root/groups/no group is not the folder of a group");
    assert_eq!(bad(&host, &["--group", "dev"]).len(), 3);
    doctor(&host, &["--group", "prod"]).exits(7).tells("no deployment of group `prod`");
}

#[test]
fn a_root_that_is_no_folder_or_cannot_be_written_is_found() {
    let host = Sandbox::new();
    fs::write(host.root(), "").unwrap();
    let found = bad(&host, &[]);
    assert_eq!(found[0], ("error".into(), "{sandbox}/root is no folder".into()));
}

#[test]
fn missing_programs_are_found_by_the_path_of_the_agent() {
    let host = Sandbox::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n";
    let revision =
        host.revision("one", &[("appspec.yml", appspec), ("run.sh", "#!/bin/sh\nsudo docker-compose up -d\n")]);
    let mut command = host.agent(&["doctor", revision.to_str().unwrap()]);
    let ran = Ran::of(command.env("PATH", host.path()).output().unwrap()).exits(1);
    assert!(ran.out.contains("`sudo` is not installed"), "{}", ran.out);
    assert!(ran.out.contains("`docker` is not in the agent's PATH"), "{}", ran.out);
}
