//! Every rule of the plan, as tables over listings and disks that are written down here.

use std::fmt::Write as _;

use longshore_core::appspec::{Acl, AclTag, AppSpec, Context, FileMapping, Pattern, Permission, Source};
use longshore_core::bundle::BundlePath;

use super::super::cleanup::Cleanup;
use super::super::listing::{Item, ItemKind, Listing};
use super::super::permissions::Programs;
use super::super::snapshot::FreeSpace;
use super::*;

fn listing(items: &[&str]) -> Listing {
    let items = items.iter().map(|item| {
        let (path, kind) = match (item.split_once(" -> "), item.strip_suffix('/')) {
            (Some((path, target)), _) => (path, ItemKind::Link(target.to_owned())),
            (None, Some(path)) => (path, ItemKind::Directory),
            (None, None) => (*item, ItemKind::File),
        };
        let size = if kind == ItemKind::File { 10 } else { 0 };
        (path.parse().unwrap(), Item { kind, mode: 0o644, size })
    });
    items.collect()
}

fn appspec(files: &[(&str, &str)], permissions: Vec<Permission>) -> AppSpec {
    let files = files.iter().map(|(source, destination)| FileMapping {
        source: BundlePath::normalized(source).map_or(Source::Whole, Source::Path),
        destination: (*destination).to_owned(),
        span: 0..0,
    });
    AppSpec { os: Os::Linux, files: files.collect(), file_exists: None, permissions, hooks: indexmap::IndexMap::new() }
}

fn permission(object: &str) -> Permission {
    Permission {
        object: object.to_owned(),
        pattern: Pattern("**".to_owned()),
        except: Vec::new(),
        files: true,
        directories: true,
        owner: None,
        group: None,
        mode: Some(0o700),
        acls: None,
        context: None,
        span: 7..8,
    }
}

fn cleanup(paths: &[&str]) -> Cleanup {
    Cleanup { paths: paths.iter().map(PathBuf::from).collect(), contexts: Vec::new() }
}

/// `/a/` a folder, `/a` a file, `/a -> /b/` a link to a folder, `/a -> ` one to nowhere, `/a/ !x` a folder of the previous
/// release with the foreign `x` in it, `/a =` a device.
fn disk(found: &[&str]) -> Snapshot {
    let found = found.iter().map(|text| {
        let (path, standing) = if let Some((path, target)) = text.split_once(" -> ") {
            let directory = target.strip_suffix('/').map(PathBuf::from);
            (path, Standing::Link { directory })
        } else if let Some((path, foreign)) = text.split_once("/ !") {
            (path, Standing::Directory { foreign: Some(Path::new(path).join(foreign)) })
        } else if let Some(path) = text.strip_suffix(" =") {
            (path, Standing::Special)
        } else if let Some(path) = text.strip_suffix('/') {
            (path, Standing::Directory { foreign: None })
        } else {
            (*text, Standing::File)
        };
        (PathBuf::from(path), Found { place: PathBuf::from(path), standing, device: 1 })
    });
    let program = || Some(PathBuf::from("/bin/true"));
    Snapshot {
        found: found.collect(),
        users: [("app".to_owned(), Some(500)), ("nobody-here".to_owned(), None)].into(),
        groups: [("web".to_owned(), Some(600)), ("none-here".to_owned(), None)].into(),
        file_systems: [(1, FreeSpace { bytes: 1 << 30, block: 4096, files: Some(1000), read_only: false })].into(),
        barred: BTreeMap::new(),
        unprivileged: None,
        maker: None,
        folders: BTreeMap::new(),
        programs: Programs { setfacl: program(), getfacl: program(), semanage: program(), restorecon: program() },
    }
}

fn text(result: &Result<InstallPlan, Vec<Conflict>>) -> String {
    let mut text = String::new();
    match result {
        Ok(plan) => {
            for Directory { path, place, action } in &plan.directories {
                let at = if path == place { String::new() } else { format!(" at {}", place.display()) };
                writeln!(text, "folder {}{at} {action:?}", path.display()).unwrap();
            }
            for Copy { source, destination, place, action, .. } in &plan.copies {
                let at = if destination == place { String::new() } else { format!(" at {}", place.display()) };
                writeln!(text, "copy {source} to {}{at} {action:?}", destination.display()).unwrap();
            }
            for change in &plan.permissions {
                write!(text, "set {}", change.path.display()).unwrap();
                for account in change.owner.iter().chain(&change.group) {
                    write!(text, " {}={}", account.name, account.id).unwrap();
                }
                writeln!(text, " {:?}", change.mode.map(|mode| format!("{mode:o}"))).unwrap();
            }
            for Removal { path, directory, .. } in &plan.removals {
                writeln!(text, "remove {}{}", path.display(), if *directory { "/" } else { "" }).unwrap();
            }
            for path in &plan.remembered {
                writeln!(text, "remember {}", path.display()).unwrap();
            }
            for note in &plan.notes {
                writeln!(text, "note: {note}").unwrap();
            }
        }
        Err(conflicts) => {
            for conflict in conflicts {
                writeln!(text, "conflict: {conflict}").unwrap();
            }
        }
    }
    text
}

struct Case<'a> {
    name: &'a str,
    bundle: &'a [&'a str],
    files: &'a [(&'a str, &'a str)],
    previous: &'a [&'a str],
    disk: &'a [&'a str],
    file_exists: FileExists,
    expected: &'a [&'a str],
}

const NOTHING: Case<'static> = Case {
    name: "",
    bundle: &[],
    files: &[],
    previous: &[],
    disk: &[],
    file_exists: FileExists::Disallow,
    expected: &[],
};

fn check(cases: &[Case<'_>]) {
    for case in cases {
        let appspec = appspec(case.files, Vec::new());
        let (listing, previous) = (listing(case.bundle), cleanup(case.previous));
        let request =
            Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: case.file_exists };
        let result = plan(&request, &disk(case.disk));
        let expected: String = case.expected.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(text(&result), expected, "{}", case.name);
    }
}

#[test]
fn a_folder_gives_its_contents_and_a_file_lands_in_its_destination() {
    let bundle: &[&str] = &["app/.env", "app/sub/x", "app/empty/", "b.conf", "appspec.yml"];
    check(&[
        Case {
            name: "contents of a folder, hidden files and empty folders too, missing parents ancestors first",
            bundle,
            files: &[("app", "/srv/app")],
            disk: &["/srv/"],
            expected: &[
                "folder /srv/app Create",
                "folder /srv/app/empty Create",
                "folder /srv/app/sub Create",
                "copy app/.env to /srv/app/.env Create",
                "copy app/sub/x to /srv/app/sub/x Create",
            ],
            ..NOTHING
        },
        Case {
            name: "a file's destination is a folder; trailing and doubled slashes and dots mean nothing",
            bundle,
            files: &[("b.conf", "/etc//x/./y/../conf.d/")],
            disk: &["/etc/"],
            expected: &[
                "folder /etc/x Create",
                "folder /etc/x/conf.d Create",
                "copy b.conf to /etc/x/conf.d/b.conf Create",
            ],
            ..NOTHING
        },
        Case {
            name: "the whole bundle, appspec included",
            bundle: &["a", "appspec.yml"],
            files: &[("/", "/srv")],
            disk: &["/srv/"],
            expected: &["copy a to /srv/a Create", "copy appspec.yml to /srv/appspec.yml Create"],
            ..NOTHING
        },
        Case {
            name: "an empty folder still makes its destination",
            bundle: &["empty/"],
            files: &[("empty", "/srv/app")],
            disk: &["/srv/"],
            expected: &["folder /srv/app Create"],
            ..NOTHING
        },
        Case {
            name: "the root is a destination too",
            bundle: &["etc/x"],
            files: &[("/", "/")],
            disk: &["/etc/"],
            expected: &["copy etc/x to /etc/x Create"],
            ..NOTHING
        },
    ]);
}

#[test]
fn links_are_copied_and_not_followed() {
    check(&[
        Case {
            name: "in a folder",
            bundle: &["app/current -> v1", "app/v1/x"],
            files: &[("app", "/srv")],
            disk: &["/srv/"],
            expected: &[
                "folder /srv/v1 Create",
                "copy app/current to /srv/current Create",
                "copy app/v1/x to /srv/v1/x Create",
            ],
            ..NOTHING
        },
        Case {
            name: "as the source itself",
            bundle: &["current -> v1", "v1/x"],
            files: &[("current", "/srv")],
            disk: &["/srv/"],
            expected: &[
                "copy current to /srv/current Create",
                "note: source `current` is a link and is installed as one, not followed",
            ],
            ..NOTHING
        },
        Case {
            name: "on the way to a source",
            bundle: &["current -> v1", "v1/x"],
            files: &[("current/x", "/srv")],
            disk: &["/srv/"],
            expected: &["conflict: `current/x` is not in the bundle: `current` is a link, and links are not followed"],
            ..NOTHING
        },
        Case {
            name: "a link to a folder on disk is gone through and named",
            bundle: &["x"],
            files: &[("x", "/var/www/html")],
            disk: &["/var/", "/var/www -> /data/www/"],
            expected: &[
                "folder /var/www/html Create",
                "copy x to /var/www/html/x Create",
                "note: `/var/www` is a link to `/data/www`, and files are installed there",
            ],
            ..NOTHING
        },
    ]);
}

#[test]
fn all_conflicts_are_reported_at_once() {
    check(&[Case {
        name: "everything that can be wrong with files",
        bundle: &["a", "b", "dir/c", "dir/sub/d", "bad\nname"],
        files: &[
            ("missing", "/srv"),
            ("*.war", "/srv"),
            ("a", "relative"),
            ("a", "~/x"),
            ("a", "/srv/nul\0"),
            ("a", "/srv"),
            ("dir", "/srv"),
            ("dir/sub", "/srv/sub"),
            ("a", "/opt"),
            ("b", "/opt/a"),
            ("b", "/file/below"),
            ("b", "/dangling"),
            ("bad\nname", "/srv"),
        ],
        disk: &["/srv/", "/srv/a", "/srv/c/", "/opt/", "/file", "/dangling -> "],
        expected: &[
            "conflict: `missing` is not in the bundle",
            "conflict: `*.war` is not in the bundle",
            "conflict: destination `relative` is not absolute, and would depend on the folder that the agent was started in",
            "conflict: destination `~/x` begins with `~`, and whose home that is depends on who runs the agent",
            "conflict: destination `/srv/nul\0` has a NUL character",
            "conflict: `/srv/bad\\nname` has a line break in its name, which no record of installed files can hold",
            "conflict: `/dangling` exists and is no folder, where a folder must go",
            "conflict: `/file` exists and is no folder, where a folder must go",
            "conflict: `a` goes to `/opt/a`, where another entry of `files` needs a folder",
            "conflict: `/srv/a` exists and was not installed by this group's previous deployment",
            "conflict: a folder stands at `/srv/c`, where a file must go",
            "conflict: `dir/sub/d` and `dir/sub/d` both go to `/srv/sub/d`",
        ],
        ..NOTHING
    }]);
}

#[test]
fn what_exists_is_refused_replaced_or_kept() {
    let bundle: &[&str] = &["file", "folder", "link", "mine", "new", "device"];
    let files: &[(&str, &str)] = &[("/", "/s")];
    let disk: &[&str] = &["/s/", "/s/file", "/s/folder/", "/s/link -> ", "/s/mine", "/s/device ="];
    let previous: &[&str] = &["/s/mine"];
    let case = Case { bundle, files, disk, previous, ..NOTHING };
    check(&[
        Case {
            name: "DISALLOW",
            file_exists: FileExists::Disallow,
            expected: &[
                "conflict: `/s/device` exists and was not installed by this group's previous deployment",
                "conflict: `/s/file` exists and was not installed by this group's previous deployment",
                "conflict: a folder stands at `/s/folder`, where a file must go",
                "conflict: `/s/link` exists and was not installed by this group's previous deployment",
            ],
            ..case
        },
        Case {
            name: "OVERWRITE",
            file_exists: FileExists::Overwrite,
            expected: &[
                "conflict: `/s/device` exists and was not installed by this group's previous deployment",
                "conflict: a folder stands at `/s/folder`, where a file must go",
            ],
            ..case
        },
        Case {
            name: "OVERWRITE without what it cannot replace",
            bundle: &["file", "link", "mine", "new"],
            file_exists: FileExists::Overwrite,
            expected: &[
                "copy file to /s/file Replace",
                "copy link to /s/link Replace",
                "copy mine to /s/mine Replace",
                "copy new to /s/new Create",
            ],
            ..case
        },
        Case {
            name: "RETAIN",
            file_exists: FileExists::Retain,
            expected: &[
                "copy device to /s/device Retain",
                "copy file to /s/file Retain",
                "copy folder to /s/folder Retain",
                "copy link to /s/link Retain",
                "copy mine to /s/mine Replace",
                "copy new to /s/new Create",
                "note: `/s/device` exists and stays as it is (RETAIN)",
                "note: `/s/file` exists and stays as it is (RETAIN)",
                "note: `/s/folder` exists and stays as it is (RETAIN)",
                "note: `/s/link` exists and stays as it is (RETAIN)",
            ],
            ..case
        },
    ]);
}

#[test]
fn what_only_the_old_release_had_is_removed_in_reverse_order() {
    check(&[
        Case {
            name: "files, folders, and what is gone already",
            bundle: &["keep", "sub/new"],
            files: &[("/", "/s")],
            previous: &["/s", "/s/old", "/s/old/x", "/s/keep", "/s/gone", "/s/full", "/s/full/y", "/s/sub"],
            disk: &["/s/", "/s/old/", "/s/old/x", "/s/keep", "/s/full/ !log", "/s/full/y", "/s/sub/"],
            expected: &[
                "folder /s Keep",
                "folder /s/sub Keep",
                "copy keep to /s/keep Replace",
                "copy sub/new to /s/sub/new Create",
                "remove /s/full/y",
                "remove /s/old/x",
                "remove /s/old/",
                "remember /s/full",
            ],
            ..NOTHING
        },
        Case {
            name: "a file becomes a folder",
            bundle: &["x/y"],
            files: &[("/", "/s")],
            previous: &["/s/x"],
            disk: &["/s/", "/s/x"],
            expected: &["folder /s/x Replace", "copy x/y to /s/x/y Create"],
            ..NOTHING
        },
        Case {
            name: "a link to a folder becomes a folder, and what it leads to is left alone",
            bundle: &["x/y"],
            files: &[("/", "/s")],
            previous: &["/s/x"],
            disk: &["/s/", "/s/x -> /data/", "/s/x/y"],
            expected: &["folder /s/x Replace", "copy x/y to /s/x/y Create"],
            ..NOTHING
        },
        Case {
            name: "a folder becomes a file",
            bundle: &["x"],
            files: &[("/", "/s")],
            previous: &["/s/x", "/s/x/y"],
            disk: &["/s/", "/s/x/", "/s/x/y"],
            expected: &["copy x to /s/x Replace", "remove /s/x/y"],
            ..NOTHING
        },
        Case {
            name: "a folder with something else in it does not become a file",
            bundle: &["x"],
            files: &[("/", "/s")],
            previous: &["/s/x", "/s/x/y"],
            disk: &["/s/", "/s/x/ !data.db", "/s/x/y"],
            file_exists: FileExists::Overwrite,
            expected: &[
                "conflict: a folder stands at `/s/x`, where a file must go; `/s/x/data.db` in it was not installed",
            ],
        },
    ]);
}

#[test]
fn two_names_of_one_place_are_one_place() {
    let appspec = appspec(&[("a/x", "/var/www"), ("b/x", "/data/www")], Vec::new());
    let listing = listing(&["a/x", "b/x"]);
    let previous = cleanup(&["/var/www/old", "/data/www/old"]);
    let mut disk = disk(&["/var/", "/var/www -> /data/www/", "/data/", "/data/www/", "/data/www/old"]);
    for name in ["old", "x"] {
        let place = Path::new("/data/www").join(name);
        let standing = if name == "old" { Standing::File } else { Standing::Absent };
        disk.found.insert(Path::new("/var/www").join(name), Found { place, standing, device: 1 });
    }
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    assert_eq!(text(&plan(&request, &disk)), "conflict: `b/x` and `a/x` both go to `/var/www/x`\n");

    let appspec = self::appspec(&[("a/x", "/var/www")], Vec::new());
    let request = Request { appspec: &appspec, ..request };
    assert_eq!(
        text(&plan(&request, &disk)),
        "copy a/x to /var/www/x at /data/www/x Create\nremove /data/www/old\n\
         note: `/var/www` is a link to `/data/www`, and files are installed there\n"
    );
}

#[test]
fn files_that_do_not_fit_are_refused_with_both_numbers() {
    let appspec = appspec(&[("/", "/s/app")], Vec::new());
    let listing = listing(&["a", "b"]);
    let previous = cleanup(&[]);
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    let mut disk = disk(&["/s/"]);
    for path in ["/s/app", "/s/app/a", "/s/app/b"] {
        let path = PathBuf::from(path);
        disk.found.insert(path.clone(), Found { place: path, standing: Standing::Absent, device: 1 });
    }
    for (bytes, files, expected) in [
        (8192, Some(3), None),
        (8191, Some(3), Some("8192 bytes in 3 files needed, 8191 bytes and 3 files free")),
        (8192, Some(2), Some("8192 bytes in 3 files needed, 8192 bytes and 2 files free")),
        (8191, None, Some("8192 bytes in 3 files needed, 8191 bytes free")),
        (8192, None, None),
    ] {
        disk.file_systems.insert(1, FreeSpace { bytes, block: 4096, files, read_only: false });
        let conflicts = plan(&request, &disk).err().unwrap_or_default();
        let expected = expected.map(|expected| format!("not enough space around `/s/app`: {expected}"));
        let found: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
    let read_only = FreeSpace { bytes: 1 << 30, block: 4096, files: None, read_only: true };
    disk.file_systems.insert(1, read_only);
    let conflicts: Vec<String> = plan(&request, &disk).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(conflicts, ["the file system of `/s/app` is read-only"]);
}

#[test]
fn a_windows_appspec_is_refused() {
    let appspec = AppSpec { os: Os::Windows, ..appspec(&[], Vec::new()) };
    let (listing, previous) = (listing(&[]), cleanup(&[]));
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    assert_eq!(text(&plan(&request, &disk(&[]))), "conflict: the appspec is for windows, this host runs linux\n");
}

fn permissions(permissions: Vec<Permission>) -> String {
    let appspec = appspec(&[("/", "/s")], permissions);
    let listing = listing(&["a.sh", "b.txt", ".env", "d/c.sh", "d/e/f.sh", "empty/", "l -> a.sh"]);
    let previous = cleanup(&["/s/empty"]);
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    let text = text(&plan(&request, &disk(&["/s/", "/s/empty/"])));
    let lines = text.lines().filter(|line| !line.starts_with("folder ") && !line.starts_with("copy "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn permissions_mean_what_is_installed_below_their_object() {
    let pattern = |pattern: &str| Pattern(pattern.to_owned());
    let set = |paths: &[&str]| -> String { paths.iter().map(|path| format!("set {path} Some(\"700\")\n")).collect() };
    let link_note = "note: `/s/l` is a link: mode, ACL and context are not set through it\n";
    let nothing = "match nothing that this release installs\n";
    for (name, permission, expected) in [
        (
            "everything below, the folder itself not, kept folders too",
            permission("/s/"),
            set(&["/s/.env", "/s/a.sh", "/s/b.txt", "/s/d", "/s/d/c.sh", "/s/d/e", "/s/d/e/f.sh", "/s/empty"])
                + link_note,
        ),
        (
            "files only, at every depth",
            Permission { directories: false, ..permission("/s/d") },
            set(&["/s/d/c.sh", "/s/d/e/f.sh"]),
        ),
        ("folders only", Permission { files: false, ..permission("/s") }, set(&["/s/d", "/s/d/e", "/s/empty"])),
        (
            "a pattern means direct children only",
            Permission { pattern: pattern("*.sh"), ..permission("/s") },
            set(&["/s/a.sh"]),
        ),
        (
            "a star means hidden files and folders too",
            Permission { pattern: pattern("*e*"), ..permission("/s") },
            set(&["/s/.env", "/s/empty"]),
        ),
        (
            "a folder by its parent and its name",
            Permission { pattern: pattern("d"), ..permission("/s") },
            set(&["/s/d"]),
        ),
        (
            "except leaves out direct children only",
            Permission { except: vec![pattern("*.sh"), pattern("d"), pattern("l")], ..permission("/s") },
            set(&["/s/.env", "/s/b.txt", "/s/d/c.sh", "/s/d/e", "/s/d/e/f.sh", "/s/empty"]),
        ),
        (
            "a folder above the destination",
            Permission { directories: false, pattern: pattern("**"), except: vec![pattern("s")], ..permission("/") },
            set(&["/s/.env", "/s/a.sh", "/s/b.txt", "/s/d/c.sh", "/s/d/e/f.sh"]) + link_note,
        ),
        ("one file by its path", permission("/s/a.sh"), set(&["/s/a.sh"])),
        (
            "one file, when files are not meant",
            Permission { files: false, ..permission("/s/a.sh") },
            "note: permissions of `/s/a.sh` mean nothing: it is a file, and `type` leaves files out\n".to_owned(),
        ),
        (
            "a name with a slash matches nothing, also deeper",
            Permission { pattern: pattern("d/c.sh"), ..permission("/s") },
            format!("note: permissions of `/s` {nothing}"),
        ),
        (
            "a folder's name as the object means what is in it, and `**` as a part of a name is two stars",
            Permission { pattern: pattern("c**"), ..permission("/s/d") },
            set(&["/s/d/c.sh"]),
        ),
        (
            "except cannot leave out what is deeper",
            Permission { directories: false, except: vec![pattern("c.sh"), pattern("d/*")], ..permission("/s") },
            set(&["/s/.env", "/s/a.sh", "/s/b.txt", "/s/d/c.sh", "/s/d/e/f.sh"]) + link_note,
        ),
        (
            "one link by its path",
            Permission { owner: Some("app".into()), mode: None, ..permission("/s/l") },
            "set /s/l app=500 None\n".to_owned(),
        ),
        (
            "a folder that is an empty one's",
            permission("/s/empty"),
            format!("note: permissions of `/s/empty` {nothing}"),
        ),
        ("something that is not installed", permission("/etc"), format!("note: permissions of `/etc` {nothing}")),
        ("half a name", permission("/s/a"), format!("note: permissions of `/s/a` {nothing}")),
        (
            "no types at all",
            Permission { files: false, directories: false, ..permission("/s") },
            format!("note: permissions of `/s` {nothing}"),
        ),
        (
            "owner of a link, which is the link's own",
            Permission {
                owner: Some("app".into()),
                group: Some("web".into()),
                pattern: pattern("l"),
                ..permission("/s")
            },
            format!("set /s/l app=500 web=600 None\n{link_note}"),
        ),
    ] {
        assert_eq!(permissions(vec![permission]), expected, "{name}");
    }
}

#[test]
fn the_same_object_twice_is_a_conflict_also_under_another_spelling() {
    assert_eq!(
        permissions(vec![permission("/s/a.sh"), permission("/s//d/../a.sh/")]),
        "conflict: the permissions of `/s/a.sh` are set twice, for `/s/a.sh` and for `/s//d/../a.sh/`\n"
    );
}

#[test]
fn a_pattern_of_ten_groups_takes_no_time() {
    // Seventeen seconds in the AWS agent.
    let pattern = Pattern("*a".repeat(10) + "b");
    let names: Vec<String> = (0..500).map(|number| format!("{}{number}", "a".repeat(24))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let appspec = appspec(
        &[("/", "/s")],
        vec![Permission { pattern: pattern.clone(), except: vec![pattern], ..permission("/s") }],
    );
    let (listing, previous) = (listing(&names), cleanup(&[]));
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    let begun = std::time::Instant::now();
    assert_eq!(plan(&request, &disk(&["/s/"])).unwrap().permissions, []);
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn permissions_that_cannot_be_set_are_conflicts() {
    let entry = |default, tag, name: &str| Acl { default, tag, name: name.into(), permissions: 7 };
    let found = permissions(vec![
        Permission { directories: false, ..permission("/s/d") },
        Permission { mode: Some(0o600), ..permission("/s/d/c.sh") },
        Permission { pattern: Pattern("*".into()), ..permission("/s/a.sh") },
        Permission { except: vec![Pattern("x".into())], ..permission("/s/b.txt") },
        Permission { acls: Some(vec![entry(true, AclTag::User, "")]), ..permission("/s/.env") },
        Permission { acls: Some(vec![entry(true, AclTag::User, "")]), files: false, ..permission("/s/d") },
        Permission { owner: Some("nobody-here".into()), group: Some("none-here".into()), ..permission("/s/b.txt") },
        Permission {
            acls: Some(vec![entry(false, AclTag::Group, "none-here"), entry(false, AclTag::User, "nobody-here")]),
            ..permission("/s/a.sh")
        },
    ]);
    assert_eq!(
        found,
        "conflict: the permissions of `/s/d/c.sh` are set twice, for `/s/d` and for `/s/d/c.sh`\n\
         conflict: permissions of the file `/s/a.sh` cannot have a `pattern` or `except`\n\
         conflict: permissions of the file `/s/b.txt` cannot have a `pattern` or `except`\n\
         conflict: permissions of `/s/.env` have a default ACL entry, which the file `/s/.env` cannot have\n\
         conflict: user `nobody-here` does not exist (permissions of `/s/b.txt`)\n\
         conflict: group `none-here` does not exist (permissions of `/s/b.txt`)\n\
         conflict: user `nobody-here` does not exist (permissions of `/s/a.sh`)\n\
         conflict: group `none-here` does not exist (permissions of `/s/a.sh`)\n"
    );
}

#[test]
fn what_the_agent_cannot_change_is_a_conflict_named_once_and_only_where_it_matters() {
    use Obstacle::{Immutable, NotSearchable, NotWritable, ReadOnly};
    let appspec = appspec(&[("/", "/s/app")], Vec::new());
    let listing = listing(&["a", "b", "d/c"]);
    let previous = cleanup(&["/s/app", "/s/app/a", "/s/app/d", "/s/app/gone", "/hidden/x"]);
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    for (barred, expected) in [
        (vec![("/", NotWritable), ("/s", NotWritable)], ""),
        (vec![("/s/app", NotWritable)], "conflict: `/s/app` cannot be written to by the agent's user\n"),
        (vec![("/s/app/d", ReadOnly)], "conflict: `/s/app/d` is mounted read-only\n"),
        (
            vec![("/s/app/a", Immutable), ("/s/app/gone", Immutable), ("/s", Immutable)],
            "conflict: `/s/app/a` is immutable\nconflict: `/s/app/gone` is immutable\n",
        ),
        (vec![("/s/app/a", NotWritable)], ""),
        (vec![("/hidden", NotSearchable)], "conflict: `/hidden` cannot be looked into by the agent's user\n"),
        (vec![("/s", NotSearchable)], "conflict: `/s` cannot be looked into by the agent's user\n"),
    ] {
        let mut disk = disk(&["/s/", "/s/app/", "/s/app/a", "/s/app/d/", "/s/app/gone"]);
        disk.barred = barred.iter().map(|(path, obstacle)| (PathBuf::from(path), *obstacle)).collect();
        let result = plan(&request, &disk);
        let found = if result.is_ok() { String::new() } else { text(&result) };
        assert_eq!(found, expected, "{barred:?}");
    }
}

#[test]
fn only_root_gives_files_to_others() {
    let give = |owner: &str, group: &str| Permission {
        owner: Some(owner.to_owned()),
        group: Some(group.to_owned()),
        ..permission("/s")
    };
    let (listing, previous) = (listing(&["a"]), cleanup(&[]));
    let theirs = "conflict: only root can give files to `app` (permissions of `/s`)\n\
                  conflict: only root can give files to `web` (permissions of `/s`)\n";
    for (user, groups, expected) in
        [(500, vec![1, 600], None), (501, vec![1], Some(theirs)), (500, vec![1], Some(&theirs[theirs.len() / 2..]))]
    {
        let appspec = appspec(&[("/", "/s")], vec![give("app", "web")]);
        let request =
            Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
        let unprivileged = Some(super::super::snapshot::Unprivileged { user, groups });
        let result = plan(&request, &Snapshot { unprivileged, ..disk(&["/s/"]) });
        assert_eq!(result.is_err().then(|| text(&result)).as_deref(), expected, "{user}");
    }
}

#[test]
fn programs_that_are_missing_are_found_out_before_anything_happens() {
    let context = Context { user: None, kind: "t".into(), range: None };
    let permissions = vec![Permission { acls: Some(vec![]), context: Some(context), mode: None, ..permission("/s") }];
    let appspec = appspec(&[("/", "/s")], permissions);
    let (listing, previous) = (listing(&["a"]), cleanup(&[]));
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    let disk = Snapshot { programs: Programs::default(), ..disk(&["/s/"]) };
    assert_eq!(
        text(&plan(&request, &disk)),
        "conflict: the program `setfacl` is not installed (permissions of `/s`)\n\
         conflict: the program `semanage` is not installed (permissions of `/s`)\n"
    );
}

#[test]
fn a_plan_survives_its_json() {
    let appspec = appspec(&[("/", "/s")], vec![Permission { owner: Some("app".into()), ..permission("/s") }]);
    let (listing, previous) = (listing(&["a", "b/c", "l -> a"]), cleanup(&["/s/old", "/s/full"]));
    let request =
        Request { appspec: &appspec, listing: &listing, previous: &previous, file_exists: FileExists::Disallow };
    let plan = plan(&request, &disk(&["/s/", "/s/old", "/s/full/ !x"])).unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<InstallPlan>(&json).unwrap(), plan);
}
