//! Pure: which files are secrets, by their names and, where others have the same name, by what is in them.

use longshore_core::bundle::BundlePath;
use longshore_core::problem::SourceFile;

use crate::compose::env_file;
use crate::compose::interpolate;
use crate::lint::value;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This.
    File(&'static str),
    /// `.env` and its like.
    Environment,
    /// Another file of variables, of which one is a secret.
    Variable {
        /// Its name.
        name: String,
        /// What it looks like.
        what: &'static str,
    },
}

/// Files that hold a key or only certificates: their text decides.
pub(crate) fn is_key_file(name: &str) -> bool {
    [".pem", ".key", ".crt"].iter().any(|end| name.ends_with(end))
}

/// Keys by the name that programs give them.
const KEYS: [&str; 4] = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"];
/// Stores of keys, by their ending.
const STORES: [&str; 6] = [".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"];
/// Files that are there for their password, by the end of their path.
const CREDENTIALS: [&str; 18] = [
    ".aws/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/gh/hosts.yml",
    ".gem/credentials",
    ".git-credentials",
    ".htpasswd",
    ".mylogin.cnf",
    ".netrc",
    ".pgpass",
    ".vault-token",
    ".vault_pass",
    "_netrc",
    "application_default_credentials.json",
    "config/master.key",
    "credentials.json",
    "credentials.tfrc.json",
    "gcloud/credentials.db",
];
/// Files that most often hold settings alone: by the end of their path, and the keys whose value is a secret.
const WITH_KEYS: [(&str, &[&str]); 12] = [
    (".npmrc", &["_auth", "_authToken", "_password"]),
    (".yarnrc.yml", &["npmAuthToken", "npmAuthIdent"]),
    (".pypirc", &["password"]),
    (".my.cnf", &["password"]),
    (".s3cfg", &["secret_key"]),
    (".boto", &["aws_secret_access_key", "gs_secret_access_key", "gs_oauth2_refresh_token"]),
    ("rclone.conf", &["pass", "secret_access_key", "token"]),
    (".kube/config", &["client-key-data", "password", "token"]),
    ("kubeconfig", &["client-key-data", "password", "token"]),
    (".kubeconfig", &["client-key-data", "password", "token"]),
    ("kubeconfig.yaml", &["client-key-data", "password", "token"]),
    ("kubeconfig.yml", &["client-key-data", "password", "token"]),
];
/// Files of Docker that say who one is for registries.
const DOCKER: [&str; 4] = ["config.json", ".dockercfg", ".dockerconfigjson", "docker-config.json"];

/// What a file is, if it is a secret.
pub(super) fn what(path: &BundlePath, head: &[u8]) -> Option<Known> {
    let name = path.file_name();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let is = |end: &str| path.as_str() == end || path.as_str().ends_with(&format!("/{end}"));
    // `prod.kubeconfig`
    let is_or_ends = |end: &str| is(end) || end == ".kubeconfig" && name.ends_with(end);
    match environment(&name.to_ascii_lowercase()) {
        Environment::None => {}
        Environment::ByName => return Some(Known::Environment),
        Environment::ByContent => return variable(path, head),
    }
    if KEYS.contains(&name) || is_key_file(name) && contains(head, b"PRIVATE KEY-----") {
        Some(Known::File("a private key"))
    } else if ends(&STORES) {
        Some(Known::File("a store of keys"))
    } else if CREDENTIALS.iter().any(|end| is(end))
        || WITH_KEYS.iter().any(|(end, keys)| is_or_ends(end) && holds_value(head, keys))
        || DOCKER.contains(&name) && holds_login(name, head)
    {
        Some(Known::File("a file with credentials"))
    } else if ends(&[".tfstate", ".tfstate.backup"]) {
        Some(Known::File("a Terraform state, which holds secrets in clear text"))
    } else {
        None
    }
}

/// What decides whether a file of variables is a secret.
enum Environment {
    /// It is no file of variables, or an example.
    None,
    /// It is one in any case.
    ByName,
    /// A variable in it.
    ByContent,
}

/// Words of files that are there to be copied and filled in.
const EXAMPLES: [&str; 4] = ["dist", "example", "sample", "template"];
/// Files behind `.env.` that say what there is, or are encrypted, as `dotenv-vault` does. As words of a name they say nothing.
const DESCRIPTIONS: [&str; 5] = ["default", "defaults", "schema", "tpl", "vault"];
/// Files behind `.env.` that should be encrypted.
const ENCRYPTED: [&str; 6] = ["age", "asc", "enc", "encrypted", "gpg", "sops"];
/// Programs behind `.env.`.
const CODE: [&str; 9] = ["cjs", "go", "js", "mjs", "php", "py", "rb", "sh", "ts"];
/// What stands behind `env.`: other words make anything of it.
const STAGES: [&str; 13] = [
    "ci",
    "dev",
    "development",
    "live",
    "local",
    "preview",
    "prod",
    "production",
    "qa",
    "stage",
    "staging",
    "stg",
    "test",
];

/// Of a name in small letters.
fn environment(name: &str) -> Environment {
    let (before, after) = match name.rsplit_once(".env") {
        Some((before, after)) if after.is_empty() || after.starts_with(['.', '-', '_']) => (before, after),
        Some(_) | None => match name.strip_prefix("env.") {
            Some(stage) if STAGES.contains(&stage) => return Environment::ByContent,
            Some(_) | None if name == ".envrc" => return Environment::ByContent,
            Some(_) | None => return Environment::None,
        },
    };
    let last = after.rsplit(['.', '-', '_']).next().unwrap_or_default();
    let is_example = name.split(['.', '-', '_']).any(|part| EXAMPLES.contains(&part));
    if is_example || DESCRIPTIONS.contains(&last) || CODE.contains(&last) {
        Environment::None
    } else if before.is_empty() && !ENCRYPTED.contains(&last) {
        Environment::ByName
    } else {
        Environment::ByContent
    }
}

/// The first variable that is a secret and no value that everybody tries.
fn variable(path: &BundlePath, text: &[u8]) -> Option<Known> {
    let source = SourceFile::new(path.as_str(), String::from_utf8_lossy(text));
    let (entries, _) = env_file::read(&source, &|_| interpolate::Known::Unset);
    let mut entries: Vec<_> = entries.into_iter().filter(|(_, entry)| !entry.varies).collect();
    entries.sort_by_key(|(_, entry)| entry.span.start);
    entries.into_iter().filter(|(_, entry)| !value::is_weak(&entry.value)).find_map(|(name, entry)| {
        let what = value::secret(&name, &entry.value)?;
        Some(Known::Variable { name, what })
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// `"auth": "…"` in a list of registries. Without it, a helper or nobody knows the password.
fn holds_login(name: &str, head: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(head).chars().filter(|c| !c.is_whitespace()).collect();
    let holds = |key: &str| {
        let mut values = text.split(key).skip(1);
        values.any(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    (name == ".dockercfg" || text.contains("\"auths\":{")) && (holds("\"auth\":\"") || holds("\"identitytoken\":\""))
}

/// Whether a line sets one of these keys to something that is no variable.
fn holds_value(head: &[u8], keys: &[&str]) -> bool {
    let is_key = |text: &str| {
        let before = keys.iter().find_map(|key| text.strip_suffix(key));
        before.is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let is_value = |text: &str| !text.is_empty() && !text.starts_with(['$', '<']);
    let sets = |(key, value): (&str, &str)| is_key(key.trim()) && is_value(value.trim().trim_matches(['"', '\'']));
    let text = String::from_utf8_lossy(head);
    text.lines().any(|line| [line.split_once('='), line.split_once(": ")].into_iter().flatten().any(sets))
}
