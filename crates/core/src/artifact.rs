//! The keys of artifacts in a store, and of what stands beside them. Values only.

use std::fmt;

use crate::ids::{ApplicationName, CommitHash};

/// The key of an artifact, or of what is known of it: `<application>/<commit>.zip`, `<application>/<commit>-dirty-<digest>.zip`, and
/// the same with `.minisig` or `.intoto.json` behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactKey {
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// The beginning of its content digest, when it was built from a work tree that differs from the commit.
    pub dirty: Option<String>,
    /// What stands there.
    pub part: Part,
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The artifact itself.
    Archive,
    /// Its signature.
    Signature,
    /// Its provenance.
    Provenance,
}

impl Part {
    /// What its key ends with.
    pub fn ending(self) -> &'static str {
        match self {
            Part::Archive => ".zip",
            Part::Signature => ".zip.minisig",
            Part::Provenance => ".zip.intoto.json",
        }
    }
}

impl ArtifactKey {
    /// Reads a key, relative to the prefix of its store; `None` when it is no key that an artifact has.
    pub fn parse(key: &str) -> Option<ArtifactKey> {
        let (application, name) = key.split_once('/')?;
        let (name, part) = [Part::Archive, Part::Signature, Part::Provenance]
            .into_iter()
            .find_map(|part| Some((name.strip_suffix(part.ending())?, part)))?;
        let (commit, dirty) = match name.split_once("-dirty-") {
            Some((commit, digest)) => (commit, Some(digest)),
            None => (name, None),
        };
        let is_digest = |text: &str| {
            text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        if !dirty.is_none_or(is_digest) {
            return None;
        }
        let (application, commit) = (application.parse().ok()?, commit.parse().ok()?);
        Some(ArtifactKey { application, commit, dirty: dirty.map(str::to_owned), part })
    }

    /// The key of the artifact that this belongs to.
    pub fn archive(&self) -> ArtifactKey {
        ArtifactKey { part: Part::Archive, ..self.clone() }
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArtifactKey { application, commit, dirty, part } = self;
        write!(f, "{application}/{commit}")?;
        if let Some(digest) = dirty {
            write!(f, "-dirty-{digest}")?;
        }
        f.write_str(part.ending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_an_artifact_or_of_something_else() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (key, part) in [
            (format!("shop/{commit}.zip"), Part::Archive),
            (format!("groups/{commit}.zip"), Part::Archive),
            (format!("shop/{commit}-dirty-0123456789ab.zip"), Part::Archive),
            (format!("shop/{commit}-dirty-0123456789ab.zip.minisig"), Part::Signature),
            (format!("shop/{commit}.zip.intoto.json"), Part::Provenance),
        ] {
            let found = ArtifactKey::parse(&key).unwrap();
            assert_eq!((found.to_string(), found.part), (key.clone(), part));
            assert!(key.starts_with(found.archive().to_string().strip_suffix(".zip").unwrap()));
        }
        for other in [
            "groups/shop/dev.json",
            "history/shop/dev/0000000001.json",
            "status/shop/dev/web-1.json",
            "shop/index.html",
            "shop/01234567.zip",
            &format!("shop/{commit}.zip.bak"),
            &format!("shop/{commit}.tar"),
            &format!("shop/{commit}-dirty-xyz.zip"),
            &format!("shop/old/{commit}.zip"),
            &format!("{commit}.zip"),
            &format!("../{commit}.zip"),
        ] {
            assert_eq!(ArtifactKey::parse(other), None, "{other}");
        }
    }
}
