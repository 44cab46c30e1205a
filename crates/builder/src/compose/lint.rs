//! Pure: what in the compose files of a group breaks in production (LS320 to LS335).

mod container;
mod mounts;
mod names;
mod secrets;
mod sharing;

use longshore_core::problem::Problem;

use super::model::{Model, Service};
use super::tree::Tree;
use super::{Brought, ComposeGroup, Read, images};

/// Everything that is wrong with a group whose files could be read.
pub(super) fn group(group: &ComposeGroup, model: &Model, brought: &Brought, read: &Read<'_>) -> Vec<Problem> {
    let (_, mut problems) = images::of_group(group, model);
    let told: Vec<String> = model
        .active()
        .filter_map(|service| service.tree.get("image")?.as_text())
        .flat_map(|image| image.unknown.iter().cloned())
        .collect();
    problems.extend(model.without_value(&told));
    problems.extend(names::undefined(model));
    for service in model.active() {
        problems.extend(container::lint(service, model));
        problems.extend(mounts::lint(service, brought));
        problems.extend(secrets::lint(service));
        problems.extend(secrets::lint_env_files(service, brought, read));
        problems.extend(sharing::lint(service, group));
    }
    problems.extend(sharing::same_port(model));
    problems
}

/// The place in the document of a key of a service.
fn at(service: &Service, key: &str) -> String {
    format!("services.{}.{key}", service.name)
}

/// Whether a service is meant to end: it is labelled `one-shot`, as the sample hooks know it, or another waits for its end.
fn is_one_shot(service: &Service, model: &Model) -> bool {
    let labelled = service.tree.at(&["labels", "one-shot"]).is_some_and(Tree::is_true);
    let waited_for = |other: &Service| {
        let condition = other.tree.at(&["depends_on", &service.name, "condition"]);
        condition.and_then(Tree::text) == Some("service_completed_successfully")
    };
    labelled || model.services.iter().any(waited_for)
}
