//! Pure: names and ports that only one container of a host can have.

use longshore_core::problem::Problem;

use super::super::model::{Model, Service};
use super::super::ports::{self, Port};
use super::super::tree::Tree;
use super::super::{ComposeGroup, tree::Place};
use super::at;

/// Why several containers of a service run on a host.
enum Copies {
    /// `scale` or `deploy.replicas` of the service.
    Service(u32, Place),
    /// `copies` of the group.
    Group(u32),
    /// They do not.
    One,
}

pub(super) fn lint(service: &Service, group: &ComposeGroup) -> Vec<Problem> {
    let copies = copies(service, group);
    let why = match &copies {
        Copies::Service(count, _) => format!("{count} containers of the service run on a host"),
        Copies::Group(count) => format!("{count} copies run on a host of the group `{}`", group.name),
        Copies::One => String::new(),
    };
    let related = |problem: Problem, place: &Place| match &copies {
        Copies::Service(_, scale) if scale.source == place.source => {
            problem.with_related(scale.span.clone(), "so many are asked for here")
        }
        Copies::Service(..) | Copies::Group(_) | Copies::One => problem,
    };
    let mut problems = Vec::new();
    if let Some(name) = service.tree.get("container_name") {
        let place = &name.place;
        let problem = match &copies {
            Copies::Service(..) | Copies::Group(_) => {
                place.error("LS322", format!("{why}, and only one container can have this name"))
            }
            Copies::One => place.warning(
                "LS322",
                "a host has one container of this name: the old release must be gone before the new one starts, and no other group \
                 can share the host",
            ),
        };
        let problem = related(problem, place).at_path(at(service, "container_name"));
        problems.push(problem.with_fix("remove it; within the project the service's name leads to it"));
    }
    let count = match &copies {
        Copies::Service(count, _) | Copies::Group(count) => *count,
        Copies::One => 1,
    };
    for port in ports::published(&service.tree).iter().filter(|port| port.count() < count) {
        let message = format!("{why}, and only one can have the host's port `{}`", port.shown());
        let problem = related(port.place.error("LS323", message), &port.place).at_path(at(service, "ports"));
        let fix =
            "publish a range that is wide enough, or the container's port alone behind a proxy that has the fixed one";
        problems.push(problem.with_fix(fix));
    }
    problems
}

fn copies(service: &Service, group: &ComposeGroup) -> Copies {
    let scale = service.tree.at(&["deploy", "replicas"]).or_else(|| service.tree.get("scale"));
    let count = scale.and_then(Tree::text).and_then(|text| text.parse().ok());
    match (scale, count) {
        (Some(tree), Some(count)) if count > 1 => Copies::Service(count, tree.place.clone()),
        _ if group.copies > 1 => Copies::Group(group.copies),
        (_, _) => Copies::One,
    }
}

/// One port of the host that two services of the group want, or one twice.
pub(super) fn same_port(model: &Model) -> Vec<Problem> {
    let mut taken: Vec<(&str, Port)> = Vec::new();
    let mut problems = Vec::new();
    for service in model.active() {
        for port in ports::published(&service.tree) {
            if let Some((owner, earlier)) = taken.iter().find(|(_, earlier)| earlier.meets(&port)) {
                let message = format!("the host's port `{}` is taken by the service `{owner}`", port.shown());
                let problem = port.place.error("LS324", message).at_path(at(service, "ports"));
                let problem = if earlier.place.source == port.place.source && earlier.place.span != port.place.span {
                    problem.with_related(earlier.place.span.clone(), "here")
                } else {
                    problem
                };
                problems.push(problem.with_fix("give one of the two another port"));
            }
            taken.push((&service.name, port));
        }
    }
    problems
}
