//! Pure: which images each group of hosts will run.

use std::sync::Arc;

use longshore_core::ids::{CommitHash, GroupName};
use longshore_core::problem::{Problem, SourceFile, Span};

use super::model::{Model, Service, way_to_value};
use super::{Compose, ComposeGroup};

/// The image of one service in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceImage {
    /// The group whose hosts run it.
    pub(crate) group: GroupName,
    /// The service.
    pub(crate) service: String,
    /// The image, variables filled in.
    pub(crate) image: String,
    /// The compose file that names it.
    pub(crate) source: Arc<SourceFile>,
    /// Where it stands there.
    pub(crate) span: Span,
}

/// Every image that a group will run, sorted by group and service, `COMMIT_HASH` being the commit; and what keeps others from being
/// known, which [`Compose::read`] has reported already.
pub(crate) fn images(compose: &Compose, commit: &CommitHash) -> (Vec<ServiceImage>, Vec<Problem>) {
    let mut images = Vec::new();
    let mut problems = Vec::new();
    for group in &compose.groups {
        let model = Model::of(group, commit.as_str(), &|path| compose.file(path));
        let (more, wrong) = of_group(group, &model);
        images.extend(more);
        problems.extend(wrong);
    }
    images.sort_by(|one, other| (&one.group, &one.service).cmp(&(&other.group, &other.service)));
    (images, super::once(problems))
}

/// The images of one group, and why others cannot be known.
pub(super) fn of_group(group: &ComposeGroup, model: &Model) -> (Vec<ServiceImage>, Vec<Problem>) {
    let mut images = Vec::new();
    let mut problems = Vec::new();
    let mut told = Vec::new();
    for service in model.active() {
        let Some((tree, image)) = service.tree.get("image").and_then(|tree| Some((tree, tree.as_text()?))) else {
            problems.extend(without_image(service));
            continue;
        };
        if image.unknown.is_empty() {
            images.push(ServiceImage {
                group: group.name.clone(),
                service: service.name.clone(),
                image: image.text.clone(),
                source: Arc::clone(&tree.place.source),
                span: tree.place.span.clone(),
            });
        }
        for name in &image.unknown {
            if !told.contains(name) {
                told.push(name.clone());
                let message = format!("which image this is cannot be known: `{name}` has no value in any env file");
                let problem = tree.place.warning("LS315", message).at_path(format!("services.{}.image", service.name));
                problems.push(problem.with_fix(way_to_value(name)));
            }
        }
    }
    (images, problems)
}

fn without_image(service: &Service) -> Option<Problem> {
    let at = format!("services.{}", service.name);
    if service.tree.get("provider").is_some() {
        return None;
    }
    if service.tree.get("build").is_none() {
        let problem =
            service.place.error("LS313", "the service has neither `image` nor `build`, so compose refuses it");
        return Some(problem.at_path(at).with_fix("add `image`"));
    }
    let message = "the service has no `image`, so every host would have to build it; the sample hooks never build";
    let problem = service.place.warning("LS314", message).at_path(at);
    let fix =
        format!("name what CI builds and pushes: `image: registry.example.com/{}:${{COMMIT_HASH:?}}`", service.name);
    Some(problem.with_fix(fix))
}
