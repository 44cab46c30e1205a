//! What a deployment of CodeDeploy deploys, as a value. Pure.

use std::fmt;

use longshore_core::ids::CommitHash;
use longshore_core::store::{ObjectUrl, StoreUrl};

/// What a deployment deploys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revision {
    /// An object in S3.
    S3(S3Revision),
    /// A commit on GitHub.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// The commit.
        commit: String,
    },
    /// A kind that hosts do not deploy, by its name.
    Other(String),
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Revision {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key.
    pub(crate) key: String,
    /// How it is packed.
    pub(crate) format: Format,
    /// Its ETag without quotes. CodeDeploy compares nothing when it is not given.
    pub(crate) etag: Option<String>,
    /// Its version, where the bucket keeps versions.
    pub(crate) version: Option<String>,
}

/// How a bundle is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `zip`
    Zip,
    /// `tar`
    Tar,
    /// `tgz`
    Tgz,
}

impl Format {
    /// What the ending of a key says.
    pub(crate) fn of_key(key: &str) -> Option<Format> {
        let ends = |endings: &[&str]| endings.iter().any(|ending| key.to_ascii_lowercase().ends_with(ending));
        if ends(&[".zip"]) {
            Some(Format::Zip)
        } else if ends(&[".tgz", ".tar.gz"]) {
            Some(Format::Tgz)
        } else if ends(&[".tar"]) {
            Some(Format::Tar)
        } else {
            None
        }
    }

    /// CodeDeploy's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::Tar => "tar",
            Format::Tgz => "tgz",
        }
    }
}

impl S3Revision {
    /// The commit that a key of ours names: `…/<commit>.zip`, `…/<commit>-dirty-<digest>.zip`.
    pub(crate) fn commit(&self) -> Option<CommitHash> {
        let stem = self.key.rsplit('/').next()?.split('.').next()?;
        stem.split('-').next()?.parse().ok()
    }

    /// Whether it was built from a work tree that differed from its commit.
    pub(crate) fn is_dirty(&self) -> bool {
        self.key.rsplit('/').next().is_some_and(|name| name.contains("-dirty-"))
    }

    /// Where it is, pinned.
    pub(crate) fn object(&self) -> ObjectUrl {
        let store = StoreUrl::S3 { bucket: self.bucket.clone(), prefix: String::new() };
        ObjectUrl { store, key: self.key.clone(), version: self.version.clone(), etag: self.etag.clone() }
    }

    /// Its URL, pinned.
    pub(crate) fn url(&self) -> String {
        let pins = [("versionId", &self.version), ("etag", &self.etag)];
        let pins: Vec<String> =
            pins.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect();
        let query = if pins.is_empty() { String::new() } else { format!("?{}", pins.join("&")) };
        format!("{}{query}", self.plain_url())
    }

    /// Its URL without ETag and version.
    pub(crate) fn plain_url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl Revision {
    /// The commit, where it can be told.
    pub(crate) fn commit(&self) -> Option<CommitHash> {
        match self {
            Revision::S3(object) => object.commit(),
            Revision::GitHub { commit, .. } => commit.parse().ok(),
            Revision::Other(_) => None,
        }
    }

    /// Whether both mean the same bytes. What one of them does not say is no difference.
    pub(crate) fn is_same(&self, other: &Revision) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        match (self, other) {
            (Revision::S3(one), Revision::S3(other)) => {
                (&one.bucket, &one.key) == (&other.bucket, &other.key)
                    && agree(&one.etag, &other.etag)
                    && agree(&one.version, &other.version)
            }
            (Revision::GitHub { .. } | Revision::Other(_), Revision::GitHub { .. } | Revision::Other(_)) => {
                self == other
            }
            (Revision::S3(_), Revision::GitHub { .. } | Revision::Other(_))
            | (Revision::GitHub { .. } | Revision::Other(_), Revision::S3(_)) => false,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::S3(object) => f.write_str(&object.plain_url()),
            Revision::GitHub { repository, commit } => write!(f, "{repository} at {commit} on GitHub"),
            Revision::Other(kind) => write!(f, "a revision of the kind {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: Option<&str>, version: Option<&str>) -> S3Revision {
        let text = |text: &str| text.to_owned();
        S3Revision {
            bucket: text("b"),
            key: text(key),
            format: Format::Zip,
            etag: etag.map(text),
            version: version.map(text),
        }
    }

    #[test]
    fn a_key_of_ours_names_its_commit_and_whether_it_is_clean() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (key, found, dirty) in [
            (format!("releases/shop/{commit}.zip"), true, false),
            (format!("shop/{commit}-dirty-0123456789ab.zip"), true, true),
            (format!("{commit}.tar.gz"), true, false),
            ("shop/1.2.3.zip".to_owned(), false, false),
            (format!("{commit}/bundle.zip"), false, false),
        ] {
            let object = object(&key, None, None);
            assert_eq!((object.commit().is_some(), object.is_dirty()), (found, dirty), "{key}");
        }
    }

    #[test]
    fn the_ending_of_a_key_says_how_it_is_packed() {
        for (key, format) in [
            ("a.zip", Some("zip")),
            ("a.ZIP", Some("zip")),
            ("a.tar", Some("tar")),
            ("a.tgz", Some("tgz")),
            ("a.tar.gz", Some("tgz")),
            ("a.gz", None),
            ("zip", None),
        ] {
            assert_eq!(Format::of_key(key).map(Format::word), format, "{key}");
        }
    }

    #[test]
    fn two_revisions_are_the_same_unless_they_say_something_different() {
        let one = Revision::S3(object("k", Some("e"), Some("v")));
        for (other, same) in [
            (object("k", Some("e"), Some("v")), true),
            (object("k", None, None), true),
            (object("k", Some("e"), None), true),
            (object("k", Some("f"), None), false),
            (object("k", Some("e"), Some("w")), false),
            (object("l", Some("e"), Some("v")), false),
        ] {
            assert_eq!(one.is_same(&Revision::S3(other.clone())), same, "{other:?}");
        }
        let github = Revision::GitHub { repository: "o/r".into(), commit: "c".into() };
        assert!(!one.is_same(&github) && github.is_same(&github.clone()));
    }
}
