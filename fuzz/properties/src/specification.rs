//! Deployment specifications: what is accepted stays in its folders and is written down as the same order.

use std::path::{Component, Path};

use longshore_agent::codedeploy::specification::{Specified, parse};
use longshore_agent::deployment::order::{Order, Policy, Revision};
use longshore_core::ids::DeploymentId;
use longshore_core::store::ObjectUrl;

/// The content of an envelope.
pub fn specification(bytes: &[u8]) -> bool {
    let Specified { order, github_token, warnings } = match parse(bytes, &Policy::default()) {
        Ok(specified) => specified,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let names =
        [order.deployment.as_str(), order.group.id.as_str(), order.group.name.as_str(), order.application.as_str()];
    for name in names.into_iter().chain(order.reuse.as_ref().map(DeploymentId::as_str)) {
        let parts: Vec<Component<'_>> = Path::new(name).components().collect();
        assert!(matches!(parts[..], [Component::Normal(part)] if part == name), "{name:?} is no file name");
    }
    if let Some(name) = &order.appspec_name {
        let inside = Path::new(name.as_str()).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "{name:?} can leave the bundle");
    }
    match &order.revision {
        Revision::Object(url) => assert_eq!(url.parse::<ObjectUrl>().map(|read| read.to_string()).as_ref(), Ok(url)),
        Revision::Local(path) => assert!(path.is_absolute()),
        Revision::GitHub(github) => assert!(github.path().split('/').all(|part| !["", ".", ".."].contains(&part))),
    }
    assert!(order.possible_events.as_ref().is_none_or(|events| !events.is_empty()));
    assert!(github_token.is_none_or(|token| !token.is_empty()) && warnings.iter().all(|warning| !warning.is_empty()));
    let written = serde_json::to_string(&order).expect("an order is JSON");
    assert_eq!(serde_json::from_str::<Order>(&written).expect("it was written"), order);
    true
}
