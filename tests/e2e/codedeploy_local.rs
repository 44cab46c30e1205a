//! `codedeploy-local` and a bundle in a real S3 server.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use e2e::{ACCESS_KEY, REGION, S3Server, SECRET_KEY, bin, services};

const BUCKET: &str = "codedeploy-local";

/// A zip whose script traces what it is told of the bundle, as revision `name`.
fn bundle(folder: &Path, name: &str) -> Vec<u8> {
    let revision = folder.join(name);
    fs::create_dir(&revision).unwrap();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: trace.sh\n";
    fs::write(revision.join("appspec.yml"), appspec).unwrap();
    let trace = folder.join("trace");
    let script = format!("#!/bin/sh\n(echo {name}; env | grep ^BUNDLE | sort) >> {}\n", trace.display());
    fs::write(revision.join("trace.sh"), script).unwrap();
    fs::set_permissions(revision.join("trace.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let zip = Command::new("zip").args(["-qr", "-", "."]).current_dir(&revision).output().unwrap();
    assert!(zip.status.success());
    zip.stdout
}

/// Stores two versions under one key: of each its version and ETag.
async fn store(s3: &S3Server, versions: [Vec<u8>; 2]) -> Vec<(String, String)> {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&s3.url)
        .force_path_style(true)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"));
    let client = Client::from_conf(config.build());
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled).send().await.unwrap();
    let mut stored = Vec::new();
    for bytes in versions {
        let put = client.put_object().bucket(BUCKET).key("dir/app.zip").body(bytes.into()).send().await.unwrap();
        stored.push((put.version_id().unwrap().to_owned(), put.e_tag().unwrap().trim_matches('"').to_owned()));
    }
    stored
}

#[tokio::test]
async fn an_object_of_s3_deploys_by_its_version_and_only_with_its_etag() {
    let s3 = services().s3();
    let folder = tempfile::tempdir().unwrap();
    let stored = store(&s3, [bundle(folder.path(), "one"), bundle(folder.path(), "two")]).await;
    let [(first, first_etag), (second, second_etag)] = &stored[..] else { panic!("{stored:?}") };

    symlink(bin("longshore-agent"), folder.path().join("codedeploy-local")).unwrap();
    fs::write(folder.path().join("agent.yml"), format!("root_dir: {}\n", folder.path().join("root").display()))
        .unwrap();
    let deploy = |location: &str| -> Output {
        let mut local = Command::new(folder.path().join("codedeploy-local"));
        local.args(["-c", "agent.yml", "-t", "zip", "-l", location]).current_dir(folder.path());
        local.envs(s3.environment()).output().unwrap()
    };
    let trace = || fs::read_to_string(folder.path().join("trace")).unwrap();
    let told = |name: &str, version: &str, etag: &str| {
        format!(
            "{name}\nBUNDLE_BUCKET={BUCKET}\nBUNDLE_ETAG={etag}\nBUNDLE_KEY=dir/app.zip\nBUNDLE_VERSION={version}\n"
        )
    };

    let url = format!("s3://{BUCKET}/dir/app.zip");
    let output = deploy(&format!("{url}?versionId={first}&etag={first_etag}"));
    assert!(output.status.success(), "{output:?}");
    let one = told("one", first, first_etag);
    assert_eq!(trace(), one);
    let output = deploy(&url);
    assert!(output.status.success(), "{output:?}");
    let both = format!("{one}{}", told("two", second, second_etag));
    assert_eq!(trace(), both);

    // Another ETag than the object's: nothing runs.
    let output = deploy(&format!("{url}?versionId={first}&etag={second_etag}"));
    assert_eq!((output.status.code(), trace()), (Some(1), both), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("ERROR: "), "{error}");
}
