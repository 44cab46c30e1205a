//! The host is an instance.

use std::fs;

use e2e::command_service::{Keys, Operation};
use e2e::imds::{Imds, Instance};

use crate::course::first_good;
use crate::host::{Host, told};
use crate::release::Release;

#[test]
fn an_instance_is_who_the_metadata_service_says_and_signs_with_the_keys_of_its_role() {
    let mut host = Host::new();
    let keys = Keys { id: "ASIAROLE".to_owned(), secret: "secret".to_owned(), token: Some("token".to_owned()) };
    let imds = Imds::start(Instance {
        region: "us-east-1".to_owned(),
        keys: Some([keys.id.clone(), keys.secret.clone(), "token".to_owned()]),
        ..Instance::default()
    });
    host.arn = "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0".to_owned();
    host.service.register(&host.arn, &keys);
    host.environment.insert("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url.clone());
    host.on_premises = String::new();
    host.start();
    fs::remove_file(host.path().join("onpremises.yml")).unwrap();
    host.begin("d-ONE", &Release::new("one"));
    assert_eq!(told(&host.ended("d-ONE")), first_good());
    let polls = host.service.calls_of(Operation::Poll);
    assert!(polls.iter().all(|poll| poll.body["HostIdentifier"] == host.arn.as_str()));
}
