use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use longshore_core::digest::Sha256;

use crate::sandbox::{APPSPEC, Sandbox};

#[test]
fn a_work_tree_that_changes_while_it_is_packed_is_refused() {
    for (change, then) in [("echo later >app/index.html", "status"), ("git commit --quiet --allow-empty -m x", "log")] {
        let sandbox = Sandbox::shop();
        // Somebody at work right after git was asked.
        let git = format!("#!/bin/sh\nPATH=${{PATH#*:}}\ngit \"$@\"\ncase \"$*\" in *' {then} '*) {change} ;; esac\n");
        fs::create_dir(sandbox.outside("bin")).unwrap();
        fs::write(sandbox.outside("bin/git"), git).unwrap();
        fs::set_permissions(sandbox.outside("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", sandbox.outside("bin").display(), std::env::var("PATH").unwrap());
        let sandbox = sandbox.env("PATH", &path);
        let stderr = sandbox.run(&["build"]).exits(1).stderr;
        let error = "error: the work tree changed while it was packed\n\nhint: run the same command again\n";
        assert!(stderr.ends_with(error), "{stderr}");
        assert_eq!(fs::read_dir(sandbox.path("dist")).unwrap().count(), 0);
    }
}

#[test]
fn a_change_that_git_was_told_to_overlook_is_a_difference() {
    for mark in ["--assume-unchanged", "--skip-worktree"] {
        let sandbox = Sandbox::shop();
        sandbox.git(&["update-index", mark, "app/index.html", "README.md"]);
        sandbox.run(&["build"]).ok();
        sandbox.write("app/index.html", "changed\n");
        // As in a sparse checkout.
        fs::remove_file(sandbox.path("README.md")).unwrap();
        let stderr = sandbox.run(&["build"]).exits(1).stderr;
        assert!(
            stderr.contains("error: the work tree differs from its commit:\n    app/index.html\n\nhint"),
            "{stderr}"
        );
    }
}

#[test]
fn what_surprises_in_the_files_that_are_packed_is_said_and_strict_refuses_it() {
    let sandbox = Sandbox::shop();
    sandbox.write("app/INDEX.html", "another\n");
    fs::set_permissions(sandbox.path("app/big.txt"), fs::Permissions::from_mode(0o4755)).unwrap();
    sandbox.commit();
    let expected = [
        "`app/big.txt` loses its setuid or setgid bit",
        "`app/INDEX.html` and `app/index.html` are one file where case or Unicode form does not count",
    ];
    let strict = sandbox.run(&["build", "--strict"]).exits(3);
    assert!(strict.stderr.ends_with(
        "error: the bundle has 2 warnings\n\nhint: `--strict` makes warnings fail; without it they do not\n"
    ));
    assert_eq!(fs::read_dir(sandbox.path("dist")).unwrap().count(), 0);
    let ran = sandbox.run(&["build", "--output", "json"]).ok();
    assert_eq!(ran.json()["warnings"], serde_json::json!(expected));
    let said: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    assert_eq!(said, expected);
}

#[test]
fn what_a_build_left_that_was_killed_is_gone_after_the_next_and_a_running_one_is_left_alone() {
    let sandbox = Sandbox::shop();
    sandbox.write("dist/.longshore-build-dead/bundle.zip", "half");
    sandbox.write("dist/.longshore-build-alive/bundle.zip", "half");
    sandbox.write("dist/.longshore-build-file", "no folder");
    let alive = fs::File::open(sandbox.path("dist/.longshore-build-alive")).unwrap();
    alive.lock().unwrap();
    sandbox.run(&["build"]).ok();
    let left = ["dead", "alive", "file"].map(|name| sandbox.path(&format!("dist/.longshore-build-{name}")).exists());
    assert_eq!(left, [false, true, true]);
}

#[test]
fn an_artifact_is_named_by_its_commit() {
    let sandbox = Sandbox::shop();
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
    let name = sandbox.artifact().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("shop-{}.zip", sandbox.head()));
}

#[test]
fn the_result_as_json_says_everything_that_the_next_step_needs() {
    let sandbox = Sandbox::shop();
    let json = sandbox.run(&["build", "--output", "json"]).ok().json();
    let archive = Sha256::of(&fs::read(sandbox.artifact()).unwrap());
    assert_eq!(json["archive_digest"], archive.to_string());
    assert_eq!(json["commit"], sandbox.head());
    assert_eq!(json["artifact"], format!("[dir]/shop/dist/shop-{}.zip", sandbox.head()));
    assert_eq!((&json["application"], &json["dirty"], &json["files"]), (&"shop".into(), &false.into(), &5.into()));
    // The time of the commit, 2026-01-02T03:04:06Z.
    assert_eq!(json["time"], 1_767_323_046);
}

#[test]
fn one_commit_gives_one_sha256_wherever_and_however_it_is_built() {
    let digest = |sandbox: &Sandbox| Sha256::of(&fs::read(sandbox.artifact()).unwrap());
    let first = Sandbox::shop();
    first.run(&["build"]).ok();
    let expected = digest(&first);

    // Another folder, files made in another order and with other modes, other times, zone, locale, umask.
    let second = Sandbox::named("somewhere-else");
    second.shell("umask 077; mkdir -p scripts app; touch docker-compose.yml app/index.html").ok();
    second.write_shop();
    assert_eq!(second.commit(), first.head(), "the same commit");
    second.shell("find . -path ./.git -prune -o -type f -exec touch -d '1999-12-31 23:59:59' {} +").ok();
    second.shell("find . -path ./.git -prune -o -type f -exec chmod g-rwx,o-rwx {} +").ok();
    let second = second.env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR.UTF-8");
    second.run(&["build"]).ok();
    assert_eq!(digest(&second), expected);
    second.shell("umask 077; TZ=America/New_York LC_ALL=C \"$LONGSHORE\" build").ok();
    assert_eq!(digest(&second), expected, "built again over the old artifact");
    second.shell("taskset 1 \"$LONGSHORE\" build").ok();
    assert_eq!(digest(&second), expected, "on one processor");
}

#[test]
fn a_second_build_says_whether_anything_changed() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let again = sandbox.run(&["build"]).ok();
    assert!(again.stderr.contains("Unchanged `[dir]/shop/dist/shop-"), "{}", again.stderr);
    let other = sandbox.env("SOURCE_DATE_EPOCH", "1700000000").run(&["build"]).ok();
    assert!(other.stderr.contains("Replaced `[dir]/shop/dist/shop-"), "{}", other.stderr);
}

#[test]
fn a_work_tree_that_differs_is_refused_with_the_files() {
    let sandbox = Sandbox::shop();
    sandbox.write("app/index.html", "changed\n");
    sandbox.write("app/new.html", "new\n");
    sandbox.write("notes.txt", "not packed, so it does not matter\n");
    fs::remove_file(sandbox.path("README.md")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
    assert!(!sandbox.path("dist").exists());
}

#[test]
fn files_that_are_neither_known_to_git_nor_packed_do_not_matter() {
    let sandbox = Sandbox::shop();
    sandbox.write("notes.txt", "x");
    sandbox.write(".gitignore", "/app/built.js\n");
    sandbox.commit();
    sandbox.write("app/built.js", "a build product that git ignores\n");
    sandbox.run(&["build"]).ok();
    sandbox.run(&["build"]).ok();
}

#[test]
fn a_new_ignore_file_decides_what_is_packed_so_it_is_a_difference() {
    let sandbox = Sandbox::shop();
    sandbox.write(".longshoreignore", "*.map\n");
    let ran = sandbox.run(&["build"]).exits(1);
    assert!(ran.stderr.contains("\n    .longshoreignore\n"), "{}", ran.stderr);
}

#[test]
fn a_dirty_build_has_a_name_that_no_clean_one_has() {
    let sandbox = Sandbox::shop();
    sandbox.write("app/index.html", "changed\n");
    let json = sandbox.run(&["build", "--allow-dirty", "--output", "json"]).ok().json();
    let digest = json["content_digest"].as_str().unwrap()[..12].to_owned();
    let name = sandbox.artifact().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("shop-{}-dirty-{digest}.zip", sandbox.head()));
    assert_eq!((&json["dirty"], &json["changes"]), (&true.into(), &serde_json::json!(["app/index.html"])));
}

#[test]
fn allow_dirty_on_a_clean_tree_is_a_clean_build() {
    let sandbox = Sandbox::shop();
    let json = sandbox.run(&["build", "--allow-dirty", "--output", "json"]).ok().json();
    assert_eq!(json["dirty"], false);
}

#[test]
fn a_changed_submodule_is_a_difference() {
    let sandbox = Sandbox::shop();
    let library = Sandbox::named("library");
    library.write("x", "1");
    library.commit();
    let url = library.path("").display().to_string();
    sandbox.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "lib"]);
    sandbox.commit();
    sandbox.run(&["build"]).ok();
    sandbox.write("lib/x", "2");
    let ran = sandbox.run(&["build"]).exits(1);
    assert!(ran.stderr.contains("\n    lib\n"), "{}", ran.stderr);
}

#[test]
fn errors_of_the_check_stop_a_build() {
    let sandbox = Sandbox::shop();
    sandbox.write("appspec.yml", &APPSPEC.replace("scripts/install.sh", "scripts/gone.sh"));
    sandbox.commit();
    let ran = sandbox.run(&["build"]).exits(3);
    assert!(ran.stderr.contains("error[LS201]"), "{}", ran.stderr);
    assert!(!sandbox.path("dist").exists());
}

#[test]
fn secrets_are_refused_unless_each_is_allowed_by_name() {
    let sandbox = Sandbox::shop();
    sandbox.write("app/.env", "PASSWORD=hunter2\n");
    sandbox.write("app/tls/site.pem", "-----BEGIN PRIVATE KEY-----\nMIIB\n");
    sandbox.write("app/tls/ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    sandbox.commit();
    let ran = sandbox.run(&["build"]).exits(3);
    assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("MIIB"), "{}", ran.stderr);
    insta::assert_snapshot!(ran.shown());
    sandbox.run(&["build", "--allow-secret", "app/.env"]).exits(3);
    sandbox.run(&["build", "--strict", "--allow-secret", "app/.env", "--allow-secret", "app/tls/site.pem"]).ok();
}

#[test]
fn the_artifact_of_the_folder_that_it_is_built_into_is_never_packed() {
    let sandbox = Sandbox::empty();
    sandbox.write("appspec.yml", "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv/shop\n");
    sandbox.commit();
    let build = |arguments: &[&str]| {
        let json = sandbox.run(&[&["build", "--output", "json"], arguments].concat()).ok().json();
        (json["files"].clone(), json["archive_digest"].clone())
    };
    let first = build(&[]);
    assert_eq!(first.0, 1);
    assert_eq!(build(&[]), first, "the artifact of the first build is not in the second");
    let top = build(&["--out", "."]);
    assert_eq!(build(&["--out", "."]), top, "also at the top");
    let elsewhere = sandbox.outside("artifacts").display().to_string();
    build(&["--out", &elsewhere]);
    assert!(fs::read_dir(elsewhere).unwrap().count() == 1);
}

#[test]
fn a_build_leaves_nothing_but_the_artifact() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let mode = sandbox.artifact().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o111, 0, "{mode:o}");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "?? dist/\n");
}

#[test]
fn the_name_comes_from_flag_variable_settings_folder_in_this_order() {
    let name = |sandbox: &Sandbox, arguments: &[&str]| {
        sandbox.run(&[&["build", "--output", "json"], arguments].concat()).ok().json()["application"].clone()
    };
    let sandbox = Sandbox::named("folder");
    sandbox.write_shop();
    fs::remove_file(sandbox.path("longshore.toml")).unwrap();
    sandbox.commit();
    assert_eq!(name(&sandbox, &[]), "folder");
    sandbox.write("longshore.toml", "application = \"settings\"\n");
    sandbox.commit();
    assert_eq!(name(&sandbox, &[]), "settings");
    let sandbox = sandbox.env("LONGSHORE_APPLICATION", "variable");
    assert_eq!(name(&sandbox, &[]), "variable");
    assert_eq!(name(&sandbox, &["--application", "flag"]), "flag");
}

#[test]
fn a_folder_whose_name_is_no_application_name_is_not_guessed_at() {
    let sandbox = Sandbox::named("my shop");
    sandbox.write("appspec.yml", "version: 0.0\nos: linux\n");
    sandbox.commit();
    insta::assert_snapshot!(sandbox.run(&["build"]).shown());
}
