//! Texts that settings are written as, in a file or in the environment. Pure.

use std::path::PathBuf;

use clap::ValueEnum;
use longshore_core::signature::PublicKey;

/// `codedeploy.spec_signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Demand {
    Chain,
    Content,
    None,
}

/// `spec_signer_ca_file`: a file, or those of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authorities {
    File(PathBuf),
    System,
}

/// One of `signatures.public_keys`: the key, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Text(PublicKey),
    File(PathBuf),
}

/// What one of `signatures.public_keys` says, or what it must be.
pub(super) fn public_key(text: &str) -> Result<Key, String> {
    let key = text.parse().map(Key::Text).or_else(|_| absolute(text).map(Key::File));
    key.map_err(|_| "be a public key of minisign, which begins with `RW`, or the absolute path of its file".to_owned())
}

/// An absolute path, or what it must be.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err("be an absolute path".to_owned())
    }
}

/// What `spec_signer_ca_file` says, or what it must be.
pub(super) fn authorities(text: &str) -> Result<Authorities, String> {
    match text {
        "system" => Ok(Authorities::System),
        path => absolute(path).map(Authorities::File).map_err(|_| "be an absolute path, or `system`".to_owned()),
    }
}

/// One of a few words, or what it must be.
pub(super) fn word<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names = T::value_variants().iter().map(name);
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        format!("be one of {}", names.join(", "))
    })
}

/// How a value is written.
pub(super) fn name<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
