use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Look, render};

use super::*;
use crate::listing::{Kind, Listing};
use crate::plan::PlannedKind;
use crate::rules::Rule;

const FILE: Kind = Kind::File { size: 1, executable: false };

/// A tree of files, `link -> target`, and `- path` for what a rule keeps out.
fn listing(entries: &[&str]) -> Listing {
    let mut listing = Listing::default();
    for entry in entries {
        if let Some(path) = entry.strip_prefix("- ") {
            listing.excluded.insert(path.parse().unwrap(), Rule::OutFolder);
            continue;
        }
        let (path, kind) = match entry.split_once(" -> ") {
            Some((path, target)) => (path, Kind::Link(target.into())),
            None => (*entry, FILE),
        };
        let path: BundlePath = path.parse().unwrap();
        let mut folder = path.parent();
        while let Some(path) = folder {
            folder = path.parent();
            listing.entries.insert(path, Kind::Folder);
        }
        listing.entries.insert(path, kind);
    }
    listing
}

const TREE: [&str; 9] = [
    "appspec.yml",
    "app/a.js",
    "app/a.map",
    "app/lib/.hidden",
    "app/lib/b.js",
    "build-1/appspec.yml",
    "build-1/web/index.html",
    "current -> app/lib",
    "link.js -> app/a.js",
];

/// `bundle path`, or `bundle path <- source path` where they differ.
fn taken(body: &str, tree: &[&str]) -> (String, Vec<Problem>) {
    let source = SourceFile::new("buildspec.yml", format!("version: 0.2\nartifacts:\n{body}"));
    let (artifacts, mut problems) = parse(&source, None);
    let Some(artifacts) = artifacts else { return (String::new(), problems) };
    let (selected, wrong) = artifacts.select(&listing(tree));
    problems.extend(wrong);
    let shown = |(path, planned): (&BundlePath, &crate::plan::Planned)| match &planned.kind {
        PlannedKind::Link(target) => format!("{path} -> {target}"),
        PlannedKind::File { .. } if *path == planned.from => path.to_string(),
        PlannedKind::File { .. } => format!("{path} <- {}", planned.from),
    };
    (selected.iter().map(shown).collect::<Vec<_>>().join(", "), problems)
}

#[test]
fn files_are_taken_as_codebuild_takes_them() {
    for (case, body, expected) in [
        ("one file", "  files: [appspec.yml]", "appspec.yml"),
        ("with a dot before it", "  files: [./appspec.yml]", "appspec.yml"),
        ("one level", "  files: ['app/*']", "app/a.js, app/a.map"),
        ("all levels, hidden files too", "  files: ['app/**/*']", "app/a.js, app/a.map, app/lib/.hidden, app/lib/b.js"),
        (
            "everything, links followed",
            "  files: ['**/*']\n  exclude-paths: ['app/**/*']",
            "appspec.yml, build-1/appspec.yml, build-1/web/index.html, current/.hidden <- app/lib/.hidden, \
             current/b.js <- app/lib/b.js, link.js <- app/a.js",
        ),
        (
            "links kept",
            "  files: ['current', link.js]\n  enable-symlinks: yes",
            "current -> app/lib, link.js -> app/a.js",
        ),
        (
            "what is excluded by a pattern that crosses folders, and by one that does not",
            "  files: ['app/**/*']\n  exclude-paths: ['**/*.map', 'app/*.js']",
            "app/lib/.hidden, app/lib/b.js",
        ),
        (
            "a base directory by the beginning of its name",
            "  files: ['**/*']\n  base-directory: 'build-*'",
            "appspec.yml <- build-1/appspec.yml, web/index.html <- build-1/web/index.html",
        ),
        ("the base directory itself", "  files: ['*.js']\n  base-directory: app", "a.js <- app/a.js"),
        (
            "without folders",
            "  files: [appspec.yml, 'app/**/*.js']\n  discard-paths: yes",
            "a.js <- app/a.js, appspec.yml, b.js <- app/lib/b.js",
        ),
        ("a word in quotes", "  files: ['app/lib/*.js']\n  discard-paths: 'yes'", "b.js <- app/lib/b.js"),
        ("no is no", "  files: ['app/lib/*.js']\n  discard-paths: no\n  enable-symlinks: off", "app/lib/b.js"),
    ] {
        let (found, problems) = taken(body, &TREE);
        assert_eq!((found.as_str(), render(&problems, Look::Plain)), (expected, String::new()), "{case}");
    }
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let mut shown = String::new();
    for (case, body) in [
        ("no list", "  name: x"),
        ("no mapping", "  - appspec.yml"),
        ("a text for a list", "  files: appspec.yml"),
        ("no word", "  files: [appspec.yml]\n  discard-paths: maybe\n  exclude-path: [x]"),
        ("paths", "  files: [/srv/x, ../x, '$OUT/x', 'a[', {}]\n  base-directory: ~/x"),
        ("names nothing", "  files: [appspec.yml, app, missing.txt, '*.php']"),
        ("no base directory", "  files: ['**/*']\n  base-directory: target"),
        ("the base directory is the folder for artifacts", "  files: ['**/*']\n  base-directory: dist"),
        ("one name for two files", "  files: ['**/*']\n  discard-paths: yes\n  exclude-paths: ['current/*', link.js]"),
        ("links", "  files: ['*.ln']"),
    ] {
        let tree = [&TREE[..], &["- dist", "away.ln -> ../x", "gone.ln -> nowhere"]].concat();
        let (_, problems) = taken(body, &tree);
        assert_ne!(problems, [], "{case}");
        shown.push_str(&format!("---- {case}\n{}\n", render(&problems, Look::Plain)));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_secondary_artifact_has_a_section_of_its_own() {
    let text = "version: 0.2\nartifacts:\n  secondary-artifacts:\n    web:\n      files: ['web/*']\n      name: web-$(date +%F)\n    api:\n      files: [api]\n";
    let source = SourceFile::new("buildspec.yml", text);
    let (artifacts, problems) = parse(&source, Some("web"));
    let artifacts = artifacts.unwrap();
    assert_eq!(problems, []);
    assert_eq!(artifacts.files.iter().map(|item| item.text.as_str()).collect::<Vec<_>>(), ["web/*"]);
    assert_eq!(
        artifacts.notes,
        [
            "`artifacts.secondary-artifacts.web.name` (`web-$(date +%F)`) is filled in by CodeBuild's shell and not used here: the \
          artifact is named by application and commit"
        ]
    );
    let mut shown = String::new();
    for secondary in [None, Some("wbe")] {
        shown.push_str(&render(&parse(&source, secondary).1, Look::Plain));
    }
    shown.push_str(&render(&parse(&SourceFile::new("buildspec.yml", "version: 0.2\n"), None).1, Look::Plain));
    shown.push_str(&render(&parse(&SourceFile::new("buildspec.yml", ""), None).1, Look::Plain));
    insta::assert_snapshot!(shown);
}
