use longshore_core::problem::{Look, render};

use super::*;
use crate::listing::Kind;
use crate::plan::{Planned, PlannedKind};
use crate::rules::Rule;

/// Lints one compose file. `packed`: the other files of the bundle; `ignored`: kept out by a rule; `on_disk`: there, but
/// not packed.
fn lint_text(text: &str, packed: &[&str], ignored: &[&str], on_disk: &[&str]) -> Vec<Problem> {
    let (file, mut problems) = read(&SourceFile::new("docker-compose.yml", text));
    let mut plan = BuildPlan::default();
    for path in packed {
        let path: BundlePath = path.parse().unwrap();
        let kind = PlannedKind::File { size: 1, executable: false };
        plan.files.insert(path.clone(), Planned { from: path, kind });
    }
    let mut listing = Listing::default();
    for path in ignored {
        let rule = Rule::Written { place: ".longshoreignore:3".into(), pattern: (*path).into() };
        listing.excluded.insert(path.parse().unwrap(), rule);
    }
    listing.entries.insert("docker-compose.yml".parse().unwrap(), Kind::File { size: 1, executable: false });
    let on_disk = on_disk.iter().map(|path| path.parse().unwrap()).collect();
    problems.extend(lint(&[file], &plan, &listing, &on_disk));
    problems
}

const ALL: &str = "\
include:
  - common.yml
  - path: [a/one.yml, b/two.yml]
    env_file: a/.env
services:
  web:
    build:
      context: web
      dockerfile: Dockerfile.prod
    env_file:
      - web.env
      - path: optional.env
        required: false
      - path: must.env
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - data:/var/lib/data
      - /etc/localtime:/etc/localtime:ro
      - ~/cache:/cache
      - ${WHERE}/x:/x
      - ../shared:/shared
      - type: bind
        source: ./static
        target: /static
      - type: volume
        source: data
        target: /more
    extends:
      file: base.yml
      service: web
  worker:
    image: worker
    build: ./worker
    env_file: worker.env
  job:
    build: .
  remote:
    build: https://github.com/example/job.git#main
configs:
  site: {file: ./site.conf}
secrets:
  token: {file: secrets/token}
  outside: {external: true}
volumes:
  data: {}
";

#[test]
fn every_file_that_the_bundle_lacks_is_shown_at_its_place() {
    let problems = lint_text(ALL, &[], &[], &[]);
    insta::assert_snapshot!(render(&problems, Look::Plain));
    assert!(problems.iter().all(|problem| !problem.is_error()), "a file may be on the host");
}

#[test]
fn a_bundle_that_holds_everything_is_left_in_peace() {
    let packed = [
        "common.yml",
        "a/one.yml",
        "b/two.yml",
        "a/.env",
        "web/Dockerfile.prod",
        "web.env",
        "must.env",
        "nginx.conf",
        "static/x.css",
        "base.yml",
        "worker.env",
        "Dockerfile",
        "site.conf",
        "secrets/token",
    ];
    let problems = lint_text(&ALL.replace("      - ../shared:/shared\n", ""), &packed, &[], &[]);
    assert_eq!(render(&problems, Look::Plain), "");
}

#[test]
fn the_way_out_depends_on_why_the_file_is_missing() {
    let text = "services:\n  web:\n    image: web\n    env_file: [.env, conf/app.env, none.env]\n";
    let problems = lint_text(text, &[], &[".env"], &["conf/app.env"]);
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

#[test]
fn an_image_in_another_compose_file_is_an_image() {
    let read = |name: &str, text: &str| read(&SourceFile::new(name, text)).0;
    let files = [
        read("docker-compose.yml", "services:\n  web:\n    image: web\n"),
        read("docker-compose.dev.yml", "services:\n  web:\n    build: ./web\n"),
    ];
    assert_eq!(lint(&files, &BuildPlan::default(), &Listing::default(), &BTreeSet::new()), []);
}

#[test]
fn what_is_no_compose_file_is_said_once() {
    let problems: Vec<Problem> =
        ["- a\n", "", "services:\n\tweb: {}\n"].iter().flat_map(|text| lint_text(text, &[], &[], &[])).collect();
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

#[test]
fn services_that_are_nonsense_are_left_to_docker() {
    assert_eq!(lint_text("services: 3\nconfigs: [a]\ninclude: x\nvolumes:\n", &[], &[], &[]).len(), 0);
    assert_eq!(lint_text("services:\n  web:\n  api: text\n", &[], &[], &[]).len(), 0);
}
