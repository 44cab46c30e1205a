//! Pure: secrets that would travel with the bundle: in `environment`, and in env files that are packed. No value is ever shown.

use std::ops::Range;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};

use super::super::env_file;
use super::super::interpolate::Known;
use super::super::model::Service;
use super::super::references::{Leads, leads};
use super::super::tree::{Entry, Place, Tree};
use super::super::{Brought, Read};
use super::at;

const FIX: &str = "take it from the host: `${NAME:?}`, or an `env_file` by its full path there; and change the secret, it is in the history";

/// Secrets in `environment`.
pub(super) fn lint(service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    let environment = service.tree.get("environment").map(Tree::entries).unwrap_or_default();
    for entry in environment {
        let Some(text) = entry.value.as_text() else { continue };
        // What comes from a variable is not in the file.
        if text.varies {
            continue;
        }
        if let Some(what) = secret(&entry.key, &text.text) {
            let message = format!(
                "the value of `{}` looks like {what}, and everyone who can read the artifact could read it",
                entry.key
            );
            let problem = masked(entry, environment)
                .warning("LS326", message)
                .at_path(at(service, &format!("environment.{}", entry.key)));
            problems.push(problem.with_fix(FIX));
        }
    }
    problems
}

/// The place of a name, in a copy of its file that has `*` where the values stand: its line will be shown.
fn masked(entry: &Entry, environment: &[Entry]) -> Place {
    let Place { source, span } = &entry.place;
    let here = environment.iter().filter(|other| other.place.source == *source);
    let values: Vec<Range<usize>> = here.map(value_span).collect();
    let hide = |(at, c): (usize, char)| {
        let hidden = c != '\n' && values.iter().any(|value| value.contains(&at));
        if hidden { "*".repeat(c.len_utf8()) } else { c.to_string() }
    };
    let text: String = source.text.char_indices().map(hide).collect();
    Place { source: SourceFile::new(source.name.as_str(), text), span: span.clone() }
}

/// Where the value stands: behind the `=` of `NAME=value`, or on its own.
fn value_span(entry: &Entry) -> Range<usize> {
    let Place { source, span } = &entry.value.place;
    if entry.place.span != *span {
        return span.clone();
    }
    let written = source.text.get(span.clone()).unwrap_or_default();
    span.start + written.find('=').map_or(0, |equals| equals + 1)..span.end
}

/// Secrets in the `env_file`s that are packed.
pub(super) fn lint_env_files(service: &Service, brought: &Brought, read: &Read<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for item in service.tree.get("env_file").map(Tree::items).unwrap_or_default() {
        let Some(path) = item.text().or_else(|| item.get("path")?.text()) else { continue };
        let folder = item.place.source.name.parse().ok().and_then(|file: BundlePath| file.parent());
        let Leads::Below(file) = leads(folder.as_ref(), path) else { continue };
        let Some(source) = brought.packed.contains(&file).then(|| read(&file)).flatten() else { continue };
        let (entries, _) = env_file::read(&source, &|_| Known::Unset);
        let secret = |(name, entry): (&String, &env_file::Entry)| {
            let what = if entry.varies { None } else { secret(name, &entry.value) }?;
            Some((name.clone(), what))
        };
        if let Some((name, what)) = entries.iter().find_map(secret) {
            let message = format!(
                "`{file}` is packed, and its `{name}` looks like {what}: everyone who can read the artifact could read it"
            );
            problems.push(item.place.warning("LS331", message).at_path(at(service, "env_file")).with_fix(
                "keep the file out with `.longshoreignore` and name it by its full path on the host: `env_file: /etc/…`",
            ));
        }
    }
    problems
}

/// What a value probably is.
fn secret(name: &str, value: &str) -> Option<&'static str> {
    by_value(value).or_else(|| by_name(name, value))
}

/// Texts that are nothing but keys of well-known services.
fn by_value(value: &str) -> Option<&'static str> {
    let tail = |prefix: &str, least: usize| {
        value.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= least && rest.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        })
    };
    if ["AKIA", "ASIA"].iter().any(|prefix| tail(prefix, 16) && value.len() == 20) {
        return Some("an access key of AWS");
    }
    if ["ghp_", "gho_", "ghs_", "ghr_", "github_pat_", "glpat-"].iter().any(|prefix| tail(prefix, 16)) {
        return Some("an access token");
    }
    if ["xoxb-", "xoxp-", "xoxa-", "xoxs-"].iter().any(|prefix| tail(prefix, 16)) {
        return Some("a token of Slack");
    }
    if ["sk_live_", "rk_live_"].iter().any(|prefix| tail(prefix, 16)) {
        return Some("a key of Stripe");
    }
    if value.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let (_, rest) = value.split_once("://")?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!is_placeholder(password)).then_some("an address with a password in it")
}

/// A name that says what it holds, with a value that can be it.
fn by_name(name: &str, value: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let last = words.last().copied().unwrap_or_default();
    // How long it holds, where it stands, what it is called: not the thing itself.
    let about = [
        "ALGORITHM",
        "ALG",
        "ARN",
        "COUNT",
        "ENABLED",
        "ENDPOINT",
        "EXPIRES",
        "EXPIRY",
        "FILE",
        "HEADER",
        "HOST",
        "ID",
        "ISSUER",
        "KID",
        "LENGTH",
        "LIFETIME",
        "LIMIT",
        "LIMITS",
        "MAX",
        "MIN",
        "NAME",
        "PATH",
        "POLICY",
        "PREFIX",
        "REGION",
        "SECONDS",
        "SIZE",
        "TIMEOUT",
        "TTL",
        "TYPE",
        "URI",
        "URL",
        "USER",
    ];
    if about.contains(&last) || is_placeholder(value) {
        return None;
    }
    let has = |word: &str| words.contains(&word);
    let ends = |end: &str| name.ends_with(end);
    if has("PASSWORD") || has("PASSWD") || has("PASSPHRASE") || ends("PASSWORD") {
        Some("a password")
    } else if has("SECRET") || ends("SECRETKEY") {
        Some("a secret")
    } else if last == "TOKEN" || (has("TOKEN") && has("ACCESS")) {
        Some("a token")
    } else if ["API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY", "ENCRYPTION_KEY", "SIGNING_KEY", "MASTER_KEY"]
        .iter()
        .any(|end| ends(end))
    {
        Some("a key")
    } else {
        None
    }
}

/// What is no secret whatever its name: nothing, a switch, a number, a path, a part that is to be filled in.
fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    value.is_empty()
        || matches!(lower.as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "none" | "null")
        || (value.len() < 4 && value.chars().all(|c| c.is_ascii_digit()))
        || value.starts_with(['/', '<'])
        || value.contains("${")
        || value.chars().all(|c| c == '*' || c == 'x' || c == 'X')
}
