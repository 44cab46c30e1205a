//! Pure: what a service mounts from the host.

use longshore_core::problem::Problem;

use super::super::Brought;
use super::super::model::Service;
use super::super::tree::{Place, Tree};
use super::at;

/// Where Docker listens.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];
/// What a host has anyway, or what is made while it runs.
const EVERY_HOST: [&str; 22] = [
    "/dev",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/timezone",
    "/lib/modules",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/usr/share",
    "/var/lib/docker",
    "/var/log",
];

/// A bind mount.
struct Mount {
    source: String,
    place: Place,
    path: String,
}

pub(super) fn lint(service: &Service, brought: &Brought) -> Vec<Problem> {
    let mut problems = Vec::new();
    for mount in binds(service) {
        let source = mount.source.trim_end_matches('/');
        if SOCKETS.contains(&source) {
            let message = "who breaks into this container commands Docker, and by that the whole host";
            let problem = mount.place.warning("LS329", message).at_path(mount.path);
            problems
                .push(problem.with_fix("mount a proxy of the socket that allows what is needed alone; or allow LS329"));
        } else if !is_on_host(source, brought) {
            let message = format!(
                "nothing in the bundle puts `{source}` on the host; where it is missing Docker makes an empty folder of root's"
            );
            let fix = "let `files` of the appspec bring it; use a named volume for data; or allow LS325 if the host is set up with it";
            problems.push(mount.place.warning("LS325", message).at_path(mount.path).with_fix(fix));
        }
    }
    problems
}

fn is_on_host(source: &str, brought: &Brought) -> bool {
    // Relative ones are looked up in the bundle; what `~` is the host knows.
    if !source.starts_with('/') {
        return true;
    }
    let below = |path: &str, folder: &str| {
        path == folder || path.strip_prefix(folder).is_some_and(|rest| folder.is_empty() || rest.starts_with('/'))
    };
    let known = |path: &&str| below(source, path);
    let installed = brought.installed.iter().map(|path| path.trim_end_matches('/'));
    // A folder above what is installed is made with it.
    EVERY_HOST.iter().any(known) || installed.into_iter().any(|path| below(source, path) || below(path, source))
}

fn binds(service: &Service) -> Vec<Mount> {
    let items = service.tree.get("volumes").map(Tree::items).unwrap_or_default();
    let mount = |(index, item): (usize, &Tree)| {
        let source = match item.text() {
            Some(short) => short.split_once(':').map(|(source, _)| source)?,
            None if item.get("type").and_then(Tree::text) == Some("bind") => item.get("source")?.text()?,
            None => return None,
        };
        let path = at(service, &format!("volumes[{index}]"));
        Some(Mount { source: source.to_owned(), place: item.place.clone(), path })
    };
    items.iter().enumerate().filter_map(mount).collect()
}
