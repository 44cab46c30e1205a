use std::fs;
use std::process::Command;

use longshore_core::ids::CommitHash;
use longshore_core::problem::{Look, render};
use longshore_core::yaml::{self, Node};
use proptest::prelude::*;

use super::images::images;
use super::tree::{Tree, Value};
use super::*;
use crate::settings::GroupSettings;

/// A source folder in which every file is packed.
struct Folder(BTreeMap<BundlePath, Arc<SourceFile>>);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Folder {
        Folder(files.iter().map(|(name, text)| (path(name), SourceFile::new(*name, *text))).collect())
    }

    fn read(&self, settings: &Settings) -> (Compose, Vec<Problem>) {
        let packed = self.0.keys().cloned().collect();
        let brought = Brought { packed, secrets: BTreeSet::new(), installed: vec!["/srv/shop".into()] };
        Compose::read(settings, &brought, &|path| self.0.get(path).cloned())
    }

    /// The services of a group that has these files, in short.
    fn merged(&self, files: &[&str]) -> String {
        let group = group(files);
        let model = Model::of(&group, load::NO_COMMIT, &|path| self.0.get(path).cloned());
        assert_eq!(render(&model.problems, Look::Plain), "");
        let line = |service: &model::Service| format!("{}: {}\n", service.name, short(&service.tree));
        model.active().map(line).collect()
    }
}

fn path(text: &str) -> BundlePath {
    text.parse().unwrap()
}

fn group(files: &[&str]) -> ComposeGroup {
    ComposeGroup {
        name: "prod".parse().unwrap(),
        files: files.iter().map(|file| path(file)).collect(),
        env_files: Vec::new(),
        profiles: Vec::new(),
        copies: 1,
        named_by: NamedBy::Settings,
    }
}

fn settings(groups: &[(&str, GroupSettings)]) -> Settings {
    let groups = groups.iter().map(|(name, group)| (name.parse().unwrap(), group.clone())).collect();
    Settings { groups, ..Settings::none() }
}

fn of_files(files: &[&str]) -> GroupSettings {
    GroupSettings { compose: files.iter().map(|file| path(file)).collect(), ..GroupSettings::default() }
}

/// The tree in short: `{a: [1, x], b: }`.
fn short(tree: &Tree) -> String {
    match &tree.value {
        Value::Null => String::new(),
        Value::Text(text) => text.text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| format!("{}: {}", entry.key, short(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Every image as `group/service image file:line`.
fn image_lines(compose: &Compose) -> Vec<String> {
    let commit: CommitHash = COMMIT.parse().unwrap();
    let (images, _) = images(compose, &commit);
    let line = |image: &images::ServiceImage| {
        let (line, _) = image.source.line_column(image.span.start);
        format!("{}/{} {} {}:{line}", image.group, image.service, image.image, image.source.name)
    };
    images.iter().map(line).collect()
}

#[test]
fn one_file_on_top_of_another_is_what_compose_makes_of_them() {
    let table = [
        ("image: a", "image: b", "{image: b}"),
        ("image: a", "restart: always", "{image: a, restart: always}"),
        ("command: [a, b]", "command: [c]", "{command: [c]}"),
        ("entrypoint: a", "entrypoint: [b]", "{entrypoint: [b]}"),
        (
            "healthcheck: {test: [CMD, a], interval: 1s}",
            "healthcheck: {test: [CMD, b]}",
            "{healthcheck: {test: [CMD, b], interval: 1s}}",
        ),
        ("environment: [A=1, B=2]", "environment: {B: 3, C: }", "{environment: {A: 1, B: 3, C: }}"),
        ("environment: {A: 1}", "environment: [A]", "{environment: {A: }}"),
        ("labels: {a: b}", "labels: [c=d]", "{labels: {a: b, c: d}}"),
        ("ports: ['80:80']", "ports: ['80:80/tcp', '81:80', 9000]", "{ports: [80:80/tcp, 81:80, 9000]}"),
        ("ports: ['80:80']", "ports: [{target: 80, published: '80'}]", "{ports: [{target: 80, published: 80}]}"),
        ("volumes: [./a:/x, b:/y]", "volumes: ['./c:/x:ro', /z]", "{volumes: [./c:/x:ro, b:/y, /z]}"),
        (
            "volumes: [./a:/x]",
            "volumes: [{type: bind, source: ./b, target: /x/}]",
            "{volumes: [./a:/x, {type: bind, source: ./b, target: /x/}]}",
        ),
        (
            "volumes: [./a:/x]",
            "volumes: [{type: bind, source: ./b, target: /x}]",
            "{volumes: [{type: bind, source: ./b, target: /x}]}",
        ),
        ("image: a\n    ports: ['80:80']", "image:\n    ports:", "{image: a, ports: [80:80]}"),
        ("cap_add: [A]", "cap_add: [A, B]", "{cap_add: [A, B]}"),
        ("env_file: a", "env_file: [b]", "{env_file: [a, b]}"),
        (
            "depends_on: [a]",
            "depends_on: {b: {condition: service_healthy}}",
            "{depends_on: {a: , b: {condition: service_healthy}}}",
        ),
        ("build: .", "build: {args: [A=1]}", "{build: {context: ., args: {A: 1}}}"),
        ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", "{logging: {driver: b}}"),
        (
            "logging: {driver: a, options: {x: 1}}",
            "logging: {options: {y: 2}}",
            "{logging: {driver: a, options: {x: 1, y: 2}}}",
        ),
        ("secrets: [a]", "secrets: [{source: a}, b]", "{secrets: [{source: a}, b]}"),
        ("ports: ['80:80']", "ports: !override ['90:90']", "{ports: [90:90]}"),
        ("ports: ['80:80']\n    image: a", "ports: !reset []", "{image: a}"),
        ("image: a\n    environment: {A: 1, B: 2}", "environment: {A: !reset null}", "{image: a, environment: {B: 2}}"),
        ("image: a\n    build: .", "build: !reset null", "{image: a}"),
        ("image: a", "ports: !reset ['80:80']", "{image: a}"),
    ];
    for (base, over, expected) in table {
        let file = |text: &str| format!("services:\n  s:\n    {text}\n");
        let folder = Folder::of(&[("a.yml", &file(base)), ("b.yml", &file(over))]);
        assert_eq!(folder.merged(&["a.yml", "b.yml"]), format!("s: {expected}\n"), "{base} under {over}");
    }
}

#[test]
fn anchors_and_merges_are_read_before_variables_are_filled_in() {
    let text = "x-base: &base\n  image: app:${COMMIT_HASH}\n  environment: &env {A: 1}\nservices:\n  web:\n    <<: *base\n    \
                environment: {<<: *env, B: $$x}\n";
    let merged = Folder::of(&[("a.yml", text)]).merged(&["a.yml"]);
    assert_eq!(merged, format!("web: {{image: app:{}, environment: {{A: 1, B: $x}}}}\n", load::NO_COMMIT));
}

#[test]
fn a_service_is_what_it_extends_and_its_own_on_top() {
    let main = "services:\n  web:\n    extends: {file: base/common.yml, service: app}\n    environment: [B=own]\n  worker:\n    \
                extends: web\n    command: work\n";
    let common = "services:\n  app:\n    extends: root\n    environment: {A: app, B: app}\n  root:\n    image: app:1\n    \
                  restart: always\n";
    let folder = Folder::of(&[("a.yml", main), ("base/common.yml", common)]);
    let web = "image: app:1, restart: always, environment: {A: app, B: own}";
    assert_eq!(folder.merged(&["a.yml"]), format!("web: {{{web}}}\nworker: {{{web}, command: work}}\n"));
}

#[test]
fn included_files_bring_their_services_and_their_variables() {
    let folder = Folder::of(&[
        (
            "a.yml",
            "include:\n  - db/compose.yml\n  - path: [q/one.yml, q/two.yml]\n    env_file: q/q.env\nservices:\n  web: {image: web}\n",
        ),
        ("db/compose.yml", "services:\n  db: {image: 'postgres:${VERSION}'}\n"),
        ("db/.env", "VERSION=17\n"),
        ("q/one.yml", "services:\n  q: {image: 'q:${VERSION}'}\n"),
        ("q/two.yml", "services:\n  q: {restart: always}\n"),
        ("q/q.env", "VERSION=3\n"),
    ]);
    let merged = folder.merged(&["a.yml"]);
    assert_eq!(merged, "db: {image: postgres:17}\nq: {image: q:3, restart: always}\nweb: {image: web}\n");
}

#[test]
fn profiles_say_which_services_run() {
    let text = "services:\n  a: {image: a}\n  b: {image: b, profiles: [x]}\n  c: {image: c, profiles: [x, y]}\n";
    let folder = Folder::of(&[("a.yml", text), ("x.env", "COMPOSE_PROFILES=x\n")]);
    let env = GroupSettings { env_files: vec![path("x.env")], ..of_files(&["a.yml"]) };
    for (profiles, group, services) in [
        (vec![], of_files(&["a.yml"]), "a"),
        (vec!["x"], of_files(&["a.yml"]), "abc"),
        (vec!["y"], of_files(&["a.yml"]), "ac"),
        (vec!["*"], of_files(&["a.yml"]), "abc"),
        (vec![], env.clone(), "abc"),
        (vec!["y"], env, "ac"),
    ] {
        let profiles: Vec<String> = profiles.into_iter().map(str::to_owned).collect();
        let (compose, _) = folder.read(&settings(&[("prod", GroupSettings { profiles: profiles.clone(), ..group })]));
        let lines = image_lines(&compose);
        let found: String = lines.iter().filter_map(|line| line.strip_prefix("prod/")?.chars().next()).collect();
        assert_eq!(found, services, "{profiles:?}");
    }
}

#[test]
fn the_images_of_a_group_are_known_with_their_places() {
    let folder = Folder::of(&[
        (
            "docker-compose.yml",
            "services:\n  web:\n    image: ${REGISTRY:-r.example}/web:$COMMIT_HASH\n  db:\n    image: db:${DB}\n",
        ),
        ("docker-compose.stg.yml", "services:\n  web:\n    image: web:${DEPLOYMENT_GROUP_NAME}\n"),
        ("docker-compose.override.yml", "services:\n  web:\n    image: never\n"),
        ("docker-compose.debug.yml", "services:\n  web:\n    ports: ['1:1']\n"),
        ("prod.env", "REGISTRY=prod.example\nDB=17\n"),
        ("over.yml", "services:\n  db:\n    image: db:18\n"),
    ]);
    let (compose, _) = folder.read(&Settings::none());
    assert_eq!(
        image_lines(&compose),
        [
            format!("prod/web r.example/web:{COMMIT} docker-compose.yml:3"),
            "stg/web web:stg docker-compose.stg.yml:3".into()
        ]
    );
    let prod = GroupSettings { env_files: vec![path("prod.env")], ..of_files(&["docker-compose.yml", "over.yml"]) };
    let (compose, _) = folder.read(&settings(&[("prod", prod), ("stg", GroupSettings::default())]));
    assert_eq!(
        image_lines(&compose),
        [
            "prod/db db:18 over.yml:3".to_owned(),
            format!("prod/web prod.example/web:{COMMIT} docker-compose.yml:3"),
            "stg/web web:stg docker-compose.stg.yml:3".into()
        ]
    );
}

#[test]
fn a_packed_env_is_that_of_the_hosts_unless_the_group_names_others() {
    let text = "services:\n  web: {image: 'web:${TAG:-none}'}\n";
    let folder = Folder::of(&[("docker-compose.yml", text), (".env", "TAG=packed\n"), ("host.env", "TAG=host\n")]);
    assert_eq!(image_lines(&folder.read(&Settings::none()).0), ["prod/web web:packed docker-compose.yml:2"]);
    let named = GroupSettings { env_files: vec![path("host.env")], ..GroupSettings::default() };
    let (compose, _) = folder.read(&settings(&[("prod", named)]));
    assert_eq!(image_lines(&compose), ["prod/web web:host docker-compose.yml:2"]);
}

#[test]
fn what_only_a_group_of_the_settings_can_show_is_said() {
    let web = "services:\n  web:\n    image: web:1\n    container_name: web\n    ports: ['8080:80', '9000-9001:90']\n    \
               healthcheck: {test: x}\n    restart: always\n";
    let folder = Folder::of(&[
        ("docker-compose.yml", web),
        ("over.yml", "services:\n  web:\n    restart: always\n  job:\n    labels: [one-shot=true]\n"),
        ("longshore.toml", "[groups.a]\ncompose = [\"none.yml\"]\n"),
        ("bad.env", "TWO WORDS\n"),
    ]);
    let both = GroupSettings { copies: Some(2), ..of_files(&["docker-compose.yml", "over.yml"]) };
    let gone = GroupSettings { env_files: vec![path("bad.env"), path("gone.env")], ..of_files(&["none.yml"]) };
    let mut settings = settings(&[("a", gone), ("b", both)]);
    settings.origins.insert("groups.a.compose".into(), Origin::Line(2));
    insta::assert_snapshot!(render(&folder.read(&settings).1, Look::Plain));
}

#[test]
fn circles_end_with_a_problem() {
    let folder = Folder::of(&[
        ("docker-compose.yml", "services:\n  a: {image: a, extends: b}\n  b: {extends: a}\n"),
        ("docker-compose.x.yml", "include: [y.yml]\nservices:\n  a: {image: a}\n"),
        ("y.yml", "include: [docker-compose.x.yml]\n"),
    ]);
    let (_, problems) = folder.read(&Settings::none());
    let circles: Vec<Problem> = problems.into_iter().filter(|problem| problem.code == "LS311").collect();
    insta::assert_snapshot!(render(&circles, Look::Plain));
}

#[test]
fn a_long_row_of_services_that_extend_each_other_is_refused_with_a_place() {
    let row: String = (0..120).map(|number| format!("  s{number}: {{image: a, extends: s{}}}\n", number + 1)).collect();
    let folder = Folder::of(&[("docker-compose.yml", &format!("services:\n{row}  s120: {{image: a}}\n"))]);
    let (_, problems) = folder.read(&Settings::none());
    let refused = problems.iter().filter(|problem| problem.code == "LS311").count();
    assert_eq!(refused, 20);
}

/// What `docker-compose config` of docker-compose 1.29, which Debian 12 has, can say.
fn docker_compose(files: &[(&str, &str)], merged: &[&str]) -> Node {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new("docker-compose");
    command.current_dir(&folder).env_clear().env("PATH", "/usr/bin:/bin").env("COMMIT_HASH", load::NO_COMMIT);
    for name in merged {
        command.args(["-f", name]);
    }
    let output = command.arg("config").output().expect("docker-compose is installed by dev/services/install");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml::parse(&SourceFile::new("config", String::from_utf8(output.stdout).unwrap())).unwrap().unwrap()
}

#[test]
fn variables_and_files_on_top_of_each_other_mean_what_docker_compose_says() {
    let operators = ["${@}", "${@:-d}", "${@-d}", "${@:-}", "$@"];
    let names = ["SET", "EMPTY", "NONE", "QUOTED", "SINGLE", "EXPORTED", "COMMENT", "NESTED", "LATER", "LINES"];
    let variables: String = operators
        .iter()
        .enumerate()
        .flat_map(|(index, operator)| {
            names.map(|name| format!("      {name}_{index}: \"[{}]\"\n", operator.replace('@', name)))
        })
        .collect();
    let required = "      REQUIRED: '${SET:?why}${SET?}${EMPTY?}'\n      DOLLAR: 'a$$b$$$$c'\n";
    let first = format!(
        "version: '3.7'\nx-base: &base\n  restart: always\n  environment: {{A: base, C: base}}\nservices:\n  web:\n    <<: *base\n    \
         image: web:${{COMMIT_HASH:?}}\n    command: [a, b]\n    ports: ['8080:80', '9000:90']\n    volumes: ['data:/data', './x:/x']\n    \
         environment:\n      A: first\n{variables}{required}  job:\n    image: \"job:${{TAG-none}}\"\nvolumes: {{data: {{}}}}\n"
    );
    let second = "version: '3.7'\nservices:\n  web:\n    environment: [A=second, B=1]\n    command: c\n    ports: ['8080:80', '9001:91']\n    \
                  volumes: ['other:/data']\n    cap_add: [NET_ADMIN]\nvolumes: {other: {}}\n";
    let env = "SET=set\nEMPTY=\nQUOTED=\"two words\" # comment\nSINGLE='$SET'\nexport EXPORTED=yes\nCOMMENT=a#b # c\n\
               NESTED=${SET:-no}/${NONE:-d}\nLATER=first\nLATER=last\nLINES=\"one\\ntwo\"\n";
    let files = [("a.yml", first.as_str()), ("b.yml", second), (".env", env)];

    let theirs = docker_compose(&files, &["a.yml", "b.yml"]);
    let group = ComposeGroup { env_files: vec![path(".env")], ..group(&["a.yml", "b.yml"]) };
    let folder = Folder::of(&files);
    let model = Model::of(&group, load::NO_COMMIT, &|path| folder.0.get(path).cloned());
    assert_eq!(model.problems, []);
    for service in &model.services {
        let their = theirs.get("services").and_then(|services| services.get(&service.name)).unwrap();
        let text = |key: &str| service.tree.get(key).and_then(Tree::text);
        assert_eq!(text("image"), their.get("image").and_then(Node::text));
        assert_eq!(text("restart"), their.get("restart").and_then(Node::text));
        let ours: BTreeMap<&str, Option<&str>> = service
            .tree
            .get("environment")
            .map(Tree::entries)
            .unwrap_or_default()
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.as_text().map(|text| text.text.as_str())))
            .collect();
        let entries = their.get("environment").map(Node::entries).unwrap_or_default();
        // It writes a dollar so that it can be read again.
        let undone = |node: &Node| node.text().unwrap().replace("$$", "$");
        let theirs: BTreeMap<&str, String> =
            entries.iter().map(|(key, value)| (key.text().unwrap(), undone(value))).collect();
        let ours: BTreeMap<&str, String> =
            ours.into_iter().map(|(key, value)| (key, value.unwrap_or_default().to_owned())).collect();
        assert_eq!(ours, theirs, "{}", service.name);
    }
    let web = &model.services[0].tree;
    let their = theirs.get("services").and_then(|services| services.get("web")).unwrap();
    let ours: BTreeSet<(u16, String)> =
        ports::published(web).into_iter().map(|port| (port.first, port.protocol)).collect();
    let number = |port: &Node| port.get("published").unwrap().text().unwrap().parse().unwrap();
    let theirs: BTreeSet<(u16, String)> =
        their.get("ports").unwrap().as_list().unwrap().iter().map(|port| (number(port), "tcp".to_owned())).collect();
    assert_eq!(ours, theirs);
    let target = |text: &str| text.split(':').nth(1).unwrap().to_owned();
    let targets: BTreeSet<String> =
        web.get("volumes").unwrap().items().iter().map(|item| target(item.text().unwrap())).collect();
    let their_targets: BTreeSet<String> =
        their.get("volumes").unwrap().as_list().unwrap().iter().map(|item| target(item.text().unwrap())).collect();
    assert_eq!(targets, their_targets);
    assert_eq!(short(web.get("command").unwrap()), their.get("command").and_then(Node::text).unwrap());
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_project_panic(
        lines in prop::collection::vec(
            (0usize..4, prop::sample::select(vec![
                "services:", "web:", "image: a:${B", "image: [a]", "extends: web", "extends: {file: b.yml, service: web}",
                "include: [b.yml, docker-compose.yml]", "environment: [A=1, B]", "environment: {SECRET: abcdef}", "ports: ['1-2:3', x, {target: 1}]",
                "volumes: ['/a:/b', {type: bind}, x]", "depends_on: [web, {a: b}]", "deploy: {replicas: 3}", "container_name: x",
                "healthcheck: {test: NONE}", "logging: {}", "profiles: [a]", "labels: x", "build: .", "build: {args: [A]}", "<<: *x", "x-a: &x",
                "ports: !reset null", "volumes: !override [a:/b]", "networks: [a]", "env_file: b.yml", "- a", "ü: ü", "secrets: [a]",
            ])),
            0..14,
        )
    ) {
        let text: String = lines.iter().map(|(depth, line)| format!("{}{line}\n", "  ".repeat(*depth))).collect();
        let folder = Folder::of(&[("docker-compose.yml", &text), ("b.yml", &text)]);
        let (compose, problems) = folder.read(&Settings::none());
        image_lines(&compose);
        for problem in &problems {
            for span in problem.span.iter().chain(problem.related.iter().map(|(span, _)| span)) {
                prop_assert!(problem.source.text.get(span.clone()).is_some(), "{problem}");
            }
        }
        render(&problems, Look::Plain);
    }
}

#[test]
fn a_lock_file_and_an_override_are_no_groups_by_their_names() {
    let service =
        "services:\n  web:\n    image: shop@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
    let names = [
        "compose.lock.yaml",
        "docker-compose.dev.yml",
        "docker-compose.lock.yml",
        "docker-compose.override.yml",
        "docker-compose.prod.lock.yaml",
        "docker-compose.prod.lock.yml",
        "docker-compose.yml",
    ];
    let (compose, _) = Folder::of(&names.map(|name| (name, service))).read(&Settings::none());
    let groups: Vec<_> = compose.groups.iter().map(|group| (group.name.as_str(), group.files.clone())).collect();
    let expected = [("dev", vec![path("docker-compose.dev.yml")]), ("prod", vec![path("docker-compose.yml")])];
    assert_eq!(groups, expected);
}
