use std::fs::File;

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
