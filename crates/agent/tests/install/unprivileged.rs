//! An agent that is not root: what it may not do is found by its plan.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::fixture::Host;

/// What nobody's agent says of a plan for a folder, and its exit code.
fn plan(host: &Host, revision: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore-agent"));
    command.arg("plan").arg(revision).args(["--group", "dev", "--application", "shop"]).current_dir("/").env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LONGSHORE_ROOT", host.dir.path().join("root"));
    let output = command.uid(65534).gid(65534).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (text.replace(host.dir.path().to_str().unwrap(), "…"), output.status.code())
}

#[test]
fn what_its_user_may_not_do_is_a_conflict_of_the_plan_and_changes_nothing() {
    let host = Host::new();
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let revision = host.dir.path().join("revision");
    fs::create_dir_all(revision.join("site")).unwrap();
    let appspec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {}\n  - source: site\n    destination: {}\n  \
         - source: site\n    destination: {}\npermissions:\n  - object: {}\n    owner: daemon\n",
        host.disk("ours").display(),
        host.disk("closed/app").display(),
        host.disk("secret/app").display(),
        host.disk("ours").display(),
    );
    fs::write(revision.join("appspec.yml"), appspec).unwrap();
    for file in ["a", "b"] {
        fs::write(revision.join("site").join(file), "x").unwrap();
    }
    for (name, mode) in [("ours", 0o777), ("closed", 0o755), ("secret", 0o700)] {
        fs::create_dir(host.disk(name)).unwrap();
        fs::set_permissions(host.disk(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let root = host.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(65534), Some(65534)).unwrap();
    let before = host.tree();
    let (text, code) = plan(&host, &revision);
    let expected = "error: the deployment was refused before anything was changed (3 reasons)\n  \
                    - Install: `…/disk/closed` cannot be written to by the agent's user\n  \
                    - Install: `…/disk/secret` cannot be looked into by the agent's user\n  \
                    - Install: only root can give files to `daemon` (permissions of `…/disk/ours`)\n\n\
                    hint: run the agent as root, or give its user the right to write there\n\
                    hint: run the agent as root, or leave `owner` and `group` out\n";
    assert_eq!((text.as_str(), code), (expected, Some(6)));
    assert_eq!(host.tree(), before);

    for name in ["closed", "secret"] {
        fs::set_permissions(host.disk(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let text = fs::read_to_string(revision.join("appspec.yml")).unwrap().replace("owner: daemon", "owner: nobody");
    fs::write(revision.join("appspec.yml"), text).unwrap();
    let (text, code) = plan(&host, &revision);
    assert_eq!(code, Some(0), "{text}");
}
