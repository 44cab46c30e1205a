//! GitHub Actions: each step is a `bash -e` of its own, with files for what it hands over.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use longshore_core::yaml::Node;

use crate::project::{Ended, Project};
use crate::reading::{document, map, member, open_map, text, texts, variables};

/// The values of `${{ … }}`.
type Contexts = BTreeMap<String, String>;

pub(crate) fn run(project: &Project) -> Ended {
    let root = document(&project.file());
    map(&root, "the workflow", "name run-name on permissions env defaults concurrency jobs");
    let push = member(member(&root, "on", "the workflow"), "push", "on");
    map(push, "push", "branches branches-ignore tags tags-ignore paths paths-ignore");
    assert_eq!(texts(member(push, "branches", "push"), "branches"), ["main"]);
    let permissions = variables_with_dashes(member(&root, "permissions", "the workflow"));
    let mut contexts = Contexts::from([("github.ref".into(), "refs/heads/main".into())]);
    let concurrency = member(&root, "concurrency", "the workflow");
    map(concurrency, "concurrency", "group cancel-in-progress");
    filled(&text(member(concurrency, "group", "concurrency"), "group"), &contexts);
    let env = variables(member(&root, "env", "the workflow"), "env");
    contexts.extend(env.iter().map(|(name, value)| (format!("env.{name}"), value.clone())));

    let jobs = open_map(member(&root, "jobs", "the workflow"), "jobs");
    assert_eq!(jobs.len(), 1);
    let job = jobs[0].1;
    map(
        job,
        "the job",
        "name needs if runs-on environment concurrency permissions outputs env defaults steps timeout-minutes services",
    );
    assert_eq!(text(member(job, "runs-on", "the job"), "runs-on"), "ubuntu-latest");
    let workspace = project.path("workspace");
    let mut has_credentials = false;
    for (number, step) in member(job, "steps", "the job").as_list().unwrap().iter().enumerate() {
        map(step, "a step", "id if name uses run working-directory shell with env continue-on-error timeout-minutes");
        if let Some(action) = step.get("uses") {
            match text(action, "uses").as_str() {
                "actions/checkout@v4" => drop(project.check_out("workspace")),
                "aws-actions/configure-aws-credentials@v4" => {
                    // The role is had for a token of GitHub, which a job has only if it may.
                    assert!(permissions.contains(&("id-token".into(), "write".into())), "{permissions:?}");
                    let with = member(step, "with", "the step");
                    map(
                        with,
                        "with",
                        "role-to-assume aws-region role-session-name role-duration-seconds mask-aws-account-id",
                    );
                    assert!(text(member(with, "role-to-assume", "with"), "role").starts_with("arn:aws:iam::"));
                    assert_eq!(filled(&text(member(with, "aws-region", "with"), "region"), &contexts), e2e::REGION);
                    has_credentials = true;
                }
                action => panic!("nothing is known of the action {action}"),
            }
            continue;
        }
        let name = text(member(step, "name", "a step"), "name");
        let script = project.path("step.sh");
        fs::write(&script, filled(&text(member(step, "run", &name), &name), &contexts)).unwrap();
        let files = ["OUTPUT", "ENV", "PATH", "STEP_SUMMARY"].map(|kind| project.path(&format!("{kind}-{number}")));
        let mut bash = project.machine("bash");
        bash.arg("-e").arg(&script).current_dir(&workspace).envs(env.iter().cloned());
        bash.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", &project.commit), ("GITHUB_REF", "refs/heads/main")]);
        for (kind, file) in ["OUTPUT", "ENV", "PATH", "STEP_SUMMARY"].into_iter().zip(&files) {
            fs::write(file, "").unwrap();
            bash.env(format!("GITHUB_{kind}"), file);
        }
        if has_credentials {
            bash.envs(Project::credentials()).env("AWS_DEFAULT_REGION", e2e::REGION).env("AWS_REGION", e2e::REGION);
        }
        if let code @ 1.. = code(&mut bash) {
            return project.ended(code, &name);
        }
        if let Some(id) = step.get("id") {
            let id = text(id, "id");
            let outputs = outputs(&fs::read_to_string(&files[0]).unwrap());
            contexts.extend(outputs.into_iter().map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value)));
        }
    }
    project.ended(0, "")
}

fn code(command: &mut Command) -> i32 {
    command.status().unwrap().code().unwrap()
}

fn variables_with_dashes(node: &Node) -> Vec<(String, String)> {
    let known = "contents id-token packages actions checks deployments issues pull-requests statuses";
    map(node, "permissions", known).into_iter().map(|(name, value)| (name.to_owned(), text(value, name))).collect()
}

/// A text with what its expressions stand for.
fn filled(text: &str, contexts: &Contexts) -> String {
    let mut parts = text.split("${{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |filled, part| {
        let (expression, rest) = part.split_once("}}").expect("an expression ends");
        let value = contexts.get(expression.trim());
        filled + value.unwrap_or_else(|| panic!("nothing is known of {expression}: {contexts:#?}")) + rest
    })
}

/// What a step wrote into `$GITHUB_OUTPUT`.
fn outputs(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let (name, value) = match (line.split_once("<<"), line.split_once('=')) {
            (Some((name, end)), _) if !name.contains('=') => {
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                (name, value.join("\n"))
            }
            (_, Some((name, value))) => (name, value.to_owned()),
            _ => panic!("GitHub refuses the line {line:?}"),
        };
        found.push((name.to_owned(), value));
    }
    found
}
