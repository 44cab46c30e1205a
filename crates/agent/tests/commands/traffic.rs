//! Hosts of blue/green deployments, which lose and get traffic.

use std::path::Path;

use longshore_agent::deployment::order::Order;
use longshore_core::lifecycle::ScriptsMap;

use crate::fixture::{IN_PLACE, agent, all, ask, noops, order, standing};
use crate::sandbox::Sandbox;

#[test]
fn traffic_of_a_blue_green_deployment_needs_no_bundle_and_takes_the_scripts_of_the_map() {
    let nowhere = Path::new("/nowhere/bundle.zip");
    for (map, block, allow) in
        [(ScriptsMap::InPlace, Some("good"), None), (ScriptsMap::BlueGreenRollback, Some("fetched"), Some("good"))]
    {
        let host = Sandbox::new();
        let agent = agent(&host);
        all(&agent, &order("d-GOOD", &host.traced("good", &[("a", "1")])), &IN_PLACE);
        all(&agent, &order("d-FETCHED", &host.traced("fetched", &[("a", "2")])), &["DownloadBundle"]);
        let before = host.trace();
        let order = Order { blue_green: true, scripts_map: map, ..order("d-NEW", nowhere) };
        for (event, from) in [
            ("BeforeBlockTraffic", block),
            ("AfterBlockTraffic", block),
            ("BeforeAllowTraffic", allow),
            ("AfterAllowTraffic", allow),
        ] {
            assert_eq!(noops(&agent, &order, &[event]), [false], "{event}");
            let (answer, expected) = (ask(&agent, &order, event), from.map(|from| format!("{from} {event}\n")));
            let ran = host.trace();
            match &expected {
                Some(expected) => assert!(ran.ends_with(expected) && answer == "Succeeded", "{event}: {answer} {ran}"),
                None => assert!(
                    answer.starts_with(r#"{"error_code":5"#) && answer.contains("is not on this host"),
                    "{event}: {answer}"
                ),
            }
            assert_eq!(ask(&agent, &order, event), answer);
            assert_eq!(host.trace(), ran, "{event} runs once");
        }
        let ran = [block, block, allow, allow].into_iter().flatten().count();
        assert_eq!(host.trace()[before.len()..].lines().count(), ran);
        assert!(!host.deployment("d-NEW").join("deployment-archive").exists());
    }
}

#[test]
fn a_blue_green_host_that_was_installed_to_takes_the_scripts_of_its_new_revision() {
    let host = Sandbox::new();
    let agent = agent(&host);
    all(&agent, &order("d-OLD", &host.traced("old", &[("a", "1")])), &IN_PLACE);
    let before = host.trace().len();
    let new = Order { blue_green: true, ..order("d-NEW", &host.traced("new", &[("a", "2")])) };
    all(&agent, &new, &IN_PLACE);
    all(&agent, &new, &["BeforeAllowTraffic", "AfterAllowTraffic"]);
    assert_eq!(standing(&host).1, "succeeded");
    // As a rollback of the traffic alone would do.
    all(&agent, &new, &["BeforeBlockTraffic", "AfterBlockTraffic"]);
    assert_eq!(
        &host.trace()[before..],
        "old ApplicationStop\nnew BeforeInstall\nnew AfterInstall\nnew ApplicationStart\nnew ValidateService\n\
         new BeforeAllowTraffic\nnew AfterAllowTraffic\nnew BeforeBlockTraffic\nnew AfterBlockTraffic\n"
    );
    assert!(host.deployment("d-NEW").join("deployment-archive/appspec.yml").exists());
}

#[test]
fn the_first_deployment_of_a_blue_green_host_has_no_scripts_for_its_traffic() {
    let host = Sandbox::new();
    let agent = agent(&host);
    let order = Order { blue_green: true, ..order("d-NEW", Path::new("/nowhere")) };
    let events = ["BeforeBlockTraffic", "AfterBlockTraffic"];
    assert_eq!(noops(&agent, &order, &events), [true, true]);
    all(&agent, &order, &events);
    assert_eq!(standing(&host).1, "succeeded");
}
