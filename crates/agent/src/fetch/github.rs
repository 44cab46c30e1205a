//! Gets the archive that GitHub makes of a commit: redirects, retries, a limit, the file.
//!
//! `GITHUB_API_URL` names another GitHub, `GITHUB_TOKEN` opens private repositories; proxies are taken from the environment.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::failure::Exit;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, InvalidHeaderValue};
use reqwest::{Client, StatusCode};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::github::GitHub;

/// The API of github.com.
const DEFAULT_API: &str = "https://api.github.com";
/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Which GitHub is asked, and as whom.
pub(super) struct Api {
    url: String,
    token: Option<String>,
}

/// Why an archive could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// No such commit, or not for us.
    #[error("GitHub shows no such commit{}", if *.with_token { " to the owner of `GITHUB_TOKEN`" } else { "" })]
    NotFound {
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The token is wrong, or too many questions were asked.
    #[error("GitHub refuses: {0}")]
    Refused(StatusCode),
    /// Some other answer.
    #[error("GitHub answers {0}")]
    Status(StatusCode),
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach GitHub")]
    Network(#[source] reqwest::Error),
    /// The token is no text that can be sent.
    #[error("`GITHUB_TOKEN` is no token")]
    Token(#[source] InvalidHeaderValue),
    /// A token that everybody on the way could read.
    #[error("`GITHUB_API_URL` is `{0}`, which is not encrypted, and `GITHUB_TOKEN` is set")]
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
            GitHubError::Refused(_) | GitHubError::Status(_) | GitHubError::Network(_) => Exit::Unavailable,
            GitHubError::Token(_) | GitHubError::Unencrypted(_) => Exit::Usage,
            GitHubError::TooLarge { .. } => Exit::BadBundle,
            GitHubError::Write { .. } => Exit::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            GitHubError::NotFound { with_token: false } => {
                Some("a private repository needs a token in `GITHUB_TOKEN`".to_owned())
            }
            GitHubError::NotFound { with_token: true } => {
                Some("the token in `GITHUB_TOKEN` needs to be allowed to read the repository's contents".to_owned())
            }
            GitHubError::Refused(_) => {
                Some("without a token in `GITHUB_TOKEN` an address may ask only 60 times an hour".to_owned())
            }
            GitHubError::Network(_) => Some("a proxy is taken from `HTTPS_PROXY`, less `NO_PROXY`".to_owned()),
            GitHubError::Status(_)
            | GitHubError::Token(_)
            | GitHubError::Unencrypted(_)
            | GitHubError::TooLarge { .. }
            | GitHubError::Write { .. } => None,
        }
    }

    /// Whether the next try may end differently.
    fn may_pass(&self) -> bool {
        match self {
            GitHubError::Status(status) | GitHubError::Refused(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            GitHubError::Network(error) => !error.is_builder() && !error.is_redirect(),
            GitHubError::NotFound { .. }
            | GitHubError::Token(_)
            | GitHubError::Unencrypted(_)
            | GitHubError::TooLarge { .. }
            | GitHubError::Write { .. } => false,
        }
    }
}

impl Api {
    /// The one that the environment names.
    pub(super) fn of_environment() -> Api {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Api {
            url: variable("GITHUB_API_URL").unwrap_or_else(|| DEFAULT_API.to_owned()),
            token: variable("GITHUB_TOKEN"),
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

    /// Whether it is on this host, so that nobody can listen.
    fn is_here(&self) -> bool {
        let host = self.url.split('/').nth(2).unwrap_or_default();
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(':');
        names.iter().any(|name| host.strip_prefix(name).is_some_and(ends))
    }

    fn client(&self) -> Result<Client, GitHubError> {
        let encrypted = self.url.starts_with("https://");
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        if self.token.is_some() && !encrypted && !self.is_here() {
            return Err(GitHubError::Unencrypted(self.url.clone()));
        }
        // The token is given with the request: the client drops it when another host takes over.
        Client::builder()
            .user_agent(concat!("longshore-agent/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .https_only(encrypted)
            .connect_timeout(Duration::from_secs(15))
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
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(GitHubError::Token)?;
            value.set_sensitive(true);
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let mut answer = request.send().await.map_err(GitHubError::Network)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Err(GitHubError::NotFound { with_token: self.token.is_some() }),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => {
                return Err(GitHubError::Refused(status));
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
