use longshore_core::bundle::Limits;
use longshore_core::bundle::pack::{PackFile, PackOptions, pack};

use super::*;

/// An artifact in a folder: what it holds depends on nothing but this file.
fn artifact(folder: &Path) -> Bundle {
    let source = folder.join("app");
    std::fs::write(&source, "the application").unwrap();
    let digest = Some(format!("sha256:{}", "d".repeat(64)));
    let image = |service: &str, digest| ManifestImage {
        group: "prod".parse().unwrap(),
        service: service.to_owned(),
        image: format!("registry.example/{service}:1"),
        digest,
    };
    let options = PackOptions {
        application: "shop".parse().unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        dirty: true,
        time: 0,
        images: vec![image("db", None), image("web", digest)],
        threads: 1,
    };
    let path = folder.join("shop.zip");
    let files = vec![PackFile { path: "app".parse().unwrap(), from: source }];
    pack(files, &options, &path, &|_| ()).unwrap();
    Bundle::open(&path, &Limits::default()).unwrap()
}

fn statement_of(bundle: &Bundle) -> Value {
    let described = Described {
        artifact: &bundle.path,
        manifest: bundle.manifest.as_ref().unwrap(),
        archive_digest: bundle.archive_digest.unwrap(),
        origin: Some("https://me:secret@git.example/shop.git"),
        command_line: &["build".to_owned(), "--provenance".to_owned()],
    };
    statement(
        &described,
        &Environment::of(&[("GITLAB_CI", "1"), ("CI_JOB_URL", "https://g/7"), ("CI_SERVER_URL", "https://g")]),
    )
}

#[test]
fn a_statement_tells_commit_images_command_line_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = artifact(folder.path());
    let text = serde_json::to_string_pretty(&statement_of(&bundle)).unwrap();
    let text = text.replace(&bundle.archive_digest.unwrap().to_string(), "[archive]");
    insta::assert_snapshot!(text.replace(&bundle.content_digest.to_string(), "[content]"));
}

#[test]
fn a_statement_about_something_else_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = artifact(folder.path());
    let right = statement_of(&bundle);
    let checked = check(right.to_string().as_bytes(), &bundle).unwrap();
    let expected = Provenance {
        builder: "https://g".into(),
        run: Some("https://g/7".into()),
        repository: Some("git+https://git.example/shop.git".into()),
    };
    assert_eq!(checked, expected);
    let zeros = "0".repeat(64);
    let definition = "/predicate/buildDefinition/resolvedDependencies";
    for (at, value, expected) in [
        (
            "/_type".to_owned(),
            json!("x"),
            "its `_type` is \"x\", and must be `https://in-toto.io/Statement/v1`".to_owned(),
        ),
        (
            "/predicateType".into(),
            json!(null),
            "its `predicateType` is null, and must be `https://slsa.dev/provenance/v1`".into(),
        ),
        ("/subject".into(), json!([]), ProvenanceError::Subject(bundle.archive_digest.unwrap()).to_string()),
        (
            "/subject/0/digest/sha256".into(),
            json!(zeros),
            ProvenanceError::Subject(bundle.archive_digest.unwrap()).to_string(),
        ),
        (
            "/subject/0/annotations/contentDigest".into(),
            json!(zeros),
            "it names another content digest than the artifact has".into(),
        ),
        (
            format!("{definition}/0/digest/gitCommit"),
            json!(zeros),
            "it names another commit than the artifact has".into(),
        ),
        (
            format!("{definition}/1/digest/sha256"),
            json!(zeros),
            "it names another list of images than the artifact has".into(),
        ),
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(&at).unwrap() = value;
        assert_eq!(check(wrong.to_string().as_bytes(), &bundle).unwrap_err().to_string(), expected, "{at}");
    }
    assert_eq!(check(b"{", &bundle).unwrap_err().to_string(), "it is no JSON");
}
