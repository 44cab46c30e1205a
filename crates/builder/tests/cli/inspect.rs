use crate::sandbox::Sandbox;

#[test]
fn an_artifact_shows_manifest_appspec_and_files() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let artifact = sandbox.artifact();
    let shown = sandbox.run(&["inspect", artifact.to_str().unwrap()]).ok().shown();
    // The size of the manifest follows the version of the compressor.
    let stable: Vec<&str> =
        shown.lines().filter(|line| !line.contains("manifest.json") && !line.contains("built by")).collect();
    insta::assert_snapshot!(stable.join("\n"));
}

#[test]
fn a_bundle_of_another_tool_is_shown_too() {
    let sandbox = Sandbox::shop();
    sandbox.shell("chmod 0644 appspec.yml app/*; tar -czf other.tgz --mode=go-w appspec.yml scripts app").ok();
    insta::assert_snapshot!(sandbox.run(&["inspect", "other.tgz"]).ok().shown());
}

#[test]
fn json_says_what_an_agent_would_run() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let artifact = sandbox.artifact();
    let json = sandbox.run(&["inspect", artifact.to_str().unwrap(), "--output", "json"]).ok().json();
    assert_eq!(json["manifest"]["commit"], sandbox.head());
    let hooks = serde_json::json!([
        {"event": "AfterInstall", "script": "scripts/install.sh", "timeout": 60, "runas": "root", "sudo": false},
    ]);
    assert_eq!(json["appspec"]["hooks"], hooks);
    let script =
        json["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == "scripts/install.sh").unwrap();
    assert_eq!((&script["kind"], &script["mode"]), (&"file".into(), &"0755".into()));
}

#[test]
fn a_hostile_bundle_cannot_drive_the_terminal() {
    let sandbox = Sandbox::shop();
    let make =
        "touch \"$(printf 'app/\\033[2J\\nhooks')\"; ln -s \"$(printf '\\033c')\" app/link; tar -czf other.tgz app";
    sandbox.shell(make).ok();
    let ran = sandbox.run(&["inspect", "other.tgz"]).ok();
    assert!(ran.stdout.contains(" app/\\u{1b}[2J\\nhooks\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains(" app/link → \\u{1b}c\n"), "{}", ran.stdout);
    assert_eq!((ran.stdout + &ran.stderr).find('\u{1b}'), None);
}

#[test]
fn what_is_no_bundle_is_refused() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["inspect", "README.md"]).exits(8);
    sandbox.run(&["inspect", "gone.zip"]).exits(7);
    sandbox.shell("ln -s loop.zip loop.zip").ok();
    let error = "error: cannot read bundle `loop.zip`\n  caused by: Too many levels of symbolic links (os error 40)\n";
    assert_eq!(sandbox.run(&["inspect", "loop.zip"]).exits(1).stderr, error);
}
