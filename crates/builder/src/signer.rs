//! Who moves a pointer: the job that a CI system says it is, or a user on a host. Pure.

use crate::environment::Environment;

/// A CI system: how it is recognised, who started the job, and what names the job.
struct Ci {
    name: &'static str,
    marker: &'static str,
    person: &'static str,
    /// The first that is set names the job.
    job: &'static [&'static str],
}

const CI_SYSTEMS: [Ci; 9] = [
    // GitHub's runner may itself run on CodeBuild.
    Ci { name: "GitHub Actions", marker: "GITHUB_ACTIONS", person: "GITHUB_ACTOR", job: &["GITHUB_RUN_ID"] },
    Ci { name: "GitLab CI", marker: "GITLAB_CI", person: "GITLAB_USER_LOGIN", job: &["CI_JOB_URL", "CI_JOB_ID"] },
    Ci {
        name: "Bitbucket Pipelines",
        marker: "BITBUCKET_BUILD_NUMBER",
        person: "BITBUCKET_STEP_TRIGGERER_UUID",
        job: &["BITBUCKET_BUILD_NUMBER"],
    },
    Ci { name: "Jenkins", marker: "JENKINS_URL", person: "BUILD_USER_ID", job: &["BUILD_URL", "BUILD_TAG"] },
    Ci {
        name: "CircleCI",
        marker: "CIRCLECI",
        person: "CIRCLE_USERNAME",
        job: &["CIRCLE_BUILD_URL", "CIRCLE_BUILD_NUM"],
    },
    Ci { name: "Azure Pipelines", marker: "TF_BUILD", person: "BUILD_REQUESTEDFOR", job: &["BUILD_BUILDID"] },
    Ci {
        name: "Buildkite",
        marker: "BUILDKITE",
        person: "BUILDKITE_BUILD_CREATOR",
        job: &["BUILDKITE_BUILD_URL", "BUILDKITE_BUILD_NUMBER"],
    },
    Ci {
        name: "Travis CI",
        marker: "TRAVIS",
        person: "TRAVIS_USER",
        job: &["TRAVIS_BUILD_WEB_URL", "TRAVIS_BUILD_ID"],
    },
    Ci {
        name: "AWS CodeBuild",
        marker: "CODEBUILD_BUILD_ID",
        person: "CODEBUILD_INITIATOR",
        job: &["CODEBUILD_BUILD_ID"],
    },
];

/// Who does it. `local`: the user and the host, which count where no CI system is recognised.
pub(crate) fn signer(environment: &Environment, local: impl FnOnce() -> (String, String)) -> String {
    let Some(ci) = CI_SYSTEMS.iter().find(|ci| environment.get(ci.marker).is_some()) else {
        let (user, host) = local();
        return format!("{user}@{host}");
    };
    let mut text = environment.get(ci.person).map(|person| format!("{person}, ")).unwrap_or_default();
    text.push_str(ci.name);
    if let Some(job) = ci.job.iter().find_map(|name| environment.get(name)) {
        text.push(' ');
        text.push_str(job);
    }
    if ci.name == "GitHub Actions"
        && let Some(repository) = environment.get("GITHUB_REPOSITORY")
    {
        text.push_str(" of ");
        text.push_str(repository);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_as_its_ci_system_names_it_and_a_user_by_the_host() {
        for (variables, expected) in [
            (&[][..], "me@laptop"),
            (
                &[("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", "octo"), ("GITHUB_RUN_ID", "42")],
                "octo, GitHub Actions 42",
            ),
            (
                &[
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_RUN_ID", "42"),
                    ("GITHUB_REPOSITORY", "o/r"),
                    ("CODEBUILD_BUILD_ID", "x"),
                ],
                "GitHub Actions 42 of o/r",
            ),
            (
                &[
                    ("GITLAB_CI", "true"),
                    ("GITLAB_USER_LOGIN", "ann"),
                    ("CI_JOB_ID", "7"),
                    ("CI_JOB_URL", "https://g/7"),
                ],
                "ann, GitLab CI https://g/7",
            ),
            (
                &[("CODEBUILD_BUILD_ID", "shop:1"), ("CODEBUILD_INITIATOR", "pipeline/x")],
                "pipeline/x, AWS CodeBuild shop:1",
            ),
            (&[("TF_BUILD", "True")], "Azure Pipelines"),
        ] {
            let local = || ("me".to_owned(), "laptop".to_owned());
            assert_eq!(signer(&Environment::of(variables), local), expected);
        }
    }
}
