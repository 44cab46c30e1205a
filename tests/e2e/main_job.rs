//! The main job on real input: a git repository becomes a bundle in S3, and the agent turns it into a running compose
//! application that answers over HTTP.
//!
//! Needs Docker, a registry and an S3 server: run through `dev/test`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use e2e::{S3Server, bin, services, workspace_root};

/// A repository of the sample shop: the project's own sample hooks around the fixture's application.
struct Shop {
    folder: tempfile::TempDir,
    application: String,
}

impl Shop {
    fn new() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let root = workspace_root();
        copy_tree(&root.join("tests/fixtures/shop"), folder.path());
        copy_tree(&root.join("scripts"), &folder.path().join("scripts"));
        fs::copy(root.join("appspec.example.yml"), folder.path().join("appspec.yml")).unwrap();
        fs::copy("/bin/busybox", folder.path().join("busybox")).unwrap();
        // One compose project per application and group: a name of its own keeps runs apart.
        let application = format!("shop-{}", std::process::id());
        fs::write(folder.path().join("longshore.toml"), format!("application = \"{application}\"\n")).unwrap();
        let shop = Shop { folder, application };
        shop.git(&["init", "--quiet"]);
        shop
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .current_dir(self.path());
        String::from_utf8(succeed(&mut git).stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What the build stage of CI does: images, bundle, publication. Gives back the URL of the bundle.
    fn ship(&self, commit: &str, registry: &str, s3: &S3Server) -> String {
        for step in ["build", "push"] {
            let mut compose = Command::new("docker-compose");
            compose.arg(step).current_dir(self.path()).env("COMMIT_HASH", commit).env("REGISTRY", registry);
            succeed(&mut compose);
        }
        let store = format!("s3://{}/bundles", self.application);
        for arguments in [vec!["build"], vec!["push", "--to", &store]] {
            succeed(program("longshore").args(arguments).current_dir(self.path()).envs(s3.environment()));
        }
        format!("{store}/{}/{commit}.zip", self.application)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for group in ["dev", "stg"] {
            // Nothing may be left on the machine, however the test ended.
            let script = format!(
                "docker ps --all --quiet --filter label=com.docker.compose.project={}-{group} | xargs --no-run-if-empty docker rm --force",
                self.application
            );
            let _ = Command::new("sh").args(["-c", &script]).output();
            let _ = Command::new("docker")
                .args(["network", "rm", &format!("{}-{group}_default", self.application)])
                .output();
        }
    }
}

#[test]
fn three_commits_of_a_compose_application_reach_a_host_with_two_groups() {
    let (registry, s3) = (services().registry(), services().s3());
    services().docker();
    let shop = Shop::new();
    s3.create_bucket(&shop.application);
    let root = tempfile::tempdir().unwrap();
    let (dev_port, stg_port) = (free_port(), free_port());
    let agent = || {
        let mut agent = program("longshore-agent");
        agent.env("LONGSHORE_ROOT", root.path()).envs(s3.environment()).env("REGISTRY", &registry);
        agent.env("SHOP_DEV_PORT", dev_port.to_string()).env("SHOP_STG_PORT", stg_port.to_string());
        agent
    };
    let deploy = |url: &str, group: &str| agent().args(["deploy", url, "--group", group]).output().unwrap();
    let succeeded = |output: Output| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        told
    };

    // Commit 1, to dev and then to stg: another compose file, another port.
    let first = shop.commit("Version 1");
    let url = shop.ship(&first, &registry, &s3);
    let told = succeeded(deploy(&url, "dev"));
    assert!(told.contains("Skipped ApplicationStop: first deployment of this group"), "{told}");
    assert!(http_get(dev_port).contains(&first));
    succeeded(deploy(&url, "stg"));
    let page = http_get(stg_port);
    assert!(page.contains(&first) && page.contains("stg"), "{page}");

    // Commit 2, to dev: the old release is stopped by its own script; stg stays as it is.
    fs::write(shop.path().join("www/news"), "version 2\n").unwrap();
    let second = shop.commit("Version 2");
    let url = shop.ship(&second, &registry, &s3);
    let told = succeeded(deploy(&url, "dev"));
    assert!(
        told.contains("Running ApplicationStop: `scripts/application_stop.sh` as root, of the installed revision d-"),
        "{told}"
    );
    assert!(http_get(dev_port).contains(&second));
    assert!(http_get(stg_port).contains(&first));

    // Commit 3, to dev: its container never becomes healthy.
    fs::remove_file(shop.path().join("www/healthz")).unwrap();
    let third = shop.commit("Version 3, broken");
    let url = shop.ship(&third, &registry, &s3);
    let output = deploy(&url, "dev");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    for part in [
        "error: hook `scripts/validate_service.sh` exited with 1 (ValidateService, 1 of 1)",
        "lines of output:\n    [std",
        "(unhealthy)",
        "hint: all of its output: less ",
        "the last good release is back (",
    ] {
        assert!(told.contains(part), "{part:?} is missing in:\n{told}");
    }

    // It serves: its containers were started again, and need a moment.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ask(dev_port).is_ok_and(|answer| answer.contains(&second)) {
        assert!(Instant::now() < deadline, "the release that was restored does not serve");
        std::thread::sleep(Duration::from_millis(100));
    }

    // And all of it is remembered.
    let history = succeed(agent().args(["history", "--output", "json"]));
    let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap();
    let seen: Vec<(&str, &str, &str)> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            (
                record["order"]["group"]["name"].as_str().unwrap(),
                record["release"]["commit"].as_str().unwrap(),
                record["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("dev", second.as_str(), "succeeded"),
            ("dev", &third, "failed"),
            ("dev", &second, "succeeded"),
            ("stg", &first, "succeeded"),
            ("dev", &first, "succeeded"),
        ]
    );
}

/// A program of the project with nothing of the surroundings that could play a part.
fn program(name: &str) -> Command {
    let mut command = Command::new(bin(name));
    command.env_clear();
    for kept in ["PATH", "HOME", "DOCKER_CONFIG"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{told}", output.status);
    output
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The page of a shop.
fn http_get(port: u16) -> String {
    let answer = ask(port).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if entry.file_name() != "busybox" {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
