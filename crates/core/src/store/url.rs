//! The written form of stores and objects. Pure.
//!
//! Nothing is percent-decoded: `s3://b/a%20b` means the key `a%20b`, as with the AWS CLI. So a key with a `?` has no URL;
//! an [`ObjectUrl`] built from its fields may hold one all the same.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::StoreError;

/// The place of a store: `s3://bucket/prefix` or `file:///folder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A bucket and a prefix without slashes at its ends (may be empty).
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// A folder, absolute.
    Dir(PathBuf),
}

/// The place of one object: `s3://bucket/key[?versionId=…&etag=…]` or `file:///path[?etag=…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUrl {
    /// The bucket or the folder, without prefix.
    pub store: StoreUrl,
    /// The key within it.
    pub key: String,
    /// The version that is meant.
    pub version: Option<String>,
    /// The ETag that it must have, without quotes.
    pub etag: Option<String>,
}

/// A text that is no store or object URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` {why}")]
pub struct InvalidUrl {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub why: String,
}

impl StoreUrl {
    /// The URL of the object with a key in this store: the prefix joins the key, and of a folder store the folder that
    /// directly holds the object is taken. Does not check the key; the store does.
    pub fn object(&self, key: &str) -> ObjectUrl {
        let (store, key) = match self {
            StoreUrl::S3 { bucket, prefix } => {
                (StoreUrl::S3 { bucket: bucket.clone(), prefix: String::new() }, join_key(prefix, key))
            }
            StoreUrl::Dir(dir) => match key.rsplit_once('/') {
                Some((folders, name)) => (StoreUrl::Dir(dir.join(folders)), name.to_owned()),
                None => (self.clone(), key.to_owned()),
            },
        };
        ObjectUrl { store, key, version: None, etag: None }
    }
}

/// `prefix/key`, or the key alone when there is no prefix.
pub(super) fn join_key(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") }
}

/// The longest key that S3 takes, in bytes of UTF-8.
const KEY_LIMIT: usize = 1024;

/// Checks a whole key (prefix included) for either kind of store.
pub(super) fn check_key(key: &str) -> Result<(), StoreError> {
    let why = if key.is_empty() {
        "it is empty"
    } else if key.len() > KEY_LIMIT {
        "it is longer than 1024 bytes"
    } else if key.starts_with('/') {
        "it starts with a slash"
    } else if key.contains('\0') {
        "it contains a NUL"
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidKey { key: key.to_owned(), why: why.to_owned() })
}

impl FromStr for StoreUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why: String| InvalidUrl { url: text.to_owned(), why };
        if text.contains('?') {
            return Err(invalid("has a `?`: the URL of a store takes no parameters".to_owned()));
        }
        match split_scheme(text).map_err(invalid)? {
            Scheme::S3(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                check_bucket(bucket).map_err(invalid)?;
                Ok(StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            Scheme::File(path) => {
                check_path(path).map_err(invalid)?;
                let path = path.trim_end_matches('/');
                Ok(StoreUrl::Dir(PathBuf::from(if path.is_empty() { "/" } else { path })))
            }
        }
    }
}

impl FromStr for ObjectUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why: String| InvalidUrl { url: text.to_owned(), why };
        let (place, query) = match text.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (text, None),
        };
        let mut url = match split_scheme(place).map_err(invalid)? {
            Scheme::S3(rest) => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                check_bucket(bucket).map_err(invalid)?;
                if key.is_empty() {
                    return Err(invalid("names a bucket but no object; write `s3://bucket/key`".to_owned()));
                }
                check_key(key).map_err(|_| invalid("has a key that S3 does not take".to_owned()))?;
                let store = StoreUrl::S3 { bucket: bucket.to_owned(), prefix: String::new() };
                ObjectUrl { store, key: key.to_owned(), version: None, etag: None }
            }
            Scheme::File(path) => {
                check_path(path).map_err(invalid)?;
                let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
                if name.is_empty() {
                    return Err(invalid("names a folder, not a file".to_owned()));
                }
                let dir = PathBuf::from(if dir.is_empty() { "/" } else { dir });
                ObjectUrl { store: StoreUrl::Dir(dir), key: name.to_owned(), version: None, etag: None }
            }
        };
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.trim_matches('"');
            let place = match name {
                "versionId" => &mut url.version,
                "etag" => &mut url.etag,
                _ => {
                    return Err(invalid(format!(
                        "has an unknown parameter `{name}`; only `versionId` and `etag` have a meaning"
                    )));
                }
            };
            if value.is_empty() {
                return Err(invalid(format!("has no value for `{name}`")));
            }
            if place.replace(value.to_owned()).is_some() {
                return Err(invalid(format!("names `{name}` twice")));
            }
        }
        if url.version.is_some() && matches!(url.store, StoreUrl::Dir(_)) {
            return Err(invalid("has a `versionId`, but a folder keeps no versions".to_owned()));
        }
        Ok(url)
    }
}

enum Scheme<'a> {
    /// What follows `s3://`.
    S3(&'a str),
    /// The path that follows `file://`.
    File(&'a str),
}

fn split_scheme(text: &str) -> Result<Scheme<'_>, String> {
    if let Some(rest) = text.strip_prefix("s3://") {
        return Ok(Scheme::S3(rest));
    }
    if let Some(rest) = text.strip_prefix("file://") {
        return Ok(Scheme::File(rest));
    }
    let why = match text.split_once("://") {
        Some(("http" | "https", _)) => {
            "is a web address; write `s3://bucket/…`, and the address of an S3 server goes into `AWS_ENDPOINT_URL_S3`"
        }
        Some(_) => "has a scheme that is neither `s3` nor `file`",
        None if text.starts_with('/') => return Err(format!("is a path; write `file://{text}`")),
        None => "is no URL; write `s3://bucket/…` or `file:///folder/…`",
    };
    Err(why.to_owned())
}

/// What S3 has ever allowed in the name of a bucket, aliases of access points included.
fn check_bucket(bucket: &str) -> Result<(), String> {
    if bucket.is_empty() {
        return Err("names no bucket; write `s3://bucket/…`".to_owned());
    }
    if bucket.starts_with("arn:") {
        return Err("names an access point by its ARN; write its alias instead".to_owned());
    }
    let fits = (3..=255).contains(&bucket.len())
        && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if fits {
        return Ok(());
    }
    Err(format!("has `{bucket}` where a bucket should be; its name has at least 3 letters, digits, `.`, `-` or `_`"))
}

fn check_path(path: &str) -> Result<(), String> {
    if !path.is_empty() && !path.starts_with('/') {
        return Err("is not absolute; `file:` is followed by three slashes: `file:///folder`".to_owned());
    }
    if path.is_empty() {
        return Err("names no folder; write `file:///folder`".to_owned());
    }
    if path.split('/').any(|part| part == "..") {
        return Err("contains `..`; write the folder that is meant".to_owned());
    }
    if path.contains('\0') {
        return Err("contains a NUL".to_owned());
    }
    Ok(())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            StoreUrl::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            StoreUrl::Dir(dir) => write!(f, "file://{}", dir.display()),
        }
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            StoreUrl::Dir(dir) => write!(f, "file://{}", dir.join(&self.key).display())?,
            StoreUrl::S3 { .. } => write!(f, "{}/{}", self.store, self.key)?,
        }
        let mut sign = '?';
        for (name, value) in [("versionId", &self.version), ("etag", &self.etag)] {
            if let Some(value) = value {
                write!(f, "{sign}{name}={value}")?;
                sign = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> StoreUrl {
        StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn a_store_url_says_bucket_and_prefix_or_a_folder() {
        for (text, expected, shown) in [
            ("s3://my-bucket", s3("my-bucket", ""), "s3://my-bucket"),
            ("s3://my-bucket/", s3("my-bucket", ""), "s3://my-bucket"),
            ("s3://my-bucket/a/b/", s3("my-bucket", "a/b"), "s3://my-bucket/a/b"),
            ("file:///srv/store", StoreUrl::Dir("/srv/store".into()), "file:///srv/store"),
            ("file:///srv/my store/", StoreUrl::Dir("/srv/my store".into()), "file:///srv/my store"),
            ("file:///", StoreUrl::Dir("/".into()), "file:///"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url, expected, "{text}");
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(expected), "{shown}");
        }
    }

    #[test]
    fn an_object_url_says_key_version_and_etag() {
        for (text, store, key, version, etag) in [
            ("s3://bucket/a", s3("bucket", ""), "a", None, None),
            ("s3://bucket/a//b c/100%.zip", s3("bucket", ""), "a//b c/100%.zip", None, None),
            ("s3://bucket/a?versionId=v1&etag=e-2", s3("bucket", ""), "a", Some("v1"), Some("e-2")),
            ("s3://bucket/a?etag=e", s3("bucket", ""), "a", None, Some("e")),
            ("file:///srv/store/a.zip", StoreUrl::Dir("/srv/store".into()), "a.zip", None, None),
            ("file:///a.zip?etag=e", StoreUrl::Dir("/".into()), "a.zip", None, Some("e")),
        ] {
            let (version, etag) = (version.map(str::to_owned), etag.map(str::to_owned));
            let expected = ObjectUrl { store, key: key.to_owned(), version, etag };
            assert_eq!(text.parse().as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        let quoted: ObjectUrl = r#"s3://bucket/a?etag="abc""#.parse().unwrap();
        assert_eq!(quoted.etag.as_deref(), Some("abc"));
    }

    #[test]
    fn the_object_of_a_key_carries_the_prefix_and_survives_its_text_form() {
        for (store, key, shown) in [
            ("s3://bucket/releases", "shop/1.zip", "s3://bucket/releases/shop/1.zip"),
            ("s3://bucket", "1.zip", "s3://bucket/1.zip"),
            ("file:///srv/store", "shop/1.zip", "file:///srv/store/shop/1.zip"),
            ("file:///", "1.zip", "file:///1.zip"),
        ] {
            let object = store.parse::<StoreUrl>().unwrap().object(key);
            assert_eq!(object.to_string(), shown);
            assert_eq!(shown.parse(), Ok(object), "{shown}");
        }
    }

    #[test]
    fn a_wrong_store_url_says_what_to_write() {
        let why = |text: &str| text.parse::<StoreUrl>().unwrap_err().why;
        assert_eq!(why("s3:///prefix"), "names no bucket; write `s3://bucket/…`");
        assert_eq!(why("s3://"), "names no bucket; write `s3://bucket/…`");
        assert_eq!(
            why("s3://my bucket"),
            "has `my bucket` where a bucket should be; its name has at least 3 letters, digits, `.`, `-` or `_`"
        );
        assert_eq!(
            why("s3://arn:aws:s3:eu-west-1:1:accesspoint/x"),
            "names an access point by its ARN; write its alias instead"
        );
        assert_eq!(why("file://store"), "is not absolute; `file:` is followed by three slashes: `file:///folder`");
        assert_eq!(why("file://"), "names no folder; write `file:///folder`");
        assert_eq!(why("file:///a/../b"), "contains `..`; write the folder that is meant");
        assert_eq!(
            why("https://s3.example.com/bucket"),
            "is a web address; write `s3://bucket/…`, and the address of an S3 server goes into `AWS_ENDPOINT_URL_S3`"
        );
        assert_eq!(why("gs://bucket"), "has a scheme that is neither `s3` nor `file`");
        assert_eq!(why("/srv/store"), "is a path; write `file:///srv/store`");
        assert_eq!(why("store"), "is no URL; write `s3://bucket/…` or `file:///folder/…`");
        assert_eq!(why("s3://bucket?x=1"), "has a `?`: the URL of a store takes no parameters");
    }

    #[test]
    fn a_wrong_object_url_says_what_to_write() {
        let why = |text: &str| text.parse::<ObjectUrl>().unwrap_err().why;
        assert_eq!(why("s3://bucket/"), "names a bucket but no object; write `s3://bucket/key`");
        assert_eq!(
            why("s3://bucket/a?version=1"),
            "has an unknown parameter `version`; only `versionId` and `etag` have a meaning"
        );
        assert_eq!(why("s3://bucket/a?etag="), "has no value for `etag`");
        assert_eq!(why("s3://bucket/a?etag=a&etag=b"), "names `etag` twice");
        assert_eq!(why("file:///srv/store/"), "names a folder, not a file");
        assert_eq!(why("file:///a?versionId=1"), "has a `versionId`, but a folder keeps no versions");
    }
}
