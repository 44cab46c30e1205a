//! What CI systems say of a run: who builds, which run it is, which repository. Pure. No credentials get through.

use crate::environment::Environment;

/// A run of a CI system, or a build by hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// A URI for who builds.
    pub(super) builder: String,
    /// A URI for the run.
    pub(super) url: Option<String>,
    /// The repository as the CI system names it.
    pub(super) repository: Option<String>,
}

/// Who builds outside of CI.
const BY_HAND: &str = "urn:longshore:builder:unidentified";

/// A CI system. In its texts `{NAME}` stands for a variable; a text with one that is not set says nothing.
struct Ci {
    marker: &'static str,
    builder: &'static [&'static str],
    url: &'static [&'static str],
    repository: &'static str,
}

const CI_SYSTEMS: [Ci; 9] = [
    // GitHub's runner may itself run on CodeBuild.
    Ci {
        marker: "GITHUB_ACTIONS",
        builder: &["https://github.com/actions/runner/{RUNNER_ENVIRONMENT}", "https://github.com/actions/runner"],
        url: &[
            "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}/attempts/{GITHUB_RUN_ATTEMPT}",
            "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
        ],
        repository: "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}",
    },
    Ci {
        marker: "GITLAB_CI",
        builder: &["{CI_PROJECT_URL}/-/runners/{CI_RUNNER_ID}", "{CI_SERVER_URL}"],
        url: &["{CI_JOB_URL}"],
        repository: "{CI_PROJECT_URL}",
    },
    Ci {
        marker: "BITBUCKET_BUILD_NUMBER",
        builder: &["https://bitbucket.org"],
        url: &["{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}"],
        repository: "{BITBUCKET_GIT_HTTP_ORIGIN}",
    },
    Ci { marker: "JENKINS_URL", builder: &["{JENKINS_URL}"], url: &["{BUILD_URL}"], repository: "{GIT_URL}" },
    Ci {
        marker: "CIRCLECI",
        builder: &["https://circleci.com"],
        url: &["{CIRCLE_BUILD_URL}"],
        repository: "{CIRCLE_REPOSITORY_URL}",
    },
    Ci {
        marker: "TF_BUILD",
        builder: &["{SYSTEM_COLLECTIONURI}", "https://dev.azure.com"],
        url: &["{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}"],
        repository: "{BUILD_REPOSITORY_URI}",
    },
    Ci {
        marker: "BUILDKITE",
        builder: &["https://buildkite.com"],
        url: &["{BUILDKITE_BUILD_URL}"],
        repository: "{BUILDKITE_REPO}",
    },
    Ci {
        marker: "TRAVIS",
        builder: &["https://travis-ci.com"],
        url: &["{TRAVIS_BUILD_WEB_URL}"],
        repository: "https://github.com/{TRAVIS_REPO_SLUG}",
    },
    Ci {
        marker: "CODEBUILD_BUILD_ID",
        builder: &["https://codebuild.{AWS_REGION}.amazonaws.com", "https://aws.amazon.com/codebuild"],
        url: &["{CODEBUILD_BUILD_ARN}", "{CODEBUILD_BUILD_ID}"],
        repository: "{CODEBUILD_SOURCE_REPO_URL}",
    },
];

/// The run that the environment tells of.
pub(super) fn run(environment: &Environment) -> Run {
    let Some(ci) = CI_SYSTEMS.iter().find(|ci| environment.get(ci.marker).is_some()) else {
        return Run { builder: BY_HAND.to_owned(), url: None, repository: None };
    };
    let first = |texts: &[&str]| texts.iter().find_map(|text| filled(text, environment));
    Run {
        builder: first(ci.builder).map_or_else(|| BY_HAND.to_owned(), |text| without_secrets(&text)),
        url: first(ci.url).map(|text| without_secrets(&text)),
        repository: filled(ci.repository, environment),
    }
}

fn filled(text: &str, environment: &Environment) -> Option<String> {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}')?;
        filled.push_str(environment.get(name)?);
        filled.push_str(rest);
    }
    Some(filled)
}

/// The URI of a repository, `git+https://host/path`, without user, password and query. `None`: it is a path on this machine.
pub(super) fn repository(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some(("file", _)) => return None,
        Some((scheme, rest)) => (scheme.strip_prefix("git+").unwrap_or(scheme), rest.to_owned()),
        // As scp writes it: `git@host:path`.
        None => {
            let (host, path) = text.split_once(':').filter(|(host, _)| !host.contains('/'))?;
            ("ssh", format!("{host}/{}", path.trim_start_matches('/')))
        }
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    (!host.is_empty()).then(|| format!("git+{scheme}://{host}/{}", path.trim_end_matches('/')))
}

/// A text in which no URL has a user or a password.
pub(super) fn without_secrets(text: &str) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{before}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_as_its_ci_system_names_it() {
        let by_hand = [BY_HAND, "", ""];
        for (variables, expected) in [
            (&[][..], by_hand),
            (
                &[
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_SERVER_URL", "https://github.com"),
                    ("GITHUB_REPOSITORY", "o/r"),
                    ("GITHUB_RUN_ID", "42"),
                    ("GITHUB_RUN_ATTEMPT", "2"),
                    ("RUNNER_ENVIRONMENT", "github-hosted"),
                    ("CODEBUILD_BUILD_ID", "x"),
                ],
                [
                    "https://github.com/actions/runner/github-hosted",
                    "https://github.com/o/r/actions/runs/42/attempts/2",
                    "https://github.com/o/r",
                ],
            ),
            (
                &[
                    ("GITLAB_CI", "true"),
                    ("CI_PROJECT_URL", "https://g/p"),
                    ("CI_RUNNER_ID", "3"),
                    ("CI_JOB_URL", "https://g/p/-/jobs/7"),
                ],
                ["https://g/p/-/runners/3", "https://g/p/-/jobs/7", "https://g/p"],
            ),
            (
                &[("JENKINS_URL", "https://me:secret@j/"), ("BUILD_URL", "https://me:secret@j/job/7")],
                ["https://j/", "https://j/job/7", ""],
            ),
            (
                &[
                    ("CODEBUILD_BUILD_ID", "shop:1"),
                    ("AWS_REGION", "eu-west-1"),
                    ("CODEBUILD_BUILD_ARN", "arn:aws:codebuild:eu-west-1:123456789012:build/shop:1"),
                    ("CODEBUILD_SOURCE_REPO_URL", "https://github.com/o/r.git"),
                ],
                [
                    "https://codebuild.eu-west-1.amazonaws.com",
                    "arn:aws:codebuild:eu-west-1:123456789012:build/shop:1",
                    "https://github.com/o/r.git",
                ],
            ),
        ] {
            let Run { builder, url, repository } = run(&Environment::of(variables));
            let found = [builder, url.unwrap_or_default(), repository.unwrap_or_default()];
            assert_eq!(found, expected, "{variables:?}");
        }
    }

    #[test]
    fn a_repository_is_named_without_credentials() {
        for (text, expected) in [
            ("https://github.com/o/r.git", Some("git+https://github.com/o/r.git")),
            ("https://x-access-token:ghs_secret@github.com/o/r", Some("git+https://github.com/o/r")),
            ("https://user:p@ss@host:8443/o/r/?token=secret#x", Some("git+https://host:8443/o/r")),
            ("git@github.com:o/r.git", Some("git+ssh://github.com/o/r.git")),
            ("ssh://git@host:2222/o/r", Some("git+ssh://host:2222/o/r")),
            ("git+https://host/r", Some("git+https://host/r")),
            ("/srv/git/shop", None),
            ("../shop", None),
            ("file:///srv/git/shop", None),
        ] {
            assert_eq!(repository(text).as_deref(), expected, "{text}");
        }
        assert_eq!(without_secrets("--to=https://me:secret@host/x?y"), "--to=https://host/x?y");
        assert_eq!(without_secrets("s3://artifacts/a@b"), "s3://artifacts/a@b");
    }
}
