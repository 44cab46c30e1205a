//! The lints as data: each folder of `tests/lints` is named `<CODE>-<what>` and shows that code.
//!
//! - `project/`: the source folder. Execute bits and links are those that git keeps.
//! - `setup.sh`, if any: run in the copy before it is committed, for what git does not keep.
//! - `arguments.txt`, if any: what follows `longshore check`, one argument in each line.
//! - `problems.txt`: what it then says; `LONGSHORE_UPDATE=1` writes it anew.

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
    let arguments: Vec<&str> = ["check"].into_iter().chain(more.lines()).collect();
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
