use super::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const LONG: &str = "3333333333333333333333333333333333333333333333333333333333333333";

fn hash(text: &str) -> CommitHash {
    text.parse().unwrap()
}

fn choose_in(variables: &[(&str, &str)], flag: Option<&str>, head: Option<&str>) -> Result<Chosen, CommitError> {
    choose(flag, &Environment::of(variables), head.map(hash).as_ref())
}

#[test]
fn every_ci_system_is_recognised_by_its_marker_and_read_from_its_variable() {
    let table = [
        ("CODEBUILD_BUILD_ID", "CODEBUILD_RESOLVED_SOURCE_VERSION"),
        ("GITHUB_ACTIONS", "GITHUB_SHA"),
        ("GITLAB_CI", "CI_COMMIT_SHA"),
        ("BITBUCKET_BUILD_NUMBER", "BITBUCKET_COMMIT"),
        ("JENKINS_URL", "GIT_COMMIT"),
        ("CIRCLECI", "CIRCLE_SHA1"),
        ("TF_BUILD", "BUILD_SOURCEVERSION"),
        ("BUILDKITE", "BUILDKITE_COMMIT"),
        ("TRAVIS", "TRAVIS_COMMIT"),
    ];
    assert_eq!(table.len(), CI_SYSTEMS.len());
    for (marker, variable) in table {
        for head in [None, Some(ONE)] {
            let chosen = choose_in(&[(marker, "x"), (variable, ONE)], None, head).unwrap();
            let named = CI_SYSTEMS.iter().find(|ci| ci.variable == variable).unwrap().variable;
            assert_eq!(
                chosen,
                Chosen { commit: hash(ONE), origin: Origin::Variable(named), warnings: vec![] },
                "{variable}, head {head:?}"
            );
        }
        let unmarked = choose_in(&[(variable, ONE)], None, Some(TWO)).unwrap();
        assert_eq!(unmarked.origin, Origin::WorkTree, "{variable} without {marker}");
        let unset = choose_in(&[(marker, "x"), (variable, "")], None, Some(TWO)).unwrap();
        assert_eq!(unset.origin, Origin::WorkTree, "{variable} empty");
    }
}

#[test]
fn the_flag_beats_our_variable_beats_the_ci_system_beats_the_work_tree() {
    let ci = [("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", TWO)];
    let both = [ci[0], ci[1], (VARIABLE, ONE)];
    let origin = |variables: &[(&str, &str)], flag, head| choose_in(variables, flag, head).unwrap().origin;
    assert_eq!(origin(&both, Some(LONG), None), Origin::Flag);
    assert_eq!(origin(&both, None, Some(ONE)), Origin::Variable(VARIABLE));
    assert_eq!(origin(&ci, None, Some(TWO)), Origin::Variable("GITHUB_SHA"));
    assert_eq!(origin(&[], None, Some(TWO)), Origin::WorkTree);
}

#[test]
fn the_flag_may_contradict_the_work_tree_but_not_in_silence() {
    assert_eq!(choose_in(&[], Some(ONE), Some(ONE)).unwrap().warnings, Vec::<String>::new());
    assert_eq!(
        choose_in(&[], Some(ONE), Some(TWO)).unwrap().warnings,
        [format!("`--commit` names {ONE}, but what is packed is the work tree, which is at {TWO}")]
    );
}

#[test]
fn a_merge_that_the_ci_system_made_for_itself_is_named() {
    let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", ONE), ("GITHUB_EVENT_NAME", "pull_request")];
    let gitlab = [("GITLAB_CI", "true"), ("CI_COMMIT_SHA", ONE), ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result")];
    let train = [("GITLAB_CI", "true"), ("CI_COMMIT_SHA", ONE), ("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train")];
    for variables in [github, gitlab, train] {
        let chosen = choose_in(&variables, None, Some(ONE)).unwrap();
        assert_eq!((chosen.commit, chosen.warnings.len()), (hash(ONE), 1), "{variables:?}");
        assert_eq!(choose_in(&variables, Some(ONE), Some(ONE)).unwrap().warnings.len(), 0, "{variables:?}");
    }
    for (name, value) in [("GITHUB_EVENT_NAME", "push"), ("CI_MERGE_REQUEST_EVENT_TYPE", "detached")] {
        let plain = [("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", ONE), (name, value)];
        assert_eq!(choose_in(&plain, None, None).unwrap().warnings.len(), 0, "{name}={value}");
    }
}

#[test]
fn systems_inside_one_another_are_believed_when_they_agree() {
    let nested = |codebuild, github| {
        let variables = [
            ("CODEBUILD_BUILD_ID", "x"),
            ("CODEBUILD_RESOLVED_SOURCE_VERSION", codebuild),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", github),
        ];
        choose_in(&variables, None, None)
    };
    assert_eq!(nested(ONE, ONE).unwrap().commit, hash(ONE));
    assert_eq!(nested("", ONE).unwrap().origin, Origin::Variable("GITHUB_SHA"));
    assert_eq!(
        nested(ONE, TWO),
        Err(CommitError::TwoSystems {
            one: ("CODEBUILD_RESOLVED_SOURCE_VERSION", hash(ONE)),
            other: ("GITHUB_SHA", hash(TWO)),
        })
    );
}

#[test]
fn every_refusal_says_what_was_found_and_what_to_do() {
    let upper = "ABCDEF0123456789abcdef0123456789abcdef01";
    let s3 = "arn:aws:s3:::bucket/source.zip";
    let cases: Vec<(&str, Result<Chosen, CommitError>)> = vec![
        ("a short flag", choose_in(&[], Some("1111111"), Some(ONE))),
        ("an upper-case flag", choose_in(&[], Some(upper), None)),
        ("our variable is a branch", choose_in(&[(VARIABLE, "main")], None, Some(ONE))),
        (
            "CodeBuild with an S3 source",
            choose_in(&[("CODEBUILD_BUILD_ID", "x"), ("CODEBUILD_RESOLVED_SOURCE_VERSION", s3)], None, None),
        ),
        ("Buildkite says HEAD", choose_in(&[("BUILDKITE", "true"), ("BUILDKITE_COMMIT", "HEAD")], None, Some(ONE))),
        (
            "a pull_request_target build that checked out the author's commit",
            choose_in(&[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", ONE)], None, Some(TWO)),
        ),
        ("our variable contradicts the work tree", choose_in(&[(VARIABLE, ONE)], None, Some(TWO))),
        (
            "two systems",
            choose_in(&[("CIRCLECI", "1"), ("CIRCLE_SHA1", ONE), ("TRAVIS", "1"), ("TRAVIS_COMMIT", TWO)], None, None),
        ),
        ("nothing at all", choose_in(&[], None, None)),
        ("CodePipeline without a clone", choose_in(&[("CODEBUILD_BUILD_ID", "x")], None, None)),
    ];
    let mut text = String::new();
    for (name, outcome) in cases {
        let failure = Failure::from(outcome.expect_err(name));
        text.push_str(&format!("# {name} (exit {})\n{}\n", failure.exit as u8, failure.to_text()));
    }
    let epoch = Failure::from(time(&Environment::of(&[(EPOCH_VARIABLE, "yesterday")]), None).unwrap_err());
    text.push_str(&format!("# an epoch that is no number (exit {})\n{}\n", epoch.exit as u8, epoch.to_text()));
    insta::assert_snapshot!(text);
}

#[test]
fn the_time_is_the_epoch_variable_then_the_commits_then_1980() {
    let epoch = Environment::of(&[(EPOCH_VARIABLE, "1700000000")]);
    assert_eq!(time(&epoch, Some(5)), Ok(1_700_000_000));
    assert_eq!(time(&Environment::default(), Some(1_600_000_000)), Ok(1_600_000_000));
    assert_eq!(time(&Environment::default(), None), Ok(315_532_800));
}

#[test]
fn a_sha256_repository_has_longer_hashes() {
    assert_eq!(choose_in(&[], None, Some(LONG)).unwrap().commit, hash(LONG));
}
