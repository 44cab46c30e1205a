use crate::sandbox::{APPSPEC, Sandbox};

const BUILDSPEC: &str = "\
version: 0.2
phases:
  build:
    commands:
      - make
artifacts:
  files:
    - '**/*'
  base-directory: 'out-*'
  exclude-paths:
    - '**/*.map'
  name: shop-$(date +%F)
";

/// What a build leaves behind in `out-1`.
fn built() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("buildspec.yml", BUILDSPEC);
    sandbox.write("longshore.toml", "application = \"shop\"\n");
    sandbox.write("src/main.ts", "not packed\n");
    sandbox.write(".gitignore", "/out-1/\n/dist/\n");
    sandbox.write("out-1/appspec.yml", APPSPEC);
    sandbox.program("out-1/scripts/install.sh", "#!/bin/sh\nset -e\n");
    sandbox.write("out-1/app/index.html", "<h1>Shop</h1>\n");
    sandbox.write("out-1/app/index.map", "{}\n");
    sandbox.commit();
    sandbox
}

#[test]
fn the_artifacts_section_of_a_buildspec_is_the_file_list() {
    let sandbox = built();
    insta::assert_snapshot!(sandbox.run(&["build", "--from-buildspec"]).ok().shown());
    let artifact = sandbox.artifact();
    let json = sandbox.run(&["inspect", artifact.to_str().unwrap(), "--output", "json"]).ok().json();
    let entries = json["entries"].as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    let expected = [
        ".longshore",
        ".longshore/manifest.json",
        "app",
        "app/index.html",
        "appspec.yml",
        "scripts",
        "scripts/install.sh",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_settings_and_the_variable_can_name_the_buildspec() {
    let sandbox = built();
    sandbox.write("longshore.toml", "application = \"shop\"\n[build]\nbuildspec = \"buildspec.yml\"\n");
    let files = |sandbox: &Sandbox| sandbox.run(&["check", "--output", "json"]).ok().json()["files"].clone();
    let expected = serde_json::json!(["app/index.html", "appspec.yml", "scripts/install.sh"]);
    assert_eq!(files(&sandbox), expected);
    sandbox.write("ci/other.yml", &BUILDSPEC.replace("'**/*.map'", "'**/*.html'"));
    let sandbox = sandbox.env("LONGSHORE_BUILD_BUILDSPEC", "ci/other.yml");
    assert_eq!(files(&sandbox), serde_json::json!(["app/index.map", "appspec.yml", "scripts/install.sh"]));
}

#[test]
fn what_the_appspec_needs_must_be_on_the_list() {
    let sandbox = built();
    let buildspec = BUILDSPEC.replace("base-directory: 'out-*'", "base-directory: 'out-*'\n  discard-paths: yes");
    sandbox.write("buildspec.yml", &buildspec);
    insta::assert_snapshot!(sandbox.run(&["check", "--from-buildspec"]).exits(3).shown());
}

#[test]
fn a_list_without_the_appspec_is_refused_with_where_it_is() {
    let sandbox = built();
    sandbox.write("buildspec.yml", "version: 0.2\nartifacts:\n  files: ['**/*']\n");
    insta::assert_snapshot!(sandbox.run(&["check", "--from-buildspec"]).exits(3).shown());
    let told = sandbox.run(&["check", "--from-buildspec", "no.yml"]).exits(7).stderr;
    assert_eq!(
        told,
        "error: there is no buildspec `no.yml` in `[dir]/shop`\n\nhint: paths start at the source folder; `--from-buildspec FILE` \
         names another one\n"
    );
    let told = sandbox.run(&["check", "--secondary-artifact", "web"]).exits(2).stderr;
    assert_eq!(
        told,
        "error: `--secondary-artifact` names a part of a buildspec, and none is named\n\nhint: add `--from-buildspec`\n"
    );
}

#[test]
fn a_secondary_artifact_is_built_by_its_name() {
    let sandbox = built();
    let text = "version: 0.2\nartifacts:\n  secondary-artifacts:\n    web:\n      base-directory: out-1\n      files: ['**/*']\n";
    sandbox.write("buildspec.yml", text);
    let arguments = ["check", "--from-buildspec", "--secondary-artifact", "web", "--output", "json"];
    let json = sandbox.run(&arguments).ok().json();
    assert_eq!(json["files"].as_array().unwrap().len(), 4);
}
