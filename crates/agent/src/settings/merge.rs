//! The files, the environment and the command line → what holds, and where each value comes from. Pure.
//!
//! Of several that say something the first of these holds: the command line, the environment, our file, AWS's file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_core::bundle::Limits;
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::problem::{Problem, SourceFile, Span};
use longshore_core::signature::PublicKey;
use longshore_core::store::StoreUrl;
use serde_json::Value;

use super::file::{BAD_VALUE, Field, Given, Ours, Signatures, TOGETHER};
use super::word::{Authorities, Demand, Key, absolute, name, word};
use super::{Control, DEFAULT_SOCKET, Origin, Settings, Shown};
use crate::config::Config;
use crate::deployment::order::{OnFailure, Policy, SignaturePolicy};
use crate::hook::policy::{HookEnvironment, HookPolicy, Leftovers};
use crate::layout::{DEFAULT_ROOT, Layout};
use crate::network::{Network, masked};

/// Everything that may say something.
pub(super) struct Inputs<'a> {
    /// The root, when it was given on the command line or in the environment.
    pub(super) root: Option<&'a Path>,
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
    pub(super) ours: (Arc<SourceFile>, Ours),
    pub(super) aws: (Arc<SourceFile>, Config, BTreeMap<String, Span>),
    /// AWS's file, when it was given on the command line or in the environment.
    pub(super) aws_asked: Option<&'a Path>,
    /// The host's name.
    pub(super) host: String,
}

/// What holds.
pub(super) fn merge(inputs: &Inputs<'_>) -> (Settings, Vec<Shown>, Vec<Problem>) {
    let mut merge = Merge { inputs, shown: Vec::new(), problems: Vec::new() };
    let settings = merge.settings();
    (settings, merge.shown, merge.problems)
}

/// A value, and where it comes from.
pub(super) type Said<T> = Option<(T, Origin)>;

pub(super) struct Merge<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    shown: Vec<Shown>,
    pub(super) problems: Vec<Problem>,
}

impl Merge<'_> {
    fn settings(&mut self) -> Settings {
        let ours = &self.inputs.ours.1;
        let root = self.inputs.root.map(|root| (root.to_owned(), self.asked("LONGSHORE_ROOT", "--root", root)));
        let root = [root, self.ours(&ours.root), self.aws("root_dir", |config| config.root_dir.clone())];
        let layout = Layout::new(self.choose("root", root, PathBuf::from(DEFAULT_ROOT)));
        let program_name =
            [self.ours(&ours.program_name), self.aws("program_name", |config| Some(config.program_name.clone()))];
        let program_name = self.choose("program_name", program_name, Config::default().program_name);
        let log_dir = [self.ours(&ours.log_dir), self.aws("log_dir", |config| config.log_dir.clone())];
        let log_dir = self.choose("log_dir", log_dir.map(some), None);
        let verbose = [self.ours(&ours.verbose), self.aws("verbose", |config| Some(config.verbose))];
        let verbose = self.choose("verbose", verbose, false);
        let keep = [self.ours(&ours.max_revisions), self.aws("max_revisions", |config| Some(config.max_revisions))];
        let keep = self.choose("max_revisions", keep, Policy::default().keep);
        let network = self.network();
        let (policy, on_failure) = self.policy(&layout, &program_name, keep);
        let codedeploy = self.codedeploy(&policy, on_failure.as_ref());
        let follow = self.follow(&policy, on_failure.as_ref());
        let control = self.control();
        if codedeploy.is_none() && ours.follow.is_empty() {
            let message = "takes orders from nobody but `longshore-agent control deploy`: CodeDeploy is off and no \
                           group is followed";
            let problem = match &control.socket {
                Some(_) => Problem::warning(TOGETHER, &self.inputs.ours.0, None, message),
                None => {
                    let message =
                        "takes orders from nobody: CodeDeploy is off, no group is followed, and there is no socket";
                    Problem::error(TOGETHER, &self.inputs.ours.0, None, message)
                }
            };
            self.problems.push(problem.with_fix("follow a group with a `[[follow]]` table"));
        }
        Settings { layout, program_name, log_dir, verbose, network, codedeploy, follow, control, policy }
    }

    /// Where a path of the command line comes from; clap has read the variable already.
    pub(super) fn asked(&self, variable: &str, option: &str, path: &Path) -> Origin {
        match self.inputs.environment.get(OsStr::new(variable)) {
            Some(value) if Path::new(value) == path => Origin::Variable { name: variable.to_owned() },
            Some(_) | None => Origin::Option { name: option.to_owned() },
        }
    }

    fn network(&mut self) -> Network {
        let ours = &self.inputs.ours.1;
        let proxy = [self.ours(&ours.proxy), self.aws("proxy_uri", |config| config.proxy_uri.clone())];
        let proxy = proxy.into_iter().flatten().next();
        // The HTTP library reads these by itself.
        let standard = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
        let shown = proxy.clone().or_else(|| standard.into_iter().find_map(|name| self.variable(name, text)));
        self.show("network.proxy", shown.map(|(url, origin)| (masked(&url), origin)));
        let ca_bundle = [self.variable("AWS_CA_BUNDLE", absolute), self.ours(&ours.ca_bundle)];
        let ca_bundle = self.choose("network.ca_bundle", ca_bundle.map(some), None);
        Network { proxy: proxy.map(|(url, _)| url), ca_bundle }
    }

    /// The policy of every source; and what was said of `on_failure`, because the sources have defaults of their own.
    fn policy(&mut self, layout: &Layout, program_name: &str, keep: usize) -> (Policy, Said<OnFailure>) {
        let (hooks, limits) = (&self.inputs.ours.1.hooks, &self.inputs.ours.1.limits);
        let (usual, most) = (HookPolicy::default(), Limits::default());
        let on_failure = [self.variable("LONGSHORE_ON_FAILURE", word), self.ours(&hooks.on_failure)];
        let on_failure = on_failure.into_iter().flatten().next();
        let leftovers = [self.variable("LONGSHORE_LEFTOVERS", word), self.ours(&hooks.leftovers)];
        let environment = [self.variable("LONGSHORE_HOOK_ENV", word), self.ours(&hooks.environment)];
        let log =
            [self.ours(&hooks.deployments_log), self.aws("enable_deployments_log", |c| Some(c.enable_deployments_log))];
        let policy = Policy {
            on_failure: self.choose("hooks.on_failure", [on_failure.clone()], OnFailure::Restore),
            hooks: HookPolicy {
                leftovers: self.choose("hooks.leftovers", leftovers, usual.leftovers),
                environment: self.choose("hooks.environment", environment, usual.environment),
                grace: self.choose("hooks.grace_s", [self.ours(&hooks.grace)], usual.grace),
                deployments_log: self
                    .choose("hooks.deployments_log", log, true)
                    .then(|| layout.deployments_log(program_name)),
                told_names: None,
            },
            limits: Limits {
                total: self.choose("limits.max_unpacked_size", [self.ours(&limits.max_unpacked_size)], most.total),
                entries: self.choose("limits.max_entries", [self.ours(&limits.max_entries)], most.entries),
                ratio: self.choose("limits.max_ratio", [self.ours(&limits.max_ratio)], most.ratio),
            },
            keep,
            signatures: self.signatures(),
        };
        (policy, on_failure)
    }

    fn signatures(&mut self) -> SignaturePolicy {
        let ours = &self.inputs.ours.1.signatures;
        let keys = self.ours(&ours.public_keys).map(|(keys, origin)| {
            let of_text = |given: &Given<Key>| match &given.value {
                Key::Text(key) => Some(key.clone()),
                // A file that could not be read is a problem already.
                Key::File(_) => None,
            };
            (keys.iter().filter_map(of_text).collect::<Vec<PublicKey>>(), origin)
        });
        let public_keys = self.choose("signatures.public_keys", [keys], Vec::new());
        let require = self.choose("signatures.require", [self.ours(&ours.require)], false);
        self.without_keys("signatures.require", &ours.require, ours);
        SignaturePolicy { public_keys, require }
    }

    /// What is asked of the revisions of one source; the nearer word holds.
    pub(super) fn signatures_of(&mut self, key: &str, said: &Field<bool>, policy: &Policy) -> SignaturePolicy {
        let usual = self.ours(&self.inputs.ours.1.signatures.require);
        let require = self.choose(key, [self.ours(said), usual], false);
        self.without_keys(key, said, &self.inputs.ours.1.signatures);
        SignaturePolicy { require, ..policy.signatures.clone() }
    }

    /// Nothing could ever be deployed.
    fn without_keys(&mut self, key: &str, require: &Field<bool>, ours: &Signatures) {
        let Some(require) = require.as_ref().filter(|require| require.value) else { return };
        if ours.public_keys.as_ref().is_none_or(|keys| keys.value.is_empty()) {
            let message = "asks for signatures, and `signatures.public_keys` names no key that may have made them";
            let problem = Problem::error(TOGETHER, &self.inputs.ours.0, Some(require.span.clone()), message);
            self.problems.push(problem.at_path(key));
        }
    }

    fn control(&mut self) -> Control {
        let ours = &self.inputs.ours.1.control;
        let socket = [self.ours(&ours.socket)];
        let socket = self.choose("control.socket", socket, Some(PathBuf::from(DEFAULT_SOCKET)));
        let group = [self.ours(&ours.group)];
        Control { socket, group: self.choose("control.group", group.map(some), None) }
    }

    /// What our file says.
    pub(super) fn ours<T: Clone>(&self, field: &Field<T>) -> Said<T> {
        let given = field.as_ref()?;
        Some((given.value.clone(), place(&self.inputs.ours.0, &given.span)))
    }

    /// What AWS's file says, if it has the key.
    pub(super) fn aws<T>(&self, key: &str, value: impl FnOnce(&Config) -> Option<T>) -> Said<T> {
        let (source, config, places) = &self.inputs.aws;
        let span = places.get(key)?;
        Some((value(config)?, place(source, span)))
    }

    /// A pause of AWS's file, which knows no bounds: what is beyond them is taken as the bound, because the host worked with
    /// the file.
    pub(super) fn aws_pause(&mut self, key: &str, bounds: [f64; 2], value: fn(&Config) -> Duration) -> Said<Duration> {
        let (pause, origin) = self.aws(key, |config| Some(value(config)))?;
        let bounded = pause.clamp(Duration::from_secs_f64(bounds[0]), Duration::from_secs_f64(bounds[1]));
        if bounded != pause {
            let (source, _, places) = &self.inputs.aws;
            let message = format!("is taken as {} seconds", bounded.as_secs_f64());
            let problem = Problem::warning(BAD_VALUE, source, places.get(key).cloned(), message);
            self.problems.push(problem.at_path(key));
        }
        Some((bounded, origin))
    }

    /// What a variable of the environment says; an empty one says nothing.
    fn variable<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Said<T> {
        let value = self.inputs.environment.get(OsStr::new(name))?;
        let value = value.to_string_lossy();
        if value.is_empty() {
            return None;
        }
        match read(&value) {
            Ok(read) => Some((read, Origin::Variable { name: name.to_owned() })),
            Err(must) => {
                let source = SourceFile::new(name, &*value);
                let message = format!("must {must}, found `{value}`");
                self.problems.push(Problem::error(BAD_VALUE, &source, Some(0..value.len()), message));
                None
            }
        }
    }

    /// The first of those that say something, or else the default.
    pub(super) fn choose<T: Plain, const N: usize>(&mut self, key: &str, said: [Said<T>; N], default: T) -> T {
        let (value, origin) = said.into_iter().flatten().next().unwrap_or((default, Origin::Default));
        self.shown.push(Shown { key: key.to_owned(), value: value.plain(), origin });
        value
    }

    /// What holds, when the value that is shown is another one than the one that is kept.
    pub(super) fn show<T: Plain>(&mut self, key: &str, said: Said<T>) {
        self.choose(key, [said.map(|(value, origin)| (Some(value), origin))], None);
    }
}

fn place(source: &SourceFile, span: &Span) -> Origin {
    Origin::File { file: source.name.clone(), line: source.line_column(span.start).0 }
}

pub(super) fn some<T>(said: Said<T>) -> Said<Option<T>> {
    said.map(|(value, origin)| (Some(value), origin))
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A value for people and programs.
pub(super) trait Plain {
    fn plain(&self) -> Value;
}

impl<T: Plain> Plain for Option<T> {
    fn plain(&self) -> Value {
        self.as_ref().map_or(Value::Null, Plain::plain)
    }
}

impl Plain for Duration {
    fn plain(&self) -> Value {
        if self.subsec_nanos() == 0 { self.as_secs().into() } else { self.as_secs_f64().into() }
    }
}

impl Plain for PathBuf {
    fn plain(&self) -> Value {
        self.display().to_string().into()
    }
}

impl Plain for Authorities {
    fn plain(&self) -> Value {
        match self {
            Authorities::File(path) => path.plain(),
            Authorities::System => "system".into(),
        }
    }
}

macro_rules! plain {
    ($($kind:ty: $plain:expr;)*) => {
        $(impl Plain for $kind {
            fn plain(&self) -> Value {
                let plain: fn(&$kind) -> Value = $plain;
                plain(self)
            }
        })*
    };
}

plain! {
    bool: |yes| (*yes).into();
    u64: |number| (*number).into();
    usize: |number| (*number).into();
    String: |text| text.as_str().into();
    StoreUrl: |url| url.to_string().into();
    OnFailure: |word| name(word).into();
    Leftovers: |word| name(word).into();
    HookEnvironment: |word| name(word).into();
    ApplicationName: |name| name.as_str().into();
    GroupName: |name| name.as_str().into();
    Demand: |word| name(word).into();
    Vec<PublicKey>: |keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>().into();
}
