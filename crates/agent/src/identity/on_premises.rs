//! The on-premises file, which registering a host leaves: who it is, and where its credentials are.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile};
use longshore_core::store::Keys;
use longshore_core::yaml::{self, Node};

use super::error::IdentityError;
use super::partition::is_region;

/// A key that is missing, unknown, or has a value that it cannot have.
const WRONG: &str = "LS503";

const USER: &str = "iam_user_arn";
const SESSION: &str = "iam_session_arn";
const ACCESS_KEY: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
const CREDENTIALS_FILE: &str = "aws_credentials_file";
const REGION: &str = "region";

/// What the file says.
#[derive(Debug, Clone)]
pub(super) struct OnPremises {
    /// The ARN of the user or session.
    pub(super) host: String,
    /// The region.
    pub(super) region: String,
    /// With what it speaks.
    pub(super) means: Means,
}

/// With what a registered host speaks.
#[derive(Debug, Clone)]
pub(super) enum Means {
    /// The keys of an IAM user.
    User(Keys),
    /// The credentials file of a session, which somebody else renews.
    Session(PathBuf),
}

/// Reads the file; `None`: there is none, so this host is an instance.
pub(super) fn read(path: &Path) -> Result<Option<OnPremises>, IdentityError> {
    let text = match read_secret(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(IdentityError::Read { file: path.to_owned(), source }),
    };
    let source = SourceFile::new(path.display().to_string(), text);
    parse(&source).map(Some).map_err(|problems| {
        // One line each, without the lines of the file: they may be secret.
        IdentityError::OnPremises { problems: problems.iter().map(ToString::to_string).collect() }
    })
}

/// Reads a file that holds secrets, and says so when everybody may read it.
pub(super) fn read_secret(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o004 != 0 {
        tracing::warn!(file = %path.display(), "everybody on this host may read this file with secrets; `chmod o-rwx` it");
    }
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn parse(source: &Arc<SourceFile>) -> Result<OnPremises, Vec<Problem>> {
    let reading = yaml::read(source);
    let mut values = Values { source, problems: reading.problems };
    let Some(node) = reading.node.filter(|node| node.as_map().is_some()) else {
        if values.problems.is_empty() {
            values.wrong(None, "", &format!("must be a mapping with `{USER}` or `{SESSION}`"));
        }
        return Err(values.problems);
    };
    let region = values.text(&node, REGION);
    if let Some(region) = region.as_deref().filter(|region| !is_region(region)) {
        let message = format!("must be a region such as `eu-central-1`, found `{region}`");
        values.wrong(node.get(REGION), REGION, &message);
    }
    let (host, means) = match (node.entry(USER), node.entry(SESSION)) {
        (Some(_), None) => {
            let host = values.arn(&node, USER, "iam", "user/");
            let (id, secret) = (values.text(&node, ACCESS_KEY), values.text(&node, SECRET_KEY));
            let keys = id.zip(secret).map(|(access_key_id, secret_access_key)| {
                Means::User(Keys { access_key_id, secret_access_key, session_token: None })
            });
            (host, keys)
        }
        (None, Some(_)) => {
            let host = values.arn(&node, SESSION, "sts", "assumed-role/");
            let file = values.text(&node, CREDENTIALS_FILE).map(PathBuf::from);
            if file.as_ref().is_some_and(|file| !file.is_absolute()) {
                values.wrong(node.get(CREDENTIALS_FILE), CREDENTIALS_FILE, "must be an absolute path");
            }
            (host, file.map(Means::Session))
        }
        (Some((key, _)), Some(_)) => {
            let message = format!("cannot stand beside `{SESSION}`: a host is a user or a session");
            values.wrong(Some(key), USER, &message);
            (None, None)
        }
        (None, None) => {
            values.wrong(None, "", &format!("`{USER}` or `{SESSION}` is missing"));
            (None, None)
        }
    };
    match (host, region, means) {
        (Some(host), Some(region), Some(means)) if values.problems.is_empty() => Ok(OnPremises { host, region, means }),
        _ => Err(values.problems),
    }
}

/// Reads values and collects what is wrong with them.
struct Values<'a> {
    source: &'a Arc<SourceFile>,
    problems: Vec<Problem>,
}

impl Values<'_> {
    fn wrong(&mut self, node: Option<&Node>, key: &str, message: &str) {
        let problem = Problem::error(WRONG, self.source, node.map(|node| node.span.clone()), message);
        self.problems.push(if key.is_empty() { problem } else { problem.at_path(key) });
    }

    /// A text that has to be there. What stands instead is not shown: it may be secret.
    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        match node.entry(key) {
            None => {
                self.wrong(None, key, "is missing");
                None
            }
            Some((_, value)) => match value.text().map(str::trim).filter(|text| !text.is_empty() && !value.is_null()) {
                Some(text) => Some(text.to_owned()),
                None => {
                    self.wrong(Some(value), key, &format!("must be a text, found {}", value.kind()));
                    None
                }
            },
        }
    }

    /// `arn:<partition>:<service>::<account>:<kind>…`
    fn arn(&mut self, node: &Node, key: &str, service: &str, kind: &str) -> Option<String> {
        let arn = self.text(node, key)?;
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let named = |resource: &str| {
            resource.strip_prefix(kind).is_some_and(|name| name.split('/').all(|part| !part.is_empty()))
        };
        let right = match parts[..] {
            ["arn", partition, of, "", account, resource] => {
                partition.starts_with("aws")
                    && of == service
                    && account.len() == 12
                    && account.bytes().all(|byte| byte.is_ascii_digit())
                    && named(resource)
                    && !resource.contains(char::is_whitespace)
            }
            _ => false,
        };
        if !right {
            let message = format!("must be `arn:aws:{service}::ACCOUNT:{kind}NAME`, found `{arn}`");
            self.wrong(node.get(key), key, &message);
        }
        Some(arn)
    }
}

/// What tells one state of a file from another, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    /// That of a file now.
    pub(super) fn of(path: &Path) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let known = fs::metadata(path).ok();
        Stamp(known.map(|known| (known.ino(), known.mtime(), known.mtime_nsec(), known.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "aws_access_key_id: AKIAEXAMPLE\n";
    const SECRET: &str = "aws_secret_access_key: hush-hush\n";
    const A_USER: &str = "iam_user_arn: arn:aws:iam::123456789012:user/path/host\n";
    const A_SESSION: &str = "iam_session_arn: arn:aws-cn:sts::123456789012:assumed-role/Role/host-1\n";
    const A_REGION: &str = "region: eu-central-1\n";

    fn read(text: &str) -> Result<OnPremises, Vec<String>> {
        parse(&SourceFile::new("on-premises.yml", text))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn both_forms_are_read() {
        let user = read(&format!("---\n{A_REGION}{A_USER}{ID}{SECRET}other: 1\n")).unwrap();
        assert_eq!(
            (user.host.as_str(), user.region.as_str()),
            ("arn:aws:iam::123456789012:user/path/host", "eu-central-1")
        );
        match user.means {
            Means::User(keys) => assert_eq!(
                (keys.access_key_id.as_str(), keys.secret_access_key.as_str(), keys.session_token),
                ("AKIAEXAMPLE", "hush-hush", None)
            ),
            Means::Session(_) => panic!("a user"),
        }
        let session = read(&format!("{A_REGION}{A_SESSION}aws_credentials_file: /x/credentials\n")).unwrap();
        assert_eq!(session.host, "arn:aws-cn:sts::123456789012:assumed-role/Role/host-1");
        assert!(matches!(session.means, Means::Session(file) if file == Path::new("/x/credentials")));
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_place_and_no_secret_is_shown() {
        let table: [(String, &[&str]); 9] = [
            (
                format!("{A_USER}{SECRET}"),
                &["on-premises.yml: region: is missing", "on-premises.yml: aws_access_key_id: is missing"],
            ),
            (
                format!("{A_REGION}{A_SESSION}{A_USER}"),
                &[
                    "on-premises.yml:3:1: iam_user_arn: cannot stand beside `iam_session_arn`: a host is a user or a session",
                ],
            ),
            (A_REGION.to_owned(), &["on-premises.yml: `iam_user_arn` or `iam_session_arn` is missing"]),
            (
                format!("{A_REGION}{A_SESSION}aws_credentials_file: credentials\n"),
                &["on-premises.yml:3:23: aws_credentials_file: must be an absolute path"],
            ),
            (
                format!("{A_REGION}iam_user_arn: arn:aws:iam::1234:user/x\n{ID}aws_secret_access_key: [hush-hush]\n"),
                &[
                    "on-premises.yml:2:15: iam_user_arn: must be `arn:aws:iam::ACCOUNT:user/NAME`, found `arn:aws:iam::1234:user/x`",
                    "on-premises.yml:4:24: aws_secret_access_key: must be a text, found a list",
                ],
            ),
            (
                format!("region: EU\n{A_USER}{ID}{SECRET}"),
                &["on-premises.yml:1:9: region: must be a region such as `eu-central-1`, found `EU`"],
            ),
            (
                format!("{A_REGION}{A_USER}{ID}{SECRET}{SECRET}"),
                &["on-premises.yml:5:1: the key `aws_secret_access_key` stands twice in this mapping"],
            ),
            (
                "- hush-hush\n".to_owned(),
                &["on-premises.yml: must be a mapping with `iam_user_arn` or `iam_session_arn`"],
            ),
            (String::new(), &["on-premises.yml: must be a mapping with `iam_user_arn` or `iam_session_arn`"]),
        ];
        for (text, expected) in table {
            assert_eq!(read(&text).unwrap_err(), expected, "{text}");
        }
        let broken = read("region: [\naws_secret_access_key: hush-hush\n").unwrap_err();
        assert_eq!(broken, ["on-premises.yml:1:9: a `[` or `{` that opens above is not closed before here"]);
    }

    #[test]
    fn an_arn_is_that_of_a_user_or_a_session() {
        for arn in [
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/a b",
            "arn:aws:sts::123456789012:assumed-role/Role/host",
            "arn:other:iam::123456789012:user/x",
            "arn:aws:iam:eu-central-1:123456789012:user/x",
            "i-0123",
        ] {
            let text = format!("{A_REGION}iam_user_arn: {arn}\n{ID}{SECRET}");
            let expected = format!("must be `arn:aws:iam::ACCOUNT:user/NAME`, found `{arn}`");
            let found = read(&text).unwrap_err();
            assert_eq!(found, [format!("on-premises.yml:2:15: iam_user_arn: {expected}")], "{arn}");
        }
    }
}
