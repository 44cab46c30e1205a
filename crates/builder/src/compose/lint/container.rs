//! Pure: how one container is run: its image, health, restarts, rights and logs.

use longshore_core::problem::Problem;

use super::super::model::{Model, Service};
use super::super::tree::Tree;
use super::{at, is_one_shot};

pub(super) fn lint(service: &Service, model: &Model) -> Vec<Problem> {
    let checks = [
        image(service),
        health(service, model),
        restart(service, model),
        privileged(service),
        host_network(service),
        logging(service),
    ];
    checks.into_iter().flatten().chain(waits(service, model)).collect()
}

fn image(service: &Service) -> Option<Problem> {
    let tree = service.tree.get("image")?;
    let image = tree.text()?;
    // A port is not a tag: what follows the last slash decides.
    let name = image.rsplit('/').next().unwrap_or(image);
    let message = match name.rsplit_once(':') {
        _ if image.contains('@') => return None,
        Some((_, "latest")) => {
            "the tag `latest` means another image tomorrow, so a rollback would not bring the old one back"
        }
        None => {
            "without a tag the image is `latest`, another one tomorrow, so a rollback would not bring the old one back"
        }
        Some(_) => return None,
    };
    let fix = if service.tree.get("build").is_some() {
        "tag what is built with the commit: `:${COMMIT_HASH:?}`"
    } else {
        "name a version, `:1.27.3`, or a digest, `@sha256:…`"
    };
    Some(tree.place.warning("LS320", message).at_path(at(service, "image")).with_fix(fix))
}

fn is_checked(service: &Service) -> bool {
    let test = service.tree.at(&["healthcheck", "test"]);
    let test_is_none = test
        .is_some_and(|test| test.text() == Some("NONE") || test.items().first().and_then(Tree::text) == Some("NONE"));
    let disabled = service.tree.at(&["healthcheck", "disable"]).is_some_and(Tree::is_true);
    service.tree.get("healthcheck").is_some() && !disabled && !test_is_none
}

fn health(service: &Service, model: &Model) -> Option<Problem> {
    if service.tree.get("healthcheck").is_some() || is_one_shot(service, model) {
        return None;
    }
    let message = "the service has no healthcheck, so a deployment counts as good when the container just runs";
    let fix = "add `healthcheck` with a `test`; if the image has one, or none makes sense: `healthcheck: {disable: true}` or \
               allow LS321";
    Some(service.place.warning("LS321", message).at_path(format!("services.{}", service.name)).with_fix(fix))
}

fn restart(service: &Service, model: &Model) -> Option<Problem> {
    let tree = &service.tree;
    let policy = tree.at(&["deploy", "restart_policy"]).is_some();
    if tree.get("restart").is_some() || policy || is_one_shot(service, model) {
        return None;
    }
    let message = "the service has no `restart`, so it stays down when it falls and after a reboot";
    let fix = "add `restart: unless-stopped`; `restart: \"no\"` if it shall stay down; the label `one-shot: \"true\"` if it is \
               meant to end";
    Some(service.place.warning("LS327", message).at_path(format!("services.{}", service.name)).with_fix(fix))
}

fn privileged(service: &Service) -> Option<Problem> {
    let tree = service.tree.get("privileged").filter(|tree| tree.is_true())?;
    let message = "a privileged container can do everything on the host, as can whoever breaks into it";
    let fix = "give it what it needs alone: `cap_add`, `devices`";
    Some(tree.place.warning("LS328", message).at_path(at(service, "privileged")).with_fix(fix))
}

fn host_network(service: &Service) -> Option<Problem> {
    let tree = service.tree.get("network_mode").filter(|tree| tree.text() == Some("host"))?;
    let ports = service.tree.get("ports").filter(|ports| !ports.items().is_empty())?;
    let message = "with `network_mode: host` no port is published: the container's own ports are the host's";
    let problem = ports.place.warning("LS330", message).at_path(at(service, "ports"));
    let problem = if ports.place.source == tree.place.source {
        problem.with_related(tree.place.span.clone(), "because of this")
    } else {
        problem
    };
    Some(problem.with_fix("remove `ports`, or `network_mode`"))
}

fn logging(service: &Service) -> Option<Problem> {
    let tree = service.tree.get("logging")?;
    let json = tree.get("driver").is_none_or(|driver| driver.text() == Some("json-file"));
    if !json || tree.at(&["options", "max-size"]).is_some() {
        return None;
    }
    let message = "the log has no `max-size`, so it grows until the disk of the host is full";
    let fix = "add `options: {max-size: 10m, max-file: \"3\"}`";
    Some(tree.place.warning("LS333", message).at_path(at(service, "logging")).with_fix(fix))
}

/// `depends_on` with `service_healthy`, where nobody says what healthy is.
fn waits(service: &Service, model: &Model) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in service.tree.get("depends_on").map(Tree::entries).unwrap_or_default() {
        let condition = entry.value.get("condition").filter(|condition| condition.text() == Some("service_healthy"));
        let Some(other) = model.active().find(|other| other.name == entry.key) else { continue };
        let Some(condition) = condition.filter(|_| !is_checked(other)) else { continue };
        let message = format!("`{}` has no healthcheck, so compose fails here, unless its image has one", entry.key);
        let problem =
            condition.place.warning("LS332", message).at_path(at(service, &format!("depends_on.{}", entry.key)));
        problems
            .push(problem.with_fix(format!("add `healthcheck` to `{}`, or wait with `service_started`", entry.key)));
    }
    problems
}
