//! `--bundle-location` → where a bundle comes from. Pure: whether it is there is for others to see.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use longshore_core::store::{InvalidUrl, ObjectUrl};

use crate::github::{Archive, GitHub, InvalidSource};

/// Where a bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A path on this host, as written.
    Path(PathBuf),
    /// An object in S3, as its URL.
    Object(String),
    /// A commit on GitHub.
    GitHub(GitHub),
}

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A gzipped tar file.
    Tgz,
    /// A tar file.
    Tar,
    /// A zip file.
    Zip,
    /// A folder.
    Directory,
}

/// A `--type` that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type `{0}` is none of tgz, tar, zip and directory")]
pub struct UnknownKind(pub String);

/// Why a location makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// An address without encryption.
    #[error("location `{0}` is http; only https addresses are fetched, because nobody can change what they carry")]
    Http(String),
    /// An address of nobody we know.
    #[error(
        "location `{0}` is neither an address on github.com nor one on api.github.com; S3 is written `s3://bucket/key`"
    )]
    Https(String),
    /// A `file:` URL with a host or a relative path.
    #[error("location `{0}` is no absolute path; write `file:///folder/file`, or the path alone")]
    File(String),
    /// An S3 URL that is none.
    #[error("location {0}")]
    Object(InvalidUrl),
    /// An address on GitHub that names no commit of a repository.
    #[error("location {0}")]
    GitHub(InvalidSource),
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Kind, UnknownKind> {
        match text {
            "tgz" => Ok(Kind::Tgz),
            "tar" => Ok(Kind::Tar),
            "zip" => Ok(Kind::Zip),
            "directory" => Ok(Kind::Directory),
            _ => Err(UnknownKind(text.to_owned())),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tgz => "tgz",
            Kind::Tar => "tar",
            Kind::Zip => "zip",
            Kind::Directory => "directory",
        })
    }
}

/// Reads a location.
pub fn parse(text: &str, kind: Kind) -> Result<Location, LocationError> {
    if text.starts_with("http://") {
        return Err(LocationError::Http(text.to_owned()));
    }
    if text.starts_with("s3://") {
        text.parse::<ObjectUrl>().map_err(LocationError::Object)?;
        return Ok(Location::Object(text.to_owned()));
    }
    if let Some(path) = text.strip_prefix("file://") {
        let absolute = path.starts_with('/');
        return if absolute { Ok(Location::Path(path.into())) } else { Err(LocationError::File(text.to_owned())) };
    }
    if let Some(address) = text.strip_prefix("https://") {
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        // As the AWS agent 1.8.1: a zip, unless a tar was asked for.
        let archive = match kind {
            Kind::Tar => Archive::Tarball,
            Kind::Tgz | Kind::Zip | Kind::Directory => Archive::Zipball,
        };
        let source = match host {
            "github.com" | "www.github.com" => GitHub::of_web_address(path, archive),
            "api.github.com" => GitHub::of_api_address(path, archive),
            _ => return Err(LocationError::Https(text.to_owned())),
        };
        return source.map(Location::GitHub).map_err(LocationError::GitHub);
    }
    Ok(Location::Path(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(account: &str, repository: &str, commit: &str, archive: Archive) -> Location {
        let text = |text: &str| text.to_owned();
        Location::GitHub(GitHub { account: text(account), repository: text(repository), commit: text(commit), archive })
    }

    #[test]
    fn a_location_is_a_path_an_object_or_a_commit() {
        for (text, kind, expected) in [
            ("bundle.zip", Kind::Zip, Location::Path("bundle.zip".into())),
            ("/srv/my bundle", Kind::Directory, Location::Path("/srv/my bundle".into())),
            ("file:///srv/my bundle", Kind::Directory, Location::Path("/srv/my bundle".into())),
            ("C:/bundle", Kind::Directory, Location::Path("C:/bundle".into())),
            ("s3://bucket/key.zip?etag=e", Kind::Zip, Location::Object("s3://bucket/key.zip?etag=e".into())),
            ("https://github.com/o/r", Kind::Zip, github("o", "r", "HEAD", Archive::Zipball)),
            ("https://github.com/o/r.git/", Kind::Tar, github("o", "r", "HEAD", Archive::Tarball)),
            ("https://api.github.com/repos/o/r/zipball/v1", Kind::Tar, github("o", "r", "v1", Archive::Tarball)),
            (
                "https://api.github.com/repos/o/r/tarball/fix/it",
                Kind::Tgz,
                github("o", "r", "fix/it", Archive::Zipball),
            ),
        ] {
            assert_eq!(parse(text, kind), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_location_that_is_none_says_what_to_write() {
        for (text, message) in [
            (
                "http://github.com/o/r",
                "location `http://github.com/o/r` is http; only https addresses are fetched, because nobody can change what they carry",
            ),
            (
                "https://example.com/x.zip",
                "location `https://example.com/x.zip` is neither an address on github.com nor one on api.github.com; S3 is written `s3://bucket/key`",
            ),
            (
                "https://github.com.example.com/o/r",
                "location `https://github.com.example.com/o/r` is neither an address on github.com nor one on api.github.com; S3 is written `s3://bucket/key`",
            ),
            (
                "file://host/x",
                "location `file://host/x` is no absolute path; write `file:///folder/file`, or the path alone",
            ),
            ("s3://bucket", "location `s3://bucket` names a bucket but no object; write `s3://bucket/key`"),
            (
                "https://github.com/o",
                "location `https://github.com/o` names no repository; write `https://github.com/OWNER/REPOSITORY`",
            ),
            (
                "https://github.com/o/r/tree/main",
                "location `https://github.com/o/r/tree/main` names more than a repository; a commit, tag or branch is written `https://api.github.com/repos/OWNER/REPOSITORY/zipball/COMMIT`",
            ),
            (
                "https://api.github.com/repos/o/r",
                "location `https://api.github.com/repos/o/r` names no commit; write `https://api.github.com/repos/OWNER/REPOSITORY/zipball/COMMIT`",
            ),
            (
                "https://api.github.com/repos/o/../zipball/x",
                "location `https://api.github.com/repos/o/../zipball/x` has `..` where a name should be",
            ),
        ] {
            assert_eq!(parse(text, Kind::Zip).unwrap_err().to_string(), message);
        }
    }
}
