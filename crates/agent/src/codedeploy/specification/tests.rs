use std::error::Error;

use serde_json::json;

use super::super::command::Envelope;
use super::*;

/// A specification as the service makes it.
fn whole() -> Value {
    json!({
        "DeploymentId": "d-4QX7R2M1K",
        "DeploymentGroupId": "6f9c2a3e-0d1b-4c55-9d4e-5f2f8f6a7b10",
        "DeploymentGroupName": "dev",
        "ApplicationName": "shop",
        "Revision": {
            "RevisionType": "S3",
            "S3Revision": {"Bucket": "bundles", "Key": "shop/1.zip", "BundleType": "zip", "ETag": "\"0123abcd\"", "Version": "v.1"},
        },
    })
}

fn with(fields: Value) -> Value {
    let (Value::Object(mut whole), Value::Object(fields)) = (whole(), fields) else { panic!("both are objects") };
    whole.extend(fields);
    Value::Object(whole)
}

fn of(value: &Value) -> Specified {
    parse(value.to_string().as_bytes(), &Policy::default()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn refused(value: &Value) -> String {
    let error = parse(value.to_string().as_bytes(), &Policy::default()).expect_err(&value.to_string());
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn revision(value: Value) -> Value {
    with(Value::from_iter([("Revision", value)]))
}

fn object(s3: Value) -> Value {
    revision(Value::from_iter([("RevisionType", "S3".into()), ("S3Revision", s3)]))
}

fn commit(github: Value) -> Value {
    revision(Value::from_iter([("RevisionType", "GitHub".into()), ("GitHubRevision", github)]))
}

#[test]
fn a_specification_becomes_an_order_whose_events_wait_to_be_asked_for() {
    let policy = Policy { keep: 7, ..Policy::default() };
    let Specified { order, github_token, warnings } = parse(whole().to_string().as_bytes(), &policy).unwrap();
    let expected = Order {
        deployment: "d-4QX7R2M1K".parse().unwrap(),
        number: 0,
        application: "shop".parse().unwrap(),
        group: Group { id: "6f9c2a3e-0d1b-4c55-9d4e-5f2f8f6a7b10".parse().unwrap(), name: "dev".parse().unwrap() },
        revision: Revision::Object("s3://bundles/shop/1.zip?versionId=v.1&etag=0123abcd".to_owned()),
        events: LifecycleEvent::ALL.to_vec(),
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists: FileExists::Disallow,
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: None,
        appspec_name: None,
        policy,
        pace: Pace::OnCommand,
        reuse: None,
        possible_events: None,
        blue_green: false,
    };
    assert_eq!(order, expected);
    assert_eq!((github_token, warnings), (None, Vec::new()));
}

#[test]
fn every_field_that_may_be_there_is_read_and_unknown_ones_are_passed_over() {
    let Specified { order, github_token, warnings } = of(&with(json!({
        "DeploymentId": "arn:aws:codedeploy:eu-west-1:123456789012:deployment/d-ARN",
        "DeploymentCreator": "codeDeployRollback",
        "DeploymentType": "BLUE_GREEN",
        "AppSpecFilename": "deploy/appspec.dev.yml",
        "AllPossibleLifecycleEvents": ["ApplicationStop", "Install"],
        "AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": "Retain", "Other": 1}},
        "GitHubAccessToken": "t0ken",
        "ReuseArchiveFromDeploymentId": "d-OLD",
        "Future": {"a": [1, 2]},
    })));
    assert_eq!(order.deployment.as_str(), "d-ARN");
    assert_eq!(order.scripts_map, ScriptsMap::BlueGreenRollback);
    assert!(order.blue_green);
    assert_eq!(order.appspec_name, Some("deploy/appspec.dev.yml".parse().unwrap()));
    assert_eq!(order.possible_events, Some(vec!["ApplicationStop".to_owned(), "Install".to_owned()]));
    assert_eq!(order.file_exists, FileExists::Retain);
    assert_eq!(order.reuse, Some("d-OLD".parse().unwrap()));
    assert_eq!((github_token.as_deref(), warnings), (Some("t0ken"), Vec::new()));
}

#[test]
fn what_is_null_or_empty_is_not_there() {
    let expected = of(&whole()).order;
    for field in [
        "DeploymentCreator",
        "DeploymentType",
        "AppSpecFilename",
        "AllPossibleLifecycleEvents",
        "AgentActionOverrides",
        "GitHubAccessToken",
        "ReuseArchiveFromDeploymentId",
    ] {
        assert_eq!(of(&with(json!({ field: null }))).order, expected, "{field}");
    }
    for empty in [
        json!({"AllPossibleLifecycleEvents": []}),
        json!({"GitHubAccessToken": ""}),
        json!({"AppSpecFilename": "appspec.yml"}),
        json!({"AgentActionOverrides": {}}),
        json!({"AgentActionOverrides": {"AgentOverrides": {}}}),
        json!({"AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": null}}}),
    ] {
        let Specified { order, github_token, warnings } = of(&with(empty.clone()));
        assert_eq!((order, github_token, warnings), (expected.clone(), None, Vec::new()), "{empty}");
    }
}

#[test]
fn scripts_come_from_the_other_side_only_in_a_rollback_of_blue_and_green() {
    let map = |creator: &str, kind: &str| {
        of(&with(json!({"DeploymentCreator": creator, "DeploymentType": kind}))).order.scripts_map
    };
    assert_eq!(map("codeDeployRollback", "BLUE_GREEN"), ScriptsMap::BlueGreenRollback);
    for (creator, kind) in
        [("codeDeployRollback", "IN_PLACE"), ("user", "BLUE_GREEN"), ("autoscaling", "IN_PLACE"), ("", "")]
    {
        assert_eq!(map(creator, kind), ScriptsMap::InPlace, "{creator} {kind}");
    }
}

#[test]
fn a_behaviour_towards_files_is_known_in_any_case_and_an_unknown_one_is_the_safe_one_with_a_warning() {
    let behaviour =
        |word: &str| of(&with(json!({"AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": word}}})));
    for (word, expected) in [
        ("OVERWRITE", FileExists::Overwrite),
        ("overwrite", FileExists::Overwrite),
        ("Retain", FileExists::Retain),
        ("DISALLOW", FileExists::Disallow),
    ] {
        let Specified { order, warnings, .. } = behaviour(word);
        assert_eq!((order.file_exists, warnings), (expected, Vec::new()), "{word}");
    }
    let Specified { order, warnings, .. } = behaviour("REPLACE");
    assert_eq!(order.file_exists, FileExists::Disallow);
    assert_eq!(warnings, ["`FileExistsBehavior` is `REPLACE`, which there is not; taken as `DISALLOW`"]);
}

#[test]
fn every_kind_of_revision_is_read() {
    let github = |archive| {
        let [account, repository, commit] = ["acme", "shop", "0123abc"].map(str::to_owned);
        Revision::GitHub(GitHub { account, repository, commit, archive })
    };
    let commit_of = |kind: Value| {
        commit(json!({"Account": "acme", "Repository": "shop", "CommitId": "0123abc", "BundleType": kind,
                      "Anonymous": false, "OAuthToken": "t0ken"}))
    };
    let local = |kind: &str, location: &str| {
        revision(json!({"RevisionType": kind, "LocalRevision": {"Location": location, "BundleType": "directory"}}))
    };
    let table = [
        (
            object(json!({"Bucket": "bundles", "Key": "a b%20c/ä.tgz", "BundleType": "tgz"})),
            Revision::Object("s3://bundles/a b%20c/ä.tgz".to_owned()),
        ),
        (
            object(
                json!({"Bucket": "bundles", "Key": "1.tar", "BundleType": "tar", "Version": "null", "ETag": "ab-2"}),
            ),
            Revision::Object("s3://bundles/1.tar?versionId=null&etag=ab-2".to_owned()),
        ),
        (
            object(json!({"Bucket": "bundles", "Key": "1", "Version": null, "ETag": null})),
            Revision::Object("s3://bundles/1".to_owned()),
        ),
        (commit_of(json!(null)), github(Archive::Tarball)),
        (commit_of(json!("tar")), github(Archive::Tarball)),
        (commit_of(json!("zip")), github(Archive::Zipball)),
        (local("Local File", "/srv/1.zip"), Revision::Local("/srv/1.zip".into())),
        (local("Local Directory", "/srv/shop"), Revision::Local("/srv/shop".into())),
    ];
    for (value, expected) in table {
        let Specified { order, warnings, .. } = of(&value);
        assert_eq!((order.revision, warnings), (expected, Vec::new()), "{value}");
    }
    let Specified { warnings, .. } = of(&object(json!({"Bucket": "bundles", "Key": "1", "BundleType": "rar"})));
    assert_eq!(warnings, ["`BundleType` is `rar`, which there is not; the bundle's first bytes say what it is"]);
}

#[test]
fn ids_and_names_that_could_leave_their_place_are_refused() {
    let id = |field: &str, id: &str| refused(&with(json!({ field: id })));
    let no_folder = "which has no place in a folder name";
    let table = [
        (id("DeploymentId", "../../evil"), format!("the specification's `DeploymentId` is refused: deployment id `../../evil` has the character '/', {no_folder}")),
        (id("DeploymentId", "arn:aws:codedeploy:r:1:deployment/../evil"), format!("the specification's `DeploymentId` is refused: deployment id `../evil` has the character '/', {no_folder}")),
        (id("DeploymentId", ".."), "the specification's `DeploymentId` is refused: deployment id `..` begins with a dot".to_owned()),
        (id("DeploymentId", "arn:aws:s3:::x"), "the specification's `DeploymentId` is an ARN without a deployment's id".to_owned()),
        (id("DeploymentGroupId", "groups"), "the specification's `DeploymentGroupId` is refused: deployment group id `groups` is the name of a folder of the agent itself".to_owned()),
        (id("DeploymentGroupId", "a/../b"), format!("the specification's `DeploymentGroupId` is refused: deployment group id `a/../b` has the character '/', {no_folder}")),
        (id("ReuseArchiveFromDeploymentId", "../d"), format!("the specification's `ReuseArchiveFromDeploymentId` is refused: deployment id `../d` has the character '/', {no_folder}")),
        (id("ApplicationName", ".hidden"), "the specification's `ApplicationName` is refused: application name `.hidden` begins with a dot".to_owned()),
        (id("AppSpecFilename", "../appspec.yml"), "the specification's `AppSpecFilename` is refused: path \"../appspec.yml\" leaves the bundle with `..`".to_owned()),
        (id("AppSpecFilename", "a/../../x"), "the specification's `AppSpecFilename` is refused: path \"a/../../x\" leaves the bundle with `..`".to_owned()),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let gone = |field: &str| {
        let mut value = whole();
        value.as_object_mut().unwrap().remove(field);
        refused(&value)
    };
    for field in ["DeploymentId", "DeploymentGroupId", "DeploymentGroupName", "ApplicationName", "Revision"] {
        assert_eq!(gone(field), format!("the specification has no `{field}`"));
        assert_eq!(refused(&with(json!({ field: null }))), format!("the specification has no `{field}`"));
    }
    let table = [
        (with(json!({"DeploymentId": ""})), "the specification has no `DeploymentId`"),
        (with(json!({"DeploymentId": 7})), "the specification's `DeploymentId` is not a text"),
        (with(json!({"Revision": "x"})), "the specification's `Revision` is not an object"),
        (
            with(json!({"AllPossibleLifecycleEvents": "Install"})),
            "the specification's `AllPossibleLifecycleEvents` is not a list of texts",
        ),
        (
            with(json!({"AllPossibleLifecycleEvents": [1]})),
            "the specification's `AllPossibleLifecycleEvents` is not a list of texts",
        ),
        (with(json!({"AgentActionOverrides": []})), "the specification's `AgentActionOverrides` is not an object"),
        (revision(json!({})), "the specification has no `RevisionType`"),
        (
            revision(json!({"RevisionType": "AppSpecContent"})),
            "the specification's `RevisionType` is `AppSpecContent`, and not `S3` or `GitHub`",
        ),
        (revision(json!({"RevisionType": "S3"})), "the specification has no `S3Revision`"),
        (object(json!({"Bucket": "bundles"})), "the specification has no `Key`"),
        (object(json!({"Key": "1.zip"})), "the specification has no `Bucket`"),
        (
            object(json!({"Bucket": "bundles", "Key": "a?versionId=2"})),
            "the specification's `S3Revision` has the key `a?versionId=2`, which cannot be written as an address; store it under another",
        ),
        (
            object(json!({"Bucket": "bundles", "Key": "a", "Version": "1&etag=2"})),
            "the specification's `S3Revision` has the key `a`, which cannot be written as an address; store it under another",
        ),
        (
            object(json!({"Bucket": "a/b", "Key": "c"})),
            "the specification's `S3Revision` is refused: `s3://a/b/c` has `a` where a bucket should be; its name has at least 3 letters, digits, `.`, `-` or `_`",
        ),
        (commit(json!({"Account": "acme", "Repository": "shop"})), "the specification has no `CommitId`"),
        (
            commit(json!({"Account": "acme", "Repository": "a/b", "CommitId": "c"})),
            "the specification's `GitHubRevision` is refused: `https://api.github.com/repos/acme/a/b/tarball/c` names more than a repository and a commit",
        ),
        (
            commit(json!({"Account": "..", "Repository": "a", "CommitId": "c"})),
            "the specification's `GitHubRevision` is refused: `https://api.github.com/repos/../a/tarball/c` has `..` where a name should be",
        ),
        (
            commit(json!({"Account": "acme", "Repository": "a", "CommitId": "c", "BundleType": "directory"})),
            "the specification's `BundleType` is `directory`, and GitHub makes `tar` and `zip`",
        ),
        (
            revision(json!({"RevisionType": "Local File", "LocalRevision": {"Location": "etc"}})),
            "the specification's `Location` is `etc`, which is not absolute",
        ),
    ];
    for (value, expected) in table {
        assert_eq!(refused(&value), expected, "{value}");
    }
    let (no_json, no_object) = ("the specification is no JSON", "the specification is no JSON object");
    for (bytes, expected) in
        [("", no_json), ("[]", no_object), ("7", no_object), ("{", no_json), ("{\"a\":1}x", no_json)]
    {
        let error = parse(bytes.as_bytes(), &Policy::default()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{bytes}");
    }
}

#[test]
fn secrets_are_in_no_error_and_in_no_debug_form() {
    let value = with(json!({
        "GitHubAccessToken": "s3cret",
        "Revision": {"RevisionType": "GitHub", "GitHubRevision": {
            "Account": "a", "Repository": "b", "CommitId": "c", "Anonymous": false, "OAuthToken": "s3cret",
        }},
    }));
    assert!(!format!("{:?}", of(&value)).contains("s3cret"));
    for value in [with(json!({"GitHubAccessToken": ["s3cret"]})), json!({"GitHubAccessToken": "s3cret"})] {
        assert!(!refused(&value).contains("s3cret"));
    }
    for broken in [r#"{"GitHubAccessToken": "s3cret"#, r#"["s3cret"]"#, r#""s3cret""#] {
        let error = parse(broken.as_bytes(), &Policy::default()).unwrap_err();
        let source = error.source().map(ToString::to_string);
        assert!(!format!("{error:?} {error} {source:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn what_is_not_signed_or_not_for_us_is_refused_under_every_check() {
    let envelope = |format: &str| Some(Envelope { format: format.to_owned(), payload: whole().to_string() });
    let system = Some("CodeDeploy".to_owned());
    let table = [
        (None, envelope("PKCS7/JSON"), "the deployment is one of ``, and not of `CodeDeploy`"),
        (Some("Other".to_owned()), None, "the deployment is one of `Other`, and not of `CodeDeploy`"),
        (system.clone(), None, "CodeDeploy sent no specification of the deployment"),
        (
            system.clone(),
            envelope("TEXT/JSON"),
            "the specification has the format `TEXT/JSON`, and only `PKCS7/JSON`, which is signed, is taken",
        ),
        (system, envelope("PKCS7/JSON"), "the specification's signature is refused"),
    ];
    for (system, envelope, expected) in table {
        let specification = Specification { system, envelope };
        for check in [SignatureCheck::Chain(None), SignatureCheck::Content, SignatureCheck::Unchecked] {
            let error = read(&specification, &check, &Policy::default(), SystemTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.to_string(), expected, "{check:?}");
        }
    }
}
