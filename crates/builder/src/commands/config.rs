//! `longshore config`.

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, has_errors, visible_lines};
use serde_json::{Map, Value, json};

use crate::cli::{ConfigArgs, Output, SiteArgs};
use crate::commit::{EPOCH_VARIABLE, Origin};
use crate::display::Screen;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::images::registry::INSECURE_VARIABLE;
use crate::outputs::DOTENV_VARIABLE;
use crate::settings::{Held, Says};
use crate::signing::password;
use crate::survey::Project;

/// The variable that names the commit.
const COMMIT_VARIABLE: &str = "LONGSHORE_COMMIT";

/// What editors know of `longshore.toml`.
const SCHEMA: &str = include_str!("../../../../docs/reference/longshore.schema.json");

/// What holds and has no key, because it is said anew each time, or is nobody's business: its name, its variable, its option, and what is
/// usual.
const BESIDE: [(&str, &str, Option<&str>, Says); 5] = [
    ("output", Output::VARIABLE, Some("--output"), Says::Nobody("text")),
    ("dotenv", DOTENV_VARIABLE, Some("--dotenv"), Says::Nobody("")),
    ("password", password::VARIABLE, None, Says::Nobody("asked for when it is needed")),
    ("insecure registries", INSECURE_VARIABLE, None, Says::Nobody("")),
    ("time", EPOCH_VARIABLE, None, Says::Nobody("that of the commit")),
];

/// What holds, for one heading.
struct Part {
    heading: Heading,
    held: Vec<Held>,
}

/// Of what.
enum Heading {
    /// Whatever the group.
    Top,
    /// A group.
    Group(GroupName),
    /// What has no key.
    Beside,
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
            _ => {}
        }
    }
    top.iter_mut().for_each(|held| of_site(held, &args.site));
    top.insert(1, commit(args, project, environment));
    let groups = match &args.group {
        Some(group) => vec![group.clone()],
        None => settings.groups.keys().cloned().collect(),
    };
    let of_group = |group: GroupName| {
        let mut held = settings.held_for(&group);
        held.iter_mut().for_each(|held| of_site(held, &args.site));
        Part { heading: Heading::Group(group), held }
    };
    let beside = Part { heading: Heading::Beside, held: beside(environment) };
    let top = Part { heading: Heading::Top, held: top };
    std::iter::once(top).chain(groups.into_iter().map(of_group)).chain([beside]).collect()
}

/// What has no key. A password is not shown.
fn beside(environment: &Environment) -> Vec<Held> {
    let held = BESIDE.map(|(key, variable, flag, usual)| {
        let value = environment.get(variable);
        let says = match (value, environment.option(variable)) {
            (None, _) => usual,
            (Some(_), Some(option)) => Says::Flag(option),
            (Some(_), None) => Says::Variable(variable.to_owned()),
        };
        let secret = variable == password::VARIABLE;
        let value = value.map(|value| if secret { "(secret, not shown)" } else { value });
        Held { key: key.to_owned(), value: value.into(), says, variable: Some(variable), flag }
    });
    held.into()
}

/// What flags say of the store.
fn of_site(held: &mut Held, site: &SiteArgs) {
    match held.key.rsplit('.').next() {
        Some("store") => over(held, "--to", site.store.to.as_ref().map(ToString::to_string)),
        Some("region") => over(held, "--region", site.region.clone()),
        Some(_) | None => {}
    }
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
    for Part { heading, held } in parts {
        // The longest values are lists, and one of them would push all origins out of sight.
        let width = |of: fn(&Held) -> String, most: usize| {
            held.iter().map(|held| of(held).chars().count()).filter(|width| *width <= most).max().unwrap_or(0)
        };
        let prefix = match heading {
            Heading::Top => String::new(),
            Heading::Group(group) => {
                text.push_str(&format!("\ngroup {group}\n"));
                format!("groups.{group}.")
            }
            Heading::Beside => {
                text.push_str("\nbeside longshore.toml\n");
                String::new()
            }
        };
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
    let (mut top, mut groups, mut beside) = (Value::Null, Map::new(), Value::Null);
    for part in parts {
        match &part.heading {
            Heading::Top => top = rows(part),
            Heading::Group(group) => drop(groups.insert(group.to_string(), rows(part))),
            Heading::Beside => beside = rows(part),
        }
    }
    let problems: Vec<Value> = problems.iter().map(Problem::to_json).collect();
    json!({"settings": top, "groups": groups, "beside": beside, "problems": problems})
}
