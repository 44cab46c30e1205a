//! Pure: tokens and keys in the text of files, by their patterns (LS413, LS414, LS416). What is found is never shown: of a token
//! its first four characters, of a key nothing.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span};

/// Longer files are not looked into: a text that people write is shorter.
pub(crate) const LIMIT: u64 = 1 << 20;

/// A token's pattern.
struct Pattern {
    /// How it begins.
    start: &'static str,
    /// Which characters follow.
    follows: fn(u8) -> bool,
    /// How many at least.
    least: usize,
    /// How many at most.
    most: usize,
    /// What it is.
    what: &'static str,
}

const fn pattern(
    start: &'static str,
    follows: fn(u8) -> bool,
    least: usize,
    most: usize,
    what: &'static str,
) -> Pattern {
    Pattern { start, follows, least, most, what }
}

fn letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

fn dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}

fn path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const MOST: usize = 255;

const PATTERNS: [Pattern; 38] = [
    pattern("AKIA", upper, 16, 16, "an AWS access key"),
    pattern("ASIA", upper, 16, 16, "an AWS access key"),
    pattern("AGE-SECRET-KEY-1", upper, 58, 58, "an age key"),
    pattern("sk-ant-", dashed, 40, MOST, "an Anthropic key"),
    pattern("AIza", dashed, 35, 35, "a Google API key"),
    pattern("ghp_", letter, 36, MOST, "a GitHub token"),
    pattern("gho_", letter, 36, MOST, "a GitHub token"),
    pattern("ghu_", letter, 36, MOST, "a GitHub token"),
    pattern("ghs_", letter, 36, MOST, "a GitHub token"),
    pattern("ghr_", letter, 36, MOST, "a GitHub token"),
    pattern("github_pat_", word, 60, MOST, "a GitHub token"),
    pattern("glpat-", dashed, 20, MOST, "a GitLab token"),
    pattern("xoxb-", dashed, 20, MOST, "a Slack token"),
    pattern("xoxp-", dashed, 20, MOST, "a Slack token"),
    pattern("xoxa-", dashed, 20, MOST, "a Slack token"),
    pattern("xoxs-", dashed, 20, MOST, "a Slack token"),
    pattern("xoxe-", dashed, 20, MOST, "a Slack token"),
    pattern("hooks.slack.com/services/T", path, 30, MOST, "a Slack webhook"),
    pattern("hooks.slack.com/workflows/T", path, 30, MOST, "a Slack webhook"),
    pattern("hooks.slack.com/triggers/", path, 30, MOST, "a Slack webhook"),
    pattern("whsec_", letter, 24, MOST, "a Stripe webhook secret"),
    pattern("sk-proj-", dashed, 40, MOST, "an OpenAI key"),
    pattern("sk-svcacct-", dashed, 40, MOST, "an OpenAI key"),
    pattern("sk-admin-", dashed, 40, MOST, "an OpenAI key"),
    pattern("hf_", letter, 34, 34, "a Hugging Face token"),
    pattern("dop_v1_", letter, 64, 64, "a DigitalOcean token"),
    pattern("shpat_", letter, 32, 32, "a Shopify token"),
    pattern("hvs.", dashed, 24, MOST, "a Vault token"),
    pattern("gldt-", dashed, 20, MOST, "a GitLab token"),
    pattern("glrt-", dashed, 20, MOST, "a GitLab token"),
    pattern(KUBERNETES, base64, 200, 8192, "a key of Kubernetes"),
    pattern("xapp-", dashed, 20, MOST, "a Slack token"),
    pattern("sk_live_", letter, 20, MOST, "a Stripe key"),
    pattern("rk_live_", letter, 20, MOST, "a Stripe key"),
    pattern("npm_", letter, 36, 36, "an npm token"),
    pattern("dckr_pat_", dashed, 20, MOST, "a Docker Hub token"),
    pattern("pypi-AgEI", dashed, 50, MOST, "a PyPI token"),
    pattern("SG.", dotted, 60, MOST, "a SendGrid key"),
];

/// Behind it stand a colon and perhaps quotes and blanks.
const KUBERNETES: &str = "client-key-data";
const PRIVATE_KEY_BEGINS: &str = "-----BEGIN ";
const PRIVATE_KEYS: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];
/// How minisign's secret keys begin, as base64: without a password and with one.
const MINISIGN_KEYS: [&str; 2] = ["RWQAAEIy", "RWRTY0Iy"];
/// What a minisign secret key has at least; a public key has 56 letters.
const MINISIGN_LEAST: usize = 150;
/// Names of the half of an AWS access key that is secret.
const AWS_SECRETS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"];
/// How far the two halves may stand from each other.
const AWS_NEAR: usize = 300;

/// What is found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    span: Span,
    code: &'static str,
    what: &'static str,
    shown: usize,
}

/// Every token and key in a file. Nothing for bytes that are no text.
pub(crate) fn lint(path: &BundlePath, bytes: &[u8]) -> Vec<Problem> {
    if bytes[..bytes.len().min(8192)].contains(&0) {
        return Vec::new();
    }
    find(bytes).into_iter().map(|found| problem(path, bytes, &found)).collect()
}

fn problem(path: &BundlePath, bytes: &[u8], found: &Found) -> Problem {
    // What is shown of the file is its line breaks, and on the line in question the beginning of what was found.
    let before = &bytes[..found.span.start];
    let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut text: String = "\n".repeat(before.iter().filter(|byte| **byte == b'\n').count());
    text.push_str(&" ".repeat(String::from_utf8_lossy(&bytes[line..found.span.start]).chars().count()));
    let start = text.len();
    text.push_str(&String::from_utf8_lossy(&bytes[found.span.start..found.span.start + found.shown]));
    text.push_str(&"*".repeat(found.span.len() - found.shown));
    let (source, span) = (SourceFile::new(path.as_str(), &*text), Some(start..text.len()));
    let what = found.what;
    if found.code == "LS416" {
        let message = format!("this looks like {what}; in what browsers load it is public, elsewhere it is a secret");
        let fix = "restrict the key to your sites and allow the lint for this file, or fetch the key on the host";
        return Problem::warning("LS416", &source, span, message).with_fix(fix);
    }
    let message = format!("this looks like {what}, and everyone who can read the artifact could read it");
    let fix = format!(
        "revoke it, as it is in the repository too, and fetch the new one on the host; if it is none, `--allow-secret {path}` or \
         `build.allow_secrets` in longshore.toml"
    );
    Problem::error(found.code, &source, span, message).with_fix(fix)
}

fn find(bytes: &[u8]) -> Vec<Found> {
    static BEGINNINGS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let starts = PATTERNS.iter().map(|pattern| pattern.start).chain([PRIVATE_KEY_BEGINS]);
        let starts = starts.chain(MINISIGN_KEYS).chain(AWS_SECRETS);
        // Not the usual kind: of this one the beginnings are searched with wide registers, four times as fast.
        AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(starts).ok()
    });
    let mut found: Vec<Found> = Vec::new();
    let beginnings = BEGINNINGS.as_ref().into_iter().flat_map(|beginnings| beginnings.find_iter(bytes));
    for begins in beginnings {
        let inside = found.last().is_some_and(|last| begins.start() < last.span.end);
        let one = match PATTERNS.get(begins.pattern().as_usize()) {
            Some(pattern) => token(bytes, begins.start(), pattern),
            None if bytes[begins.range()] == *PRIVATE_KEY_BEGINS.as_bytes() => private_key(bytes, begins.start()),
            None if bytes[begins.range()].starts_with(b"RW") => minisign_key(bytes, begins.range()),
            None => aws_secret(bytes, begins.range()),
        };
        found.extend(one.filter(|_| !inside));
    }
    found
}

fn token(bytes: &[u8], at: usize, pattern: &Pattern) -> Option<Found> {
    if at > 0 && word(bytes[at - 1]) {
        return None;
    }
    let behind = &bytes[at + pattern.start.len()..];
    let between = match pattern.start {
        KUBERNETES => behind.iter().take_while(|byte| b" \t\"':".contains(byte)).count(),
        _ => 0,
    };
    if pattern.start == KUBERNETES && !behind[..between].contains(&b':') {
        return None;
    }
    let body = &behind[between..];
    let length = body.iter().take(pattern.most + 1).take_while(|byte| (pattern.follows)(**byte)).count();
    if length < pattern.least || length > pattern.most || is_example(&body[..length]) {
        return None;
    }
    let span = at..at + pattern.start.len() + between + length;
    match pattern.start {
        "whsec_" if is_camel_case(&body[..length]) => None,
        // The id alone opens nothing.
        "AKIA" | "ASIA" if !has_aws_secret(bytes, &span) => None,
        "AIza" => Some(Found { span, code: "LS416", what: pattern.what, shown: 4 }),
        _ => Some(Found { span, code: "LS413", what: pattern.what, shown: pattern.start.len().min(4) }),
    }
}

/// Documentation, tests and templates: a word that says so, or too few characters to be random.
fn is_example(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let said = ["example", "xxxx", "placeholder", "changeme", "dummy", "your", "12345678", "abcdefgh", "0000000"];
    let mut seen = [false; 256];
    body.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    said.iter().any(|word| text.contains(word)) || different < 8 || text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The name of a function: words, and hardly a digit.
fn is_camel_case(body: &[u8]) -> bool {
    let digits = body.iter().filter(|byte| byte.is_ascii_digit()).count();
    let longest = body.split(|byte| !byte.is_ascii_lowercase()).map(<[u8]>::len).max().unwrap_or_default();
    digits == 0 || digits < 3 && longest >= 5
}

/// Forty characters of base64 near the id, as in a credentials file.
fn has_aws_secret(bytes: &[u8], id: &Span) -> bool {
    let near = &bytes[id.start.saturating_sub(AWS_NEAR)..bytes.len().min(id.end + AWS_NEAR)];
    near.split(|byte| !base64(*byte)).any(is_aws_secret)
}

fn is_aws_secret(run: &[u8]) -> bool {
    let mixed = run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(u8::is_ascii_digit);
    run.len() == 40 && mixed && !is_example(run)
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+')
}

/// `AWS_SECRET_ACCESS_KEY=` and a value, unless its id is found beside it.
fn aws_secret(bytes: &[u8], name: Span) -> Option<Found> {
    let rest = &bytes[name.end..];
    let between = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'=' | b':')).count();
    if !rest[..between].iter().any(|byte| matches!(byte, b'=' | b':')) {
        return None;
    }
    let start = name.end + between;
    let length = bytes[start..].iter().take(41).take_while(|byte| base64(**byte)).count();
    let span = start..start + length;
    let near = name.start.saturating_sub(AWS_NEAR)..bytes.len().min(span.end + AWS_NEAR);
    let ids = PATTERNS.iter().filter(|pattern| matches!(pattern.start, "AKIA" | "ASIA"));
    let has_id = ids.into_iter().any(|pattern| {
        near.clone().any(|at| bytes[at..].starts_with(pattern.start.as_bytes()) && token(bytes, at, pattern).is_some())
    });
    (is_aws_secret(&bytes[span.clone()]) && !has_id).then_some(Found {
        span,
        code: "LS413",
        what: "an AWS secret access key",
        shown: 0,
    })
}

fn minisign_key(bytes: &[u8], begins: Span) -> Option<Found> {
    if begins.start > 0 && base64(bytes[begins.start - 1]) {
        return None;
    }
    let length = bytes[begins.start..].iter().take_while(|byte| base64(**byte)).count();
    let span = begins.start..begins.start + length;
    (length >= MINISIGN_LEAST).then_some(Found { span, code: "LS414", what: "a minisign secret key", shown: 0 })
}

/// What stands behind the headers of a key, such as `Proc-Type: 4,ENCRYPTED`: after an empty line.
fn behind_headers(body: &[u8]) -> &[u8] {
    let head = &body[..body.len().min(1024)];
    let first = head.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first.contains(&b':') || first.contains(&b'"') {
        return body;
    }
    let empty = head.windows(2).position(|two| two == b"\n\n").map(|at| at + 2);
    let empty = empty.or_else(|| head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4));
    empty.map_or(body, |at| &body[at..])
}

/// `-----BEGIN … PRIVATE KEY-----` with a key after it, also where line breaks are written as `\n`.
fn private_key(bytes: &[u8], at: usize) -> Option<Found> {
    let rest = bytes[at..].strip_prefix(PRIVATE_KEY_BEGINS.as_bytes())?;
    let head = String::from_utf8_lossy(&rest[..rest.len().min(60)]).into_owned();
    let (kind, ending) = PRIVATE_KEYS.iter().find_map(|ending| Some((head.find(ending)?, ending)))?;
    let end = kind + ending.len();
    if !head[..kind].bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ') {
        return None;
    }
    let body = behind_headers(&rest[end..]);
    let skipped = body.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b'\\').count();
    let body = body[skipped..]
        .strip_prefix(b"n")
        .filter(|_| skipped > 0 && body[skipped - 1] == b'\\')
        .unwrap_or(&body[skipped..]);
    let letters = body.iter().take(64).take_while(|byte| base64(**byte) || **byte == b'=').count();
    let span = at..at + PRIVATE_KEY_BEGINS.len() + end;
    let shown = span.len();
    (letters >= 40 && !is_example(&body[..letters])).then_some(Found {
        span,
        code: "LS414",
        what: "a private key",
        shown,
    })
}

#[cfg(test)]
mod tests;
