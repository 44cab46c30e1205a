//! Pure: names of services, volumes and the like that nothing defines, for which compose refuses the whole project.

use longshore_core::problem::{Problem, nearest};

use super::super::model::Model;
use super::super::tree::{Place, Tree};
use super::at;

pub(super) fn undefined(model: &Model) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(root) = &model.root else { return problems };
    for service in model.active() {
        for entry in service.tree.get("depends_on").map(Tree::entries).unwrap_or_default() {
            if entry.value.get("required").and_then(Tree::text) == Some("false") {
                continue;
            }
            let path = at(service, "depends_on");
            match model.services.iter().find(|other| other.name == entry.key) {
                Some(other) if other.active => {}
                Some(_) => {
                    let message = format!("the service `{}` does not run: none of its profiles is active", entry.key);
                    let problem = entry.place.error("LS334", message).at_path(path);
                    problems.push(problem.with_fix("add the profile to `profiles` of the group in longshore.toml"));
                }
                None => {
                    let known = model.services.iter().map(|other| other.name.as_str());
                    problems.push(no_such("LS334", &entry.place, path, "service", &entry.key, known));
                }
            }
        }
        for (section, what, used) in [
            ("volumes", "volume", volumes(&service.tree)),
            ("networks", "network", networks(&service.tree)),
            ("configs", "config", grants(&service.tree, "configs")),
            ("secrets", "secret", grants(&service.tree, "secrets")),
        ] {
            let defined = root.get(section).map(Tree::entries).unwrap_or_default();
            for (name, place) in used {
                if !defined.iter().any(|entry| entry.key == name) {
                    let known = defined.iter().map(|entry| entry.key.as_str());
                    problems.push(no_such("LS335", place, at(service, section), what, name, known));
                }
            }
        }
    }
    problems
}

fn no_such<'a>(
    code: &'static str,
    place: &Place,
    path: String,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Problem {
    let fix = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if what == "service" => "add it, or remove this line".to_owned(),
        None => format!("define it at the top: `{what}s: {{{name}: {{}}}}`"),
    };
    let message = format!("no {what} `{name}` is defined, so compose refuses the project");
    place.error(code, message).at_path(path).with_fix(fix)
}

/// Named volumes; a source that is a path is none.
fn volumes(service: &Tree) -> Vec<(&str, &Place)> {
    let items = service.get("volumes").map(Tree::items).unwrap_or_default();
    items.iter().filter_map(volume).collect()
}

fn volume(item: &Tree) -> Option<(&str, &Place)> {
    let source = match item.text() {
        Some(short) => short.split_once(':').map(|(source, _)| source)?,
        None if item.get("type").and_then(Tree::text) == Some("volume") => item.get("source")?.text()?,
        None => return None,
    };
    let is_name = source.starts_with(|c: char| c.is_ascii_alphanumeric()) && !source.contains(['/', '\\']);
    is_name.then_some((source, &item.place))
}

/// `default` is always there.
fn networks(service: &Tree) -> Vec<(&str, &Place)> {
    let entries = service.get("networks").map(Tree::entries).unwrap_or_default();
    entries.iter().filter(|entry| entry.key != "default").map(|entry| (entry.key.as_str(), &entry.place)).collect()
}

fn grants<'a>(service: &'a Tree, key: &str) -> Vec<(&'a str, &'a Place)> {
    let items = service.get(key).map(Tree::items).unwrap_or_default();
    items.iter().filter_map(|item| Some((item.text().or_else(|| item.get("source")?.text())?, &item.place))).collect()
}
