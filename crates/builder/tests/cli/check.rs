use crate::sandbox::{APPSPEC, Sandbox};

#[test]
fn what_keeps_a_build_from_naming_the_artifact_is_a_warning_that_fails_nothing() {
    let last = |sandbox: &Sandbox| sandbox.run(&["check", "--strict"]).ok().stderr.lines().last().unwrap().to_owned();
    let sandbox = Sandbox::shop();
    assert_eq!(last(&sandbox), "     Checked `appspec.yml` and 5 files (420.2 kB): 0 errors, 0 warnings");
    sandbox.write("README.md", "changed\n");
    assert_eq!(last(&sandbox), "warning: the work tree differs from the commit by 1 file: `build` would refuse it");
    sandbox.shell("rm -rf .git").ok();
    let text = "`build` would not know whose artifact it is: cannot tell which commit this is: there is no git work tree, and \
                no CI system is recognised, and `LONGSHORE_COMMIT` is not set";
    assert_eq!(last(&sandbox), format!("warning: {text}"));
    let json = sandbox.run(&["check", "--output", "json"]).ok().json();
    assert_eq!(json["warnings"], serde_json::json!([text]));
    let sandbox = sandbox.env("LONGSHORE_COMMIT", &"0".repeat(40));
    assert_eq!(last(&sandbox), "     Checked `appspec.yml` and 5 files (420.2 kB): 0 errors, 0 warnings");
}

#[test]
fn what_is_no_text_file_is_refused_at_once() {
    let sandbox = Sandbox::shop();
    sandbox.shell("mkfifo pipe.yml; ln -s /dev/zero zero.yml; mkdir folder.yml; truncate -s 20M large.yml").ok();
    for (name, why) in [
        ("pipe.yml", "it is a pipe, socket or device"),
        ("zero.yml", "it is a pipe, socket or device"),
        ("folder.yml", "is a directory"),
        ("large.yml", "it has more than 16777216 bytes"),
    ] {
        let stderr = sandbox.run(&["check", "--appspec", name]).exits(1).stderr;
        assert_eq!(stderr, format!("error: cannot read `[dir]/shop/{name}`\n  caused by: {why}\n"));
    }
    sandbox.shell("mkfifo .longshoreignore").ok();
    let stderr = sandbox.run(&["check"]).exits(1).stderr;
    let error = "error: cannot look at `[dir]/shop/.longshoreignore`\n  caused by: it is a pipe, socket or device\n";
    assert_eq!(stderr, error);
}

#[test]
fn a_sound_project_is_one_line() {
    insta::assert_snapshot!(Sandbox::shop().run(&["check"]).shown());
}

#[test]
fn check_as_json_lists_the_files() {
    let json = Sandbox::shop().run(&["check", "--no-shellcheck", "--output", "json"]).ok().json();
    let expected = serde_json::json!({
        "appspec": "appspec.yml",
        "bytes": 420_246,
        "files": ["app/big.txt", "app/index.html", "appspec.yml", "docker-compose.yml", "scripts/install.sh"],
        "images": [],
        "notes": [],
        "problems": [],
        "silenced": [],
        "shellcheck": "switched off",
        "warnings": [],
    });
    assert_eq!(json, expected);
}

#[test]
fn check_as_json_says_what_each_group_would_run() {
    let sandbox = Sandbox::shop();
    sandbox.write("docker-compose.yml", "services:\n  web:\n    image: ${REGISTRY:-r.example}/shop:${COMMIT_HASH:?}\n");
    sandbox.write(
        "docker-compose.dev.yml",
        "services:\n  web:\n    image: shop:${DEPLOYMENT_GROUP_NAME}-${TAG}\n  db:\n    image: db:17\n",
    );
    sandbox.commit();
    let json = sandbox.run(&["check", "--output", "json"]).ok().json();
    let head = sandbox.git(&["rev-parse", "HEAD"]);
    let expected = serde_json::json!([
        {"group": "dev", "service": "db", "image": "db:17"},
        {"group": "prod", "service": "web", "image": format!("r.example/shop:{}", head.trim())},
    ]);
    assert_eq!(json["images"], expected);
}

#[test]
fn every_problem_is_shown_at_once_with_its_place() {
    let sandbox = Sandbox::shop();
    sandbox.write(
        "appspec.yml",
        "version: 0.0\nos: ubuntu\nhooks:\n  AfterInstal:\n    - location: a.sh\n  ApplicationStart:\n    - location: start.sh\n      timeout: 5m\n",
    );
    insta::assert_snapshot!(sandbox.run(&["check"]).shown());
}

#[test]
fn problems_of_all_kinds_are_shown_together() {
    let sandbox = Sandbox::shop();
    sandbox.write("appspec.yml", &APPSPEC.replace("scripts/install.sh", "scripts/instal.sh"));
    sandbox.write("longshore.toml", "aplication = \"shop\"\n");
    sandbox.write("app/.env", "PASSWORD=1\n");
    sandbox.write("docker-compose.yml", "services:\n  web:\n    image: shop\n    env_file: web.env\n");
    insta::assert_snapshot!(sandbox.run(&["check"]).shown());
}

#[test]
fn problems_as_json_stand_beside_the_error() {
    let sandbox = Sandbox::shop();
    sandbox.program("scripts/install.sh", "#!/bin/bash\r\ntrue\r\n");
    let ran = sandbox.run(&["check", "--output", "json"]).exits(3);
    let json = ran.json();
    assert_eq!(json["error"]["exit_code"], 3);
    let problem = &json["problems"][0];
    assert_eq!((&problem["code"], &problem["file"]), (&"LS205".into(), &"scripts/install.sh".into()));
    assert_eq!((&problem["line"], &problem["column"]), (&1.into(), &1.into()));
}

#[test]
fn warnings_fail_only_when_asked() {
    let sandbox = Sandbox::shop();
    sandbox.write("scripts/install.sh", "set -e\n");
    let ran = sandbox.run(&["check"]).ok();
    assert!(ran.stderr.contains("0 errors, 1 warning"), "{}", ran.stderr);
    insta::assert_snapshot!(sandbox.run(&["check", "--strict"]).shown());
}

#[test]
fn an_ignored_script_is_refused_by_the_rule_that_names_it() {
    let sandbox = Sandbox::shop();
    sandbox.write(".longshoreignore", "# nothing\n\n*.sh\n");
    insta::assert_snapshot!(sandbox.run(&["check"]).shown());
}

#[test]
fn what_git_ignores_is_packed_and_what_longshore_ignores_is_not() {
    let sandbox = Sandbox::shop();
    sandbox.write(".gitignore", "/app/built.js\n");
    sandbox.write(".longshoreignore", "*.map\n");
    sandbox.write("app/built.js", "x");
    sandbox.write("app/built.map", "x");
    sandbox.write("app/sub/.git", "gitdir: elsewhere");
    let json = sandbox.run(&["check", "--output", "json"]).ok().json();
    let files: Vec<&str> = json["files"].as_array().unwrap().iter().filter_map(|file| file.as_str()).collect();
    assert_eq!(
        files,
        ["app/big.txt", "app/built.js", "app/index.html", "appspec.yml", "docker-compose.yml", "scripts/install.sh"]
    );
}

#[test]
fn without_an_appspec_the_way_to_one_is_shown() {
    let sandbox = Sandbox::empty();
    // Nearly the same name, and no appspec.
    sandbox.write("buildspec.yml", "version: 0.2\n");
    insta::assert_snapshot!(sandbox.run(&["check"]).shown());
    sandbox.write("AppSpec.yml", APPSPEC);
    insta::assert_snapshot!(sandbox.run(&["check"]).shown());
}

#[test]
fn another_folder_and_another_appspec_can_be_named() {
    let sandbox = Sandbox::shop();
    sandbox.write("deploy/appspec.stg.yml", &APPSPEC.replace("/srv/shop", "/srv/shop-stg"));
    let outside = sandbox.outside("");
    let arguments = ["check", "--source", "shop", "--appspec", "deploy/appspec.stg.yml", "--output", "json"];
    let json = sandbox.run_in(&outside, &arguments).ok().json();
    assert_eq!(json["appspec"], "deploy/appspec.stg.yml");
    assert!(json["files"].as_array().unwrap().contains(&"appspec.yml".into()), "{json}");
    insta::assert_snapshot!(sandbox.run(&["check", "--appspec", "../appspec.yml"]).shown());
    insta::assert_snapshot!(sandbox.run(&["check", "--source", "nowhere"]).shown());
}

#[test]
fn the_version_is_printed() {
    let ran = Sandbox::empty().run(&["--version"]).ok();
    assert_eq!(ran.stdout, format!("longshore {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn scripts_behind_a_link_are_found_in_a_folder_that_nothing_names() {
    let sandbox = Sandbox::shop();
    sandbox.shell("mkdir -p shared && mv scripts shared/hooks && ln -s shared/hooks scripts").ok();
    let json = sandbox.run(&["check", "--output", "json", "--strict"]).ok().json();
    let files: Vec<&str> = json["files"].as_array().unwrap().iter().filter_map(|file| file.as_str()).collect();
    assert_eq!(
        files,
        ["app/big.txt", "app/index.html", "appspec.yml", "docker-compose.yml", "scripts", "shared/hooks/install.sh"]
    );
}

#[test]
fn a_folder_that_nobody_may_read_does_not_matter_unless_it_is_needed() {
    let sandbox = Sandbox::shop();
    sandbox.shell("mkdir -p data/postgres node_modules/x && mkfifo data/postgres/pipe").ok();
    sandbox.run(&["check", "--strict"]).ok();
}
