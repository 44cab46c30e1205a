//! AWS CodeBuild: one `sh` for all commands; after a failure in `build` comes `post_build` all the same.

use std::fs;

use crate::project::{Ended, Project};
use crate::reading::{document, map, member, open_map, text, texts, variables};

/// The order of the phases.
const PHASES: [&str; 4] = ["install", "pre_build", "build", "post_build"];

pub(crate) fn run(project: &Project) -> Ended {
    let root = document(&project.file());
    map(&root, "the buildspec", "version run-as env proxy batch phases reports artifacts cache");
    assert_eq!(text(member(&root, "version", "the buildspec"), "version"), "0.2");
    let env = member(&root, "env", "the buildspec");
    map(env, "env", "shell variables parameter-store exported-variables secrets-manager git-credential-helper");
    let exported = texts(member(env, "exported-variables", "env"), "exported-variables");
    let phases = member(&root, "phases", "the buildspec");
    map(phases, "phases", &PHASES.join(" "));

    let mut script = String::new();
    for name in PHASES {
        let phase = member(phases, name, "phases");
        map(phase, name, "run-as on-failure runtime-versions commands finally steps");
        script.push_str(&format!("{name}() {{\n"));
        for command in texts(member(phase, "commands", name), name) {
            script.push_str(&format!(
                "cat <<'END_OF_COMMAND'\n$ {command}\nEND_OF_COMMAND\n{{ {command}\n}} || return $?\n"
            ));
        }
        script.push_str("}\n");
    }
    script.push_str("install && pre_build || exit $?\nbuild\nbuilt=$?\n");
    script.push_str("[ $built = 0 ] || CODEBUILD_BUILD_SUCCEEDING=0\npost_build || exit $?\n");
    let values: Vec<String> = exported.iter().map(|name| format!("${name}")).collect();
    script.push_str(&format!("[ $built = 0 ] || exit $built\necho {} > \"$LATER\"\n", values.join(" ")));
    fs::write(project.path("script"), script).unwrap();

    let mut sh = project.machine("sh");
    sh.arg(project.path("script")).current_dir(project.check_out("src123456789")).envs(Project::credentials());
    sh.envs([("CODEBUILD_BUILD_ID", "shop:1"), ("CODEBUILD_BUILD_SUCCEEDING", "1"), ("AWS_REGION", e2e::REGION)]);
    sh.env("AWS_DEFAULT_REGION", e2e::REGION);
    sh.env("CODEBUILD_RESOLVED_SOURCE_VERSION", &project.commit);
    for (_, variable) in open_map(env, "env").into_iter().filter(|(name, _)| *name == "variables") {
        sh.envs(variables(variable, "variables"));
    }
    let code = sh.status().unwrap().code().unwrap();
    project.ended(code, &project.last_command())
}
