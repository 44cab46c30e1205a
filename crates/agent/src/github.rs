//! A commit of a repository on GitHub, as the place of a bundle. Pure; [`crate::fetch`] gets it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitHub {
    /// Who owns the repository.
    pub account: String,
    /// The repository.
    pub repository: String,
    /// A commit, tag or branch, as written.
    pub commit: String,
    /// As what it is fetched.
    pub archive: Archive,
}

/// The archives that GitHub makes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// A gzipped tar file.
    Tarball,
    /// A zip file.
    Zipball,
}

/// An address on GitHub that names no commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` {why}")]
pub struct InvalidSource {
    /// The address.
    pub url: String,
    /// What is wrong with it.
    pub why: String,
}

impl GitHub {
    /// What `https://github.com/<path>` means: the latest commit of a repository.
    pub fn of_web_address(path: &str, archive: Archive) -> Result<GitHub, InvalidSource> {
        let invalid = |why: &str| InvalidSource { url: format!("https://github.com/{path}"), why: why.to_owned() };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match parts[..] {
            [account, repository] => {
                let repository = repository.strip_suffix(".git").unwrap_or(repository);
                GitHub::new([account, repository, "HEAD"], archive).map_err(|why| invalid(&why))
            }
            [] | [_] => Err(invalid("names no repository; write `https://github.com/OWNER/REPOSITORY`")),
            [_, _, _, ..] => Err(invalid(
                "names more than a repository; a commit, tag or branch is written \
                 `https://api.github.com/repos/OWNER/REPOSITORY/zipball/COMMIT`",
            )),
        }
    }

    /// What `https://api.github.com/<path>` means. Which archive it names does not matter (AWS agent 1.8.1).
    pub fn of_api_address(path: &str, archive: Archive) -> Result<GitHub, InvalidSource> {
        let invalid = |why: &str| InvalidSource { url: format!("https://api.github.com/{path}"), why: why.to_owned() };
        let parts: Vec<&str> = path.trim_end_matches('/').splitn(5, '/').collect();
        match parts[..] {
            ["repos", account, repository, _, commit] => {
                GitHub::new([account, repository, commit], archive).map_err(|why| invalid(&why))
            }
            _ => Err(invalid("names no commit; write `https://api.github.com/repos/OWNER/REPOSITORY/zipball/COMMIT`")),
        }
    }

    fn new([account, repository, commit]: [&str; 3], archive: Archive) -> Result<GitHub, String> {
        let parts = [account, repository].into_iter().chain(commit.split('/'));
        for part in parts {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
            if part.is_empty() || part == "." || part == ".." || !part.chars().all(plain) {
                return Err(format!("has `{part}` where a name should be"));
            }
        }
        let [account, repository, commit] = [account, repository, commit].map(str::to_owned);
        Ok(GitHub { account, repository, commit, archive })
    }

    /// The path of its archive below the address of GitHub's API.
    pub fn path(&self) -> String {
        let archive = match self.archive {
            Archive::Tarball => "tarball",
            Archive::Zipball => "zipball",
        };
        format!("repos/{}/{}/{archive}/{}", self.account, self.repository, self.commit)
    }
}

/// As `https://api.github.com/…`.
impl fmt::Display for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://api.github.com/{}", self.path())
    }
}
