//! Docker and compose, when scripts or compose files ask for them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::programs::find;
use super::subject::Subject;
use super::{Environment, Finding};
use crate::hook::command::RunAs;
use crate::hook::user;

const CHECK: &str = "docker";
/// Where the daemon listens unless somebody says otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    Unix(PathBuf),
    Tcp(String),
    /// A way that is not tried here, such as `ssh://`.
    Other(String),
}

pub(super) fn check(subjects: &[Subject], environment: &Environment) -> Vec<Finding> {
    let says = |word: &str| subjects.iter().flat_map(|subject| &subject.scripts).any(|script| script.says(word));
    let has_compose_file = subjects.iter().any(|subject| subject.has_compose_file);
    if !says("docker") && !has_compose_file {
        return Vec::new();
    }
    let path = environment.path.as_deref();
    let Some(docker) = find("docker", path) else {
        return vec![Finding::error(
            CHECK,
            "`docker` is not in the agent's PATH",
            "scripts call it",
            "install it, for example with: apt-get install docker.io",
        )];
    };
    let endpoint = endpoint(environment.docker_host.as_deref());
    let mut findings = vec![daemon(&endpoint)];
    if let Endpoint::Unix(socket) = &endpoint {
        findings.extend(subjects.iter().flat_map(|subject| outsiders(subject, socket)));
    }
    let (plugin, program) = (says("docker compose"), says("docker-compose "));
    if plugin || program {
        let has_plugin = succeeds(&docker, &["compose", "version"]);
        findings.extend(compose(plugin, program, has_plugin, find("docker-compose", path).is_some()));
    }
    findings
}

/// What of compose is asked for and not there. Compose files alone do not tell which kind reads them.
fn compose(asks_plugin: bool, asks_program: bool, plugin: bool, program: bool) -> Option<Finding> {
    let (missing, instead) = match (asks_plugin && !plugin, asks_program && !program) {
        (true, _) => ("docker compose", if program { "; `docker-compose` is there" } else { "" }),
        (false, true) => ("docker-compose", if plugin { "; `docker compose` is there" } else { "" }),
        (false, false) if !asks_plugin && !asks_program => return None,
        (false, false) => return Some(Finding::ok(CHECK, "the compose that scripts call is there")),
    };
    Some(Finding::error(
        CHECK,
        format!("scripts call `{missing}`, and this host does not have it{instead}"),
        "one is a plugin of Docker, the other a program of its own",
        "install it, or call the one that is there",
    ))
}

fn endpoint(host: Option<&str>) -> Endpoint {
    let Some(host) = host.filter(|host| !host.is_empty()) else { return Endpoint::Unix(SOCKET.into()) };
    match host.split_once("://") {
        Some(("unix", path)) => Endpoint::Unix(path.into()),
        Some(("tcp" | "http", address)) => Endpoint::Tcp(address.to_owned()),
        Some(_) | None => Endpoint::Other(host.to_owned()),
    }
}

fn daemon(endpoint: &Endpoint) -> Finding {
    let (shown, answer) = match endpoint {
        Endpoint::Unix(path) => (
            path.display().to_string(),
            UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ping(stream)
            }),
        ),
        Endpoint::Tcp(address) => (address.clone(), by_network(address)),
        Endpoint::Other(host) => {
            return Finding::ok(CHECK, format!("the daemon is at {host}, which is not tried here"));
        }
    };
    match answer {
        Ok(()) => Finding::ok(CHECK, format!("the Docker daemon answers at {shown}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::error(
            CHECK,
            format!("the agent may not talk to the Docker daemon at {shown}"),
            "scripts that run as the agent's user may not either",
            "run the agent as root, or add its user to the group `docker`",
        ),
        Err(error) => Finding::error(
            CHECK,
            format!("the Docker daemon does not answer at {shown}: {error}"),
            "scripts need it",
            "systemctl enable --now docker",
        ),
    }
}

fn by_network(address: &str) -> io::Result<()> {
    let mut addresses = address.trim_end_matches('/').to_socket_addrs()?;
    let first = addresses.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let stream = TcpStream::connect_timeout(&first, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // With TLS a connection is all that can be tried by hand.
    if std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty()) { Ok(()) } else { ping(stream) }
}

fn ping(mut stream: impl Read + Write) -> io::Result<()> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut head = [0; 64];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]);
    let status = head.lines().next().unwrap_or_default();
    if status.contains(" 200 ") { Ok(()) } else { Err(io::Error::other(format!("it said `{status}`"))) }
}

/// Scripts that talk to Docker as somebody who may not.
fn outsiders(subject: &Subject, socket: &Path) -> Vec<Finding> {
    let Ok(metadata) = fs::metadata(socket) else { return Vec::new() };
    let mut findings = Vec::new();
    for script in subject.scripts.iter().filter(|script| script.says("docker") && !script.says("sudo docker")) {
        let Ok(RunAs::User(user)) = user::resolve(script.run_as.as_deref()) else { continue };
        let may = user.uid == 0
            || (metadata.uid() == user.uid && metadata.mode() & 0o600 == 0o600)
            || (user.groups.contains(&metadata.gid()) && metadata.mode() & 0o060 == 0o060)
            || metadata.mode() & 0o006 == 0o006;
        if !may {
            findings.push(Finding::error(
                CHECK,
                format!("`{}` runs as `{}`, who may not talk to the Docker daemon", script.location, user.name),
                format!(
                    "{} is of group {} with mode {:04o}",
                    socket.display(),
                    metadata.gid(),
                    metadata.mode() & 0o7777
                ),
                format!("usermod --append --groups docker {}", user.name),
            ));
        }
    }
    findings
}

/// Whether a command ends well, and soon.
fn succeeds(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    // It is ours, and nobody waits for it any more.
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn the_place_of_the_daemon_is_what_the_docker_program_takes_it_for() {
        for (host, place) in [
            (None, Endpoint::Unix(SOCKET.into())),
            (Some(""), Endpoint::Unix(SOCKET.into())),
            (Some("unix:///run/user/1000/docker.sock"), Endpoint::Unix("/run/user/1000/docker.sock".into())),
            (Some("tcp://10.0.0.5:2375"), Endpoint::Tcp("10.0.0.5:2375".into())),
            (Some("ssh://me@host"), Endpoint::Other("ssh://me@host".into())),
        ] {
            assert_eq!(endpoint(host), place, "{host:?}");
        }
    }

    #[test]
    fn a_daemon_is_there_when_it_answers_and_not_when_it_refuses() {
        let dir = tempfile::tempdir().unwrap();
        for (answer, severity) in [
            ("HTTP/1.0 200 OK\r\n\r\nOK", Severity::Ok),
            ("HTTP/1.0 500 Internal Server Error\r\n\r\n", Severity::Error),
        ] {
            let path = dir.path().join(severity_name(severity));
            let listener = UnixListener::bind(&path).unwrap();
            let daemon_thread = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 256];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /_ping "));
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(daemon(&Endpoint::Unix(path)).severity, severity, "{answer}");
            daemon_thread.join().unwrap();
        }
        assert_eq!(daemon(&Endpoint::Unix(dir.path().join("none"))).severity, Severity::Error);
    }

    fn severity_name(severity: Severity) -> String {
        format!("{severity:?}")
    }

    #[test]
    fn the_other_kind_of_compose_is_named_when_the_right_one_is_missing() {
        for (asks, has, found) in [
            ((false, false), (false, false), None),
            ((true, false), (true, false), Some((Severity::Ok, "the compose that scripts call is there"))),
            (
                (true, false),
                (false, true),
                Some((
                    Severity::Error,
                    "scripts call `docker compose`, and this host does not have it; `docker-compose` is there",
                )),
            ),
            (
                (false, true),
                (true, false),
                Some((
                    Severity::Error,
                    "scripts call `docker-compose`, and this host does not have it; `docker compose` is there",
                )),
            ),
            ((true, true), (true, true), Some((Severity::Ok, "the compose that scripts call is there"))),
        ] {
            let finding = compose(asks.0, asks.1, has.0, has.1);
            assert_eq!(finding.as_ref().map(|it| (it.severity, it.what.as_str())), found, "{asks:?} {has:?}");
        }
    }
}
