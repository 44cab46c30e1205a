use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;

#[test]
fn a_file_that_could_be_written_in_part_only_is_not_kept_by_the_next_run() {
    let sandbox = Sandbox::empty();
    // Half a kilobyte for each file, as if the disk were full.
    let ran = sandbox.shell("trap '' XFSZ; ulimit -f 1; \"$LONGSHORE\" init").exits(1);
    assert_eq!(ran.stderr, "error: cannot write `[dir]/shop/appspec.yml`\n  caused by: File too large (os error 27)\n");
    assert!(sandbox.run(&["init"]).ok().stderr.starts_with("       Wrote appspec.yml\n"));
}

#[test]
fn the_starter_set_passes_its_own_check() {
    let sandbox = Sandbox::empty();
    insta::assert_snapshot!(sandbox.run(&["init"]).ok().shown());
    sandbox.commit();
    sandbox.run(&["check", "--strict"]).ok();
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!(json["application"], "shop");
    let files = sandbox.run(&["check", "--output", "json"]).ok().json()["files"].clone();
    assert!(files.as_array().unwrap().contains(&"scripts/project.sh".into()), "{files}");
}

#[test]
fn a_dockerfile_is_asked_for_where_the_sample_compose_file_needs_one_and_none_is_there() {
    let needed = |sandbox: &Sandbox| sandbox.run(&["init"]).ok().stdout.contains("\n  write a Dockerfile");
    let sandbox = Sandbox::empty();
    assert!(needed(&sandbox));
    assert!(!needed(&sandbox), "the compose file is theirs by then");
    for present in ["Dockerfile", "compose.yaml"] {
        let sandbox = Sandbox::empty();
        sandbox.write(present, "");
        assert!(!needed(&sandbox), "{present}");
    }
}

#[test]
fn what_exists_is_kept() {
    let sandbox = Sandbox::empty();
    sandbox.write("appspec.yaml", "mine");
    sandbox.write("compose.yaml", "mine");
    sandbox.write("scripts/project.sh", "mine");
    symlink("/nowhere/longshore.toml", sandbox.path("longshore.toml")).unwrap();
    let json = sandbox.run(&["init", "--output", "json"]).ok().json();
    assert_eq!(
        json["kept"],
        serde_json::json!(["appspec.yaml", "scripts/project.sh", "compose.yaml", "longshore.toml"])
    );
    for path in ["appspec.yaml", "compose.yaml", "scripts/project.sh"] {
        assert_eq!(fs::read_to_string(sandbox.path(path)).unwrap(), "mine", "{path}");
    }
    assert!(!sandbox.path("appspec.yml").exists());
    let again = sandbox.run(&["init", "--output", "json"]).ok().json();
    assert_eq!((again["written"].as_array().unwrap().len(), again["kept"].as_array().unwrap().len()), (0, 13));
}

#[test]
fn git_leaves_the_artifacts_out_or_a_line_says_how() {
    let sandbox = Sandbox::empty();
    sandbox.run(&["init"]).ok();
    sandbox.commit();
    sandbox.run(&["build"]).ok();
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");

    let warning = "warning: git would take the artifacts: add a line `/dist/` to .gitignore\n";
    for (ignored, warned) in [("/target/\n", true), ("/target/\ndist/\n", false)] {
        let sandbox = Sandbox::empty();
        sandbox.write(".gitignore", ignored);
        let told = sandbox.run(&["init"]).ok().stderr;
        assert_eq!(told.contains(warning), warned, "{told}");
        assert_eq!(fs::read_to_string(sandbox.path(".gitignore")).unwrap(), ignored);
    }
}

#[test]
fn a_folder_is_made_and_its_name_is_the_applications() {
    let sandbox = Sandbox::empty();
    sandbox.run(&["init", "services/My_Site"]).ok();
    let toml = fs::read_to_string(sandbox.path("services/My_Site/longshore.toml")).unwrap();
    assert!(toml.contains("application = \"My_Site\"\n"), "{toml}");
    let compose = fs::read_to_string(sandbox.path("services/My_Site/docker-compose.yml")).unwrap();
    assert!(compose.contains("/my-site:${COMMIT_HASH:?"), "{compose}");
    sandbox.run(&["check", "--strict", "--source", "services/My_Site"]).ok();
    for (ci, path) in
        [("codebuild", "buildspec.yml"), ("github", ".github/workflows/longshore.yml"), ("gitlab", ".gitlab-ci.yml")]
    {
        sandbox.run(&["init", "services/My_Site", "--ci", ci]).ok();
        let text = fs::read_to_string(sandbox.path("services/My_Site").join(path)).unwrap();
        let named: Vec<&str> =
            text.lines().filter(|line| line.contains("LONGSHORE_APPLICATION")).map(str::trim).collect();
        assert_eq!(named, ["LONGSHORE_APPLICATION: \"My_Site\""], "{ci}");
    }
}
