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
    if name == ".env" || [".env.", ".env-", ".env_"].iter().any(|start| name.starts_with(start)) {
        return (!is_example(name)).then_some(Known::Environment);
    }
    if name.ends_with(".env") || name == ".envrc" {
        return if is_example(name) { None } else { variable(path, head) };
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

/// `.env.example`, `sample.env`: what is there to be copied and filled in, or encrypted.
fn is_example(name: &str) -> bool {
    let words = ["default", "defaults", "dist", "example", "sample", "schema", "template", "tpl", "vault"];
    name.split(['.', '-', '_']).any(|part| words.contains(&part))
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
