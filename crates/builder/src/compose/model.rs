//! Pure: what a group runs, of all that its compose files say.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};

use super::interpolate::Why;
use super::load::{Loader, Missing};
use super::tree::{Place, Tree};
use super::{ComposeGroup, Read};

/// The merged compose files of a group.
#[derive(Debug)]
pub(crate) struct Model {
    /// The whole document; `None`: no file could be read.
    pub(crate) root: Option<Tree>,
    /// Every service, in order.
    pub(crate) services: Vec<Service>,
    /// The compose files that were read.
    pub(crate) documents: BTreeMap<BundlePath, Arc<SourceFile>>,
    /// What keeps it from being read.
    pub(crate) problems: Vec<Problem>,
    /// Variables without a value.
    pub(crate) missing: Vec<Missing>,
}

/// A service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) place: Place,
    /// What is said of it, in the form of [`super::merge::normal`].
    pub(crate) tree: Tree,
    /// Whether the group's profiles make it run.
    pub(crate) active: bool,
}

impl Model {
    /// Reads the files of a group.
    pub(crate) fn of(group: &ComposeGroup, commit: &str, read: &Read<'_>) -> Model {
        let mut loader = Loader::new(group, commit, read);
        let root = loader.whole();
        let from_variable = loader.variable("COMPOSE_PROFILES").unwrap_or_default();
        let profiles: Vec<&str> = if group.profiles.is_empty() {
            from_variable.split(',').map(str::trim).collect()
        } else {
            group.profiles.iter().map(String::as_str).collect()
        };
        let entries = root.as_ref().and_then(|root| root.get("services")).map(Tree::entries).unwrap_or_default();
        let services = entries.iter().map(|entry| Service {
            name: entry.key.clone(),
            place: entry.place.clone(),
            tree: entry.value.clone(),
            active: is_active(&entry.value, &profiles),
        });
        let services = services.collect();
        Model { root, services, documents: loader.sources, problems: loader.problems, missing: loader.missing }
    }

    /// The services that run.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.active)
    }

    /// Whether it makes no sense without another file: a service has neither image nor build.
    pub(crate) fn is_overlay(&self) -> bool {
        let whole = |service: &Service| {
            service.tree.get("image").is_some()
                || service.tree.get("build").is_some()
                || service.tree.get("provider").is_some()
        };
        !self.services.iter().all(whole)
    }

    /// Each variable without a value once, at its first place, but those in `told`.
    pub(crate) fn without_value(&self, told: &[String]) -> Vec<Problem> {
        let mut told = told.to_vec();
        let mut problems = Vec::new();
        for missing in &self.missing {
            let name = &missing.name;
            let message = match &missing.why {
                Why::OnHost => continue,
                Why::Blank => format!(
                    "`{name}` has no value in any env file; compose puts an empty text here, unless the host sets it"
                ),
                Why::Required(said) if said.is_empty() => {
                    format!("`{name}` has no value in any env file; compose fails here, unless the host sets it")
                }
                Why::Required(said) => {
                    format!(
                        "`{name}` has no value in any env file; compose fails here (\"{said}\"), unless the host sets it"
                    )
                }
            };
            if told.contains(name) {
                continue;
            }
            told.push(name.clone());
            problems.push(missing.place.warning("LS308", message).at_path(&missing.path).with_fix(way_to_value(name)));
        }
        problems
    }
}

/// How a variable gets a value.
pub(crate) fn way_to_value(name: &str) -> String {
    format!(
        "name a file that has it in `env_files` of the group in longshore.toml, or give it a default: `${{{name}:-…}}`"
    )
}

fn is_active(service: &Tree, profiles: &[&str]) -> bool {
    let wanted = service.get("profiles").map(Tree::items).unwrap_or_default();
    let named = |item: &Tree| item.text().is_some_and(|name| profiles.contains(&name));
    wanted.is_empty() || profiles.contains(&"*") || wanted.iter().any(named)
}
