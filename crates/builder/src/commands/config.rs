//! `longshore config`.

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, has_errors, visible_lines};
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::commit::Origin;
use crate::display::Screen;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::settings::{Held, Says};
use crate::survey::Project;

/// The variable that names the commit.
const COMMIT_VARIABLE: &str = "LONGSHORE_COMMIT";

/// What editors know of `longshore.toml`.
const SCHEMA: &str = include_str!("../../../../docs/reference/longshore.schema.json");

/// What holds, for one heading.
struct Part {
    group: Option<GroupName>,
    held: Vec<Held>,
}

/// Shows every setting, who says so, and what is wrong with the settings.
pub(crate) fn run(args: &ConfigArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    if args.schema {
        let json = serde_json::from_str(SCHEMA).map_err(|error| Failure::new(Exit::Failed, error))?;
        return screen.result(SCHEMA, &json);
    }
    let project = Project::open(&args.source, environment)?;
    args.group.iter().try_for_each(|group| project.accept_group(group))?;
    let parts = parts(args, &project, environment);
    let (text, json) = (text(&parts), document(&parts, &project.problems));
    if has_errors(&project.problems) {
        let refused = project.accept().map(|_| ());
        return screen.partial(&text, json).and(refused);
    }
    screen.problems(&project.problems);
    screen.result(&text, &json)
}

fn parts(args: &ConfigArgs, project: &Project, environment: &Environment) -> Vec<Part> {
    let settings = &project.settings;
    let mut top = settings.held(environment.get("LONGSHORE_SIGN_KEY").is_some());
    for held in &mut top {
        match held.key.as_str() {
            "application" => *held = application(args, project, environment, held),
            "build.out" => over(held, "--out", args.source.out.as_ref().map(|out| out.display().to_string())),
            "store" => over(held, "--to", args.store.to.as_ref().map(ToString::to_string)),
            _ => {}
        }
    }
    top.insert(1, commit(args, project, environment));
    let groups = match &args.group {
        Some(group) => vec![group.clone()],
        None => settings.groups.keys().cloned().collect(),
    };
    let of_group = |group: GroupName| {
        let mut held = settings.held_for(&group);
        if let Some(store) = held.first_mut() {
            over(store, "--to", args.store.to.as_ref().map(ToString::to_string));
        }
        Part { group: Some(group), held }
    };
    std::iter::once(Part { group: None, held: top }).chain(groups.into_iter().map(of_group)).collect()
}

/// A flag goes before everything.
fn over(held: &mut Held, flag: &'static str, value: Option<String>) {
    if let Some(value) = value {
        (held.value, held.says) = (value.into(), Says::Flag(flag));
    }
}

fn application(args: &ConfigArgs, project: &Project, environment: &Environment, held: &Held) -> Held {
    let mut held = held.clone();
    over(&mut held, "--application", args.identity.application.as_ref().map(ToString::to_string));
    if held.value.is_null()
        && let Ok(name) = Identity::application_of(environment, &project.source, None)
    {
        (held.value, held.says) = (name.to_string().into(), Says::Found("the repository's folder".to_owned()));
    }
    held
}

/// No key of the file, and still something that holds.
fn commit(args: &ConfigArgs, project: &Project, environment: &Environment) -> Held {
    let key = "commit".to_owned();
    let settings = project.settings.application.as_ref();
    let (value, says) = match Identity::of(&args.identity, environment, &project.source, settings) {
        Ok(identity) => {
            let says = match identity.chosen.origin {
                Origin::Flag => Says::Flag("--commit"),
                Origin::Variable(name) => Says::Variable(name.to_owned()),
                Origin::WorkTree => Says::Found("HEAD".to_owned()),
            };
            (identity.chosen.commit.to_string().into(), says)
        }
        Err(failure) => (Value::Null, Says::Found(chain(&*failure.error))),
    };
    Held { key, value, says, variable: Some(COMMIT_VARIABLE), flag: Some("--commit") }
}

fn text(parts: &[Part]) -> String {
    let mut text = String::new();
    for Part { group, held } in parts {
        // The longest values are lists, and one of them would push all origins out of sight.
        let width = |of: fn(&Held) -> String, most: usize| {
            held.iter().map(|held| of(held).chars().count()).filter(|width| *width <= most).max().unwrap_or(0)
        };
        if let Some(group) = group {
            text.push_str(&format!("\ngroup {group}\n"));
        }
        let prefix = group.as_ref().map(|group| format!("groups.{group}.")).unwrap_or_default();
        let (keys, values) = (width(|held| held.key.clone(), 80) - prefix.len(), width(Held::text, 60));
        for held in held {
            let key = held.key.strip_prefix(&prefix).unwrap_or(&held.key);
            text.push_str(&format!("{key:keys$}  {:values$}  {}\n", held.text(), held.origin()));
        }
    }
    visible_lines(&text)
}

fn document(parts: &[Part], problems: &[Problem]) -> Value {
    let rows = |part: &Part| part.held.iter().map(Held::json).collect::<Value>();
    let groups = parts.iter().filter_map(|part| Some((part.group.as_ref()?.to_string(), rows(part)))).collect();
    json!({
        "settings": parts.iter().find(|part| part.group.is_none()).map(rows),
        "groups": Value::Object(groups),
        "problems": problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
    })
}
