use std::fs::File;

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
