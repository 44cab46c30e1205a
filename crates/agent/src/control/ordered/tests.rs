use std::collections::BTreeMap;

use super::*;

#[test]
fn no_name_that_is_given_over_the_socket_gets_round_a_required_signature() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let follow = |group: &str, require: bool| {
        format!(
            "[[follow]]\nstore = \"file:///srv/store\"\napplication = \"shop\"\ngroup = \"{group}\"\nrequire_signature = {require}\n"
        )
    };
    let text = format!("[signatures]\npublic_keys = [\"{key}\"]\n{}{}", follow("prod", true), follow("dev", false));
    std::fs::write(&file, text).unwrap();
    let settings = crate::settings::load(Some(&file), None, &BTreeMap::new()).unwrap().settings;
    let id = |group: &str| GroupId::of(&"shop".parse().unwrap(), &group.parse().unwrap());
    let table = [
        ("shop", "prod", None, true),
        ("shop", "dev", None, false),
        ("shop", "dev", Some("prod"), true),
        ("other", "prod", Some("prod"), true),
        ("other", "other", None, true),
        ("shop", "prod", Some("dev"), false),
    ];
    for (application, group, of, required) in table {
        let asked = Deploy {
            revision: Revision::Local("/srv/shop.zip".into()),
            group: group.parse().unwrap(),
            application: Some(application.parse().unwrap()),
            group_id: of.map(id),
            deployment: None,
            skip: Vec::new(),
            stop_from: None,
            file_exists: None,
            digest: None,
            on_failure: None,
        };
        let order = order(asked, &settings).unwrap();
        assert_eq!(order.policy.signatures.require, required, "{application} {group} {of:?}");
        assert_eq!(order.policy.signatures.public_keys.len(), 1);
    }
}
