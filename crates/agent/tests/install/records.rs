//! Records of the AWS agent, obeyed and written.

use std::fs;
use std::path::Path;

use longshore_core::appspec::{AclTag, Permission};

use super::fixture::{Host, acl, permission};

#[test]
fn a_record_of_the_aws_agent_is_obeyed_and_ours_is_one_that_it_obeys() {
    let host = Host::new();
    fs::create_dir_all(host.disk("app/sub")).unwrap();
    for name in ["app/a", "app/sub/old", "app/torn"] {
        fs::write(host.disk(name), "aws").unwrap();
    }
    let record = ["app", "app/sub", "app/sub/old", "app/a"].map(|name| format!("{}\n", host.disk(name).display()));
    let record = record.concat() + host.disk("app/torn").to_str().unwrap();
    fs::write(host.records.dir.join("shop-cleanup"), record).unwrap();
    fs::write(host.records.dir.join("shop-install.json"), "").unwrap();
    let mut release = host.release("one", &[("a", "ours"), ("b", "ours")], &[("/", "app")]);
    release.appspec.permissions = vec![Permission {
        owner: Some("nobody".into()),
        mode: Some(0o640),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 4)]),
        ..permission(&host.disk("app/b"))
    }];
    host.install(&release);
    assert_eq!(host.names(), ["app/", "app/a", "app/b", "app/torn"]);

    let text = |name: &str| fs::read_to_string(host.records.dir.join(name)).unwrap();
    let (app, archive) = (host.disk("app"), release.archive.clone());
    let (app, archive) = (app.display(), archive.display());
    assert_eq!(text("shop-cleanup"), format!("{app}\n{app}/a\n{app}/b\n"));
    assert_eq!(text("shop_last_successful_install"), format!("{}", release.archive.parent().unwrap().display()));
    assert_eq!(
        text("shop-install.json"),
        format!(
            "{{\"instructions\":[\
             {{\"type\":\"copy\",\"source\":\"{archive}/a\",\"destination\":\"{app}/a\"}},\
             {{\"type\":\"copy\",\"source\":\"{archive}/b\",\"destination\":\"{app}/b\"}},\
             {{\"type\":\"chown\",\"owner\":\"nobody\",\"group\":null,\"file\":\"{app}/b\"}},\
             {{\"type\":\"chmod\",\"mode\":\"640\",\"file\":\"{app}/b\"}},\
             {{\"type\":\"setfacl\",\"acl\":[\"user:daemon:r--\"],\"file\":\"{app}/b\"}}]}}"
        )
    );
    // What AWS's agent does with the record: from the last line to the first, unlink or rmdir.
    for line in text("shop-cleanup").lines().rev() {
        let path = Path::new(line);
        if path.is_dir() { drop(fs::remove_dir(path)) } else { fs::remove_file(path).unwrap() }
    }
    assert_eq!(host.names(), ["app/", "app/torn"]);
}
