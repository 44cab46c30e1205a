//! Pure: keys that compose does not know and for which it refuses the file: at the top (LS310), and below it (LS336). What is known
//! is what Compose 5.0 knows; older ones know less, and newer ones perhaps more: only a key that is nearly one of these is an error.

use std::collections::HashSet;
use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile, nearest};
use longshore_core::yaml::Node;

/// The mappings whose keys are compose's, by their place, the keys in order: `*` is a key of the user's, `[]` an item of a list.
const KNOWN: [(&str, &str); 35] = [
    ("", "configs include models name networks secrets services version volumes"),
    ("services.*", SERVICE),
    ("services.*.build", BUILD),
    ("services.*.configs[]", GRANT),
    ("services.*.credential_spec", "config file registry"),
    ("services.*.depends_on.*", "condition required restart"),
    ("services.*.deploy", DEPLOY),
    ("services.*.deploy.placement", "constraints max_replicas_per_node preferences"),
    ("services.*.deploy.resources", "limits reservations"),
    ("services.*.deploy.resources.limits", "cpus memory pids"),
    ("services.*.deploy.resources.reservations", "cpus devices generic_resources memory"),
    ("services.*.deploy.restart_policy", "condition delay max_attempts window"),
    ("services.*.deploy.rollback_config", UPDATE),
    ("services.*.deploy.update_config", UPDATE),
    ("services.*.develop", "watch"),
    ("services.*.env_file[]", "format path required"),
    ("services.*.extends", "file service"),
    ("services.*.healthcheck", "disable interval retries start_interval start_period test timeout"),
    ("services.*.logging", "driver options"),
    ("services.*.networks.*", MEMBERSHIP),
    ("services.*.ports[]", "app_protocol host_ip mode name protocol published target"),
    ("services.*.post_start[]", "command environment privileged user working_dir"),
    ("services.*.pre_stop[]", "command environment privileged user working_dir"),
    ("services.*.provider", "options type"),
    ("services.*.secrets[]", GRANT),
    ("services.*.ulimits.*", "hard soft"),
    ("services.*.volumes[]", "bind consistency image read_only source target tmpfs type volume"),
    ("services.*.volumes[].bind", "create_host_path propagation recursive selinux"),
    ("services.*.volumes[].tmpfs", "mode size"),
    ("services.*.volumes[].volume", "labels nocopy subpath"),
    ("configs.*", "content environment external file labels name template_driver"),
    ("include[]", "env_file path project_directory"),
    ("networks.*", "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name"),
    ("secrets.*", "driver driver_opts environment external file labels name template_driver"),
    ("volumes.*", "driver driver_opts external labels name"),
];

/// The mappings whose keys are the user's.
const NAMES: [&str; 8] = [
    "configs",
    "networks",
    "secrets",
    "services",
    "services.*.depends_on",
    "services.*.networks",
    "services.*.ulimits",
    "volumes",
];

const SERVICE: &str = "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count \
    cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy \
    develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends \
    external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links \
    logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks \
    oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider \
    pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt shm_size stdin_open \
    stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes \
    volumes_from working_dir";

const BUILD: &str = "additional_contexts args cache_from cache_to context dockerfile dockerfile_inline entitlements extra_hosts isolation \
    labels network no_cache no_cache_filter platforms privileged provenance pull sbom secrets shm_size ssh tags target ulimits";

const DEPLOY: &str =
    "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config";

const UPDATE: &str = "delay failure_action max_failure_ratio monitor order parallelism";

const GRANT: &str = "gid mode source target uid";

const MEMBERSHIP: &str =
    "aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority";

/// What is unknown in a compose file. What several services take from one anchor is said once.
pub(super) fn unknown(source: &Arc<SourceFile>, root: &Node) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    walk(source, root, "", "", &mut problems);
    let mut told = HashSet::new();
    problems.retain(|problem| told.insert(problem.span.clone()));
    problems
}

/// `kind`: the place as the tables have it; `path`: as people know it.
fn walk(source: &Arc<SourceFile>, node: &Node, kind: &str, path: &str, problems: &mut Vec<Problem>) {
    if !KNOWN.iter().any(|(known, _)| known.starts_with(kind)) {
        return;
    }
    let known = KNOWN.iter().find(|(known, _)| *known == kind).map(|(_, keys)| *keys);
    let of_user = NAMES.contains(&kind);
    for (key, value) in node.entries() {
        let Some(name) = key.text() else { continue };
        if name.starts_with("x-") && !of_user {
            continue;
        }
        if let Some(known) = known.filter(|known| !known.split(' ').any(|known| known == name)) {
            problems.push(problem(source, key, name, path, known));
            continue;
        }
        let below = if of_user { "*" } else { name };
        let join = |to: &str, part: &str| if to.is_empty() { part.to_owned() } else { format!("{to}.{part}") };
        walk(source, value, &join(kind, below), &join(path, name), problems);
    }
    for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
        walk(source, item, &format!("{kind}[]"), &format!("{path}[{index}]"), problems);
    }
}

fn problem(source: &Arc<SourceFile>, key: &Node, name: &str, path: &str, known: &str) -> Problem {
    let (code, place) = if path.is_empty() { ("LS310", "at the top") } else { ("LS336", "here") };
    let span = Some(key.span.clone());
    let problem = match nearest(name, known.split(' ')) {
        Some(near) => {
            let message = format!("compose knows no `{name}` {place} and refuses the file");
            let fix = format!("did you mean `{near}`? What is for yourself alone begins with `x-`");
            Problem::error(code, source, span, message).with_fix(fix)
        }
        None => {
            let message = format!("compose up to 5.0 knows no `{name}` {place} and refuses the file");
            let fix = format!("what is for yourself alone begins with `x-`: `x-{name}`");
            Problem::warning(code, source, span, message).with_fix(fix)
        }
    };
    problem.at_path(path)
}
