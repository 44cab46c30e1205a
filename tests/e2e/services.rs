//! The services that the other end-to-end tests stand on.

use std::path::Path;

use e2e::{bin, services, workspace_root};

#[test]
fn every_service_is_there() {
    assert!(services().s3().url.starts_with("http://"));
    assert!(services().registry().contains(':'));
    services().docker();
}

#[test]
fn the_programs_are_built_and_the_project_is_found() {
    assert!(workspace_root().join("Cargo.lock").is_file());
    for name in ["longshore", "longshore-agent"] {
        assert_eq!(bin(name).file_name(), Path::new(name).file_name());
    }
}
