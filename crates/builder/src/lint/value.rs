//! Pure: whether the value of a variable is a secret, by its form and by its name.

/// What a value probably is.
pub(crate) fn secret(name: &str, value: &str) -> Option<&'static str> {
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
    (!is_placeholder(password_of(value)?)).then_some("an address with a password in it")
}

/// `postgres://shop:PASSWORD@db/shop`
fn password_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

/// How long it holds, where it stands, what it is called: not the thing itself.
const ABOUT: [&str; 41] = [
    "ALG",
    "ALGO",
    "ALGORITHM",
    "ARN",
    "BACKEND",
    "CHANGE",
    "COUNT",
    "ENABLED",
    "ENDPOINT",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "HASHER",
    "HEADER",
    "HOST",
    "ID",
    "IN",
    "INTERVAL",
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
    "PROVIDER",
    "REGION",
    "SECONDS",
    "SIZE",
    "SOURCE",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
];

/// A name that says what it holds, with a value that can be it.
fn by_name(name: &str, value: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let last = words.last().copied().unwrap_or_default();
    if ABOUT.contains(&last) || is_placeholder(value) {
        return None;
    }
    let has = |word: &str| words.contains(&word);
    let ends = |end: &str| name.ends_with(end);
    if has("PASSWORD")
        || has("PASSWD")
        || has("PASSPHRASE")
        || ends("PASSWORD")
        || ["PASS", "PW", "PWD"].contains(&last)
    {
        Some("a password")
    } else if has("SECRET") || ends("SECRETKEY") {
        Some("a secret")
    } else if last == "TOKEN" || (has("TOKEN") && has("ACCESS")) {
        Some("a token")
    } else if ["API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY", "ENCRYPTION_KEY", "SIGNING_KEY", "MASTER_KEY"]
        .iter()
        .any(|end| ends(end))
        || last == "KEY" && !words.iter().any(|word| PUBLIC.contains(word)) && is_random(value)
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
        || is_reference(value)
        || is_marker(value)
        || value.chars().all(|c| c == '*' || c == 'x' || c == 'X')
        || FILL_IN.iter().any(|word| lower.contains(word))
}

/// Which keys everybody may know.
const PUBLIC: [&str; 10] =
    ["ANON", "CACHE", "CONSUMER", "IDEMPOTENCY", "PARTITION", "PUB", "PUBLIC", "PUBLISHABLE", "SITE", "SORT"];

/// Letters and digits without words: both cases, or as many digits as hexadecimal numbers and the like have.
fn is_random(value: &str) -> bool {
    let value = value.trim();
    let body = value.strip_prefix("base64:").unwrap_or(value);
    let count = |is: fn(&char) -> bool| body.chars().filter(is).count();
    let digits = count(char::is_ascii_digit);
    let (upper, lower) = (count(char::is_ascii_uppercase), count(char::is_ascii_lowercase));
    let plain = digits + upper + lower == body.len();
    let mixed = upper > 2 && lower > 2 && digits > 0;
    body.chars().all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c))
        && ((body.len() >= 20 && mixed) || (body.len() >= 24 && plain && upper + lower > 2 && digits * 8 >= body.len()))
}

/// Where the secret is, or how it is got, or the secret encrypted by `sops` and its like.
fn is_reference(value: &str) -> bool {
    const BEGINNINGS: [&str; 13] = [
        "$(",
        "`",
        "ENC(",
        "ENC[",
        "arn:",
        "bw://",
        "gopass:",
        "op://",
        "ref+",
        "secretsmanager:",
        "sm://",
        "ssm:",
        "vault:",
    ];
    BEGINNINGS.iter().any(|beginning| value.starts_with(beginning))
}

/// What a template or a person puts in: `{{ name }}`, `%NAME%`, `__NAME__`, `@NAME@`, `#{name}#`, `TODO`.
fn is_marker(value: &str) -> bool {
    let between = |mark: &str| {
        let inner = value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
        inner.is_some_and(|inner| {
            !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        })
    };
    let first = value.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    value.contains("{{") && value.contains("}}")
        || value.starts_with("#{") && value.trim_end_matches('#').ends_with('}')
        || ["%", "__", "@", "@@"].iter().any(|mark| between(mark))
        || ["FIXME", "TBD", "TODO"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// What people write where something is to be filled in.
const FILL_IN: [&str; 9] =
    ["change-me", "change_me", "changeme", "example", "placeholder", "replace", "xxxx", "your-", "your_"];

/// What everybody tries first: no good password, and no secret either.
const WEAK: [&str; 16] = [
    "admin",
    "dev",
    "development",
    "guest",
    "local",
    "mysql",
    "pass",
    "passwd",
    "password",
    "postgres",
    "redis",
    "root",
    "secret",
    "test",
    "testing",
    "token",
];

/// Whether a value, or the password of an address, hides nothing: it is one that everybody tries.
pub(crate) fn is_weak(value: &str) -> bool {
    let value = password_of(value).unwrap_or(value);
    WEAK.contains(&value.trim().to_ascii_lowercase().as_str())
}
