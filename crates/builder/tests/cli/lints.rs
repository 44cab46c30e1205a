//! The lints as data: each folder of `tests/lints` is named `<CODE>-<what>` and shows that code.
//!
//! - `project/`: the source folder. Execute bits and links are those that git keeps.
//! - `setup.sh`, if any: run in the copy before it is committed, for what git does not keep.
//! - `arguments.txt`, if any: what follows `longshore check`, one argument in each line.
//! - `problems.txt`: what it then says; `LONGSHORE_UPDATE=1` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::sandbox::Sandbox;

/// The folders that show a code, sorted.
fn folders() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints");
    let mut folders: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_symlink() {
            symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// What `longshore check` says about a copy of the project.
fn check(folder: &Path) -> String {
    let sandbox = Sandbox::empty();
    copy(&folder.join("project"), &sandbox.path(""));
    if let Ok(setup) = fs::read_to_string(folder.join("setup.sh")) {
        sandbox.shell(&setup).ok();
    }
    sandbox.commit();
    let more = fs::read_to_string(folder.join("arguments.txt")).unwrap_or_default();
    // What shellcheck says differs from version to version, and it may not be there.
    let arguments: Vec<&str> = ["check", "--no-shellcheck"].into_iter().chain(more.lines()).collect();
    let ran = sandbox.run(&arguments);
    format!("exit {}\n\n{}", ran.code, ran.stderr)
}

#[test]
fn every_folder_of_lints_shows_its_code_and_says_what_is_written_there() {
    let update = std::env::var_os("LONGSHORE_UPDATE").is_some();
    let rest = Mutex::new(folders());
    let wrong = Mutex::new(Vec::new());
    let work = || {
        while let Some(folder) = { rest.lock().unwrap().pop() } {
            let expected = folder.join("problems.txt");
            let name = folder.file_name().unwrap().to_str().unwrap();
            let said = check(&folder);
            if update {
                fs::write(&expected, &said).unwrap();
            }
            let wanted = fs::read_to_string(&expected).unwrap_or_default();
            let (code, _) = name.split_once('-').expect("a folder is named `<CODE>-<what>`");
            if !said.contains(&format!("[{code}]")) {
                wrong.lock().unwrap().push(format!("{name}: does not show {code}:\n{said}"));
            } else if said != wanted {
                wrong.lock().unwrap().push(format!("{name}: expected\n{wanted}\nfound\n{said}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "`LONGSHORE_UPDATE=1` writes what is found\n\n{}", wrong.join("\n"));
}

/// What hooks may do, close to what lints report: comments, quotes and here-documents with it, and the right way beside it.
#[test]
fn what_is_done_right_is_left_in_peace() {
    let sandbox = Sandbox::empty();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sound/hooks/project"), &sandbox.path(""));
    sandbox.commit();
    sandbox.run(&["check", "--no-shellcheck", "--strict"]).ok();
}

/// Codes that `longshore check` never shows, or only at length: the code, why, and the test that shows it.
const SHOWN_ELSEWHERE: [(&str, &str, &str); 18] = [
    ("LS113", "it takes 500 problems", "a_hostile_file_does_not_drown_the_reader"),
    ("LS350", "`build --pin-images`", "everything_that_cannot_be_pinned_is_told_at_once"),
    (
        "LS351",
        "`build --pin-images`",
        "an_image_that_was_built_here_and_never_pushed_is_told_apart_from_one_that_nobody_has",
    ),
    (
        "LS352",
        "`build --pin-images`",
        "a_registry_that_wants_a_password_gets_that_of_docker_login_and_nobody_else_does",
    ),
    ("LS353", "`build --pin-images`", "a_registry_that_does_not_answer_is_no_fault_of_a_file"),
    ("LS354", "`build --lock-images`", "a_lock_file_of_the_work_tree_is_in_the_way"),
    ("LS355", "`build --pin-images`", "an_image_that_only_the_host_knows_cannot_be_pinned"),
    (
        "LS356",
        "`build --pin-images`",
        "an_image_that_was_built_here_and_never_pushed_is_told_apart_from_one_that_nobody_has",
    ),
    ("LS430", "a variable", "every_mistake_in_the_environment_names_its_variable"),
    ("LS501", "the AWS agent's configuration", "every_problem_is_shown_at_once_with_its_place"),
    ("LS502", "the AWS agent's configuration", "every_problem_is_shown_at_once_with_its_place"),
    ("LS503", "who a host is", "everything_that_is_wrong_is_named_with_its_place_and_no_secret_is_shown"),
    ("LS510", "the agent's configuration", "what_cannot_be_read_is_not_said_to_be_missing_too"),
    ("LS511", "the agent's configuration", "an_unknown_key_is_a_warning_and_the_daemon_starts"),
    ("LS512", "the agent's configuration", "every_mistake_in_the_settings_is_shown_at_once_with_its_place"),
    ("LS513", "the agent's configuration", "every_mistake_in_the_settings_is_shown_at_once_with_its_place"),
    ("LS514", "the agent's configuration", "every_mistake_in_the_settings_is_shown_at_once_with_its_place"),
    ("LS515", "the agent's configuration", "settings_that_anybody_may_write_are_a_warning"),
];

/// Every Rust file below a folder.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn code(text: &str) -> Option<&str> {
    text.get(..5).filter(|code| code.starts_with("LS") && code[2..].bytes().all(|byte| byte.is_ascii_digit()))
}

/// Every `"LSnnn"` in the code of a crate, tests and comments aside.
fn given_out(krate: &str) -> BTreeSet<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("src");
    let files = sources(&dir).into_iter().filter(|path| !path.to_str().unwrap().contains("tests"));
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let code_alone = texts.iter().map(|text| text.split("#[cfg(test)]\nmod tests {").next().unwrap());
    let lines = code_alone.flat_map(str::lines).filter(|line| !line.trim_start().starts_with("//"));
    let strings = lines.flat_map(|line| line.split('"'));
    strings.filter(|text| text.len() == 5).filter_map(code).map(str::to_owned).collect()
}

#[test]
fn every_code_is_shown_by_a_folder_and_explained_by_a_section_and_nothing_else_is() {
    let elsewhere: BTreeSet<String> = SHOWN_ELSEWHERE.iter().map(|(code, ..)| (*code).to_owned()).collect();
    let crates = ["core", "builder", "agent"].map(given_out);
    let all: BTreeSet<String> = crates.into_iter().flatten().collect();
    let shown = folders().iter().filter_map(|folder| code(folder.file_name()?.to_str()?).map(str::to_owned)).collect();
    let wanted: BTreeSet<String> = all.difference(&elsewhere).cloned().collect();
    assert_eq!(wanted, shown, "in the sources, and in folders");

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/reference/lints.md")).unwrap();
    let sections = page.lines().filter_map(|line| line.strip_prefix("### ").and_then(code));
    let explained: Vec<String> = sections.map(str::to_owned).collect();
    assert_eq!(
        Vec::from_iter(all),
        explained,
        "in the sources, and in docs/reference/lints.md, in the order of their numbers"
    );
}

#[test]
fn what_is_shown_elsewhere_is_shown_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = ["crates/agent", "crates/core", "crates/builder", "tests"].map(|dir| sources(&root.join(dir)));
    let tests: Vec<String> = files.into_iter().flatten().map(|path| fs::read_to_string(path).unwrap()).collect();
    for (code, why, test) in SHOWN_ELSEWHERE {
        let name = format!("fn {test}()");
        assert!(tests.iter().any(|text| text.contains(&name)), "{code} ({why}): there is no `{test}`");
    }
}
