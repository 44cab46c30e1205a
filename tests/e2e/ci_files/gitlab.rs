//! GitLab CI: each job in a fresh checkout, all its commands in one `bash` that ends with the first failure; what a job reports as
//! dotenv later jobs have as variables.

use std::collections::BTreeMap;
use std::fs;

use longshore_core::yaml::Node;

use crate::project::{Ended, Project};
use crate::reading::{document, map, member, open_map, text, texts, variables};

const GLOBAL: &str = "default include stages variables workflow";
const JOB: &str = "stage rules script before_script after_script image services variables artifacts cache dependencies needs environment \
                   resource_group retry tags timeout when interruptible allow_failure extends parallel release trigger coverage";
/// GitLab's limits of a dotenv report.
const MOST_BYTES: usize = 5 * 1024;
const MOST_VARIABLES: usize = 20;

type Variables = BTreeMap<String, String>;

pub(crate) fn run(project: &Project) -> Ended {
    let root = document(&project.file());
    let mut known: Variables = [
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_SHA", &project.commit),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_REGISTRY", &project.registry),
        ("CI_REGISTRY_IMAGE", &project.registry),
        ("CI_REGISTRY_USER", "gitlab-ci-token"),
        ("CI_REGISTRY_PASSWORD", "secret"),
    ]
    .into_iter()
    .chain(Project::credentials())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    for (name, value) in variables(member(&root, "variables", "the file"), "variables") {
        let value = expanded(&value, &known);
        known.insert(name, value);
    }
    let default = member(&root, "default", "the file");
    map(
        default,
        "default",
        "after_script artifacts before_script cache hooks id_tokens image interruptible retry services tags timeout",
    );
    let before = texts(member(default, "before_script", "default"), "before_script");

    let mut stages = texts(member(&root, "stages", "the file"), "stages");
    stages.push(".post".to_owned());
    let jobs: Vec<(&str, &Node)> = open_map(&root, "the file")
        .into_iter()
        .filter(|(name, _)| !GLOBAL.split(' ').any(|global| global == *name))
        .collect();
    for (name, job) in &jobs {
        map(job, name, JOB);
        assert!(stages.contains(&text(member(job, "stage", name), name)), "{name}");
    }
    for stage in &stages {
        for (name, job) in jobs.iter().filter(|(name, job)| text(member(job, "stage", name), name) == *stage) {
            if !wanted(job, &known) {
                continue;
            }
            let folder = project.check_out(&format!("builds-{name}"));
            let mut script = "set -eo pipefail\n".to_owned();
            for command in before.iter().cloned().chain(texts(member(job, "script", name), name)) {
                script.push_str(&format!("cat <<'END_OF_COMMAND'\n$ {command}\nEND_OF_COMMAND\n{command}\n"));
            }
            fs::write(project.path("script"), script).unwrap();
            let mut bash = project.machine("bash");
            bash.arg(project.path("script")).current_dir(&folder).envs(&known);
            if let code @ 1.. = bash.status().unwrap().code().unwrap() {
                return project.ended(code, &project.last_command());
            }
            if let Some(artifacts) = job.get("artifacts") {
                map(artifacts, name, "paths exclude expire_in expose_as name public reports untracked when access");
                let reports = member(artifacts, "reports", name);
                map(reports, name, "annotations coverage_report dotenv junit sast terraform");
                let report = folder.join(text(member(reports, "dotenv", name), name));
                known.extend(dotenv(&fs::read_to_string(report).unwrap()));
            }
        }
    }
    project.ended(0, "")
}

/// Whether the rules of a job take it in.
fn wanted(job: &Node, known: &Variables) -> bool {
    let Some(rules) = job.get("rules") else { return true };
    rules.as_list().unwrap().iter().any(|rule| {
        map(rule, "a rule", "if when changes exists allow_failure variables needs");
        let condition = text(member(rule, "if", "a rule"), "if");
        let (one, other) = condition.split_once(" == ").unwrap();
        expanded(one, known) == expanded(other, known)
    })
}

/// A value with the variables that it names.
fn expanded(value: &str, known: &Variables) -> String {
    match value.strip_prefix('$') {
        Some(name) => known.get(name).unwrap_or_else(|| panic!("no variable {name}")).clone(),
        None => value.to_owned(),
    }
}

/// What a report says, by GitLab's rules: no quotes, no comments, no empty lines.
fn dotenv(text: &str) -> Variables {
    assert!(text.len() <= MOST_BYTES && text.lines().count() <= MOST_VARIABLES, "{text}");
    let read = text.lines().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("GitLab refuses the line {line:?}"));
        assert!(name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_'), "{line:?}");
        assert!(!value.contains([' ', '\'', '"']), "{line:?}");
        (name.to_owned(), value.to_owned())
    });
    read.collect()
}
