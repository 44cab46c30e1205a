//! What a push leaves in a bucket: of racing pushes, of one that is refused or interrupted, and in which order.

use std::process::Child;

use e2e::gate::{Gate, Rule};

use super::*;

const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1700000000");

fn completes(line: &str) -> bool {
    line.starts_with("POST ") && line.contains("uploadId=")
}

fn stores(line: &str, ending: &str) -> bool {
    line.starts_with("PUT ") && line.split(['?', ' ']).nth(1).is_some_and(|path| path.ends_with(ending))
}

fn key(ending: &str) -> String {
    format!("pre/shop/{COMMIT}.zip{ending}")
}

impl Bench {
    /// The same bucket, and a project of this many bytes of this content in a folder of its own.
    fn twin(&self, bytes: u64, skipped: usize) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let twin = Bench { bucket: self.bucket.clone(), client: self.client.clone(), dir };
        twin.project(0);
        twin.file("large", &noise(bytes + 7)[skipped..]);
        twin
    }

    fn keygen(&self) -> PathBuf {
        let key = self.dir.path().join("one.key");
        let made = self.longshore("", &["keygen", "--no-password", key.to_str().unwrap()]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        key
    }

    fn artifact(&self) -> PathBuf {
        self.dir.path().join(format!("dist/shop-{COMMIT}.zip"))
    }

    /// Leaves what stands under the commit as if it had been stored while it was packed: its digests are not known.
    async fn forget_digests(&self) {
        let copy = self.client.copy_object().bucket(&self.bucket).key(key(""));
        let copy = copy.copy_source(format!("{}/{}", self.bucket, key(""))).metadata("commit", COMMIT);
        copy.metadata_directive(aws_sdk_s3::types::MetadataDirective::Replace).send().await.unwrap();
    }

    /// What stands below the keys of the artifact, by ending.
    async fn endings(&self) -> Vec<String> {
        let whole = key("");
        self.keys().await.iter().map(|key| key.strip_prefix(&whole).unwrap().to_owned()).collect()
    }
}

/// Both outputs of a push that ended with this code.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(both).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn ended(pushing: Vec<Child>) -> Vec<Output> {
    pushing.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_pushes_in_parts_exactly_one_creates_and_the_object_is_whole() {
    let bench = Bench::new("race-parts").await;
    // The server looks and writes one after the other; through the gate nobody comes between.
    let gate = Gate::start(&services().s3().url, Rule::Together(6), completes);
    let to = format!("s3://{}/pre", bench.bucket);
    let twins: Vec<(Bench, usize)> = [0, 0, 7, 0, 7, 0].map(|skipped| (bench.twin(18 * MIB, skipped), skipped)).into();
    let mut pushing = Vec::new();
    for (number, (twin, _)) in twins.iter().enumerate() {
        pushing.push(if number < 3 {
            twin.push(&gate.url, &["--commit", COMMIT]).spawn().unwrap()
        } else {
            let build = ["build", "--application", "shop", "--commit", COMMIT];
            let built = twin.longshore("", &build).output().unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            let artifact = twin.artifact();
            let push = ["push", artifact.to_str().unwrap(), "--to", &to, "--part-size", "5", "--output", "json"];
            twin.longshore(&gate.url, &push).spawn().unwrap()
        });
    }
    let ended = ended(pushing);
    let news: Vec<usize> = (0..ended.len())
        .filter(|number| ended[*number].status.success() && json(&ended[*number])["already_published"] == false)
        .collect();
    let [winner] = news[..] else { panic!("{news:?} created it: {ended:?}") };
    for ((_, skipped), output) in twins.iter().zip(&ended) {
        if *skipped == twins[winner].1 {
            let won = std::ptr::eq(output, &raw const ended[winner]);
            assert_eq!(json(output)["already_published"], !won);
        } else {
            assert!(said(output, 4).contains("holds other content for this commit"));
        }
    }
    assert!(gate.come() >= 6, "{} came to the gate", gate.come());
    assert_eq!((bench.keys().await, bench.unfinished().await), (vec![key("")], 0));
    assert!(bench.bytes(&key("")).await == fs::read(twins[winner].0.artifact()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_signed_builds_one_creates_and_what_stands_beside_it_is_right() {
    let bench = Bench::new("race-signed").await;
    let secret = bench.keygen();
    let gate = Gate::start(&services().s3().url, Rule::Together(3), completes);
    let twins = [(); 3].map(|()| bench.twin(18 * MIB, 0));
    let push = |twin: &Bench| {
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        twin.push(&gate.url, &more).envs([EPOCH]).spawn().unwrap()
    };
    let ended = ended(twins.iter().map(push).collect());
    let created = ended.iter().filter(|output| json(output)["already_published"] == false).count();
    assert_eq!((created, bench.unfinished().await), (1, 0));
    assert_eq!(bench.endings().await, ["", ".intoto.json", ".minisig"]);
    let folder = tempfile::tempdir().unwrap();
    for ending in ["", ".intoto.json", ".minisig"] {
        fs::write(folder.path().join(format!("a.zip{ending}")), bench.bytes(&key(ending)).await).unwrap();
    }
    let (public, archive) = (format!("{}.pub", secret.display()), folder.path().join("a.zip"));
    let verify = ["verify", "--public-key", &public, archive.to_str().unwrap(), "--output", "json"];
    assert_eq!(json(&bench.longshore("", &verify).output().unwrap())["signature"]["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_an_artifact_finds_its_signature() {
    for (name, bytes, appears) in [("order-small", MIB, false), ("order-large", 20 * MIB, true)] {
        let bench = Bench::new(name).await;
        bench.project(bytes);
        let secret = bench.keygen();
        let gate =
            Gate::start(
                &services().s3().url,
                Rule::Held,
                move |line| {
                    if appears { completes(line) } else { stores(line, ".zip") }
                },
            );
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        let pushing = bench.push(&gate.url, &more).spawn().unwrap();
        gate.until(1);
        assert_eq!(bench.endings().await, [".intoto.json", ".minisig"], "{name}");
        gate.open();
        assert_eq!(json(&pushing.wait_with_output().unwrap())["already_published"], false, "{name}");
        assert_eq!(bench.endings().await, ["", ".intoto.json", ".minisig"], "{name}");
    }
}

#[tokio::test]
async fn a_foreign_signature_is_refused_before_the_object_of_a_build_appears() {
    for (name, bytes) in [("foreign-small", MIB), ("foreign-large", 20 * MIB)] {
        let bench = Bench::new(name).await;
        bench.project(bytes);
        for (ending, said_of_it) in [(".minisig", "is no signature of `"), (".intoto.json", "is no provenance of `")] {
            fs::create_dir_all(bench.dir.path().join("dist")).unwrap();
            let beside = bench.file(&format!("dist/shop-{COMMIT}.zip{ending}"), b"something else");
            let refused = bench.push(&services().s3().url, &["--commit", COMMIT]).output().unwrap();
            assert!(said(&refused, 8).contains(said_of_it), "{refused:?}");
            assert_eq!((bench.keys().await, bench.unfinished().await), (Vec::<String>::new(), 0), "{name} {ending}");
            fs::remove_file(beside).unwrap();
        }
        // And what stands in the bucket.
        let secret = bench.keygen();
        let put = bench.client.put_object().bucket(&bench.bucket).key(key(".intoto.json"));
        put.body(b"something else".to_vec().into()).send().await.unwrap();
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        let said = said(&bench.push(&services().s3().url, &more).output().unwrap(), 4);
        let removal = format!("remove it and push again: aws s3 rm s3://{name}/{}", key(".intoto.json"));
        assert!(said.contains("holds something else") && said.contains(&removal), "{said}");
        assert_eq!((bench.endings().await, bench.unfinished().await), (vec![".intoto.json".to_owned()], 0), "{name}");
    }
}

#[tokio::test]
async fn an_archive_whose_digest_is_not_known_is_not_said_to_have_ours() {
    let bench = Bench::new("no-digest").await;
    bench.project(20 * MIB);
    let outputs = bench.file("outputs", b"");
    let push = |epoch: &str| {
        let mut push = bench.push(&services().s3().url, &["--commit", COMMIT]);
        json(&push.envs([("SOURCE_DATE_EPOCH", epoch)]).env("GITHUB_OUTPUT", &outputs).output().unwrap())
    };
    let first = push("1600000000");
    assert_eq!(first["archive_digest"], first["build"]["archive_digest"]);
    bench.forget_digests().await;
    fs::write(&outputs, "").unwrap();
    let again = push("1700000000");
    assert_eq!((&again["already_published"], &again["archive_digest"]), (&true.into(), &Value::Null));
    assert_eq!(again["content_digest"], first["content_digest"]);
    let written = fs::read_to_string(&outputs).unwrap();
    assert!(written.lines().any(|line| line == "archive_digest="), "{written}");
}

#[tokio::test]
async fn a_signed_archive_whose_digest_is_not_known_is_fetched_only_where_its_signature_is_not_ours() {
    let bench = Bench::new("no-digest-signed").await;
    bench.project(20 * MIB);
    let secret = bench.keygen();
    let proxy = Proxy::breaking_uploads(&services().s3().url, Cut::NEVER);
    let push = |epoch: &str| {
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        let before = proxy.answered();
        let pushed = json(&bench.push(&proxy.url, &more).env("SOURCE_DATE_EPOCH", epoch).output().unwrap());
        (pushed, proxy.answered() - before)
    };
    let (first, _) = push("1600000000");
    bench.forget_digests().await;
    for (epoch, is_fetched) in [("1600000000", false), ("1700000000", true)] {
        let (again, answered) = push(epoch);
        assert_eq!((&again["already_published"], &again["archive_digest"]), (&true.into(), &first["archive_digest"]));
        assert_eq!(answered > MIB, is_fetched, "{answered}");
    }
}

#[tokio::test]
async fn what_stands_beside_an_archive_that_is_refused_is_taken_back() {
    for (name, bytes) in [("refused-small", MIB), ("refused-large", 20 * MIB)] {
        let bench = Bench::new(name).await;
        bench.project(bytes);
        let secret = bench.keygen();
        let gate = Gate::start(&services().s3().url, Rule::Forbidden, |line| {
            completes(line) || stores(line, ".zip") && !line.contains("uploadId=")
        });
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        let said = said(&bench.push(&gate.url, &more).output().unwrap(), 10);
        assert!(said.contains("not allowed to write"), "{name}: {said}");
        assert_eq!((bench.keys().await, bench.unfinished().await), (Vec::<String>::new(), 0), "{name}");
    }
}

#[tokio::test]
async fn nothing_is_stored_where_something_beside_it_is_taken() {
    let bench = Bench::new("taken").await;
    bench.project(MIB);
    let secret = bench.keygen();
    let put = bench.client.put_object().bucket(&bench.bucket).key(key(".intoto.json"));
    put.body(b"something else".to_vec().into()).send().await.unwrap();
    let gate = Gate::start(&services().s3().url, Rule::Forbidden, |line| line.starts_with("PUT "));
    let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
    let said = said(&bench.push(&gate.url, &more).output().unwrap(), 4);
    assert!(said.contains("holds something else, and no artifact stands there"), "{said}");
    assert_eq!(gate.come(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_another_push_takes_back_is_stored_again() {
    let bench = Bench::new("stored-again").await;
    bench.project(MIB);
    let secret = bench.keygen();
    let more = ["--commit", COMMIT, "--sign", "--key", secret.to_str().unwrap()];
    json(&bench.push(&services().s3().url, &more).envs([EPOCH]).output().unwrap());
    let remove = async |ending| {
        bench.client.delete_object().bucket(&bench.bucket).key(key(ending)).send().await.unwrap();
    };
    remove("").await;
    let gate = Gate::start(&services().s3().url, Rule::Held, |line| stores(line, ".zip"));
    let pushing = bench.push(&gate.url, &more).envs([EPOCH]).spawn().unwrap();
    gate.until(1);
    remove(".minisig").await;
    gate.open();
    assert_eq!(json(&pushing.wait_with_output().unwrap())["already_published"], false);
    assert_eq!(bench.endings().await, ["", ".minisig"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_taken_back_when_another_artifact_was_faster() {
    for (name, may_remove) in [("withdrawn", true), ("not-withdrawn", false)] {
        let bench = Bench::new(name).await;
        bench.project(20 * MIB);
        let secret = bench.keygen();
        let removals = Gate::start(&services().s3().url, Rule::Forbidden, move |line| {
            !may_remove && line.starts_with("DELETE ") && line.contains(".minisig")
        });
        let gate = Gate::start(&removals.url, Rule::Held, completes);
        let more = ["--commit", COMMIT, "--sign", "--key", secret.to_str().unwrap()];
        let pushing = bench.push(&gate.url, &more).spawn().unwrap();
        gate.until(1);
        assert_eq!(bench.endings().await, [".minisig"], "{name}");
        let other = bench.twin(MIB, 0);
        json(&other.push(&services().s3().url, &["--commit", COMMIT]).output().unwrap());
        gate.open();
        let said = said(&pushing.wait_with_output().unwrap(), 4);
        assert!(said.contains("holds other content for this commit"), "{name}: {said}");
        let left = if may_remove { vec![""] } else { vec!["", ".minisig"] };
        assert_eq!(
            (bench.endings().await, bench.unfinished().await),
            (left.iter().map(ToString::to_string).collect(), 0)
        );
        let command = format!("do it with: aws s3 rm s3://{name}/{}", key(".minisig"));
        assert_eq!(said.contains(&command), !may_remove, "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_a_push_is_told_what_is_published() {
    for (name, is_there, held, expected) in [
        ("int-signature", false, ".minisig", format!("nothing was published to `s3://int-signature/{}`", key(""))),
        (
            "int-provenance",
            false,
            ".intoto.json",
            format!("published is `s3://int-provenance/{}`, and nothing else of it", key(".minisig")),
        ),
        (
            "int-later",
            true,
            ".intoto.json",
            format!(
                "published is `s3://int-later/{}`, `s3://int-later/{}`, and nothing else of it",
                key(""),
                key(".minisig")
            ),
        ),
        (
            "int-deciding",
            false,
            ".zip",
            format!("whether anything was published to `s3://int-deciding/{}` is not known", key("")),
        ),
    ] {
        let bench = Bench::new(name).await;
        bench.project(MIB);
        let secret = bench.keygen();
        if is_there {
            json(&bench.push(&services().s3().url, &["--commit", COMMIT]).envs([EPOCH]).output().unwrap());
        }
        let gate = Gate::start(&services().s3().url, Rule::Held, move |line| stores(line, held));
        let more = ["--commit", COMMIT, "--sign", "--provenance", "--key", secret.to_str().unwrap()];
        let pushing = bench.push(&gate.url, &more).envs([EPOCH]).spawn().unwrap();
        gate.until(1);
        assert!(Command::new("kill").args(["-INT", &pushing.id().to_string()]).status().unwrap().success());
        let said = said(&pushing.wait_with_output().unwrap(), 1);
        assert!(said.contains(&format!("interrupted; {expected}")), "{name}: {said}");
        // The next push goes on from there.
        json(&bench.push(&services().s3().url, &more).envs([EPOCH]).output().unwrap());
        assert_eq!(bench.endings().await, ["", ".intoto.json", ".minisig"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_cannot_be_removed_are_told_of_with_the_command_that_does() {
    let bench = Bench::new("left-parts").await;
    bench.project(160 * MIB);
    let gate = Gate::start(&services().s3().url, Rule::Forbidden, |line| {
        line.starts_with("DELETE ") && line.contains("uploadId=")
    });
    let pushing = bench.push(&gate.url, &["--commit", COMMIT]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.unfinished().await == 0 {
        assert!(Instant::now() < deadline, "the upload does not begin");
    }
    assert!(Command::new("kill").args(["-INT", &pushing.id().to_string()]).status().unwrap().success());
    let said = said(&pushing.wait_with_output().unwrap(), 1);
    assert!(said.contains("interrupted; nothing was published"), "{said}");
    assert!(
        said.contains("not allowed to abort the upload of") && said.contains("AbortIncompleteMultipartUpload"),
        "{said}"
    );
    let (_, command) = said.split_once("aws s3api abort-multipart-upload --bucket left-parts --key ").unwrap();
    let (found, command) = command.split_once(" --upload-id ").unwrap();
    assert_eq!((found, bench.unfinished().await), (key("").as_str(), 1));
    let id = command.split(';').next().unwrap().trim_matches('\'');
    bench.client.abort_multipart_upload().bucket(&bench.bucket).key(found).upload_id(id).send().await.unwrap();
    assert_eq!((bench.unfinished().await, bench.keys().await), (0, Vec::new()));
}

#[tokio::test]
async fn large_provenance_in_a_bucket_is_found_again() {
    let bench = Bench::new("large-provenance").await;
    bench.project(MIB);
    let build = ["build", "--application", "shop", "--commit", COMMIT, "--provenance"];
    assert!(bench.longshore("", &build).output().unwrap().status.success());
    let path = PathBuf::from(format!("{}.intoto.json", bench.artifact().display()));
    let mut statement: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let to = format!("s3://{}/pre", bench.bucket);
    for (images, already) in [(30_000, false), (30_001, true)] {
        let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array_mut().unwrap();
        dependencies
            .resize(images, serde_json::json!({"uri": "docker://shop:1", "digest": {"sha256": "0".repeat(64)}}));
        fs::write(&path, statement.to_string()).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 3 * MIB);
        let artifact = bench.artifact();
        let push = ["push", artifact.to_str().unwrap(), "--to", &to, "--output", "json"];
        let pushed = json(&bench.longshore(&services().s3().url, &push).output().unwrap());
        assert_eq!(pushed["already_published"], already);
    }
    let stored: Value = serde_json::from_slice(&bench.bytes(&key(".intoto.json")).await).unwrap();
    let dependencies = stored["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), 30_000, "the first one stays");
}
