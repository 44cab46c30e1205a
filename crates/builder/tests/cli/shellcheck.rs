use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::sandbox::Sandbox;

/// `rm $1` where the file may have blanks in its name, and a variable that the file beside it sets.
const SCRIPT: &str = "#!/bin/sh\nset -eu\n. \"$(dirname \"$0\")/common.sh\"\necho $folder\nrm -f $(ls)\n";

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file()).unwrap()
}

/// A project whose `PATH` has git and, if there is one, this shellcheck.
fn shop(shellcheck: Option<&str>) -> Sandbox {
    let sandbox = Sandbox::shop();
    sandbox.program("scripts/install.sh", SCRIPT);
    sandbox.write("scripts/common.sh", "folder=/srv/shop\n");
    sandbox.commit();
    let bin = sandbox.outside("bin");
    fs::create_dir(&bin).unwrap();
    symlink(program("git"), bin.join("git")).unwrap();
    match shellcheck {
        Some("") => symlink(program("shellcheck"), bin.join("shellcheck")).unwrap(),
        Some(text) => {
            fs::write(bin.join("shellcheck"), text).unwrap();
            fs::set_permissions(bin.join("shellcheck"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        None => {}
    }
    let path = bin.to_str().unwrap().to_owned();
    sandbox.env("PATH", &path)
}

#[test]
fn what_shellcheck_warns_of_is_a_warning_at_its_place() {
    let sandbox = shop(Some(""));
    let json = sandbox.run(&["check", "--output", "json"]).ok().json();
    assert_eq!(json["shellcheck"], "ran");
    let found: Vec<(&str, &str, u64, u64)> = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap();
            (text("severity"), text("code"), problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(found, [("warning", "SC2046", 5, 7)], "{json}");
    sandbox.run(&["check", "--strict"]).exits(3);
    sandbox.run(&["build", "--strict", "--no-shellcheck"]).ok();
}

#[test]
fn shellcheck_obeys_the_users_own_configuration_and_ours() {
    let sandbox = shop(Some(""));
    assert_eq!(sandbox.run(&["check", "--strict", "--allow", "SC2046"]).ok().code, 0);
    sandbox.write(".shellcheckrc", "disable=SC2046\n");
    sandbox.run(&["check", "--strict"]).ok();
}

#[test]
fn without_shellcheck_or_with_one_that_fails_nothing_else_does() {
    for (shellcheck, expected, warning) in [
        (None, "not installed", None),
        (
            Some("#!/bin/sh\necho Segmentation fault\nexit 139\n"),
            "failed: its answer makes no sense (exit status: 139)",
            Some("shellcheck is of no help: its answer makes no sense (exit status: 139)"),
        ),
        (
            Some("#!/bin/sh\nkill -SEGV $$\n"),
            "failed: its answer makes no sense (signal: 11 (SIGSEGV) (core dumped))",
            Some("shellcheck is of no help: its answer makes no sense (signal: 11 (SIGSEGV) (core dumped))"),
        ),
    ] {
        let sandbox = shop(shellcheck);
        let json = sandbox.run(&["check", "--strict", "--output", "json"]).ok().json();
        let without_core = |text: &str| text.replace(" (core dumped)", "");
        assert_eq!(without_core(json["shellcheck"].as_str().unwrap()), without_core(expected));
        let warnings: Vec<String> = json["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|warning| without_core(warning.as_str().unwrap()))
            .collect();
        assert_eq!(warnings, warning.map(without_core).into_iter().collect::<Vec<_>>());
        sandbox.run(&["build", "--strict"]).ok();
    }
}
