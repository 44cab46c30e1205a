//! What a release after another leaves on the host.

use std::fs;
use std::os::unix::fs::symlink;

use longshore_agent::install::compat::Records;
use longshore_agent::install::listing::Listing;
use longshore_agent::install::planner;
use longshore_agent::install::request::Request;
use longshore_agent::install::snapshot::Snapshot;
use longshore_core::appspec::{FileExists, Permission};

use super::fixture::{Host, mode, owner, permission};

#[test]
fn a_second_release_replaces_adds_and_removes() {
    let host = Host::new();
    let one = host.release(
        "one",
        &[("a", "one"), ("gone", "x"), ("old/deep/file", "x"), ("empty/", ""), ("link -> a", ""), (".env", "x")],
        &[("/", "app")],
    );
    let installed = host.install(&one);
    assert_eq!((installed.files, installed.bytes, installed.removed), (5, 6, 0));
    let names = [
        "app/",
        "app/.env",
        "app/a",
        "app/empty/",
        "app/gone",
        "app/link -> a",
        "app/old/",
        "app/old/deep/",
        "app/old/deep/file",
    ];
    assert_eq!(host.names(), names);
    assert_eq!(
        host.cleanup(),
        [
            "app",
            "app/empty",
            "app/old",
            "app/old/deep",
            "app/.env",
            "app/a",
            "app/gone",
            "app/link",
            "app/old/deep/file"
        ]
    );
    assert_eq!(mode(&host.disk("app")), 0o755);

    fs::write(host.disk("app/users-own"), "kept").unwrap();
    let two = host.release("two", &[("a", "two"), ("link -> b", ""), ("b", "new"), (".env", "x")], &[("/", "app")]);
    let installed = host.install(&two);
    assert_eq!((installed.files, installed.removed), (4, 5));
    assert_eq!(host.names(), ["app/", "app/.env", "app/a", "app/b", "app/link -> b", "app/users-own"]);
    assert_eq!(fs::read_to_string(host.disk("app/a")).unwrap(), "two");
    assert_eq!(host.cleanup(), ["app", "app/.env", "app/a", "app/b", "app/link"]);
    let root = two.archive.parent().unwrap().to_path_buf();
    assert_eq!(host.records.last_successful_install().unwrap(), Some(root));
}

#[test]
fn installing_the_same_release_again_changes_nothing_that_shows() {
    let host = Host::new();
    let release = host.release("one", &[("a", "one"), ("b/c", "x"), (".empty/", "")], &[("/", "app")]);
    host.install(&release);
    // The list of instructions has no folders to make the second time; the rest is the same to the last byte.
    let install = host.records.dir.join("shop-install.json");
    fs::remove_file(&install).unwrap();
    let before = host.tree();
    host.install(&release);
    fs::remove_file(&install).unwrap();
    assert_eq!(host.tree(), before);
}

#[test]
fn a_conflict_names_every_file_and_leaves_the_host_as_it_was() {
    let host = Host::new();
    host.install(&host.release("one", &[("mine", "one"), ("old", "x")], &[("/", "app")]));
    for name in ["app/x", "app/y"] {
        fs::write(host.disk(name), "foreign").unwrap();
    }
    symlink("/nowhere", host.disk("app/z")).unwrap();
    let before = host.tree();
    let two = host.release("two", &[("mine", "two"), ("x", ""), ("y", ""), ("z", ""), ("new", "")], &[("/", "app")]);
    let conflicts: Vec<String> = host.plan(&two).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = ["app/x", "app/y", "app/z"].map(|name| {
        let path = host.disk(name);
        format!("`{}` exists and was not installed by this group's previous deployment", path.display())
    });
    assert_eq!(conflicts, expected);
    assert_eq!(host.tree(), before);
}

#[test]
fn overwrite_replaces_files_and_links_and_touches_nothing_behind_a_link() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    fs::write(host.disk("file"), "foreign").unwrap();
    fs::write(host.disk("app/a"), "foreign").unwrap();
    symlink(host.disk("file"), host.disk("app/b")).unwrap();
    symlink(host.disk("file"), host.disk("app/c")).unwrap();
    let mut release = host.release("one", &[("a", "new"), ("b", "new"), ("c -> a", "")], &[("/", "app")]);
    release.file_exists = FileExists::Overwrite;
    release.appspec.permissions =
        vec![Permission { mode: Some(0o600), owner: Some("nobody".into()), ..permission(&host.disk("app")) }];
    host.install(&release);
    assert_eq!(host.names(), ["app/", "app/a", "app/b", "app/c -> a", "file"]);
    assert_eq!(fs::read_to_string(host.disk("app/b")).unwrap(), "new");
    assert_eq!((fs::read_to_string(host.disk("file")).unwrap(), mode(&host.disk("file"))), ("foreign".into(), 0o644));
    assert_eq!(owner(&host.disk("file")), (0, 0));
    // As the AWS agent's record: the file is ours from now on, and goes with the next release.
    assert_eq!(host.cleanup(), ["app/a", "app/b", "app/c"]);
    host.install(&host.release("two", &[("other", "")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/other", "file"]);
}

#[test]
fn retain_leaves_the_file_and_never_counts_it_as_ours() {
    let host = Host::new();
    fs::create_dir(host.disk("app")).unwrap();
    fs::write(host.disk("app/config"), "users").unwrap();
    let mut release = host.release("one", &[("config", "ours"), ("a", "x")], &[("/", "app")]);
    release.file_exists = FileExists::Retain;
    release.appspec.permissions = vec![Permission { mode: Some(0o600), ..permission(&host.disk("app")) }];
    host.install(&release);
    host.install(&host.release("two", &[("b", "x")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/b", "app/config"]);
    assert_eq!(fs::read_to_string(host.disk("app/config")).unwrap(), "users");
    assert_eq!(mode(&host.disk("app/config")), 0o644);
}

#[test]
fn kinds_can_change_from_one_release_to_the_next() {
    let host = Host::new();
    let target = host.disk("data");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("x"), "not ours").unwrap();
    let link = format!("link -> {}", target.display());
    let one: &[(&str, &str)] = &[("file", "1"), ("folder/x", "1"), ("folder/sub/y", "1"), (&link, "")];
    let two: &[(&str, &str)] = &[("file/a/b", "2"), ("folder", "2"), ("link/x", "2")];
    host.install(&host.release("one", one, &[("/", "app")]));
    host.install(&host.release("two", two, &[("/", "app")]));
    let names = [
        "app/",
        "app/file/",
        "app/file/a/",
        "app/file/a/b",
        "app/folder",
        "app/link/",
        "app/link/x",
        "data/",
        "data/x",
    ];
    assert_eq!(host.names(), names);
    assert_eq!(fs::read_to_string(target.join("x")).unwrap(), "not ours");
    host.install(&host.release("three", one, &[("/", "app")]));
    let link = format!("app/link -> {}", target.display());
    let names = [
        "app/",
        "app/file",
        "app/folder/",
        "app/folder/sub/",
        "app/folder/sub/y",
        "app/folder/x",
        &link,
        "data/",
        "data/x",
    ];
    assert_eq!(host.names(), names);
}

#[test]
fn a_folder_that_users_put_something_in_stays_and_goes_once_it_is_empty() {
    let host = Host::new();
    host.install(&host.release("one", &[("logs/readme", "x"), ("a", "x")], &[("/", "app")]));
    fs::write(host.disk("app/logs/today.log"), "x").unwrap();
    let installed = host.install(&host.release("two", &[("a", "x")], &[("/", "app")]));
    assert_eq!(installed.remembered, [host.disk("app/logs")]);
    assert_eq!(host.names(), ["app/", "app/a", "app/logs/", "app/logs/today.log"]);
    fs::remove_file(host.disk("app/logs/today.log")).unwrap();
    host.install(&host.release("three", &[("a", "x")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/a"]);
    assert_eq!(host.cleanup(), ["app", "app/a"]);
}

#[test]
fn files_go_through_a_link_to_a_folder_and_are_removed_through_it() {
    let host = Host::new();
    fs::create_dir(host.disk("real")).unwrap();
    symlink("real", host.disk("www")).unwrap();
    host.install(&host.release("one", &[("a", "1"), ("b", "1")], &[("/", "www/html")]));
    assert_eq!(host.names(), ["real/", "real/html/", "real/html/a", "real/html/b", "www -> real"]);
    // The same files by their other name are still the same files.
    host.install(&host.release("two", &[("a", "2")], &[("/", "real/html")]));
    assert_eq!(host.names(), ["real/", "real/html/", "real/html/a", "www -> real"]);
    assert_eq!(fs::read_to_string(host.disk("real/html/a")).unwrap(), "2");
}

#[test]
fn two_groups_with_one_destination_are_told_and_neither_touches_the_others_files() {
    let host = Host::new();
    host.install(&host.release("one", &[("a", "1"), ("only", "1")], &[("/", "app")]));
    let other = Records { group: "other".parse().unwrap(), ..host.records.clone() };
    let two = host.release("two", &[("a", "2"), ("b", "2")], &[("/", "app")]);
    let plan_for = |records: &Records| {
        let listing = Listing::read(&two.archive).unwrap();
        let previous = records.cleanup().unwrap();
        let (appspec, file_exists) = (&two.appspec, FileExists::Disallow);
        let request = Request { appspec, listing: &listing, previous: &previous, file_exists };
        planner::plan(&request, &Snapshot::take(&request).unwrap())
    };
    let before = host.tree();
    let conflicts: Vec<String> = plan_for(&other).unwrap_err().iter().map(ToString::to_string).collect();
    let expected =
        format!("`{}` exists and was not installed by this group's previous deployment", host.disk("app/a").display());
    assert_eq!(conflicts, [expected]);
    assert_eq!(host.tree(), before);
}
