use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

use serde_json::json;

use crate::sandbox::Sandbox;

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_a_reader_that_is_gone_is_not() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let store = format!("file://{}", sandbox.outside("store").display());
    let artifact = sandbox.artifact().display().to_string();
    for command in [
        &["--help"][..],
        &["--version"],
        &["help", "push"],
        &["init", "../other"],
        &["check", "--output", "json"],
        &["build"],
        &["inspect", &artifact],
        &["push", "--to", &store],
        &["push", "--to", &store, "--group", "dev"],
        &["point", "--to", &store, "--group", "dev", "--generation", "1"],
        &["status", "--to", &store],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = sandbox.run_into(full, command).exits(1).stderr;
        let error =
            "error: cannot write the result to standard output\n  caused by: No space left on device (os error 28)\n";
        assert!(full.ends_with(error), "{command:?}: {full}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = sandbox.run_into(writer, command).ok().stderr;
        assert!(!gone.contains("error:"), "{command:?}: {gone}");
    }
}

#[test]
fn a_failure_is_told_once_to_people_or_to_programs() {
    let wrong = |sandbox: Sandbox| {
        let ran = sandbox.run(&["explode"]).exits(2);
        (ran.stdout.is_empty(), ran.stderr.is_empty())
    };
    let failed = |sandbox: Sandbox, arguments: &[&str]| {
        let ran = sandbox.run(&[&["inspect", "no.zip"], arguments].concat()).exits(7);
        (ran.stdout.is_empty(), ran.stderr.is_empty())
    };
    let (people, programs) = ((true, false), (false, true));
    let json = || Sandbox::empty().env("LONGSHORE_OUTPUT", "json");
    assert_eq!(failed(Sandbox::empty(), &[]), people);
    assert_eq!(failed(Sandbox::empty(), &["--output", "json"]), programs);
    assert_eq!(failed(json(), &[]), programs);
    assert_eq!(failed(json(), &["--output", "text"]), people);
    assert_eq!(failed(Sandbox::empty().env("LONGSHORE_OUTPUT", ""), &[]), people);
    assert_eq!((wrong(Sandbox::empty()), wrong(json())), (people, programs));
    assert_eq!(json().run(&["inspect", "no.zip"]).json()["error"]["exit_code"], json!(7));
    let told = Sandbox::empty().env("LONGSHORE_OUTPUT", "yaml").run(&["inspect", "no.zip"]).exits(2).stderr;
    assert_eq!(told, "error: `LONGSHORE_OUTPUT` holds `yaml`\n\nhint: set it to `text` or `json`\n");
}

/// What the reference says are the members of each command's document.
fn members() -> BTreeMap<String, BTreeSet<String>> {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/longshore.md");
    let text = fs::read_to_string(reference).unwrap();
    let section = text.split("\n### Members\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let words = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        (cells[0].trim_matches('`').to_owned(), cells[1].to_owned())
    });
    let rows: BTreeMap<String, String> = rows.collect();
    let members = rows.iter().map(|(command, cell)| {
        let all = match cell.strip_prefix("those of `").and_then(|rest| rest.split_once('`')) {
            Some((other, more)) => words(&rows[other]).union(&words(more)).cloned().collect(),
            None => words(cell),
        };
        (command.clone(), all)
    });
    members.collect()
}

#[test]
fn every_command_answers_with_one_object_whose_members_the_reference_lists() {
    let sandbox = Sandbox::shop();
    let store = format!("file://{}", sandbox.outside("store").display());
    let first = sandbox.head();
    let bundle = format!("dist/shop-{first}.zip");
    let stored = ["--to", &store, "--with", "store", "--group", "prod"];
    let group = |words: &[&str]| [words, &stored].concat().iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let plain = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    // A host that says something of itself, so that it can be forgotten.
    let status = json!({
        "format": 1, "host": "web-1", "agent": "0.1.0", "at": "2026-01-02T03:04:05Z", "heartbeat_s": 900, "generation": 1,
        "deployment": null, "commit": null, "state": "idle",
    });
    let folder = sandbox.outside("store/status/shop/dev");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("web-1.json"), status.to_string()).unwrap();
    let commands = [
        ("init", plain(&["init", "../other"])),
        ("check", plain(&["check"])),
        ("keygen", plain(&["keygen", "--no-password", "../key"])),
        ("build", plain(&["build"])),
        ("sign", plain(&["sign", &bundle, "--key", "../key"])),
        ("verify", plain(&["verify", &bundle, "--public-key", "../key.pub"])),
        ("inspect", plain(&["inspect", &bundle])),
        ("push", plain(&["push", "--to", &store])),
        ("push --build", plain(&["push", "--build", "--to", &store])),
        ("push --group", plain(&["push", "--to", &store, "--group", "dev"])),
        ("point", plain(&["point", "--to", &store, "--group", "dev", "--commit", &first])),
        ("status", plain(&["status", "--to", &store])),
        ("status --forget", plain(&["status", "--to", &store, "--group", "dev", "--forget", "web-1"])),
        ("deploy --with store", group(&["deploy"])),
        ("deployments --with store", group(&["deployments"])),
        ("prune", plain(&["prune", "--to", &store])),
        ("config", plain(&["config"])),
    ];
    let mut answered = BTreeMap::new();
    let mut answer = |name: &str, words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--output", "json"]).collect();
        let json = sandbox.run(&words).ok().json();
        let names: BTreeSet<String> = json.as_object().unwrap().keys().cloned().collect();
        answered.insert(name.to_owned(), names);
        json
    };
    for (name, words) in &commands {
        answer(name, words);
    }
    let id = answer("deployments --with store", &group(&["deployments"]))["deployments"][0]["deployment"].clone();
    answer("deployments --with store DEPLOYMENT", &group(&["deployments", id.as_str().unwrap()]));
    sandbox.write("app/index.html", "<h1>Second</h1>\n");
    sandbox.commit();
    answer("build", &plain(&["build"]));
    answer("deploy --with store", &group(&["deploy"]));
    answer("rollback --with store --dry-run", &group(&["rollback", "--dry-run"]));
    answer("rollback --with store", &group(&["rollback"]));
    answer("stop --with store", &group(&["stop"]));
    answer("deploy --with store", &group(&["deploy"]));
    answer("stop --with store --rollback", &group(&["stop", "--rollback"]));
    assert_eq!(answered, members());
}
