use longshore_core::problem::{Look, Problem, render};

use crate::settings::SETTINGS_FILE;

use super::*;

fn settings(text: &str) -> (Settings, Vec<Problem>) {
    Settings::parse(&SourceFile::new(SETTINGS_FILE, text))
}

fn recipe(appspec: &str, settings: Settings) -> Recipe {
    let source = SourceFile::new("appspec.yml", appspec);
    let parsed = appspec::parse(&source);
    let appspec = parsed.appspec.expect("a valid appspec");
    Recipe { settings, appspec_path: "appspec.yml".parse().unwrap(), appspec_source: source, appspec }
}

#[test]
fn a_whole_settings_file_is_read() {
    let text = "application = \"shop\"\n[build]\nout = \"artifacts\"\ninclude = [\"/config/\", \"*.conf\"]\nexclude = [\"*.md\"]\n";
    let (settings, problems) = settings(text);
    assert_eq!(problems, []);
    assert_eq!(settings.application, Some("shop".parse().unwrap()));
    assert_eq!(settings.out, Some("artifacts".parse().unwrap()));
    let patterns: Vec<&str> = settings.include.iter().map(|included| included.pattern.as_str()).collect();
    assert_eq!(patterns, ["/config/", "*.conf"]);
    assert!(!settings.exclude.is_empty());
}

#[test]
fn an_empty_file_is_no_file() {
    let (settings, problems) = settings("# nothing yet\n");
    assert_eq!((problems.len(), settings.application, settings.include.len()), (0, None, 0));
}

#[test]
fn every_mistake_in_the_settings_is_shown_at_once() {
    let text = "aplication = \"shop\"\napplication = \"my shop\"\ncolour = 1\n\n[build]\ninclde = []\ninclude = [\"a\", 3]\n\
                exclude = \"*.md\"\nout = \"/srv/out\"\n";
    let (_, problems) = settings(text);
    insta::assert_snapshot!(render(&problems, Look::Plain));
    let (_, problems) = settings("application = shop\n[build\n");
    insta::assert_snapshot!(render(&problems, Look::Plain));
    let (_, problems) = settings("application = 7\nbuild = []\n");
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

#[test]
fn a_script_that_stands_twice_is_one_script() {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a.sh\n    - location: b.sh\n  \
                   ApplicationStart:\n    - location: ./a.sh\n";
    let recipe = recipe(appspec, Settings::none());
    let places: Vec<String> = recipe.scripts().into_iter().map(|named| named.place).collect();
    assert_eq!(places, ["hooks.AfterInstall[0].location", "hooks.AfterInstall[1].location"]);
}

#[test]
fn only_folders_that_may_be_wanted_are_entered() {
    let some = "version: 0.0\nos: linux\nfiles:\n  - source: app/web\n    destination: /srv\nhooks:\n  AfterInstall:\n    - location: deploy/hooks/a.sh\n";
    let all = "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv\n";
    let entered = |recipe: &Recipe| {
        let folders = ["app", "app/web", "app/web/js", "app/other", "deploy", "deploy/hooks", "node_modules"];
        folders.into_iter().filter(|folder| recipe.enters(&folder.parse().unwrap())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(entered(&recipe(some, Settings::none())), "app app/web app/web/js deploy deploy/hooks");
    assert_eq!(entered(&recipe(all, Settings::none())).split(' ').count(), 7);
    let (with_include, _) = settings("[build]\ninclude = [\"*.conf\"]\n");
    assert_eq!(entered(&recipe(some, with_include)).split(' ').count(), 7);
}

#[test]
fn an_appspec_of_another_name_becomes_the_one_that_agents_look_for() {
    let mut recipe = recipe("version: 0.0\nos: linux\n", Settings::none());
    for (path, expected) in
        [("appspec.yml", "appspec.yml"), ("appspec.yaml", "appspec.yaml"), ("deploy/appspec.stg.yml", "appspec.yml")]
    {
        recipe.appspec_path = path.parse().unwrap();
        assert_eq!(recipe.appspec_in_bundle().as_str(), expected, "{path}");
    }
}
