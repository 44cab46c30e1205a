//! `agent.toml`: text → typed values with their places, and what is wrong. Pure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::host_status;
use longshore_core::ids::{ApplicationName, GroupName, InvalidId};
use longshore_core::problem::{Problem, SourceFile, Span, nearest};
use longshore_core::store::{InvalidUrl, StoreUrl};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::word::{Authorities, Demand, Key, absolute, authorities, public_key, word};
use crate::deployment::order::OnFailure;
use crate::hook::policy::{HookEnvironment, Leftovers};

/// The text is no TOML.
const SYNTAX: &str = "LS510";
/// A key that nobody reads.
const UNKNOWN_KEY: &str = "LS511";
/// A value of another type.
const WRONG_TYPE: &str = "LS512";
/// A value that its key cannot have.
pub(super) const BAD_VALUE: &str = "LS513";
/// Values that do not go together.
pub(super) const TOGETHER: &str = "LS514";

/// A day: a longer pause is a mistake.
pub(super) const DAY: f64 = 86_400.0;
/// The pause between two looks at a pointer while nothing moves.
pub(super) const POLL: Duration = Duration::from_secs(30);
/// The longest path that a socket can have.
const SOCKET_PATH: usize = 107;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// A value that may be given.
pub(super) type Field<T> = Option<Given<T>>;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Ours {
    pub(super) root: Field<PathBuf>,
    pub(super) log_dir: Field<PathBuf>,
    pub(super) program_name: Field<String>,
    pub(super) verbose: Field<bool>,
    pub(super) max_revisions: Field<usize>,
    pub(super) proxy: Field<String>,
    pub(super) ca_bundle: Field<PathBuf>,
    pub(super) hooks: Hooks,
    pub(super) limits: Limits,
    pub(super) codedeploy: CodeDeploy,
    pub(super) follow: Vec<Follow>,
    pub(super) control: Control,
    pub(super) signatures: Signatures,
}

/// `[signatures]`.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    pub(super) public_keys: Field<Vec<Given<Key>>>,
    pub(super) require: Field<bool>,
}

/// `[hooks]`.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) on_failure: Field<OnFailure>,
    pub(super) leftovers: Field<Leftovers>,
    pub(super) environment: Field<HookEnvironment>,
    pub(super) grace: Field<Duration>,
    pub(super) deployments_log: Field<bool>,
}

/// `[limits]`.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) max_unpacked_size: Field<u64>,
    pub(super) max_entries: Field<u64>,
    pub(super) max_ratio: Field<u64>,
}

/// `[codedeploy]`.
#[derive(Debug, Default)]
pub(super) struct CodeDeploy {
    pub(super) enabled: Field<bool>,
    pub(super) config_file: Field<PathBuf>,
    pub(super) spec_signature: Field<Demand>,
    pub(super) spec_signer_ca_file: Field<Authorities>,
    pub(super) on_failure: Field<OnFailure>,
    pub(super) endpoint: Field<String>,
    pub(super) s3_endpoint: Field<String>,
    pub(super) fips: Field<bool>,
    pub(super) auth_policy: Field<bool>,
    pub(super) disable_imds_v1: Field<bool>,
    pub(super) on_premises_file: Field<PathBuf>,
    pub(super) tracking: Field<String>,
    pub(super) pause: Field<Duration>,
    pub(super) read_timeout: Field<Duration>,
    pub(super) throttle_pause: Field<Duration>,
    pub(super) require_signature: Field<bool>,
}

/// One `[[follow]]`.
#[derive(Debug, Default)]
pub(super) struct Follow {
    pub(super) store: Field<StoreUrl>,
    pub(super) application: Field<ApplicationName>,
    pub(super) group: Field<GroupName>,
    pub(super) poll: Field<Duration>,
    pub(super) fast_poll: Field<Duration>,
    pub(super) heartbeat: Field<Duration>,
    pub(super) host: Field<String>,
    pub(super) on_failure: Field<OnFailure>,
    pub(super) require_signature: Field<bool>,
}

/// `[control]`.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// `None` in it: no socket.
    pub(super) socket: Field<Option<PathBuf>>,
    pub(super) group: Field<String>,
}

/// Reads the file and reports every problem at once; a value with a problem is left out.
pub(super) fn parse(source: &Arc<SourceFile>) -> (Ours, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mut reader = Reader { source, ours: Ours::default(), problems: Vec::new() };
    for error in errors {
        reader.problems.push(Problem::error(SYNTAX, source, error.span(), error.message().to_owned()));
    }
    reader.top(document.get_ref());
    // The table hands its keys out by name; people read from top to bottom.
    reader.problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    (reader.ours, reader.problems)
}

type Value<'i> = Spanned<DeValue<'i>>;

struct Reader<'a> {
    source: &'a Arc<SourceFile>,
    ours: Ours,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        const TABLES: [&str; 7] = ["network", "hooks", "limits", "codedeploy", "follow", "control", "signatures"];
        const VALUES: [&str; 5] = ["root", "log_dir", "program_name", "verbose", "max_revisions"];
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "root" => self.ours.root = self.path(value, "root"),
                "log_dir" => self.ours.log_dir = self.path(value, "log_dir"),
                "program_name" => self.ours.program_name = self.file_name(value, "program_name"),
                "verbose" => self.ours.verbose = self.bool(value, "verbose"),
                "max_revisions" => self.ours.max_revisions = self.count(value, "max_revisions"),
                "network" => self.table(value, "network", Reader::network),
                "hooks" => self.table(value, "hooks", Reader::hooks),
                "limits" => self.table(value, "limits", Reader::limits),
                "codedeploy" => self.table(value, "codedeploy", Reader::codedeploy),
                "follow" => self.follows(value),
                "control" => self.table(value, "control", Reader::control),
                "signatures" => self.table(value, "signatures", Reader::signatures),
                _ => self.unknown(key, "", &[VALUES.as_slice(), TABLES.as_slice()].concat()),
            }
        }
    }

    fn table(&mut self, value: &Value<'_>, name: &str, read: fn(&mut Self, &DeTable<'_>)) {
        match value.get_ref().as_table() {
            Some(table) => read(self, table),
            None => self.wrong_type(value, name, &format!("a table: `[{name}]`")),
        }
    }

    fn network(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "proxy" => self.ours.proxy = self.url(value, "network.proxy"),
                "ca_bundle" => self.ours.ca_bundle = self.path(value, "network.ca_bundle"),
                _ => self.unknown(key, "network.", &["proxy", "ca_bundle"]),
            }
        }
    }

    fn signatures(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "public_keys" => self.ours.signatures.public_keys = self.public_keys(value),
                "require" => self.ours.signatures.require = self.bool(value, "signatures.require"),
                _ => self.unknown(key, "signatures.", &["public_keys", "require"]),
            }
        }
    }

    fn public_keys(&mut self, value: &Value<'_>) -> Field<Vec<Given<Key>>> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(value, "signatures.public_keys", "a list of texts");
            return None;
        };
        let read = |(index, item)| self.read(item, &format!("signatures.public_keys[{index}]"), public_key);
        let keys = items.iter().enumerate().filter_map(read).collect();
        Some(Given { value: keys, span: value.span() })
    }

    fn hooks(&mut self, table: &DeTable<'_>) {
        const KNOWN: [&str; 5] = ["on_failure", "leftovers", "environment", "grace_s", "deployments_log"];
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "on_failure" => self.ours.hooks.on_failure = self.word(value, "hooks.on_failure"),
                "leftovers" => self.ours.hooks.leftovers = self.word(value, "hooks.leftovers"),
                "environment" => self.ours.hooks.environment = self.word(value, "hooks.environment"),
                "grace_s" => self.ours.hooks.grace = self.seconds(value, "hooks.grace_s", 0.0, 3600.0),
                "deployments_log" => self.ours.hooks.deployments_log = self.bool(value, "hooks.deployments_log"),
                _ => self.unknown(key, "hooks.", &KNOWN),
            }
        }
    }

    fn limits(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "max_unpacked_size" => {
                    self.ours.limits.max_unpacked_size = self.count(value, "limits.max_unpacked_size");
                }
                "max_entries" => self.ours.limits.max_entries = self.count(value, "limits.max_entries"),
                "max_ratio" => self.ours.limits.max_ratio = self.count(value, "limits.max_ratio"),
                _ => self.unknown(key, "limits.", &["max_unpacked_size", "max_entries", "max_ratio"]),
            }
        }
    }

    /// What AWS's file has, too, has AWS's names here.
    fn codedeploy(&mut self, table: &DeTable<'_>) {
        const KNOWN: [&str; 16] = [
            "enabled",
            "config_file",
            "spec_signature",
            "spec_signer_ca_file",
            "on_failure",
            "deploy_control_endpoint",
            "s3_endpoint_override",
            "use_fips_mode",
            "enable_auth_policy",
            "disable_imds_v1",
            "on_premises_config_file",
            "ongoing_deployment_tracking",
            "wait_between_runs",
            "http_read_timeout",
            "wait_after_throttle_error",
            "require_signature",
        ];
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = &format!("codedeploy.{name}");
            match name {
                "enabled" => self.ours.codedeploy.enabled = self.bool(value, path),
                "config_file" => self.ours.codedeploy.config_file = self.path(value, path),
                "spec_signature" => self.ours.codedeploy.spec_signature = self.word(value, path),
                "spec_signer_ca_file" => {
                    self.ours.codedeploy.spec_signer_ca_file = self.read(value, path, authorities);
                }
                "on_failure" => self.ours.codedeploy.on_failure = self.word(value, path),
                "deploy_control_endpoint" => self.ours.codedeploy.endpoint = self.url(value, path),
                "s3_endpoint_override" => self.ours.codedeploy.s3_endpoint = self.url(value, path),
                "use_fips_mode" => self.ours.codedeploy.fips = self.bool(value, path),
                "enable_auth_policy" => self.ours.codedeploy.auth_policy = self.bool(value, path),
                "disable_imds_v1" => self.ours.codedeploy.disable_imds_v1 = self.bool(value, path),
                "on_premises_config_file" => self.ours.codedeploy.on_premises_file = self.path(value, path),
                "ongoing_deployment_tracking" => self.ours.codedeploy.tracking = self.file_name(value, path),
                "wait_between_runs" => self.ours.codedeploy.pause = self.seconds(value, path, 0.1, DAY),
                "http_read_timeout" => self.ours.codedeploy.read_timeout = self.seconds(value, path, 1.0, DAY),
                "wait_after_throttle_error" => {
                    self.ours.codedeploy.throttle_pause = self.seconds(value, path, 0.1, DAY);
                }
                "require_signature" => self.ours.codedeploy.require_signature = self.bool(value, path),
                _ => self.unknown(key, "codedeploy.", &KNOWN),
            }
        }
    }

    fn follows(&mut self, value: &Value<'_>) {
        let Some(items) = value.get_ref().as_array() else {
            return self.wrong_type(value, "follow", "a list of tables: `[[follow]]`");
        };
        for (index, item) in items.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let follow = self.follow(table, item.span(), index);
                    self.ours.follow.push(follow);
                }
                None => self.wrong_type(item, &format!("follow[{index}]"), "a table: `[[follow]]`"),
            }
        }
    }

    fn follow(&mut self, table: &DeTable<'_>, span: Span, index: usize) -> Follow {
        const KNOWN: [&str; 9] = [
            "store",
            "application",
            "group",
            "poll_s",
            "fast_poll_s",
            "heartbeat_s",
            "host",
            "on_failure",
            "require_signature",
        ];
        let mut follow = Follow::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = &format!("follow[{index}].{name}");
            match name {
                "store" => follow.store = self.store(value, path),
                "application" => follow.application = self.id(value, path),
                "group" => follow.group = self.id(value, path),
                "poll_s" => follow.poll = self.seconds(value, path, 1.0, DAY),
                "fast_poll_s" => follow.fast_poll = self.seconds(value, path, 0.2, DAY),
                "heartbeat_s" => follow.heartbeat = self.seconds(value, path, 1.0, DAY),
                "host" => follow.host = self.host(value, path),
                "on_failure" => follow.on_failure = self.word(value, path),
                "require_signature" => follow.require_signature = self.bool(value, path),
                _ => self.unknown(key, &format!("follow[{index}]."), &KNOWN),
            }
        }
        // What cannot be read at all says more than what is missing for it.
        let is_whole = !self.problems.iter().any(|problem| problem.code == SYNTAX);
        for must in ["store", "application", "group"] {
            if is_whole && !table.iter().any(|(key, _)| key.get_ref() == must) {
                self.bad(span.clone(), &format!("follow[{index}]"), &format!("`{must}` is missing"));
            }
        }
        let says_poll = table.iter().any(|(key, _)| key.get_ref() == "poll_s");
        let poll = follow.poll.as_ref().map(|poll| poll.value).or_else(|| (!says_poll).then_some(POLL));
        if let (Some(poll), Some(fast)) = (poll, &follow.fast_poll)
            && fast.value > poll
        {
            let usual = if says_poll { String::new() } else { format!(" ({} without it)", POLL.as_secs()) };
            let message = format!("must not be longer than `poll_s`, the pause while nothing moves{usual}");
            let problem = Problem::error(TOGETHER, self.source, Some(fast.span.clone()), message);
            self.problems.push(problem.at_path(format!("follow[{index}].fast_poll_s")));
        }
        follow
    }

    fn control(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "socket" => self.ours.control.socket = self.socket(value),
                "group" => self.ours.control.group = self.file_name(value, "control.group"),
                _ => self.unknown(key, "control.", &["socket", "group"]),
            }
        }
    }

    fn text(&mut self, value: &Value<'_>, path: &str) -> Field<String> {
        let text = value.get_ref().as_str().map(|text| Given { value: text.to_owned(), span: value.span() });
        if text.is_none() {
            self.wrong_type(value, path, "a text");
        }
        text
    }

    /// A text that `read` takes, or says what it must be.
    fn read<T>(&mut self, value: &Value<'_>, path: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Field<T> {
        let Given { value: text, span } = self.text(value, path)?;
        match read(&text) {
            Ok(value) => Some(Given { value, span }),
            Err(must) => {
                self.bad(span, path, &format!("must {must}, found `{text}`"));
                None
            }
        }
    }

    fn path(&mut self, value: &Value<'_>, path: &str) -> Field<PathBuf> {
        self.read(value, path, absolute)
    }

    fn word<T: clap::ValueEnum>(&mut self, value: &Value<'_>, path: &str) -> Field<T> {
        self.read(value, path, word)
    }

    fn socket(&mut self, value: &Value<'_>) -> Field<Option<PathBuf>> {
        self.read(value, "control.socket", |text| match text {
            "" => Ok(None),
            long if long.len() > SOCKET_PATH => Err(format!("have at most {SOCKET_PATH} bytes, as a socket's path")),
            text => absolute(text).map(Some),
        })
    }

    fn file_name(&mut self, value: &Value<'_>, path: &str) -> Field<String> {
        self.read(value, path, |text| {
            let is_name = !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0']);
            is_name.then(|| text.to_owned()).ok_or_else(|| "be a name without `/`".to_owned())
        })
    }

    fn host(&mut self, value: &Value<'_>, path: &str) -> Field<String> {
        self.read(value, path, |text| {
            let fits = host_status::host_name(text) == text;
            fits.then(|| text.to_owned())
                .ok_or_else(|| "be 1 to 100 letters, digits, `.`, `_` or `-`, not beginning with `.`".to_owned())
        })
    }

    /// The text itself is left out of the message: it may hold a password.
    fn url(&mut self, value: &Value<'_>, path: &str) -> Field<String> {
        let text = self.text(value, path)?;
        let rest = text.value.strip_prefix("https://").or_else(|| text.value.strip_prefix("http://"));
        if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
            return Some(text);
        }
        self.bad(text.span, path, "must be a URL that begins with `https://` or `http://`");
        None
    }

    fn store(&mut self, value: &Value<'_>, path: &str) -> Field<StoreUrl> {
        let Given { value: text, span } = self.text(value, path)?;
        match text.parse() {
            Ok(value) => Some(Given { value, span }),
            Err(invalid) => {
                let InvalidUrl { url, why } = invalid;
                let problem = Problem::error(BAD_VALUE, self.source, Some(span), format!("`{url}` {why}"));
                self.problems.push(problem.at_path(path).with_fix("write `s3://bucket/prefix` or `file:///folder`"));
                None
            }
        }
    }

    fn id<T: std::str::FromStr<Err = InvalidId>>(&mut self, value: &Value<'_>, path: &str) -> Field<T> {
        let Given { value: text, span } = self.text(value, path)?;
        match text.parse() {
            Ok(value) => Some(Given { value, span }),
            Err(invalid) => {
                self.bad(span, path, &format!("the name {}", invalid.why));
                None
            }
        }
    }

    fn bool(&mut self, value: &Value<'_>, path: &str) -> Field<bool> {
        let yes = value.get_ref().as_bool();
        if yes.is_none() {
            self.wrong_type(value, path, "`true` or `false`");
        }
        yes.map(|yes| Given { value: yes, span: value.span() })
    }

    fn count<T: TryFrom<i128>>(&mut self, value: &Value<'_>, path: &str) -> Field<T> {
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(value, path, "a whole number");
            return None;
        };
        let number = i128::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number >= 1);
        let fitting = number.and_then(|number| T::try_from(number).ok());
        if fitting.is_none() {
            let message = format!("must be a whole number, at least 1, found `{}`", self.written(value));
            self.bad(value.span(), path, &message);
        }
        fitting.map(|fitting| Given { value: fitting, span: value.span() })
    }

    fn seconds(&mut self, value: &Value<'_>, path: &str, from: f64, to: f64) -> Field<Duration> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64),
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type(value, path, "a number of seconds");
                return None;
            }
        };
        let fitting = number.filter(|seconds: &f64| (from..=to).contains(seconds));
        if fitting.is_none() {
            let message = format!("must be from {from} to {to} seconds, found `{}`", self.written(value));
            self.bad(value.span(), path, &message);
        }
        fitting.map(|seconds| Given { value: Duration::from_secs_f64(seconds), span: value.span() })
    }

    fn written(&self, value: &Value<'_>) -> &str {
        self.source.text.get(value.span()).unwrap_or_default()
    }

    fn bad(&mut self, span: Span, path: &str, message: &str) {
        self.problems.push(Problem::error(BAD_VALUE, self.source, Some(span), message).at_path(path));
    }

    fn wrong_type(&mut self, value: &Value<'_>, path: &str, expected: &str) {
        let message = format!("must be {expected}, found {}", value.get_ref().type_str());
        self.problems.push(Problem::error(WRONG_TYPE, self.source, Some(value.span()), message).at_path(path));
    }

    /// A warning: an earlier agent may read the file of a later one, and a host without its agent is worse than one without
    /// a setting.
    fn unknown(&mut self, key: &Spanned<DeString<'_>>, table: &str, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let fix = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
                format!("known here: {}", known.join(", "))
            }
        };
        let problem = Problem::warning(UNKNOWN_KEY, self.source, Some(key.span()), "unknown key, without effect");
        self.problems.push(problem.at_path(format!("{table}{name}")).with_fix(fix));
    }
}
