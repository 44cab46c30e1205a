//! Reads real appspecs and compares with what the parser of the AWS agent 1.8.1 made of them. The files belong to other
//! people and are no part of this project: they are looked for in `shared/data` beside the workspace, or where
//! `LONGSHORE_CORPUS` says. `LONGSHORE_CORPUS=skip` runs without them, and says so.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::appspec::{self, AppSpec, FileExists, Os, Source};
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Look, SourceFile, render};
use serde_json::{Value, json};

/// Where we do better than the AWS agent on purpose: file, what is left out of the comparison, why.
const EXCEPTIONS: [(&str, &str, &str); 1] =
    [("bimlendu__caddy-hugo__codedeploy~appspec.yml", "perms", "`mode: 0644` is 0644 and not 420")];

fn corpus() -> Option<PathBuf> {
    let folder = match std::env::var_os("LONGSHORE_CORPUS") {
        Some(word) if word == "skip" => {
            // Past the test harness, which shows the output of failing tests only.
            std::io::stderr()
                .write_all(b"SKIPPED: the real appspecs were not read, because LONGSHORE_CORPUS=skip\n")
                .unwrap();
            return None;
        }
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    assert!(
        folder.join("appspec-verdicts.json").is_file() && folder.join("real-appspecs").is_dir(),
        "no real appspecs in `{}`: set LONGSHORE_CORPUS to the folder that holds `appspec-verdicts.json` and \
         `real-appspecs`, or to `skip` to run without them",
        folder.display()
    );
    Some(folder)
}

fn read(folder: &Path, name: &str) -> std::sync::Arc<SourceFile> {
    let bytes = fs::read(folder.join("real-appspecs").join(name)).expect("the corpus holds every file of its verdicts");
    SourceFile::new(name, String::from_utf8_lossy(&bytes))
}

#[test]
fn real_appspecs_mean_what_the_aws_agent_reads() {
    let Some(folder) = corpus() else { return };
    let verdicts = fs::read_to_string(folder.join("appspec-verdicts.json")).unwrap();
    let verdicts: Vec<Value> = serde_json::from_str(&verdicts).unwrap();
    assert!(verdicts.len() >= 155, "the corpus has shrunk to {} files", verdicts.len());

    let mut differences = Vec::new();
    for verdict in &verdicts {
        let name = verdict["file"].as_str().unwrap();
        let source = read(&folder, name);
        let parsed = appspec::parse(&source);
        let accepted = verdict["ok"] == json!(true);
        match parsed.appspec {
            Some(_) if !accepted => differences.push(format!("{name}: accepted, and refused by the AWS agent")),
            None if accepted => {
                differences.push(format!("{name}: refused\n{}", render(&parsed.problems, Look::Plain)));
            }
            None => {}
            Some(appspec) => {
                let (ours, theirs) = (ours(&appspec), theirs(verdict, appspec.os));
                for (part, theirs) in &theirs {
                    let excepted = EXCEPTIONS.iter().any(|(file, what, _)| *file == name && *what == part.as_str());
                    if (ours[part] == *theirs) == excepted {
                        differences.push(format!("{name}: {part}\n  ours   {}\n  theirs {theirs}", ours[part]));
                    }
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_real_appspec_renders_without_control_characters() {
    let Some(folder) = corpus() else { return };
    let mut count = 0;
    for entry in fs::read_dir(folder.join("real-appspecs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let parsed = appspec::parse(&read(&folder, &name));
        let text = render(&parsed.problems, Look::Plain);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{name}");
        assert_eq!(text.is_empty(), parsed.problems.is_empty(), "{name}");
        for problem in &parsed.problems {
            let line = problem.to_json()["line"].as_u64();
            assert!(line.is_none_or(|line| text.contains(&format!("{name}:{line}:"))), "{name}: {problem:?}");
        }
        count += 1;
    }
    assert!(count >= 155, "the corpus has shrunk to {count} files");
}

type Parts = BTreeMap<String, Value>;

fn ours(appspec: &AppSpec) -> Parts {
    let hooks: BTreeMap<&str, Vec<Value>> = appspec
        .hooks
        .iter()
        .map(|(event, hooks)| {
            let hooks = hooks
                .iter()
                .map(|hook| {
                    assert_eq!(Some(&hook.script), path(&hook.location, appspec.os).as_ref());
                    assert_eq!(hook.timeout, Duration::from_secs(hook.timeout.as_secs()));
                    json!([hook.location, hook.run_as, hook.sudo, hook.timeout.as_secs()])
                })
                .collect();
            (event.name(), hooks)
        })
        .collect();
    let files: Vec<Value> = appspec
        .files
        .iter()
        .map(|file| match &file.source {
            Source::Whole => json!([null, file.destination]),
            Source::Path(path) => json!([path.as_str(), file.destination]),
        })
        .collect();
    let permissions: Vec<Value> = appspec
        .permissions
        .iter()
        .map(|permission| {
            let except: Vec<&str> = permission.except.iter().map(|pattern| pattern.0.as_str()).collect();
            let acls: Option<Vec<String>> =
                permission.acls.as_ref().map(|acls| acls.iter().map(ToString::to_string).collect());
            json!([
                permission.object,
                permission.pattern.0,
                except,
                permission.files,
                permission.directories,
                permission.owner,
                permission.group,
                permission.mode,
                acls,
                permission.context.is_some(),
            ])
        })
        .collect();
    let file_exists = appspec.file_exists.map(|behaviour| match behaviour {
        FileExists::Disallow => "DISALLOW",
        FileExists::Overwrite => "OVERWRITE",
        FileExists::Retain => "RETAIN",
    });
    parts(json!(hooks), json!(files), json!(permissions), json!(file_exists))
}

fn theirs(verdict: &Value, os: Os) -> Parts {
    let hooks: BTreeMap<&String, Vec<Value>> = verdict["hooks"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(event, scripts)| {
            let scripts: Vec<Value> = scripts
                .as_array()
                .unwrap()
                .iter()
                .map(|script| {
                    let sudo = !matches!(script["sudo"], Value::Null | Value::Bool(false));
                    json!([script["loc"], script["runas"], sudo, script["timeout"]])
                })
                .collect();
            (event, scripts)
        })
        .filter(|(_, scripts)| !scripts.is_empty())
        .collect();
    let files: Vec<Value> = verdict["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let source = path(file[0].as_str().unwrap(), os);
            json!([source.as_ref().map(BundlePath::as_str), file[1]])
        })
        .collect();
    let permissions: Vec<Value> = verdict["perms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|permission| {
            let kinds = permission["type"].as_array().unwrap();
            let mode = permission["mode"].as_str().map(|mode| u32::from_str_radix(mode, 8).unwrap());
            json!([
                permission["object"],
                permission["pattern"],
                permission["except"],
                kinds.contains(&json!("file")),
                kinds.contains(&json!("directory")),
                permission["owner"],
                permission["group"],
                mode,
                permission["acls"],
                permission["context"],
            ])
        })
        .collect();
    parts(json!(hooks), json!(files), json!(permissions), verdict["feb"].clone())
}

fn parts(hooks: Value, files: Value, permissions: Value, file_exists: Value) -> Parts {
    [("hooks", hooks), ("files", files), ("perms", permissions), ("feb", file_exists)]
        .into_iter()
        .map(|(name, part)| (name.to_owned(), part))
        .collect()
}

/// A path of an appspec below the top of the bundle; `None`: the top itself.
fn path(text: &str, os: Os) -> Option<BundlePath> {
    let text = if os == Os::Windows { text.replace('\\', "/") } else { text.to_owned() };
    BundlePath::normalized(&text).ok()
}
