//! Pure: files that look like secrets (LS401), by their names and by what is in them, and how they are allowed (LS415).

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, nearest};

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
    let what = by_name(path, head)?;
    let source = SourceFile::new(path.as_str(), "");
    let message = format!("`{path}` looks like {what}, and everyone who can read the artifact could read it");
    let fix = format!(
        "keep it out with `.longshoreignore` and fetch it on the host, for example from a parameter store; if it must ship, \
         `--allow-secret {path}` or `build.allow_secrets` in longshore.toml"
    );
    Some(Problem::error("LS401", &source, None, message).with_fix(fix))
}

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

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Files that hold a key or only certificates: their text decides.
pub(crate) fn is_key_file(name: &str) -> bool {
    [".pem", ".key", ".crt"].iter().any(|end| name.ends_with(end))
}

fn by_name(path: &BundlePath, head: &[u8]) -> Option<&'static str> {
    let name = path.file_name();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let example = ends(&[".example", ".sample", ".template", ".dist", ".defaults", ".tpl"]);
    if (name == ".env" || name.starts_with(".env.")) && !example {
        Some("an environment file with secrets")
    } else if matches!(name, "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519")
        || is_key_file(name) && contains(head, b"PRIVATE KEY-----")
    {
        Some("a private key")
    } else if ends(&[".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"]) {
        Some("a store of keys")
    } else if matches!(name, ".netrc" | ".pgpass" | ".git-credentials" | ".vault-token" | ".htpasswd")
        || path.as_str().ends_with(".aws/credentials")
        || name == "credentials.json"
        // Most of these name a registry or a proxy and no password.
        || name == ".npmrc" && holds_value(head, &[b"_auth", b"_authToken", b"_password"])
        || name == ".pypirc" && holds_value(head, &[b"password"])
        || path.as_str().ends_with(".docker/config.json") && contains(head, b"\"auth\"")
    {
        Some("a file with credentials")
    } else if ends(&[".tfstate", ".tfstate.backup"]) {
        Some("a Terraform state, which holds secrets in clear text")
    } else {
        None
    }
}

/// Whether a line sets one of these keys to something that is no variable.
fn holds_value(head: &[u8], keys: &[&[u8]]) -> bool {
    let text = String::from_utf8_lossy(head);
    text.lines().filter_map(|line| line.split_once(['=', ':']).map(|_| line)).any(|line| {
        let Some((key, value)) = line.rsplit_once('=').or_else(|| line.rsplit_once(": ")) else { return false };
        let value = value.trim().trim_matches('"');
        keys.iter().any(|wanted| key.trim().as_bytes().ends_with(wanted))
            && !value.is_empty()
            && !value.starts_with('$')
    })
}
