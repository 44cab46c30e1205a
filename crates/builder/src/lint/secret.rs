//! Pure: files that look like secrets (LS401), by their names and by what is in them, and how they are allowed (LS415).

mod known;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, nearest};

use known::Known;
pub(crate) use known::is_key_file;

/// A file that is packed although it looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedSecret {
    /// Its path in the bundle, as it was written.
    pub(crate) path: String,
    /// Who says so: `longshore.toml` or `--allow-secret`.
    pub(crate) said_by: &'static str,
}

impl AllowedSecret {
    /// Whether it means this file.
    pub(crate) fn means(&self, path: &BundlePath) -> bool {
        BundlePath::normalized(&self.path).is_ok_and(|allowed| allowed == *path)
    }
}

/// What a file probably holds, by its name and, where the name is not enough, by its first bytes.
pub(crate) fn file(path: &BundlePath, head: &[u8]) -> Option<Problem> {
    let (holds, fetch) = match known::what(path, head)? {
        Known::File(what) => (format!("looks like {what}"), ""),
        Known::Environment => ("looks like an environment file with secrets".to_owned(), AS_ENVIRONMENT),
        Known::Variable { name, what } => (format!("has `{name}`, which looks like {what}"), AS_ENVIRONMENT),
    };
    let source = SourceFile::new(path.as_str(), "");
    let message = format!("`{path}` {holds}, and everyone who can read the artifact could read it");
    let fix = format!(
        "keep it out with `.longshoreignore` and fetch it on the host, for example from a parameter store{fetch}; if it must ship, \
         `--allow-secret {path}` or `build.allow_secrets` in longshore.toml"
    );
    Some(Problem::error("LS401", &source, None, message).with_fix(fix))
}

/// How compose gets what is not in the bundle.
const AS_ENVIRONMENT: &str = " (compose takes it by its full path: `env_file: /etc/…`)";

/// Allowed files of which none is a secret. `reported`: the files that look like one, allowed or not; `known`: all files.
pub(crate) fn idle(allowed: &[AllowedSecret], reported: &[BundlePath], known: &[&str]) -> Vec<Problem> {
    let idle = allowed.iter().filter(|allowed| !reported.iter().any(|path| allowed.means(path)));
    idle.map(|allowed| {
        let source = SourceFile::new(allowed.said_by, "");
        let there = known.contains(&allowed.path.trim_start_matches("./").trim_start_matches('/'));
        let (message, fix) = if there {
            (format!("`{}` is allowed as a secret and does not look like one", allowed.path), "take it away".to_owned())
        } else {
            let near = nearest(&allowed.path, reported.iter().map(BundlePath::as_str));
            let fix = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "take it away; paths start at the source folder".to_owned(),
            };
            (format!("`{}` is allowed as a secret and is not packed", allowed.path), fix)
        };
        Problem::warning("LS415", &source, None, message).with_fix(fix)
    })
    .collect()
}
