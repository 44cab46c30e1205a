//! Gets the archive that GitHub makes of a commit: redirects, retries, a limit, the file.
//!
//! `GITHUB_API_URL` names another GitHub; the deployment's token, else `GITHUB_TOKEN`, opens private repositories. Proxies and
//! authorities are those of everything else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::failure::Exit;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, InvalidHeaderValue};
use reqwest::{Client, StatusCode, Url};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::access::Access;
use crate::github::GitHub;
use crate::network::{self, Network, NetworkError, is_here};

/// The API of github.com.
const DEFAULT_API: &str = "https://api.github.com";
/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Which GitHub is asked, and as whom.
pub(super) struct Api {
    url: String,
    token: Option<(String, TokenOf)>,
    network: Network,
}

/// Who gave a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOf {
    /// The variable `GITHUB_TOKEN`.
    Environment,
    /// The deployment.
    Deployment,
}

impl fmt::Display for TokenOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenOf::Environment => "the token in `GITHUB_TOKEN`",
            TokenOf::Deployment => "the deployment's token",
        })
    }
}

/// Why an archive could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// No such commit, or not for us.
    #[error("GitHub shows no such commit{}", token.map_or(String::new(), |token| format!(" to the owner of {token}")))]
    NotFound {
        /// The token that was sent.
        token: Option<TokenOf>,
    },
    /// The token is wrong, or too many questions were asked.
    #[error("GitHub refuses: {status}")]
    Refused {
        /// Its answer.
        status: StatusCode,
        /// The token that was sent.
        token: Option<TokenOf>,
    },
    /// An address with a name and a password, of which nobody can see at a glance where it leads.
    #[error("`GITHUB_API_URL` holds a user name or a password")]
    Credentials,
    /// `GITHUB_API_URL` leads nowhere.
    #[error("`GITHUB_API_URL` is `{0}`, which is no http or https address")]
    Address(String),
    /// Some other answer.
    #[error("GitHub answers {0}")]
    Status(StatusCode),
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach GitHub")]
    Network(#[source] reqwest::Error),
    /// Proxy or certificate authorities are wrong.
    #[error(transparent)]
    Client(#[from] NetworkError),
    /// The token is no text that can be sent.
    #[error("{of} is none")]
    Token {
        /// Who gave it.
        of: TokenOf,
        /// Why.
        source: InvalidHeaderValue,
    },
    /// A token that everybody on the way could read.
    #[error("`GITHUB_API_URL` is `{0}`, which is not encrypted, and a token would be sent there")]
    Unencrypted(String),
    /// The archive is larger than anything that may be unpacked.
    #[error("the archive is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The archive cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl GitHubError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            GitHubError::NotFound { .. } => Exit::NotFound,
            GitHubError::Refused { .. } | GitHubError::Status(_) | GitHubError::Network(_) => Exit::Unavailable,
            GitHubError::Client(_)
            | GitHubError::Token { .. }
            | GitHubError::Unencrypted(_)
            | GitHubError::Credentials
            | GitHubError::Address(_) => Exit::Usage,
            GitHubError::TooLarge { .. } => Exit::BadBundle,
            GitHubError::Write { .. } => Exit::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            GitHubError::NotFound { token: None } => {
                Some("a private repository needs a token in `GITHUB_TOKEN`".to_owned())
            }
            GitHubError::NotFound { token: Some(token) } => {
                Some(format!("{token} needs to be allowed to read the repository's contents"))
            }
            GitHubError::Refused { token: None, .. } => {
                Some("without a token in `GITHUB_TOKEN` an address may ask only 60 times an hour".to_owned())
            }
            GitHubError::Refused { status: StatusCode::UNAUTHORIZED, token: Some(token) } => {
                Some(format!("{token} is wrong, or has expired"))
            }
            GitHubError::Refused { token: Some(token), .. } => Some(format!(
                "{token} may not read the repository's contents, or was used too often; wait an hour, or give another one"
            )),
            GitHubError::Network(_) => Some("a proxy is taken from `HTTPS_PROXY`, less `NO_PROXY`".to_owned()),
            GitHubError::Client(_)
            | GitHubError::Status(_)
            | GitHubError::Token { .. }
            | GitHubError::Unencrypted(_)
            | GitHubError::Credentials
            | GitHubError::Address(_)
            | GitHubError::TooLarge { .. }
            | GitHubError::Write { .. } => None,
        }
    }

    /// Whether the next try may end differently.
    fn may_pass(&self) -> bool {
        match self {
            GitHubError::Status(status) | GitHubError::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            GitHubError::Network(error) => !error.is_builder() && !error.is_redirect(),
            GitHubError::NotFound { .. }
            | GitHubError::Client(_)
            | GitHubError::Token { .. }
            | GitHubError::Unencrypted(_)
            | GitHubError::Credentials
            | GitHubError::Address(_)
            | GitHubError::TooLarge { .. }
            | GitHubError::Write { .. } => false,
        }
    }
}

impl Api {
    /// The one that the environment names.
    pub(super) fn of(access: &Access) -> Api {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Api {
            url: variable("GITHUB_API_URL").unwrap_or_else(|| DEFAULT_API.to_owned()),
            token: match &access.github_token {
                Some(token) => Some((token.clone(), TokenOf::Deployment)),
                None => variable("GITHUB_TOKEN").map(|token| (token, TokenOf::Environment)),
            },
            network: access.network.clone(),
        }
    }

    /// Fetches an archive of at most `limit` bytes to `to`.
    pub(super) async fn get(
        &self,
        source: &GitHub,
        to: &Path,
        limit: u64,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), GitHubError> {
        let client = self.client()?;
        let url = format!("{}/{}", self.url.trim_end_matches('/'), source.path());
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.once(&client, &url, to, limit, progress).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if error.may_pass() => tokio::time::sleep(pause).await,
                Some(_) | None => return Err(error),
            }
        }
    }

    /// Whether nobody on the way can read what is sent: by https it is encrypted, and on this host there is no way.
    fn is_encrypted(&self) -> Result<bool, GitHubError> {
        let url = match Url::parse(&self.url).ok().filter(|url| ["http", "https"].contains(&url.scheme())) {
            Some(url) => url,
            // A password is not repeated.
            None if self.url.contains('@') => return Err(GitHubError::Credentials),
            None => return Err(GitHubError::Address(self.url.clone())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(GitHubError::Credentials);
        }
        let encrypted = url.scheme() == "https";
        match self.token.is_some() && !encrypted && !is_here(&url) {
            true => Err(GitHubError::Unencrypted(self.url.clone())),
            false => Ok(encrypted),
        }
    }

    fn client(&self) -> Result<Client, GitHubError> {
        let encrypted = self.is_encrypted()?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        // The token is given with the request: the client drops it when another host takes over.
        network::builder(&self.network)?
            .default_headers(headers)
            .https_only(encrypted)
            .read_timeout(SILENCE)
            .build()
            .map_err(GitHubError::Network)
    }

    async fn once(
        &self,
        client: &Client,
        url: &str,
        to: &Path,
        limit: u64,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), GitHubError> {
        let mut request = client.get(url);
        if let Some((token, of)) = &self.token {
            let wrong = |source| GitHubError::Token { of: *of, source };
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(wrong)?;
            value.set_sensitive(true);
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let mut answer = request.send().await.map_err(GitHubError::Network)?;
        let token = self.token.as_ref().map(|(_, of)| *of);
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Err(GitHubError::NotFound { token }),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => {
                return Err(GitHubError::Refused { status, token });
            }
            status => return Err(GitHubError::Status(status)),
        }
        let unwritable = |source| GitHubError::Write { path: to.to_owned(), source };
        let mut file = File::create(to).await.map_err(unwritable)?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.map_err(GitHubError::Network)? {
            bytes += chunk.len() as u64;
            if bytes > limit {
                return Err(GitHubError::TooLarge { limit });
            }
            file.write_all(&chunk).await.map_err(unwritable)?;
            progress(bytes);
        }
        file.flush().await.map_err(unwritable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Expected = dyn Fn(&str) -> Result<bool, String>;

    #[test]
    fn a_token_goes_only_where_nobody_on_the_way_can_read_it() {
        let unencrypted = |url: &str| {
            Err(format!("`GITHUB_API_URL` is `{url}`, which is not encrypted, and a token would be sent there"))
        };
        let no_address = |url: &str| Err(format!("`GITHUB_API_URL` is `{url}`, which is no http or https address"));
        let with_user = |_: &str| Err("`GITHUB_API_URL` holds a user name or a password".to_owned());
        let by_https = |_: &str| Ok(true);
        let here = |_: &str| Ok(false);
        let table: [(&str, &Expected); 20] = [
            ("https://api.github.com", &by_https),
            ("HTTPS://github.example.com:8443/api/v3", &by_https),
            ("https://user:password@github.example.com", &with_user),
            ("http://127.0.0.1:8099", &here),
            ("http://127.8.9.1", &here),
            ("http://2130706433/", &here),
            ("http://localhost:1/api", &here),
            ("http://LOCALHOST", &here),
            ("http://[::1]:80", &here),
            ("http://127.0.0.1:x@127.0.0.2:8099", &with_user),
            ("http://localhost@github.example.com", &with_user),
            ("ftp://user:password@github.example.com", &with_user),
            ("user:password@github.example.com", &with_user),
            ("http://github.example.com", &unencrypted),
            ("http://localhost.example.com", &unencrypted),
            ("http://127.0.0.1.example.com", &unencrypted),
            ("http://github.example.com\\@127.0.0.1", &unencrypted),
            ("http://[2001:db8::1]", &unencrypted),
            ("ftp://localhost", &no_address),
            ("api.github.com", &no_address),
        ];
        for (url, expected) in table {
            let api = Api {
                url: url.to_owned(),
                token: Some(("s3cret".to_owned(), TokenOf::Deployment)),
                network: Network::default(),
            };
            let found = api.is_encrypted().map_err(|error| error.to_string());
            assert_eq!(found, expected(url), "{url}");
        }
        let anonymous = Api { url: "http://github.example.com".to_owned(), token: None, network: Network::default() };
        assert!(matches!(anonymous.is_encrypted(), Ok(false)), "who has no secret tells none");
    }
}
