//! Which commit is this, and when was it made? Pure: flag, environment and work tree in, one commit or a refusal out.
//!
//! In order: `--commit`, `LONGSHORE_COMMIT`, the variable of the CI system whose marker is set, `HEAD`. A variable that
//! contradicts the work tree is never believed: one of the two is not what will be packed.

use std::fmt;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::CommitHash;

use crate::environment::Environment;

/// The variable of our own.
pub(crate) const VARIABLE: &str = "LONGSHORE_COMMIT";

/// The variable that overrides the time stamp in the bundle (reproducible-builds.org).
pub(crate) const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// 1980-01-01, the first day that a zip file can name.
pub(crate) const ZIP_EPOCH: i64 = 315_532_800;

/// A CI system: how it is recognised, and where it puts the whole commit hash.
#[derive(Debug, PartialEq, Eq)]
struct Ci {
    name: &'static str,
    marker: &'static str,
    variable: &'static str,
}

const CI_SYSTEMS: [Ci; 9] = [
    Ci { name: "AWS CodeBuild", marker: "CODEBUILD_BUILD_ID", variable: "CODEBUILD_RESOLVED_SOURCE_VERSION" },
    Ci { name: "GitHub Actions", marker: "GITHUB_ACTIONS", variable: "GITHUB_SHA" },
    Ci { name: "GitLab CI", marker: "GITLAB_CI", variable: "CI_COMMIT_SHA" },
    Ci { name: "Bitbucket Pipelines", marker: "BITBUCKET_BUILD_NUMBER", variable: "BITBUCKET_COMMIT" },
    Ci { name: "Jenkins", marker: "JENKINS_URL", variable: "GIT_COMMIT" },
    Ci { name: "CircleCI", marker: "CIRCLECI", variable: "CIRCLE_SHA1" },
    Ci { name: "Azure Pipelines", marker: "TF_BUILD", variable: "BUILD_SOURCEVERSION" },
    Ci { name: "Buildkite", marker: "BUILDKITE", variable: "BUILDKITE_COMMIT" },
    Ci { name: "Travis CI", marker: "TRAVIS", variable: "TRAVIS_COMMIT" },
];

/// Where a commit was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `--commit`.
    Flag,
    /// An environment variable.
    Variable(&'static str),
    /// `HEAD` of the work tree.
    WorkTree,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("`--commit`"),
            Origin::Variable(name) => write!(f, "`{name}`"),
            Origin::WorkTree => f.write_str("`HEAD`"),
        }
    }
}

/// The commit that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The commit.
    pub(crate) commit: CommitHash,
    /// Where it was read.
    pub(crate) origin: Origin,
    /// What will surprise, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Why no commit could be chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommitError {
    /// A value is no whole hash.
    #[error("{origin} is `{value}`, which is not a whole commit hash (40 or 64 lower-case hex digits)")]
    NotAHash {
        /// Where it was read.
        origin: Origin,
        /// What it holds.
        value: String,
    },
    /// A variable and the work tree name two commits.
    #[error("{origin} says {theirs}, but the work tree is at {head}")]
    Disagree {
        /// The variable.
        origin: Origin,
        /// Its commit.
        theirs: CommitHash,
        /// The work tree's commit.
        head: CommitHash,
    },
    /// Two CI systems name two commits.
    #[error("`{}` says {}, but `{}` says {}", .one.0, .one.1, .other.0, .other.1)]
    TwoSystems {
        /// A variable and its commit.
        one: (&'static str, CommitHash),
        /// Another variable and its commit.
        other: (&'static str, CommitHash),
    },
    /// Nothing names a commit.
    #[error("cannot tell which commit this is: there is no git work tree, and {looked}")]
    Unknown {
        /// Which variables were looked at, for people.
        looked: String,
    },
    /// `SOURCE_DATE_EPOCH` is no number.
    #[error("`{EPOCH_VARIABLE}` is `{0}`, which is not a number of seconds since 1970")]
    Epoch(String),
}

/// Chooses the commit. `head`: the commit of the work tree; `None` without one.
pub(crate) fn choose(
    flag: Option<&str>,
    environment: &Environment,
    head: Option<&CommitHash>,
) -> Result<Chosen, CommitError> {
    if let Some(value) = flag {
        let commit = parse(Origin::Flag, value)?;
        let warnings = match head {
            Some(head) if *head != commit => {
                vec![format!("`--commit` names {commit}, but what is packed is the work tree, which is at {head}")]
            }
            Some(_) | None => Vec::new(),
        };
        return Ok(Chosen { commit, origin: Origin::Flag, warnings });
    }
    let named = match environment.get(VARIABLE) {
        Some(value) => Some((VARIABLE, parse(Origin::Variable(VARIABLE), value)?)),
        None => of_ci(environment)?,
    };
    match (named, head) {
        (Some((name, theirs)), Some(head)) if theirs != *head => {
            Err(CommitError::Disagree { origin: Origin::Variable(name), theirs, head: head.clone() })
        }
        (Some((name, commit)), _) => {
            let warnings = merge_warning(name, environment).into_iter().collect();
            Ok(Chosen { commit, origin: Origin::Variable(name), warnings })
        }
        (None, Some(head)) => Ok(Chosen { commit: head.clone(), origin: Origin::WorkTree, warnings: Vec::new() }),
        (None, None) => Err(CommitError::Unknown { looked: looked_at(environment) }),
    }
}

/// The time stamp of the bundle, seconds since 1970: `SOURCE_DATE_EPOCH`, else the commit's, else 1980-01-01.
pub(crate) fn time(environment: &Environment, of_commit: Option<i64>) -> Result<i64, CommitError> {
    match environment.get(EPOCH_VARIABLE) {
        Some(text) => text.parse().map_err(|_| CommitError::Epoch(text.to_owned())),
        None => Ok(of_commit.unwrap_or(ZIP_EPOCH)),
    }
}

fn parse(origin: Origin, value: &str) -> Result<CommitHash, CommitError> {
    value.parse().map_err(|_| CommitError::NotAHash { origin, value: value.to_owned() })
}

fn marked(environment: &Environment) -> impl Iterator<Item = &'static Ci> {
    CI_SYSTEMS.iter().filter(|ci| environment.get(ci.marker).is_some())
}

/// A runner of one system may itself run inside another (GitHub's runner on CodeBuild), so all that are marked are asked.
fn of_ci(environment: &Environment) -> Result<Option<(&'static str, CommitHash)>, CommitError> {
    let mut found: Option<(&'static str, CommitHash)> = None;
    for ci in marked(environment) {
        let Some(value) = environment.get(ci.variable) else { continue };
        let commit = parse(Origin::Variable(ci.variable), value)?;
        match found {
            Some(one) if one.1 != commit => return Err(CommitError::TwoSystems { one, other: (ci.variable, commit) }),
            Some(_) => {}
            None => found = Some((ci.variable, commit)),
        }
    }
    Ok(found)
}

/// The work tree of such a build *is* the merge, so its hash is the honest name; nobody will find it in a clone later.
fn merge_warning(variable: &str, environment: &Environment) -> Option<String> {
    let system = match variable {
        "GITHUB_SHA" if environment.get("GITHUB_EVENT_NAME") == Some("pull_request") => "GitHub",
        "CI_COMMIT_SHA"
            if matches!(environment.get("CI_MERGE_REQUEST_EVENT_TYPE"), Some("merged_result" | "merge_train")) =>
        {
            "GitLab"
        }
        _ => return None,
    };
    Some(format!(
        "`{variable}` is a merge that {system} made for this build alone and that no clone will have; check out the \
         author's commit, or build after the merge"
    ))
}

fn looked_at(environment: &Environment) -> String {
    let unset: Vec<String> = marked(environment).map(|ci| format!("`{}` ({})", ci.variable, ci.name)).collect();
    if unset.is_empty() {
        format!("no CI system is recognised, and `{VARIABLE}` is not set")
    } else {
        format!("neither `{VARIABLE}` nor {} is set", unset.join(" nor "))
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Failure {
        let (exit, hint) = match &error {
            CommitError::NotAHash { origin: Origin::Flag, .. } => {
                (Exit::Usage, "write the whole hash, as `git rev-parse HEAD` prints it".to_owned())
            }
            CommitError::NotAHash { origin: Origin::Variable(name), .. } => (Exit::Usage, not_a_hash_hint(name)),
            CommitError::NotAHash { origin: Origin::WorkTree, .. } => {
                (Exit::Failed, "name the commit with `--commit`".to_owned())
            }
            CommitError::Disagree { head, .. } => (
                Exit::Usage,
                format!("if the work tree is right, add `--commit {head}`; otherwise check out the other commit first"),
            ),
            CommitError::TwoSystems { .. } => (Exit::Usage, "say which one it is with `--commit`".to_owned()),
            CommitError::Unknown { .. } => (
                Exit::NotFound,
                format!(
                    "name the commit with `--commit` or `{VARIABLE}`; in CodePipeline, pass `#{{SourceVariables.CommitId}}`"
                ),
            ),
            CommitError::Epoch(_) => (
                Exit::Usage,
                format!("unset `{EPOCH_VARIABLE}`, or `export {EPOCH_VARIABLE}=$(git log -1 --format=%ct)`"),
            ),
        };
        Failure::new(exit, error).hint(hint)
    }
}

fn not_a_hash_hint(variable: &str) -> String {
    match variable {
        "CODEBUILD_RESOLVED_SOURCE_VERSION" => format!(
            "the source of this CodeBuild project is not git; set `{VARIABLE}` to the commit that the source was made from"
        ),
        "BUILDKITE_COMMIT" => {
            "Buildkite says `HEAD` when a build is started without a commit; add `--commit \"$(git rev-parse HEAD)\"`"
                .to_owned()
        }
        _ => "name the commit with `--commit`, for example `--commit \"$(git rev-parse HEAD)\"`".to_owned(),
    }
}

#[cfg(test)]
mod tests;
