use std::fs;

use crate::sandbox::Sandbox;

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_ci_variable_that_contradicts_the_work_tree_is_refused() {
    let sandbox = Sandbox::shop().env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", OTHER);
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
    let head = sandbox.head();
    let json = sandbox.run(&["build", "--commit", &head, "--output", "json"]).ok().json();
    assert_eq!(json["commit"], head);
}

#[test]
fn a_ci_variable_that_agrees_is_where_the_commit_comes_from() {
    let sandbox = Sandbox::shop();
    let head = sandbox.head();
    let sandbox = sandbox.env("CODEBUILD_BUILD_ID", "x").env("CODEBUILD_RESOLVED_SOURCE_VERSION", &head);
    let ran = sandbox.run(&["build"]).ok();
    let line = format!("Commit {head} (from `CODEBUILD_RESOLVED_SOURCE_VERSION`)");
    assert!(ran.stderr.contains(&line), "{}", ran.stderr);
}

#[test]
fn a_merge_for_a_pull_request_is_used_and_named() {
    let sandbox = Sandbox::shop();
    let head = sandbox.head();
    let sandbox =
        sandbox.env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", &head).env("GITHUB_EVENT_NAME", "pull_request");
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!((&json["commit"], json["warnings"].as_array().unwrap().len()), (&head.into(), 1));
}

#[test]
fn without_git_the_variable_is_enough_and_the_time_is_1980() {
    let sandbox = Sandbox::shop().env("LONGSHORE_COMMIT", OTHER);
    fs::remove_dir_all(sandbox.path(".git")).unwrap();
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!((&json["commit"], &json["time"], &json["dirty"]), (&OTHER.into(), &315_532_800.into(), &false.into()));
}

#[test]
fn without_git_and_without_a_variable_the_way_out_is_shown() {
    let sandbox = Sandbox::shop();
    fs::remove_dir_all(sandbox.path(".git")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
}

#[test]
fn a_repository_without_a_commit_has_no_name_to_give() {
    let sandbox = Sandbox::empty();
    sandbox.write_shop();
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
}

#[test]
fn where_git_cannot_be_run_the_variable_is_enough_but_nothing_is_claimed_about_the_tree() {
    let sandbox = Sandbox::shop().env("PATH", "/nowhere").env("LONGSHORE_COMMIT", OTHER);
    let ran = sandbox.run(&["build"]).ok();
    assert!(ran.stderr.contains("warning: not checked whether the work tree differs"), "{}", ran.stderr);
    let sandbox = Sandbox::shop().env("PATH", "/nowhere");
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
}

#[test]
fn variables_of_a_git_hook_do_not_lead_to_another_repository() {
    let other = Sandbox::shop();
    other.write("x", "x");
    other.commit();
    let sandbox = Sandbox::shop().env("GIT_DIR", other.path(".git").to_str().unwrap());
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!(json["commit"], sandbox.head());
}

/// The owner of the files differs from who builds, as in CI containers. Tests run as root; where they do not, this one
/// cannot give a folder away and says so by failing.
#[test]
fn a_repository_of_another_user_is_read() {
    let sandbox = Sandbox::shop();
    sandbox.shell("chown -R 12345:12345 .").ok();
    let refused = sandbox.shell("git rev-parse HEAD");
    assert_ne!(refused.code, 0, "git must refuse a foreign repository by itself, or this test shows nothing");
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!(json["dirty"], false);
    sandbox.shell("chown -R 0:0 .").ok();
}

#[test]
fn a_source_folder_deep_in_a_repository_knows_its_own_changes() {
    let sandbox = Sandbox::empty();
    sandbox.write("service/appspec.yml", "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv\n");
    sandbox.write("service/longshore.toml", "application = \"service\"\n");
    sandbox.commit();
    sandbox.write("other/x", "untracked, elsewhere");
    sandbox.run(&["build", "--source", "service"]).ok();
    sandbox.write("service/x", "untracked, packed");
    let ran = sandbox.run(&["build", "--source", "service"]).exits(1);
    assert!(ran.stderr.contains("\n    service/x\n"), "{}", ran.stderr);
}
