//! The only path a bundle can yield.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A path inside a bundle: relative, `/` between the parts, at least one part, no `.`, `..`, empty part or NUL, at most
/// 4,096 bytes in all and 255 in a part. Joined to a folder it stays below that folder, links aside. Copies share the text:
/// a build holds each path in a listing, a plan, a list of sources and a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BundlePath(Arc<str>);

/// A text that is no path inside a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} {why}")]
pub struct InvalidPath {
    /// The text.
    pub path: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl BundlePath {
    /// Reads a path as a person writes it in an appspec: leading slashes, `./` and doubled slashes mean nothing.
    pub fn normalized(text: &str) -> Result<BundlePath, InvalidPath> {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        parts.join("/").parse().map_err(|invalid: InvalidPath| InvalidPath { path: text.to_owned(), ..invalid })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder it stands in; `None` at the top.
    pub fn parent(&self) -> Option<BundlePath> {
        self.0.rsplit_once('/').map(|(parent, _)| BundlePath(parent.into()))
    }

    /// The parts from the top down.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The rest of the path below `folder`; `None` when it does not stand below it.
    pub fn below(&self, folder: &BundlePath) -> Option<&str> {
        self.0.strip_prefix(&*folder.0)?.strip_prefix('/')
    }

    /// The path below `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        root.join(&*self.0)
    }
}

impl FromStr for BundlePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let why = if text.is_empty() {
            "is empty"
        } else if text.contains('\0') {
            "has a NUL character"
        } else if text.starts_with('/') {
            "is absolute"
        } else if text.split('/').any(|part| part == "..") {
            "leaves the bundle with `..`"
        } else if text.split('/').any(|part| part.is_empty() || part == ".") {
            "has an empty part or `.`"
        } else if text.len() > 4096 || text.split('/').any(|part| part.len() > 255) {
            "is longer than a file system takes"
        } else {
            return Ok(BundlePath(text.into()));
        };
        Err(InvalidPath { path: text.to_owned(), why })
    }
}

impl TryFrom<String> for BundlePath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BundlePath> for String {
    fn from(path: BundlePath) -> String {
        path.0.as_ref().to_owned()
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_its_folder_is_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a/..", "a//b", "./a", "a/", "a\0b", &"x".repeat(256)] {
            assert!(bad.parse::<BundlePath>().is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.c", "..a", "a/...", "a b/ü", ".git", "a\\b"] {
            assert_eq!(good.parse::<BundlePath>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_a_person_writes_is_normalised_but_never_let_out() {
        for (text, path) in [("/scripts/x.sh", "scripts/x.sh"), ("./a//b/", "a/b"), ("a/./b", "a/b")] {
            assert_eq!(BundlePath::normalized(text).unwrap().as_str(), path);
        }
        for bad in ["", "/", ".", "../x", "/a/../../b"] {
            assert!(BundlePath::normalized(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn below_needs_a_whole_part() {
        let folder: BundlePath = "a/b".parse().unwrap();
        assert_eq!("a/b/c/d".parse::<BundlePath>().unwrap().below(&folder), Some("c/d"));
        assert_eq!("a/bc".parse::<BundlePath>().unwrap().below(&folder), None);
        assert_eq!(folder.below(&folder), None);
    }
}
