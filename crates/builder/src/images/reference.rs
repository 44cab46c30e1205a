//! Pure: names of images, read as Docker reads them. `nginx` is `docker.io/library/nginx:latest`.

use std::fmt;
use std::str::FromStr;

/// The registry of names that name none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Its folder of names without a folder.
const OFFICIAL: &str = "library/";
/// The tag of names that have neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reference {
    /// The registry's host, and its port where one is named.
    pub(crate) registry: String,
    /// The image's place in the registry.
    pub(crate) repository: String,
    /// The tag; `latest` where neither tag nor digest is named.
    pub(crate) tag: Option<String>,
    /// The digest.
    pub(crate) digest: Option<ImageDigest>,
    /// Registry and repository as they were written.
    pub(crate) name: String,
}

/// What names the bytes of an image: `sha256:` or `sha512:` and hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ImageDigest(String);

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no image: {why}")]
pub(crate) struct InvalidReference {
    /// The text.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 digits of 0-9a-f, or `sha512:` and 128")]
pub(crate) struct InvalidDigest(String);

impl Reference {
    /// What names the image in requests of the registry's API: the digest, else the tag.
    pub(crate) fn wanted(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }

    /// The name by which every host gets these very bytes.
    pub(crate) fn pinned(&self, digest: &ImageDigest) -> String {
        format!("{}@{digest}", self.name)
    }
}

/// The canonical name, with registry, repository and all that is known.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Reference, InvalidReference> {
        let invalid = |why: String| InvalidReference { text: text.to_owned(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|error: InvalidDigest| invalid(error.to_string()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(colon) => (&rest[..after_slash + colon], Some(&rest[after_slash + colon + 1..])),
            None => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(&invalid)?;
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => {
                check_registry(first).map_err(&invalid)?;
                (if first == "index.docker.io" { DEFAULT_REGISTRY } else { first }, rest)
            }
            Some(_) | None => (DEFAULT_REGISTRY, name),
        };
        check_repository(repository).map_err(&invalid)?;
        if digest.is_none() && tag.is_none() && name == repository && is_id(repository) {
            return Err(invalid("an id of an image on one machine means nothing on another".to_owned()));
        }
        let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let tag = tag.or(digest.is_none().then_some(DEFAULT_TAG)).map(str::to_owned);
        Ok(Reference {
            registry: registry.to_owned(),
            repository: if official { format!("{OFFICIAL}{repository}") } else { repository.to_owned() },
            tag,
            digest,
            name: name.to_owned(),
        })
    }
}

impl ImageDigest {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<ImageDigest, InvalidDigest> {
        let hex = |hex: &str| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.split_once(':') {
            Some(("sha256", digits)) if digits.len() == 64 && hex(digits) => Ok(ImageDigest(text.to_owned())),
            Some(("sha512", digits)) if digits.len() == 128 && hex(digits) => Ok(ImageDigest(text.to_owned())),
            Some(_) | None => Err(InvalidDigest(text.to_owned())),
        }
    }
}

/// Whether the part before the first slash is a host, and no folder of Docker Hub.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(|letter| letter.is_ascii_uppercase())
}

fn check_registry(host: &str) -> Result<(), String> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, port.strip_prefix(':').or(Some(""))),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let named = match bracketed {
        Some((address, _)) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(part),
    };
    let reached = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    if named && reached { Ok(()) } else { Err(format!("`{host}` is no host of a registry")) }
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("the name is missing".to_owned());
    }
    if repository.len() > 255 {
        return Err(format!("the name has {} characters, and 255 is the most", repository.len()));
    }
    if repository.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Err("a name has no capital letters".to_owned());
    }
    match repository.split('/').find(|part| !is_component(part)) {
        None => Ok(()),
        Some("") => Err("a part of the name is empty".to_owned()),
        Some(part) => {
            Err(format!("`{part}` must be letters and digits, with `.`, `_`, `__` or `-` between them, and is not"))
        }
    }
}

/// Letters and digits, in runs that `.`, `_`, `__` or hyphens hold together.
fn is_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(|byte| plain(*byte)) && bytes.last().is_some_and(|byte| plain(*byte));
    let between = part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    let holds = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    ends && between.into_iter().all(holds)
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    let right = bytes.len() <= 128
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'-'));
    match right {
        true => Ok(()),
        false if tag.is_empty() => Err("the tag after `:` is missing".to_owned()),
        false => Err(format!("the tag `{tag}` must be at most 128 letters, digits, `_`, `.` or `-`, and is not")),
    }
}

/// Whether Docker takes a name for the id of an image.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
