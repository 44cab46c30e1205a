use longshore_core::appspec;
use longshore_core::problem::{Look, render};

use super::*;
use crate::settings::Settings;

const FILE: Kind = Kind::File { size: 10, executable: false };

/// A listing in one line per entry: `path`, `path/`, `path -> target`, `- path` (kept out by a rule), `| path` (a pipe).
fn listing(text: &str) -> Listing {
    let mut listing = Listing::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(path) = line.strip_prefix("- ") {
            let rule = Rule::Written { place: ".longshoreignore:1".into(), pattern: path.into() };
            let path: BundlePath = path.parse().unwrap();
            listing.entries.extend(path.parent().map(|folder| (folder, Kind::Folder)));
            listing.excluded.insert(path, rule);
        } else if let Some(path) = line.strip_prefix("| ") {
            listing.entries.insert(path.parse().unwrap(), Kind::Special("a named pipe"));
        } else {
            let (path, kind) = match line.split_once(" -> ") {
                Some((path, target)) => (path, Kind::Link(target.into())),
                None => (line, FILE),
            };
            let path: BundlePath = path.parse().unwrap();
            let mut folder = path.parent();
            while let Some(path) = folder {
                folder = path.parent();
                listing.entries.insert(path, Kind::Folder);
            }
            listing.entries.insert(path, kind);
        }
    }
    listing
}

fn recipe(body: &str, settings: &str) -> Recipe {
    let source = SourceFile::new("appspec.yml", format!("version: 0.0\nos: linux\n{body}"));
    let appspec = appspec::parse(&source).appspec.expect("a valid appspec");
    let (settings, problems) = Settings::parse(&SourceFile::new("longshore.toml", settings));
    assert_eq!(problems, []);
    Recipe { settings, appspec_path: "appspec.yml".parse().unwrap(), appspec_source: source, appspec }
}

fn files(plan: &BuildPlan) -> String {
    plan.files.keys().map(BundlePath::as_str).collect::<Vec<_>>().join(" ")
}

const HOOK: &str = "hooks:\n  AfterInstall:\n    - location: scripts/a.sh\n";
const SOURCE: &str = "files:\n  - source: app\n    destination: /srv\n";
const WHOLE: &str = "files:\n  - source: /\n    destination: /srv\n";

#[test]
fn what_goes_in() {
    let tree = "appspec.yml\nscripts/a.sh\nscripts/lib/b.sh\napp/x\napp/sub/y\nother/z\ndocker-compose.yml\n\
                docker-compose.stg.yaml\ncompose.yaml\ncomposer.json\ncompose-notes.md\nREADME.md\nsub/docker-compose.yml";
    for (case, body, settings, expected) in [
        (
            "the folder of a script, the compose files at the top, and nothing else",
            HOOK,
            "",
            "appspec.yml compose.yaml docker-compose.stg.yaml docker-compose.yml scripts/a.sh scripts/lib/b.sh",
        ),
        (
            "a folder of `files`",
            SOURCE,
            "",
            "app/sub/y app/x appspec.yml compose.yaml docker-compose.stg.yaml docker-compose.yml",
        ),
        (
            "the whole tree",
            WHOLE,
            "",
            "README.md app/sub/y app/x appspec.yml compose-notes.md compose.yaml composer.json docker-compose.stg.yaml \
             docker-compose.yml other/z scripts/a.sh scripts/lib/b.sh sub/docker-compose.yml",
        ),
        (
            "what `include` adds",
            SOURCE,
            "[build]\ninclude = [\"/other/\", \"*.md\"]",
            "README.md app/sub/y app/x appspec.yml compose-notes.md compose.yaml docker-compose.stg.yaml \
             docker-compose.yml other/z",
        ),
        (
            "a script at the top comes alone",
            "hooks:\n  AfterInstall:\n    - location: README.md\n",
            "",
            "README.md appspec.yml compose.yaml docker-compose.stg.yaml docker-compose.yml",
        ),
        (
            "one file of `files`",
            "files:\n  - source: other/z\n    destination: /srv\n",
            "",
            "appspec.yml compose.yaml docker-compose.stg.yaml docker-compose.yml other/z",
        ),
    ] {
        let (plan, problems) = plan(&recipe(body, settings), &listing(tree));
        assert_eq!((files(&plan).as_str(), problems), (expected, vec![]), "{case}");
    }
}

#[test]
fn an_appspec_from_elsewhere_takes_the_place_of_the_one_at_the_top() {
    let mut recipe = recipe(WHOLE, "");
    recipe.appspec_path = "deploy/stg.yml".parse().unwrap();
    let (plan, problems) = plan(&recipe, &listing("appspec.yml\ndeploy/stg.yml"));
    assert_eq!((files(&plan).as_str(), problems), ("appspec.yml deploy/stg.yml", vec![]));
    assert_eq!(plan.files[&"appspec.yml".parse().unwrap()].from.as_str(), "deploy/stg.yml");
}

#[test]
fn a_linked_appspec_is_packed_as_the_file_that_it_is() {
    let (plan, problems) = plan(&recipe("", ""), &listing("appspec.yml -> deploy/x.yml\ndeploy/x.yml"));
    assert_eq!((files(&plan).as_str(), problems), ("appspec.yml", vec![]));
    assert_eq!(plan.files.values().next().unwrap().from.as_str(), "deploy/x.yml");
    let (_, problems) = super::plan(&recipe("", ""), &listing("appspec.yml -> ../x.yml"));
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["LS210"]);
}

#[test]
fn links_lead_to_what_they_point_to() {
    for (case, tree, expected) in [
        (
            "a linked script",
            "scripts/a.sh -> ../shared/a.sh\nshared/a.sh\nshared/b.sh",
            "scripts/a.sh shared/a.sh shared/b.sh",
        ),
        (
            "a linked folder",
            "scripts -> shared/hooks\nshared/hooks/a.sh\nshared/hooks/b.sh",
            "scripts shared/hooks/a.sh shared/hooks/b.sh",
        ),
        ("a chain", "scripts -> one\none -> two\ntwo/a.sh", "one scripts two/a.sh"),
    ] {
        let (plan, problems) = plan(&recipe(HOOK, ""), &listing(tree));
        let packed = files(&plan).replace("appspec.yml ", "");
        assert_eq!((packed.as_str(), problems), (expected, vec![]), "{case}");
        assert_eq!(plan.scripts.len(), 1, "{case}");
    }
}

#[test]
fn what_cannot_be_packed_is_shown_with_its_reason() {
    let mut text = String::new();
    for (case, body, settings, tree) in [
        ("a script that does not exist", HOOK, "", "app/x"),
        ("a script in another folder", HOOK, "", "script/a.sh"),
        ("a script in the wrong case", HOOK, "", "Scripts/A.sh"),
        ("a script that is a folder", HOOK, "", "scripts/a.sh/x"),
        ("a script that a rule keeps out", HOOK, "", "- scripts/a.sh"),
        ("a script in a folder that a rule keeps out", HOOK, "", "- scripts"),
        ("a script through a link that leaves", HOOK, "", "scripts -> /opt/hooks"),
        ("a link in a circle", HOOK, "", "scripts -> scripts"),
        ("a source that does not exist", SOURCE, "", "apps/x"),
        ("a source that a rule keeps out", SOURCE, "", "- app"),
        ("a pipe", WHOLE, "", "| control"),
        ("a link that leaves", WHOLE, "", "etc -> ../../etc"),
        ("a link to nothing", WHOLE, "", "current -> releases/1"),
        ("an include that names nothing", HOOK, "[build]\ninclude = [\"/confg/\"]", "scripts/a.sh\nconfig/x"),
    ] {
        let (_, problems) = plan(&recipe(body, settings), &listing(tree));
        text.push_str(&format!("# {case}\n{}\n", render(&problems, Look::Plain)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_folder_for_artifacts_is_a_way_to_lose_a_build_product() {
    let mut listing = listing("index.html");
    let dist: BundlePath = "dist".parse().unwrap();
    listing.excluded.insert(dist.clone(), Rule::OutFolder);
    listing.out_with_other_files = Some(dist);
    let (_, whole) = plan(&recipe(WHOLE, ""), &listing);
    let (_, named) = plan(&recipe("files:\n  - source: dist\n    destination: /srv\n", ""), &listing);
    let (_, unconcerned) = plan(&recipe("", ""), &listing);
    insta::assert_snapshot!(render(&[whole, named, unconcerned].concat(), Look::Plain));
}

#[test]
fn a_link_text_is_read_from_where_the_link_stands() {
    for (link, target, expected) in [
        ("a", "b", Some("b")),
        ("x/a", "../b", Some("b")),
        ("x/a", "./b//c", Some("x/b/c")),
        ("a", "../b", None),
        ("x/a", "../../b", None),
        ("a", "/etc/passwd", None),
    ] {
        let joined = join(&link.parse().unwrap(), target);
        assert_eq!(joined.as_ref().map(BundlePath::as_str), expected, "{link} -> {target}");
    }
}
