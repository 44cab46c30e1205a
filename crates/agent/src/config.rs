//! The AWS agent's configuration file, `codedeployagent.yml`: text → typed fields and what is wrong. Pure.
//!
//! A key may be written as a Ruby symbol (`:root_dir:`) or plainly; where it stands twice, the last one counts (AWS agent
//! 1.8.1).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::problem::{Problem, SourceFile, Span};
use longshore_core::yaml::{self, Node, Psych};

use crate::deployment::order::DEFAULT_KEEP;
use crate::layout::DEFAULT_PROGRAM;

/// Where the AWS agent's package puts the file.
pub const DEFAULT_PATH: &str = "/etc/codedeploy-agent/conf/codedeployagent.yml";

/// A value that its key cannot have.
pub const BAD_VALUE: &str = "LS501";
/// A key that nobody reads.
pub const UNKNOWN_KEY: &str = "LS502";

/// Keys of the AWS agent 1.8.1 that have no meaning here: of its own making of processes, its tests, and its past.
const WITHOUT_EFFECT: [&str; 14] = [
    "children",
    "codedeploy_test_profile",
    "group",
    "instance_service_endpoint",
    "instance_service_port",
    "instance_service_region",
    "log_aws_wire",
    "max_runs_per_worker",
    "plugins",
    "shared_dir",
    "use_mock_command_service",
    "user",
    "wait_after_error",
    "wait_between_spawning_children",
];

/// The configuration. What the file does not say has the AWS agent's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `program_name`: the first part of the names of logs.
    pub program_name: String,
    /// `root_dir`: the folder of deployments and records.
    pub root_dir: Option<PathBuf>,
    /// `log_dir`: the folder of the agent's own logs.
    pub log_dir: Option<PathBuf>,
    /// `pid_dir`: the folder of the daemon's process id.
    pub pid_dir: Option<PathBuf>,
    /// `verbose`: whether the agent's own log has every detail.
    pub verbose: bool,
    /// `wait_between_runs`: the pause between two questions to the service.
    pub wait_between_runs: Duration,
    /// `wait_after_throttle_error`: the pause after the service asked for one.
    pub wait_after_throttle_error: Duration,
    /// `wait_after_connection_problem`: the pause after the service could not be reached.
    pub wait_after_connection_problem: Duration,
    /// `http_read_timeout`: how long an answer of the service may take.
    pub http_read_timeout: Duration,
    /// `kill_agent_max_wait_time_seconds`: how long a stop waits for a running deployment.
    pub kill_agent_max_wait_time: Duration,
    /// `proxy_uri`: the proxy on the way to the services.
    pub proxy_uri: Option<String>,
    /// `max_revisions`: how many deployments of a group are kept.
    pub max_revisions: usize,
    /// `disable_imds_v1`: whether the metadata service is asked by its second protocol alone.
    pub disable_imds_v1: bool,
    /// `on_premises_config_file`: who this host is, where it is no instance.
    pub on_premises_config_file: PathBuf,
    /// `ongoing_deployment_tracking`: the folder below the root that names running deployments.
    pub ongoing_deployment_tracking: String,
    /// `enable_deployments_log`: whether the log of all deployments is written.
    pub enable_deployments_log: bool,
    /// `use_fips_mode`: whether AWS is reached by its FIPS endpoints.
    pub use_fips_mode: bool,
    /// `enable_auth_policy`: whether the service is reached by its endpoint for policies.
    pub enable_auth_policy: bool,
    /// `deploy_control_endpoint`: the service's URL, when it is not the region's.
    pub deploy_control_endpoint: Option<String>,
    /// `s3_endpoint_override`: the URL of S3, when it is not the region's.
    pub s3_endpoint_override: Option<String>,
    /// `spec_signer_ca_file`: the authorities of signatures of deployment specifications; ours, the AWS agent 1.8.1 has none.
    pub spec_signer_ca_file: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            program_name: DEFAULT_PROGRAM.to_owned(),
            root_dir: None,
            log_dir: None,
            pid_dir: None,
            verbose: false,
            wait_between_runs: Duration::from_secs(30),
            wait_after_throttle_error: Duration::from_secs(60),
            wait_after_connection_problem: Duration::from_secs(5),
            http_read_timeout: Duration::from_secs(80),
            kill_agent_max_wait_time: Duration::from_secs(7200),
            proxy_uri: None,
            max_revisions: DEFAULT_KEEP,
            disable_imds_v1: false,
            on_premises_config_file: PathBuf::from("/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"),
            ongoing_deployment_tracking: "ongoing-deployment".to_owned(),
            enable_deployments_log: true,
            use_fips_mode: false,
            enable_auth_policy: false,
            deploy_control_endpoint: None,
            s3_endpoint_override: None,
            spec_signer_ca_file: None,
        }
    }
}

/// What came out of a file.
#[derive(Debug)]
pub struct Parsed {
    /// The configuration; `None` exactly when one of the problems is an error.
    pub config: Option<Config>,
    /// Where the value of each key stands that has one.
    pub places: BTreeMap<String, Span>,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads a configuration and reports every problem at once.
pub fn parse(source: &Arc<SourceFile>) -> Parsed {
    let reading = yaml::read(source);
    let mut values = Values { source, places: BTreeMap::new(), problems: Vec::new() };
    for mut problem in reading.problems {
        if problem.code == yaml::DUPLICATE_KEY {
            problem.severity = longshore_core::problem::Severity::Warning;
        }
        values.problems.push(problem);
    }
    let mut config = Config::default();
    match &reading.node {
        None => {}
        Some(node) if node.is_null() => {}
        Some(node) => match node.as_map() {
            Some(entries) => entries.iter().for_each(|(key, value)| values.read(key, value, &mut config)),
            None => {
                values.wrong(node, "", "be a mapping, `:root_dir: /opt/codedeploy-agent/deployment-root` and so on");
            }
        },
    }
    values.problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
    let config = if longshore_core::problem::has_errors(&values.problems) { None } else { Some(config) };
    Parsed { config, places: values.places, problems: values.problems }
}

/// Reads values and collects what is wrong with them.
struct Values<'a> {
    source: &'a Arc<SourceFile>,
    places: BTreeMap<String, Span>,
    problems: Vec<Problem>,
}

impl Values<'_> {
    fn read(&mut self, key: &Node, value: &Node, config: &mut Config) {
        let name = key.text().map(|name| name.strip_prefix(':').unwrap_or(name));
        if let Some(name) = name.filter(|_| !value.is_null()) {
            self.places.insert(name.to_owned(), value.span.clone());
        }
        match name {
            Some("program_name") => self.file_name(value, "program_name", &mut config.program_name),
            Some("root_dir") => self.path(value, "root_dir", &mut config.root_dir),
            Some("log_dir") => self.path(value, "log_dir", &mut config.log_dir),
            Some("pid_dir") => self.path(value, "pid_dir", &mut config.pid_dir),
            Some("verbose") => self.bool(value, "verbose", &mut config.verbose),
            Some("wait_between_runs") => self.seconds(value, "wait_between_runs", &mut config.wait_between_runs),
            Some("wait_after_throttle_error") => {
                self.seconds(value, "wait_after_throttle_error", &mut config.wait_after_throttle_error);
            }
            Some("wait_after_connection_problem") => {
                self.seconds(value, "wait_after_connection_problem", &mut config.wait_after_connection_problem);
            }
            Some("http_read_timeout") => self.seconds(value, "http_read_timeout", &mut config.http_read_timeout),
            Some("kill_agent_max_wait_time_seconds") => {
                self.seconds(value, "kill_agent_max_wait_time_seconds", &mut config.kill_agent_max_wait_time);
            }
            Some("proxy_uri") => self.text(value, "proxy_uri", &mut config.proxy_uri),
            Some("max_revisions") => self.count(value, "max_revisions", &mut config.max_revisions),
            Some("disable_imds_v1") => self.bool(value, "disable_imds_v1", &mut config.disable_imds_v1),
            Some("on_premises_config_file") => {
                let mut path = None;
                self.path(value, "on_premises_config_file", &mut path);
                config.on_premises_config_file = path.unwrap_or(Config::default().on_premises_config_file);
            }
            Some("ongoing_deployment_tracking") => {
                self.file_name(value, "ongoing_deployment_tracking", &mut config.ongoing_deployment_tracking);
            }
            Some("enable_deployments_log") => {
                self.bool(value, "enable_deployments_log", &mut config.enable_deployments_log);
            }
            Some("use_fips_mode") => self.bool(value, "use_fips_mode", &mut config.use_fips_mode),
            Some("enable_auth_policy") => self.bool(value, "enable_auth_policy", &mut config.enable_auth_policy),
            Some("deploy_control_endpoint") => {
                self.text(value, "deploy_control_endpoint", &mut config.deploy_control_endpoint);
            }
            Some("s3_endpoint_override") => self.text(value, "s3_endpoint_override", &mut config.s3_endpoint_override),
            Some("spec_signer_ca_file") => self.text(value, "spec_signer_ca_file", &mut config.spec_signer_ca_file),
            Some(other) if WITHOUT_EFFECT.contains(&other) => {}
            Some(other) => self.problems.push(
                Problem::warning(UNKNOWN_KEY, self.source, Some(key.span.clone()), "is no key of the agent's")
                    .at_path(other),
            ),
            None => self.wrong(key, "", "have texts as keys"),
        }
    }

    fn wrong(&mut self, value: &Node, key: &str, must: impl Display) {
        let found = value.text().map_or(value.kind().to_owned(), |text| format!("`{text}`"));
        let message = format!("must {must}, found {found}");
        self.problems.push(Problem::error(BAD_VALUE, self.source, Some(value.span.clone()), message).at_path(key));
    }

    fn text(&mut self, value: &Node, key: &str, to: &mut Option<String>) {
        match value.text() {
            _ if value.is_null() => *to = None,
            Some(text) => *to = Some(text.to_owned()),
            None => self.wrong(value, key, "be a text"),
        }
    }

    fn path(&mut self, value: &Node, key: &str, to: &mut Option<PathBuf>) {
        let mut text = None;
        self.text(value, key, &mut text);
        *to = text.filter(|text| !text.is_empty()).map(PathBuf::from);
    }

    /// A text that becomes a name of a file.
    fn file_name(&mut self, value: &Node, key: &str, to: &mut String) {
        match value.text() {
            _ if value.is_null() => {}
            Some(text) if !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0']) => {
                text.clone_into(to);
            }
            Some(_) | None => self.wrong(value, key, "be a name without `/`, because a file gets it"),
        }
    }

    fn bool(&mut self, value: &Node, key: &str, to: &mut bool) {
        let text = value.text().map(str::to_ascii_lowercase);
        match (value.psych(), text.as_deref()) {
            (Some(Psych::Null), _) => {}
            (Some(Psych::Bool(yes)), _) => *to = yes,
            // In quotes the AWS agent takes both for true.
            (_, Some("true")) => *to = true,
            (_, Some("false")) => *to = false,
            (Some(Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text) | None, _) => {
                self.wrong(value, key, "be `true` or `false`");
            }
        }
    }

    fn whole(value: &Node) -> Option<i128> {
        match value.psych()? {
            Psych::Int(number) => Some(number),
            Psych::Text => value.text()?.trim().parse().ok(),
            Psych::Null | Psych::Bool(_) | Psych::Float(_) | Psych::Symbol => None,
        }
    }

    fn count(&mut self, value: &Node, key: &str, to: &mut usize) {
        let number = Values::whole(value).filter(|number| *number >= 1).and_then(|number| number.try_into().ok());
        match number {
            _ if value.is_null() => {}
            Some(number) => *to = number,
            None => self.wrong(value, key, "be a whole number, at least 1"),
        }
    }

    fn seconds(&mut self, value: &Node, key: &str, to: &mut Duration) {
        let seconds = match value.psych() {
            Some(Psych::Float(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
            Some(Psych::Null | Psych::Bool(_) | Psych::Int(_) | Psych::Symbol | Psych::Text) | None => {
                Values::whole(value).and_then(|seconds| seconds.try_into().ok()).map(Duration::from_secs)
            }
        };
        match seconds {
            _ if value.is_null() => {}
            Some(seconds) => *to = seconds,
            None => self.wrong(value, key, "be seconds, at least 0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed {
        parse(&SourceFile::new("agent.yml", text))
    }

    fn problems(text: &str) -> Vec<String> {
        read(text).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_file_of_the_aws_package_is_read_whole() {
        let text = "---\n:log_aws_wire: false\n:log_dir: '/var/log/aws/codedeploy-agent/'\n:pid_dir: '/opt/state/.pid/'\n\
                    :program_name: codedeploy-agent\n:root_dir: '/opt/codedeploy-agent/deployment-root'\n:verbose: false\n\
                    :wait_between_runs: 1\n:proxy_uri:\n:max_revisions: 5\n";
        let parsed = read(text);
        assert_eq!(parsed.problems, []);
        let expected = Config {
            log_dir: Some("/var/log/aws/codedeploy-agent/".into()),
            pid_dir: Some("/opt/state/.pid/".into()),
            root_dir: Some("/opt/codedeploy-agent/deployment-root".into()),
            wait_between_runs: Duration::from_secs(1),
            ..Config::default()
        };
        assert_eq!(parsed.config, Some(expected));
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        for text in ["", "# nothing\n", "~\n", "---\n"] {
            assert_eq!(read(text).config, Some(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn keys_are_symbols_or_texts_and_the_last_one_counts() {
        for text in [
            "root_dir: /a\n",
            ":root_dir: /a\n",
            ":root_dir: /b\nroot_dir: /a\n",
            "root_dir: /b\n:root_dir: /a\n",
            "root_dir: /b\nroot_dir: /a\n",
        ] {
            let config = read(text).config;
            assert_eq!(config.and_then(|config| config.root_dir), Some("/a".into()), "{text:?}");
        }
    }

    #[test]
    fn every_kind_of_value_is_understood() {
        let text = "max_revisions: '2'\nverbose: yes\nuse_fips_mode: 'false'\nenable_deployments_log: off\nchildren: 1\n\
                    http_read_timeout: 1.5\nongoing_deployment_tracking: running\non_premises_config_file: /x\n\
                    deploy_control_endpoint: https://c\ns3_endpoint_override: https://s\n\
                    kill_agent_max_wait_time_seconds: 9\nwait_after_throttle_error: 8\n\
                    wait_after_connection_problem: 7\nenable_auth_policy: true\ndisable_imds_v1: on\n";
        assert_eq!(problems(text), [""; 0]);
        let expected = Config {
            max_revisions: 2,
            verbose: true,
            enable_deployments_log: false,
            http_read_timeout: Duration::from_millis(1500),
            ongoing_deployment_tracking: "running".to_owned(),
            on_premises_config_file: "/x".into(),
            deploy_control_endpoint: Some("https://c".to_owned()),
            s3_endpoint_override: Some("https://s".to_owned()),
            kill_agent_max_wait_time: Duration::from_secs(9),
            wait_after_throttle_error: Duration::from_secs(8),
            wait_after_connection_problem: Duration::from_secs(7),
            enable_auth_policy: true,
            disable_imds_v1: true,
            ..Config::default()
        };
        assert_eq!(read(text).config, Some(expected));
    }

    #[test]
    fn every_problem_is_shown_at_once_with_its_place() {
        let text =
            "max_revisions: 0\nverbose: maybe\nprogram_name: ../x\nwait_between_runs: -1\nroot_dir: [a]\ncolour: red\n";
        assert_eq!(
            problems(text),
            [
                "agent.yml:1:16: max_revisions: must be a whole number, at least 1, found `0`",
                "agent.yml:2:10: verbose: must be `true` or `false`, found `maybe`",
                "agent.yml:3:15: program_name: must be a name without `/`, because a file gets it, found `../x`",
                "agent.yml:4:20: wait_between_runs: must be seconds, at least 0, found `-1`",
                "agent.yml:5:11: root_dir: must be a text, found a list",
                "agent.yml:6:1: colour: is no key of the agent's",
            ]
        );
        assert_eq!(read(text).config, None);
        assert_eq!(
            problems("- a\n"),
            [
                "agent.yml:1:1: must be a mapping, `:root_dir: /opt/codedeploy-agent/deployment-root` and so on, found a list"
            ]
        );
        for bad in ["max_revisions: five\n", "max_revisions: '0'\n", "max_revisions: 1.5\n", "max_revisions: -3\n"] {
            assert!(read(bad).config.is_none(), "{bad:?}");
        }
        assert!(read("colour: red\n").config.is_some(), "an unknown key is no error");
        assert!(read(":root_dir: [\n").config.is_none());
    }
}
